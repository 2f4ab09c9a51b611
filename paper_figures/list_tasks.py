"""Accuracy of list tasks against tokens a step: closed form, exact law, networks; a column a task."""

import numpy as np
from matplotlib.figure import Figure
from scipy.stats import t as student

from ._style import legend_below, new_figure, panel_label

EXPERIMENT = "list_tasks"

LOOKS = {
    "random": {"color": "#0072b2", "marker": "s"},
    "easy first": {"color": "#d55e00", "marker": "^"},
    "random, best steps": {"color": "#009e73", "marker": "D", "markerfacecolor": "white"},
    "threshold": {"color": "black", "marker": "x", "markersize": 5},
}
EXACT = {
    "random": {"color": "0.45", "linestyle": "-"},
    "random, best steps": {"color": "0.45", "linestyle": ":"},
}


def draw(arrays: dict[str, np.ndarray]) -> Figure:
    """A row a training and a temperature; networks with 95% intervals over seeds (Student's t).

    The exact law of easy first is that of random, in the width of a line. Thresholds are at the mean
    tokens a step that they take, the highest at the left.
    """
    order, setting, n = arrays["order"], arrays["setting"], int(arrays["items"])
    rows = [(a, b) for a in range(arrays["training"].size) for b in range(arrays["temperature"].size)]
    figure, grid = new_figure(
        len(rows), arrays["task"].size, height=1.5 * len(rows) + 1.2, sharex=True, sharey=True
    )
    for row, (training, heat) in enumerate(rows):
        for column, task in enumerate(arrays["task"]):
            axes = grid[row, column]
            exact, closed = (arrays[f"{side}_accuracy"][column, heat] for side in ("exact", "closed"))
            for name, look in EXACT.items():
                axes.plot(setting[order == name], exact[order == name], label=f"exact law, {name}", **look)
            forms = order == "random"
            plain = {"color": "black", "linestyle": "", "marker": "o", "markersize": 7}
            label = "closed form (2510.04767)"
            axes.plot(setting[forms], closed[forms], markerfacecolor="none", label=label, **plain)
            of = order == "threshold"
            steps = arrays["exact_calls"][column, heat, of]
            axes.plot(n / steps, exact[of], "+", color="0.45", markersize=8, label="exact law, thresholds")
            values = arrays["model_accuracy"][column, training, :, heat]
            mean, count = values.mean(axis=0), len(values)
            wide = student.ppf(0.975, count - 1) * values.std(axis=0, ddof=1) / np.sqrt(count)
            taken = n / arrays["model_calls"][column, training, :, heat].mean(axis=0)
            for place, (name, look) in enumerate(LOOKS.items()):
                of = order == name
                shifted = taken[of] * 1.1 ** (place - 1.5)  # else marks hide each other
                axes.errorbar(
                    shifted,
                    mean[of],
                    yerr=wide[of],
                    linestyle="",
                    elinewidth=0.7,
                    label=f"network, {name}",
                    **look,
                )
            axes.set_xscale("log", base=2)
            ticks = setting[forms]
            axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
            axes.minorticks_off()
            axes.set_ylim(-0.05, 1.08)
            if row == 0:
                panel_label(axes, str(task))
        how = "greedy" if arrays["temperature"][heat] == 0 else "temperature 1"
        grid[row, 0].set_ylabel(f"{arrays['training'][training]} updates,\n{how}\nshare right")
    for axes in grid[-1]:
        axes.set_xlabel("tokens a step")
    legend_below(figure, grid[0, 0], 3)
    return figure
