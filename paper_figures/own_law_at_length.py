"""The own law of noisy bits at length: of the best schedule of the mean, and of the best found."""

import numpy as np
from matplotlib.figure import Figure

from ._style import legend_below, new_figure, panel_label

EXPERIMENT = "own_law"

MARKERS = "osD^v"


def draw(arrays: dict[str, np.ndarray]) -> Figure:
    """A panel a flip, a shade and a marker a number of steps."""
    flips, lengths, steps = (arrays[name] for name in ("flip", "length", "steps"))
    figure, grid = new_figure(1, len(flips), height=3.0, sharey=True)
    shades = np.linspace(0.7, 0.0, len(steps))
    for axes, flip, of_mean, best in zip(
        grid[0], flips, arrays["long_of_mean_own_kl_nats"], arrays["long_best_own_kl_nats"], strict=True
    ):
        for k, marker, shade, mean_row, best_row in zip(
            steps, MARKERS, shades, of_mean.T, best.T, strict=False
        ):
            look = {"color": str(shade), "marker": marker}
            axes.plot(lengths, mean_row, linestyle="--", markerfacecolor="white", **look)
            axes.plot(lengths, best_row, linestyle="-", label=f"{k} steps", **look)
        axes.set_xscale("log", base=2)
        axes.set_xticks(lengths, [str(n) for n in lengths])
        axes.minorticks_off()
        axes.set_yscale("log")
        axes.set_xlabel("$n$")
        panel_label(axes, f"flip {flip:g}")
    grid[0, 0].set_ylabel("own law, nats")
    grid[0, 0].plot([], [], color="0.4", linestyle="--", label="dashed: best for the mean")
    legend_below(figure, grid[0, 0], len(steps) + 1)
    return figure
