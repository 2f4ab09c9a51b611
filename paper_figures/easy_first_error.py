"""Reverse KL of orders over that of the mean fixed order, against the size of the model's error."""

import numpy as np
from matplotlib.figure import Figure

from ._rows import rows_of, values_of
from ._style import legend_below, new_figure, panel_label

EXPERIMENT = "easy_first_error"

LOOKS = {
    "entropy": {"label": "easy-first", "color": "#d55e00", "linestyle": "-", "marker": "o"},
    "hard-first": {"label": "hard-first", "color": "#0072b2", "linestyle": "--", "marker": "s"},
    "l2r": {"label": "left to right", "color": "0.45", "linestyle": ":", "marker": ">"},
    "r2l": {"label": "right to left", "color": "0.45", "linestyle": ":", "marker": "<"},
    "random": {"label": "random", "color": "#cc79a7", "linestyle": "-.", "marker": "^"},
}
BEST = {
    "best_order_reverse_kl": {
        "label": "best fixed",
        "color": "#009e73",
        "linestyle": (0, (6, 2)),
        "marker": "D",
        "markerfacecolor": "white",
    },
    "best_adaptive_reverse_kl": {
        "label": "best adaptive",
        "color": "black",
        "linestyle": "-",
        "marker": "*",
    },
}
ERRORS = {
    "mix": ("a share of every row is uniform", r"share $\delta$"),
    "entropy_noise": ("error in proportion to the entropy", r"error over entropy $\alpha$"),
}


def draw(arrays: dict[str, np.ndarray]) -> Figure:
    """A panel an error; means over the tables of the ratio, below one: better than a fixed order drawn."""
    kinds = [kind for kind in ERRORS if kind in arrays and values_of(arrays, kind)]
    figure, grid = new_figure(1, len(kinds), height=3.2, sharey=True)
    for axes, kind in zip(grid[0], kinds, strict=True):
        sizes = values_of(arrays, kind)
        for decoder in values_of(arrays, "decoder"):
            axes.plot(sizes, _ratios(arrays, kind, decoder, "reverse_kl"), **LOOKS[decoder])
        for name, look in BEST.items():
            axes.plot(sizes, _ratios(arrays, kind, str(arrays["decoder"][0]), name), **look)
        axes.set_xscale("log")
        axes.set_xlabel(ERRORS[kind][1])
        panel_label(axes, ERRORS[kind][0])
    grid[0, 0].set_ylabel("reverse KL over that of the mean fixed order")
    legend_below(figure, grid[0, 0], 4)
    return figure


def _ratios(arrays: dict[str, np.ndarray], kind: str, decoder: str, name: str) -> list[float]:
    """The mean over tables at every size of the error."""
    some = [rows_of(arrays, {kind: size, "decoder": decoder}) for size in values_of(arrays, kind)]
    return [float(np.mean(rows[name] / rows["mean_order_reverse_kl"])) for rows in some]
