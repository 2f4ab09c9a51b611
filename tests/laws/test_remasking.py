"""Decoders that take tokens back, against dicts of states in plain Python."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from _oracles import (
    leave_one_out_by_loop,
    low_confidence_step,
    remasking_law,
    remdm_step,
    sweeps_step,
    wino_step,
)
from _strategies import counts_of, probabilities, random_denoiser
from hypothesis import given, settings
from hypothesis import strategies as st

from mdmjax import (
    ConfidenceThreshold,
    Edited,
    EntropySum,
    FixedPartition,
    InvalidInputError,
    Joint,
    LowConfidence,
    Oracle,
    Ranked,
    ReMDM,
    Reveal,
    Schedule,
    Sweeps,
    Tempered,
    Wino,
    confidence,
    decode,
    exact_law,
    kl,
    left_to_right,
    symmetric_chain,
)
from mdmjax._contexts import tokens_of
from mdmjax.decoders.remasking import leave_one_out
from mdmjax.denoisers.perturbed import Argmax

SHAPES = st.sampled_from([(2, 3), (3, 2)])  # few, because each compiles
LARGER = st.sampled_from([(2, 3), (3, 2), (4, 2)])
LEVELS = (0.0, 0.4, 0.4, 0.75, 1.0)


@eqx.filter_jit
def branches_at(decoder, denoiser, tokens, step):
    return jax.vmap(lambda state: decoder.branches(denoiser, state, step))(tokens)


def blocks_of(data, n):
    order = data.draw(st.permutations(range(n)))
    return np.split(np.array(order), np.cumsum(data.draw(counts_of(n)))[:-1])


def decoders(data, n, q, rows_of, other, other_of):
    """A decoder and the step of its oracle."""
    counts = data.draw(counts_of(n))
    blocks = [block.tolist() for block in blocks_of(data, n)]
    eta, passes = data.draw(st.sampled_from([0.0, 0.2, 0.6, 1.0])), data.draw(st.integers(1, 2))
    draft, verify = data.draw(st.sampled_from([(0.0, 1.0), (0.4, 0.8), (0.6, 0.5), (0.0, 0.5)]))
    judge, judged_of = data.draw(st.sampled_from([(None, rows_of), (other, other_of)]))
    writing = Reveal(FixedPartition(blocks))
    generate = sweeps_step(q, rows_of, blocks, 1)
    edit = sweeps_step(q, judged_of, blocks[::-1], passes)  # the editor may have a model of its own

    def edited(tokens, step):
        if step < n:
            return generate(tokens, step) if step < len(blocks) else [(1.0, tokens)]
        return edit(tokens, step - n)

    return {
        "low-confidence": lambda: (
            LowConfidence(Schedule(counts), judge=judge),
            low_confidence_step(q, rows_of, judged_of, counts),
        ),
        "cap": lambda: (ReMDM.cap(LEVELS, eta), remdm_step(q, rows_of, LEVELS, "cap", eta)),
        "rescale": lambda: (
            ReMDM.rescale(Schedule(counts), eta),
            remdm_step(q, rows_of, [0, *(np.cumsum(counts) / n).tolist()], "rescale", eta),
        ),
        "conf": lambda: (ReMDM.conf(LEVELS), remdm_step(q, rows_of, LEVELS, "conf")),
        "wino": lambda: (Wino(draft, verify, judge=judge), wino_step(q, rows_of, judged_of, draft, verify)),
        "sweeps": lambda: (Sweeps(blocks, passes), sweeps_step(q, rows_of, blocks, passes)),
        "edited": lambda: (Edited(writing, Sweeps(blocks[::-1], passes), judge), edited),
    }


NAMES = ["low-confidence", "cap", "rescale", "conf", "wino", "sweeps", "edited"]


@pytest.mark.parametrize("name", NAMES)
@given(st.data())
@settings(deadline=None, max_examples=12)
def test_laws_from_the_definition(name, data):
    n, q = data.draw(LARGER)
    seed = data.draw(st.integers(0, 2**16))
    denoiser, rows_of = random_denoiser(n, q, seed)
    decoder, step_of = decoders(data, n, q, rows_of, *random_denoiser(n, q, seed + 1))[name]()
    probs, steps, last = remasking_law(n, q, step_of)
    law = exact_law(denoiser, decoder)
    np.testing.assert_allclose(law.probs, probs, rtol=0, atol=1e-12)
    for row, when in zip(np.asarray(law.finalised), last, strict=True):
        assert max(when) < row.size
        np.testing.assert_allclose(row, [when.get(t, 0.0) for t in range(row.size)], rtol=0, atol=1e-12)
    if name == "edited":  # idle steps are no calls
        steps = steps[n - 1 - int(decoder.decoder.rule.levels.max()) :]
    np.testing.assert_allclose(law.calls[: steps.size], steps, rtol=0, atol=1e-12)
    assert float(law.unfinished) < 1e-12


@pytest.mark.parametrize("name", NAMES)
@given(st.data())
@settings(deadline=None, max_examples=8)
def test_branches_from_the_definition(name, data):
    """At every state, reached or not: weights and rows of sum one, and the outcomes of one step."""
    n, q = data.draw(LARGER)
    seed = data.draw(st.integers(0, 2**16))
    denoiser, rows_of = random_denoiser(n, q, seed)
    decoder, step_of = decoders(data, n, q, rows_of, *random_denoiser(n, q, seed + 1))[name]()
    states = tokens_of(np.arange((q + 1) ** n), n, q)
    step = data.draw(st.integers(0, 3))
    step = 0 if decoder.finished(jnp.full(n, q), jnp.array(step), q) else step
    weights, rows = map(np.asarray, branches_at(decoder, denoiser, jnp.asarray(states), jnp.array(step)))
    np.testing.assert_allclose(weights.sum(1), 1, atol=1e-12)
    np.testing.assert_allclose(rows.sum(3), 1, atol=1e-12)
    assert min(weights.min(), rows.min()) >= 0
    found = np.einsum("sb,sbt->st", weights, rows[:, :, np.arange(n), states].prod(3))
    for state, chances in zip(states.tolist(), found, strict=True):
        outcomes = None if name == "edited" else step_of(tuple(state), step)
        if outcomes is not None:  # an edited state is reached, or the oracle does not know it
            expected = np.zeros((q + 1) ** n)
            for share, after in outcomes:
                expected[sum(t * (q + 1) ** (n - 1 - i) for i, t in enumerate(after))] += share
            np.testing.assert_allclose(chances, expected, rtol=0, atol=1e-12)


MODEL, MODEL_ROWS = random_denoiser(3, 2, 7)
JUDGE, _ = random_denoiser(3, 2, 8)
DRAWN = {
    "low-confidence": LowConfidence(Schedule([1, 1, 1])),
    "low-confidence-judged": LowConfidence(Schedule([2, 1]), judge=JUDGE),
    "cap": ReMDM.cap(LEVELS, 0.5),
    "rescale": ReMDM.rescale(Schedule([1, 2]), 0.5),
    "conf": ReMDM.conf(LEVELS),
    "wino": Wino(0.4, 0.8),
    "sweeps": Sweeps([[1], [0, 2]], 2),
    "edited": Edited(Reveal(EntropySum(0.6)), Sweeps([[1], [0, 2]], 1)),  # done in two or three steps
}


@pytest.mark.parametrize("name", DRAWN)
def test_draws_follow_the_law(name, key):
    """Pearson's chi-square of 20000 outputs, the mean number of calls, and the last changes."""
    law, count = exact_law(MODEL, DRAWN[name]), 20000
    traces = eqx.filter_jit(jax.vmap(lambda k: decode(k, MODEL, DRAWN[name])))(jax.random.split(key, count))
    words = np.asarray(traces.tokens) @ np.array([4, 2, 1])
    seen, wanted = np.bincount(words, minlength=8), count * np.asarray(law.probs).reshape(-1)
    assert np.all(seen[wanted == 0] == 0)
    possible = wanted > 0
    square = ((seen - wanted)[possible] ** 2 / wanted[possible]).sum()
    freedom = possible.sum() - 1
    assert square < freedom + 5 * np.sqrt(2 * freedom) + 5
    chances, values = np.asarray(law.calls), np.arange(law.calls.size)
    spread = np.sqrt(max(0.0, chances @ values**2 - (chances @ values) ** 2))
    assert abs(traces.calls.mean() - float(law.expected_calls)) <= 5 * spread / np.sqrt(count) + 1e-9
    for when, p in zip(np.asarray(traces.finalised).T, np.asarray(law.finalised), strict=True):
        seen = np.bincount(when, minlength=p.size) / count
        assert seen.size == p.size  # each position changed
        assert np.all(np.abs(seen - p) <= 5 * np.sqrt(p * np.maximum(1 - p, 0) / count) + 1e-12)


