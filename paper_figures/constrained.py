"""Ways to keep a constraint: accepted mass, distance from p(x | accepted) and calls, a column a family."""

import numpy as np
from matplotlib.figure import Figure

from ._style import legend_below, new_figure, panel_label

EXPERIMENT = "constrained"

LOOKS = {
    "no constraint": {"color": "0.55", "linestyle": ":", "marker": "o", "label": "no constraint"},
    "rejection": {
        "color": "#0072b2",
        "linestyle": "--",
        "marker": "s",
        "label": "rejection of whole words",
    },
    "DINGO": {"color": "#d55e00", "linestyle": "-.", "marker": "^", "label": "DINGO (argmax)"},
    "completable": {
        "color": "#009e73",
        "linestyle": (0, (4, 1)),
        "marker": "D",
        "markerfacecolor": "white",
        "label": "completable (DINGO's product, drawn)",
    },
    "constrained": {
        "color": "black",
        "linestyle": "-",
        "marker": "v",
        "label": "constrained (drawn, looks ahead)",
    },
}
ROWS = {
    "accepted_mass": "accepted mass",
    "forward_kl_nats": "KL(p | accepted || law), nats",
    "total_variation": "total variation",
    "calls": "expected calls",
}


def draw(arrays: dict[str, np.ndarray]) -> Figure:
    """Means over random laws with 95% intervals; a forward KL that is infinite is left out."""
    families, widths = arrays["family"], arrays["width"]
    figure, grid = new_figure(len(ROWS), len(families), height=7.4, sharey="row")
    for column, family in enumerate(families):
        for row, (key, label) in enumerate(ROWS.items()):
            axes = grid[row, column]
            for place, method in enumerate(arrays["method"]):
                values = arrays[key][column, place]
                shown = np.isfinite(values).all(axis=1)
                if not shown.any():
                    continue
                some = values[shown]
                error = 1.96 * some.std(axis=1, ddof=1) / np.sqrt(some.shape[1])
                shifted = np.flatnonzero(shown) + 0.07 * (place - 2)  # else marks hide each other
                axes.errorbar(shifted, some.mean(axis=1), yerr=error, elinewidth=0.7, **LOOKS[str(method)])
            used = np.flatnonzero(np.isfinite(arrays["calls"][column, 0]).all(axis=1))
            axes.set_xticks(used, [str(width) for width in widths[used]])
            if column == 0:
                axes.set_ylabel(label)
        panel_label(grid[0, column], str(family))
        grid[-1, column].set_xlabel("tokens written at once")
    for row in (0, 1, 2):
        grid[row, 0].set_ylim(bottom=0)
    grid[3, 0].set_yscale("log")
    ticks = [1, 2, 4, 8, 16]
    grid[3, 0].set_yticks(ticks, [str(tick) for tick in ticks])
    grid[3, 0].minorticks_off()
    legend_below(figure, grid[0, 0], 3)
    return figure
