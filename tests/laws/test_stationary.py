"""Where sweeps end, against dense matrices and against what theory says of them."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from _oracles import influences, redraw_matrix, stationary_vector, table_conditionals
from _strategies import probabilities
from hypothesis import given, settings
from hypothesis import strategies as st

from mdmjax import (
    Edited,
    FixedPartition,
    InvalidInputError,
    Joint,
    Mixed,
    Oracle,
    Reveal,
    Sweeps,
    exact_law,
    kl,
    reverse_kl,
    total_variation,
)
from mdmjax._contexts import tokens_of
from mdmjax.denoisers.perturbed import Argmax, Fallback
from mdmjax.denoisers.table import TableDenoiser
from mdmjax.divergences.tables import support_mismatch
from mdmjax.laws import stationary
from mdmjax.laws.stationary import stationary_law, sweep_laws

SHAPES = st.sampled_from([(2, 3), (3, 2)])
BLOCKS = {
    2: st.sampled_from([[[0], [1]], [[1], [0]], [[0, 1]], [[0], [0, 1]]]),
    3: st.sampled_from([[[0], [1], [2]], [[2], [0], [1]], [[0, 2], [1]], [[0, 1, 2]], [[0, 1], [1, 2]]]),
}


def random_denoiser(n, q, seed):
    """Rows that belong to no distribution, all positive."""
    rows = np.random.default_rng(seed).dirichlet(np.ones(q), size=((q + 1) ** n, n))
    tokens = np.asarray(tokens_of(np.arange((q + 1) ** n), n, q))
    rows = np.where((tokens == q)[..., None], rows, tokens[..., None] == np.arange(q))
    with np.errstate(divide="ignore"):
        denoiser = TableDenoiser(jnp.asarray(np.log(rows)))
    return denoiser, lambda x: rows[sum(t * (q + 1) ** (n - 1 - i) for i, t in enumerate(x))].tolist()


def pass_matrix(n, q, rows_of, blocks):
    matrix = np.eye(q**n)
    for block in blocks:
        matrix = matrix @ redraw_matrix(n, q, rows_of, block)
    return matrix


def remask_sets(n, rho):
    """All subsets, each with its chance when every position is masked with probability rho."""
    blocks = [list(b) for k in range(n + 1) for b in itertools.combinations(range(n), k)]
    return blocks, [rho ** len(b) * (1 - rho) ** (n - len(b)) for b in blocks]


def meeting_chance(n, q, rows_of, blocks):
    """prod_B sum_{x_B} min over contexts of prod_i p(x_i | x_{-B})."""
    chance = 1.0
    for block in blocks:
        least = dict.fromkeys(itertools.product(range(q), repeat=len(block)), 1.0)
        for x in itertools.product(range(q), repeat=n):
            rows = rows_of([q if i in block else a for i, a in enumerate(x)])
            word = tuple(x[i] for i in block)
            least[word] = min(least[word], np.prod([rows[i][x[i]] for i in block]))
        chance *= sum(least.values())
    return chance


@given(st.data())
@settings(deadline=None, max_examples=12)
def test_against_the_eigenvector(data):
    n, q = data.draw(SHAPES)
    denoiser, rows_of = random_denoiser(n, q, data.draw(st.integers(0, 2**16)))
    blocks = data.draw(BLOCKS[n])
    matrix = pass_matrix(n, q, rows_of, blocks)
    expected, meets = stationary_vector(matrix), meeting_chance(n, q, rows_of, blocks)
    for tolerance in (1e-2, 1e-4, 1e-14):
        found = stationary_law(denoiser, blocks, tolerance=tolerance)
        far = np.abs(np.asarray(found.probs).reshape(-1) - expected).sum() / 2
        assert float(found.residual) <= tolerance
        assert far <= float(found.bound) + 1e-14
        assert float(found.bound) >= 0
        # `1 - meets` is only known to the rounding of `meets`.
        bound, rounding = found.residual * (1 - meets) / meets, 1e-14 * float(found.residual) / meets
        np.testing.assert_allclose(found.bound, bound, rtol=1e-9, atol=rounding)
    assert far <= 1e-12
    # What the bound rests on: no two starts are further apart after a pass than 1 - meets.
    assert np.abs(matrix[:, None] - matrix[None]).sum(2).max() / 2 <= 1 - meets + 1e-14


@given(st.data())
@settings(deadline=None, max_examples=8)
def test_random_scan_against_the_eigenvector(data):
    n, q = data.draw(SHAPES)
    denoiser, rows_of = random_denoiser(n, q, data.draw(st.integers(0, 2**16)))
    blocks, weights = remask_sets(n, data.draw(st.sampled_from([0.2, 0.5, 0.9])))
    matrix = sum(w * redraw_matrix(n, q, rows_of, b) for w, b in zip(weights, blocks, strict=True))
    found = stationary_law(denoiser, blocks, weights=weights, tolerance=1e-15)
    far = np.abs(np.asarray(found.probs).reshape(-1) - stationary_vector(matrix)).sum() / 2
    assert far <= 1e-12
    assert far <= float(found.bound) + 1e-14 < np.inf


@given(st.data())
@settings(deadline=None, max_examples=8)
def test_laws_after_every_pass(data):
    n, q = data.draw(SHAPES)
    denoiser, rows_of = random_denoiser(n, q, data.draw(st.integers(0, 2**16)))
    start = data.draw(probabilities(q**n))
    blocks = data.draw(BLOCKS[n])
    matrix, law = pass_matrix(n, q, rows_of, blocks), start
    for found in sweep_laws(denoiser, blocks, jnp.asarray(start.reshape((q,) * n)), 3):
        np.testing.assert_allclose(found.reshape(-1), law, rtol=0, atol=1e-14)
        law = law @ matrix


@pytest.mark.parametrize("blocks", [[[0], [1], [2]], [[1], [0, 2]]])
def test_the_kernel_takes_the_same_passes(blocks):
    """`Sweeps` from all masked is its first pass and then those of `sweep_laws`; so is `Edited`."""
    denoiser, _ = random_denoiser(3, 2, 5)
    laws = sweep_laws(denoiser, blocks, exact_law(denoiser, Reveal(FixedPartition(blocks))), 2)
    found = exact_law(denoiser, Sweeps(blocks, 3))
    np.testing.assert_allclose(found.probs, laws[2], rtol=0, atol=1e-14)
    edited = exact_law(denoiser, Edited(Reveal(FixedPartition(blocks)), Sweeps(blocks, 2)))
    np.testing.assert_allclose(edited.probs, laws[2], rtol=0, atol=1e-14)
    long = exact_law(denoiser, Sweeps(blocks, 40))
    np.testing.assert_allclose(long.probs, stationary_law(denoiser, blocks).probs, rtol=0, atol=1e-11)


@pytest.mark.slow
@given(st.data())
@settings(deadline=None, max_examples=12)
def test_gibbs_sweeps_of_the_oracle(data):
    """They leave p as it is, lead to it, and neither KL ever rises (data processing)."""
    n, q = data.draw(SHAPES)
    p = Joint(jnp.asarray(data.draw(probabilities(q**n, zeros=False)).reshape((q,) * n)))
    singles = [[i] for i in data.draw(st.permutations(range(n)))]
    np.testing.assert_allclose(sweep_laws(Oracle(p), singles, p, 1)[1], p.probs, rtol=0, atol=1e-15)
    found = stationary_law(Oracle(p), singles, tolerance=1e-15)
    assert float(total_variation(p, found.probs)) <= min(1e-12, float(found.bound) + 1e-14)
    start = jnp.asarray(data.draw(probabilities(q**n)).reshape((q,) * n))
    laws = sweep_laws(Oracle(p), singles, start, 4)
    for divergence in (kl, reverse_kl, total_variation):
        values = jax.vmap(lambda law, distance=divergence: distance(p, law))(laws)
        assert jnp.all(values[1:] <= values[:-1] + 1e-14)


@given(st.data())
@settings(deadline=None, max_examples=10)
def test_random_remasking_one_position_at_a_time_is_gibbs(data):
    n, q = data.draw(SHAPES)
    p = Joint(jnp.asarray(data.draw(probabilities(q**n, zeros=False)).reshape((q,) * n)))
    law = sweep_laws(Oracle(p), [[i] for i in range(n)], p, 1, weights=np.full(n, 1 / n))[1]
    np.testing.assert_allclose(law, p.probs, rtol=0, atol=1e-15)


def test_parallel_blocks_do_not_lead_to_p():
    """Two positions at once: the product of the marginals, by the definition of one redraw."""
    p = Joint(jnp.array([[0.4, 0.1], [0.2, 0.3]]))
    found = stationary_law(Oracle(p), [[0, 1]])
    np.testing.assert_allclose(found.probs, [[0.3, 0.2], [0.3, 0.2]], atol=1e-15)
    # With three, the pair given the third: p(x_2) is kept, p(x_0, x_1 | x_2) loses its dependence.
    table = np.random.default_rng(3).dirichlet(np.ones(8)).reshape(2, 2, 2)
    law = stationary_law(Oracle(Joint(jnp.asarray(table))), [[0, 1], [2]], tolerance=1e-14)
    assert float(total_variation(jnp.asarray(table), law.probs)) > 0.01


@given(st.data())
@settings(deadline=None, max_examples=10)
def test_prop_c5_no_number_of_passes_repairs_the_reverse_kl(data):
    """arXiv 2602.00286: K(x_B | x_P) > 0 = p(x_B | x_P) makes it infinite after every n >= 1."""
    n, q = data.draw(SHAPES)
    table = data.draw(probabilities(q**n)).reshape((q,) * n)
    p, block = Joint(jnp.asarray(table)), data.draw(BLOCKS[n])[0]
    delta = data.draw(st.sampled_from([0.0, 0.1]))
    denoiser = Mixed(Oracle(p), delta)
    wrong = 0.0
    for x in itertools.product(range(q), repeat=n):
        hidden = [q if i in block else a for i, a in enumerate(x)]
        rows = (1 - delta) * table_conditionals(table, hidden) + delta / q
        context = table[tuple(slice(None) if i in block else a for i, a in enumerate(x))].sum()
        if table[x] == 0 and context > 0:
            wrong += context * np.prod([rows[i, x[i]] for i in block])
    laws = sweep_laws(denoiser, [block], p, 5)
    for law in laws[1:]:
        np.testing.assert_allclose(support_mismatch(p, law).invalid, wrong, rtol=0, atol=1e-14)
        assert np.isinf(reverse_kl(p, law)) == (wrong > 0)


def test_passes_through_impossible_contexts_need_a_fallback():
    """Two equal bits and a free one: redrawing the equal ones at once parts them half of the time."""
    equal = Joint(jnp.full((2, 2, 2), 0.25) * jnp.eye(2)[:, :, None])
    with pytest.raises(InvalidInputError, match=r"row at the state \[0 1 _\] is NaN: want probabilities"):
        stationary_law(Oracle(equal), [[0, 1], [2]])
    law = stationary_law(Fallback(Oracle(equal)), [[0, 1], [2]])
    np.testing.assert_allclose(support_mismatch(equal, law.probs).invalid, 0.5, rtol=1e-12)
    # From p itself single redraws never leave the support, and no fallback is needed.
    kept = stationary_law(Oracle(equal), [[0], [1], [2]], start=equal)
    np.testing.assert_array_equal(kept.probs, equal.probs)
    assert (kept.passes, float(kept.residual), float(kept.bound)) == (1, 0, np.inf)


@given(st.data())
@settings(deadline=None, max_examples=10)
def test_dobrushin(data):
    """If every row of influences sums to at most alpha < 1: P(X_i != Y_i) shrinks by alpha a sweep.

    So the total variation from p after k sweeps is at most n alpha^k times that of the start.
    """
    n, q = data.draw(SHAPES)
    table = data.draw(probabilities(q**n, zeros=False)).reshape((q,) * n)
    strength = data.draw(st.sampled_from([0.05, 0.2, 0.4]))
    table = table**strength / (table**strength).sum()
    alpha = influences(table).sum(1).max()
    if alpha >= 1:
        return
    p = Joint(jnp.asarray(table))
    start = jnp.asarray(data.draw(probabilities(q**n)).reshape((q,) * n))
    laws = sweep_laws(Oracle(p), [[i] for i in range(n)], start, 5)
    first = float(total_variation(p, laws[0]))
    for k, law in enumerate(laws):
        assert float(total_variation(p, law)) <= n * alpha**k * first + 1e-14


def test_refusals(monkeypatch):
    denoiser, _ = random_denoiser(2, 2, 0)
    with pytest.raises(InvalidInputError, match="blocks is .*: want sets of positions 0..1"):
        stationary_law(denoiser, [[0], [2]])
    with pytest.raises(InvalidInputError, match="blocks is .*: want sets of positions 0..1"):
        stationary_law(denoiser, [[0, 0], [1]])
    with pytest.raises(InvalidInputError, match="blocks is empty"):
        stationary_law(denoiser, [])
    with pytest.raises(InvalidInputError, match="max_passes is 1: want more passes; the last pass changed"):
        stationary_law(denoiser, [[0], [1]], max_passes=1)
    with pytest.raises(InvalidInputError, match="weights is of shape"):
        stationary_law(denoiser, [[0], [1]], weights=[1.0])
    with pytest.raises(InvalidInputError, match="weights is of sum 0.9"):
        stationary_law(denoiser, [[0], [1]], weights=[0.4, 0.5])
    with pytest.raises(InvalidInputError, match="start is of shape"):
        stationary_law(denoiser, [[0], [1]], start=jnp.full((2,), 0.5))
    refused = pytest.raises(InvalidInputError, match="the table of the sweep is of 384 bytes: want at most")
    with monkeypatch.context() as patch, refused:
        patch.setattr(stationary, "MAX_TABLE_BYTES", 100)
        stationary_law(denoiser, [[0], [1]])
    with pytest.raises(InvalidInputError, match="the laws after every pass is of 32.0 GiB"):
        sweep_laws(denoiser, [[0]], jnp.full((2, 2), 0.25), 2**30 - 1)


def test_a_periodic_chain_is_refused():
    """One position writes the opposite of the other, which copies it: 00 -> 11 -> 00 for ever."""
    turns = np.full((9, 2, 2), 0.5)
    tokens = np.asarray(tokens_of(np.arange(9), 2, 2))
    turns = np.where((tokens == 2)[..., None], turns, tokens[..., None] == np.arange(2)).astype(float)
    turns[0 * 3 + 2, 1], turns[1 * 3 + 2, 1] = [0.0, 1.0], [1.0, 0.0]  # x_1 = not x_0
    turns[2 * 3 + 0, 0], turns[2 * 3 + 1, 0] = [1.0, 0.0], [0.0, 1.0]  # x_0 = x_1
    with np.errstate(divide="ignore"):
        denoiser = TableDenoiser(jnp.asarray(np.log(turns)))
    start = jnp.array([[1.0, 0.0], [0.0, 0.0]])
    with pytest.raises(InvalidInputError, match="the last pass changed the law by 1, not 1e-12"):
        stationary_law(denoiser, [[1], [0]], start=start, max_passes=100)
    # From the uniform law it is at rest at once, on the two sequences that it goes through.
    law = stationary_law(denoiser, [[1], [0]])
    np.testing.assert_array_equal(law.probs, [[0.5, 0.0], [0.0, 0.5]])
    # Greedy writing has zeros as well: where it ends depends on where it began.
    p = Joint(jnp.array([[0.4, 0.1], [0.1, 0.4]]))
    for corner in ([[1.0, 0.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 1.0]]):
        ends = stationary_law(Argmax(Oracle(p)), [[0], [1]], start=jnp.array(corner))
        np.testing.assert_array_equal(ends.probs, corner)
