import itertools

import jax
import numpy as np
import pytest
from _oracles import reed_solomon_words
from hypothesis import given, settings
from hypothesis import strategies as st

from mdmjax import InvalidInputError
from mdmjax.distributions.codes import reed_solomon_code
from mdmjax.policies.query_game import (
    asked,
    bisecting,
    detection,
    detection_bound,
    doubling,
    play,
    random_detection,
    random_sizes,
)
from mdmjax.policies.query_outputs import least_queries


def share_of_hits(n, q, dim, size):
    """How many assignments of the first `size` positions fix the others, by listing the words."""
    words = reed_solomon_words(n, dim, q)
    fixed = 0
    for symbols in itertools.product(range(q), repeat=size):
        after = {tuple(word[size:]) for word in words if tuple(word[:size]) == symbols}
        fixed += len(after) == 1
    return fixed / q**size


@pytest.mark.parametrize(("n", "q"), [(4, 5), (3, 3)])
def test_a_query_hits_as_often_as_words_say(n, q):
    for size in range(n):
        found = detection(np.array([size]), n, q)[0]
        wanted = [share_of_hits(n, q, dim, size) for dim in range(1, n)]
        np.testing.assert_allclose(found, wanted, rtol=1e-14)


@pytest.mark.parametrize("dim", [1, 2, 4])
def test_games_with_the_real_oracle(dim):
    """Within 5 standard errors of the exact probability; a strategy's answers come one by one."""
    n = q = 5
    code, games = reed_solomon_code(n, dim, q), 300
    sizes = [2, 3, 3]
    wins = 0
    for key in jax.random.split(jax.random.key(dim), games):
        history = play(key, lambda h: sizes[len(h)] if len(h) < len(sizes) else None, code, most=9)
        assert [size for size, _ in history] == sizes
        wins += any(seen for _, seen in history)
    exact = detection(np.array(sizes), n, q)[-1, dim - 1]
    assert abs(wins - games * exact) <= 5 * np.sqrt(games * exact * (1 - exact))


@pytest.mark.parametrize(("n", "q"), [(2, 2), (6, 7)])
def test_random_sizes_are_the_mean_over_all_sets(n, q):
    found = random_detection(n, q)
    for queries in range(1, n):
        sets = list(itertools.combinations(range(1, n), queries))
        wanted = np.mean([detection(np.array(sizes), n, q)[-1] for sizes in sets], axis=0)
        np.testing.assert_allclose(found[queries - 1], wanted, rtol=1e-13)
        assert found[queries - 1].min() <= detection_bound(n, q, queries) + 1e-12


@settings(max_examples=60, deadline=None)
@given(data=st.data(), n=st.integers(2, 40), extra=st.integers(0, 30))
def test_no_strategy_beats_the_bound(data, n, extra):
    q = n + extra
    sizes = np.array(data.draw(st.lists(st.integers(0, n - 1), min_size=1, max_size=n)))
    found = detection(sizes, n, q)
    assert np.all(np.diff(found, axis=0) >= -1e-15)
    for queries, row in enumerate(found, 1):
        assert row.mean() <= detection_bound(n, q, queries) + 1e-12
        if queries < least_queries(n, q):
            # Some code has a distance over 1/16, or the uniform distribution has.
            missed = np.mean(1 - row) - 1 / q
            assert max(missed - 1 / (n - 1), missed / 2) > 1 / 16


@pytest.mark.parametrize("n", [16, 64, 256])
def test_what_all_sizes_reach_and_log_n_of_them_do_not(n):
    every = asked(random_sizes(jax.random.key(0), n), n, most=n)
    assert sorted(every) == list(range(1, n))
    assert np.all(detection(every, n, n)[-1] == 1)
    for strategy in (bisecting(n), doubling(n)):
        sizes = asked(strategy, n, most=n)
        assert len(sizes) <= np.log2(n) + 1
        assert detection(sizes, n, n)[-1].min() < 2 / n
    assert 0.6 * n < least_queries(n, n) < n


@pytest.mark.parametrize("make", [bisecting, doubling])
def test_without_false_answers_they_find_the_dimension(make):
    """Against an oracle that would tell of every size not below k: the middle is k in the end."""
    n = 50
    for dim in range(1, n):
        strategy, history = make(n), ()
        while (size := strategy(history)) is not None:
            history = (*history, (size, size >= dim))
        low = max((size for size, seen in history if not seen), default=0)
        high = min((size for size, seen in history if seen), default=n)
        assert high == dim or (make is doubling and not any(seen for _, seen in history) and low < dim)


@pytest.mark.parametrize("size", [-1, 5, 2.0, True, "2"])
def test_a_strategy_outside_the_rules_is_refused(size):
    said = r"query 1 of the strategy is .*: want an integer in 0..n-1 = 4, or None to stop"
    with pytest.raises(InvalidInputError, match=said):
        asked(lambda history: size, 5, most=3)
    with pytest.raises(InvalidInputError, match=said):
        play(jax.random.key(0), lambda history: size, reed_solomon_code(5, 2, 5), most=3)
