"""The picture of `mdmjax schedule`: a curve, its step approximation, and the error between them."""

import io
from typing import Any

import numpy as np

LONG = 4096
"""Positions beyond which the curve is drawn at as many points only."""


def draw(result: dict[str, Any], kind: str) -> bytes:
    """The picture as the bytes of a `kind` (`png` or `pdf`) file.

    The area between the curve and the steps is the expected KL (arXiv 2511.04647, Fig. 1); for a loss
    curve it is the NLL in excess of one token a step.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    exact = result["exact"]
    values = np.array(result["information_curve"] if exact else result["loss_curve"])
    counts = np.array(result["steps"])
    starts = np.repeat(np.cumsum(counts) - counts, counts)
    n = values.size
    shown = np.unique(np.linspace(0, n - 1, min(n, LONG)).astype(int))
    edges = np.append(shown, n)

    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    curve, steps = values[shown], values[starts[shown]]
    axes.fill_between(
        edges,
        np.append(curve, curve[-1]),
        np.append(steps, steps[-1]),
        step="post",
        facecolor="0.85",
        edgecolor="0.55",
        hatch="////",
        linewidth=0,
        label=_area(result),
    )
    axes.stairs(curve, edges, baseline=None, color="black", linewidth=1.8, label=_curve_name(exact))
    axes.stairs(
        steps,
        edges,
        baseline=None,
        color="C0",
        linewidth=1.4,
        linestyle="--",
        label=f"what {counts.size} steps see",
    )
    axes.plot(
        np.cumsum(counts) - counts,
        values[np.cumsum(counts) - counts],
        "o",
        color="C0",
        markersize=4,
    )
    axes.set_xlim(0, n)
    axes.set_xlabel("tokens revealed")
    axes.set_ylabel(
        "information on the next token $Z$ (nats)" if exact else "loss of a masked token $c$ (nats)"
    )
    axes.set_title(result["title"], fontsize="medium", wrap=True)
    axes.legend(frameon=False, fontsize="small", loc="best")
    axes.spines[["top", "right"]].set_visible(False)
    stream = io.BytesIO()
    figure.savefig(stream, format=kind, dpi=200)
    return stream.getvalue()


def _curve_name(exact: bool) -> str:
    return "information curve" if exact else "loss curve"


def _area(result: dict[str, Any]) -> str:
    if result["exact"]:
        return f"expected KL = {result['expected_kl']:.4g} nats"
    return f"excess over one token a step = {result['nll'] - result['nll_one_by_one']:.4g} nats"
