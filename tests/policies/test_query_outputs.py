import itertools
from fractions import Fraction

import jax
import numpy as np
import pytest
from _oracles import reed_solomon_words
from hypothesis import given, settings
from hypothesis import strategies as st

from mdmjax import InvalidInputError
from mdmjax.distributions.codes import reed_solomon_code
from mdmjax.policies.query_game import asked, detection, doubling, least_queries, random_detection
from mdmjax.policies.query_outputs import output, output_tv, queries_to_reach, tv_bound


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