def test_low_confidence_draws_what_its_branches_say(key):
    """From a state that is part revealed, by the direct draw and by the branches."""
    decoder, state, step = LowConfidence(Schedule([2, 1])), jnp.array([2, 1, 2]), jnp.array(1)
    weights, rows = (x[0] for x in branches_at(decoder, MODEL, state[None], step))
    wanted = np.zeros(27)
    for weight, row in zip(np.asarray(weights), np.asarray(rows.argmax(-1)), strict=True):
        wanted[row @ np.array([9, 3, 1])] += weight
    draws = eqx.filter_jit(jax.vmap(lambda k: decoder.draw(k, MODEL, state, step)))
    drawn = draws(jax.random.split(key, 20000))
    seen = np.bincount(np.asarray(drawn) @ np.array([9, 3, 1]), minlength=27) / 20000
    assert np.all(np.abs(seen - wanted) <= 5 * np.sqrt(wanted * (1 - wanted) / 20000))


@pytest.mark.slow
@given(st.data())
@settings(deadline=None, max_examples=12)
def test_low_confidence_at_temperature_zero_is_ranked_by_confidence(data):
    n, q = data.draw(SHAPES)
    model, _ = random_denoiser(n, q, data.draw(st.integers(0, 2**16)))
    schedule = Schedule(data.draw(counts_of(n)))
    laws = [
        exact_law(model, LowConfidence(schedule, temperature=0)),
        exact_law(Argmax(model), LowConfidence(schedule, judge=model)),
        exact_law(model, Reveal(Ranked(confidence, schedule), temperature=0)),
        exact_law(Argmax(model), Reveal(Ranked(confidence, schedule), judge=model)),
    ]
    for law in laws[:-1]:
        np.testing.assert_array_equal(law.probs, laws[-1].probs)
        np.testing.assert_array_equal(law.finalised, laws[-1].finalised)


