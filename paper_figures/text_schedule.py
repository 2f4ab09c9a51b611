"""The paper's Figure 1 on real text: the curve, a step approximation, and the error between."""

import numpy as np
from matplotlib.figure import Figure

from ._style import draw_steps, new_figure, panel_label

EXPERIMENT = "text_schedule"


def draw(arrays: dict[str, np.ndarray]) -> Figure:
    """A panel a schedule; the hatched area is its expected KL."""
    curve = arrays["information_nats"]
    n = len(curve)
    edges = np.arange(n + 1)
    figure, grid = new_figure(1, len(arrays["schedule"]), height=2.9, sharey=True)
    for axes, name, counts, kl in zip(
        grid.flat, arrays["schedule"], arrays["counts"], arrays["expected_kl_nats"], strict=True
    ):
        starts = np.repeat(np.cumsum(counts) - counts, counts)
        axes.stairs(
            curve, edges, baseline=curve[starts], fill=True, facecolor="0.85", edgecolor="0.4",
            hatch="////", linewidth=0, label=f"error = expected KL = {kl:.4f} nats",
        )  # fmt: skip
        draw_steps(axes, curve, edges, color="black", label="information curve $Z_j$")
        draw_steps(
            axes, curve[starts], edges, color="#d55e00", linestyle="--", linewidth=1.8,
            label=f"what its {len(counts)} steps know",
        )  # fmt: skip
        written = ", ".join(map(str, counts))
        panel_label(axes, f"{name}: reveals {written} tokens")
        axes.set_xlabel("tokens revealed before, $j - 1$")
        axes.set_xticks(edges[::2] if n > 8 else edges)
        axes.set_ylim(0, 1.45 * curve[-1])
        axes.legend(loc="upper left")
    grid[0, 0].set_ylabel("information, nats")
    return figure
