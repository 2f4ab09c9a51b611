"""Two models under one budget: the plan on both loss curves, and its gain, predicted and measured."""

import numpy as np
from matplotlib.figure import Figure

from ._style import LOOKS, legend_below, new_figure, panel_label

EXPERIMENT = "two_models"

MODELS = (
    {"color": "black", "linestyle": "-", "label": "large"},
    {"color": "#d55e00", "linestyle": "--", "label": "small"},
)
SHOWN_BUDGET = 8


def draw(arrays: dict[str, np.ndarray]) -> Figure:
    """What each step of one plan pays, on the curve of its model; then gains over the large model alone."""
    budgets, names = arrays["budgets"], arrays["plan"].tolist()
    figure, (panels,) = new_figure(1, 2, height=3.5)
    left, right = panels
    shown = int(np.argmin(np.abs(budgets - SHOWN_BUDGET)))
    best = names.index("best")
    counts, models = arrays["counts"][shown, best], arrays["models"][shown, best]
    counts, models = counts[counts > 0], models[models >= 0]
    starts = np.cumsum(counts) - counts
    for model, look in enumerate(MODELS):
        fit, own = arrays["fit_nats"][model], models == model
        cost = arrays["costs"][model]
        label = f"{look['label']}, a call costs {cost:g}"
        left.plot(np.arange(fit.size), fit, **look | {"label": label, "linewidth": 0.9})
        left.hlines(
            fit[starts[own]], starts[own], (starts + counts)[own], color=look["color"], linewidth=2.2,
            linestyle="-",
        )  # fmt: skip
    left.set_xlabel("tokens revealed")
    left.set_ylabel("loss of a masked token, nats")
    panel_label(left, f"budget {budgets[shown]:g}: what each step pays")
    left.legend(loc="upper right")
    cases = [("best", LOOKS["optimum"] | {"label": "best of both"})]
    cases += [("alone_1", {"color": "#d55e00", "linestyle": "--", "marker": "s", "label": "small alone"})]
    for name, look in cases:
        column = names.index(name)
        for side, apart in (("predicted", 0.96), ("measured", 1.04)):
            fill = {} if side == "measured" else {"markerfacecolor": "white"}
            right.errorbar(
                budgets * apart,
                arrays[f"{side}_gain_nats"][:, column],
                1.96 * arrays[f"{side}_gain_stderr_nats"][:, column],
                **look | {"label": f"{look['label']}, {side}", "elinewidth": 0.8, "linestyle": ""} | fill,
            )
    right.axhline(0.0, color="0.45", linewidth=0.8, zorder=0)
    right.set_xscale("log", base=2)
    right.set_yscale("symlog", linthresh=1.0)
    right.set_xticks(budgets, [f"{budget:g}" for budget in budgets])
    right.set_xlabel("budget, in calls of the large model")
    right.set_ylabel("gain over the large model alone, nats")
    panel_label(right, "what the small model saves (bars: 95%)")
    legend_below(figure, right, 2)
    return figure
