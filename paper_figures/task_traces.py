"""AFP, order and accuracy of each task by threshold; at one threshold, by stage and by correctness."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ._style import new_figure, panel_label

EXPERIMENT = "task_traces"

LOOKS = (
    {"color": "black", "marker": "o"},
    {"color": "#0072b2", "marker": "s", "markerfacecolor": "white"},
    {"color": "#d55e00", "marker": "^"},
    {"color": "0.5", "marker": "D", "markerfacecolor": "white"},
)
SHOWN = ("threshold 0.5", "threshold 0.9", "threshold 0.99", "one a step")
WITHIN = "threshold 0.9"
"""The decoder that is looked into."""
BY_DECODER = {
    "afp": "tokens a step (AFP)",
    "kendall_tau_b": r"$\tau_b$ of position and step",
    "tie_fraction": "tied pairs, share",
    "accuracy": "right answers, share",
}


def draw(arrays: dict[str, np.ndarray]) -> Figure:
    """Means over problems and seeds with 95% intervals; left by decoder, right within one of them."""
    figure, grid = new_figure(4, 2, height=7.6, sharex=True)
    names = arrays["decoder"].tolist()
    shown = [name for name in SHOWN if name in names]
    for axes, (metric, label) in zip(grid[:, 0], BY_DECODER.items(), strict=True):
        found = arrays[metric] if metric == "accuracy" else arrays[metric][:, :, 0]
        _dots(axes, [found[:, names.index(name)] for name in shown], shown)
        axes.set_ylabel(label)
    at, groups = names.index(WITHIN), arrays["group"].tolist()
    by_stage = [arrays["stages"][:, at, 0, stage] for stage in range(3)]
    _dots(grid[0, 1], by_stage, ("first third of steps", "second", "last"))
    grid[0, 1].set_ylabel(BY_DECODER["afp"])
    for axes, metric in zip(grid[1:, 1], ("afp", "kendall_tau_b", "tie_fraction"), strict=True):
        some = [arrays[metric][:, at, groups.index(name)] for name in ("right", "wrong")]
        _dots(axes, some, ("right answers", "wrong answers"))
        axes.set_ylabel(BY_DECODER[metric])
    for axes in (grid[1, 0], grid[2, 1]):
        axes.axhline(0, color="0.6", linewidth=0.8)
    panel_label(grid[0, 0], "by decoder")
    panel_label(grid[0, 1], f"{WITHIN}, by stage")
    panel_label(grid[1, 1], f"{WITHIN}, by correctness")
    for axes in grid[-1]:
        axes.set_xticks(np.arange(arrays["task"].size), arrays["task"].tolist(), rotation=30)
        axes.set_xlabel("task")
    for column, axes in enumerate((grid[0, 0], grid[0, 1], grid[1, 1])):
        axes.legend(loc=("upper right", "upper right", "upper right")[column], handlelength=1, borderpad=0)
    return figure


def _dots(axes: Axes, series: Sequence[np.ndarray], labels: Sequence[str]) -> None:
    """Of each series `[task, 3]` a dot with its interval, side by side at each task."""
    for index, (found, label) in enumerate(zip(series, labels, strict=True)):
        x = np.arange(len(found)) + 0.18 * (index - (len(series) - 1) / 2)
        mean, low, high = found.T
        errors = np.maximum([mean - low, high - mean], 0)
        axes.errorbar(x, mean, yerr=errors, linestyle="", elinewidth=0.7, label=label, **LOOKS[index])
    axes.margins(x=0.02, y=0.1)
