r"""Traces from what other tools keep: steps, canvases, or the masks of what each step wrote.

Samples of several lengths are filled up; `present` has the positions that are there. What is known to be a
prompt is not counted, nor is what was never finalised, which `unfinished` has.
"""

import jax.numpy as jnp
import numpy as np

from .._errors import refuse, shown
from .trace import Traces

UNFINISHED = -2
"""In arrays of steps: never finalised. -1 and all below this one: given, as a prompt is."""


def traces_of_steps(
    steps: np.ndarray, *, present: np.ndarray | None = None, prompt: np.ndarray | None = None
) -> Traces:
    """Of `step_map` arrays `[samples, n]` (lmdeploy; DUS calls them `unmasking_stage`).

    A negative step is that of a given token, but for `UNFINISHED`.

    >>> traces_of_steps(np.array([[-1, 0, 1, -2]])).counted.tolist()
    [[False, True, True, False]]
    """
    present = np.ones(steps.shape, bool) if present is None else present
    present = present if prompt is None else present & ~prompt
    return _traces(steps, present & (steps >= 0), present & (steps == UNFINISHED))


def traces_of_canvases(
    canvases: np.ndarray,
    mask: int,
    *,
    present: np.ndarray | None = None,
    prompt: np.ndarray | None = None,
) -> Traces:
    """Of the tokens before, between and after the steps, `[samples, steps + 1, n]`, with mask token `mask`.

    A position is finalised by the last step that changes it. A change of a token, to another or to the
    mask, is an edit. What the first canvas holds was given, and counts only if it is edited. With a
    `prompt` `[samples, n]` that alone was given: what else the first canvas holds was written by the step
    before it (Dream keeps no canvas from before its first step).

    >>> canvases = np.array([[[5, 9, 9], [5, 3, 9], [5, 4, 4]]])
    >>> traces = traces_of_canvases(canvases, 9)
    >>> traces.steps.tolist(), traces.counted.tolist(), traces.edits.tolist()
    ([[-1, 1, 1]], [[False, True, True]], [[0, 1, 0]])
    """
    held = canvases != mask
    changed = canvases[:, 1:] != canvases[:, :-1]
    steps = np.where(held[:, 0] if prompt is None else prompt & held[:, 0], -1, UNFINISHED)
    if prompt is not None:  # the steps that are seen begin after one that is not
        steps = np.where(held[:, 0] & ~prompt, 0, steps)
    steps = np.where(changed.any(1), _last(changed) + (prompt is not None), steps)
    edits = np.sum(changed & held[:, :-1], axis=1)
    present = np.ones(steps.shape, bool) if present is None else present
    written = held[:, -1] & present
    return _traces(steps, written & (steps >= 0), present & ~held[:, -1], edits, canvases[:, -1])


def traces_of_masks(
    masks: np.ndarray,
    *,
    edited: np.ndarray | None = None,
    present: np.ndarray | None = None,
    prompt: np.ndarray | None = None,
) -> Traces:
    """Of the masks of what each step accepts, `[samples, steps, n]` (`accepted_index` of diffusers).

    A position is finalised where its last run of acceptances begins: some samplers accept it once, some
    again at each step that keeps it. Each earlier run is an edit, and so is each step of the masks
    `edited`, which finalise too. Without a `prompt`, positions that are never accepted are one if they come
    first.

    >>> accepted = np.array([[[0, 1, 0, 0], [0, 1, 0, 1], [0, 0, 0, 0]]], bool)
    >>> traces = traces_of_masks(accepted)
    >>> traces.steps.tolist(), traces.unfinished.tolist()
    ([[-1, 0, -2, 1]], [[False, False, True, False]])
    """
    begins = masks & ~np.concatenate([np.zeros_like(masks[:, :1]), masks[:, :-1]], axis=1)
    steps, edits = _last(begins), np.sum(begins, axis=1) - 1
    if edited is not None:
        steps, edits = np.maximum(steps, _last(edited)), edits + np.sum(edited, axis=1)
    accepted = begins.any(1)
    if prompt is None:
        prompt = ~np.logical_or.accumulate(accepted, axis=1)
    steps = np.where(accepted, steps, np.where(prompt, -1, UNFINISHED))
    present = np.ones(steps.shape, bool) if present is None else present
    counted = present & accepted & ~prompt
    return _traces(steps, counted, present & ~accepted & ~prompt, np.maximum(edits, 0))


def mask_of(first: np.ndarray, last: np.ndarray) -> int:
    """The mask token of canvases `[n]`: all that the last one changed had it in the first, and it is gone.

    Raises:
        InvalidInputError: several tokens were changed, or none, or one that the last canvas still has.

    >>> mask_of(np.array([5, 9, 9]), np.array([5, 3, 4]))
    9
    """
    found = np.unique(first[first != last])
    wanted = "given, the number of the mask token of canvases"
    if found.size != 1:
        refuse("mask", f"not to be seen: {shown(found.tolist())} were replaced", wanted)
    if found[0] in last:
        refuse("mask", f"not to be seen: {found[0]} was replaced, and is in the last canvas", wanted)
    return int(found[0])


def _last(flags: np.ndarray) -> np.ndarray:
    """The last step of each flag, -1 of none; `[samples, steps, n]` to `[samples, n]`."""
    steps = flags.shape[1]
    if steps == 0:
        return np.full((flags.shape[0], flags.shape[2]), -1)
    return np.where(flags.any(1), steps - 1 - np.argmax(flags[:, ::-1], axis=1), -1)


def _traces(steps, counted, unfinished, edits=None, tokens=None) -> Traces:
    """In the shortest integers: they are sorted twice as fast."""
    low, high = (int(steps.min()), int(steps.max())) if steps.size else (0, 0)
    short = low >= -(2**15) and high < 2**15 - 1
    steps = jnp.asarray(steps.astype(np.int16 if short else np.int64))
    more = [None if array is None else jnp.asarray(array) for array in (edits, tokens)]
    return Traces(steps, jnp.asarray(counted), *more, unfinished=jnp.asarray(unfinished))
