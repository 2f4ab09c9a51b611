"""The pictures of reports, drawn from the report alone."""

import io
from typing import TYPE_CHECKING, Any

import numpy as np

from ..information.curve import InformationCurve
from .certify import CertifyReport
from .certify_table import NAMES
from .law_report import ComparisonReport, LawReport
from .likelihood_report import LikelihoodReport
from .schedule import ScheduleReport

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LONG = 4096  # positions, or sequences the most probable first, that are drawn at most (our choice)
MARKERS = "osD^v<>Pp*hX"


Drawn = ScheduleReport | LawReport | ComparisonReport | LikelihoodReport | CertifyReport


def picture(report: Drawn, kind: str) -> bytes:
    """A curve with its steps, a law beside the truth, KL or NLL against calls, as a `png` or `pdf` file."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    draw = {ScheduleReport: _draw_schedule, LawReport: _draw_law, ComparisonReport: _draw_comparison}
    draw |= {LikelihoodReport: _draw_frontier, CertifyReport: _draw_promises}
    size = (6.4, 4.0) if isinstance(report, ScheduleReport) else (8.0, 4.5)
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    next(draw[of] for of in draw if isinstance(report, of))(figure, report)
    return as_file(figure, kind)


def as_file(figure: "Figure", kind: str) -> bytes:
    """A figure as a `png` or `pdf` file."""
    stream = io.BytesIO()
    figure.savefig(stream, format=kind, dpi=200)
    return stream.getvalue()


def _draw_schedule(figure: "Figure", report: ScheduleReport) -> None:
    """A curve, its step approximation, and the error between them (arXiv 2511.04647, Fig. 1).

    The area is the expected KL; for a loss curve, the NLL in excess of one token a step.
    """
    exact, curve, counts = report.exact, report.curve, report.schedule.counts
    values = np.asarray(curve.information if isinstance(curve, InformationCurve) else curve.loss)
    score, area = report.score(report.schedule), "expected KL"
    if not exact:
        score, area = score - float(curve.loss.sum()), "excess over one token a step"
    starts, n = np.cumsum(counts) - counts, values.size
    shown = np.unique(np.linspace(0, n - 1, min(n, LONG)).astype(int))
    edges, drawn = np.append(shown, n), values[shown]
    steps = values[np.repeat(starts, counts)[shown]]
    axes = figure.add_subplot()
    ends = (np.append(drawn, drawn[-1]), np.append(steps, steps[-1]))
    hatch: dict[str, Any] = {"facecolor": "0.85", "edgecolor": "0.55", "hatch": "////", "linewidth": 0}
    axes.fill_between(edges, *ends, step="post", label=f"{area} = {score:.4g} nats", **hatch)
    name = "information curve" if exact else "loss curve"
    axes.stairs(drawn, edges, baseline=None, color="black", linewidth=1.8, label=name)
    seen = {"color": "C0", "linewidth": 1.4, "linestyle": "--", "label": f"what {counts.size} steps see"}
    axes.stairs(steps, edges, baseline=None, **seen)
    axes.plot(starts, values[starts], "o", color="C0", markersize=4)
    what = "information on the next token $Z$ (nats)" if exact else "loss of a masked token $c$ (nats)"
    axes.set(xlim=(0, n), xlabel="tokens revealed", ylabel=what)
    axes.set_title(report.subject.title, fontsize="medium", wrap=True)
    axes.legend(frameon=False, fontsize="small", loc="best")
    axes.spines[["top", "right"]].set_visible(False)


def _draw_law(figure: "Figure", report: LawReport) -> None:
    """Left: the law against the truth, by sequence. Right: when each position is finalised."""
    left, right = figure.subplots(1, 2)
    tables, law = report.whole(), report.law
    truth, made = (np.asarray(tables[name]) for name in ("truth", "law"))
    order = np.argsort(-truth, kind="stable")[:LONG]
    place, name = np.arange(1, order.size + 1), report.decoder.name
    left.plot(place, _positive(made[order]), ".", color="C1", markersize=4, label=name)
    left.step(place, _positive(truth[order]), color="black", linewidth=1.5, where="mid", label="truth p")
    left.set(yscale="log", xlabel="sequence, by its probability under p", ylabel="probability")
    left.legend(frameon=False, fontsize="small")
    forward = float(report.divergences["forward_kl"])
    left.set_title(f"forward KL(p || law) {forward:.4g} nats", fontsize="small")
    left.spines[["top", "right"]].set_visible(False)
    figure.suptitle(report.subject.title, fontsize="medium")
    grid = np.zeros(0) if law.finalised is None else np.asarray(law.finalised)
    if not grid.size:
        right.set_axis_off()
        return
    image = right.imshow(grid, aspect="auto", cmap="Greys", vmin=0, vmax=1, interpolation="nearest")
    figure.colorbar(image, ax=right, label="probability")
    right.set(xlabel="step", ylabel="position")
    for axis in (right.xaxis, right.yaxis):
        axis.get_major_locator().set_params(integer=True)
    right.set_title("step in which a position is finalised", fontsize="small")


def _draw_comparison(figure: "Figure", report: ComparisonReport) -> None:
    """Every decoder at its calls and forward KL, and the hull of the best policies."""
    axes = figure.subplots()
    rows = [row for row in report.rows if isinstance(row, LawReport)]
    pairs = [(row, float(row.divergences["forward_kl"])) for row in rows]
    infinite = [row.decoder.name for row, kl in pairs if not np.isfinite(kl)]
    # Between vertices a mixture of two policies: straight on a linear axis, and so curved on this one.
    vertices = np.asarray(report.hull.calls)
    calls = np.union1d(np.linspace(vertices[0], vertices[-1], 2**10), vertices)
    least = np.interp(calls, vertices, np.asarray(report.hull.kl))
    axes.plot(calls, least, "-", color="black", linewidth=1.5, label="best policies (Bellman)")
    for number, (row, kl) in enumerate((row, kl) for row, kl in pairs if np.isfinite(kl)):
        how: dict[str, Any] = {"markersize": 6, "clip_on": False, "zorder": 3, "label": row.decoder.name}
        how["markerfacecolor"] = "none" if number >= len(MARKERS) else None
        axes.plot(float(row.law.expected_calls), kl, MARKERS[number % len(MARKERS)], **how)
    if infinite:
        axes.set_title(f"infinite KL, not drawn: {', '.join(infinite)}", fontsize="small")
    axes.set_yscale("symlog", linthresh=1e-3)
    axes.set_ylim(bottom=0)
    axes.set(xlabel="expected calls of the denoiser (NFE)", ylabel="forward KL(p || law), nats")
    axes.legend(frameon=False, fontsize="x-small", loc="center left", bbox_to_anchor=(1.0, 0.5))
    axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle(report.subject.title, fontsize="medium")


def _draw_frontier(figure: "Figure", report: LikelihoodReport) -> None:
    """NLL of every family against calls, and against time where calls have a price."""
    kinds: dict[str, list[tuple[float, float, float]]] = {}
    for one in report.scored:
        label = one.decoder.parameters.get("schedule")
        name = one.decoder.name if label is None else f"{one.decoder.name}, {label}"
        name += "" if one.paths.exact else f" (bound, {report.orders} orders)"
        point = (float(one.paths.calls.mean()), float(one.paths.cost.mean()), float(one.nll.mean()))
        kinds.setdefault(name, []).append(point)
    grey = {name: str(round(0.65 * i / max(1, len(kinds) - 1), 2)) for i, name in enumerate(kinds)}
    panels = figure.subplots(1, 2, sharey=True) if report.priced else [figure.subplots()]
    for place, axes in enumerate(panels):
        for number, (name, points) in enumerate(kinds.items()):
            x, y = np.array(sorted(points))[:, [place, 2]].T
            how: dict[str, Any] = {"markersize": 4.5, "linewidth": 1.0, "label": name, "color": grey[name]}
            how["markerfacecolor"] = "white" if number >= len(MARKERS) else None
            how["linestyle"] = ("-", "--", ":", "-.")[number % 4]
            axes.plot(x, y, MARKERS[number % len(MARKERS)], **how)
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_formatter("{x:g}")
        axes.set_xlabel("milliseconds a sequence" if place else "mean calls of the model (NFE)")
        axes.spines[["top", "right"]].set_visible(False)
    scores = np.array([one.nll.mean() for one in report.scored])
    low, middle = scores.min(), np.median(scores)
    panels[0].set_ylim(low - 0.05 * (middle - low), min(scores.max(), low + 4 * (middle - low)) + 1e-9)
    panels[0].set_ylabel(f"NLL of held-out data, nats a sequence of {report.n}")
    where = {"loc": "center left", "bbox_to_anchor": (1.0, 0.5)}
    panels[-1].legend(frameon=False, fontsize="x-small", **where)
    figure.suptitle(report.subject.title, fontsize="medium")


def _draw_promises(figure: "Figure", report: CertifyReport) -> None:
    """What each theory promises (hollow) and what its plan truly costs (filled), against calls."""
    axes, found = figure.subplots(), report.fields()
    rows = [row for row in found["promises"] if row["calls"] is not None]
    for number, row in enumerate(rows):
        how: dict[str, Any] = {"color": f"C{number % 10}", "markersize": 6, "clip_on": False, "zorder": 3}
        marker, calls = MARKERS[number % len(MARKERS)], row["calls"]
        axes.plot(calls, row["true"], marker, label=NAMES[row["name"]], **how)
        if row["promised"] is not None:
            axes.plot(
                [calls, calls], [row["true"], row["promised"]], "-", color=how["color"], linewidth=0.8
            )
            axes.plot(calls, row["promised"], marker, markerfacecolor="white", **how)
    axes.axhline(report.epsilon, color="0.5", linewidth=0.8, linestyle="--")
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_yscale("symlog", linthresh=1e-6)
    axes.set_ylim(bottom=0)
    what = "expected KL" if report.exact else "excess over one token a step"
    axes.set(xlabel="calls of the denoiser (NFE)", ylabel=f"{what}, nats: promised hollow, true filled")
    axes.legend(frameon=False, fontsize="x-small", loc="center left", bbox_to_anchor=(1.0, 0.5))
    axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle(report.subject.title, fontsize="medium")


def _positive(values: np.ndarray) -> np.ndarray:
    """Zeros are not drawn on a logarithmic axis."""
    return np.where(values > 0, values, np.nan)
