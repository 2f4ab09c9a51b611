"""The pictures of `mdmjax law`: one law beside the truth, or the KL of every decoder against its calls."""

import io
from typing import Any

import numpy as np

SHOWN = 4096
"""Sequences that are drawn, the most probable first."""


def draw(result: dict[str, Any], kind: str) -> bytes:
    """The picture as the bytes of a `kind` (`png` or `pdf`) file."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    if "decoders" in result:
        _draw_all(figure, result)
    else:
        _draw_one(figure, result)
    figure.suptitle(result["title"], fontsize="medium")
    stream = io.BytesIO()
    figure.savefig(stream, format=kind, dpi=200)
    return stream.getvalue()


def _draw_one(figure: Any, result: dict[str, Any]) -> None:
    """Left: the law against the truth, by sequence. Right: when each position is finalised."""
    left, right = figure.subplots(1, 2)
    truth, law = np.array(result["truth"]), np.array(result["law"])
    order = np.argsort(-truth, kind="stable")[:SHOWN]
    place = np.arange(1, order.size + 1)
    left.plot(place, _positive(law[order]), ".", color="C1", markersize=4, label=result["decoder"]["name"])
    left.step(place, _positive(truth[order]), color="black", linewidth=1.5, where="mid", label="truth p")
    left.set_yscale("log")
    left.set_xlabel("sequence, by its probability under p")
    left.set_ylabel("probability")
    left.legend(frameon=False, fontsize="small")
    left.set_title(f"forward KL {float(result['forward_kl']):.4g} nats", fontsize="small")
    if result["finalised"]:
        grid = np.array(result["finalised"])
        image = right.imshow(grid, aspect="auto", cmap="Greys", vmin=0, vmax=1, interpolation="nearest")
        figure.colorbar(image, ax=right, label="probability")
        right.set_xlabel("step")
        right.xaxis.get_major_locator().set_params(integer=True)
        right.yaxis.get_major_locator().set_params(integer=True)
        right.set_ylabel("position")
        right.set_title("step in which a position is finalised", fontsize="small")
    else:
        right.set_axis_off()
    left.spines[["top", "right"]].set_visible(False)


def _draw_all(figure: Any, result: dict[str, Any]) -> None:
    """Every decoder at its calls and forward KL, and the hull of the best policies."""
    axes = figure.subplots()
    rows = [row for row in result["decoders"] if "skipped" not in row]
    infinite = [row["decoder"]["name"] for row in rows if not np.isfinite(float(row["forward_kl"]))]
    rows = [row for row in rows if np.isfinite(float(row["forward_kl"]))]
    best = {key: np.array(values, float) for key, values in result["best_policies"].items()}
    # Between vertices a mixture of two policies: straight on a linear axis, and so curved on this one.
    calls = np.union1d(np.linspace(best["calls"][0], best["calls"][-1], 2**10), best["calls"])
    kl = np.interp(calls, best["calls"], best["kl"])
    axes.plot(calls, kl, "-", color="black", linewidth=1.5, label="best policies (Bellman)")
    markers = "osD^v<>Pp*hX"
    for number, row in enumerate(rows):
        axes.plot(
            float(row["expected_calls"]),
            float(row["forward_kl"]),
            markers[number % len(markers)],
            markersize=6,
            markerfacecolor="none" if number >= len(markers) else None,
            label=row["decoder"]["name"],
            clip_on=False,
            zorder=3,
        )
    if infinite:
        axes.set_title(f"infinite KL, not drawn: {', '.join(infinite)}", fontsize="small")
    axes.set_yscale("symlog", linthresh=1e-3)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("expected calls of the denoiser")
    axes.set_ylabel("forward KL(p || law), nats")
    axes.legend(frameon=False, fontsize="x-small", loc="center left", bbox_to_anchor=(1.0, 0.5))
    axes.spines[["top", "right"]].set_visible(False)


def _positive(values: np.ndarray) -> np.ndarray:
    """Zeros are not drawn on a logarithmic axis."""
    return np.where(values > 0, values, np.nan)
