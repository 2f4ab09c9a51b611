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
    "DINGO": {
        "color": "#d55e00",
        "linestyle": "-.",
        "marker": "^",
        "label": "DINGO (argmax; forward KL infinite)",
    },
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
    "forward_kl_nats": "forward KL, nats",
    "total_variation": "total variation",
    "calls": "expected calls",
}


def draw(arrays: dict[str, np.ndarray]) -> Figure:
    """Means over random laws with 95% intervals; a forward KL that is infinite is left out.

    Divergences are from p(x | accepted); the axis of the KL is linear below 0.01.
    """
    families, widths = arrays["family"], arrays["width"]
    figure, grid = new_figure(len(ROWS), len(families), height=7.8, sharey="row")
    for column, family in enumerate(families):
        for row, (key, label) in enumerate(ROWS.items()):
            axes = grid[row, column]
            for place, method in enumerate(arrays["method"]):
                values = arrays[key][column, place]
                shifted = np.arange(len(widths)) + 0.07 * (place - 2)  # else marks hide each other
                finite = bool(np.isfinite(values).all())
                mean = values.mean(axis=1) if finite else np.full(len(widths), np.nan)
                error = 1.96 * values.std(axis=1, ddof=1) / np.sqrt(values.shape[1]) if finite else None
                axes.errorbar(shifted, mean, yerr=error, elinewidth=0.7, **LOOKS[str(method)])
            axes.set_xticks(
                np.arange(len(widths)), [str(w) for w in np.minimum(widths, arrays["n"][column])]
            )
            if column == 0:
                axes.set_ylabel(label)
        panel_label(grid[0, column], f"{family}, $n$ = {arrays['n'][column]}")
        for axes in grid[1:, column]:
            axes.set_xlabel("tokens written at once")
    grid[1, 0].set_yscale("symlog", linthresh=0.01, linscale=0.5)
    grid[1, 0].set_ylim(-0.002, 5)
    grid[1, 0].set_yticks([0, 0.01, 0.1, 1], ["0", "0.01", "0.1", "1"])
    for row in (0, 2):
        grid[row, 0].set_ylim(bottom=0)
    grid[3, 0].set_yscale("log")
    ticks = [1, 2, 4, 8, 16]
    grid[3, 0].set_yticks(ticks, [str(tick) for tick in ticks])
    grid[3, 0].minorticks_off()
    legend_below(figure, grid[0, 0], 3)
    return figure
