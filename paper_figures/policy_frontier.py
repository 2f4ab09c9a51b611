"""Forward KL against expected calls: every decoder, and the frontier of the best policies."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ._rows import rows_of, values_of
from ._style import legend_below, new_figure, panel_label

EXPERIMENT = "policy_frontier"

FLOOR = 1e-4
"""Nats; what is below is drawn on the edge."""

LOOKS = {
    "entropy": ("easy-first", "o", "#d55e00"),
    "confidence": ("confidence", "s", "#d55e00"),
    "margin": ("margin", "D", "#d55e00"),
    "hard-first": ("hard-first", "v", "#0072b2"),
    "l2r": ("left to right", ">", "0.45"),
    "dilated": ("dilated", "P", "0.45"),
    "threshold": ("threshold", "^", "#009e73"),
    "factor": ("factor", "<", "#009e73"),
    "entropy-bounded": ("entropy-bounded", "h", "#009e73"),
    "entropy-sum": ("entropy sum", "p", "#cc79a7"),
    "remdm": ("ReMDM, cap 0.1", "x", "#cc79a7"),
    "wino": ("WINO", "+", "#cc79a7"),
    "low-confidence": ("low-confidence", "1", "0.2"),
    "speculative": ("speculative", "*", "#e69f00"),
    "verified": ("verified", "X", "#e69f00"),
}
FAMILIES = {
    "markov": "Markov chain",
    "noisy-bit": "noisy repeated bit",
    "block-hmm": "Block-HMM, two blocks",
}


def draw(arrays: dict[str, np.ndarray]) -> Figure:
    """A panel a family, on a logarithmic axis that ends at `FLOOR`."""
    families = values_of(arrays, "source")
    figure, grid = new_figure(1, len(families), height=4.3, sharey=True)
    for axes, family in zip(grid[0], families, strict=True):
        here = rows_of(arrays, {"source": family})
        for decoder, (label, marker, color) in LOOKS.items():
            of = rows_of(here, {"decoder": decoder})
            axes.plot(
                of["expected_calls"],
                _shown(of["forward_kl"]),
                linestyle="",
                marker=marker,
                color=color,
                markerfacecolor="none" if marker not in "x+1" else None,
                label=label,
            )
        _frontier(axes, here)
        axes.set_yscale("log")
        axes.set_ylim(FLOOR * 0.8, None)
        axes.set_xlabel("expected calls")
        panel_label(axes, FAMILIES[family])
    grid[0, 0].set_ylabel("forward KL, nats (0.0001: that or less)")
    legend_below(figure, grid[0, 0], 4)
    return figure


def _frontier(axes: Axes, rows: dict[str, np.ndarray]) -> None:
    """The hull, which is the forward KL less the regret at every number of calls; random orders."""
    known = np.isfinite(rows["regret"])
    calls, order = np.unique(rows["regret_calls"][known], return_index=True)
    best = (rows["forward_kl"] - rows["regret"])[known][order]
    # Straight between points, which a logarithmic axis bends.
    fine = np.union1d(calls, np.linspace(calls[0], calls[-1], 400)) if calls.size else calls
    shown = _shown(np.interp(fine, calls, best)) if calls.size else calls
    axes.plot(fine, shown, "-", color="black", linewidth=1.8, label="best policies")
    for schedule, name, line, label in (
        ("best-mixture", "forward_kl", "--", "random, best mixture"),
        ("best", "sampling_error", ":", "random, best mean"),
    ):
        of = rows_of(rows, {"decoder": "random", "schedule": schedule})
        axes.plot(of["steps"], _shown(of[name]), line, color="0.3", label=label)


def _shown(values: np.ndarray) -> np.ndarray:
    return np.maximum(values, FLOOR)
