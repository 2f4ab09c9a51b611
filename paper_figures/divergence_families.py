"""Forward and reverse CTC of a pair against what makes one of them large, a panel a family."""

import numpy as np
from matplotlib.figure import Figure

from ._style import legend_below, new_figure, panel_label

EXPERIMENT = "divergence_families"

FORWARD = {"label": "forward, KL(pair || product)", "color": "black", "linestyle": "-", "marker": "o"}
REVERSE = {"label": "reverse, KL(product || pair)", "color": "#d55e00", "linestyle": "--", "marker": "s"}

PANELS = {
    "forbidden_pair": ("near-zero support: bits hardly ever both one", r"P(both one) = $\eta$"),
    "near_copy": ("near-zero support: a fair bit and a near copy", r"P(bits differ) = $\eta$"),
    "rare_symbol": ("full support: rare bit, copied with probability {}", r"P(bit is one)"),
    "large_alphabet": ("full support: symbol, copied with probability {}", "size of the alphabet"),
}
"""Title and what the horizontal axis is, for each family."""


def draw(arrays: dict[str, np.ndarray]) -> Figure:
    """The upper row has a large reverse CTC, the lower row a large forward one; extremes at the right."""
    figure, grid = new_figure(2, 2, height=4.6)
    for row, (axes, family) in enumerate(zip(grid.flat, arrays["family"], strict=True)):
        title, parameter = PANELS[str(family)]
        values = arrays["parameter"][row]
        axes.plot(values, arrays["forward_ctc_nats"][row], **FORWARD)
        axes.plot(values, arrays["reverse_ctc_nats"][row], **REVERSE)
        axes.set_xscale("log", base=2 if family == "large_alphabet" else 10)
        if family == "large_alphabet":
            axes.xaxis.set_major_formatter("{x:.0f}")
        else:
            axes.invert_xaxis()
        if family == "rare_symbol":
            axes.set_yscale("log")
            ratio = arrays["forward_ctc_nats"][row] / arrays["reverse_ctc_nats"][row]
            words = f"forward / reverse:\n{ratio[0]:.2g} at the left, {ratio[-1]:.2g} at the right"
            axes.text(0.04, 0.06, words, transform=axes.transAxes)
        else:
            axes.set_ylim(0, None)
        axes.set_xlabel(parameter)
        panel_label(axes, title.format(f"{float(arrays['copied']):g}"))
    for axes in grid[:, 0]:
        axes.set_ylabel("CTC of one step, nats")
    legend_below(figure, grid[0, 0], 2)
    return figure
