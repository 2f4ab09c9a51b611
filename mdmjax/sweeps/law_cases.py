"""The cases of laws: a truth, a denoiser with its error and a decoder, made from the names of a point."""

from typing import Any, NamedTuple

import equinox as eqx
import jax

import mdmjax as mj

from .._errors import InvalidInputError, refuse
from .._types import Array, Float
from ..families import FAMILIES
from ..policies.mixture import mixture_schedules
from ..studies.law import check_size, is_long, oracle_of
from ..studies.named_decoders import DECODERS
from ..studies.naming import Setting
from ..studies.sources import FamilySource
from .cases import complete_source, named_schedule, parameters, source_of, truth_of
from .columns import Point
from .models import MODELS

ERRORS = ("mix", "dirichlet", "entropy_noise")
"""Columns of the denoiser's error, of which a point has one at most."""

BY_BLOCKS = ("mean-field", "verified")
"""Decoders whose laws of the Block-HMM's own blocks need no table."""


class LawCase(eqx.Module):
    """A truth, a denoiser, a decoder, and the schedule that it was made for."""

    probs: Float[Array, "..."]
    denoiser: mj.AbstractDenoiser
    decoder: mj.AbstractDecoder
    schedule: mj.Schedule
    block: int | None = eqx.field(static=True)


class LongCase(NamedTuple):
    """A Block-HMM too long for a table, and mean-field or verified decoding of its blocks."""

    truth: mj.BlockHMM
    decoder: mj.AbstractDecoder


def complete(point: Point, seed: int) -> Point:
    """With the parameters of the source, of the decoder and of the model, the schedule and the writing."""
    if "decoder" not in point:
        refuse("axes", "without decoder", 'an axis decoder = ["NAME", ...]')
    found = {"temperature": 1.0, "schedule": "llada_uniform", "seed": seed} | complete_source(point)
    for kind, known in (("decoder", DECODERS), ("model", MODELS)):
        if kind in point:
            holder, given = known[point[kind]], parameters(point, kind)
            names = {knob.name for knob in holder.knobs}
            for name in given.keys() - names:
                refuse(f"{kind}.{name}", given[name], f"a parameter that {holder.name} has")
            found |= {f"{kind}.{name}": value for name, value in holder.values(**given).items()}
    return found


def check(point: Point) -> None:
    """Refuse a source whose tables have no room; one that there is none of is a point that fails."""
    try:
        source = source_of(point)
        n, q = _size(source)
    except InvalidInputError:
        return
    if point["source"] == "block-hmm" and point.get("decoder") in BY_BLOCKS:
        return
    try:
        check_size(n, q)
    except InvalidInputError as error:
        about = source.to_json()
        words = ", ".join(f"{name} = {value}" for name, value in about.items() if name != "name")
        refuse("axes.source", f"{about['name']} of {words}", error.wanted, error.remedy)


def _size(source: Any) -> tuple[int, int]:
    """Positions and symbols of a source; a family is not asked for its arrays."""
    if not isinstance(source, FamilySource):
        truth = source.distribution()[0]
        return truth.n, truth.q
    values = source.values
    n = values["n"] if "n" in values else values["blocks"] * values["block_size"]
    return n, FAMILIES[source.name].q(**values)


def case_of(point: Point) -> LawCase | LongCase:
    """The case of a complete point; refused where there is none, or where it has no room."""
    truth = truth_of(point)
    decoder = DECODERS[point["decoder"]]
    errors = [name for name in (*ERRORS, "model") if point.get(name, "oracle") != "oracle"]
    if isinstance(truth, mj.BlockHMM) and is_long(truth):
        if errors or point["decoder"] not in BY_BLOCKS:
            wanted = "mean-field or verified decoding with the oracle"
            refuse("source", f"a Block-HMM of {truth.n} bits", wanted, "use fewer for other decoders")
        setting = Setting(oracle_of(truth), mj.Schedule([1] * truth.n), truth.block_size, truth=truth)
        return LongCase(truth, decoder.build(setting, **parameters(point, "decoder")))
    check_size(truth.n, truth.q)
    joint = mj.tabulate(truth)
    denoiser = _with_error(_denoiser(point, truth, joint), point)
    block = truth.block_size if isinstance(truth, mj.BlockHMM) else None
    searched = {
        "best": lambda steps: mj.optimal_schedule(mj.information_curve(joint), steps),
        "best-learned": lambda steps: mj.optimal_schedule(mj.denoiser_loss_curve(joint, denoiser), steps),
        "best-mixture": lambda steps: mixture_schedules(joint, denoiser, steps=steps).schedule(steps),
    }
    schedule = named_schedule(point, truth.n, searched)
    length = block or max(1, truth.n // 2)
    setting = Setting(denoiser, schedule, length, point["temperature"], joint)
    built = decoder.build(setting, **parameters(point, "decoder"))
    return LawCase(joint.probs, denoiser, built, schedule, block)


def _denoiser(point: Point, truth: mj.AbstractDistribution, joint: mj.Joint) -> mj.AbstractDenoiser:
    """The oracle, or the model of the point."""
    if point.get("model", "oracle") == "oracle":
        return oracle_of(joint)
    return MODELS[point["model"]].build(truth, point["seed"], **parameters(point, "model"))


def _with_error(denoiser: mj.AbstractDenoiser, point: Point) -> mj.AbstractDenoiser:
    """The denoiser with the error of the point."""
    errors = [name for name in ERRORS if point.get(name) is not None]
    if len(errors) > 1:
        refuse(", ".join(errors), "given together", "one kind of model error")
    if errors == ["mix"]:
        return mj.Mixed(denoiser, point["mix"])
    if errors == ["dirichlet"]:
        return mj.DirichletNoise(denoiser, point["dirichlet"], key=jax.random.key(point["seed"]))
    return mj.EntropyNoise(denoiser, point["entropy_noise"], 0) if errors else denoiser
