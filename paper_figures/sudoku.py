"""Sudoku: whether each decoder fills easier blanks first, when it fills each round, what it solves."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ._style import legend_below, new_figure, panel_label

EXPERIMENT = "sudoku"

LOOKS: tuple[dict[str, Any], ...] = (
    {"color": "0.5", "marker": "s", "markerfacecolor": "white"},
    {"color": "black", "marker": "o"},
    {"color": "#d55e00", "marker": "^"},
)
WHEN: dict[str, dict[str, Any]] = {
    "random": {"color": "0.5", "linestyle": ":", "marker": "x"},
    "confidence": {"color": "black", "linestyle": "-", "marker": "o"},
    "hard first": {"color": "#0072b2", "linestyle": "--", "marker": "s", "markerfacecolor": "white"},
    "by propagation": {"color": "#d55e00", "linestyle": "-.", "marker": "^"},
}


RARE = 0.005
"""Rounds of fewer blanks are not drawn."""
TITLES = ("candidates at the start", "round, all singles", "round, naked singles")


def draw(arrays: dict[str, np.ndarray]) -> Figure:
    """Means over puzzles and seeds with 95% intervals; a look a network."""
    figure, grid = new_figure(2, 3, height=5.6)
    names, cases = arrays["decoder"].tolist(), arrays["case"].tolist()
    heights = np.arange(len(names))[::-1]
    tau = np.moveaxis(arrays["kendall_tau_b"], 2, 0)
    bars = [*zip(grid[0], tau, strict=True), (grid[1, 0], arrays["accuracy"])]
    bars.append((grid[1, 1], arrays["tokens_per_step"]))
    for axes, found in bars:
        for at, case in enumerate(cases):
            mean, low, high = found[at].T
            shifted = heights - 0.22 * (at - (len(cases) - 1) / 2)
            errors = np.maximum([mean - low, high - mean], 0)
            axes.errorbar(mean, shifted, xerr=errors, linestyle="", elinewidth=0.7, label=case, **LOOKS[at])
        axes.set_yticks(heights, names if axes in grid[:, 0] else [""] * len(names))
    for axes, title in zip(grid[0], TITLES, strict=True):
        axes.axvline(0, color="0.6", linewidth=0.8)
        axes.set_xlim(-1, 1)
        axes.set_xlabel(r"$\tau_b$ of step and difficulty")
        panel_label(axes, title)
    grid[1, 0].set_xlabel("puzzles solved, share")
    panel_label(grid[1, 0], "accuracy")
    grid[1, 1].set_xlabel("tokens a step")
    panel_label(grid[1, 1], "speed")
    axes, kept = grid[1, 2], arrays["share_of_round"][-1] >= RARE
    x = np.flatnonzero(kept)
    for name, look in WHEN.items():
        mean, low, high = arrays["when_filled"][-1, names.index(name)][kept].T
        axes.errorbar(x, mean, yerr=np.maximum([mean - low, high - mean], 0), label=name, **look)
    axes.set_xticks(x, arrays["round"][kept].tolist())
    axes.set_xlabel("round, all singles")
    axes.set_ylim(0, 1.75)
    axes.set_yticks([0, 0.5, 1])
    axes.legend(loc="upper left")
    panel_label(axes, "when filled: 0 first, 1 last")
    legend_below(figure, grid[0, 0], len(cases))
    return figure
