"""Pictures of traces: when the positions of many samples were finalised, and one sample step by step."""

import io
from typing import TYPE_CHECKING, Any

import numpy as np

from ..decoders.run import Trace
from ..traces.trace import traces_of
from .plots import as_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_FRAMES = 120
"""Frames of an animation; of more steps some are shown (our choice)."""
COLOURS = ("#eeeeee", "#9a9a9a", "#9ecae1", "#08519c", "#d7301f")
STATES = ("masked", "given", "written before", "written in this step", "written again")


def heat_map(steps: np.ndarray, counted: np.ndarray, title: str, kind: str) -> bytes:
    """The share of samples `[samples, n]` that finalise a position (down) in a step (across)."""
    figure = _figure((7.0, 4.5))
    axes = figure.add_subplot()
    sample, position = np.nonzero(counted)
    found = steps[sample, position].astype(int)
    first, last, n = int(found.min()), int(found.max()), int(position.max()) + 1
    bins = [min(n, 512), min(last - first + 1, 512)]
    grid, *edges = np.histogram2d(position, found, bins, [[-0.5, n - 0.5], [first - 0.5, last + 0.5]])
    grid /= np.maximum(grid.sum(1, keepdims=True), 1)
    image = axes.pcolormesh(edges[1], edges[0], grid, cmap="Blues", vmin=0)
    figure.colorbar(image, ax=axes, label="share of the samples of a position")
    axes.set(xlabel="step", ylabel="position", title=f"{title}: {len(steps)} samples")
    axes.invert_yaxis()
    for name in ("x", "y"):
        axes.locator_params(axis=name, integer=True)
    return as_file(figure, kind)


def animation(states: np.ndarray, title: str) -> bytes:
    """A GIF of one sample: rows of `states` `[steps, n]` (places in `STATES`), one more with each frame."""
    from matplotlib.colors import ListedColormap
    from matplotlib.patches import Patch
    from PIL import Image

    steps, n = states.shape
    figure = _figure((7.0, min(7.0, max(3.2, 1.6 + 0.12 * steps))))
    axes = figure.add_subplot()
    shown = np.full((steps, n), np.nan)
    image = axes.imshow(
        shown, cmap=ListedColormap(COLOURS), vmin=-0.5, vmax=4.5, aspect="auto", interpolation="nearest"
    )
    axes.set(xlabel="position", ylabel="step")
    for name in ("x", "y"):
        axes.locator_params(axis=name, integer=True)
    used = [state for state in range(len(STATES)) if (states == state).any()]
    patches = [Patch(facecolor=COLOURS[state], label=STATES[state]) for state in used]
    figure.legend(
        handles=patches, loc="outside lower center", ncols=len(used), fontsize="small", frameon=False
    )
    frames = list[Any]()
    ends = np.unique(np.linspace(1, steps, min(steps, MOST_FRAMES)).round().astype(int))
    for end in ends:
        shown[:end] = states[:end]
        image.set_data(np.ma.masked_invalid(shown))
        written = int(np.sum(states[end - 1] >= 3))
        axes.set_title(f"{title}: step {end - 1} of {steps - 1}, {written} written", fontsize="medium")
        figure.canvas.draw()
        pixels = np.asarray(figure.canvas.buffer_rgba())[..., :3]  # pyright: ignore[reportAttributeAccessIssue]
        frames.append(Image.fromarray(pixels.copy()).quantize(64))
    stream, last = io.BytesIO(), 2000
    times = [*[max(60, min(500, 8000 // len(frames)))] * (len(frames) - 1), last]
    frames[0].save(
        stream, format="GIF", save_all=True, append_images=frames[1:], duration=times, loop=0, disposal=1
    )
    return stream.getvalue()


def drawn(traces: Trace, q: int, title: str) -> bytes:
    """The animation of the first of our own traces, which have canvases."""
    assert traces.canvases is not None
    first = traces_of(traces, q)
    states = states_of(*(np.asarray(a[0]) for a in (first.steps, first.counted, traces.canvases)), mask=q)
    return animation(states, title)


def states_of(
    steps: np.ndarray, counted: np.ndarray, canvases: np.ndarray | None = None, mask: int | None = None
) -> np.ndarray:
    """The states of one sample step by step, `[steps, n]`: from its canvases, or from its last changes."""
    if canvases is not None and mask is not None:
        held, changed = canvases != mask, canvases[1:] != canvases[:-1]
        before = np.where(held[0], 1, 2)
        rows = np.where(held[1:], before, 0)
        rows = np.where(changed & held[1:], np.where(held[:-1], 4, 3), rows)
        rows = np.where(~changed & held[1:] & np.logical_or.accumulate(changed, axis=0), 2, rows)
        last = np.flatnonzero(changed.any(1))
        return rows[: last[-1] + 1] if last.size else rows[:1]
    given = ~counted
    times = np.unique(steps[counted])
    rows = np.where(steps < times[:, None], 2, np.where(steps == times[:, None], 3, 0))
    return np.where(given, 1, rows)


def _figure(size: tuple[float, float]) -> "Figure":
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    return figure
