"""Sudoku: whether each decoder fills easier blanks first, when it fills each round, what it solves."""

import numpy as np
from matplotlib.figure import Figure

from ._style import legend_below, new_figure, panel_label

EXPERIMENT = "sudoku"

LOOKS = (
    {"color": "0.5", "marker": "s", "markerfacecolor": "white"},
    {"color": "black", "marker": "o"},
    {"color": "#d55e00", "marker": "^"},
)
WHEN = {
    "random": {"color": "0.5", "linestyle": ":", "marker": "x"},
    "confidence": {"color": "black", "linestyle": "-", "marker": "o"},
    "hard first": {"color": "#0072b2", "linestyle": "--", "marker": "s", "markerfacecolor": "white"},
    "by propagation": {"color": "#d55e00", "linestyle": "-.", "marker": "^"},
}


def draw(arrays: dict[str, np.ndarray]) -> Figure:
    """Means over puzzles and seeds with 95% intervals; a look a network."""
    figure, grid = new_figure(2, 2, height=5.4)
    names, cases = arrays["decoder"].tolist(), arrays["case"].tolist()
    heights = np.arange(len(names))[::-1]
    wanted = {
        "candidates": (grid[0, 0], arrays["kendall_tau_b"][:, :, 0]),
        "depth": (grid[0, 1], arrays["kendall_tau_b"][:, :, 1]),
        "accuracy": (grid[1, 0], arrays["accuracy"]),
    }
    for axes, found in wanted.values():
        for at, case in enumerate(cases):
            mean, low, high = found[at].T
            shifted = heights - 0.2 * (at - (len(cases) - 1) / 2)
            errors = np.maximum([mean - low, high - mean], 0)
            axes.errorbar(
                mean,
                shifted,
                xerr=errors,
                linestyle="",
                elinewidth=0.7,
                label=case,
                **LOOKS[at],
            )
        axes.set_yticks(heights, names)
    for axes, of in ((grid[0, 0], "candidates at the start"), (grid[0, 1], "round of propagation")):
        axes.axvline(0, color="0.6", linewidth=0.8)
        axes.set_xlabel(r"$\tau_b$ of step and difficulty (1: easy first)")
        panel_label(axes, f"difficulty: {of}")
    grid[1, 0].set_xlabel("puzzles solved, share")
    panel_label(grid[1, 0], "accuracy at temperature 0")
    axes = grid[1, 1]
    for name, look in WHEN.items():
        mean, low, high = arrays["when_filled"][-1, names.index(name)].T
        x = np.arange(len(mean))
        axes.errorbar(x, mean, yerr=np.maximum([mean - low, high - mean], 0), label=name, **look)
    axes.set_xticks(x, arrays["round"].tolist())
    axes.set_xlabel("round of propagation that determines the blank")
    axes.set_ylabel("when filled (0 first step, 1 last)")
    axes.legend(loc="best")
    panel_label(axes, f"networks of {cases[-1]}")
    legend_below(figure, grid[0, 0], len(cases))
    return figure
