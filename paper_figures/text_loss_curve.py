"""The masked-loss curve of the text model with its 95% band, and the schedules that it implies.

The curve is an estimate on held-out windows; the best schedules are those of its nonincreasing fit.
"""

import numpy as np
from matplotlib.figure import Figure

from ._style import LOOKS, legend_below, new_figure, panel_label

EXPERIMENT = "text_model"

SHOWN = {"best": LOOKS["optimum"] | {"label": "best on the curve"}} | {
    name: LOOKS[name] for name in ("uniform", "cosine")
}


def draw(arrays: dict[str, np.ndarray]) -> Figure:
    """The curve, then a panel for each of three numbers of steps."""
    loss, stderr = arrays["loss_nats"], arrays["loss_stderr_nats"]
    n, names = loss.size, arrays["schedule"].tolist()
    steps = arrays["schedule_steps"]
    rows = np.arange(steps.size)[1:4]
    figure, grid = new_figure(2, 2, height=4.6)
    first, *others = grid.flat
    revealed = np.arange(n)
    half = 1.96 * stderr
    band = f"95% band, at most $\\pm${half.max():.2g}"
    first.fill_between(revealed, loss - half, loss + half, color="0.6", linewidth=0, label=band)
    first.plot(revealed, loss, color="black", linewidth=0.7, label="$c(m)$, held-out text")
    first.plot(revealed, arrays["fit_nats"], ":", color="#d55e00", label="nonincreasing fit")
    first.set_xlabel("characters revealed, $m$")
    first.set_ylabel("loss, nats a masked character")
    first.legend(loc="upper right")
    panel_label(first, f"masked-loss curve, {n} characters")
    for axes, row in zip(others, rows, strict=False):
        for name, look in SHOWN.items():
            counts = arrays["counts"][row, names.index(name)]
            counts = counts[counts > 0]
            axes.plot(np.arange(1, counts.size + 1), counts, **look)
        axes.set_yscale("log", base=2)
        axes.yaxis.set_major_formatter("{x:g}")
        axes.set_xlabel("step")
        axes.set_ylabel("characters revealed in it")
        panel_label(axes, f"$k$ = {steps[row]} steps")
    for axes in others[rows.size :]:
        axes.remove()
    legend_below(figure, others[0], 3)
    return figure
