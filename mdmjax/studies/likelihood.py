"""The likelihood of data under decoders with one model: what `mdmjax likelihood` shows."""

import dataclasses
import time
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import numpy as np

from .._errors import InvalidInputError, refuse
from .._types import Array, Float, Int, Key
from ..decoders.base import AbstractDecoder
from ..decoders.credit import Credited
from ..decoders.low_confidence import LowConfidence
from ..decoders.ranked import Ranked, confidence, log_confidence
from ..decoders.reveal import AbstractJudged, AtTemperature, Reveal
from ..denoisers.base import AbstractDenoiser
from ..laws.likelihood import decoder_paths
from ..schedules.schedule import Schedule
from .law_report import Named, Refused
from .likelihood_report import LikelihoodReport, Scored
from .report import Subject, Track, untracked

PARTS = 16  # most steps of the progress bar


def likelihood_study(
    key: Key[Array, ""],
    denoiser: AbstractDenoiser | Sequence[AbstractDenoiser],
    decoders: Sequence[Named],
    sequences: Int[Array, "samples n"],
    *,
    orders: int = 4,
    cost: Float[Array, " revealed"] | None = None,
    batch: int = 64,
    refused: Sequence[Refused] = (),
    subject: Subject | None = None,
    track: Track = untracked,
) -> LikelihoodReport:
    """The NLL of `sequences` under every decoder: exact, or bounds with `orders` paths a sequence.

    A decoder that writes the argmax gives any other sequence no probability: it is scored with its choices
    as they are and tokens at temperature 1 (our choice), and its name says so. `cost[m]` are milliseconds
    of a call with `m` tokens revealed.

    Raises:
        InvalidInputError: as `decoder_paths`; fewer than two sequences; a model that is not a number.

    >>> import mdmjax as mj
    >>> bits = mj.noisy_repeated_bit(3, 0.1)
    >>> words = jax.vmap(bits.sample)(jax.random.split(jax.random.key(0), 50))
    >>> decoder = Named(mj.Reveal(mj.ConfidenceThreshold(0.9)), "threshold")
    >>> report = likelihood_study(jax.random.key(1), mj.Oracle(bits), [decoder], words)
    >>> report.scored[0].kind, report.scored[0].paths.calls.max().tolist()
    ('exact_nll', 3)
    """
    if sequences.shape[0] < 2:
        refuse("sequences", sequences.shape[0], "an integer >= 2", "a standard error needs two")
    start, named = time.monotonic(), [at_temperature_one(one) for one in decoders]
    count = max(p for p in range(1, PARTS + 1) if sequences.shape[0] % p == 0)  # of one shape
    size = sequences.shape[0] // count
    model = denoiser if isinstance(denoiser, AbstractDenoiser) else denoiser[0]
    found = []
    for number in track(range(count), "following"):
        here = slice(number * size, (number + 1) * size)
        own, given = jax.random.fold_in(key, number), [each.decoder for each in named]
        models = denoiser if isinstance(denoiser, AbstractDenoiser) else denoiser[here]
        how: dict[str, Any] = {"orders": orders, "cost": cost, "batch": batch}
        found.append(decoder_paths(own, models, given, sequences[here], **how))
    scored = []
    for one, pieces in zip(named, zip(*found, strict=True), strict=True):
        paths = pieces[0]._replace(
            **{name: np.concatenate([getattr(p, name) for p in pieces]) for name in pieces[0]._fields[:3]}
        )
        if np.isnan(paths.log_weight).any():
            where = f"not a number on sequence {int(np.isnan(paths.log_weight).any(axis=1).argmax())}"
            refuse("likelihood", where, "numbers", "the model says NaN where data go")
        scored.append(Scored(one, paths))
    means = [one.nll.mean() for one in scored]
    about = subject or Subject.of(model), model.n, orders, scored, int(np.argmin(means)), refused
    return LikelihoodReport(*about, priced=cost is not None, seconds=time.monotonic() - start)


def at_temperature_one(named: Named) -> Named:
    """A decoder whose tokens are drawn where it would write the argmax; its name says so."""
    decoder, note = named.decoder, {"tokens_at": 1.0}
    if isinstance(decoder, AbstractJudged) and decoder.temperature == 0:
        drawn = _as_ranked(decoder) if isinstance(decoder, LowConfidence) else decoder
        return named._replace(decoder=_drawing(drawn), parameters={**named.parameters, **note})
    if isinstance(decoder, Credited):
        inner = at_temperature_one(named._replace(decoder=decoder.decoder))
        return inner._replace(decoder=eqx.tree_at(lambda one: one.decoder, decoder, inner.decoder))
    if isinstance(decoder, AtTemperature) and decoder.temperature == 0:
        return named._replace(decoder=decoder.decoder, parameters={**named.parameters, **note})
    return named


def _as_ranked(decoder: LowConfidence) -> AbstractDecoder:
    """Greedy low confidence is the most confident first, and MaskGIT's is so with its noise."""
    if decoder.discounts is not None:
        refuse(
            "decoder", "a greedy one that discounts symbols", "one without", "its choices are of its tokens"
        )
    counts = np.diff(np.unique(np.append(0, np.asarray(decoder.ends))))
    noise = decoder.choice_temperatures
    rule = Ranked(confidence if noise is None else log_confidence, Schedule(counts))
    at = lambda rule: rule.choice_temperatures
    rule = rule if noise is None else eqx.tree_at(at, rule, noise, is_leaf=lambda leaf: leaf is None)
    return Reveal(rule, temperature=0, judge=decoder.judge)


def _drawing(decoder: AbstractDecoder) -> AbstractDecoder:
    return dataclasses.replace(decoder, temperature=1.0)


def supported(named: Sequence[Named], denoiser: AbstractDenoiser) -> tuple[list[Named], list[Refused]]:
    """Those that have a likelihood, and why the others have none."""
    good, bad = [], list[Refused]()
    for one in named:
        try:
            _shape_of(at_temperature_one(one).decoder, denoiser)
            good.append(one)
        except InvalidInputError as error:
            bad.append(Refused(one.name, one.parameters, f"{error.value}: want {error.wanted}"))
    return good, bad


def _shape_of(decoder: AbstractDecoder, denoiser: AbstractDenoiser) -> None:
    """Trace one step on the way to a sequence, which a decoder without a product refuses."""
    tokens = jax.ShapeDtypeStruct((denoiser.n,), np.dtype(np.int32))
    step = jax.ShapeDtypeStruct((), jax.dtypes.canonicalize_dtype(np.int64))
    eqx.filter_eval_shape(decoder.follow, jax.random.key(0), denoiser, tokens, tokens, step)
