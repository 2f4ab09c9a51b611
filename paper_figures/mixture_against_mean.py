"""KL of the sampler and its mean over orders against the number of steps, a panel a family."""

import numpy as np
from matplotlib.figure import Figure

from ._style import legend_below, new_figure, panel_label

EXPERIMENT = "mixture_against_mean"

MEAN = {"label": "mean over ordered partitions", "color": "black", "linestyle": "-", "marker": "o"}
MIXTURE = {"label": "mixture: the sampler itself", "color": "#d55e00", "linestyle": "--", "marker": "s"}


def draw(arrays: dict[str, np.ndarray]) -> Figure:
    """On logarithmic axes, without the last number of steps, where both are zero."""
    families = arrays["family"]
    rows, columns = -(-len(families) // 3), min(3, len(families))
    figure, grid = new_figure(rows, columns, height=2.1 * rows + 0.5)
    for axes, family, n, mean, mixture in zip(
        grid.flat, families, arrays["n"], arrays["mean_kl_nats"], arrays["mixture_kl_nats"], strict=False
    ):
        steps = np.arange(1, n)
        axes.plot(steps, mean[: n - 1], **MEAN)
        axes.plot(steps, mixture[: n - 1], **MIXTURE)
        axes.set_yscale("log")
        axes.set_xticks(steps)
        panel_label(axes, f"{family}, $n$ = {n}")
    for axes in grid.flat[len(families) :]:
        axes.remove()
    for axes in grid[-1]:
        axes.set_xlabel("steps, optimal for the mean")
    for axes in grid[:, 0]:
        axes.set_ylabel("KL from the truth, nats")
    legend_below(figure, grid[0, 0], 2)
    return figure
