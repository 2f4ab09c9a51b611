"""Forward KL against expected calls: every decoder, and the frontier of the best policies."""

import numpy as np
from matplotlib.figure import Figure

from ._style import legend_below, new_figure, panel_label

EXPERIMENT = "policy_frontier"

FLOOR = 1e-4
"""Nats; what is below is drawn on the edge."""

LOOKS = {
    "easy-first": ("o", "#d55e00"),
    "confidence": ("s", "#d55e00"),
    "margin": ("D", "#d55e00"),
    "hard-first": ("v", "#0072b2"),
    "left to right": (">", "0.45"),
    "dilated": ("P", "0.45"),
    "threshold": ("^", "#009e73"),
    "factor": ("<", "#009e73"),
    "entropy-bounded": ("h", "#009e73"),
    "entropy sum": ("p", "#cc79a7"),
    "ReMDM, cap 0.1": ("x", "#cc79a7"),
    "WINO": ("+", "#cc79a7"),
    "low-confidence": ("1", "0.2"),
    "speculative": ("*", "#e69f00"),
    "verified": ("X", "#e69f00"),
}


def draw(arrays: dict[str, np.ndarray]) -> Figure:
    """A panel a family, on a logarithmic axis that ends at `FLOOR`."""
    families = arrays["family"]
    figure, grid = new_figure(1, len(families), height=4.3, sharey=True)
    for number, (axes, family) in enumerate(zip(grid[0], families, strict=True)):
        here = arrays["point_family"] == number
        for decoder, (marker, color) in LOOKS.items():
            of = here & (arrays["point_decoder"] == decoder)
            axes.plot(
                arrays["point_calls"][of],
                _shown(arrays["point_kl_nats"][of]),
                linestyle="",
                marker=marker,
                color=color,
                markerfacecolor="none" if marker not in "x+1" else None,
                label=decoder,
            )
        hull = arrays["hull_family"] == number
        vertices, kl = arrays["hull_calls"][hull], arrays["hull_kl_nats"][hull]
        # Straight between vertices, which a logarithmic axis bends.
        calls = np.union1d(vertices, np.linspace(vertices[0], vertices[-1], 400))
        best = _shown(np.interp(calls, vertices, kl))
        axes.plot(calls, best, "-", color="black", linewidth=1.8, label="best policies")
        random = arrays["random_family"] == number
        mean, optimal_mean, mixture = arrays["random_kl_nats"][random].T
        steps = arrays["random_steps"][random]
        axes.plot(steps, _shown(mixture), "--", color="0.3", label="random, best mixture")
        axes.plot(steps, _shown(mean), ":", color="0.3", label="random, best mean")
        axes.set_yscale("log")
        axes.set_ylim(FLOOR * 0.8, None)
        axes.set_xlabel("expected calls")
        panel_label(axes, str(family))
    grid[0, 0].set_ylabel("forward KL, nats (0.0001: that or less)")
    legend_below(figure, grid[0, 0], 4)
    return figure


def _shown(values: np.ndarray) -> np.ndarray:
    return np.maximum(values, FLOOR)