@pytest.mark.parametrize(
    "make", [lambda **how: LowConfidence(Schedule([1, 2]), **how), lambda **how: Wino(0.4, 0.8, **how)]
)
def test_a_temperature_is_a_writer_with_the_model_as_judge(make):
    first = exact_law(MODEL, make(temperature=0.5))
    second = exact_law(Tempered(MODEL, 0.5), make(judge=MODEL))
    np.testing.assert_allclose(first.probs, second.probs, rtol=0, atol=1e-14)
    np.testing.assert_allclose(first.finalised, second.finalised, rtol=0, atol=1e-14)
    assert np.abs(first.probs - exact_law(MODEL, make()).probs).max() > 1e-3


def test_low_confidence_is_not_ranked_when_it_draws():
    """`Ranked` is right for independent positions; what is kept for its draw is not."""
    coin = jnp.array([0.25, 0.75])
    coins = Oracle(Joint(jnp.outer(coin, coin)))
    schedule = Schedule([1, 1])
    ranked = exact_law(coins, Reveal(Ranked(confidence, schedule))).probs
    kept = exact_law(coins, LowConfidence(schedule)).probs
    np.testing.assert_allclose(
        ranked, jnp.outer(jnp.array([0.25, 0.75]), jnp.array([0.25, 0.75])), atol=1e-15
    )
    # By hand: the 1 of position 1 is kept from (0, 1), that of position 0 from (1, 0) and (1, 1), and the
    # 0 of position 0 from (0, 0); the other position is then drawn anew.
    stays = np.array([[1 / 16 / 4, 1 / 16 * 3 / 4], [12 / 16 / 4, 12 / 16 * 3 / 4]])
    np.testing.assert_allclose(kept, stays + [[0, 3 / 16 / 4], [0, 3 / 16 * 3 / 4]], atol=1e-15)


