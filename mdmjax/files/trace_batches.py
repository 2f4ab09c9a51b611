"""Samples of traces of any lengths as one batch, with what the file and the caller say of them."""

import dataclasses
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from .._errors import InvalidInputError, refuse, shown
from ..traces.merging import MOST, power_of_two
from ..traces.readers import UNFINISHED, mask_of, traces_of_canvases, traces_of_masks, traces_of_steps
from ..traces.trace import Traces
from .trace_about import (
    Sample,
    calls_of,
    correct_of,
    integer,
    is_number,
    position_rows,
    prompt_id,
    said_of_all,
)
from .trace_rows import EDITED, Row

MASK_NAMES = ("mask", "mask_id", "mask_token_id", "q")
AGAINST = ("entropy", "difficulty")


@dataclasses.dataclass(frozen=True)
class HowRead:
    """What a file does not say of itself.

    `form` is its format, `mask` the mask token of canvases, `prompt` how many tokens come first that were
    given, `end` the token that ends a text. With `partial`, what was never finalised is left out and not
    refused.
    """

    form: str | None = None
    mask: int | None = None
    prompt: int | None = None
    end: int | None = None
    partial: bool = False


@dataclasses.dataclass(frozen=True, eq=False)
class Chunk:
    """Some samples of a file, filled up to one length: the first `samples` rows, and whose `prompts`."""

    traces: Traces
    samples: int
    prompts: list[Any]
    canvases: np.ndarray | None = None
    mask: int | None = None


def sample_of(path: Path, row: Row, form: str) -> Sample:
    """The arrays of a row, of which steps may be null where a position was never finalised."""
    value, wanted = row.trace, "integers: the step that finalised each position, null where none did"
    if form in ("steps", "own") and isinstance(value, list):
        value = [UNFINISHED if step is None else -1 if _is_given(step) else step for step in value]
    elif form == "steps" and getattr(getattr(value, "dtype", None), "kind", "") == "i":
        value = np.maximum(value, -1)  # an array has no null: what is negative was given
    elif form in ("canvases", "masks"):
        wanted = "rows of one length, of integers" if form == "canvases" else "rows of true and false"
    try:
        array = np.asarray(value)
    except ValueError:  # rows of different lengths
        array = np.zeros(0, object)
    kinds, axes = "biu" if form == "masks" else "iu", 2 if form in ("canvases", "masks") else 1
    good = array.dtype.kind in kinds and array.size and array.ndim == axes
    if good and form == "masks":
        good = bool(np.all((array == 0) | (array == 1)))
        array = array.astype(bool)
    if not good:
        refuse("FILE", f"{path} with {shown(row.trace)} in {row.place}", wanted)
    if array.shape[-1] > MOST:
        found = f"{path} with {array.shape[-1]} positions in {row.place}"
        refuse("FILE", found, f"at most {MOST} positions a trace", "cut the traces into parts")
    if form in ("canvases", "masks"):
        _check_order(path, row, array.shape[0])
    return Sample(row.place, array, row.about)


def _is_given(step: Any) -> bool:
    return isinstance(step, int) and not isinstance(step, bool) and step < 0


def _check_order(path: Path, row: Row, count: int) -> None:
    """Refuse canvases or masks whose own numbers of their steps are not one each, or do not rise."""
    numbers = row.about.get("step", row.about.get("step_numbers"))
    if not isinstance(numbers, list | np.ndarray):
        return
    if len(numbers) not in (count, count - 1):  # the first canvas may be that before any step
        found = f"{path} with {len(numbers)} steps in {row.place}"
        refuse("FILE", found, f"a number for each of the {count} canvases or masks")
    for before, after in zip(numbers, numbers[1:], strict=False):
        if not (is_number(before) and is_number(after) and before < after):
            found = f"{path} with step {shown(after)} after {shown(before)} in {row.place}"
            refuse("FILE", found, "steps in order")


def seen_mask(path: Path, row: Row, canvases: np.ndarray) -> int:
    """The mask token as the file has it, or as the first sample shows it."""
    for name in MASK_NAMES:
        if (value := row.about.get(name)) is not None:
            return integer(path, row.place, name, value)
    try:
        return mask_of(canvases[0], canvases[-1])
    except InvalidInputError as error:
        refuse("mask", f"{error.value} in {row.place} of {path}", error.wanted)


