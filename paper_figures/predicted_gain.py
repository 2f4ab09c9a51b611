"""The gain over uniform steps that the loss curve predicts, and the one that paths measure elsewhere.

Both are estimates, on different held-out windows; bars are 95% intervals, of the prediction too.
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
    """Measured against predicted, with the diagonal; then their difference by number of steps."""
    names, steps = arrays["schedule"].tolist(), arrays["schedule_steps"]
    figure, (panels,) = new_figure(1, 2, height=3.3)
    left, right = panels
    edge = 1.0
    for number, (name, look) in enumerate(SHOWN.items()):
        of = names.index(name)
        predicted, measured = (arrays[f"{side}_gain_nats"][:, of] for side in ("predicted", "measured"))
        errors = [1.96 * arrays[f"{side}_gain_stderr_nats"][:, of] for side in ("predicted", "measured")]
        point = {key: value for key, value in look.items() if key != "linewidth"}
        point |= {"linestyle": "", "elinewidth": 0.8}
        left.errorbar(predicted, measured, xerr=errors[0], yerr=errors[1], **point)
        edge = max(edge, np.abs(predicted).max(), np.abs(measured).max())
        apart = np.arange(steps.size) + (number - 1) * 0.22
        right.errorbar(apart, measured - predicted, yerr=np.hypot(*errors), **point)
    edge *= 1.3
    left.plot([-edge, edge], [-edge, edge], color="0.45", linewidth=0.8, zorder=0)
    left.set(xscale="symlog", yscale="symlog", xlim=(-edge, edge), ylim=(-edge, edge))
    left.set_xlabel("predicted gain over uniform, nats a window")
    left.set_ylabel("measured gain, nats a window")
    panel_label(left, "the gain")
    right.axhline(0.0, color="0.45", linewidth=0.8, zorder=0)
    right.set_xticks(np.arange(steps.size), steps)
    right.set_xlabel("steps, $k$")
    right.set_ylabel("measured less predicted, nats a window")
    panel_label(right, "what the prediction misses")
    legend_below(figure, left, 3)
    return figure
