"""The picture of the lines of a sweep, drawn from the report alone."""

from typing import TYPE_CHECKING, Any

import numpy as np

from ..studies.plots import MARKERS
from .lines import Line, LinesReport

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLORS = (
    "black",
    "#0072b2",
    "#d55e00",
    "#009e73",
    "#cc79a7",
    "#e69f00",
    "#56b4e9",
    "0.5",
    "#7f3c8d",
)
DASHES = ("-", "--", "-.", ":", (0, (4, 1)), (0, (6, 2)), (0, (1, 1)), (0, (3, 1, 1, 1)), (0, (8, 3)))
"""One look for each color, whose dashes and markers tell lines apart without it."""

SPREAD = 0.6  # of the room of a name, over which its colors are spread
MARKED = 16  # values of x, above which not every one has a marker

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
    "expected_kl": "expected KL, nats",
    "entropy": "entropy H, nats",
    "total_correlation": "total correlation TC, nats",
    "dual_total_correlation": "dual total correlation DTC, nats",
    "decoder.bound": "decoder.bound, nats",
    "decoder.price": "decoder.price, nats a call",
}
"""What an axis says of a column that is not called by its name alone."""


def figure_of(report: LinesReport) -> "Figure":
    """The lines of a report: a panel for each of its panels, with shared axes, and a legend beside them.

    A band, or a bar, is from the least to the most of the rows that a mean is of.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    count, plot = len(report.panels), report.plot
    columns = count if count <= 3 else min(4, int(np.ceil(np.sqrt(count))))
    lines = -(-count // columns)
    size = (6.8, 4.2) if count == 1 else (1.6 + 2.5 * columns, 0.9 + 2.3 * lines)
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False)
    for place, axes in enumerate(grid.flat):
        if place >= count:
            axes.remove()
            continue
        name = report.panels[place]
        _draw_panel(axes, report, [line for line in report.lines if line.panel == name])
        axes.set_title(_titled(plot.panel, name), fontsize="small", loc="left")
        axes.tick_params(labelsize="small", labelbottom=place + columns >= count)
    _set_axes(grid[0, 0], report)
    for axis, label in ((figure.supxlabel, plot.x), (figure.supylabel, plot.y)):
        axis(WORDS.get(label, label), fontsize="medium")
    handles, names = grid[0, 0].get_legend_handles_labels()
    if plot.color:
        where: dict[str, Any] = {"loc": "outside right center", "title": " + ".join(plot.color)}
        figure.legend(handles, names, frameon=False, fontsize="small", title_fontsize="small", **where)
    figure.suptitle("\n".join(report.notes()), fontsize="small")
    return figure


def _draw_panel(axes: "Axes", report: LinesReport, lines: list[Line]) -> None:
    """The lines of a panel; every color is in the legend, also where it has no line here."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="0.9", linewidth=0.5)
    axes.set_axisbelow(True)
    found = {line.color: line for line in lines}
    names = _names(report)
    for place, color in enumerate(report.colors):
        look: dict[str, Any] = {"color": COLORS[place], "markersize": 4.5, "linewidth": 1.3}
        look |= {"linestyle": DASHES[place], "marker": MARKERS[place], "label": color}
        look["markerfacecolor"] = "white" if place % 2 else COLORS[place]
        line = found.get(color)
        if line is None:
            axes.plot([], [], **look)
            continue
        if names:
            spread = SPREAD * ((place + 0.5) / len(report.colors) - 0.5)
            x = np.array([names.index(value) + spread for value in line.x])
            look["linestyle"] = "none"
        else:
            x = np.asarray(line.x, float)
            look["markevery"] = max(1, len(x) // MARKED)
        mean, least, most = (np.asarray(part, float) for part in (line.mean, line.least, line.most))
        axes.plot(x, mean, **look)
        if max(line.rows) < 2:
            continue
        if names or len(x) == 1:
            axes.vlines(x, least, most, color=COLORS[place], linewidth=1.0)
        else:
            axes.fill_between(x, least, most, color=COLORS[place], alpha=0.15, linewidth=0)


def _names(report: LinesReport) -> list[str]:
    """The names of an axis of names, in the order of the points; none of one of numbers."""
    found = list(dict.fromkeys(value for line in report.lines for value in line.x))
    return found if isinstance(found[0], str) else []


def _set_axes(axes: "Axes", report: LinesReport) -> None:
    """Scales and ticks, which the panels share."""
    from matplotlib.ticker import NullFormatter

    names = _names(report)
    if names:
        turned = {"rotation": 35, "ha": "right"} if sum(map(len, names)) > 40 else {}
        axes.set_xticks(range(len(names)), names, **turned)
    if "x" in report.plot.log:
        axes.set_xscale("log")
    if "y" in report.plot.log:
        axes.set_yscale("log")
    values = sorted({value for line in report.lines for value in line.x if not names})
    if values and len(values) <= 10 and all(isinstance(value, int) for value in values):
        axes.set_xticks(values, [str(value) for value in values])
        axes.xaxis.set_minor_formatter(NullFormatter())


def _titled(columns: tuple[str, ...], name: str) -> str:
    return f"{columns[0]} {name}" if len(columns) == 1 else name
