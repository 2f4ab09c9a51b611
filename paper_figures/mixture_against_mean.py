"""KL of the sampler and its mean over orders against the number of steps, a panel a family."""

import numpy as np
from matplotlib.figure import Figure

from ._style import legend_below, new_figure, panel_label

EXPERIMENT = "own_law"

LOOKS = {
    "of_mean_expected": {
        "label": "best for the mean: mean over ordered partitions",
        "color": "black",
        "linestyle": "-",
        "marker": "o",
    },
    "of_mean_own": {
        "label": "best for the mean: the sampler itself",
        "color": "#d55e00",
        "linestyle": "--",
        "marker": "s",
    },
    "best_own": {
        "label": "best for the sampler: the sampler itself",
        "color": "#0072b2",
        "linestyle": ":",
        "marker": "D",
        "markerfacecolor": "white",
    },
}


def draw(arrays: dict[str, np.ndarray]) -> Figure:
    """The longest first member of each family, without the last number of steps, where all are zero."""
    families = arrays["family"]
    columns = min(4, len(families))
    rows = -(-len(families) // columns)
    figure, grid = new_figure(rows, columns, height=2.1 * rows + 0.6)
    for index, (axes, family) in enumerate(zip(grid.flat, families, strict=False)):
        n = arrays["n"][index, -1]
        steps = np.arange(1, n)
        for name, look in LOOKS.items():
            axes.plot(steps, arrays[f"{name}_kl_nats"][index, -1, 0, : n - 1], **look)
        axes.set_yscale("log")
        axes.set_xticks(steps)
        panel_label(axes, f"{family}\n$n$ = {n}")
    for axes in grid.flat[len(families) :]:
        axes.remove()
    for axes in grid[-1]:
        axes.set_xlabel("steps")
    for axes in grid[:, 0]:
        axes.set_ylabel("KL from the truth, nats")
    legend_below(figure, grid[0, 0], 1)
    return figure
