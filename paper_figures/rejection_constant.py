"""Proposals of exact rejection sampling and their bound: by block, by belief, by parity noise."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ._style import LOOKS, legend_below, new_figure, panel_label

EXPERIMENT = "rejection_constant"

CONSTANT = {"label": r"$M = \sup\, p / p_\Pi$, exact", "color": "black", "linestyle": "-", "marker": "o"}
BOUND = {
    "label": r"exp(forward CTC), Proposition 5.1",
    "color": "#0072b2",
    "linestyle": "--",
    "marker": "s",
}
ENUMERATION = {**LOOKS["bound"], "linewidth": 0.9}


def lines(axes: Axes, at: np.ndarray, constant: np.ndarray, bound: np.ndarray, words: int, every: int):
    """Both numbers of proposals, and how many words an enumeration has."""
    axes.plot(at, constant, **CONSTANT, markevery=every)
    axes.plot(at, bound, **BOUND, markevery=every)
    axes.axhline(words, **ENUMERATION, label=f"words of a block, {words}")
    axes.set_yscale("log")
    axes.set_ylim(1, 1e5)


def draw(arrays: dict[str, np.ndarray]) -> Figure:
    """Three panels on one logarithmic axis; block 1 and the last block apart in the third."""
    figure, grid = new_figure(1, 3, height=3.0, sharey=True)
    by_block, by_belief, by_eta = grid[0]
    words, etas = int(arrays["words"]), arrays["eta"]
    noise = f"$\\eta = 10^{{{np.log10(etas[0]):.0f}}}$"
    constant, bound = arrays["mean_constant"], arrays["mean_exp_ctc"]
    blocks = np.arange(1, constant.shape[1] + 1)

    lines(by_block, blocks, constant[0], bound[0], words, 1)
    # Single contexts, not their mean: the least and the greatest M of each block.
    least, most = arrays["constant_quantiles"][:, 0], arrays["constant_quantiles"][:, -1]
    by_block.vlines(blocks, least, most, color="0.7", linewidth=4, zorder=1, label="$M$, least to greatest")
    by_block.set_xticks(blocks)
    by_block.set_xlabel("block")
    by_block.set_ylabel("proposals a block (log axis)")
    panel_label(by_block, f"mean over contexts, {noise}")

    lines(by_belief, arrays["belief"], arrays["constant_by_belief"], arrays["exp_ctc_by_belief"], words, 20)
    by_belief.set_xlabel("belief in the first hidden state")
    panel_label(by_belief, f"each context, {noise}")

    lines(by_eta, etas, constant[:, -1], bound[:, -1], words, 1)
    by_eta.set_xscale("log")
    by_eta.set_xlabel(r"parity noise $\eta$")
    panel_label(by_eta, f"mean over contexts, block {blocks[-1]}")
    legend_below(figure, by_block, 2)
    return figure