@pytest.mark.parametrize("make", [lambda s: ReMDM.cap(s, 0.4), lambda s: ReMDM.rescale(s, 0.7)])
@given(counts=st.sampled_from([[1, 1, 1], [2, 1], [1, 2], [3]]), seed=st.integers(0, 99))
@settings(deadline=None, max_examples=10)
def test_remdm_reveals_as_much_as_the_levels_say(make, counts, seed):
    """The mean revealed fraction after step t is alpha_{t+1}, for any denoiser."""
    schedule, (denoiser, _) = Schedule(counts), random_denoiser(3, 2, seed)
    decoder, tokens = make(schedule), np.asarray(tokens_of(np.arange(27), 3, 2))
    mass = np.eye(27)[26]
    for step in range(schedule.steps):
        rows = np.asarray(branches_at(decoder, denoiser, jnp.asarray(tokens), jnp.array(step)).rows[:, 0])
        mass = mass @ np.stack([rows[:, np.arange(3), after].prod(-1) for after in tokens], axis=1)
        np.testing.assert_allclose(mass @ (tokens != 2), np.full(3, decoder.alphas[step + 1]), atol=1e-14)


def test_remdm_without_remasking_is_independent_reveals():
    """MDLM: each masked position is revealed with chance (after - before) / (1 - before)."""
    decoder, state = ReMDM.cap([0.0, 0.25, 1.0], 0.0), jnp.array([[1, 2, 2]])
    rows = branches_at(decoder, MODEL, state, jnp.array(0)).rows[0, 0]
    np.testing.assert_allclose(rows[:, 2], [0, 0.75, 0.75], atol=1e-15)


def test_remdm_conf_doubts_the_unlikely():
    decoder = ReMDM.conf([0.0, 0.5, 0.8, 1.0])
    pair = Oracle(Joint(jnp.asarray(np.multiply.outer([[0.3, 0.1], [0.1, 0.5]], [0.1, 0.9]))))
    rows = branches_at(decoder, pair, jnp.array([[0, 2, 0]]), jnp.array(1)).rows[0, 0]
    weights = np.exp(-np.array([0.4, 0.1]))
    np.testing.assert_allclose(rows[jnp.array([0, 2]), 2], 0.4 * weights / weights.sum(), rtol=1e-12)
    np.testing.assert_allclose(rows[1, 2], 1 - 0.3 / 0.5, rtol=1e-12)


@given(st.data())
@settings(deadline=None, max_examples=12)
def test_wino_adds_a_token_in_every_step(data):
    n, q = data.draw(SHAPES)
    denoiser, _ = random_denoiser(n, q, data.draw(st.integers(0, 2**16)))
    decoder = Wino(data.draw(st.sampled_from([0.0, 0.3, 0.6])), data.draw(st.sampled_from([0.5, 1.0])))
    tokens = tokens_of(np.arange((q + 1) ** n), n, q)
    rows = branches_at(decoder, denoiser, jnp.asarray(tokens), jnp.array(0)).rows[:, 0]
    hidden = np.asarray(rows)[:, :, q]
    assert set(np.unique(hidden)) <= {0.0, 1.0}
    unfinished = (tokens == q).any(1)
    assert np.all((1 - hidden).sum(1)[unfinished] > (tokens != q).sum(1)[unfinished])
    assert exact_law(denoiser, decoder).calls.size <= n + 1


@given(st.data())
@settings(deadline=None, max_examples=8)
def test_wino_that_never_doubts_is_the_threshold_rule(data):
    n, q = data.draw(SHAPES)
    denoiser, _ = random_denoiser(n, q, data.draw(st.integers(0, 2**16)))
    first, second = (
        exact_law(denoiser, Wino(0.5, 0.0)),
        exact_law(denoiser, Reveal(ConfidenceThreshold(0.5))),
    )
    np.testing.assert_allclose(first.probs, second.probs, rtol=0, atol=1e-14)
    np.testing.assert_allclose(first.calls, second.calls, rtol=0, atol=1e-14)


