"""The masked loss against loops and enumeration; steps that can be cut anywhere and shared by devices."""

import dataclasses
import itertools
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from _training_oracle import masked_losses

from mdmjax._errors import InvalidInputError
from mdmjax.denoisers.transformer import Transformer, TransformerConfig
from mdmjax.distributions.codes import parity_code, repetition_code
from mdmjax.distributions.joint import tabulate
from mdmjax.distributions.markov import symmetric_chain
from mdmjax.files.safetensor_files import to_llama
from mdmjax.information.closed_form import parity_curve
from mdmjax.losses.exact import denoiser_loss_curve
from mdmjax.training import fit as fit_module
from mdmjax.training.data import Draws, Windows, draw_batch
from mdmjax.training.fit import NotFinite, TrainState, batch_sharding, fit, train_steps
from mdmjax.training.loss import Masks, masked_loss, mean_loss, ratio_masks, stratified_masks
from mdmjax.training.plan import TrainingPlan, check_training, training_bytes

CONFIG = TransformerConfig(n=4, q=3, width=16, depth=2, heads=2, hidden=24)
TINY = TransformerConfig(n=4, q=2, width=8, depth=1, heads=1, hidden=8)
PLAN = TrainingPlan(steps=20, batch=8, warmup=2, learning_rate=0.01)
CHAIN = symmetric_chain(4, 3, 0.3)
KEY = jax.random.key(0)
MASK_LAWS = [ratio_masks, stratified_masks]


def refused(match):
    return pytest.raises(InvalidInputError, match=match)


def leaves(tree):
    return [np.asarray(leaf) for leaf in jax.tree.leaves(eqx.filter(tree, eqx.is_array))]


def assert_same_bits(a, b):
    for x, y in zip(leaves(a), leaves(b), strict=True):
        assert x.dtype == y.dtype
        assert x.tobytes() == y.tobytes()


@pytest.fixture(scope="module")
def network():
    """A network with large weights, so that its rows are far from uniform."""
    network = Transformer.create(jax.random.key(1), CONFIG)
    return jax.tree.map(lambda x: x * 10 if x.ndim > 2 or x.shape[-1] == 3 else x, network)


@pytest.fixture(scope="module")
def parity_data():
    return Draws(parity_code(4, 2))


# Masks.


@pytest.mark.parametrize("law", MASK_LAWS)
@pytest.mark.parametrize("batch", [7, 16])
def test_the_mean_weight_of_every_set_is_that_of_a_random_order(key, law, batch):
    """1 / (n m C(n, m)) for each set of m masked positions, within 5 standard errors."""
    n, draws = 3, 2**13
    masks = jax.jit(jax.vmap(lambda key: law(key, batch, n)))(jax.random.split(key, draws))
    sets = np.asarray(masks.masked) @ (1 << np.arange(n))
    for code in range(1, 2**n):
        m = code.bit_count()
        totals = np.mean(np.where(sets == code, masks.weights, 0.0), axis=1, dtype=np.float64)
        wanted = 1 / (n * m * math.comb(n, m))
        assert abs(totals.mean() - wanted) < 5 * totals.std() / math.sqrt(draws), code


@pytest.mark.parametrize(("batch", "n"), [(4, 4), (6, 3), (3, 7), (64, 5), (1, 1)])
def test_stratified_masks_take_every_count_equally_often(key, batch, n):
    counts = set()
    for seed in range(6):
        masked, weights = stratified_masks(jax.random.fold_in(key, seed), batch, n)
        m = np.asarray(masked).sum(axis=1)
        np.testing.assert_allclose(weights, 1 / m, rtol=1e-6)
        assert m.min() >= 1
        share = np.bincount(m, minlength=n + 1)[1:] * n / batch
        assert abs(share - 1).max() <= max(n / batch, 1)  # within one of the even share
        if batch % n == 0:
            assert (share == 1).all()
        counts |= set(m.tolist())
    assert counts == set(range(1, n + 1)) or 6 * batch < 4 * n


# The loss.


