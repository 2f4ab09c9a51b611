"""Schedules of a hidden Markov model that is too long for exact curves: estimated, with intervals."""

import dataclasses
import time
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy.stats import t as student

from .._errors import InvalidInputError, refuse
from .._types import Array, Key
from ..distributions.block_hmm import BlockHMM
from ..distributions.hmm import HMM, hmm_of_blocks
from ..files.loss_table import write_loss_table
from ..files.measurement import kept_rows
from ..information.curve import AbstractCurve
from ..information.enumeration import check_entropy_size
from ..information.estimate import Estimate, estimate
from ..information.loss_means import LossMeans, loss_means
from ..losses.entropies import entropy_losses
from ..losses.partition_kl import partition_kls
from ..losses.sampled import MaskedLosses
from ..schedules.honest import LEVEL
from .measure import digest
from .report import Subject, Track, four_decimals, untracked
from .schedule import ScheduleReport
from .sources import FamilySource, HMMSource, Source
from .table import Part
from .table_notes import curve_and_facts
from .table_sources import markov_transition

DRAWS = 32
"""Sequences that a curve is estimated on, and others that a schedule is judged on (our choice)."""

WORDS = (
    "Expected KL(data || sampler) of the best: {mean} +- {stderr} nats, the mean over random ordered "
    "partitions (arXiv 2511.04647, Thm 4) for a perfect denoiser; estimated on {draws} draws that did not "
    "choose it, each the sum of exact divergences; {level:.0%} interval {low} to {high}."
)


def hidden_markov(source: Source) -> tuple[HMM, Subject] | None:
    """The hidden Markov model that a source is, where its curve can only be estimated; else None."""
    if not isinstance(source, HMMSource | FamilySource):
        return None
    if isinstance(source, FamilySource) and source.name != "block-hmm":
        return None
    model, subject = source.distribution()
    try:
        check_entropy_size(model.n, model.q)
    except InvalidInputError:
        model = hmm_of_blocks(model) if isinstance(model, BlockHMM) else model
        assert isinstance(model, HMM)
        return None if markov_transition(model) is not None else (model, subject)
    return None


class Streams(NamedTuple):
    """Keys of the draws that choose a schedule, of their halves, and of the draws that judge it."""

    drawing: Key[Array, ""]
    halving: Key[Array, ""]
    judging: Key[Array, ""]


def streams(seed: int) -> Streams:
    """The keys of a seed, which share no draw.

    The draws that judge are `fold_in(judging, i)` and those that choose `split(drawing, ..)[i]`: of one key
    in both places these would be the same keys.

    >>> one = streams(0).judging
    >>> bool(jax.random.fold_in(one, 3) == jax.random.split(one, 8)[3])
    True
    """
    return Streams(*jax.random.split(jax.random.key(seed), 3))


@dataclasses.dataclass(frozen=True)
class Estimation:
    """How a curve is estimated: the `seed`, how many `sequences`, of them `batch` at once, and the `fit`.

    With a `path` its table is written there, as CSV; till then its rows are kept beside it, so that an
    estimation that is stopped goes on.
    """

    seed: int = 0
    sequences: int | None = None
    batch: int = 64
    fit: str | None = None
    path: Path | None = None

    def __post_init__(self):
        if self.sequences is not None and self.sequences < 2:
            refuse("sequences", self.sequences, "an integer >= 2", "a standard error needs two")

    @property
    def draws(self) -> int:
        """How many sequences there are."""
        return DRAWS if self.sequences is None else self.sequences

    def losses(self, model: HMM, track: Track = untracked) -> MaskedLosses:
        """The rows of the curve."""
        keys = jax.random.split(streams(self.seed).drawing, self.draws)
        data = np.asarray(_sampled(keys, model))
        how: dict[str, Any] = {"batch": self.batch, "track": track}
        if self.path is None:
            return entropy_losses(self.seed, model, data, **how)
        leaves = np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(model)])
        facts = {"model": digest(leaves), "data": digest(data), "seed": self.seed}
        with kept_rows(self.path, facts) as rows:
            found = entropy_losses(self.seed, model, data, known=rows.known, keep=rows.keep, **how)
            write_loss_table(self.path, found.rows())
        return found

    def curve(
        self, model: HMM, subject: Subject, track: Track = untracked
    ) -> tuple[LossMeans, AbstractCurve, Subject]:
        """The means of the rows, the curve that schedules are chosen on, and what it is of."""
        start, rows = time.monotonic(), self.losses(model, track)
        means = loss_means(rows.rows())
        curve, facts = curve_and_facts(means, self.fit)
        facts |= {"length_given": True, "draws": self.draws, "seconds": time.monotonic() - start}
        method = f"curve estimated on {self.draws} draws: mean entropies of exact conditionals"
        return means, curve, dataclasses.replace(subject, method=method, facts=facts)


