"""AFP, order and accuracy of each task by threshold; at one threshold, by stage and by correctness."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ._style import new_figure, panel_label

EXPERIMENT = "task_traces"

LOOKS: tuple[dict[str, Any], ...] = (
    {"color": "black", "marker": "o"},
    {"color": "#0072b2", "marker": "s", "markerfacecolor": "white"},
    {"color": "#d55e00", "marker": "^"},
    {"color": "0.5", "marker": "D", "markerfacecolor": "white"},
)
SHOWN = ("threshold 0.5", "threshold 0.9", "threshold 0.99", "one a step")
WITHIN = "threshold 0.5"
"""The decoder that is looked into."""
ORDERED = 0.02
"""The least share of answers that have an order, for their mean tau to be drawn."""
LABELS = {
    "afp": "tokens a step (AFP)",
    "kendall_tau_b": r"$\tau_b$ of position and step",
    "tie_fraction": "pairs of one step, share",
    "accuracy": "right answers, share",
}


def draw(arrays: dict[str, np.ndarray]) -> Figure:
    """Means over problems and seeds with 95% intervals; left by decoder, right within one of them."""
    figure, grid = new_figure(4, 2, height=7.6, sharex=True)
    names, groups = arrays["decoder"].tolist(), arrays["group"].tolist()
    shown = [name for name in SHOWN if name in names]
    for axes, (metric, label) in zip(grid[:, 0], LABELS.items(), strict=True):
        found = arrays[metric] if metric == "accuracy" else arrays[metric][:, :, 0]
        if metric == "kendall_tau_b":
            found = np.where(arrays["with_a_tau"][:, :, None] >= ORDERED, found, np.nan)
        _dots(axes, [found[:, names.index(name)] for name in shown], shown)
        panel_label(axes, f"{label}, by decoder")
    at = names.index(WITHIN)
    stages = [arrays["stages"][:, at, 0, stage] for stage in range(3)]
    _dots(grid[0, 1], stages, ("first third of steps", "second", "last"))
    panel_label(grid[0, 1], f"AFP by stage, {WITHIN}")
    for axes, metric in zip(grid[1:, 1], ("afp", "kendall_tau_b", "tie_fraction"), strict=True):
        some = [arrays[metric][:, at, groups.index(name)] for name in ("right", "wrong")]
        _dots(axes, some, ("right answers", "wrong answers"))
        panel_label(axes, f"{LABELS[metric]}, {WITHIN}")
    for axes in (grid[1, 0], grid[2, 1]):
        axes.axhline(0, color="0.6", linewidth=0.8)
    for axes in grid[-1]:
        axes.set_xticks(np.arange(arrays["task"].size), arrays["task"].tolist(), rotation=30)
        axes.set_xlabel("task")
    for axes in (grid[0, 0], grid[0, 1], grid[1, 1]):
        low, high = axes.get_ylim()
        wide = axes is not grid[0, 0]
        axes.set_ylim(low, high + (0.25 if wide else 0.4) * (high - low))  # room for words
        axes.legend(loc="upper left", ncols=3 if wide else 2, handlelength=0.8, columnspacing=0.9)
    return figure


def _dots(axes: Axes, series: Sequence[np.ndarray], labels: Sequence[str]) -> None:
    """Of each series `[task, 3]` a dot with its interval, side by side at each task."""
    for index, (found, label) in enumerate(zip(series, labels, strict=True)):
        x = np.arange(len(found)) + 0.18 * (index - (len(series) - 1) / 2)
        mean, low, high = found.T
        errors = np.maximum([mean - low, high - mean], 0)
        axes.errorbar(x, mean, yerr=errors, linestyle="", elinewidth=0.7, label=label, **LOOKS[index])
    axes.margins(x=0.02, y=0.1)
