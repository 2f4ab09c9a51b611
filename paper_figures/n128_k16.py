"""The table of expected KL, distributions by schedules, with bars to read it at a glance."""

import textwrap

import numpy as np
from matplotlib.figure import Figure

from ._style import new_figure, panel_label

EXPERIMENT = "n128_k16"

SHOWN = {"llada_uniform": "constant", "pyramid": "pyramid", "dllm_cosine": "cosine"}
"""Columns after the optimum."""


def written(counts: np.ndarray) -> str:
    """Counts with runs of three or more shortened: `1 x 12, 2, 3, 8, 103`."""
    starts = np.flatnonzero(np.diff(counts, prepend=-1))
    lengths = np.diff(starts, append=len(counts))
    runs = zip(counts[starts].tolist(), lengths.tolist(), strict=True)
    return ", ".join(f"{c} x {r}" if r > 2 else ", ".join([str(c)] * r) for c, r in runs)


def draw(arrays: dict[str, np.ndarray]) -> Figure:
    """A row a distribution: the KL in nats above a bar that is its share of the row's worst."""
    names = list(arrays["schedule"])
    columns = {
        "optimum": arrays["optimum_kl_nats"],
        **{title: arrays["named_kl_nats"][:, names.index(name)] for name, title in SHOWN.items()},
    }
    families = arrays["family"]
    best, worst = (f(list(columns.values()), axis=0) for f in (np.min, np.max))
    y = np.arange(len(families))[::-1]
    figure, grid = new_figure(1, len(columns) + 1, height=2.9, sharey=True, width_ratios=[1, 1, 1, 1, 1.7])
    for axes, (title, kl) in zip(grid.flat, columns.items(), strict=False):
        axes.barh(y - 0.12, kl / worst, height=0.3, color="black" if title == "optimum" else "0.6")
        for row, value, least in zip(y, kl, best, strict=True):
            number = "0" if value < 5e-5 else f"{value:.4f}" if value < 0.01 else f"{value:.4g}"
            weight = "bold" if value <= least + 1e-9 else "normal"
            axes.text(0.03, row + 0.09, number, va="bottom", weight=weight)
        panel_label(axes, title)
        axes.set_xlim(0, 1.02)
        axes.set_xticks([])
        axes.tick_params(left=False)
        axes.spines.bottom.set_visible(False)
        axes.grid(False)
    grid[0, 0].set_yticks(y, [family.replace(", ", ",\n") for family in families])
    grid[0, 0].set_ylim(-0.5, len(families) - 0.3)
    last, all_counts = grid[0, -1], arrays["optimum_counts"]
    last.axis("off")
    panel_label(last, "tokens a step, optimum")
    for row, counts in zip(y, all_counts, strict=True):
        last.text(0, row, textwrap.fill(written(counts), 26), va="center", fontsize=7)
    figure.supxlabel(
        f"Expected KL in nats of {all_counts.shape[1]} steps for n = {all_counts[0].sum()} tokens. "
        "Bars: share of the row's largest. Bold: the least.",
        fontsize=8,
    )
    return figure
