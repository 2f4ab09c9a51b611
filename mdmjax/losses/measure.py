r"""The masked-loss curve of anybody's model: a function from tokens to logits, of JAX or not."""

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import get_args

import numpy as np

from .._checks import check_integer, check_number, check_shape
from .._errors import check_bytes, refuse
from .._types import Bool, Float, Int
from .blocks import block_rows
from .logits_model import Call, LogitsFn, LogitsModel
from .masks import MaskKind, MaskPlan, mask_plan
from .sampled import BATCH, MAX_ROWS_BYTES, ROW_BYTES, MaskedLosses

MOST_DIFFERENCE = 0.1  # nats by which the loss of a row may hang on its neighbours (our choice)


@dataclasses.dataclass(frozen=True, eq=False)
class Measured:
    """What `measure` found: `losses`, one row a call, with `n` the reference length of their mask counts.

    `plan` says what was masked. `calls` are sequences that the model saw, two a row if it is guided;
    `batch` as many as fitted at once; `neighbours` the nats a token by which the loss of the first row
    differs when it is alone in its batch. Measured by blocks, `block` is that of every row, the plan's
    sequences are blocks, and `left_out` tokens were in none.
    """

    losses: MaskedLosses
    plan: MaskPlan
    vocabulary: int
    calls: int
    batch: int
    neighbours: float
    block: Int[np.ndarray, " rows"] | None = None
    left_out: int = 0

    def of_blocks(self) -> dict[int, MaskedLosses]:
        """The rows of every block by its number; of none where it was not measured by blocks."""
        if self.block is None:
            return {}
        return {int(one): self.losses.where(self.block == one) for one in np.unique(self.block)}


