"""Forward KL, reverse KL and incoherence against parity noise, beside what the paper's text says."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ._rows import rows_of
from ._style import legend_below, new_figure, panel_label

EXPERIMENT = "block_hmm_decoding"

MEAN_FIELD = {"label": "mean-field, exact", "color": "black", "linestyle": "-", "marker": "o"}
VERIFIED = {"label": "verified, exact", "color": "#0072b2", "linestyle": "--", "marker": "s"}
VIOLATION = {
    "label": "mean-field, parity violated (not in the paper)",
    "color": "#d55e00",
    "linestyle": ":",
    "marker": "^",
}
PAPER = {"color": "0.55", "linewidth": 0.8}


def said_by_the_paper(axes: Axes, low: float, high: float, words: str) -> None:
    """A band or a line at what the paper's text says, with its words."""
    if low == high:
        axes.axhline(low, linestyle=(0, (8, 3)), **PAPER)
    else:
        axes.axhspan(low, high, color="0.88", linewidth=0)
    axes.annotate(
        f"paper: {words}",
        (0.98, high),
        xytext=(0, 3),
        xycoords=axes.get_yaxis_transform(),
        textcoords="offset points",
        color="0.35",
        ha="right",
        fontsize=7,
    )


BLOCKS = 8
"""Of the paper's model."""


def draw(arrays: dict[str, np.ndarray]) -> Figure:
    """Three panels, as Figure 3 of arXiv 2602.00286."""
    mean_field, verified = (
        rows_of(arrays, {"source.blocks": BLOCKS, "decoder": decoder})
        for decoder in ("mean-field", "verified")
    )
    figure, grid = new_figure(1, 3, height=2.6)
    titles = {
        "forward_kl": "forward KL, nats",
        "reverse_kl": "reverse KL, nats",
        "incoherence": "fraction of blocks",
    }
    for axes, (metric, title) in zip(grid.flat, titles.items(), strict=True):
        for rows, look in ((mean_field, MEAN_FIELD), (verified, VERIFIED)):
            axes.plot(rows["source.eta"], rows[metric], **look)
        axes.set_xscale("log")
        axes.set_xlabel(r"parity noise $\eta$")
        panel_label(axes, title)
    forward, reverse, fraction = grid[0]
    forward.set_ylim(-0.7, 16)
    said_by_the_paper(forward, 11, 13, "11-13 nats at every noise")
    reverse.set_ylim(-4, 90)
    said_by_the_paper(reverse, 70, 70, "exceeding 70 nats at 1e-8")
    fraction.set_ylim(-0.03, 0.65)
    fraction.plot(mean_field["source.eta"], mean_field["violation_rate"], **VIOLATION)
    said_by_the_paper(fraction, 0.5, 0.5, "close to 50% at small noise")
    legend_below(figure, fraction, 3)
    return figure
