"""Codes that are seen, against queries: at two lengths, and for budgets that grow with the length."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ._style import LOOKS, legend_below, new_figure, panel_label

EXPERIMENT = "query_game"

STRATEGIES = {
    "random": {**LOOKS["uniform"], "label": "random sizes"},
    "bisecting": {**LOOKS["cosine"], "label": "bisecting"},
    # Hollow and larger, for where it lies on bisecting.
    "doubling": {
        **LOOKS["theorem9_tc"],
        "label": "adaptive doubling",
        "markersize": 7,
        "markerfacecolor": "none",
    },
}
MARKERS = "osv^D"


def _mean(axes: Axes, names: np.ndarray, rows: np.ndarray, bound: np.ndarray) -> None:
    """Success of each strategy, and what no strategy exceeds."""
    queries = np.arange(1, bound.size + 1)
    every = max(1, queries.size // 8)
    for name, row in zip(names, rows, strict=True):
        axes.plot(queries, row, markevery=every, **STRATEGIES[str(name)])
    axes.plot(queries, bound, **{**LOOKS["bound"], "label": "bound of any strategy"})
    axes.set_xlabel("queries")
    axes.set_ylim(-0.03, 1.05)


def draw(arrays: dict[str, np.ndarray]) -> Figure:
    """Left and middle the mean over the dimensions, right the least of them."""
    figure, grid = new_figure(1, 3, height=2.9)
    left, middle, right = grid[0]
    small, n = int(arrays["small_n"]), arrays["n"]
    _mean(left, arrays["strategy"], arrays["small_mean_over_k"], arrays["small_bound"])
    best = arrays["small_best_mean_over_k"]
    label = "best, every strategy tried (left)"
    left.plot(np.arange(1, best.size + 1), best, **{**LOOKS["optimum"], "label": label})
    panel_label(left, f"$n = q = {small}$: mean over $k$")
    left.set_ylabel("probability that the code is seen")
    _mean(middle, arrays["strategy"], arrays["mean_over_k"], arrays["mean_over_k_bound"])
    needed = int(arrays["least_queries"][-1])
    middle.axvline(needed, color="0.7", linewidth=0.8)
    middle.text(needed - 4, 0.1, f"TV 1/16 needs {needed}", rotation=90, ha="right", fontsize=7)
    panel_label(middle, f"$n = q = {n[-1]}$: mean over $k$")
    shades = np.linspace(0.75, 0.0, len(arrays["budget"]))
    for label, row, marker, shade in zip(
        arrays["budget"], arrays["random_least_over_k"], MARKERS, shades, strict=True
    ):
        apart = 5 * np.sign(row[-1] - 0.05) if row[-1] < 0.1 else 0  # the two lowest labels
        right.plot(n, row, color=str(shade), marker=marker)
        right.annotate(str(label), (n[-1], row[-1]), (6, apart), textcoords="offset points", va="center")
    right.set_xscale("log", base=2)
    right.set_xticks(n)
    right.set_xticks([], minor=True)
    right.set_xlim(right=n[-1] * 3)
    right.set_ylim(-0.03, 1.05)
    right.set_xlabel("length $n = q$")
    panel_label(right, "random sizes: least over $k$")
    legend_below(figure, left, 3)
    return figure
