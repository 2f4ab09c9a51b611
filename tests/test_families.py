"""The registry of families: names, defaults, bounds, and that a curve is that of its distribution."""

import subprocess
import sys

import numpy as np
import pytest

from mdmjax import InvalidInputError, information_curve, tabulate
from mdmjax.families import FAMILIES, MAX_POSITIONS, Parameter

NAMES = [
    "block-hmm",
    "markov",
    "repetition",
    "parity",
    "reed-solomon",
    "permutation",
    "pairs",
    "parity-checks",
    "repeated-bits",
    "noisy-bit",
    "random-table",
    "nae-sat",
]

CURVE = {
    "block-hmm": {"blocks": 2, "block_size": 8, "eta": 1e-8, "kept": 0.9, "bias": 0.9},
    "markov": {"n": 16, "q": 2, "flip": 0.1},
    "repetition": {"n": 16, "q": 2},
    "parity": {"n": 16, "q": 2},
    "reed-solomon": {"n": 16, "q": 17, "dim": 8},
    "permutation": {"n": 16},
    "pairs": {"n": 16, "q": 2},
    "parity-checks": {"n": 16},
    "repeated-bits": {"n": 16},
    "noisy-bit": {"n": 16, "flip": 0.1},
    "random-table": {"n": 8, "q": 2, "concentration": 0.3, "draw": 0},
    "nae-sat": {"latents": 5, "observations": 5, "flip": 0.0, "draw": 0},
}
LAW = {
    "block-hmm": {"blocks": 2, "block_size": 4, "eta": 1e-8, "kept": 0.9, "bias": 0.9},
    "markov": {"n": 8, "q": 2, "flip": 0.1},
    "repetition": {"n": 8, "q": 2},
    "parity": {"n": 8, "q": 2},
    "reed-solomon": {"n": 4, "q": 5, "dim": 2},
    "permutation": {"n": 5},
    "pairs": {"n": 8, "q": 2},
    "parity-checks": {"n": 8},
    "repeated-bits": {"n": 8},
    "noisy-bit": {"n": 8, "flip": 0.1},
    "random-table": {"n": 6, "q": 2, "concentration": 0.3, "draw": 0},
    "nae-sat": {"latents": 4, "observations": 4, "flip": 0.0, "draw": 0},
}
TITLES = {
    "block-hmm": "Block-HMM, 2 blocks of 4 bits, parity noise 1e-08",
    "markov": "Markov chain, flip 0.1",
    "repetition": "repetition code",
    "parity": "parity code",
    "reed-solomon": "Reed-Solomon code of dimension 2",
    "permutation": "uniform permutation",
    "pairs": "4 equal pairs",
    "parity-checks": "parity checks of all sizes",
    "repeated-bits": "repeated bits of all sizes",
    "noisy-bit": "noisy repeated bit, flip 0.1",
    "random-table": "random table 0, concentration 0.3",
    "nae-sat": "NAE-SAT 0, 4 observations of 4 latents",
}


def test_the_names_and_the_defaults_of_each_use():
    assert list(FAMILIES) == NAMES
    for name, family in FAMILIES.items():
        assert family.name == name
        assert family.values("curve") == CURVE[name]
        assert family.values("law") == LAW[name]
        assert list(family.values("law")) == [parameter.name for parameter in family.parameters]
        assert family.title(**LAW[name]) == TITLES[name]
        assert family.help.endswith(".")
        assert all(parameter.help.endswith(".") for parameter in family.parameters)


def test_the_sizes_of_the_paper_come_together():
    family = FAMILIES["block-hmm"]
    others = {"eta": 1e-8, "kept": 0.9, "bias": 0.9}
    assert family.values("paper") == {"blocks": 8, "block_size": 8} | others
    assert family.values("paper", eta=0.5) == {"blocks": 8, "block_size": 8} | others | {"eta": 0.5}
    assert family.values("paper", blocks=3, block_size=None) == {"blocks": 3, "block_size": 4} | others
    assert FAMILIES["markov"].values("paper") == LAW["markov"]


