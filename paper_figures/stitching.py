"""Stitching cheap traces on Sudoku 4x4: right answers against all calls, by training."""

import numpy as np
from matplotlib.figure import Figure

from ._style import legend_below, new_figure, panel_label

EXPERIMENT = "stitching"

LOOKS = {
    "one answer": {"color": "black", "linestyle": "-", "marker": "o"},
    "best of several": {"color": "#0072b2", "linestyle": "--", "marker": "s"},
    "majority": {"color": "#cc79a7", "linestyle": "-.", "marker": "^"},
    "stitched": {"color": "#d55e00", "linestyle": ":", "marker": "D"},
}


def draw(arrays: dict[str, np.ndarray]) -> Figure:
    """A panel a training; means over seeds with standard errors."""
    steps = arrays["training_steps"]
    figure, (row,) = new_figure(1, len(steps), height=2.8, sharey=True)
    accuracy, calls = 100 * arrays["accuracy"], arrays["calls"].mean(axis=1)
    seeds = accuracy.shape[1]
    error = accuracy.std(axis=1, ddof=1) / np.sqrt(seeds) if seeds > 1 else np.zeros_like(calls)
    for at, axes in enumerate(row):
        for place, name in enumerate(arrays["method"].tolist()):
            mean = accuracy[at, :, :, place].mean(axis=0)
            axes.errorbar(
                calls[at, :, place], mean, error[at, :, place], label=name, capsize=2, **LOOKS[name]
            )
        axes.set_xlabel("calls of the network a puzzle, all")
        panel_label(axes, f"{steps[at]} steps of training")
    row[0].set_ylabel("puzzles that are right, %")
    legend_below(figure, row[0], 4)
    return figure
