"""Every family's information curve, on axes from 0 to 1."""

import numpy as np
from matplotlib.figure import Figure

from ._style import draw_steps, new_figure, panel_label

EXPERIMENT = "curve_gallery"


def draw(arrays: dict[str, np.ndarray]) -> Figure:
    """A panel a family: the curve over its last value, against the share of tokens revealed."""
    rows = -(-len(arrays["family"]) // 3)
    figure, grid = new_figure(rows, 3, height=2.0 * rows, sharex=True, sharey=True)
    for axes, family, n, curve, tc, dtc in zip(
        grid.flat,
        arrays["family"],
        arrays["n"],
        arrays["information_nats"],
        arrays["total_correlation_nats"],
        arrays["dual_total_correlation_nats"],
        strict=True,
    ):
        heights = curve[:n] / curve[n - 1]
        edges = np.arange(n + 1) / n
        axes.stairs(heights, edges, baseline=0, fill=True, color="0.86")
        draw_steps(axes, heights, edges, color="black", linewidth=1.4)
        panel_label(axes, str(family))
        # Text goes where the curve is not: above an early part that is low, or below a late part.
        low = heights[: n // 2].mean() < 0.5
        axes.text(
            0.04 if low else 0.96,
            0.94 if low else 0.06,
            f"$n$ = {n}\nTC = {tc:.3g} nats\nDTC = {dtc:.3g} nats",
            transform=axes.transAxes,
            va="top" if low else "bottom",
            ha="left" if low else "right",
        )
    for axes in grid[-1]:
        axes.set_xlabel("share of tokens revealed, $(j-1)/n$")
    for axes in grid[:, 0]:
        axes.set_ylabel("information, $Z_j / Z_n$")
    return figure