@pytest.mark.parametrize("name", NAMES)
def test_the_curve_is_that_of_the_distribution(name):
    family, values = FAMILIES[name], LAW[name]
    distribution = family.distribution(**values)
    q = family.q(**values)
    assert distribution.q == q
    if family.curve is None:
        assert name in ("block-hmm", "random-table", "nae-sat")
        return
    curve, wanted = family.curve(**values), information_curve(tabulate(distribution))
    assert curve.n == distribution.n
    np.testing.assert_allclose(curve.information, wanted.information, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(curve.marginal_entropy, wanted.marginal_entropy, rtol=1e-12)


def test_values_become_their_types():
    values = FAMILIES["markov"].check(flip=1, n=np.int64(4), q=3)
    assert values == {"n": 4, "q": 3, "flip": 1.0}
    assert list(map(type, values.values())) == [int, int, float]


@pytest.mark.parametrize(
    ("name", "values", "words"),
    [
        ("pairs", {"n": 7}, "n is 7: want an even integer; pairs take two positions each"),
        ("pairs", {"n": 0}, "n is 0: want an integer >= 2"),
        ("parity-checks", {"n": 12}, "n is 12: want a power of two; it is 2"),
        ("random-table", {"concentration": 0}, "concentration is 0: want a number"),
        ("parity", {"n": 1}, "n is 1: want an integer >= 2"),
        ("repetition", {"q": 1}, "q is 1: want an integer >= 2"),
        ("permutation", {"n": 0}, "n is 0: want an integer >= 1"),
        ("permutation", {"n": 2.0}, "n is 2.0: want an integer"),
        ("permutation", {"n": "2"}, "n is '2': want an integer"),
        ("permutation", {"n": 10**14}, "n is 10+: want at most 16777216; 5.68 PiB are needed"),
        ("markov", {"flip": 1.5}, r"flip is 1.5: want a number in \[0, 1\]"),
        ("markov", {"flip": float("nan")}, "flip is nan: want a number"),
        ("markov", {"flip": "often"}, "flip is 'often': want a number"),
        ("markov", {"speed": 1}, "speed is 1: want only n, q, flip; markov has no other parameters"),
        ("noisy-bit", {"flip": -0.1}, "flip is -0.1"),
        ("block-hmm", {"eta": 2}, "eta is 2: want a number"),
        ("block-hmm", {"blocks": 0}, "blocks is 0"),
        ("block-hmm", {"block_size": 10**18}, "block_size is 10+: want at most 16777216; 5.68e.04 PiB"),
        ("reed-solomon", {"q": 12, "n": 4}, "q is 12: want a prime power"),
        ("reed-solomon", {"q": 10**18}, "q is 10+: want at most 1099511627776"),
        ("reed-solomon", {"q": 7, "n": 8}, "n is 8: want at most q = 7; every position is a field element"),
        ("reed-solomon", {"dim": 0}, "dim is 0: want an integer >= 1"),
        ("nae-sat", {"observations": 11}, "observations is 11: want at most the 10 triples of 5 latents"),
        ("nae-sat", {"latents": 21}, "latents is 21: want at most 20"),
        ("reed-solomon", {"dim": 99}, "dim is 99: want at most n"),
    ],
)
def test_bounds(name, values, words):
    with pytest.raises(InvalidInputError, match=words):
        FAMILIES[name].values("curve", **values)


def test_a_missing_value_is_named():
    with pytest.raises(InvalidInputError, match="q is not given: want Size of the alphabet."):
        FAMILIES["pairs"].check(n=4)


def test_a_refusal_has_its_parts():
    with pytest.raises(InvalidInputError) as caught:
        FAMILIES["block-hmm"].check(blocks=2, block_size=0, eta=0.1, kept=0.9, bias=0.9)
    found = caught.value
    assert (found.argument, found.value, found.wanted, found.remedy) == (
        "block_size",
        0,
        "an integer >= 1",
        "",
    )


@pytest.mark.parametrize(
    ("name", "values", "words"),
    [
        (
            "block-hmm",
            {"blocks": MAX_POSITIONS, "block_size": MAX_POSITIONS},
            "blocks, block_size is .* PiB",
        ),
        ("markov", {"q": 10**9}, "q is 10+: want a transition matrix of at most 2.0 GiB; 7.11e.03 PiB"),
        (
            "markov",
            {"n": MAX_POSITIONS, "q": 1000},
            "n, q is 16777216, 1000: want conditionals .* 125.0 GiB",
        ),
        (
            "parity",
            {"n": MAX_POSITIONS},
            "n is 16777216: want a code's elimination of at most 2.0 GiB; 2 PiB",
        ),
        ("pairs", {"n": MAX_POSITIONS}, "n is 16777216: want a code's elimination"),
        ("parity", {"q": 10**9}, "q is 10+: want a prime power in 2..256"),
        ("repetition", {"n": MAX_POSITIONS, "q": 256}, "n, q is 16777216, 256: want conditionals"),
        ("permutation", {"n": MAX_POSITIONS}, "n is 16777216: want conditionals .* 2 PiB"),
    ],
)
def test_a_distribution_that_would_not_fit_is_refused_before_it_is_made(name, values, words):
    family = FAMILIES[name]
    with pytest.raises(InvalidInputError, match=words):
        family.distribution(**family.values("law", **values))


def test_a_curve_of_the_largest_size_can_be_asked_for():
    for family in FAMILIES.values():
        known = {p.name: p for p in family.parameters}
        if "n" in known and family.name not in ("pairs", "reed-solomon"):
            assert family.values("curve", n=MAX_POSITIONS)["n"] == MAX_POSITIONS


def test_a_bound_says_what_it_costs():
    size = Parameter("size", int, 1, 1, 1, 8, "Size.", cost=2**30)
    assert size.checked(8) == 8
    with pytest.raises(InvalidInputError, match="size is 9: want at most 8; 9.0 GiB are needed"):
        size.checked(9)


def test_a_chain_that_never_moves_is_a_repetition():
    still, repeated = (FAMILIES["markov"].curve(n=4, q=2, flip=0.0), FAMILIES["repetition"].curve(n=4, q=2))
    np.testing.assert_array_equal(still.information, repeated.information)


def test_to_read_the_list_imports_nothing():
    code = "import sys, mdmjax.families; print({'jax', 'numpy', 'equinox'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
