"""A network learns a Block-HMM: curves, errors, and what every order pays as the error falls.

Everything is exact but the training, of which there are several seeds: lines are means over them, points
single trainings. The learning error is that of one token a step in random order. The excess is that of the
expected KL with exact conditionals: the optimum of the learned curve less that of the true one.
"""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ._style import new_figure, panel_label

EXPERIMENT = "learned_block_hmm"

FLOOR = 1e-3
"""Nats; what is below is drawn on the edge."""

LOOKS = {
    "easy-first": {"color": "#d55e00", "linestyle": "-", "marker": "o"},
    "hard-first": {"color": "#0072b2", "linestyle": "--", "marker": "s"},
    "left to right": {"color": "0.45", "linestyle": ":", "marker": ">"},
    "random": {"color": "#cc79a7", "linestyle": "-.", "marker": "^"},
}
BEST = {"color": "black", "linestyle": "-", "marker": "*", "label": "best policy"}
MARKERS = "svD^P"
TICKS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)


def draw(arrays: dict[str, np.ndarray]) -> Figure:
    """Curves; errors of schedules; then KLs over the mean random order, at one and two tokens a step."""
    figure, grid = new_figure(2, 2, height=5.6)
    _curves(grid[0, 0], arrays)
    _errors(grid[0, 1], arrays)
    for axes, row in zip(grid[1], range(arrays["per_step"].size), strict=True):
        _orders(axes, arrays, row)
    grid[1, 0].set_ylabel("KL$(p\\,\\|\\,$law$)$ over the mean of random orders")
    handles, labels = grid[1, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=5)
    return figure


def _curves(axes: Axes, arrays: dict[str, np.ndarray]) -> None:
    steps, loss = arrays["training_steps"], arrays["loss_nats"].mean(0)
    revealed = np.arange(loss.shape[1])
    shown = np.unique(np.linspace(1, steps.size - 1, 4).astype(int))
    for number, checkpoint in enumerate(shown):
        shade = str(0.7 - 0.5 * number / max(shown.size - 1, 1))
        axes.plot(
            revealed, loss[checkpoint], color=shade, linestyle="--", marker=MARKERS[number],
            label=f"after {steps[checkpoint]} steps",
        )  # fmt: skip
    axes.plot(revealed, arrays["true_loss_nats"], color="black", linewidth=1.8, label="true")
    axes.set_xlabel("tokens revealed, $m$")
    axes.set_ylabel("loss $c(m)$, nats a masked token")
    axes.set_ylim(0, None)
    axes.legend(loc="lower left")
    panel_label(axes, "learned and true curve")


def _errors(axes: Axes, arrays: dict[str, np.ndarray]) -> None:
    steps = np.maximum(arrays["training_steps"], arrays["training_steps"][1] / 2)
    learning = arrays["learning_error_nats"].sum(-1)
    axes.plot(steps, learning.mean(0), color="black", linewidth=1.8, label="learning error")
    excess = arrays["learned_split_nats"][..., 0] - arrays["true_split_nats"][..., 0]
    for number, k in enumerate(arrays["schedule_steps"]):
        axes.plot(
            steps, np.maximum(excess[:, :, number].mean(0), FLOOR), linestyle="--",
            color=str(0.15 + 0.15 * number), marker=MARKERS[number], label=f"excess, $k$ = {k}",
        )  # fmt: skip
    axes.set(xscale="log", yscale="log")
    axes.set_ylim(FLOOR * 0.8, 30 * learning.max())
    axes.set_xlabel("training steps (leftmost: none)")
    axes.set_ylabel(f"nats ({FLOOR:g}: that or less)")
    axes.legend(loc="upper right", ncols=2)
    panel_label(axes, "learned curve's schedule over the true optimum")


def _orders(axes: Axes, arrays: dict[str, np.ndarray], row: int) -> None:
    names, mean = arrays["order"].tolist(), arrays["mean_split_nats"][:, :, row].sum(-1)
    learning = arrays["learning_error_nats"].sum(-1)
    ratios = {name: arrays["forward_kl_nats"][:, :, row, names.index(name)] / mean for name in LOOKS}
    best = arrays["best_policy_kl_nats"][:, :, row] / mean
    for (name, look), ratio in zip([*LOOKS.items(), ("best", BEST)], [*ratios.values(), best], strict=True):
        look = {"label": name} | look
        axes.plot(learning.mean(0), ratio.mean(0), **look)
        points = look | {"linestyle": "", "label": None, "alpha": 0.35, "markersize": 2}
        axes.plot(learning.ravel(), ratio.ravel(), **points)
    axes.axhline(1.0, color="0.45", linewidth=0.8, zorder=0)
    axes.set_xscale("log")
    axes.set_xticks(TICKS, [f"{tick:g}" for tick in TICKS])
    axes.minorticks_off()
    axes.set_xlim(learning.max() * 1.1, learning.min() / 1.1)
    axes.set_xlabel("learning error, nats (training goes to the right)")
    count = arrays["per_step"][row]
    panel_label(axes, "one token a step" if count == 1 else f"{count} tokens a step")
