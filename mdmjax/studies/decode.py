"""Sequences of a denoiser by any decoder, and what their traces say: what `mdmjax decode` shows."""

import dataclasses
import math
import time
from collections.abc import Sequence
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from .._types import Array, Float, Key
from ..decoders.prompted import decode_prompts
from ..decoders.run import Trace, decode_many
from ..denoisers.base import AbstractDenoiser
from ..distributions.alphabet import AbstractAlphabet
from ..schedules.schedule import Schedule
from ..tasks.task import AbstractTask
from ..traces.metrics import trace_metrics
from ..traces.trace import traces_of
from .answers import Answer, Asked, End, checked
from .law_report import Named
from .report import AbstractReport, run_lengths
from .table import Column, Part, Table

SHOWN = 8  # sequences that are printed; JSON has all
LABELS = {
    "calls": "calls of the model (NFE)",
    "parallelism": "tokens finalised a step that finalises any (AFP)",
    "kendall_tau": "Kendall's tau-b of position and step (1: left to right)",
    "tie_fraction": "pairs of positions finalised in one step",
}


@dataclasses.dataclass(frozen=True, eq=False)
class DecodeReport(AbstractReport):
    """Traces with a leading axis, and the mean and standard error of each statistic over sequences.

    A sequence that was finalised in one step has no order, and no part in the mean of Kendall's tau. Tokens
    that were given have no part in any statistic. Of a task there are `answers`, each checked.
    """

    schema: ClassVar[str] = "mdmjax.report.decode"
    traces: Trace = dataclasses.field(metadata={"json": False})
    q: int
    decoder: Named
    schedule: Schedule
    schedule_of: str = dataclasses.field(metadata={"json": False})
    seconds: float
    temperature: float = 1.0
    alphabet: AbstractAlphabet | None = dataclasses.field(default=None, metadata={"json": False})
    model: str | None = None
    seed: int | None = None
    out: str | None = None
    answers: Sequence[Answer] | None = dataclasses.field(default=None, metadata={"json": False})
    end: End = dataclasses.field(default="keep", metadata={"json": False})

    @property
    def accuracy(self) -> dict[str, float] | None:
        """The share of answers that are right, of a task."""
        if self.answers is None:
            return None
        return _summary(np.array([answer.failed is None for answer in self.answers], np.float64))

    @property
    def statistics(self) -> dict[str, dict[str, float]]:
        """`mean`, `stderr` and `of` how many sequences, of every statistic."""
        found = trace_metrics(traces_of(self.traces, self.q))
        values = {"calls": self.traces.calls, "parallelism": found.afp}
        values |= {"kendall_tau": found.kendall_tau_b, "tie_fraction": found.tie_fraction}
        return {name: _summary(np.asarray(value, np.float64)) for name, value in values.items()}

    def fields(self) -> dict[str, Any]:
        """Everything that JSON has."""
        tokens, alphabet = np.asarray(self.traces.tokens), self.alphabet
        answered = {}
        if self.answers is not None:
            answered = {"accuracy": self.accuracy, "end": self.end, "answers": list(self.answers)}
        return (
            super().fields()
            | answered
            | {
                "n": tokens.shape[1],
                "decoder": self.decoder.to_json(),
                "samples": len(tokens),
                "text": None if alphabet is None else [alphabet.decode(row) for row in tokens],
                "tokens": tokens,
                "finalised": self.traces.finalised,
                "statistics": self.statistics,
                "still_masked": int(np.sum(tokens == self.q)),
                "counts": self.schedule.counts,
                "steps": self.schedule.steps,
                "schedule": self.schedule_of,
            }
        )

    def outputs(self, ids: Sequence[Any] | None) -> list[dict[str, Any]]:
        """Lines of `id`, `prompt` and `output` of a task; of others `id` and `output`, the whole text."""
        if self.answers is not None:
            return [{"id": one.id, "prompt": one.prompt, "output": one.output} for one in self.answers]
        rows = np.asarray(self.traces.tokens)
        plain = lambda row: " ".join(map(str, row.tolist()))
        texts = [self.alphabet.decode(row) if self.alphabet else plain(row) for row in rows]
        names = range(len(texts)) if ids is None else ids
        return [{"id": name, "output": text} for name, text in zip(names, texts, strict=True)]

    def tables(self) -> list[Part]:
        """The sequences, and the means of what their traces say."""
        tokens, parts, alphabet = np.asarray(self.traces.tokens), list[Part](), self.alphabet
        if self.answers is not None:
            parts.append(_answers_table(self.answers[:SHOWN]))
        for number, row in enumerate(tokens[:SHOWN] if self.answers is None else (), 1):
            plain = " ".join("_" if token == self.q else str(token) for token in row)
            parts.append(f"--- {number}\n{alphabet.decode(row) if alphabet else plain}")
        if len(tokens) > SHOWN:
            parts.append(f"--- and {len(tokens) - SHOWN} more (--json and --out have all)")
        if (right := self.accuracy) is not None:
            share = f"{100 * right['mean']:.2f}"
            if not math.isnan(right["stderr"]):  # as it is of one answer
                share += f" +- {100 * right['stderr']:.2f}"
            share += "%"
            parts.append(f"exact match: {share} of {right['of']} answers")
        statistics, digits = self.statistics, "{:.4f}".format
        rows = [{"label": label} | statistics[name] for name, label in LABELS.items()]
        columns = [Column(self.decoder.name, "label", justify="left")]
        columns += [Column(name, name, digits) for name in ("mean", "stderr")]
        parts += ["---", Table(columns, rows)]
        parts.append(f"Means of {len(tokens)} sequences, with standard errors over them.")
        if math.isnan(statistics["kendall_tau"]["mean"]):
            parts.append("tau is undefined: every sequence was finalised in one step, which has no order")
        if masked := int(np.sum(tokens == self.q)):
            parts.append(f"{masked} positions were still masked when the steps ended")
        counts = run_lengths(self.schedule.counts.tolist())
        parts.append(f"schedule where the decoder takes one: {self.schedule_of}: {counts}")
        return [*parts, f"{self.seconds:.1f} s, compiling too" + (f"; {self.out}" if self.out else "")]