def chunk_of(path: Path, held: list[Sample], form: str, how: HowRead) -> Chunk:
    """Samples of any lengths as one batch."""
    count, n = 1 << (len(held) - 1).bit_length(), power_of_two(max(sample.n for sample in held))
    present, abouts = np.zeros((count, n), bool), [sample.about for sample in held]
    for number, sample in enumerate(held):
        present[number, : sample.n] = True
    prompt = _prompt(path, held, count, n, how)
    edited = _filled_masks(path, held, EDITED, count, n) if form == "masks" else None
    canvases = None
    if form == "canvases":
        assert how.mask is not None
        canvases = _filled(held, count, n, repeat=True)
        traces = traces_of_canvases(canvases, how.mask, present=present, prompt=prompt)
    elif form == "masks":
        masks = _filled(held, count, n, repeat=False)
        traces = traces_of_masks(masks, edited=edited, present=present, prompt=prompt)
    else:
        steps = np.full((count, n), -1, np.int64)
        for number, sample in enumerate(held):
            steps[number, : sample.n] = sample.trace
        if form == "own":
            steps = _own_steps(path, held, steps)
        traces = traces_of_steps(steps, present=present, prompt=prompt)
        edits = position_rows(path, held, "edits", count, n, 0.0)
        if edits is not None:
            traces = dataclasses.replace(traces, edits=jnp.asarray(edits.astype(int)))
    traces = _ended(path, traces, held, count, n, how)
    if not how.partial:
        _check_finished(path, traces, held)
    against = {name: position_rows(path, held, name, count, n, np.nan) for name in AGAINST}
    traces = dataclasses.replace(
        traces,
        correct=correct_of(path, held, count),
        calls=calls_of(abouts, count),
        against={name: jnp.asarray(values) for name, values in against.items() if values is not None},
    )
    prompts = [prompt_id(about) for about in abouts]
    if form == "own" and all("canvases" in about for about in abouts):
        canvases = _filled(
            [Sample(s.place, np.asarray(s.about["canvases"]), {}) for s in held], count, n, repeat=True
        )
        how = dataclasses.replace(how, mask=integer(path, held[0].place, "q", abouts[0]["q"]))
    return Chunk(traces, len(held), prompts, canvases, how.mask)


def _filled(held: list[Sample], count: int, n: int, *, repeat: bool) -> np.ndarray:
    """Canvases or masks with as many steps; a canvas stays what it last was, a mask accepts no more."""
    steps, kind = max(sample.trace.shape[0] for sample in held), held[0].trace.dtype
    filled = np.zeros((count, steps, n), kind)
    for number, sample in enumerate(held):
        own = sample.trace.shape[0]
        filled[number, :own, : sample.n] = sample.trace
        if repeat:
            filled[number, own:, : sample.n] = sample.trace[-1]
    return filled


def _filled_masks(path, held, names, count, n) -> np.ndarray | None:
    """Further masks of the same steps, if every sample has them."""
    name = next((name for name in names if name in held[0].about), None)
    if name is None:
        return None
    more = [sample_of(path, Row(s.place, s.about.get(name), {}), "masks") for s in held]
    if any(one.trace.shape != sample.trace.shape for one, sample in zip(more, held, strict=True)):
        refuse("FILE", f"{path} with {name} of another shape than the masks", "one of each step")
    return _filled(more, count, n, repeat=False)


def _prompt(path: Path, held: list[Sample], count: int, n: int, how: HowRead) -> np.ndarray | None:
    """The positions that were given, where the file or the caller says so."""
    lengths = [how.prompt if how.prompt is not None else s.about.get("prompt_length") for s in held]
    if all(length is not None for length in lengths):
        both = zip(held, lengths, strict=True)
        known = (integer(path, sample.place, "prompt_length", one) for sample, one in both)
        given = np.array([*known, *[0] * (count - len(held))])
        return np.arange(n) < given[:, None]
    masks = position_rows(path, held, "prompt_mask", count, n, 0.0)
    return None if masks is None else masks > 0


def _ended(path: Path, traces: Traces, held: list[Sample], count: int, n: int, how: HowRead) -> Traces:
    """Without what comes at or after the end of text: a place that the file has, or a token."""
    before, left = None, traces.unfinished
    assert left is not None
    if said_of_all(path, held, "end"):
        known = (integer(path, s.place, "end", s.about["end"]) for s in held)
        ends = np.array([*known, *[n] * (count - len(held))])
        before = np.arange(n) < ends[:, None]
    elif how.end is not None:
        tokens = traces.tokens
        if tokens is None:
            rows = position_rows(path, held, "tokens", count, n, -1.0)
            if rows is None:
                refuse("end_token", how.end, "left out: the file has no tokens")
            tokens = jnp.asarray(rows.astype(np.int64))
        # The prompt may have one too: the text begins after it.
        ends = np.asarray((tokens == how.end) & (traces.counted | left))
        before = np.cumsum(ends, axis=1) == 0
    if before is None:
        return traces
    return dataclasses.replace(traces, counted=traces.counted & before, unfinished=left & before)


def _own_steps(path: Path, held: list[Sample], steps: np.ndarray) -> np.ndarray:
    """Steps of our own traces, in which what is still masked is known by its token."""
    count, n = steps.shape
    tokens = position_rows(path, held, "tokens", count, n, -1.0)
    masks = [sample.about.get("q") for sample in held]
    if tokens is None or any(mask is None for mask in masks):
        refuse("FILE", f"{path} without tokens or q", "what `mdmjax decode --out` writes")
    mask = integer(path, held[0].place, "q", masks[0])
    return np.where(tokens == mask, UNFINISHED, np.maximum(steps, -1))


def _check_finished(path: Path, traces: Traces, held: list[Sample]) -> None:
    """Refuse, naming the first, positions that no step finalised."""
    left = np.asarray(traces.unfinished)
    if left.any():
        sample, position = np.argwhere(left)[0]
        found = f"{path} with position {position} of {held[sample].place} never finalised"
        refuse("FILE", found, "a step for each position", "--partial leaves out those without")
