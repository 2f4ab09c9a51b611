"""Schedules of noisy loss tables: rules between rows, curves to choose on, gains and how sure they are.

Means over curves or over noisy tables. A gain is over equal steps; "promised" is judged by the curve that
chose, "honest" by the other half of the data.
"""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ._style import new_figure, panel_label

EXPERIMENT = "honest_gain"

LINES = (
    {"color": "black", "linestyle": "-", "marker": "o", "linewidth": 1.8, "zorder": 4},
    {"color": "#0072b2", "linestyle": "--", "marker": "s"},
    {"color": "#d55e00", "linestyle": "-.", "marker": "^"},
    {"color": "#cc79a7", "linestyle": ":", "marker": "v"},
    {"color": "#009e73", "linestyle": (0, (6, 2)), "marker": "D", "markerfacecolor": "white"},
    {"color": "#56b4e9", "linestyle": (0, (4, 1)), "marker": "P"},
)
BETWEEN = ("PCHIP in log odds", "PCHIP in sqrt(m)", "PCHIP in m", "linear in m", "log PCHIP in m")
CHOSEN = ("spline", "bagged spline", "bagged isotonic", "isotonic", "rows")
ERRORS = {"stderr": "standard errors", "rows": "repeated rows", "sequences": "sequences"}


def draw(arrays: dict[str, np.ndarray]) -> Figure:
    """Four panels: between rows, the choice, gains, coverage."""
    figure, ((between, choice), (gains, covered)) = new_figure(2, 2, height=5.6)
    _between(between, arrays)
    _choice(choice, arrays)
    _gains(gains, arrays)
    _covered(covered, arrays)
    return figure


def _between(axes: Axes, arrays: dict[str, np.ndarray]) -> None:
    grids, rules = arrays["grid"].tolist(), arrays["rule"].tolist()
    for name, look in zip(BETWEEN, LINES, strict=False):
        error = arrays["rule_best_error_nats"][rules.index(name)].mean(axis=-1)
        axes.plot(range(len(grids)), error, label=name.replace("sqrt(m)", r"$\sqrt{m}$"), **look)
    axes.set_yscale("log")
    axes.set_xticks(range(len(grids)), grids)
    axes.set_xlabel("mask counts measured, and both ends")
    axes.set_ylabel("error of the best NLL, nats")
    axes.legend(loc="lower right", fontsize=6.5)
    panel_label(axes, "losses between rows (no noise)")


def _choice(axes: Axes, arrays: dict[str, np.ndarray]) -> None:
    stderr, rules = arrays["stderr_nats"], arrays["choice"].tolist()
    for name, look in zip(CHOSEN, LINES, strict=False):
        excess = arrays["choice_excess_nats"][rules.index(name)].mean(axis=(0, 2))
        axes.plot(stderr, excess, label=name, **look)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks(stderr, [f"{one:g}" for one in stderr])
    axes.set_yticks([0.2, 0.5, 1, 2], ["0.2", "0.5", "1", "2"])
    axes.minorticks_off()
    axes.set_xlabel("standard error of a row, nats")
    axes.set_ylabel("true excess over the optimum, nats")
    axes.legend(loc="upper left", fontsize=6.5)
    panel_label(axes, "the curve that is chosen on")


def _gains(axes: Axes, arrays: dict[str, np.ndarray]) -> None:
    with_stderr = arrays["case_errors"] == "stderr"
    old, new = (np.flatnonzero(with_stderr & (arrays["case_fit"] == fit)) for fit in ("rows", "spline"))
    place = np.arange(new.size)
    axes.plot(place - 0.25, arrays["case_promised"][old], "x", color="0.45", label="rows: promised")
    axes.plot(
        place - 0.25,
        arrays["case_true"][old],
        "s",
        color="0.45",
        markerfacecolor="white",
        label="rows: true",
    )
    error = 1.96 * arrays["case_honest_stderr"][new]
    bar = {"color": "black", "linestyle": "", "marker": "o", "elinewidth": 0.8}
    axes.errorbar(place + 0.1, arrays["case_honest"][new], error, label="spline: honest, 95%", **bar)
    white = {"color": "#d55e00", "marker": "D", "linestyle": "", "markerfacecolor": "white"}
    axes.plot(place + 0.3, arrays["case_true"][new], label="spline: true", **white)
    axes.axhline(0.0, color="0.45", linewidth=0.8, zorder=0)
    names = zip(arrays["case_curve"][new], arrays["case_every"][new], strict=True)
    axes.set_xticks(place, [f"{str(name).replace(' ', chr(10))}\n1/{every}" for name, every in names])
    axes.tick_params(axis="x", labelsize=5.5)
    axes.set_xlabel("curve, and the share of mask counts measured")
    axes.set_ylabel("gain over equal steps, nats")
    axes.set_ylim(top=1.5 * arrays["case_promised"].max())
    axes.legend(loc="upper center", fontsize=6.5, ncols=2)
    panel_label(axes, "gains, means of noisy tables")


def _covered(axes: Axes, arrays: dict[str, np.ndarray]) -> None:
    curves = list(dict.fromkeys(arrays["case_curve"].tolist()))
    for number, (errors, label) in enumerate(ERRORS.items()):
        chosen = (arrays["case_errors"] == errors) & (arrays["case_fit"] == "spline")
        place = np.array([curves.index(name) for name in arrays["case_curve"][chosen].tolist()])
        look = {key: value for key, value in LINES[number].items() if key not in ("linestyle", "linewidth")}
        where = place + 0.2 * (number - 1) + 0.05 * (arrays["case_every"][chosen] > 1)
        axes.plot(where, arrays["case_covered"][chosen], linestyle="", label=label, **look)
    axes.axhline(0.95, color="0.45", linestyle=(0, (8, 3)), linewidth=0.8, zorder=0)
    axes.set_xticks(range(len(curves)), curves)
    axes.set_ylim(min(0.85, arrays["case_covered"].min() - 0.05), 1.02)
    axes.set_xlabel("curve (right of a pair: every fourth count)")
    axes.set_ylabel("intervals that hold the true gain")
    axes.legend(loc="lower left", fontsize=6.5)
    panel_label(axes, "coverage of the 95% interval")
