"""Sizes, lines and words of every figure: they must read in greyscale and at the width of a page."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

PAGE_WIDTH = 7.0
"""Inches, the text width of a page."""

RC = {
    "axes.grid": True,
    "axes.linewidth": 0.6,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 8.5,
    "axes.labelsize": 8,
    "figure.constrained_layout.use": True,
    "figure.dpi": 160,
    "font.size": 8,
    "grid.color": "0.9",
    "grid.linewidth": 0.5,
    "legend.fontsize": 7.5,
    "legend.frameon": False,
    "lines.linewidth": 1.2,
    "lines.markersize": 3.5,
    "pdf.fonttype": 42,
    "savefig.dpi": 160,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
}
"""Settings under which every figure is drawn and saved."""

STYLES = {
    "optimum": {"color": "black", "linestyle": "-", "marker": "o", "linewidth": 1.8, "zorder": 4},
    "uniform": {"color": "#0072b2", "linestyle": "--", "marker": "s"},
    "cosine": {"color": "#d55e00", "linestyle": "-.", "marker": "^"},
    "pyramid": {"color": "#cc79a7", "linestyle": ":", "marker": "v"},
    "theorem 9, TC": {"color": "#009e73", "linestyle": (0, (5, 1)), "marker": "D"},
    "theorem 9, DTC": {"color": "#009e73", "linestyle": (0, (1, 1)), "marker": "d"},
    "austin": {"color": "#e69f00", "linestyle": (0, (3, 1, 1, 1)), "marker": "x"},
    "bound": {"color": "0.45", "linestyle": (0, (8, 3)), "marker": ""},
}
"""One look for one thing in every figure; dashes and markers tell them apart without colour."""


def new_figure(rows: int, columns: int, *, height: float, **options) -> tuple[Figure, np.ndarray]:
    """A figure of the page's width with a grid of axes."""
    figure = Figure(figsize=(PAGE_WIDTH, height))
    return figure, figure.subplots(rows, columns, squeeze=False, **options)


def draw_steps(axes: Axes, heights: Sequence[float] | np.ndarray, edges: np.ndarray, **look) -> None:
    """A function that is `heights[i]` between `edges[i]` and `edges[i+1]`."""
    axes.stairs(heights, edges, baseline=None, **look)


def panel_label(axes: Axes, text: str) -> None:
    """The title of a panel, at its left."""
    axes.set_title(text, loc="left")
