"""Sizes, lines and words of every figure: to be read in greyscale, at the width of a page."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

PAGE_WIDTH = 7.0
"""Inches, the text width of a page."""

RC = {
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.linewidth": 0.6,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 8.5,
    "axes.labelsize": 8,
    "figure.constrained_layout.use": True,
    "font.size": 8,
    "grid.color": "0.9",
    "grid.linewidth": 0.5,
    "legend.fontsize": 7.5,
    "legend.frameon": False,
    "legend.handlelength": 3.2,
    "lines.linewidth": 1.2,
    "lines.markersize": 4,
    "pdf.fonttype": 42,
    "savefig.dpi": 120,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
}
"""Settings under which every figure is drawn and saved."""

LOOKS: Mapping[str, Mapping[str, Any]] = {
    "optimum": {
        "label": "optimum",
        "color": "black",
        "linestyle": "-",
        "marker": "o",
        "linewidth": 1.8,
        "zorder": 4,
    },
    "uniform": {"label": "uniform", "color": "#0072b2", "linestyle": "--", "marker": "s"},
    "cosine": {"label": "cosine", "color": "#d55e00", "linestyle": "-.", "marker": "^"},
    "pyramid": {"label": "pyramid", "color": "#cc79a7", "linestyle": ":", "marker": "v"},
    "geometric": {
        "label": "geometric",
        "color": "#56b4e9",
        "linestyle": (0, (4, 1)),
        "marker": "P",
    },
    "theorem9_tc": {
        "label": "Theorem 9, TC",
        "color": "#009e73",
        "linestyle": (0, (6, 2)),
        "marker": "D",
        "markerfacecolor": "white",
    },
    "theorem9_dtc": {
        "label": "Theorem 9, DTC",
        "color": "#009e73",
        "linestyle": (0, (1, 1)),
        "marker": "d",
    },
    "austin": {
        "label": "Austin, half single",
        "color": "#e69f00",
        "linestyle": (0, (3, 1, 1, 1)),
        "marker": "x",
    },
    "bound": {"color": "0.45", "linestyle": (0, (8, 3)), "marker": ""},
}
"""One look for one thing in every figure; dashes and markers tell them apart without colour."""


def new_figure(rows: int, columns: int, *, height: float, **options) -> tuple[Figure, np.ndarray]:
    """A figure of the page's width, `height` inches high, with a grid of axes."""
    figure = Figure(figsize=(PAGE_WIDTH, height))
    return figure, figure.subplots(rows, columns, squeeze=False, **options)


def draw_steps(axes: Axes, heights: np.ndarray, edges: np.ndarray, **look) -> None:
    """A function that is `heights[i]` between `edges[i]` and `edges[i+1]`."""
    axes.stairs(heights, edges, baseline=None, **look)


def panel_label(axes: Axes, text: str) -> None:
    """The title of a panel, at its left."""
    axes.set_title(text, loc="left")


def legend_below(figure: Figure, axes: Axes, columns: int) -> None:
    """One legend for the whole figure, below it, of what is drawn in `axes`."""
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=columns)
