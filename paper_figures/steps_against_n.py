"""Steps needed against the length; those that grow with its logarithm also on a linear axis."""

import numpy as np
from matplotlib.figure import Figure

from ._rows import rows_of, values_of
from ._style import LOOKS, legend_below, new_figure, panel_label

EXPERIMENT = "steps_against_n"

LINES = {
    "llada_uniform": LOOKS["uniform"],
    "austin": LOOKS["austin"],
    "bound": {**LOOKS["bound"], "label": "Theorem 9, bound on steps"},
    "theorem9": {**LOOKS["theorem9_tc"], "label": "Theorem 9"},
    "best": LOOKS["optimum"],
}
LOGARITHMIC = ("bound", "theorem9", "best")

TITLES = {
    "parity-checks": ("TC", "TC-small: parity checks of all sizes"),
    "repeated-bits": ("DTC", "DTC-small: repeated bits of all sizes"),
}
SHARE = 0.3


def steps_of(arrays: dict[str, np.ndarray], method: str, equal: dict, over: str) -> np.ndarray:
    """The steps of a schedule, or of Theorem 9's bound, over a column."""
    name = "theorem9_bound" if method == "bound" else "fewest_steps"
    rows = rows_of(arrays, {"schedule": "best" if method == "bound" else method, **equal})
    return rows[name][np.argsort(rows[over])]


def draw(arrays: dict[str, np.ndarray]) -> Figure:
    """Columns are families, rows are the two kinds of axes."""
    families, lengths = values_of(arrays, "source"), values_of(arrays, "source.n")
    share = min(values_of(arrays, "share"), key=lambda one: abs(one - SHARE))
    figure, grid = new_figure(2, len(families), height=4.6, sharex=True)
    for (top, bottom), family in zip(grid.T, families, strict=True):
        for method in (*values_of(arrays, "schedule"), "bound"):
            steps = steps_of(arrays, method, {"source": family, "share": share}, "source.n")
            top.plot(lengths, steps, **LINES[method])
            if method in LOGARITHMIC:
                bottom.plot(lengths, steps, **LINES[method])
        small, title = TITLES[family]
        panel_label(top, f"{title}\n$\\epsilon$ = {share:g} {small}")
        top.set_yscale("log", base=10)
        bottom.set_xscale("log", base=2)
        bottom.set_xticks(lengths[::2])
        bottom.set_xticks([], minor=True)
        bottom.set_ylim(0, None)
        bottom.set_xlabel("length $n$, tokens")
    grid[0, 0].set_ylabel("steps (log axis)")
    grid[1, 0].set_ylabel("steps (linear axis)")
    legend_below(figure, grid[0, 0], 5)
    return figure
