"""Coverage of the intervals of the growth mass, and their upper ends over the truth."""

import numpy as np
from matplotlib.figure import Figure

from ._style import LOOKS, legend_below, new_figure, panel_label

EXPERIMENT = "growth_coverage"

KINDS = {
    "known": {**LOOKS["optimum"], "linestyle": "", "label": "moments bounded beforehand"},
    "entropy": {**LOOKS["cosine"], "linestyle": "", "label": "entropies, no moments"},
    "plugged": {**LOOKS["uniform"], "linestyle": "", "label": "moments plugged in"},
}


def draw(arrays: dict[str, np.ndarray]) -> Figure:
    """Left the share of repetitions in which all blocks are inside, right the median upper end."""
    figure, grid = new_figure(1, 2, height=3.0, sharey=True)
    left, right = grid[0]
    labels = [
        f"{case}, n = {n}, {blocks} {'block' if blocks == 1 else 'blocks'}"
        for case, n in zip(arrays["case"], arrays["n"], strict=True)
        for blocks in arrays["blocks"]
    ]
    rows = np.arange(len(labels))
    for kind, look in KINDS.items():
        left.plot(arrays[kind].reshape(-1), rows, clip_on=False, **look)
        right.plot(arrays[f"{kind}_upper"].reshape(-1), rows, **look)
    left.axvline(float(arrays["level"]), color="0.7", linewidth=0.8)
    left.set_yticks(rows, labels)
    left.invert_yaxis()
    left.set_xlim(-0.03, 1.03)
    left.set_xlabel("share of repetitions")
    panel_label(left, "all blocks inside")
    right.set_xscale("log")
    right.set_xlabel("upper end over the truth")
    panel_label(right, "median width")
    legend_below(figure, left, 3)
    return figure
