"""How often the best schedule of the mean is not that of the sampler, and by how much, a pair a family."""

import numpy as np
from matplotlib.figure import Figure

from ._style import legend_below, new_figure, panel_label

EXPERIMENT = "own_law"

APART = 1e-6  # of a KL, relative: schedules as good but for rounding are no others
LOOKS = (
    {"color": "0.6", "linestyle": ":", "marker": "o"},
    {"color": "0.35", "linestyle": "--", "marker": "s"},
    {"color": "black", "linestyle": "-", "marker": "D", "markerfacecolor": "white"},
)


def draw(arrays: dict[str, np.ndarray]) -> Figure:
    """Above the share of members, below the ratio of the KLs: its median, and from least to most."""
    families = arrays["family"]
    columns = min(4, len(families))
    rows = -(-len(families) // columns)
    figure, grid = new_figure(2 * rows, columns, height=3.4 * rows + 0.4, sharey="row")
    # At a KL of a rounding a ratio says nothing.
    ratio = (arrays["of_mean_own_kl_nats"] + 1e-12) / (arrays["best_own_kl_nats"] + 1e-12)
    for index, family in enumerate(families):
        above, below = (grid[2 * (index // columns) + half, index % columns] for half in (0, 1))
        for size, n in enumerate(arrays["n"][index]):
            steps = np.arange(2, n)
            some = ratio[index, size, :, 1 : n - 1]
            rank = size - arrays["n"].shape[1]
            look = {**LOOKS[rank], "label": f"{('short', 'middle', 'long')[rank]} $n$"}
            above.plot(steps, 100 * np.mean(some > 1 + APART, axis=0), **look)
            middle = np.median(some, axis=0)
            spread = np.abs(np.stack([some.min(0), some.max(0)]) - middle)
            shifted = steps + 0.12 * (size - 1)
            below.errorbar(shifted, middle, yerr=spread, elinewidth=0.7, **look)
        longest = ", ".join(map(str, arrays["n"][index]))
        panel_label(above, f"{family}\n$n$ = {longest}")
        above.set_ylim(-4, 104)
        below.set_yscale("log")
        below.set_ylim(0.92, 1.15 * ratio[np.isfinite(ratio)].max())
        below.set_yticks([1, 2, 5, 10], ["1", "2", "5", "10"])
        below.minorticks_off()
        for axes in (above, below):
            axes.set_xticks(np.arange(2, arrays["n"][index].max()))
    for index in range(len(families), rows * columns):
        for half in (0, 1):
            grid[2 * (index // columns) + half, index % columns].remove()
    for row in range(rows):
        grid[2 * row, 0].set_ylabel("members, %")
        grid[2 * row + 1, 0].set_ylabel("own KL / least")
    for axes in grid[-1]:
        axes.set_xlabel("steps")
    legend_below(figure, grid[0, 0], 3)
    return figure
