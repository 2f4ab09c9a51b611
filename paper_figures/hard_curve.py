"""Fewest steps on the curves of Appendix E against the length, and times epsilon beside log(n) / 9."""

import numpy as np
from matplotlib.figure import Figure

from ._style import LOOKS, legend_below, new_figure, panel_label

EXPERIMENT = "hard_curve"

MARKERS = "osv^D"


def draw(arrays: dict[str, np.ndarray]) -> Figure:
    """Left steps with Theorem 9's bound above them, right steps in units of 1 / epsilon."""
    figure, grid = new_figure(1, 2, height=3.1)
    left, right = grid[0]
    n, epsilons = arrays["n"], arrays["epsilon_nats"]
    shades = np.linspace(0.7, 0.0, len(epsilons))
    for i, (epsilon, marker, shade) in enumerate(zip(epsilons, MARKERS, shades, strict=False)):
        look = {"color": str(shade), "marker": marker, "label": f"$\\epsilon$ = {epsilon:g} nats"}
        steps = arrays["fewest_steps"][i]
        left.plot(n, arrays["theorem9_bound"][i], **{**LOOKS["bound"], "color": str(shade)})
        left.plot(n, steps, **look)
        right.plot(n, steps * epsilon, **look)
    left.plot([], [], color="0.45", linestyle=":", label="$\\log(n) / 9$ (right)")
    left.plot([], [], **{**LOOKS["bound"], "label": "Theorem 9, bound on steps (same shade)"})
    right.plot(n, np.log(n) / 9, color="0.45", linestyle=":")
    left.set_yscale("log", base=10)
    left.set_ylabel("steps")
    right.set_ylim(0, None)
    right.set_ylabel("steps $\\times\\ \\epsilon$, nats")
    panel_label(left, "fewest steps for expected KL $\\epsilon$")
    panel_label(right, "times $\\epsilon$: a straight line is $\\Omega(\\log n / \\epsilon)$")
    for axes in (left, right):
        axes.set_xscale("log", base=2)
        axes.set_xticks(n[::2])
        axes.set_xticks([], minor=True)
        axes.set_xlabel("length $n$, tokens")
    legend_below(figure, left, 3)
    return figure