@given(st.data())
@settings(deadline=None, max_examples=8)
def test_the_first_pass_is_the_fixed_partition(data):
    n, q = data.draw(SHAPES)
    denoiser, _ = random_denoiser(n, q, data.draw(st.integers(0, 2**16)))
    blocks = [block.tolist() for block in blocks_of(data, n)]
    partition = Reveal(FixedPartition(blocks))
    first, second = exact_law(denoiser, Sweeps(blocks, 1)), exact_law(denoiser, partition)
    np.testing.assert_allclose(first.probs, second.probs, rtol=0, atol=1e-14)
    np.testing.assert_allclose(first.calls, second.calls, rtol=0, atol=1e-14)


@given(st.data())
@settings(deadline=None, max_examples=8)
def test_gibbs_edits_repair_parallel_writing(data):
    """KL(p || law) of all at once, then sweeps of the oracle: never up (data processing)."""
    p = Joint(jnp.asarray(data.draw(probabilities(8, zeros=False)).reshape(2, 2, 2)))
    writing, single = Reveal(left_to_right(Schedule([3]))), [[0], [1], [2]]
    nats = [kl(p, exact_law(Oracle(p), writing))]
    nats += [kl(p, exact_law(Oracle(p), Edited(writing, Sweeps(single, k)))) for k in (1, 2)]
    assert max(nats[1] - nats[0], nats[2] - nats[1]) <= 1e-14


@given(st.data())
@settings(deadline=None, max_examples=10)
def test_leave_one_out(data):
    n, q = data.draw(SHAPES)
    denoiser, rows_of = random_denoiser(n, q, data.draw(st.integers(0, 2**16)))
    states = tokens_of(np.arange((q + 1) ** n), n, q)
    found = jax.jit(jax.vmap(lambda x: leave_one_out(denoiser, x)))(jnp.asarray(states))
    for state, row in zip(states.tolist(), np.asarray(found), strict=True):
        expected = [1.0 if x is None else x for x in leave_one_out_by_loop(rows_of, tuple(state), q)]
        np.testing.assert_allclose(row, expected, rtol=1e-14)


def test_refusals():
    with pytest.raises(InvalidInputError, match=r"branches of at most 512.0 MiB; they need 9.0 GiB"):
        exact_law(Oracle(symmetric_chain(24, 2, 0.1)), LowConfidence(Schedule([24])))
    with pytest.raises(InvalidInputError, match="alphas is .* rise from 0 to 1"):
        ReMDM([0.0, 0.7, 0.5, 1.0], [0.0, 0.0, 0.0])
    with pytest.raises(InvalidInputError, match="alphas is .* below 1 until the end"):
        ReMDM.cap([0.0, 1.0, 1.0], 0.1)
    with pytest.raises(InvalidInputError, match="sigmas is 0.5 at step 1: want .* at most 0.25"):
        ReMDM([0.0, 0.8, 0.8, 1.0], [0.0, 0.5, 0.0])
    with pytest.raises(InvalidInputError, match="sigmas is of shape"):
        ReMDM([0.0, 0.8, 1.0], [0.0])
    with pytest.raises(InvalidInputError, match="eta is 1.5"):
        ReMDM.rescale(Schedule([1, 1]), 1.5)
    with pytest.raises(InvalidInputError, match="draft_threshold is 2"):
        Wino(2.0, 0.5)
    with pytest.raises(InvalidInputError, match="verify_threshold is -1"):
        Wino(0.5, -1.0)
    with pytest.raises(InvalidInputError, match="passes is 0"):
        Sweeps([[0], [1]], 0)
    with pytest.raises(InvalidInputError, match="each of 0..n-1 once"):
        Sweeps([[0], [0, 1]], 1)
    with pytest.raises(InvalidInputError, match="blocks is for 2 positions: want n = 3 positions"):
        exact_law(MODEL, Sweeps([[0], [1]], 1))
