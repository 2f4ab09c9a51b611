"""Closed forms of ideal accuracies: by the exact law of our decoders, and by simulation from counting."""

import itertools
import math

import numpy as np
import pytest

import mdmjax as mj
from mdmjax._errors import InvalidInputError
from mdmjax.laws.law import Law
from mdmjax.tasks import ideal
from mdmjax.tasks.answers import answer_joint
from mdmjax.tasks.lists import Lists

COLD = 0.02  # temperature 0 with ties broken at random: odds 3 to 1 are 3^50 to 1


SMALL = 1e-12  # of the uniform law: the ideal model is defined everywhere


def joint_of(operation, n):
    """The law of the answers to a list of `n`; that of all orders where no operation is named."""
    if operation is None:
        probs = mj.tabulate(mj.UniformPermutation(n)).probs
        return mj.Joint((1 - SMALL) * probs + SMALL / probs.size)
    task = Lists(operation=operation, least=2, most=6)
    word = "+z" * task.how.word
    return answer_joint(task, *task.prompt("abcdef"[:n] + word), smoothing=SMALL).joint


def accuracy(joint, rule, temperature=1.0):
    """The probability that the law of a decoder gives to what the joint has."""
    law = mj.exact_law(mj.Oracle(joint), mj.Reveal(rule, temperature=temperature))
    assert isinstance(law, Law)
    return float(np.asarray(law.probs)[np.asarray(joint.probs) > 1e-6].sum())


def steps(n, k):
    return mj.Schedule([k] * (n // k) + [n % k] * (n % k > 0))


def simulated(rows, k, draws, greedy, rng):
    """The share of right outputs of an ideal model that writes `k` random positions a step."""
    right = 0
    for _ in range(draws):
        left, known, order = rows, np.full(rows.shape[1], -1), rng.permutation(rows.shape[1])
        for at in range(0, order.size, k):
            marginals = [np.unique(left[:, i], return_counts=True) for i in order[at : at + k]]
            for i, (symbols, counts) in zip(order[at : at + k], marginals, strict=True):
                weights = (counts == counts.max() if greedy else counts).astype(float)
                known[i] = rng.choice(symbols, p=weights / weights.sum())
            left = left[(left[:, order[: at + k]] == known[order[: at + k]]).all(axis=1)]
            if not len(left):
                break
        right += len(left) > 0
    return right / draws


def near(share, wanted, draws):
    return abs(share - wanted) <= 5 * math.sqrt(wanted * (1 - wanted) / draws)


SLOW = [pytest.param(4, 1, marks=pytest.mark.slow), pytest.param(5, 2, marks=pytest.mark.slow)]


@pytest.mark.parametrize(("n", "k"), [(4, 2), (4, 3), (4, 4), *SLOW])
def test_by_the_exact_law(n, k):
    permutations = joint_of(None, n)
    order = mj.left_to_right(steps(n, k))
    assert math.isclose(accuracy(permutations, order), ideal.shuffle_accuracy(n, k), rel_tol=1e-9)
    replaced = joint_of("replace-random", n)
    assert math.isclose(accuracy(replaced, order), ideal.replace_random_accuracy(n, k), rel_tol=1e-9)
    cold = accuracy(replaced, order, COLD)
    assert math.isclose(cold, ideal.replace_random_greedy_accuracy(n, k), abs_tol=1e-9)


def test_of_thresholds_by_the_exact_law():
    permutations, replaced = joint_of(None, 4), joint_of("replace-random", 4)
    for threshold in (0.9, 0.6, 0.45, 0.3, 0.1):
        rule = mj.ConfidenceThreshold(threshold)
        found = accuracy(permutations, rule)
        assert math.isclose(found, ideal.shuffle_threshold_accuracy(4, threshold), rel_tol=1e-9)
        found = accuracy(replaced, rule, COLD)
        wanted = ideal.replace_random_threshold_accuracy(4, threshold)
        assert math.isclose(found, wanted, abs_tol=1e-9)


@pytest.mark.parametrize("k", [2, 3])
def test_by_simulation(k):
    rng, draws = np.random.default_rng(k), 400
    orders = np.array(list(itertools.permutations(range(6))))
    assert near(simulated(orders, k, draws, False, rng), ideal.shuffle_accuracy(6, k), draws)
    replaced = np.where(np.eye(6, dtype=bool), 6, np.arange(6))
    share = simulated(replaced, k, draws, False, rng)
    assert near(share, ideal.replace_random_accuracy(6, k), draws)
    assert near(simulated(replaced, k, draws, True, rng), ideal.replace_random_greedy_accuracy(6, k), draws)


@pytest.mark.slow
def test_the_list_itself_counts_less_and_less():
    """The forms count it; the benchmark does not, and its ideal model knows."""
    gaps = []
    for n in (3, 4, 5):
        own = accuracy(joint_of("shuffle", n), mj.left_to_right(steps(n, 2)))
        gaps.append(abs(own - ideal.shuffle_accuracy(n, 2)))
        assert 0 < own < 1
    assert gaps[0] > gaps[1] > 2 * gaps[2] > 0


def test_limits_of_the_paper():
    for n in (2, 3, 6, 15):
        assert math.isclose(ideal.shuffle_accuracy(n, n), math.factorial(n) / n**n)
        assert math.isclose(ideal.replace_random_accuracy(n, n), ((n - 1) / n) ** (n - 1))
    double = lambda n: math.prod(range(n, 0, -2))
    assert math.isclose(ideal.shuffle_accuracy(16, 2), double(15) / double(16))
    cost = 16 * math.log(16) - math.lgamma(17)
    assert math.isclose(ideal.shuffle_cost(16, 16), cost)
    assert math.isclose(ideal.shuffle_cost(16, 2), math.log(double(16) / double(15)))
    assert math.isclose(ideal.replace_random_cost(10**6), 1, abs_tol=1e-6)


def test_costs_are_total_correlations():
    for operation, cost in (("replace-random", ideal.replace_random_cost(4)), (None, None)):
        joint = joint_of(operation, 4)
        law = mj.exact_law(mj.Oracle(joint), mj.Reveal(mj.left_to_right(mj.Schedule([4]))))
        wanted = ideal.shuffle_cost(4, 4) if cost is None else cost
        assert math.isclose(float(law.kl(joint)), wanted, rel_tol=1e-8)


@pytest.mark.parametrize("call", [lambda: ideal.shuffle_accuracy(4, 5), lambda: ideal.shuffle_cost(4, 0)])
def test_steps_that_are_none(call):
    with pytest.raises(InvalidInputError, match="k is"):
        call()


def test_a_threshold_that_is_none():
    with pytest.raises(InvalidInputError, match="threshold is 0"):
        ideal.shuffle_threshold_accuracy(4, 0.0)