def decode_study(
    key: Key[Array, ""],
    denoiser: AbstractDenoiser,
    decoder: Named,
    samples: int,
    *,
    schedule: Schedule,
    schedule_of: str = "as given",
    batch: int = 64,
    asked: Asked | None = None,
    task: AbstractTask | None = None,
    keep: bool = False,
    **about: Any,
) -> DecodeReport:
    """`samples` sequences, with what their traces say of the decoder; of what is `asked` one a row.

    `schedule` is what the decoder was made with, for the reader; `about` are other fields of the report.
    Answers to a `task` are checked. With `keep` the traces have their canvases.

    Raises:
        InvalidInputError: as `decode_many`, or as `decode_prompts`.

    >>> import mdmjax as mj
    >>> counts = mj.Schedule([1, 1, 1])
    >>> decoder = Named(mj.Reveal(mj.left_to_right(counts)), "l2r")
    >>> bits = mj.Oracle(mj.noisy_repeated_bit(3, 0.1))
    >>> report = decode_study(jax.random.key(0), bits, decoder, 4, schedule=counts)
    >>> report.statistics["kendall_tau"]
    {'mean': 1.0, 'stderr': 0.0, 'of': 4}
    """
    began = time.monotonic()
    if asked is None:
        traces = decode_many(key, denoiser, decoder.decoder, samples, batch=batch, keep=keep)
    else:
        start = jnp.asarray(asked.start)
        traces = decode_prompts(key, denoiser, decoder.decoder, start, batch=batch, keep=keep)
    traces = jax.block_until_ready(traces)
    seconds = time.monotonic() - began
    if task is not None and asked is not None:
        about["answers"] = checked(task, asked, np.asarray(traces.tokens), about.get("end", "keep"))
    return DecodeReport(traces, denoiser.q, decoder, schedule, schedule_of, seconds, **about)


def _answers_table(answers: Sequence[Answer]) -> Table:
    """Prompt and answer, and what it fails."""
    verdict = lambda answer: "right" if answer.failed is None else f"wrong: {answer.failed}"
    columns = [Column("prompt", lambda row: row.prompt), Column("answer", lambda row: row.output)]
    return Table([*columns, Column("checked", verdict, justify="left")], list(answers))


def _summary(values: Float[np.ndarray, " samples"]) -> dict[str, Any]:
    """The mean of the values that are numbers, its standard error, and how many they are."""
    known = values[~np.isnan(values)]
    mean = float(known.mean()) if known.size else math.nan
    error = float(known.std(ddof=1)) / math.sqrt(known.size) if known.size > 1 else math.nan
    return {"mean": mean, "stderr": error, "of": known.size}
