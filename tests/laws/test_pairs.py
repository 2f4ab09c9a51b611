"""Pairs against the definition and the dense law; codes and permutations, whose orders have one law."""

import math

import numpy as np
import pytest
from _oracles import all_compositions, partitions_of_sizes

from mdmjax import (
    InvalidInputError,
    Oracle,
    Schedule,
    expected_kl,
    information_curve,
    pairs_curve,
    tabulate,
)
from mdmjax.denoisers.perturbed import Fallback
from mdmjax.distributions.codes import LinearCode, pairs_code
from mdmjax.families import FAMILIES
from mdmjax.laws.pairs import PairsLaw
from mdmjax.policies.mixture import all_codes, mixture_schedules

ONE_LAW = {name for name, family in FAMILIES.items() if family.one_law}


def counts_of(code, n):
    ends = [j for j in range(1, n) if code >> (j - 1) & 1]
    return np.diff([0, *ends, n])


@pytest.mark.parametrize(("n", "q"), [(2, 3), (4, 2), (6, 3)])
def test_pairs_against_the_definition(n, q):
    """The mean over all ordered partitions of q^-d, and the mean of d."""
    law, curve = PairsLaw(n, q), pairs_curve(n, q)
    for steps in range(1, n + 1):
        for counts in [*all_compositions(n, steps)][::3]:
            twice = [
                sum(i in block and i + 1 in block for block in partition for i in range(0, n, 2))
                for partition in partitions_of_sizes(range(n), counts)
            ]
            slow = -math.log(np.mean([q**-d for d in twice]))
            np.testing.assert_allclose(law.kls(np.array([counts]))[0], slow, rtol=1e-12, atol=1e-14)
            mean = float(expected_kl(curve, Schedule(counts)))
            np.testing.assert_allclose(mean, np.mean(twice) * math.log(q), rtol=1e-12, atol=1e-14)


@pytest.mark.slow
def test_pairs_against_the_dense_law():
    joint = tabulate(pairs_code(6, 2))
    dense = mixture_schedules(joint, Fallback(Oracle(joint)), 3)
    schedules = np.array([counts_of(code, 6) for code in dense.codes])
    np.testing.assert_allclose(PairsLaw(6, 2).kls(schedules), dense.kl, rtol=1e-11, atol=1e-14)


def test_pairs_at_length():
    """One step, one token a step, padding, and Jensen."""
    law, curve = PairsLaw(128, 2), pairs_curve(128, 2)
    kls = law.kls(np.array([[0, 0, 128], [0, 1, 127], [32, 32, 64]]))
    np.testing.assert_allclose(kls[0], 64 * math.log(2), rtol=1e-12)
    means = [float(expected_kl(curve, Schedule(c))) for c in ([128], [1, 127], [32, 32, 64])]
    assert np.all(kls <= np.array(means) + 1e-9)
    assert abs(law.kls(np.ones((1, 128), int))[0]) < 1e-10


def check_one_law(name, **values):
    family = FAMILIES[name]
    joint, curve = tabulate(family.distribution(**values)), family.curve(**values)
    found = mixture_schedules(joint, Fallback(Oracle(joint)))
    means = [float(expected_kl(curve, Schedule(counts_of(c, joint.n)))) for c in all_codes(joint.n)]
    np.testing.assert_allclose(found.kl, means, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("name", sorted(ONE_LAW))
def test_where_all_orders_have_one_law_the_mean_is_the_truth(name):
    """All schedules: MDS codes of every dimension and permutations, against the mixture itself."""
    for dim in (1, 2, 3) if name == "reed-solomon" else (None,):
        values = {"n": 3} | ({} if name == "permutation" else {"q": 3}) | ({"dim": dim} if dim else {})
        check_one_law(name, **values)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("permutation", {"n": 5}),
        ("reed-solomon", {"n": 5, "q": 5, "dim": 2}),
        ("reed-solomon", {"n": 4, "q": 4, "dim": 3}),
        ("parity", {"n": 6, "q": 3}),
        ("repetition", {"n": 8, "q": 2}),
    ],
)
def test_one_law_of_larger_members(name, values):
    check_one_law(name, **values)


def test_other_families_have_more_laws_than_one():
    """Of those that are not marked the mixture is nearer than the mean somewhere."""
    for name in sorted(FAMILIES.keys() - ONE_LAW - {"block-hmm"}):
        family = FAMILIES[name]
        size = {"latents": 3, "observations": 1} if name == "nae-sat" else {"n": 4}
        joint = tabulate(family.distribution(**family.values("law", **size)))
        mean = float(expected_kl(information_curve(joint), Schedule([2, 2])))
        found = mixture_schedules(joint, Fallback(Oracle(joint)), 2)
        assert float(found.kl_of(Schedule([2, 2]))) < mean - 1e-3


def test_any_linear_code_by_the_tokens_that_are_free_in_vain():
    """KL = -log E q^-d, of a code that is neither pairs nor MDS; ranks by enumeration of its words."""
    code, q = LinearCode([[1, 0, 1, 0, 1], [0, 1, 1, 0, 2]], 3), 3
    joint = tabulate(code)
    words = np.argwhere(np.asarray(joint.probs) > 0)
    rank = lambda part: round(math.log(len({tuple(word) for word in words[:, sorted(part)]}), q))
    for counts in ([2, 3], [1, 2, 2]):
        means = []
        for partition in partitions_of_sizes(range(5), counts):
            seen, free = [], 0
            for block in partition:
                free += sum(rank([*seen, i]) > rank(seen) for i in block)
                seen = [*seen, *block]
            means.append(float(q) ** (rank(range(5)) - free))
        dense = mixture_schedules(joint, Fallback(Oracle(joint)), len(counts))
        np.testing.assert_allclose(dense.kl_of(Schedule(counts)), -math.log(np.mean(means)), atol=1e-13)


def test_refusals():
    with pytest.raises(InvalidInputError, match="n is 5: want an even integer"):
        PairsLaw(5, 2)
    with pytest.raises(InvalidInputError, match="n is 2000: want a step of the law of pairs of at most"):
        PairsLaw(2000, 2)
    with pytest.raises(InvalidInputError, match="schedules is of shape"):
        PairsLaw(4, 2).kls(np.array([[1, 2]]))
