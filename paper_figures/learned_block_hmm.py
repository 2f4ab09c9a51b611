"""A network learns a Block-HMM: curves, errors, and what every order pays as the error falls.

Everything is exact but the training, of which there are several seeds: lines are means over them, points
single trainings. The learning error is that of one token a step in random order. The excess is that of the
expected KL with exact conditionals: the optimum of the learned curve less that of the true one.
"""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ._rows import rows_of, values_of
from ._style import new_figure, panel_label

EXPERIMENT = "learned_block_hmm"

FLOOR = 1e-3
"""Nats; what is below is drawn on the edge."""

LOOKS = {
    "entropy": {"label": "easy-first", "color": "#d55e00", "linestyle": "-", "marker": "o"},
    "hard-first": {"label": "hard-first", "color": "#0072b2", "linestyle": "--", "marker": "s"},
    "l2r": {"label": "left to right", "color": "0.45", "linestyle": ":", "marker": ">"},
    "random": {"label": "random", "color": "#cc79a7", "linestyle": "-.", "marker": "^"},
    "optimal": {"label": "best policy", "color": "black", "linestyle": "-", "marker": "*"},
}
MARKERS = "svD^P"
TICKS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)


def draw(arrays: dict[str, np.ndarray]) -> Figure:
    """Curves; errors of schedules; then KLs over the mean random order, at one and two tokens a step."""
    figure, grid = new_figure(2, 2, height=5.6)
    _curves(grid[0, 0], arrays)
    _errors(grid[0, 1], arrays)
    counts = sorted(values_of(rows_of(arrays, {"decoder": "l2r"}), "steps"), reverse=True)
    for axes, steps in zip(grid[1], counts, strict=False):
        _orders(axes, arrays, steps)
    grid[1, 0].set_ylabel("KL$(p\\,\\|\\,$law$)$ over the mean of random orders")
    handles, labels = grid[1, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=5)
    return figure


def by_checkpoint(arrays: dict[str, np.ndarray], name: str, equal: dict) -> np.ndarray:
    """A number of the trained models, `[seed, checkpoint, ...]`."""
    steps, seeds = values_of(arrays, "model.steps"), values_of(arrays, "seed")
    found = [
        [
            rows_of(arrays, {**equal, "model": "trained", "seed": seed, "model.steps": step})[name][0]
            for step in steps
        ]
        for seed in seeds
    ]
    return np.array(found)


def _one_by_one(arrays: dict[str, np.ndarray]) -> dict:
    """Random order, one token a step."""
    return {"decoder": "random", "schedule": "llada_uniform", "steps": arrays["loss"].shape[1]}


def _curves(axes: Axes, arrays: dict[str, np.ndarray]) -> None:
    steps = values_of(arrays, "model.steps")
    loss = by_checkpoint(arrays, "loss", _one_by_one(arrays)).mean(0)
    revealed = np.arange(loss.shape[1])
    shown = np.unique(np.linspace(1, len(steps) - 1, 4).astype(int))
    for number, checkpoint in enumerate(shown):
        shade = str(0.7 - 0.5 * number / max(shown.size - 1, 1))
        axes.plot(
            revealed, loss[checkpoint], color=shade, linestyle="--", marker=MARKERS[number],
            label=f"after {steps[checkpoint]:g} steps",
        )  # fmt: skip
    for true in rows_of(arrays, {"model": "oracle"})["loss"][:1]:
        axes.plot(revealed, true, color="black", linewidth=1.8, label="true")
    axes.set_xlabel("tokens revealed, $m$")
    axes.set_ylabel("loss $c(m)$, nats a masked token")
    axes.set_ylim(0, None)
    axes.legend(loc="lower left")
    panel_label(axes, "learned and true curve")


def _errors(axes: Axes, arrays: dict[str, np.ndarray]) -> None:
    steps = np.array(values_of(arrays, "model.steps"), float)
    steps = np.maximum(steps, steps[1] / 2)
    learning = by_checkpoint(arrays, "learning_error", _one_by_one(arrays))
    axes.plot(steps, learning.mean(0), color="black", linewidth=1.8, label="learning error")
    for number, k in enumerate(values_of(rows_of(arrays, {"schedule": "best"}), "steps")):
        of = {"decoder": "random", "steps": k}
        learned, true = (
            by_checkpoint(arrays, "sampling_error", {**of, "schedule": name})
            for name in ("best-learned", "best")
        )
        axes.plot(
            steps, np.maximum((learned - true).mean(0), FLOOR), linestyle="--",
            color=str(0.15 + 0.15 * number), marker=MARKERS[number], label=f"excess, $k$ = {k:g}",
        )  # fmt: skip
    axes.set(xscale="log", yscale="log")
    axes.set_ylim(FLOOR * 0.8, 30 * learning.max())
    axes.set_xlabel("training steps (leftmost: none)")
    axes.set_ylabel(f"nats ({FLOOR:g}: that or less)")
    axes.legend(loc="upper right", ncols=2)
    panel_label(axes, "learned curve's schedule over the true optimum")


def _orders(axes: Axes, arrays: dict[str, np.ndarray], steps: float) -> None:
    equal = {"schedule": "llada_uniform", "steps": steps}
    random = {**equal, "decoder": "random"}
    mean = sum(by_checkpoint(arrays, f"{kind}_error", random) for kind in ("sampling", "learning"))
    learning = by_checkpoint(arrays, "learning_error", _one_by_one(arrays))
    for decoder, look in LOOKS.items():
        ratio = by_checkpoint(arrays, "forward_kl", {**equal, "decoder": decoder}) / mean
        axes.plot(learning.mean(0), ratio.mean(0), **look)
        points = look | {"linestyle": "", "label": None, "alpha": 0.35, "markersize": 2}
        axes.plot(learning.ravel(), ratio.ravel(), **points)
    axes.axhline(1.0, color="0.45", linewidth=0.8, zorder=0)
    axes.set_xscale("log")
    axes.set_xticks(TICKS, [f"{tick:g}" for tick in TICKS])
    axes.minorticks_off()
    axes.set_xlim(learning.max() * 1.1, learning.min() / 1.1)
    axes.set_xlabel("learning error, nats (training goes to the right)")
    count = -(-arrays["loss"].shape[1] // int(steps))
    panel_label(axes, "one token a step" if count == 1 else f"{count} tokens a step")
