"""What a reader of a loss table is told: that it cannot be what it seems to be, or what to know of it."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from .._errors import refuse, shown
from ..files.loss_columns import OPPOSITE, typed
from ..files.loss_table import LossFile
from ..information.curve_fit import FITS
from ..information.loss_curve import LossCurve, LossTable
from ..information.loss_means import LossMeans
from ..information.table_checks import (
    above_guessing,
    check_unit,
    count_means,
    direction,
    rises_within_noise,
    unit_doubtful,
)


def curve_and_facts(means: LossMeans, fit: str | None = None) -> tuple[LossCurve, dict[str, Any]]:
    """The curve that schedules are chosen on, by a name of `FITS`, and what its reader should know of it.

    Without a name: `spline` where the errors of the losses are known, else `rows`, as they are.
    """
    fit = fit or ("rows" if means.stderr is None else "spline")
    if fit not in FITS:
        refuse("fit", fit, f"one of {', '.join(FITS)}")
    measured, points = means.curve(), int(means.at.size)
    facts = {"rows": int(means.table.loss.size), "measured": points, "interpolated": measured.n - points}
    facts["least_measured"] = measured.n - int(means.at[-1])
    facts["largest_measured"] = measured.n - int(means.at[0])
    rises = int(np.sum(np.diff(means.loss) > 0))
    return FITS[fit](measured), facts | {"repeated": means.table.repeated, "rises": rises, "fit": fit}


def check_losses(read: LossFile, vocabulary: int | None) -> None:
    """Refuse losses of another unit (`check_unit`), and an axis reversed beyond noise (`direction`)."""
    if vocabulary is not None:
        check_unit(read.table, vocabulary)
    if direction(read.table) != (True, False):
        return
    axis, names, means = read.layout.axis, read.layout.names, count_means(read.table)
    low, high = (f"{means.loss[at]:.4g} with {means.n_masked[at]} masked" for at in (0, -1))
    name = names[axis]
    what = {"n_masked": "how many are masked", "mask_ratio": "the share that is masked"}
    meant = what.get(OPPOSITE[axis]) or f"{what[axis].replace('masked', 'revealed')}"
    remedy = f"{shown(name)} is perhaps {meant}, or a time that runs the other way: "
    remedy += f"{typed(**{OPPOSITE[axis]: name, 'loss': names['loss']})} --length N"
    refuse("loss", f"{low} and {high}", "one that rises with what is masked", remedy)


def found_in(table: LossTable, vocabulary: int | None) -> dict[str, Any]:
    """`reversed`: it falls as more is masked, by noise; mask counts `above_log_q`; and what is named."""
    return {
        "reversed": direction(table).reversed,
        "rises_within_noise": rises_within_noise(table),
        "unit_doubtful": unit_doubtful(table),
        "above_log_q": None if vocabulary is None else above_guessing(table, vocabulary),
    }


def notes(facts: Mapping[str, Any]) -> list[str]:
    """Lines on what was read as what, and on what is odd."""
    lines, source = [], facts.get("source", {})
    renamed = [
        f"{role} from {shown(name)}" for role, name in facts.get("columns", {}).items() if role != name
    ]
    if renamed:
        lines.append(f"Read: {', '.join(renamed)}.")
    if steps := facts.get("logged_steps"):
        if steps["read"] is None:
            ends = f"{steps['first']:g} to {steps['last']:g}"
            lines.append(f"Rows of {steps['of']} steps ({ends}) are averaged, as if of one model.")
        else:
            lines.append(f"Of {steps['of']} steps the last that is whole is read, {steps['read']:g}.")
    if merged := facts.get("rows_merged"):
        lines.append(f"{merged} rows were merged with others of their mask count, by count.")
    if facts.get("reversed"):
        lines.append(
            "The loss falls as more is masked: by noise, or n_masked is what is revealed (n_revealed). "
            "These rows cannot tell which schedule is best."
        )
    if facts["rises"] and facts.get("rises_within_noise") is not None:
        within = facts["rises_within_noise"]
        lines.append(f"Of the rises {within} are within 2 standard errors.")
    if facts.get("unit_doubtful"):
        lines.append(
            "The losses are above the logarithm of any vocabulary: sums over a sequence (--per sequence), "
            "weighted (--weighted), or perplexities (--unit perplexity)?"
        )
    if above := facts.get("above_log_q"):
        q = source["vocabulary"]
        where = f"n_masked = {shown(', '.join(map(str, above)))}"
        lines.append(
            f"The loss is above log {q} = {math.log(q):.4f}, which guessing has, at {where}: the model is "
            "worse than that there, or the loss is of another unit (--unit, --per, --weighted)."
        )
    return lines