@pytest.mark.parametrize("law", MASK_LAWS)
def test_loss_against_loops(key, network, law):
    tokens = jax.random.randint(key, (5, 4), 0, 3, jnp.int32)
    masks = law(key, 5, 4)
    weights, config = to_llama(network), dataclasses.asdict(CONFIG)
    wanted = np.mean(
        [
            float(w) * masked_losses(weights, config, row, masked, 3).sum()
            for row, masked, w in zip(tokens.tolist(), masks.masked.tolist(), masks.weights, strict=True)
        ]
    )
    assert float(masked_loss(network, tokens, masks)) == pytest.approx(wanted, rel=2e-6)


@pytest.fixture(scope="module")
def exact(network):
    """The mean of the network's exact loss curve on a chain."""
    return float(denoiser_loss_curve(tabulate(CHAIN), network).loss.mean())


def test_mean_over_all_masks_and_data_is_the_mean_of_the_exact_loss_curve(network, exact):
    """Every sequence of a chain, every set of masks, with the weights that both laws have on average."""
    words = np.array(list(itertools.product(range(3), repeat=4)))
    sets = np.array(list(itertools.product([False, True], repeat=4)))[1:]
    set_weights = [1 / (4 * m * math.comb(4, m)) for m in sets.sum(axis=1).tolist()]
    word, chosen = np.repeat(words, len(sets), axis=0), np.tile(sets, (len(words), 1))
    weights = np.outer(np.asarray(tabulate(CHAIN).probs).reshape(-1), set_weights).reshape(-1) * len(word)
    masks = Masks(jnp.asarray(chosen), jnp.asarray(weights, jnp.float32))
    loss = masked_loss(network, jnp.asarray(word, jnp.int32), masks)
    assert float(loss) == pytest.approx(exact, rel=1e-5)


def test_both_ways_to_mask_estimate_the_same_loss(key, network, exact):
    """Within 4 standard errors of the exact value; the stratified way with the smaller ones."""
    loss = mean_loss(key, network, Draws(CHAIN), batch=64, batches=100)

    @jax.jit
    def one(key):
        tokens = draw_batch(key, Draws(CHAIN), 64)
        return masked_loss(network, tokens, ratio_masks(jax.random.fold_in(key, 1), 64, 4))

    ratio = np.array([one(k) for k in jax.random.split(key, 100)], float)
    stderr = ratio.std(ddof=1) / 10
    assert abs(loss.mean - exact) < 4 * loss.stderr
    assert abs(ratio.mean() - exact) < 4 * stderr
    assert loss.stderr < stderr / 1.5 < 0.02 * exact


@pytest.mark.parametrize("compute", ["float32", "bfloat16"])
def test_gradients_are_finite(key, compute):
    config = dataclasses.replace(CONFIG, compute=compute, depth=1)
    tokens = jax.random.randint(key, (8, 4), 0, 3, jnp.int32)
    network = Transformer.create(key, config)
    with jax.numpy_dtype_promotion("standard"):  # JAX's attention promotes in its backward pass
        gradient = jax.jit(jax.grad(masked_loss))(network, tokens, stratified_masks(key, 8, 4))
    for leaf in leaves(gradient):
        assert leaf.dtype == np.float32
        assert np.isfinite(leaf).all()
        assert np.abs(leaf).max() > 0


# Data.


def test_windows_are_uniform_over_all_places(key):
    data = Windows(jnp.arange(10, dtype=jnp.uint8), n=3, q=10)
    batch = np.asarray(draw_batch(key, data, 8000))
    np.testing.assert_array_equal(np.diff(batch, axis=1), 1)
    counts = np.bincount(batch[:, 0], minlength=10)
    assert (counts[8:] == 0).all()
    assert abs(counts[:8] - 1000).max() < 5 * math.sqrt(1000)


def test_windows_longer_than_the_data_are_refused():
    with refused("n is 4: want at most the 3 tokens"):
        Windows(jnp.zeros(3, jnp.uint8), n=4, q=2)


# Steps.


