import itertools
from fractions import Fraction

import jax
import numpy as np
import pytest
from _oracles import reed_solomon_words
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from mdmjax import InvalidInputError
from mdmjax.distributions.codes import reed_solomon_code
from mdmjax.policies.query_best import best_strategy
from mdmjax.policies.query_game import asked, detection, doubling, random_detection
from mdmjax.policies.query_outputs import (
    any_output_bound,
    least_queries,
    output,
    output_tv,
    queries_to_reach,
    tv_bound,
)


def words_of(n, dim, q):
    return {tuple(word) for word in reed_solomon_words(n, dim, q)}


def law_of_the_game(sizes, n, dim, q):
    """The output law by all positions and symbols that each query may have, in fractions."""
    words = words_of(n, dim, q)
    unseen = Fraction(1)
    for size in sizes:
        cases, uniform = 0, 0
        for where in itertools.combinations(range(n), size):
            for symbols in itertools.product(range(q), repeat=size):
                agree = [w for w in words if tuple(w[i] for i in where) == symbols]
                answers = [{w[i] for w in agree} for i in range(n) if i not in where]
                cases += 1
                uniform += all(len(answer) != 1 for answer in answers)
        unseen *= Fraction(uniform, cases)
    everything = list(itertools.product(range(q), repeat=n))
    target = {w: Fraction(w in words, len(words)) for w in everything}
    return target, {w: (1 - unseen) * target[w] + unseen / len(everything) for w in everything}


@pytest.mark.parametrize(
    ("n", "q", "sizes"), [(2, 3, [0, 1]), (3, 3, [2]), (3, 3, [1, 2, 2]), (4, 5, [2, 1, 2])]
)
def test_the_distance_is_that_of_the_law_by_all_cases(n, q, sizes):
    found = output_tv(detection(np.array(sizes), n, q)[-1], q)
    for dim in range(1, n):
        target, law = law_of_the_game(sizes, n, dim, q)
        assert sum(law.values()) == 1
        distance = sum(abs(target[w] - law[w]) for w in target) / 2
        assert found[dim - 1] == pytest.approx(float(distance), abs=1e-14)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), dim=st.integers(1, 2))
def test_no_output_does_better_on_all_shifts_of_a_code_that_was_not_seen(seed, dim):
    n = q = 3
    law = np.random.default_rng(seed).dirichlet(np.full(q**n, 0.3)).reshape((q,) * n)
    code = np.zeros((q,) * n)
    for word in words_of(n, dim, q):
        code[word] = float(q) ** -dim
    distances = [
        np.abs(law - np.roll(code, shift, axis=(0, 1, 2))).sum() / 2
        for shift in itertools.product(range(q), repeat=n)
    ]
    assert np.mean(distances) >= output_tv(np.zeros(n - 1), q)[dim - 1] - 1e-12


def test_what_a_game_outputs():
    code = reed_solomon_code(3, 1, 3)
    keys = jax.random.split(jax.random.key(0), 20)
    seen = [tuple(output(key, ((0, False), (1, True)), code).tolist()) for key in keys]
    unseen = [tuple(output(key, ((0, False),), code).tolist()) for key in keys]
    assert set(seen) == words_of(3, 1, 3)
    assert len(set(unseen)) > 9
    assert all(0 <= symbol < 3 for word in unseen for symbol in word)


@settings(max_examples=60, deadline=None)
@given(data=st.data(), n=st.integers(2, 30), extra=st.integers(0, 20))
def test_no_strategy_beats_the_bound_of_its_distance(data, n, extra):
    """Nor does any mixture of two rows of sizes."""
    q = n + extra
    draw = lambda: np.array(data.draw(st.lists(st.integers(0, n - 1), min_size=n, max_size=n)))
    share = data.draw(st.floats(0, 1))
    seen = share * detection(draw(), n, q) + (1 - share) * detection(draw(), n, q)
    for queries, row in enumerate(output_tv(seen, q), 1):
        assert row.max() >= tv_bound(n, q, queries) - 1e-12
        assert np.all(row <= 1)


