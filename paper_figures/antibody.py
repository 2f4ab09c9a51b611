"""A pretrained model of antibodies: the gain that its losses predict, and the decoders that it has.

Left: what schedules gain over equal steps on antibodies that were not measured, beside the prediction; bars
are 95% intervals over antibodies (Student's, six of them). Right: NLL against calls. Random orders and low
confidence have a bound, which is above the NLL; the others are exact.
"""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.stats import t as student

from ._decoders import draw_decoders, legend_under
from ._style import LOOKS, new_figure, panel_label

EXPERIMENT = "antibody"


def draw(arrays: dict[str, np.ndarray]) -> Figure:
    """Gains by steps, then the likelihood of decoders by calls."""
    figure, ((left, right),) = new_figure(1, 2, height=4.1)
    _gains(left, arrays)
    draw_decoders(right, arrays, "a chain of 104", reach(arrays))
    legend_under(left)
    return figure


def reach(arrays: dict[str, np.ndarray]) -> float:
    """Standard errors of an interval of 95%: half of the antibodies are judged."""
    return float(student.ppf(0.975, int(arrays["antibodies"]) // 2 - 1))


def _gains(axes: Axes, arrays: dict[str, np.ndarray]) -> None:
    names, steps = arrays["schedule"].tolist(), arrays["schedule_steps"]
    place = np.arange(steps.size)
    kinds = {"predicted": "white", "path": None, "bound": "0.7"}
    words = {"predicted": "predicted", "path": "paths", "bound": f"bound, {int(arrays['orders'])} orders"}
    shift = 0
    for name, look in (("best", LOOKS["optimum"]), ("cosine", LOOKS["cosine"])):
        for kind, face in kinds.items():
            gain, error = (
                arrays[f"{kind}_gain{end}_nats"][:, names.index(name)] for end in ("", "_stderr")
            )
            how = look | {"linestyle": "", "elinewidth": 0.9, "markerfacecolor": face or look["color"]}
            how = {key: value for key, value in how.items() if key != "linewidth"}
            how["label"] = f"{name}: {words[kind]}"
            axes.errorbar(place + (shift - 2.5) * 0.12, gain, yerr=reach(arrays) * error, **how)
            shift += 1
    axes.axhline(0.0, color="0.45", linewidth=0.8, zorder=0)
    axes.set_xticks(place, steps)
    axes.set_xlabel("steps, $k$")
    axes.set_ylabel("gain over equal steps, nats a chain")
    panel_label(axes, "predicted and measured")
