"""NLL against calls of the decoders of one model."""

import numpy as np
from matplotlib.axes import Axes

from ._style import LOOKS, panel_label

KINDS = {"confidence": "s", "low-confidence": "v", "threshold": "D", "entropy-bounded": "P"}


def draw_decoders(axes: Axes, arrays: dict[str, np.ndarray], unit: str, reach: float = 1.96) -> None:
    """Random orders in the best and in equal steps, and what is used in their place.

    Bars are `reach` standard errors.
    """
    steps, names = arrays["schedule_steps"], arrays["schedule"].tolist()
    for name, look in (("best", LOOKS["optimum"]), ("uniform", LOOKS["uniform"])):
        nll, error = (arrays[f"bound_nll{end}_nats"][:, names.index(name)] for end in ("", "_stderr"))
        label = f"random order, {'equal' if name == 'uniform' else 'best'} steps (bound)"
        axes.errorbar(steps, nll, yerr=reach * error, **look | {"label": label, "elinewidth": 0.8})
    for number, (kind, marker) in enumerate(KINDS.items()):
        own = np.array([one.replace(",", "").split()[0] == kind for one in arrays["decoder"].tolist()])
        order = np.argsort(arrays["decoder_calls"][own])
        x, y = (arrays[f"decoder_{key}"][own][order] for key in ("calls", "nll_nats"))
        bound = "" if arrays["decoder_exact"][own].all() else " (bound)"
        how = {"marker": marker, "color": str(0.15 + 0.17 * number), "markersize": 4.5, "linewidth": 1.0}
        axes.plot(x, y, label=kind + bound, linestyle=("--", ":", "-.", "--")[number], **how)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter("{x:g}")
    axes.tick_params(axis="y", which="minor", labelsize=6)
    axes.set_xlabel("mean calls of the model (NFE)")
    axes.set_ylabel(f"NLL, nats {unit}")
    panel_label(axes, "decoders on the same model")
    legend_under(axes)


def legend_under(axes: Axes) -> None:
    """The legend of one panel, below it: lines go everywhere inside."""
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.15), ncols=2, fontsize=6.5, handlelength=2.6)
