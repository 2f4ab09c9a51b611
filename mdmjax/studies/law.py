"""The exact law of a decoder beside the truth, and all decoders in one table: what `mdmjax law` does."""

from collections.abc import Mapping, Sequence
from typing import Any

import equinox as eqx

from .._checks import check_kind
from .._errors import InvalidInputError, readable_bytes, refuse
from .._types import Array, Float, Key
from ..decoders.base import AbstractDecoder
from ..decoders.constrained import AbstractConstrained
from ..decoders.verification import BlockVerification
from ..denoisers.base import AbstractDenoiser, Oracle
from ..denoisers.perturbed import Fallback
from ..denoisers.table import tabulate_denoiser
from ..distributions.base import AbstractDistribution
from ..distributions.block_hmm import BlockHMM
from ..distributions.joint import MAX_TABLE_BYTES, tabulate
from ..divergences.blocks import block_incoherence, parity_violation_rate
from ..divergences.tables import chi_square, hellinger, incoherence, kl, reverse_kl, total_variation
from ..laws._rows import with_tables
from ..laws.block_chain import DENSE, BlockChainLaw, plan
from ..laws.block_decoding import block_decoding_estimate
from ..laws.exact import exact_law
from ..laws.law import Law
from ..laws.random_order import schedule_of
from ..losses.exact import kl_split
from ..policies.hull import CallsHull, calls_hull
from ..policies.regret import regret
from .constraints import accepted_divergences
from .law_report import ComparisonReport, LawReport, Named, Refused
from .report import Subject, Track, untracked

TABULATED = 2**16  # contexts up to which a denoiser is made a table (our choice)


def law_study(
    truth: AbstractDistribution,
    decoder: Named | AbstractDecoder,
    *,
    denoiser: AbstractDenoiser | None = None,
    epsilon: float = 1e-8,
    with_regret: bool = False,
    hull: CallsHull | None = None,
    subject: Subject | None = None,
    head: Mapping[str, Any] | None = None,
) -> LawReport:
    """The exact law of `decoder` with `denoiser` (the oracle if none is given), beside the truth.

    `exact_law` picks the way. `epsilon`: sequences (blocks of a Block-HMM) with at most this probability
    count as incoherent. With `with_regret` also how far the forward KL is from that of the best policy
    with as many calls; `hull`, if it is known already, must be that of the decoder's writer.

    Raises:
        InvalidInputError: as `exact_law` and `regret`; `epsilon` outside `[0, 1]`.

    >>> import mdmjax as mj
    >>> report = law_study(mj.noisy_repeated_bit(4, 0.1), mj.Reveal(mj.ConfidenceThreshold(0.8)))
    >>> round(float(report.divergences["forward_kl"]), 4), report.law.way
    (0.168, 'frontier')
    """
    if not 0 <= epsilon <= 1:
        refuse("epsilon", epsilon, "a probability in [0, 1]")
    named = decoder if isinstance(decoder, Named) else Named(decoder, type(decoder).__name__)
    denoiser = oracle_of(truth) if denoiser is None else denoiser
    law = exact_law(denoiser, named.decoder)
    about = (subject or Subject.of(truth), truth, named, law)
    known = {"epsilon": epsilon, "head": head or {}}
    if isinstance(law, BlockChainLaw):
        if with_regret:
            refuse("regret", "asked for", f"a law that is a table; this one is of {truth.n} positions")
        divergences = {
            "forward_kl": law.kl(law.model),
            "reverse_kl": law.reverse_kl(law.model),
            "incoherence": law.incoherence(epsilon),
            "violation_rate": law.violation_rate,
        }
        return LawReport(*about, divergences, **known)
    joint, block = tabulate(truth), truth.block_size if isinstance(truth, BlockHMM) else None
    split = None
    if law.way == "random order":
        writer = named.decoder.writer(denoiser)
        split = kl_split(joint, writer, schedule_of(named.decoder.rule))  # type: ignore[attr-defined]
    found = regret(joint, denoiser, named.decoder, law=law, hull=hull) if with_regret else None
    divergences = divergences_of(joint.probs, law.probs, block, epsilon)  # type: ignore[attr-defined]
    if isinstance(named.decoder, AbstractConstrained) and isinstance(law, Law):
        divergences |= accepted_divergences(joint, named.decoder, law)
    return LawReport(*about, divergences, **known, split=split, regret=found)