def test_cut_training_has_the_bits_of_an_uncut_one(parity_data):
    """Chunks of 5, with a state that goes through the host in between; and all types stay as they were."""
    start = TrainState.create(KEY, PLAN, TINY)
    types = [leaf.dtype for leaf in leaves(start)]
    whole = TrainState.create(KEY, PLAN, TINY)
    losses = []
    for _ in range(4):
        whole, log = train_steps(KEY, whole, parity_data, PLAN, 5)
        losses += log.loss.tolist()
    assert int(whole.step) == 20
    assert [leaf.dtype for leaf in leaves(whole)] == types
    state = TrainState.create(KEY, PLAN, TINY)
    for chunk in range(4):
        on_host = jax.tree.map(np.array, state)
        state, log = train_steps(KEY, jax.tree.map(jnp.asarray, on_host), parity_data, PLAN, 5)
        assert log.loss.tolist() == losses[5 * chunk : 5 * chunk + 5]
    assert_same_bits(state, whole)
    at_once, log = train_steps(KEY, TrainState.create(KEY, PLAN, TINY), parity_data, PLAN, 20)
    np.testing.assert_allclose(log.loss, losses, rtol=1e-5)
    for a, b in zip(leaves(at_once), leaves(whole), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_steps_are_compiled_once(parity_data):
    traced = []

    def counted(key, batch, n):
        traced.append(n)
        return stratified_masks(key, batch, n)

    plan = dataclasses.replace(PLAN, masks=counted)
    state, _ = train_steps(KEY, TrainState.create(KEY, plan, TINY), parity_data, plan, 2)
    once = len(traced)
    for _ in range(3):
        state, _ = train_steps(KEY, state, parity_data, plan, 2)
    assert len(traced) == once


@pytest.mark.slow
def test_fit_is_the_chunks_of_train_steps(parity_data, monkeypatch):
    """Chunks end at multiples of CHUNK wherever it begins; every chunk is told, and none is lost."""
    monkeypatch.setattr(fit_module, "CHUNK", 8)
    seen = []
    ended = fit(KEY, TrainState.create(KEY, PLAN, TINY), parity_data, PLAN, seen.append)
    assert [(p.step, len(p.log.loss)) for p in seen] == [(8, 8), (16, 8), (20, 4)]
    assert 0 < seen[0].seconds < seen[1].seconds < seen[2].seconds
    by_hand, losses = TrainState.create(KEY, PLAN, TINY), []
    for count in (8, 8, 4):
        by_hand, log = train_steps(KEY, by_hand, parity_data, PLAN, count)
        losses += log.loss.tolist()
    assert_same_bits(ended, by_hand)
    assert np.concatenate([p.log.loss for p in seen]).tolist() == losses
    half = fit(KEY, TrainState.create(KEY, PLAN, TINY), parity_data, PLAN, lambda p: p.step == 8)
    assert int(half.step) == 8
    assert_same_bits(fit(KEY, half, parity_data, PLAN), by_hand)
    odd, _ = train_steps(KEY, TrainState.create(KEY, PLAN, TINY), parity_data, PLAN, 3)
    fit(KEY, odd, parity_data, PLAN, seen.append)
    assert [p.step for p in seen[3:]] == [8, 16, 20]


def test_another_key_is_another_training(parity_data):
    state, log = train_steps(KEY, TrainState.create(KEY, PLAN, TINY), parity_data, PLAN, 2)
    other, log_other = train_steps(
        jax.random.key(1), TrainState.create(KEY, PLAN, TINY), parity_data, PLAN, 2
    )
    assert log.loss.tolist() != log_other.loss.tolist()


def test_training_begins_from_any_network(parity_data):
    network = Transformer.create(jax.random.key(5), TINY)
    kept = jax.tree.map(np.array, network)
    state = TrainState.begin(network, PLAN)
    assert_same_bits(state.network, kept)
    assert_same_bits(state.ema, kept)
    fit(KEY, state, parity_data, PLAN, lambda _: True)


def test_fit_stops_at_a_loss_that_is_not_finite(parity_data, monkeypatch):
    monkeypatch.setattr(fit_module, "CHUNK", 8)

    def broken(*arguments):
        state, log = train_steps(*arguments)
        return state, log._replace(loss=log.loss.at[2].set(jnp.inf)) if int(state.step) == 16 else log

    monkeypatch.setattr(fit_module, "train_steps", broken)
    seen = []
    with pytest.raises(NotFinite, match=r"^loss is inf at step 11: want a finite number") as error:
        fit(KEY, TrainState.create(KEY, PLAN, TINY), parity_data, PLAN, seen.append)
    assert [p.step for p in seen] == [8]
    assert error.value.progress.step == 10
    assert len(error.value.progress.log.loss) == 2


def test_a_device_without_memory_is_one_line(parity_data, monkeypatch):
    def full(*arguments):
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 1 bytes.")

    monkeypatch.setattr(fit_module, "train_steps", full)
    with refused("training is of .* or more: want what the device's memory holds"):
        fit(KEY, TrainState.create(KEY, PLAN, TINY), parity_data, PLAN)


# Memory.


@pytest.mark.slow
@pytest.mark.parametrize(
    "change", [{}, {"depth": 12, "remat": True}, {"q": 1000}, {"heads": 32}, {"compute": "bfloat16"}]
)
def test_the_memory_of_a_training_is_known_beforehand(change):
    """At least what is said, and at most 2.5 times as much, by what XLA allots to the program."""
    shape = {"n": 64, "q": 64, "width": 64, "depth": 2, "heads": 4, "hidden": 128}
    config, plan = TransformerConfig(**(shape | change)), TrainingPlan(steps=4, batch=32)
    data = Windows(jnp.zeros(65, jnp.uint8), 64, config.q)
    state = TrainState.create(KEY, plan, config)
    program = fit_module._train_steps.lower((KEY, data, plan, 2, None), state).compile()
    memory = getattr(program, "compiled", program).memory_analysis()
    used = memory.argument_size_in_bytes + memory.temp_size_in_bytes
    assert 1 <= used / training_bytes(config, plan) < 2.5


@pytest.mark.parametrize(
    ("config", "plan"),
    [
        ({"width": 10**5, "heads": 5}, {}),
        ({"depth": 10**6}, {}),
        ({"hidden": 10**20}, {}),
        ({"n": 10**9}, {}),
        ({}, {"batch": 10**8}),
    ],
)
def test_a_training_that_does_not_fit_is_refused_before_it_is_made(config, plan):
    config, plan = TransformerConfig(**({"n": 16, "q": 8} | config)), TrainingPlan(**({"steps": 2} | plan))
    with refused(r"^training is of [\d.e+^]+ (GiB|TiB|PiB): want at most 16.0 GiB; take a smaller batch"):
        check_training(config, plan)
    check_training(config, plan, limit=2**90) if plan.batch * config.n < 2**31 else None
    if config.bytes > 2**34:
        with refused("^network is of .*: want at most 16.0 GiB"):
            TrainState.create(KEY, plan, config)


def test_a_batch_whose_tokens_int32_cannot_count_is_refused():
    config = TransformerConfig(n=2**16, q=2, width=8, depth=1, heads=1, hidden=8)
    with refused("batch is 32768: want fewer than 2\\^31 tokens, in sequences of 65536"):
        check_training(config, TrainingPlan(steps=1, batch=2**15), limit=2**80)


def test_sharded_equals_unsharded(parity_data):
    sharding = batch_sharding(jax.devices()[:2])
    alone, log_alone = train_steps(KEY, TrainState.create(KEY, PLAN, TINY), parity_data, PLAN, 5)
    shared, log_shared = train_steps(
        KEY, TrainState.create(KEY, PLAN, TINY), parity_data, PLAN, 5, sharding
    )
    assert all(leaf.sharding.is_fully_replicated for leaf in jax.tree.leaves(shared))
    assert len(shared.step.sharding.device_set) == 2
    np.testing.assert_allclose(log_shared.loss, log_alone.loss, rtol=1e-5)
    np.testing.assert_allclose(log_shared.gradient_norm, log_alone.gradient_norm, rtol=1e-4)
    for a, b in zip(leaves(shared), leaves(alone), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_the_learning_rate_rises_and_falls():
    plan = TrainingPlan(steps=100, warmup=10, learning_rate=1.0, last_rate=0.1)
    rates = np.array([plan.rate(jnp.int32(step)) for step in range(100)])
    np.testing.assert_allclose(rates[:10], np.arange(1, 11) / 10, rtol=1e-6)
    falling = 0.1 + 0.9 * (1 + np.cos(np.pi * np.arange(1, 91) / 90)) / 2
    np.testing.assert_allclose(rates[10:], falling, atol=1e-6)


def test_a_clipped_step_moves_weights_by_the_learning_rate_and_norms_do_not_decay(parity_data):
    """Adam's first step is the rate times the sign of the gradient; decay comes on top, but for norms."""
    plan = dataclasses.replace(PLAN, warmup=0, weight_decay=0.5)
    start = TrainState.create(KEY, plan, TINY)
    before = leaves(start.network)
    names = [jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(start.network)]
    state, log = train_steps(KEY, start, parity_data, plan, 1)
    rate = float(log.learning_rate[0])
    for name, x, y in zip(names, before, leaves(state.network), strict=True):
        decayed = x if "norm" in name else x * (1 - 0.5 * rate)
        moved = np.abs(y - decayed)
        assert moved.max() <= rate * 1.001
        assert moved.max() > 0.9 * rate


def test_a_loss_that_is_not_finite_is_in_the_log(parity_data):
    state = TrainState.create(KEY, PLAN, TINY)
    broken = eqx.tree_at(lambda s: s.network.head, state, jnp.full((8, 2), jnp.nan, jnp.float32))
    _, log = train_steps(KEY, broken, parity_data, PLAN, 5)
    assert np.isnan(log.loss).all()


@pytest.mark.slow
def test_one_sequence_is_learned_by_heart():
    """But for the first token: a network without absolute positions sees no difference between masks."""
    config = TransformerConfig(n=4, q=4, width=16, depth=1, heads=2, hidden=32)
    plan = TrainingPlan(steps=200, batch=8, warmup=10, learning_rate=0.02)
    data = Windows(jnp.array([0, 1, 2, 3], jnp.uint8), n=4, q=4)
    state, log = train_steps(KEY, TrainState.create(KEY, plan, config), data, plan, 200)
    assert float(log.loss[0]) == pytest.approx(math.log(4), rel=0.05)
    assert float(log.loss[-10:].mean()) < math.log(4) / 4 + 0.05


@pytest.mark.slow
def test_the_curve_of_a_parity_code_is_learned():
    """Stated error: 0.02 nats a token at every number of revealed tokens, of a curve from 0.69 to 0."""
    config = TransformerConfig(n=4, q=2, width=32, depth=2, heads=2, hidden=64)
    plan = TrainingPlan(steps=1000, batch=64, warmup=100, learning_rate=0.004, ema=0.99)
    code = parity_code(4, 2)
    key = jax.random.key(0)
    state, _ = train_steps(key, TrainState.create(key, plan, config), Draws(code), plan, 1000)
    learned = denoiser_loss_curve(tabulate(code), state.ema)
    np.testing.assert_allclose(learned.loss, parity_curve(4, 2).loss, atol=0.02)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"steps": 0}, "steps is 0"),
        ({"batch": 0}, "batch is 0"),
        ({"warmup": 20}, "warmup is 20: want fewer than the 20 steps"),
        ({"learning_rate": 0.0}, "learning_rate is 0"),
        ({"learning_rate": float("nan")}, "learning_rate is nan"),
        ({"clip": -1.0}, "clip is -1"),
        ({"ema": 1.5}, "ema is 1.5"),
        ({"weight_decay": -0.1}, "weight_decay is -0.1"),
        ({"steps": 10**20}, "steps is 100000000000000000000: want an integer below 2\\^31"),
        ({"steps": 1.5}, "steps is 1.5: want an integer >= 1"),
        ({"batch": "x"}, "batch is 'x': want an integer >= 1"),
        ({"batch": 2**31}, "batch is 2147483648: want an integer below"),
        ({"clip": "1"}, "clip is '1': want a positive number"),
        ({"ema": None}, "ema is None: want a number in"),
        ({"betas": 0.9}, "betas is 0.9: want two numbers"),
        ({"betas": (0.9, 1.0)}, "betas is 1.0: want two numbers"),
    ],
)
@pytest.mark.usefixtures("without_type_checks")
def test_bad_plans_are_refused(change, match):
    with refused(match):
        dataclasses.replace(PLAN, **change)


def test_data_or_devices_that_do_not_fit_are_refused():
    state = TrainState.create(KEY, PLAN, TINY)
    with refused("data is of n, q = 3, 2: want n, q = 4, 2 of the network"):
        train_steps(KEY, state, Draws(repetition_code(3, 2)), PLAN, 1)
    odd = dataclasses.replace(PLAN, batch=3)
    with refused("batch is 3: want a multiple of the 2 devices"):
        train_steps(KEY, state, Draws(parity_code(4, 2)), odd, 1, batch_sharding(jax.devices()[:2]))
