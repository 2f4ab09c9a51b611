"""`measure` block by block: against loops, the exact curves of a joint, and the sampler's expected NLL."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from _oracles import block_by_block_nll, block_loss_by_loops

from mdmjax import LossCurve, Schedule, nll
from mdmjax._errors import InvalidInputError
from mdmjax.denoisers.base import Oracle
from mdmjax.distributions.joint import tabulate
from mdmjax.families import FAMILIES
from mdmjax.losses.blocks import block_rows
from mdmjax.losses.measure import measure

V, MASK = 7, 5
WEIGHTS = np.random.default_rng(0).normal(size=(9, 9, V, V))


def model(tokens):
    """Logits that depend on all tokens of a sequence, and on no other."""
    length = tokens.shape[1]
    return np.einsum("bjv,ijvw->biw", np.eye(V)[tokens], WEIGHTS[:length, :length])


def data_of(size=4, length=9):
    return np.random.default_rng(1).integers(0, 5, (size, length))


@pytest.mark.parametrize("scale", [0.0, 1.5])
@pytest.mark.parametrize("masks", ["nested", "antithetic"])
def test_every_row_is_what_loops_give(scale, masks):
    """Of 7 tokens in a region from place 2 two blocks of three; one is in none, and hidden from both."""
    data, regions = data_of(), np.arange(9)[None, :].repeat(4, 0) >= 2
    how = {"regions": regions, "masks": masks, "cfg_scale": scale, "batch": 5}
    found = measure(3, model, data, mask_id=MASK, forbidden=[6], block_length=3, **how)
    assert (found.losses.n, found.left_out) == (3, 4)
    rounds = 6 if masks == "antithetic" else 3
    assert found.calls == 4 * 2 * rounds * (2 if scale else 1)
    seen = set()
    for row in range(found.plan.rows):
        s, b, m = found.losses.sequence[row], found.block[row], found.losses.n_masked[row]
        chosen = np.flatnonzero(found.plan.masked(row))
        start = 2 + 3 * b
        assert set(chosen) <= set(range(start, start + 3))
        assert chosen.size == m
        seen.add((int(s), int(b), int(m)))
        hidden = [MASK if i in chosen or i >= start + 3 else int(x) for i, x in enumerate(data[s])]
        logits = model(np.array([hidden]))[0]
        if scale:  # LLaDA hides the prompt, and not the blocks that are written
            free = model(np.array([[MASK] * 2 + hidden[2:]]))[0]
            logits = free + (scale + 1) * (logits - free)
        loss = 0.0
        for i in chosen:
            allowed = np.exp(logits[i])[[0, 1, 2, 3, 4]]
            loss += np.log(allowed.sum()) - logits[i, data[s, i]]
        assert found.losses.loss[row] == pytest.approx(loss / m, abs=1e-12)
    assert seen == {(s, b, m) for s in range(4) for b in range(2) for m in (1, 2, 3)}


def joint_of(name):
    family = FAMILIES[name]
    given = {"markov": {"n": 6, "q": 2}, "block-hmm": {"blocks": 2, "block_size": 3, "eta": 0.1}}[name]
    return tabulate(family.distribution(**family.values("law", **given)))


@pytest.mark.parametrize(("name", "length"), [("markov", 2), ("block-hmm", 3)])
def test_the_oracle_has_the_exact_curve_of_every_block(name, length, key):
    """Within four standard errors, which are over sequences; a later block is better known."""
    joint = joint_of(name)
    exact, oracle = block_loss_by_loops(np.asarray(joint.probs), length), Oracle(joint)

    @jax.jit
    def logits(tokens):
        rows = jax.vmap(oracle)(jnp.asarray(tokens))
        return jnp.concatenate([rows, jnp.zeros_like(rows[:, :, :1])], axis=-1)

    data = np.asarray(jax.vmap(joint.sample)(jax.random.split(key, 500)))
    found = measure(1, logits, data, mask_id=joint.q, block_length=length, batch=500)
    for block, curve in enumerate(exact):
        table = found.of_blocks()[block].table()
        assert table.n_masked.tolist() == list(range(1, length + 1))
        assert (np.abs(table.loss - curve[::-1]) < 4 * table.stderr + 1e-12).all()
        assert table.stderr.max() < 0.05


@pytest.mark.parametrize("seed", range(2))
def test_the_sum_over_blocks_is_the_expected_nll_of_the_sampler(seed):
    """Each block by its own plan: the mean over ordered partitions of what the sampler pays."""
    table = np.random.default_rng(seed).dirichlet(np.full(16, 0.5)).reshape(2, 2, 2, 2)
    curves = [LossCurve(curve) for curve in block_loss_by_loops(table, 2)]
    for plans in ([[2], [1, 1]], [[1, 1], [2]], [[1, 1], [1, 1]]):
        paid = sum(float(nll(c, Schedule(plan))) for c, plan in zip(curves, plans, strict=True))
        assert paid == pytest.approx(block_by_block_nll(table, 2, plans), rel=1e-12)
    entropy = -np.sum(table * np.log(table))  # one token a step there is no error
    assert paid == pytest.approx(entropy, rel=1e-12)


def test_one_block_is_the_whole():
    data = data_of()
    whole, block = (measure(0, model, data, mask_id=MASK, block_length=b) for b in (None, 9))
    assert whole.losses.loss.tolist() == block.losses.loss.tolist()
    assert (whole.block, set(block.block.tolist())) == (None, {0})


def test_regions_of_unequal_lengths_have_their_whole_blocks():
    """Of 2, 5, 7 and 9 tokens: 0, 1, 2 and 3 blocks of three, of which the third is of one alone."""
    regions = np.arange(9)[None, :] < np.array([2, 5, 7, 9])[:, None]
    rows = block_rows(regions, 3)
    assert list(zip(rows.sequence.tolist(), rows.block.tolist(), strict=True)) == [
        (1, 0), (2, 0), (2, 1), (3, 0), (3, 1)
    ]  # fmt: skip
    assert rows.left_out == 23 - 15
    assert rows.later[0].nonzero()[0].tolist() == [3, 4]
    assert rows.later[4].nonzero()[0].tolist() == [6, 7, 8]


def test_errors_are_over_sequences_not_blocks():
    """Blocks that all repeat one thing are one observation a sequence."""
    data = np.repeat(np.random.default_rng(0).integers(0, 2, (50, 1)), 8, axis=1)

    def biased(tokens):
        return np.broadcast_to(np.array([0.0, 2.0, 0.0]), (*tokens.shape, 3))

    found = measure(0, biased, data, mask_id=2, block_length=2)
    one = found.of_blocks()[0].table()
    assert found.losses.table().stderr == pytest.approx(one.stderr, rel=1e-12)
    assert one.stderr.min() > 0


def ruled_out(tokens):
    return np.where(np.arange(V) == 2, -np.inf, model(tokens))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"block_length": 0}, "block_length is 0: want an integer >= 1"),
        ({"block_length": 10}, "block_length is 10: want an integer in 1..9, the region that two"),
        ({"block_length": 3, "logits_fn": ruled_out}, r"loss is inf with . masked tokens of block \d of seq"),
        ({"block_length": 3, "cfg_scale": 1.0}, "cfg_scale is 1.0: want 0 where nothing is outside"),
    ],
)
def test_what_cannot_be_measured_is_one_line(change, message):
    given = {"seed": 0, "logits_fn": model, "data": data_of(), "mask_id": MASK} | change
    with pytest.raises(InvalidInputError, match=message):
        measure(**given)