def measure(
    seed: int,
    logits_fn: LogitsFn,
    data: np.ndarray,
    *,
    mask_id: int,
    forbidden: Iterable[int] = (),
    pad_id: int | None = None,
    regions: np.ndarray | None = None,
    block_length: int | None = None,
    shift: int = 0,
    cfg_scale: float = 0.0,
    masks: MaskKind = "nested",
    levels: Int[np.ndarray, " levels"] | None = None,
    rounds: int | None = None,
    batch: int = BATCH,
    known: Float[np.ndarray, " known"] | None = None,
    keep: Callable[[Float[np.ndarray, " new"]], None] | None = None,
    track: Callable[[Sequence[int], str], Iterable[int]] = lambda items, label: items,
) -> Measured:
    r"""Losses in nats a masked token of a model on `data`, ids `[samples, length]`, masked at every level.

    `logits_fn` takes NumPy's `int64[batch, length]` and returns `[batch, length, vocabulary]` of NumPy, JAX
    or torch, on whatever device: the losses are computed there. Row by row, with $M$ the masked positions,

    $$\mathrm{loss} = -\frac{1}{|M|} \sum_{i \in M} \log \mathrm{softmax}_{a \notin F}(\ell_{i - s})_{x_i}$$

    where $F$ are `mask_id`, `pad_id` and the `forbidden` ids, and $s$ is `shift`, 1 for Dream. `regions`
    are the positions that may be masked, by default those of ids that are not in $F$; the rest stays.
    Guided by `cfg_scale` $w > 0$ the logits are $u + (w + 1)(c - u)$, with $c$ the model's and $u$ those
    with all but the region masked (LLaDA's sampler): two calls a row. Which masks there are says
    `mask_plan`: they depend on `seed`, `regions`, `masks`, `levels` and `rounds` alone.

    With a `block_length` $B$ each block of $B$ tokens is measured as a sampler sees it that writes block by
    block: what is before it in the region is known, what is after it is masked (`block_rows`). So $n = B$,
    and errors are still over sequences.

    Temperature, top-p and the like belong to a sampler, and are not measured. The model must be in the
    state in which it samples (torch: `model.eval()`). Where the memory is full, half a batch is tried.

    A measurement can go on: `keep` is given the losses of each batch, in the order of the rows, and `known`
    are those of the first rows. `track` passes the starts of batches through.

    Raises:
        InvalidInputError: an id, a shape or an option out of range; logits that are NaN or rule out what
            occurs; losses that hang on the neighbours in a batch by over 0.1 nats a token; no memory.

    >>> def uniform(tokens):
    ...     return np.zeros((*tokens.shape, 5))
    >>> found = measure(0, uniform, np.array([[0, 1, 2], [3, 3, 3]]), mask_id=4)
    >>> found.losses.table().loss.round(4).tolist()  # log 4: the mask is no answer
    [1.3863, 1.3863, 1.3863]
    """
    try:
        data = np.asarray(data)
    except ValueError:  # NumPy has no other word for rows of unequal lengths
        refuse("data", "rows of unequal lengths", "integers of shape (samples, length)", "pad them: pad_id")
    if data.ndim != 2 or not np.issubdtype(data.dtype, np.integer) or data.size == 0:
        refuse("data", f"{data.dtype} of shape {data.shape}", "integers of shape (samples, length)")
    check_integer("batch", batch, 1)
    check_number("cfg_scale", cfg_scale, "a finite number >= 0", lambda x: x >= 0)
    if shift not in (0, 1):
        refuse("shift", shift, "0 or 1")
    if masks not in get_args(MaskKind):
        refuse("masks", masks, f"one of {', '.join(get_args(MaskKind))}")
    hidden = tuple(
        sorted({int(mask_id), *map(int, forbidden), *(() if pad_id is None else (int(pad_id),))})
    )
    regions = _regions(data, hidden, regions)
    prompt = ~regions & (data != (-1 if pad_id is None else pad_id)) if cfg_scale else None
    if prompt is not None and not (prompt & ~np.isin(data, hidden)).any():
        refuse("cfg_scale", cfg_scale, "0 where nothing is outside the regions", "guidance masks a prompt")
    blocks = None if block_length is None else block_rows(regions, block_length)
    if blocks is not None:
        data, regions = np.where(blocks.later, mask_id, data[blocks.sequence]), blocks.regions
        prompt = None if prompt is None else prompt[blocks.sequence]
    plan = mask_plan(seed, regions, masks=masks, levels=levels, rounds=rounds)
    check_bytes(ROW_BYTES * plan.rows, MAX_ROWS_BYTES, "losses", "take fewer sequences or rounds")
    model = LogitsModel(logits_fn, data, plan, mask_id, hidden, shift, cfg_scale, prompt, batch, blocks)
    alone, vocabulary = model.first()
    loss = np.zeros(plan.rows)
    done = 0 if known is None else known.size
    loss[:done] = () if known is None else known

    def collect(call: Call) -> None:
        rows = slice(call.rows.start, call.rows.stop)
        loss[rows] = model.losses(call)
        if keep is not None:
            keep(loss[rows])

    waiting = []  # a device works on a call while the masks of the next one are drawn
    for start in track(range(done, plan.rows, batch), "measuring"):
        call = model.call(range(start, min(start + batch, plan.rows)))
        if model.batch == batch:
            model.launch(call)
        for one in waiting:
            collect(one)
        waiting = [call]
    for one in waiting:
        collect(one)
    difference = abs(alone - float(loss[0]))
    if difference > MOST_DIFFERENCE:
        said = f"{alone:.4f} of a sequence alone, {loss[0]:.4f} of the same one among others"
        refuse("loss", said, "the same", "is the model in eval mode, and is padding masked?")
    sequence = plan.sequence if blocks is None else blocks.sequence[plan.sequence]
    losses = MaskedLosses(plan.n, sequence, plan.n_masked, np.maximum(loss, 0.0))
    calls = plan.rows * (1 if prompt is None else 2)
    found = Measured(losses, plan, vocabulary, calls, model.batch, difference)
    if blocks is None:
        return found
    return dataclasses.replace(found, block=blocks.block[plan.sequence], left_out=blocks.left_out)


def _regions(
    data: np.ndarray, forbidden: tuple[int, ...], regions: np.ndarray | None
) -> Bool[np.ndarray, "samples length"]:
    """The positions that may be masked: as given, if no forbidden id is there, or all but such ids."""
    special = np.isin(data, forbidden)
    if regions is None:
        return ~special
    regions = np.asarray(regions, bool)
    check_shape("regions", regions, data.shape, "of the data")
    if (special & regions).any():
        found = data[special & regions][0]
        refuse("regions", f"with the forbidden id {found} in them", "ids that may be masked and predicted")
    return regions
