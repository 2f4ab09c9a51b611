"""What a point of a sweep is made of, and which numbers are measured of it.

A study `complete`s a point with its defaults, makes its `case`, a pytree, and gives the `numbers` of a
case: as a pure function of arrays where there is one, which is mapped over many cases of one structure, and
else one by one. The names and the defaults are those of the commands.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

import mdmjax as mj

from .._errors import refuse
from .._types import Array, Float
from ..families import FAMILIES
from ..laws.dense import dense_law
from ..laws.law import Law
from ..studies.law import check_size, divergences_of, oracle_of
from ..studies.named_decoders import DECODERS
from ..studies.naming import Setting
from .config import Point

ERRORS = ("mix", "dirichlet", "entropy_noise")
"""Columns of the denoiser's error, of which a point has one at most."""

EPSILON = 1e-8  # a sequence of at most this probability is incoherent, as in `mdmjax law`


class LawCase(eqx.Module):
    """A truth, a denoiser and a decoder."""

    probs: Float[Array, "..."]
    denoiser: mj.AbstractDenoiser
    decoder: mj.AbstractDecoder
    block: int | None = eqx.field(static=True)


@dataclasses.dataclass(frozen=True)
class Study:
    """How the points of a study are measured: `numbers` of one case or, where that is `None`, `one`."""

    names: tuple[str, ...]
    complete: Callable[[Point, int], Point]
    case: Callable[[Point], Any]
    one: Callable[[Any], Mapping[str, Any]]
    numbers: Callable[[Any], Mapping[str, Any]] | None = None


def complete_source(point: Point) -> Point:
    """The point with every parameter of its source, those not given as the default of a law."""
    family = FAMILIES[point["source"]]
    values = family.values("law", **_parameters(point, "source"))
    return point | {f"source.{name}": value for name, value in values.items()}


def complete_law(point: Point, seed: int) -> Point:
    """With those of the decoder too, of the schedule and of the writing."""
    if "decoder" not in point:
        refuse("axes", "without decoder", 'an axis decoder = ["NAME", ...]')
    decoder = DECODERS[point["decoder"]]
    given = _parameters(point, "decoder")
    known = {knob.name for knob in decoder.knobs}
    for name in given.keys() - known:
        refuse(f"decoder.{name}", given[name], f"a parameter that {decoder.name} has")
    values = {f"decoder.{name}": value for name, value in decoder.values(**given).items()}
    defaults = {"temperature": 1.0, "schedule": "llada_uniform", "seed": seed}
    return defaults | complete_source(point) | values


def law_case(point: Point) -> LawCase:
    """The case of a complete point; refused where there is none, or where it has no room."""
    truth = FAMILIES[point["source"]].distribution(**_parameters(point, "source"))
    check_size(truth.n, truth.q)
    joint = mj.tabulate(truth)
    denoiser = oracle_of(joint)
    errors = [name for name in ERRORS if point.get(name) is not None]
    if len(errors) > 1:
        refuse(", ".join(errors), "given together", "one kind of model error")
    if errors == ["mix"]:
        denoiser = mj.Mixed(denoiser, point["mix"])
    elif errors == ["dirichlet"]:
        denoiser = mj.DirichletNoise(denoiser, point["dirichlet"], key=jax.random.key(point["seed"]))
    elif errors == ["entropy_noise"]:
        denoiser = mj.EntropyNoise(denoiser, point["entropy_noise"], 0)
    block = truth.block_size if isinstance(truth, mj.BlockHMM) else None
    schedule = _schedule(point, truth.n, joint)
    length = block or max(1, truth.n // 2)
    setting = Setting(denoiser, schedule, length, point["temperature"], joint)
    decoder = DECODERS[point["decoder"]].build(setting, **_parameters(point, "decoder"))
    return LawCase(joint.probs, denoiser, decoder, block)


def law_numbers(case: LawCase) -> dict[str, Any]:
    """The numbers of a law as a pure function of arrays; refused where `dense_law` has none."""
    return _compared(case, dense_law(case.denoiser, case.decoder))


def one_law(case: LawCase) -> dict[str, Any]:
    """The same of any law, by `exact_law`."""
    law = mj.exact_law(case.denoiser, case.decoder)
    if not isinstance(law, Law):
        refuse("the law", f"by {law.way}", "a table", "use fewer positions")
    return _compared(case, law)


def _compared(case: LawCase, law: Law) -> dict[str, Any]:
    found = divergences_of(case.probs, law.probs, case.block, EPSILON)
    found["violation_rate"] = jnp.nan if case.block is None else found["violation_rate"]
    return found | {"expected_calls": law.expected_calls, "unfinished": law.unfinished}


def complete_schedule(point: Point, seed: int) -> Point:
    """The point with every parameter of its source; the default size is that of a law."""
    return {"schedule": "best"} | complete_source(point)


def one_schedule(point: Point) -> dict[str, Any]:
    """The expected KL of a schedule, and what its curve says of the truth."""
    family, values = FAMILIES[point["source"]], _parameters(point, "source")
    if family.curve is None:
        curve = mj.information_curve(mj.tabulate(family.distribution(**values)))
    else:
        curve = family.curve(**values)
    schedule = _schedule(point, curve.n, curve)
    return {
        "expected_kl": mj.expected_kl(curve, schedule),
        "entropy": curve.entropy,
        "total_correlation": curve.total_correlation,
        "dual_total_correlation": curve.dual_total_correlation,
    }


def _schedule(point: Point, n: int, of: Any) -> mj.Schedule:
    """Of as many steps as the point says, `n` if it does not; `best` is the shortest path of the curve."""
    steps, name = point.get("steps"), point["schedule"]
    steps = n if steps is None else steps
    if not 1 <= steps <= n:
        refuse("steps", steps, f"an integer in 1..n with n = {n}")
    if name == "best":
        return mj.optimal_schedule(mj.information_curve(of) if isinstance(of, mj.Joint) else of, steps)
    if name not in mj.NAMED:
        refuse("schedule", name, f"best or one of {', '.join(mj.NAMED)}")
    return mj.NAMED[name](n, steps)


def _parameters(point: Point, kind: str) -> dict[str, Any]:
    """The parameters of the source or of the decoder that the point gives."""
    start = f"{kind}."
    return {key.removeprefix(start): value for key, value in point.items() if key.startswith(start)}


STUDIES: dict[str, Study] = {
    "law": Study(
        (
            "forward_kl",
            "reverse_kl",
            "total_variation",
            "chi_square",
            "hellinger",
            "incoherence",
            "violation_rate",
            "expected_calls",
            "unfinished",
        ),
        complete_law,
        law_case,
        one_law,
        law_numbers,
    ),
    "schedule": Study(
        ("expected_kl", "entropy", "total_correlation", "dual_total_correlation"),
        complete_schedule,
        lambda point: point,
        one_schedule,
    ),
}
"""Every study that a sweep can be of."""