def value_of_any_output(n, q, queries):
    """The least largest distance of all random adaptive strategies with all outputs: a linear programme.

    Random symbols at s places are those of a code of the lowest dimension g, and of all above: it is known
    to the strategy, and the answer is seen if g <= k <= s. What is output counts by layers C_k \\ C_{k-1}:
    the mean over a layer of any law is nowhere further.
    """
    chance = lambda g, s: float(q) ** (g - s) * (1 - 1 / q if g > 1 else 1.0)
    pairs = [(s, g) for s in range(1, n) for g in range(1, s + 1)]
    leaves = list(itertools.product(pairs, repeat=queries))
    share = lambda j, k: float(q) ** (j - k) * (1 - 1 / q if j > 1 else 1.0)  # of layer j in code k
    kept = {leaf: [k for k in range(1, n + 1) if not any(g <= k <= s for s, g in leaf)] for leaf in leaves}
    # Variables: output of each layer after each history; missing of layer j in code k; the largest.
    out = {key: i for i, key in enumerate(itertools.product(leaves, range(1, n + 1)))}
    layers = [(k, j) for k in range(1, n + 1) for j in range(1, k + 1)]
    missing = {key: len(out) + i for i, key in enumerate(layers)}
    size = len(out) + len(missing) + 1
    above, equal, right = [], [], []
    for k, j in layers:
        row = np.zeros(size)
        for leaf in leaves:
            if k in kept[leaf]:
                for i in range(1, n + 1):
                    row[out[leaf, i]] += share(j, k)
                row[out[leaf, j]] -= 1.0
        row[missing[k, j]] = -1.0
        above.append(row)
    for k in range(1, n + 1):
        row = np.zeros(size)
        row[[missing[k, j] for j in range(1, k + 1)]], row[-1] = 1.0, -1.0
        above.append(row)
    whole = np.zeros(size)
    whole[: len(out)] = 1.0
    # The chance of g, given what came before and s, is what it is.
    for t in range(queries):
        for head in {leaf[: t + 1] for leaf in leaves}:
            row, (s, g) = np.zeros(size), head[t]
            for leaf in leaves:
                if leaf[:t] == head[:t] and leaf[t][0] == s:
                    for i in range(1, n + 1):
                        row[out[leaf, i]] = (leaf[t][1] == g) - chance(g, s)
            equal.append(row)
            right.append(0.0)
    found = linprog(
        np.append(np.zeros(size - 1), 1.0),
        A_ub=np.array(above),
        b_ub=np.zeros(len(above)),
        A_eq=np.array([whole, *equal]),
        b_eq=[1.0, *right],
    )
    return found.fun


@pytest.mark.parametrize(
    ("n", "q", "queries"), [(3, 3, 1), (5, 5, 1), (7, 7, 1), pytest.param(5, 5, 2, marks=pytest.mark.slow)]
)
def test_no_output_does_better_than_its_bound(n, q, queries):
    value = value_of_any_output(n, q, queries)
    assert any_output_bound(n, q, queries) <= value + 1e-9
    assert value <= best_strategy(n, q, queries).tv + 1e-9


@pytest.mark.parametrize("n", [8, 16, 64, 256])
def test_no_output_saves_more_than_a_few_queries(n):
    least = least_queries(n, n)
    assert any_output_bound(n, n, least) <= 1 / 16 < any_output_bound(n, n, least - 1)
    needed = next(t for t in range(1, n) if tv_bound(n, n, t) <= 1 / 16)
    assert least <= needed <= least + 3


@pytest.mark.parametrize("n", [8, 16, 64, 256])
def test_random_sizes_need_at_most_a_query_more_than_any_strategy(n):
    enough = queries_to_reach(output_tv(random_detection(n, n), n))
    assert tv_bound(n, n, enough - 2) > 1 / 16
    assert least_queries(n, n) <= enough <= n - 1
    sizes = asked(doubling(n), n, most=n)
    assert queries_to_reach(output_tv(detection(sizes, n, n), n)) is None


def test_a_game_of_one_token_is_refused():
    with pytest.raises(InvalidInputError, match="n is 1: want an integer >= 2"):
        tv_bound(1, 4, 1)
