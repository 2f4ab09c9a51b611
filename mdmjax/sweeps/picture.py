"""The picture of the lines of a sweep, drawn from the report alone; to be read in greyscale too."""

import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np

from ..studies.plots import LONG, MARKERS
from .lines import NUMBERS, Line, LinesReport

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLORS = ("black", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "0.5", "#7f3c8d")
DASHES = ("-", "--", "-.", ":", (0, (4, 1)), (0, (6, 2)), (0, (1, 1)), (0, (3, 1, 1, 1)), (0, (8, 3)))
"""One look for each line; its dashes and its marker tell it apart without color."""

FEW = 4  # lines of a panel, above which ranges are bars, set apart, and no bands over each other
APART = {"names": 0.6, "numbers": 0.3}
"""Of the least distance on the axis, over how much lines with bars are set apart."""
MARKED = 16  # values of x, above which not every one has a marker
TICKS = 10  # integers are ticks themselves, where all are this part of the axis apart
CHARACTERS = 15.0  # of small letters in an inch

WORDS = {
    "forward_kl": "forward KL(p || law), nats",
    "reverse_kl": "reverse KL(law || p), nats",
    "total_variation": "total variation",
    "chi_square": "chi-square(p || law)",
    "hellinger": "Hellinger distance",
    "incoherence": "mass of the law on what is incoherent",
    "violation_rate": "share of blocks that violate their parity",
    "expected_calls": "expected calls of the denoiser (NFE)",
    "unfinished": "mass that had not ended",
    "regret": "forward KL above that of the best policies, nats",
    "regret_calls": "expected calls that the regret is of",
    "sampling_error": "sampling error of random order, nats",
    "learning_error": "learning error of random order, nats",
    "mean_order_kl": "forward KL(p || law), mean of all orders, nats",
    "mean_order_reverse_kl": "reverse KL(law || p), mean of all orders, nats",
    "best_order_reverse_kl": "reverse KL(law || p) of the best order, nats",
    "best_adaptive_reverse_kl": "reverse KL(law || p) of the best adaptive order, nats",
    "expected_kl": "expected KL, nats",
    "steps_made": "steps that reveal something",
    "fewest_steps": "fewest steps",
    "epsilon_nats": "expected KL allowed, nats",
    "theorem9_bound": "bound of Theorem 9 on the steps",
    "epsilon": "expected KL allowed, nats",
    "share": "expected KL allowed, over the smaller of TC and DTC",
    "entropy": "entropy H, nats",
    "total_correlation": "total correlation TC, nats",
    "dual_total_correlation": "dual total correlation DTC, nats",
    "decoder.bound": "decoder.bound, nats",
    "decoder.price": "decoder.price, nats a call",
}
"""What an axis says of a column that its name does not."""


