"""Codes that are seen, and what is output, against queries: at two lengths, and as the length grows."""

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
BEST = {**LOOKS["optimum"], "label": "best of all strategies (left)"}
BOUND = {**LOOKS["bound"], "label": "bound of any strategy (below: with our output)"}
ANY_OUTPUT = {"color": "0.45", "linestyle": ":", "label": "bound of any strategy, any output"}
MARKERS = "osv^D"


def _against_queries(axes: Axes, names: np.ndarray, rows: np.ndarray, bound: np.ndarray) -> None:
    """What each strategy reaches, and the bound of any (of the distance: with our output)."""
    queries = np.arange(1, bound.size + 1)
    every = max(1, queries.size // 8)
    for name, row in zip(names, rows, strict=True):
        axes.plot(queries, row, markevery=every, **STRATEGIES[str(name)])
    axes.plot(queries, bound, **BOUND)
    axes.set_xlabel("queries")
    axes.set_ylim(-0.03, 1.05)


def _budgets(axes: Axes, arrays: dict[str, np.ndarray]) -> None:
    """Random sizes: the least over the dimensions for budgets that grow with the length."""
    n = arrays["n"]
    shades = np.linspace(0.75, 0.0, len(arrays["budget"]))
    for label, row, marker, shade in zip(
        arrays["budget"], arrays["random_least_over_k"], MARKERS, shades, strict=True
    ):
        apart = 0 if row[-1] >= 0.1 else 8 if row[-1] > 0.05 else -1  # the two lowest labels
        axes.plot(n, row, color=str(shade), marker=marker)
        axes.annotate(str(label), (n[-1], row[-1]), (6, apart), textcoords="offset points", va="center")
    axes.set_ylim(-0.03, 1.05)
    panel_label(axes, "random: seen, least over $k$")


def _needed(axes: Axes, arrays: dict[str, np.ndarray]) -> None:
    """Queries for a total variation of 1/16 to every target, and a few against which to see the growth."""
    n = arrays["n"]
    axes.plot(n, arrays["random_queries"], **STRATEGIES["random"])
    axes.plot(n, arrays["uniform_output_queries"], **LOOKS["bound"])
    axes.plot(n, arrays["least_queries"], **ANY_OUTPUT)
    axes.plot(n, np.log2(n), color="0.75")
    axes.text(n[-1], np.log2(n[-1]) * 0.85, "$\\log_2 n$", ha="right", va="top", fontsize=7)
    axes.set_yscale("log", base=2)
    axes.set_ylabel("queries")
    panel_label(axes, "queries until TV $\\leq$ 1/16")


def draw(arrays: dict[str, np.ndarray]) -> Figure:
    """Above the codes that are seen, below what is output; the last column has the length as its axis."""
    figure, grid = new_figure(2, 3, height=5.2)
    small, n = int(arrays["small_n"]), arrays["n"]
    names = arrays["strategy"]
    for column, (prefix, length) in enumerate((("small_", small), ("", n[-1]))):
        top, bottom = grid[:, column]
        mean_bound = arrays["small_bound" if prefix else "mean_over_k_bound"]
        _against_queries(top, names, arrays[f"{prefix}mean_over_k"], mean_bound)
        panel_label(top, f"$n = q = {length}$: seen, mean over $k$")
        tv, bound = arrays[f"{prefix}largest_tv"], arrays[f"{prefix}largest_tv_bound"]
        _against_queries(bottom, names, tv, bound)
        queries = np.arange(1, bound.size + 1)
        bottom.plot(queries, arrays[f"{prefix}largest_tv_any_bound"], **ANY_OUTPUT)
        bottom.axhline(1 / 16, color="0.7", linewidth=0.8)
        panel_label(bottom, f"$n = q = {length}$: TV, largest over $k$")
    queries = np.arange(1, small)
    grid[0, 0].plot(queries, arrays["small_best_mean_over_k"], **BEST)
    grid[1, 0].plot(queries, arrays["small_best_largest_tv"], **BEST)
    grid[0, 0].set_ylabel("probability that the code is seen")
    grid[1, 0].set_ylabel("TV of the output's law to the code")
    for axes in grid[1, :2]:
        axes.text(1, 1 / 16, "1/16", va="bottom", fontsize=7)
    _budgets(grid[0, 2], arrays)
    _needed(grid[1, 2], arrays)
    for axes in grid[:, 2]:
        axes.set_xscale("log", base=2)
        axes.set_xticks(n)
        axes.set_xticks([], minor=True)
        axes.set_xlabel("length $n = q$")
    grid[0, 2].set_xlim(right=n[-1] * 3)
    grid[0, 0].plot([], [], **ANY_OUTPUT)
    legend_below(figure, grid[0, 0], 2)
    return figure
