"""How many times the optimum each schedule costs at the same number of steps."""

import numpy as np
from matplotlib.figure import Figure

from ._style import legend_below, new_figure
from .kl_against_steps import draw_family, shown

EXPERIMENT = "kl_against_steps"


def draw(arrays: dict[str, np.ndarray]) -> Figure:
    """The panels of `kl_against_steps` over the optimum: to 10 times it, or more if most are."""
    families = shown(arrays)
    rows = -(-len(families) // 3)
    figure, grid = new_figure(rows, 3, height=2.35 * rows + 0.7)
    for axes, family in zip(grid.flat, families, strict=False):
        n = arrays["n"][family]
        optimum = arrays["optimum_kl_nats"][family, :n]
        # No ratio where the optimum is rounding: n steps, one token each, cost nothing.
        over = np.where(optimum > 1e-10 * optimum[0], optimum, np.nan)
        draw_family(axes, arrays, family, over)
        ratios = arrays["named_kl_nats"][family, :, :n] / over
        if np.nanquantile(ratios, 0.75) < 10:
            axes.set_ylim(0.95, 10.5)
            axes.set_yticks([1, 2, 5, 10], ["1", "2", "5", "10"])
        else:
            axes.set_ylim(0.8, 1e5)
        axes.set_yticks([], minor=True)
    for axes in grid[-1]:
        axes.set_xlabel("steps")
    for axes in grid[:, 0]:
        axes.set_ylabel("expected KL / optimum")
    legend_below(figure, grid[0, 0], 4)
    return figure
