"""How far Gibbs sweeps are from where they end, and what influence says of it, a column an alpha."""

import numpy as np
from matplotlib.figure import Figure

from ._style import LOOKS, legend_below, new_figure, panel_label

EXPERIMENT = "editing"

TRUE = {"color": "black", "linestyle": "-", "marker": "o", "label": "true"}
SWEPT = {"color": "#0072b2", "linestyle": "--", "marker": "s", "label": "$1^T M^k 1$"}
SUMS = {**LOOKS["bound"], "marker": "^", "linestyle": ":", "label": "row sums (above), column sums (below)"}
LEAST = 1e-5


def draw(arrays: dict[str, np.ndarray]) -> Figure:
    """Above total variation from the worst word, below transport cost from zeros; means over models."""
    alphas = arrays["alpha"]
    figure, grid = new_figure(2, len(alphas), height=4.4, sharex=True, sharey="row")
    for column, alpha in enumerate(alphas):
        bounds = ("swept_bound", SWEPT), ("rows_bound", SUMS)
        for row, lines in enumerate((
            (("worst_tv", TRUE), *bounds),
            (("transport", TRUE), bounds[0], ("columns_bound", SUMS)),
        )):  # fmt: skip
            axes = grid[row, column]
            for name, look in lines:
                values = np.maximum(arrays[name][column], LEAST / 10)
                middle = values.mean(0)
                spread = np.abs(np.stack([values.min(0), values.max(0)]) - middle)
                axes.errorbar(np.arange(middle.size), middle, yerr=spread, elinewidth=0.7, **look)
            axes.set_yscale("log")
            axes.set_ylim(bottom=LEAST)
        panel_label(grid[0, column], f"$\\alpha$ = {alpha:g}")
        grid[1, column].set_xlabel("sweeps")
    grid[0, 0].set_ylabel("total variation")
    grid[1, 0].set_ylabel("transport cost, positions")
    legend_below(figure, grid[0, 0], 3)
    return figure
