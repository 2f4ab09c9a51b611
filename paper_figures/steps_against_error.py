"""Steps needed against the error that is allowed, and the fewest steps over length and error."""

import numpy as np
from matplotlib.figure import Figure

from ._rows import values_of
from ._style import legend_below, new_figure, panel_label
from .steps_against_n import EXPERIMENT, LINES, TITLES, steps_of  # noqa: F401

MARKERS = "osv^DPX<>"


def draw(arrays: dict[str, np.ndarray]) -> Figure:
    """Columns are families; above every schedule at the greatest length, below the optimum at every one."""
    families, lengths = values_of(arrays, "source"), values_of(arrays, "source.n")
    shares, longest = values_of(arrays, "share"), lengths[-1]
    figure, grid = new_figure(2, len(families), height=5.4, sharex=True)
    for (top, bottom), family in zip(grid.T, families, strict=True):
        for method in (*values_of(arrays, "schedule"), "bound"):
            steps = steps_of(arrays, method, {"source": family, "source.n": longest}, "share")
            top.plot(shares, steps, **LINES[method])
        for place, n in enumerate(lengths):
            steps = steps_of(arrays, "best", {"source": family, "source.n": n}, "share")
            shade = str(0.75 - 0.75 * place / max(len(lengths) - 1, 1))
            name = f"$n$ = $2^{{{int(np.log2(n))}}}$"
            bottom.plot(shares, steps, color=shade, marker=MARKERS[place], label=name)
        small, title = TITLES[family]
        panel_label(top, f"{title}\n$n$ = $2^{{{int(np.log2(longest))}}}$")
        panel_label(bottom, "fewest steps, every length")
        bottom.set_xlabel(f"error allowed, $\\epsilon$ / {small}")
        for axes in (top, bottom):
            axes.set_xscale("log")
            axes.set_yscale("log")
            axes.yaxis.set_major_formatter("{x:g}")
        bottom.set_xticks(shares, [f"{share:g}" for share in shares])
        bottom.set_xticks([], minor=True)
    grid[0, 0].set_ylabel("steps")
    grid[1, 0].set_ylabel("steps")
    grid[1, 0].legend(loc="lower left", ncols=3, fontsize=6, handlelength=1.5, columnspacing=1)
    legend_below(figure, grid[0, 0], 5)
    return figure
