"""Perturbed and tabulated denoisers against the definitions, and the loss curve against enumeration."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from _oracles import (
    block_decoder_law,
    kl_by_sum,
    masked_loss_by_loops,
    partial_assignments,
    partitions_of_sizes,
    table_conditionals,
    table_marginal,
)
from _strategies import counts_of, probabilities
from hypothesis import given, settings
from hypothesis import strategies as st

import mdmjax as mj
from mdmjax import (
    DirichletNoise,
    EntropyNoise,
    InvalidInputError,
    Joint,
    Mixed,
    Oracle,
    Schedule,
    Tempered,
    tabulate_denoiser,
)
from mdmjax.denoisers.base import AbstractDenoiser
from mdmjax.denoisers.perturbed import Without
from mdmjax.denoisers.table import TableDenoiser
from mdmjax.losses.exact import learning_error_curve

EPS = np.finfo(np.float64).eps


class OneRow(AbstractDenoiser):
    """The same row everywhere, certain where revealed."""

    row: jax.Array
    n: int = eqx.field(static=True)

    @property
    def q(self):
        return self.row.shape[0]

    def __call__(self, tokens):
        revealed = jnp.log(jax.nn.one_hot(tokens, self.q, dtype=self.row.dtype))
        return jnp.where((tokens == self.q)[:, None], jnp.log(self.row)[None, :], revealed)


call = eqx.filter_jit(lambda denoiser, tokens: denoiser(tokens))


def random_table(n, q, seed, zeros=0.0):
    rng = np.random.default_rng([n, q, seed])
    table = rng.random((q,) * n) ** 2 * (rng.random((q,) * n) >= zeros)
    return table / table.sum()


def oracle_of(table, dtype=jnp.float64):
    return Oracle(Joint(jnp.asarray(table, dtype)))


def rows_function(denoiser):
    """Probabilities `[n, q]` of a context by look-up in the tabulated denoiser."""
    n, q = denoiser.n, denoiser.q
    probs = np.exp(np.asarray(tabulate_denoiser(denoiser).log_probs))
    codes = {tuple(map(int, t)): c for c, t in enumerate(partial_assignments(n, q))}
    return lambda tokens: probs[codes[tuple(map(int, tokens))]]


@pytest.mark.parametrize("zeros", [0.0, 0.4])
def test_mixed_and_tempered_against_their_formulas(zeros):
    table = random_table(3, 3, 0, zeros)
    delta, temperature = 0.3, 0.6
    mixed = rows_function(Mixed(oracle_of(table), delta))
    tempered = rows_function(Tempered(oracle_of(table), temperature))
    for tokens in partial_assignments(3, 3):
        rows = table_conditionals(table, tokens)  # NaN where the context cannot occur: it stays
        masked = (tokens == 3)[:, None]
        power = rows ** (1 / temperature)
        power = power / power.sum(-1, keepdims=True)
        wanted = np.where(masked, (1 - delta) * rows + delta / 3, rows)
        np.testing.assert_allclose(mixed(tokens), wanted, rtol=64 * EPS, atol=4 * EPS)
        np.testing.assert_allclose(
            tempered(tokens), np.where(masked, power, rows), rtol=256 * EPS, atol=4 * EPS
        )


@pytest.mark.parametrize("symbols", [[0], [2, 0]])
def test_rows_without_symbols_are_those_given_that_none_is_drawn(symbols):
    table = random_table(3, 3, 5)
    rows_of = rows_function(Without(oracle_of(table), symbols))
    for tokens in partial_assignments(3, 3):
        rows, masked = table_conditionals(table, tokens), (tokens == 3)[:, None]
        kept = np.where(np.isin(np.arange(3), symbols), 0, rows)
        with np.errstate(invalid="ignore"):  # a revealed symbol may be one of them
            wanted = np.where(masked, kept / kept.sum(-1, keepdims=True), rows)
        np.testing.assert_allclose(rows_of(tokens), wanted, rtol=64 * EPS, atol=4 * EPS)


def test_a_row_of_nothing_but_what_is_ruled_out_is_nan():
    base = OneRow(jnp.array([1.0, 0.0]), 2)
    assert np.isnan(Without(base, [0])(jnp.array([2, 2]))).all()


def test_the_ends_of_the_knobs():
    table, tokens = random_table(3, 2, 1, 0.2), jnp.array([2, 2, 2])
    base = oracle_of(table)
    np.testing.assert_allclose(Mixed(base, 0.0)(tokens), base(tokens), rtol=4 * EPS)
    np.testing.assert_allclose(Tempered(base, 1.0)(tokens), base(tokens), atol=4 * EPS)
    np.testing.assert_allclose(jnp.exp(Mixed(base, 1.0)(tokens)), 0.5, rtol=4 * EPS)
    np.testing.assert_allclose(jnp.exp(Tempered(base, 1e12)(tokens)), 0.5, rtol=1e-10)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_all_knobs_in_each_type_with_revealed_rows_certain_and_nan_only_where_the_base_has_it(dtype, key):
    table = random_table(3, 2, 2)
    table[0] = 0  # the first bit is never 0
    base = oracle_of(table / table.sum(), dtype)
    knobs = [
        Mixed(base, 0.1),
        Tempered(base, 2.0),
        DirichletNoise(base, 5.0, key=key),
        EntropyNoise(base, 0.2, 0.5),
    ]
    for denoiser in knobs:
        rows = np.asarray(tabulate_denoiser(denoiser).log_probs)
        assert rows.dtype == dtype
        for tokens, row in zip(partial_assignments(3, 2), rows, strict=True):
            assert np.isnan(row).all() == np.isnan(row).any() == (tokens[0] == 0)
            if tokens[0] != 0:
                for i in np.flatnonzero(tokens != 2):
                    assert row[i].tolist() == [0.0 if a == tokens[i] else -np.inf for a in range(2)]
                np.testing.assert_allclose(np.exp(row).sum(-1), 1, atol=16 * np.finfo(dtype).eps)


def test_dirichlet_noise_has_the_mean_and_the_variance_of_its_law(key):
    row, concentration, draws = np.array([0.1, 0.6, 0.3, 0.0]), 4.0, 4000
    base, tokens = OneRow(jnp.asarray(row), 2), jnp.array([4, 4])
    rows = jax.vmap(lambda key: DirichletNoise(base, concentration, key=key)(tokens))(
        jax.random.split(key, draws)
    )
    samples = np.exp(np.asarray(rows))
    variance = row * (1 - row) / (concentration + 1)
    np.testing.assert_allclose(samples.mean(0), [row, row], atol=5 * np.sqrt(variance.max() / draws))
    np.testing.assert_allclose(samples.var(0), [variance, variance], rtol=0.15)
    assert (samples[:, :, 3] == 0).all()
    correlation = np.corrcoef(samples[:, 0, 1], samples[:, 1, 1])[0, 1]
    assert abs(correlation) < 5 / np.sqrt(draws)  # the positions are independent


def test_dirichlet_noise_is_fixed_by_the_key_and_the_context(key):
    base = OneRow(jnp.array([0.3, 0.7]), 100)  # 3^100 contexts fit no integer
    noisy = DirichletNoise(base, 2.0, key=key)
    masked = jnp.full(100, 2)
    first = call(noisy, masked)
    assert jnp.array_equal(first, call(noisy, masked))
    assert not jnp.array_equal(first, call(DirichletNoise(base, 2.0, key=jax.random.key(1)), masked))
    others = [np.asarray(call(noisy, masked.at[i].set(a))[50]) for i in (0, 99) for a in (0, 1)]
    assert len({x.tobytes() for x in [np.asarray(first[50]), *others]}) == 5
    small = DirichletNoise(OneRow(jnp.array([0.3, 0.7]), 3), 2.0, key=key)
    alone = [small(jnp.asarray(tokens)) for tokens in partial_assignments(3, 2)[-4:]]
    np.testing.assert_allclose(tabulate_denoiser(small).log_probs[-4:], alone, rtol=1e-13)


@pytest.mark.parametrize(("alpha", "lam"), [(0.1, 0.0), (1.0, 0.0), (0.2, 0.5), (0.5, 2.0), (3.0, 0.0)])
@pytest.mark.parametrize("zeros", [0.0, 0.3])
def test_entropy_noise_satisfies_assumption_4_2_with_equality_below_the_cap(alpha, lam, zeros):
    table = random_table(3, 3, 4, zeros)
    table[1, 2, 0] *= 1e-13  # some rows are almost certain
    table /= table.sum()
    wrong = rows_function(EntropyNoise(oracle_of(table), alpha, lam))
    capped = False

    def error(tokens, i):
        """KL(model || truth) of Eq. 6 and what it can be at most; the base table is the truth."""
        right = table_conditionals(table, tokens)[i]
        return kl_by_sum(wrong(tokens)[i], right), -np.log(right[right > 0].min()), right[right > 0]

    for tokens in partial_assignments(3, 3):
        if table_marginal(table, tokens) == 0:
            continue
        revealed, past = [i for i in range(3) if tokens[i] != 3], 0.0
        for j in revealed:
            before = [t if i in revealed and i < j else 3 for i, t in enumerate(tokens)]
            past += error(before, j)[0]
        for i in set(range(3)) - set(revealed):
            found, cap, row = error(tokens, i)
            bound = alpha * -np.sum(row * np.log(row)) + lam * past
            assert found <= bound + 64 * EPS
            assert found == pytest.approx(min(bound, cap), rel=1e-9, abs=64 * EPS)
            capped |= bound > cap > 0
    assert not (capped and alpha <= 1 and lam == 0)
    assert capped or alpha <= 1


@given(probabilities(4), st.sampled_from([1e-6, 0.05, 0.5, 1.0]))
@settings(deadline=None, max_examples=40)
def test_entropy_noise_of_any_row(row, alpha):
    base = OneRow(jnp.asarray(row), 1)
    wrong = np.exp(np.asarray(call(EntropyNoise(base, alpha, 0.0), jnp.array([4]))[0]))
    entropy = -sum(x * np.log(x) for x in row if x > 0)
    assert kl_by_sum(wrong, row) == pytest.approx(alpha * entropy, rel=1e-9, abs=64 * EPS)
    assert not wrong[row == 0].any()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda base: Mixed(base, 1.5), "delta is 1.5"),
        (lambda base: Mixed(base, [0.1, 0.2]), "delta is of shape"),
        (lambda base: Tempered(base, 0.0), "temperature is 0: want a finite number > 0"),
        (lambda base: Tempered(base, np.nan), "temperature is nan"),
        (lambda base: DirichletNoise(base, -1.0, key=jax.random.key(0)), "concentration is -1"),
        (lambda base: EntropyNoise(base, 0.0, 0.0), "alpha is 0"),
        (lambda base: EntropyNoise(base, 0.1, -0.5), "lam is -0.5"),
        (lambda base: Without(base, []), "symbols is"),
        (lambda base: Without(base, [2]), "some of 0..1, and not all"),
        (lambda base: Without(base, [0, 1]), "and not all"),
    ],
)
def test_knobs_out_of_range_are_refused(make, message):
    with pytest.raises(InvalidInputError, match=message):
        make(OneRow(jnp.array([0.5, 0.5]), 2))


def test_a_knob_can_be_traced():
    base, tokens = oracle_of(random_table(2, 2, 0)), jnp.array([2, 1])
    swept = jax.vmap(lambda delta: Mixed(base, delta)(tokens))(jnp.array([0.0, 0.5]))
    np.testing.assert_allclose(swept[1], Mixed(base, 0.5)(tokens), rtol=4 * EPS)


@pytest.mark.parametrize(("n", "q", "batch"), [(1, 3, 2), (3, 2, 5), (2, 3, 4096)])
def test_a_table_says_what_its_denoiser_says(n, q, batch):
    denoiser = Mixed(oracle_of(random_table(n, q, 3, 0.3)), 0.2)
    table = tabulate_denoiser(denoiser, batch=batch)
    assert tabulate_denoiser(table) is table
    for tokens in jnp.asarray(partial_assignments(n, q)):
        np.testing.assert_allclose(table(tokens), denoiser(tokens), rtol=8 * EPS, atol=8 * EPS)


def test_what_is_no_table_of_a_denoiser_is_refused():
    good = np.log(np.full((9, 2, 2), 0.5))
    for code, tokens in enumerate(partial_assignments(2, 2)):
        for i in np.flatnonzero(tokens != 2):
            good[code, i] = [0.0 if a == tokens[i] else -np.inf for a in range(2)]
    assert TableDenoiser(jnp.asarray(good)).n == 2
    nan_context = good.copy()
    nan_context[4] = np.nan
    TableDenoiser(jnp.asarray(nan_context))
    for place, value, message in [
        ((8, 1, 0), -0.1, r"position 1 of context 8"),
        ((8, 0, 1), np.nan, r"position 0 of context 8"),
        ((2, 0), np.log([0.5, 0.5]), r"position 0 of context 2: want .* certain"),
        ((2, 0), good[5, 0], r"position 0 of context 2"),
    ]:
        bad = good.copy()
        bad[place] = value
        with pytest.raises(InvalidInputError, match=message):
            TableDenoiser(jnp.asarray(bad))
    with pytest.raises(InvalidInputError, match="of shape"):
        TableDenoiser(jnp.asarray(good[:8]))


def test_too_many_contexts_are_refused_before_they_are_made():
    large = OneRow(jnp.array([0.5, 0.5]), 18)
    with pytest.raises(InvalidInputError, match=r"3\^18 contexts of 18 x 2 numbers .* 103.9 GiB"):
        tabulate_denoiser(large)


LOSS_CASES = [(3, 2, 0.3), (4, 2, 0.0), (3, 3, 0.2)]


@pytest.mark.parametrize(("n", "q", "zeros"), LOSS_CASES)
def test_loss_curve_against_enumeration(n, q, zeros):
    table = random_table(n, q, 6, zeros)
    joint = Joint(jnp.asarray(table))
    denoiser = Mixed(Oracle(joint), 0.25)
    found = mj.denoiser_loss_curve(joint, denoiser)
    np.testing.assert_allclose(found.loss, masked_loss_by_loops(table, rows_function(denoiser)), rtol=1e-13)
    perfect = mj.denoiser_loss_curve(joint, Oracle(joint))
    curve = mj.information_curve(joint)
    np.testing.assert_allclose(perfect.loss, curve.loss, atol=1e-13)
    errors = learning_error_curve(joint, denoiser)
    np.testing.assert_allclose(errors.loss, found.loss - perfect.loss, atol=1e-13)
    assert float(jnp.abs(learning_error_curve(joint, Oracle(joint)).loss).max()) < 1e-28


@given(counts_of(4))
@settings(deadline=None, max_examples=8)
def test_the_split_is_the_mean_over_partitions(counts):
    table = random_table(4, 2, 7)
    joint = Joint(jnp.asarray(table))
    noisy = DirichletNoise(Oracle(joint), 3.0, key=jax.random.key(5))
    rows = rows_function(noisy)
    kls = [
        kl_by_sum(table, block_decoder_law(4, 2, rows, partition))
        for partition in partitions_of_sizes(range(4), counts)
    ]
    split = mj.kl_split(joint, noisy, Schedule(counts))
    assert float(split.sampling + split.learning) == pytest.approx(np.mean(kls), rel=1e-12)
    entropy = -np.sum(table * np.log(table))
    nll = mj.nll(mj.denoiser_loss_curve(joint, noisy), Schedule(counts))
    assert float(nll) - entropy == pytest.approx(np.mean(kls), abs=1e-12)
    assert split.learning > 0


def test_a_denoiser_that_rules_out_what_occurs_has_an_infinite_loss():
    joint = Joint(jnp.full((2, 2), 0.25))
    sure = OneRow(jnp.array([1.0, 0.0]), 2)
    assert mj.denoiser_loss_curve(joint, sure).loss.tolist() == [np.inf, np.inf]
    assert learning_error_curve(joint, sure).loss.tolist() == [np.inf, np.inf]


def test_loss_curve_in_float32():
    table = random_table(3, 2, 9)
    joint = Joint(jnp.asarray(table, jnp.float32))
    found = mj.denoiser_loss_curve(joint, Mixed(Oracle(joint), 0.25))
    assert found.loss.dtype == jnp.float32
    wide = Joint(jnp.asarray(table))
    exact = mj.denoiser_loss_curve(wide, Mixed(Oracle(wide), 0.25))
    np.testing.assert_allclose(found.loss, exact.loss, rtol=1e-5)


def test_loss_curve_refusals():
    joint = Joint(jnp.full((2, 2), 0.25))
    with pytest.raises(InvalidInputError, match="denoiser is of n, q = 3, 2"):
        mj.denoiser_loss_curve(joint, OneRow(jnp.array([0.5, 0.5]), 3))
    pair = Oracle(Joint(jnp.array([[0.5, 0.0], [0.0, 0.5]])))
    with pytest.raises(InvalidInputError, match="counts"):
        mj.kl_split(joint, pair, Schedule([1, 2]))
    lost = Oracle(Joint(jnp.array([[1.0, 0.0], [0.0, 0.0]])))
    with pytest.raises(InvalidInputError, match="NaN in a context of 1 tokens that occurs"):
        mj.denoiser_loss_curve(joint, Mixed(lost, 0.5))
