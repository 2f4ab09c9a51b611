import functools
import itertools

import numpy as np
import pytest
from scipy.optimize import linprog

from mdmjax import InvalidInputError
from mdmjax.policies.query_best import best_sizes, best_strategy
from mdmjax.policies.query_game import detection, detection_bound, random_detection
from mdmjax.policies.query_outputs import output_tv, tv_bound


def best_tree(n, q, queries):
    """The best mean detection by trying all that can be asked after every history."""
    rows = [[float(q) ** -(size - k) if size >= k else 0.0 for k in range(1, n)] for size in range(n)]

    @functools.cache
    def best(left, belief):
        if left == 0:
            return 0.0
        found = 0.0
        for row in rows:
            hits = sum(b * p for b, p in zip(belief, row, strict=True))
            after = tuple(b * (1 - p) for b, p in zip(belief, row, strict=True))
            found = max(found, hits + best(left - 1, after))
        return found

    return best(queries, (1 / (n - 1),) * (n - 1))


@pytest.mark.parametrize(("n", "q", "queries"), [(3, 3, 1), (5, 5, 2), (6, 7, 3), (4, 4, 5)])
def test_the_best_sizes_are_those_of_the_best_tree(n, q, queries):
    sizes = best_sizes(n, q, queries)
    best = best_tree(n, q, queries)
    np.testing.assert_allclose(detection(sizes, n, q)[-1].mean(), best, rtol=1e-13)
    assert best <= detection_bound(n, q, queries) + 1e-12


def value_by_priors(n, q, queries):
    """The dual programme: the prior on dimensions whose best row, sizes repeated or 0, does worst."""
    rows = list(itertools.combinations_with_replacement(range(n), queries))
    kept = np.array(
        [
            [
                (1 - q ** (k - n)) * np.prod([1 - q ** float(k - s) if s >= k else 1.0 for s in row])
                for k in range(1, n)
            ]
            for row in rows
        ]
    )
    # Maximise t with sum_k prior_k kept[row, k] >= t for every row.
    found = linprog(
        np.append(np.zeros(n - 1), -1.0),
        A_ub=np.column_stack([-kept, np.ones(len(rows))]),
        b_ub=np.zeros(len(rows)),
        A_eq=np.append(np.ones(n - 1), 0.0)[None],
        b_eq=[1.0],
    )
    return -found.fun


@pytest.mark.parametrize(
    ("n", "q", "queries"), [(2, 2, 1), (3, 3, 1), (4, 16, 2), (5, 5, 3), (6, 7, 3), (7, 7, 4), (4, 4, 5)]
)
def test_the_value_of_the_game_is_that_of_the_worst_prior(n, q, queries):
    best = best_strategy(n, q, queries)
    assert best.tv == pytest.approx(value_by_priors(n, q, queries), abs=1e-9)
    assert best.chances.sum() == pytest.approx(1.0, rel=1e-12)
    assert np.all(best.chances > 0)
    seen = best.chances @ np.array([detection(row, n, q)[-1] for row in best.rows])
    assert output_tv(seen, q).max() == pytest.approx(best.tv, abs=1e-12)
    assert tv_bound(n, q, queries) <= best.tv + 1e-12
    if queries < n:
        assert best.tv <= output_tv(random_detection(n, q), q)[queries - 1].max() + 1e-12


@pytest.mark.parametrize(("n", "q"), [(2, 2), (3, 3), (4, 16), (9, 9), (12, 13)])
def test_the_values_that_have_a_closed_form(n, q):
    if n > 2:
        assert best_strategy(n, q, 1).tv == pytest.approx(tv_bound(n, q, 1), rel=1e-9)
        left_out = [
            (1 - q ** (k - n)) * np.prod([1 - float(q) ** -i for i in range(1, n - k)]) for k in range(1, n)
        ]
        wanted = 1 / np.sum(1 / np.array(left_out))
        assert best_strategy(n, q, n - 2).tv == pytest.approx(wanted, rel=1e-9)
    assert best_strategy(n, q, n - 1).tv == 0


def test_too_many_strategies_are_refused():
    for search in (best_sizes, best_strategy):
        with pytest.raises(InvalidInputError, match="n, queries is 256, 9: want all strategies of at most"):
            search(256, 256, 9)
        with pytest.raises(InvalidInputError, match="queries is 0: want an integer >= 1"):
            search(5, 5, 0)