def law_estimate(
    key: Key[Array, ""],
    truth: BlockHMM,
    decoder: Named,
    samples: int,
    *,
    epsilon: float = 1e-8,
    subject: Subject | None = None,
) -> LawReport:
    """Mean-field or verified decoding of a long Block-HMM whose beliefs do not merge, estimated."""
    guess = block_decoding_estimate(key, truth, samples, incoherence_threshold=epsilon)
    found = guess.estimate
    if plan(oracle_of(truth), decoder.decoder, None) is None:
        refuse("decoder", decoder.name, "mean-field or verified decoding of a long Block-HMM's own blocks")
    law = BlockChainLaw(truth, isinstance(decoder.decoder, BlockVerification), found)
    rates = ("incoherence", "violation_rate")
    if law.verified:  # each block is drawn from its exact conditional: no divergence is estimated
        estimated = {name: getattr(found, f"verified_{name}") for name in rates}
        divergences = {"forward_kl": 0.0, "reverse_kl": 0.0} | estimated
        stderr = {"incoherence": guess.stderr["verified_incoherence"]}
    else:
        divergences = {name: getattr(found, name) for name in ("forward_kl", "reverse_kl", *rates)}
        stderr = {name: guess.stderr[name] for name in divergences}
    about = (subject or Subject.of(truth), truth, decoder, law, divergences, epsilon)
    return LawReport(*about, stderr=stderr, samples=samples)


def comparison_study(
    truth: AbstractDistribution,
    decoders: Sequence[Named | Refused],
    *,
    denoiser: AbstractDenoiser | None = None,
    epsilon: float = 1e-8,
    subject: Subject | None = None,
    head: Mapping[str, Any] | None = None,
    track: Track = untracked,
) -> ComparisonReport:
    """`law_study` of many decoders, each with its regret; one that cannot be had says why.

    The hull in the report is that of the first decoder's writer.

    >>> import mdmjax as mj
    >>> rules = [mj.RandomSubset(mj.Schedule([2, 1])), mj.ConfidenceThreshold(0.8)]
    >>> decoders = [Named(mj.Reveal(rule), type(rule).__name__) for rule in rules]
    >>> report = comparison_study(mj.noisy_repeated_bit(3, 0.1), decoders)
    >>> [row.decoder.name for row in report.rows]
    ['RandomSubset', 'ConfidenceThreshold']
    """
    denoiser = oracle_of(truth) if denoiser is None else denoiser
    for place, one in enumerate(decoders):
        check_kind(f"decoders[{place}]", one, Named | Refused, "a Named", "Named(decoder, name) makes one")
    subject, joint = subject or Subject.of(truth), tabulate(truth)
    known = {"denoiser": denoiser, "epsilon": epsilon, "subject": subject, "with_regret": True}
    hulls = [(denoiser, calls_hull(joint, denoiser))]

    def hull_of(writer: AbstractDenoiser) -> CallsHull:
        for other, hull in hulls:
            if writer is other or eqx.tree_equal(writer, other) is True:
                return hull
        hulls.append((writer, calls_hull(joint, writer)))
        return hulls[-1][1]

    rows: list[LawReport | Refused] = []
    for row in track(decoders, "decoding"):
        if isinstance(row, Named):
            try:
                row = law_study(truth, row, hull=hull_of(row.decoder.writer(denoiser)), **known)
            except InvalidInputError as error:
                row = Refused(row.name, row.parameters, str(error))
        rows.append(row)
    writers = [one.decoder.writer(denoiser) for one in decoders if isinstance(one, Named)]
    best = hull_of(writers[0] if writers else denoiser)
    return ComparisonReport(subject, truth, tuple(rows), best, epsilon, head or {})


def is_long(truth: AbstractDistribution) -> bool:
    """Whether it is a Block-HMM too long for a table, whose laws are of its belief."""
    return isinstance(truth, BlockHMM) and 2**truth.n > DENSE


def check_size(n: int, q: int) -> None:
    """Refuse, before anything is made, a truth whose marginals do not fit: decoders look them up."""
    need = 2 * (q + 1) ** min(n, 2**12) * 8
    if need > MAX_TABLE_BYTES:
        over = "over " * (n > 2**12)
        remedy = f"two tables of {q + 1}^{n} numbers need {over}{readable_bytes(need)}; use fewer positions"
        refuse("n, q", f"{n}, {q}", f"marginals of at most {readable_bytes(MAX_TABLE_BYTES)}", remedy)


def oracle_of(truth: AbstractDistribution) -> AbstractDenoiser:
    """The denoiser that knows the truth, uniform in contexts that the data never have (`Fallback`)."""
    return Fallback(Oracle(truth))


def tabulated(denoiser: AbstractDenoiser) -> AbstractDenoiser:
    """The denoiser as a table where that is small: each decoder then compiles a look-up only."""
    if (denoiser.q + 1) ** denoiser.n > TABULATED:
        return denoiser
    return tabulate_denoiser(with_tables(denoiser))


@eqx.filter_jit
def divergences_of(
    truth: Float[Array, "..."], law: Float[Array, "..."], block: int | None, epsilon: float
) -> dict[str, Any]:
    """Everything that compares two tables, compiled once for all decoders; `block` is a Block-HMM's."""
    violated = parity_violation_rate(law, block) if block else None
    mass = block_incoherence(truth, law, block, epsilon) if block else incoherence(truth, law, epsilon)
    return {
        "forward_kl": kl(truth, law),
        "reverse_kl": reverse_kl(truth, law),
        "total_variation": total_variation(truth, law),
        "chi_square": chi_square(truth, law),
        "hellinger": hellinger(truth, law),
        "incoherence": mass,
        "violation_rate": violated,
    }
