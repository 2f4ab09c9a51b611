"""L&O-NAE-SAT: what each order costs, gets right and takes first, a column a model."""

import numpy as np
from matplotlib.figure import Figure

from ._style import legend_below, new_figure, panel_label

EXPERIMENT = "nae_sat"

LOOKS = (
    {"color": "0.5", "linestyle": "-.", "marker": "x"},
    {"color": "#d55e00", "linestyle": "--", "marker": "s"},
    {"color": "#0072b2", "linestyle": ":", "marker": "^"},
    {"color": "black", "linestyle": "-", "marker": "o"},
    {"color": "#009e73", "linestyle": (0, (1, 1)), "marker": "D", "markerfacecolor": "white"},
)
NUMBERS = {
    "forward_kl_nats": "forward KL, nats",
    "observations_right": "share of observations right",
    "latents_among_first": "share of latents in first N",
}


def draw(arrays: dict[str, np.ndarray]) -> Figure:
    """Means over instances with their 95% intervals."""
    errors, steps = arrays["error"], arrays["steps"]
    figure, grid = new_figure(len(NUMBERS), len(errors), height=5.6, sharex=True, sharey="row")
    for row, (number, label) in enumerate(NUMBERS.items()):
        for column, error in enumerate(errors):
            for index, order in enumerate(arrays["order"]):
                values = arrays[number][column, index].T  # draws first
                wide = 1.96 * values.std(0, ddof=1) / np.sqrt(len(values))
                shifted = steps * 1.03 ** (index - 2)  # side by side where they are alike
                grid[row, column].errorbar(
                    shifted, values.mean(0), yerr=wide, elinewidth=0.7, label=str(order), **LOOKS[index]
                )
            grid[row, column].set_xscale("log", base=2)
            grid[row, column].set_xticks(steps, [str(step) for step in steps])
            grid[row, column].minorticks_off()
            if row == 0:
                panel_label(grid[row, column], str(error))
        grid[row, 0].set_ylabel(label)
    for axes in grid[-1]:
        axes.set_xlabel("equal steps")
    legend_below(figure, grid[0, 0], len(LOOKS))
    return figure
