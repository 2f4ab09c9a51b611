"""Forward KL and accuracy against calls, of plain steps and of edits, a column a model."""

import numpy as np
from matplotlib.figure import Figure

from ._style import legend_below, new_figure, panel_label

EXPERIMENT = "editing"

EDITS = (
    {"color": "#d55e00", "linestyle": "--", "marker": "s"},
    {"color": "#0072b2", "linestyle": ":", "marker": "^"},
    {"color": "0.55", "linestyle": "-.", "marker": "v"},
)
NUMBERS = {"forward_kl_nats": "forward KL, nats", "accuracy": "mass on likely words"}


def draw(arrays: dict[str, np.ndarray]) -> Figure:
    """Means over joints with their 95% intervals; a line an editor after a writer, from sweep to sweep."""
    families, errors = arrays["family"], arrays["error"]
    rows = [(family, number) for family in range(len(families)) for number in NUMBERS]
    figure, grid = new_figure(
        len(rows), len(errors), height=1.7 * len(rows) + 0.5, sharex=True, sharey="row"
    )
    for row, (family, number) in enumerate(rows):
        for column, error in enumerate(errors):
            axes, cell = grid[row, column], (family, column)
            plain = arrays[f"plain_{number}"][cell]
            mean, wide = _interval(plain)
            steps = np.arange(1, mean.size + 1)
            axes.errorbar(steps, mean, yerr=wide, color="black", marker="o", label="plain steps", zorder=4)
            last = arrays["edited_calls"].max()
            axes.plot([steps[-1], last], mean[[-1, -1]], color="black", linewidth=0.6)
            for w, width in enumerate(arrays["width"]):
                for k, _ in enumerate(arrays["written"]):
                    mean, wide = _interval(arrays[f"edited_{number}"][cell][:, k, w])
                    label = f"edits, {width} at once" if k == 0 else None
                    axes.errorbar(
                        arrays["edited_calls"][k, w],
                        mean,
                        yerr=wide,
                        elinewidth=0.7,
                        label=label,
                        **EDITS[w],
                    )
            axes.set_xscale("log", base=2)
            axes.set_xticks(ticks := [1, 2, 4, 8, 16, 32], [str(tick) for tick in ticks])
            if number == "forward_kl_nats":
                axes.set_yscale("symlog", linthresh=0.01, linscale=0.5)
                axes.set_ylim(bottom=0)
                axes.set_yticks([0, 0.01, 0.1, 1], ["0", "0.01", "0.1", "1"])
            if row in (0, len(NUMBERS)):
                panel_label(axes, f"{families[family]}: {_model(*error)}")
        grid[row, 0].set_ylabel(NUMBERS[number])
    for axes in grid[-1]:
        axes.set_xlabel("calls of writer and editor")
    legend_below(figure, grid[0, 0], 4)
    return figure


def _interval(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mean over joints, and half of its 95% interval."""
    return values.mean(0), 1.96 * values.std(0, ddof=1) / np.sqrt(len(values))


def _model(writer: float, editor: float) -> str:
    if writer == editor:
        return f"both {writer:.0%} wrong" if writer else "both exact"
    return f"writer {writer:.0%} wrong" if not editor else f"{writer:.0%}, {editor:.0%} wrong"
