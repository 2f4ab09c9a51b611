"""`measure` on functions to logits: against loops, the exact curve, and itself when stopped."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mdmjax._errors import InvalidInputError
from mdmjax.denoisers.base import Oracle
from mdmjax.distributions.joint import tabulate
from mdmjax.families import FAMILIES
from mdmjax.losses.exact import denoiser_loss_curve
from mdmjax.losses.masks import mask_levels, mask_plan
from mdmjax.losses.measure import measure

V, MASK = 7, 5
WEIGHTS = np.random.default_rng(0).normal(size=(8, 8, V, V))


def model(tokens):
    """Logits that depend on all tokens of a sequence, and on no other."""
    length = tokens.shape[1]
    onehot = np.eye(9)[np.asarray(tokens)][:, :, :V]
    return np.einsum("bjv,ijvw->biw", onehot, WEIGHTS[:length, :length])


def data_of(size=6, length=8, seed=1):
    return np.random.default_rng(seed).integers(0, 5, (size, length))


def by_hand(found, data, *, forbidden, shift=0, scale=0.0, regions=None):
    """The loss of every row by loops over its masked positions."""
    plan, losses = found.plan, []
    for row in range(plan.rows):
        x = data[plan.sequence[row]]
        masked = plan.masked(row)
        hidden = [MASK if m else a for a, m in zip(x, masked, strict=True)]
        logits = model(np.array([hidden]))[0]
        if scale:
            region = regions[plan.sequence[row]]
            bare = [a if inside else MASK for a, inside in zip(hidden, region, strict=True)]
            free = model(np.array([bare]))[0]
            logits = free + (scale + 1) * (logits - free)
        total = 0.0
        for i in range(len(x)):
            if masked[i]:
                line = logits[max(i - shift, 0)]
                allowed = [np.exp(line[a]) for a in range(V) if a not in forbidden]
                total -= line[x[i]] - np.log(sum(allowed))
        losses.append(total / sum(masked))
    return losses


@pytest.mark.parametrize("shift", [0, 1])
@pytest.mark.parametrize("scale", [0.0, 1.5])
@pytest.mark.parametrize("masks", ["independent", "nested", "antithetic"])
def test_every_row_is_what_loops_give(shift, scale, masks):
    data, regions = data_of(), np.zeros((6, 8), bool)
    regions[:, 3:] = True
    how = {"shift": shift, "cfg_scale": scale, "masks": masks, "regions": regions}
    found = measure(3, model, data, mask_id=MASK, forbidden=[6], batch=7, **how)
    wanted = by_hand(found, data, forbidden=(5, 6), shift=shift, scale=scale, regions=regions)
    assert found.losses.loss == pytest.approx(wanted, abs=1e-12)
    assert found.calls == found.plan.rows * (2 if scale else 1)
    assert (found.vocabulary, found.losses.n) == (V, 5)
    assert found.neighbours == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("wrap", [lambda f: f, lambda f: lambda x: jnp.asarray(f(x))], ids=["numpy", "jax"])
@pytest.mark.parametrize("batch", [1, 5, 1000])
def test_the_batch_and_the_kind_of_array_change_nothing(wrap, batch):
    data = data_of()
    one = measure(0, model, data, mask_id=MASK, batch=64)
    other = measure(0, wrap(model), data, mask_id=MASK, batch=batch)
    assert other.losses.loss == pytest.approx(one.losses.loss, rel=1e-12)
    assert (other.losses.sequence == one.losses.sequence).all()


@pytest.mark.parametrize("kind", ["numpy", "jax"])
def test_the_oracle_of_a_block_hmm_has_its_exact_curve(kind, key):
    """Within four standard errors; all masked, every bit costs log 2 and there are none."""
    family = FAMILIES["block-hmm"]
    joint = tabulate(family.distribution(**family.values("law", eta=0.1)))
    oracle, exact = Oracle(joint), np.asarray(denoiser_loss_curve(joint, Oracle(joint)).loss)

    @jax.jit
    def logits(tokens):
        rows = jax.vmap(oracle)(jnp.asarray(tokens))
        return jnp.concatenate([rows, jnp.zeros_like(rows[:, :, :1])], axis=-1)

    data = np.asarray(jax.vmap(joint.sample)(jax.random.split(key, 600)))
    function = logits if kind == "jax" else lambda tokens: np.asarray(logits(tokens))
    for masks in ("independent", "nested", "antithetic"):
        table = measure(1, function, data, mask_id=joint.q, masks=masks, batch=600).losses.table()
        assert table.n_masked.tolist() == list(range(1, joint.n + 1))
        assert (np.abs(table.loss - exact[::-1]) < 4 * table.stderr + 1e-12).all()
        assert (table.stderr < 0.05).all()


def masks_of(plan):
    """The masked sets of every sequence by level, in the order of the rounds."""
    found = {}
    for row in range(plan.rows):
        places = frozenset(np.flatnonzero(plan.masked(row)).tolist())
        found.setdefault((int(plan.sequence[row]), int(plan.n_masked[row])), []).append(places)
    return found


def test_nested_masks_are_prefixes_of_one_order():
    found = masks_of(mask_plan(0, np.ones((4, 9), bool)))
    for sequence in range(4):
        chain = [found[sequence, m][0] for m in range(1, 10)]
        assert [len(one) for one in chain] == list(range(1, 10))
        assert all(small < large for small, large in itertools.pairwise(chain))
    assert len({found[sequence, 4][0] for sequence in range(4)}) > 1


def test_antithetic_masks_are_the_two_ends_of_one_order():
    for (_, m), pair in masks_of(mask_plan(0, np.ones((4, 9), bool), masks="antithetic")).items():
        assert len(pair) == 2
        assert len(pair[0] & pair[1]) == max(0, 2 * m - 9)


def test_independent_masks_are_no_chain():
    found = masks_of(mask_plan(0, np.ones((4, 9), bool), masks="independent"))
    assert any(not found[s, m][0] < found[s, m + 1][0] for s in range(4) for m in range(1, 9))


@pytest.mark.parametrize(("size", "n", "rounds"), [(7, 5, 3), (50, 5, 1), (3, 80, 40), (6, 9, None)])
def test_levels_are_even_and_all_masked_is_one(size, n, rounds):
    plan = mask_plan(0, np.ones((size, n), bool), rounds=rounds)
    values, counts = np.unique(plan.n_masked, return_counts=True)
    assert values.tolist() == mask_levels(n).tolist()
    assert np.ptp(counts) <= 1
    assert values[-1] == n
    assert values[0] == 1


def test_masks_depend_on_the_seed_and_on_nothing_else():
    one, two, other = (mask_plan(seed, np.ones((4, 6), bool)) for seed in (0, 0, 1))
    assert masks_of(one) == masks_of(two) != masks_of(other)


def test_regions_of_unequal_lengths_have_the_same_share_masked():
    data = data_of(size=5)
    for row, length in enumerate((2, 4, 4, 6, 8)):
        data[row, length:] = 6
    found = measure(0, model, data, mask_id=MASK, pad_id=6)
    plan, lengths = found.plan, np.array([2, 4, 4, 6, 8])
    assert plan.n == 4
    for row in range(plan.rows):
        length, m = lengths[plan.sequence[row]], plan.n_masked[row]
        assert plan.masked(row).sum() == max(1, np.floor(length * m / 4 + 0.5))
        assert not plan.masked(row)[length:].any()
    wanted = by_hand(found, data, forbidden=(5, 6))
    assert found.losses.loss == pytest.approx(wanted, abs=1e-12)
    assert plan.masked(int(np.argmax((plan.n_masked == 4) & (plan.sequence == 4)))).sum() == 8


@pytest.mark.parametrize("known", [0, 3, 20, 48])
def test_a_measurement_that_goes_on_is_the_same(known):
    kept = []
    whole = measure(0, model, data_of(), mask_id=MASK, batch=5, keep=kept.append)
    assert np.concatenate(kept).tolist() == whole.losses.loss.tolist()
    rest = []
    part = measure(
        0, model, data_of(), mask_id=MASK, batch=5, known=whole.losses.loss[:known], keep=rest.append
    )
    assert part.losses.loss == pytest.approx(whole.losses.loss, abs=1e-13)
    assert sum(map(len, rest)) == 48 - known


def out_of_memory(kind):
    if kind == "torch":
        return pytest.importorskip("torch").OutOfMemoryError("CUDA out of memory")
    return MemoryError() if kind == "host" else jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: no room")


@pytest.mark.parametrize("kind", ["host", "torch", "jax"])
@pytest.mark.parametrize("wrap", [np.asarray, jnp.asarray], ids=["numpy", "jax"])
def test_where_the_memory_is_full_the_batch_is_halved(kind, wrap):
    error = out_of_memory(kind)

    def large(tokens):
        if len(tokens) > 3:
            raise error
        return wrap(model(tokens))

    found = measure(0, large, data_of(), mask_id=MASK, batch=16)
    assert found.batch == 2
    assert found.losses.loss == pytest.approx(measure(0, model, data_of(), mask_id=MASK).losses.loss)

    def never(tokens):
        if len(tokens) > 1 or never.calls:
            raise error
        never.calls += 1
        return wrap(model(tokens))

    never.calls = 0
    with pytest.raises(InvalidInputError, match="batch is 1: want a sequence that fits into memory"):
        measure(0, never, data_of(), mask_id=MASK, batch=16)


def test_an_error_of_the_model_is_its_own():
    def broken(tokens):
        raise RuntimeError("no such layer")

    with pytest.raises(RuntimeError, match="no such layer"):
        measure(0, broken, data_of(), mask_id=MASK)


def among(tokens):
    """Depends on the batch."""
    return model(tokens) * len(tokens)


def never_two(tokens):
    """Rules out the symbol 2."""
    return np.where(np.arange(V) == 2, -np.inf, model(tokens))


@pytest.mark.usefixtures("without_type_checks")
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"logits_fn": lambda x: model(x)[:, :-1]}, r"logits is of shape \(1, 7, 7\): want \(1, 8, voc"),
        ({"logits_fn": lambda x: {"logits": model(x)}}, "logits is a dict: .* take its .logits"),
        (
            {"logits_fn": lambda x: model(x) * np.nan},
            "loss is nan with . masked tokens of sequence .: .* not nu",
        ),
        ({"logits_fn": never_two}, "loss is inf .* rules out what occurs"),
        (
            {"logits_fn": among},
            "loss is .* of a sequence alone, .* want the same; is the model in eval mode",
        ),
        ({"mask_id": 7}, r"mask_id is 7: want ids in 0..6"),
        ({"mask_id": -1}, r"mask_id is -1: want ids in 0..6"),
        ({"forbidden": [9]}, "forbidden is with an id 9: want ids in 0..6"),
        (
            {"logits_fn": lambda x: np.eye(V)[x], "mask_id": 7},
            "data is with ids up to 4, and a mask_id 7: .*bounds",
        ),
        ({"data": data_of() + 3, "mask_id": 0}, "data is with an id 7: want ids in 0..6"),
        ({"data": data_of().astype(float)}, "data is float64 of shape"),
        ({"data": data_of()[0]}, r"data is int64 of shape \(8,\)"),
        ({"data": [[1, 2], [3]]}, "data is rows of unequal lengths: want integers of shape"),
        ({"data": data_of(1)}, "data is 1 sequences: want two or more"),
        ({"data": np.full((3, 8), MASK)}, "regions is without a position in sequence 0"),
        ({"regions": np.ones((6, 7), bool)}, r"regions is of shape \(6, 7\)"),
        ({"forbidden": [2], "regions": np.ones((6, 8), bool)}, "regions is with the forbidden id 2"),
        ({"shift": 2}, "shift is 2: want 0 or 1"),
        ({"cfg_scale": -1.0}, "cfg_scale is -1.0"),
        ({"cfg_scale": 1.0}, "cfg_scale is 1.0: want 0 where nothing is outside the regions"),
        ({"batch": 0}, "batch is 0"),
        ({"seed": -1}, "seed is -1"),
        ({"rounds": 1}, "rounds is 1: want 3 or more"),
        ({"rounds": 8, "masks": "antithetic"}, "rounds is 8: want a multiple of 16"),
        ({"levels": np.array([1, 2])}, r"levels is \[1, 2\]: want mask counts in 1..8 with n = 8"),
        ({"batch": 2**40}, "batch is 1099511627776: want logits of at most 32.0 GiB"),
    ],
)
def test_what_cannot_be_measured_is_one_line(change, message):
    given = {"seed": 0, "logits_fn": model, "data": data_of(), "mask_id": MASK} | change
    with pytest.raises(InvalidInputError, match=message):
        measure(**given)


@pytest.mark.usefixtures("without_type_checks")
def test_masks_of_no_kind_are_refused():
    with pytest.raises(InvalidInputError, match="masks is nest: want one of independent, nested"):
        measure(0, lambda ids: np.zeros((*ids.shape, 3)), np.array([[0, 1]]), mask_id=2, masks="nest")
