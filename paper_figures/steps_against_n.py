"""Steps needed against the length; those that grow with its logarithm also on a linear axis."""

import numpy as np
from matplotlib.figure import Figure

from ._style import LOOKS, legend_below, new_figure, panel_label

EXPERIMENT = "steps_against_n"

LINES = {
    "uniform": LOOKS["uniform"],
    "austin": LOOKS["austin"],
    "theorem9_bound": {**LOOKS["bound"], "label": "Theorem 9, bound on steps"},
    "theorem9": {**LOOKS["theorem9_tc"], "label": "Theorem 9"},
    "optimum": LOOKS["optimum"],
}
LOGARITHMIC = ("theorem9_bound", "theorem9", "optimum")

TITLES = {
    "TC-small": "TC-small: parity checks of all sizes",
    "DTC-small": "DTC-small: repeated bits of all sizes",
    "lower bound": "curve of Appendix E",
}


def draw(arrays: dict[str, np.ndarray]) -> Figure:
    """Columns are families, rows are the two kinds of axes."""
    methods = list(arrays["method"])
    figure, grid = new_figure(2, len(arrays["family"]), height=4.6, sharex=True)
    for column, family in enumerate(arrays["family"]):
        top, bottom = grid[:, column]
        for method, look in LINES.items():
            steps = arrays["steps"][column, :, methods.index(method)]
            top.plot(arrays["n"], steps, **look)
            if method in LOGARITHMIC:
                bottom.plot(arrays["n"], steps, **look)
        share = arrays["correlation_nats"][column, -1] / arrays["epsilon_nats"][column, -1]
        small = "TC" if arrays["correlation_is_tc"][column, -1] else "DTC"
        panel_label(top, f"{TITLES[str(family)]}\n$\\epsilon$ = {small} / {share:.3g}")
        top.set_yscale("log", base=10)
        bottom.set_xscale("log", base=2)
        bottom.set_xticks(arrays["n"][::2])
        bottom.set_xticks([], minor=True)
        bottom.set_ylim(0, None)
        bottom.set_xlabel("length $n$, tokens")
    grid[0, 0].set_ylabel("steps (log axis)")
    grid[1, 0].set_ylabel("steps (linear axis)")
    legend_below(figure, grid[0, 0], 5)
    return figure
