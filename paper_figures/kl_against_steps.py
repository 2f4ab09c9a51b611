"""Expected KL against the number of steps, a panel a family."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ._style import LOOKS, legend_below, new_figure, panel_label

EXPERIMENT = "kl_against_steps"

LINES = {
    "llada_uniform": "uniform",
    "dllm_cosine": "cosine",
    "pyramid": "pyramid",
    "geometric": "geometric",
    "theorem9_tc": "theorem9_tc",
    "theorem9_dtc": "theorem9_dtc",
    "austin": "austin",
}
THIN = {
    "dllm_linear": ("uniform", "dLLM linear, Dream, log-linear"),
    "dream": ("uniform", None),
    "log_linear": ("uniform", None),
    "maskgit_cosine": ("cosine", "MaskGIT cosine"),
}
"""Schedules that differ by their rounding only from a line: whose look they share, and a label."""


def shown(arrays: dict[str, np.ndarray]) -> np.ndarray:
    """Families that two steps do not do without error: the codes' panels would be empty."""
    return np.flatnonzero(arrays["optimum_kl_nats"][:, 1] > 0)


def draw_family(axes: Axes, arrays: dict[str, np.ndarray], family: int, over: np.ndarray) -> None:
    """Every schedule of one family, its KL divided by `over[steps - 1]`."""
    names = list(arrays["schedule"])
    n = arrays["n"][family]

    def line(row: np.ndarray, steps: np.ndarray, **look) -> None:
        made = steps.astype(int)
        axes.plot(made, row / over[made - 1], markevery=0.12, **look)

    asked = np.arange(1, n + 1)
    bound = arrays["li_cai_bound_nats"][family, :n]
    line(bound, asked, **LOOKS["bound"], label="Li-Cai bound, uniform")
    kl, made = arrays["named_kl_nats"][family, :, :n], arrays["steps_made"][family, :, :n]
    for name, (look, label) in THIN.items():
        row = names.index(name)
        dashes, color = LOOKS[look]["linestyle"], LOOKS[look]["color"]
        line(kl[row], made[row], color=color, linestyle=dashes, linewidth=0.6, label=label)
    for name, look in LINES.items():
        row = names.index(name)
        line(kl[row], made[row], **LOOKS[look])
    line(arrays["optimum_kl_nats"][family, :n], asked, **LOOKS["optimum"])
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter("{x:.0f}")
    axes.set_yscale("log")
    panel_label(axes, str(arrays["family"][family]))


def draw(arrays: dict[str, np.ndarray]) -> Figure:
    """On logarithmic axes down to a thousandth of the KL of one step."""
    families = shown(arrays)
    rows = -(-len(families) // 3)
    figure, grid = new_figure(rows, 3, height=2.35 * rows + 0.7)
    for axes, family in zip(grid.flat, families, strict=False):
        n = arrays["n"][family]
        draw_family(axes, arrays, family, np.ones(n))
        one_step = arrays["optimum_kl_nats"][family, 0]
        axes.set_ylim(1e-3 * one_step, 2 * one_step)
    for axes in grid[-1]:
        axes.set_xlabel("steps")
    for axes in grid[:, 0]:
        axes.set_ylabel("expected KL, nats")
    legend_below(figure, grid[0, 0], 4)
    return figure