@dataclasses.dataclass(frozen=True, eq=False)
class EstimatedReport(ScheduleReport):
    """A `ScheduleReport` of an estimated curve, with the expected KL of `schedule` on fresh `draws`."""

    kl: Estimate = dataclasses.field(kw_only=True)
    draws: int = dataclasses.field(kw_only=True)

    @property
    def interval(self) -> tuple[float, float]:
        """Of `LEVEL`, by Student's law; a KL is not below 0."""
        reach = float(student.ppf((1 + LEVEL) / 2, self.draws - 1)) * self.kl.stderr
        return max(0.0, self.kl.mean - reach), self.kl.mean + reach

    def fields(self) -> dict[str, Any]:
        """Everything that JSON has."""
        return super().fields() | {
            "expected_kl": self.kl.mean,
            "expected_kl_stderr": self.kl.stderr,
            "expected_kl_interval": self.interval,
            "expected_kl_draws": self.draws,
        }

    def tables(self) -> list[Part]:
        """What there is of a loss curve, below the KL."""
        heading, *others = super().tables()
        low, high = map(four_decimals, self.interval)
        numbers = {"mean": four_decimals(self.kl.mean), "stderr": four_decimals(self.kl.stderr)}
        line = WORDS.format(**numbers, low=low, high=high, draws=self.draws, level=LEVEL)
        return [heading, line, *others]


def estimated_schedule_study(
    key: Key[Array, ""],
    report: ScheduleReport,
    model: HMM,
    *,
    draws: int = DRAWS,
    batch: int = 64,
    track: Track = untracked,
) -> EstimatedReport:
    """The report of an estimated curve with the KL of its schedule, by `partition_kls` of fresh draws.

    The `key` is another than that of the draws that chose, as `streams(seed).judging`.

    Raises:
        InvalidInputError: fewer than two draws; as `partition_kls`.

    >>> from mdmjax import schedule_study
    >>> from mdmjax.distributions.hmm import HMM
    >>> sticky = HMM([0.5, 0.5], [[0.9, 0.1], [0.1, 0.9]], [[0.8, 0.2], [0.2, 0.8]], 100)
    >>> means, curve, subject = Estimation(sequences=8).curve(sticky, Subject("sticky"))
    >>> report = schedule_study(curve, steps=4, subject=subject)
    >>> found = estimated_schedule_study(streams(0).judging, report, sticky, draws=8)
    >>> found.interval[0] < found.kl.mean < found.interval[1]
    True
    """
    kl = estimate(partition_kls(key, model, report.schedule, draws, batch=batch, track=track))
    kept = {field.name: getattr(report, field.name) for field in dataclasses.fields(ScheduleReport)}
    return EstimatedReport(**kept, kl=kl, draws=draws)


@jax.jit
def _sampled(keys: Key[Array, " draws"], model: HMM) -> Array:
    return jax.lax.map(model.sample, keys).astype(jnp.int32)
