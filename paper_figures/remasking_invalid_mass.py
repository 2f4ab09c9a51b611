"""Mass on impossible sequences, and forward KL, against passes of remasking, a column a family."""

import numpy as np
from matplotlib.figure import Figure

from ._style import legend_below, new_figure, panel_label

EXPERIMENT = "remasking_invalid_mass"

LOOKS = [
    {"color": "black", "linestyle": "-", "marker": "o"},
    {"color": "#d55e00", "linestyle": "--", "marker": "s"},
    {"color": "#0072b2", "linestyle": ":", "marker": "^"},
]


def draw(arrays: dict[str, np.ndarray]) -> Figure:
    """Above the mass where p is zero, below the forward KL."""
    families, widths = arrays["family"], arrays["width"]
    figure, grid = new_figure(2, len(families), height=4.4, sharex=True)
    for column, family in enumerate(families):
        for row, key in enumerate(("invalid_mass", "forward_kl_nats")):
            axes = grid[row, column]
            for width, values, look in zip(widths, arrays[key][column], LOOKS, strict=False):
                label = "one position at a time (Gibbs)" if width == 1 else f"{width} positions at once"
                axes.plot(np.arange(values.size), values, label=label, **look)
            axes.set_ylim(bottom=-0.03 * max(1.0, np.max(arrays[key][column])))
        panel_label(grid[0, column], str(family))
        grid[1, column].set_xlabel("passes of remasking")
    grid[0, 0].set_ylabel("mass where $p = 0$")
    grid[1, 0].set_ylabel("forward KL, nats")
    legend_below(figure, grid[0, 0], len(widths))
    return figure