def figure_of(report: LinesReport) -> "Figure":
    """The lines of a report: a panel for each of its panels, with shared axes, and a legend beside them.

    A band, or a bar where there are many lines or names, is from the least to the most of the rows that a
    mean is of.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    count, plot = len(report.panels), report.plot
    columns = count if count <= 3 else min(4, int(np.ceil(np.sqrt(count))))
    lines = -(-count // columns)
    legend = 0.8 + max(map(len, report.colors)) / CHARACTERS if plot.color else 0.0
    width, height = (5.6, 4.2) if count == 1 else (0.6 + 2.5 * columns, 0.9 + 2.3 * lines)
    figure = Figure(figsize=(width + legend, height), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False)
    for place, axes in enumerate(grid.flat):
        if place >= count:
            axes.remove()
            continue
        name = report.panels[place]
        _draw_panel(axes, report, {line.color: line for line in report.lines if line.panel == name})
        axes.set_title(f"{plot.panel[0]} = {name}" if len(plot.panel) == 1 else name, fontsize="small")
        axes.tick_params(labelsize="small", labelbottom=place + columns >= count)
    _set_scales(grid[0, 0], report)
    figure.supxlabel(WORDS.get(plot.x, plot.x), fontsize="medium")
    figure.supylabel(WORDS.get(plot.y, plot.y), fontsize="medium")
    if plot.color:
        title = plot.color[0] if len(plot.color) == 1 else None
        how: dict[str, Any] = {"fontsize": "small", "title_fontsize": "small", "alignment": "left"}
        how |= {"loc": "outside right center", "frameon": False, "title": title}
        figure.legend(*grid[0, 0].get_legend_handles_labels(), **how)
    room = int(CHARACTERS * (width + legend))
    figure.suptitle("\n".join(textwrap.fill(note, room) for note in report.notes()), fontsize="small")
    return figure


def _draw_panel(axes: "Axes", report: LinesReport, lines: dict[str, Line]) -> None:
    """The lines of a panel, by color; every color is in the legend, also where it has no line here."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="0.9", linewidth=0.5)
    axes.set_axisbelow(True)
    names, count = report.names, len(report.colors)
    bars = bool(names) or (bool(report.over) and count > FEW)
    joined = not names and report.plot.x not in NUMBERS
    drawn = {line.color for line in report.lines if any(line.rows)}
    for place, color in enumerate(report.colors):
        look = _look(place, count)
        look["linestyle"] = look["linestyle"] if joined else "none"
        look["label"] = color if color in drawn else f"{color} (not drawn)"
        line = lines.get(color)
        if line is None:
            axes.plot([], [], **look)
            continue
        x = np.array([names.index(one) for one in line.x] if names else line.x, float)
        x = _set_apart(report, x, (place + 0.5) / count - 0.5) if bars else x
        every, many = max(1, len(x) // MARKED) if joined else 1, len(x) > LONG
        axes.plot(x, line.mean, markevery=every, rasterized=many, **look)
        if max(line.rows) < 2:
            continue
        if bars or len(x) == 1:
            axes.vlines(x, line.least, line.most, color=COLORS[place], linewidth=1.0)
        else:
            axes.fill_between(x, line.least, line.most, color=COLORS[place], alpha=0.15, linewidth=0)


def _look(place: int, count: int) -> dict[str, Any]:
    """The look of one of so many lines; later ones are thinner, and show those that they cover."""
    share, color = place / count, COLORS[place]
    return {
        "color": color,
        "linestyle": DASHES[place],
        "linewidth": 1.8 - 0.8 * share,
        "marker": MARKERS[place],
        "markersize": 6 - 2 * share,
        "markerfacecolor": "white" if place % 2 else color,
        "zorder": 3,
    }


def _set_apart(report: LinesReport, x: np.ndarray, share: float) -> np.ndarray:
    """Places beside `x`, so that the bars of several lines do not lie on each other."""
    if report.names:
        return x + APART["names"] * share
    scale, back = (np.log, np.exp) if "x" in report.plot.log else (np.asarray, np.asarray)
    gaps = np.diff(np.unique(scale([value for line in report.lines for value in line.x])))
    return back(scale(x) + APART["numbers"] * share * gaps.min(initial=np.inf if gaps.size else 0.0))


def _set_scales(axes: "Axes", report: LinesReport) -> None:
    """Scales and ticks, which the panels share."""
    from matplotlib.ticker import NullFormatter

    axes.set(xscale="log" if "x" in report.plot.log else "linear")
    axes.set(yscale="log" if "y" in report.plot.log else "linear")
    if names := report.names:
        axes.set_xticks(range(len(names)), names)
        axes.set_xlim(-0.6, len(names) - 0.4)
        if sum(map(len, names)) > 12 * CHARACTERS / len(report.panels):
            for each in axes.figure.axes:
                each.tick_params("x", rotation=90)
        return
    drawn = {x for line in report.lines for x, count in zip(line.x, line.rows, strict=True) if count}
    ticks = sorted(drawn)
    gaps = np.diff(np.log(ticks) if "x" in report.plot.log else np.asarray(ticks, float))
    if all(isinstance(x, int) for x in ticks) and np.all(gaps * TICKS > gaps.sum()):
        axes.set_xticks(ticks, map(str, ticks))
        axes.xaxis.set_minor_formatter(NullFormatter())
