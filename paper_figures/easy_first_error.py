"""Reverse KL of orders over that of the mean fixed order, against the size of the model's error."""

import numpy as np
from matplotlib.figure import Figure

from ._style import legend_below, new_figure, panel_label

EXPERIMENT = "easy_first_error"

LOOKS = {
    "easy-first": {"color": "#d55e00", "linestyle": "-", "marker": "o"},
    "hard-first": {"color": "#0072b2", "linestyle": "--", "marker": "s"},
    "left to right": {"color": "0.45", "linestyle": ":", "marker": ">"},
    "right to left": {"color": "0.45", "linestyle": ":", "marker": "<"},
    "random": {"color": "#cc79a7", "linestyle": "-.", "marker": "^"},
    "best fixed": {"color": "#009e73", "linestyle": (0, (6, 2)), "marker": "D", "markerfacecolor": "white"},
    "best adaptive": {"color": "black", "linestyle": "-", "marker": "*"},
}


def draw(arrays: dict[str, np.ndarray]) -> Figure:
    """A panel an error; means over the tables of the ratio, below one: better than a fixed order drawn."""
    kinds, orders = arrays["kind"], list(arrays["order"])
    figure, grid = new_figure(1, len(kinds), height=3.2, sharey=True)
    ratios = arrays["reverse_kl_nats"] / arrays["mean_fixed_order_nats"][..., None]
    for axes, kind, sizes, ratio in zip(grid[0], kinds, arrays["size"], ratios, strict=True):
        for order, look in LOOKS.items():
            axes.plot(sizes, ratio[..., orders.index(order)].mean(1), label=order, **look)
        axes.set_xscale("log")
        axes.set_xlabel(r"share $\delta$" if "share" in str(kind) else r"error over entropy $\alpha$")
        panel_label(axes, str(kind))
    grid[0, 0].set_ylabel("reverse KL over that of the mean fixed order")
    legend_below(figure, grid[0, 0], 4)
    return figure
