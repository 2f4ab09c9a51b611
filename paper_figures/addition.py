"""Addition: exact match by order and width, what easy-first gains, and whether errors follow entropies."""

import numpy as np
from matplotlib.figure import Figure

from ._style import legend_below, new_figure, panel_label

EXPERIMENT = "addition"

LOOKS = {
    "easy first": {"color": "#d55e00", "linestyle": "-", "marker": "o"},
    "right to left": {"color": "black", "linestyle": (0, (6, 2)), "marker": "<"},
    "random": {"color": "#cc79a7", "linestyle": "-.", "marker": "^"},
    "left to right": {"color": "0.45", "linestyle": ":", "marker": ">"},
    "hard first": {"color": "#0072b2", "linestyle": "--", "marker": "s"},
    "causal": {"color": "0.45", "linestyle": (0, (1, 1)), "marker": "x"},
    "causal, backwards": {"color": "black", "linestyle": (0, (3, 1, 1, 1)), "marker": "+"},
}
LEARNED = 10
"""Per cent of sums from which on a network is compared: the smallest learns nothing in any order."""
GAINS = {
    "random": {"label": "over random", "color": "#cc79a7", "marker": "^"},
    "left to right": {"label": "over left to right", "color": "0.45", "marker": ">"},
    "right to left": {"label": "over right to left", "color": "black", "marker": "<"},
}


def draw(arrays: dict[str, np.ndarray]) -> Figure:
    """Accuracies and their gains over seeds, means with standard errors; the fits of Assumption 4.2."""
    figure, ((left, middle, right),) = new_figure(1, 3, height=3.2, width_ratios=(1.2, 1, 1))
    names, accuracy = arrays["decoder"].tolist(), 100 * arrays["accuracy"]
    for name, look in LOOKS.items():
        mean, error = _over_seeds(100 - accuracy[:, :, names.index(name)])
        error = np.stack([np.minimum(error, 0.9 * mean), error])  # above zero: the axis is logarithmic
        left.errorbar(arrays["parameters"], mean, error, label=name, capsize=2, elinewidth=0.6, **look)
    left.set_xscale("log")
    left.set_yscale("log")
    left.set_xlabel("parameters")
    left.set_ylabel("sums that are wrong, %")
    panel_label(left, "wrong answers by order")
    easy = accuracy[:, :, names.index("easy first")]
    for name, look in GAINS.items():
        other = accuracy[:, :, names.index(name)]
        able = other.ravel() > LEARNED
        middle.plot(other.ravel()[able], (easy - other).ravel()[able], linestyle="", **look)
    middle.axhline(0, color="0.7", linewidth=0.8)
    middle.set_xlabel("right in the other order, %")
    middle.set_ylabel("more right easy-first, points")
    low, high = middle.get_ylim()
    middle.set_ylim(low - 0.4 * (high - low), high)  # room for the legend
    middle.legend(loc="lower left", handlelength=1)
    panel_label(middle, "what easy-first gains")
    _fits(right, arrays)
    legend_below(figure, left, 4)
    return figure


def _fits(axes, arrays: dict[str, np.ndarray]) -> None:
    """The share of the variance of the errors that the regression explains, along easy-first."""
    orders = arrays["order"].tolist()
    share = arrays["coefficient"].tolist().index("r_squared")
    cases = [
        ("addition, model's entropy", arrays["addition_fit"], arrays["width"], "o", "#d55e00", "-"),
        ("Block-HMM, truth's", arrays["hmm_fit"], arrays["hmm_steps"], "s", "black", "--"),
        ("Block-HMM, model's", arrays["hmm_model_entropy_fit"], arrays["hmm_steps"], "D", "0.5", ":"),
    ]
    for label, fits, _, marker, color, line in cases:
        mean, error = _over_seeds(fits[:, :, orders.index("easy first"), share])
        places = np.linspace(0, 1, len(mean)) if len(mean) > 1 else np.array([0.5])
        look = {"marker": marker, "color": color, "linestyle": line, "capsize": 2}
        axes.errorbar(places, mean, error, label=label, **look)
    axes.set_xticks([0, 1], ["worst", "best"])
    axes.set_xlabel("width, or training steps")
    axes.set_ylabel(r"$R^2$, easy first")
    axes.set_ylim(0, 1.6)
    axes.legend(loc="upper left")
    panel_label(axes, "errors by entropies")


def _over_seeds(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard error over the second axis; no error of one seed."""
    count = values.shape[1]
    error = values.std(axis=1, ddof=1) / np.sqrt(count) if count > 1 else np.zeros(len(values))
    return values.mean(axis=1), error
