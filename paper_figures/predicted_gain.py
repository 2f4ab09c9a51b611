"""The gain over uniform steps that the loss curve predicts, and the one that paths measure elsewhere.

Schedules are chosen, predicted and measured on different held-out windows, and all three are estimates;
bars are 95% intervals, of the prediction too. Hollow: the honest gain, of the windows that chose alone.
"""

import numpy as np
from matplotlib.figure import Figure

from ._style import LOOKS, legend_below, new_figure, panel_label

EXPERIMENT = "text_model"

SHOWN = {
    "best": LOOKS["optimum"] | {"label": "best on the curve"},
    "cosine": LOOKS["cosine"],
    "theorem9": LOOKS["theorem9_dtc"] | {"label": "Theorem 9, at most $k$ steps"},
}


def draw(arrays: dict[str, np.ndarray]) -> Figure:
    """Measured against predicted, with the diagonal; then their difference over its standard error."""
    names, steps = arrays["schedule"].tolist(), arrays["schedule_steps"]
    figure, (panels,) = new_figure(1, 2, height=3.4)
    left, right = panels
    hollow = SHOWN["best"] | {"label": "best, honest gain", "markerfacecolor": "white"}
    cases = [("best", "honest", hollow), *((name, "predicted", look) for name, look in SHOWN.items())]
    for number, (name, side, look) in enumerate(cases):
        promised, measured, *errors = (
            arrays[key] if arrays[key].ndim == 1 else arrays[key][:, names.index(name)]
            for key in (
                f"{side}_gain_nats",
                "measured_gain_nats",
                f"{side}_gain_stderr_nats",
                "measured_gain_stderr_nats",
            )
        )
        x_error, y_error = (1.96 * error for error in errors)
        point = {key: value for key, value in look.items() if key != "linewidth"}
        point |= {"linestyle": "", "elinewidth": 0.8}
        left.errorbar(promised, measured, xerr=x_error, yerr=y_error, **point)
        apart = np.arange(steps.size) + (number - 1.5) * 0.18
        right.plot(apart, (measured - promised) / np.hypot(*errors), **look | {"linestyle": ""})
    edge = 1.3 * max(1.0, np.abs(arrays["predicted_gain_nats"]).max())
    left.plot([-edge, edge], [-edge, edge], color="0.45", linewidth=0.8, zorder=0)
    left.set_xscale("symlog")
    left.set_yscale("symlog")
    top = max(3.0, 2 * arrays["honest_gain_nats"].max())
    left.set(xlim=(-edge, top), ylim=(-edge, top))
    left.set_xlabel("predicted gain over uniform, nats a window")
    left.set_ylabel("measured gain, nats a window")
    panel_label(left, "the gain")
    right.axhspan(-1.96, 1.96, color="0.92", linewidth=0, zorder=0)
    right.axhline(0.0, color="0.45", linewidth=0.8, zorder=0)
    edge = max(3.0, *np.abs(right.get_ylim()))
    right.set_ylim(-edge, edge)
    right.set_xticks(np.arange(steps.size), steps)
    right.set_xlabel("steps, $k$")
    right.set_ylabel("measured less predicted, standard errors")
    panel_label(right, "what the prediction misses (grey: 95%)")
    legend_below(figure, left, 2)
    return figure
