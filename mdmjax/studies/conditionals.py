"""What a distribution says of the symbols that are not seen: what `mdmjax conditionals` shows."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .._errors import check_bytes
from .._types import Array, Float, Int, Tokens
from ..distributions.base import MAX_TABLE_BYTES, AbstractDistribution
from ..files.atomic import writing
from .report import AbstractReport, Subject, Track, six_decimals, untracked
from .table import Column, Part, Table

SHOWN = 32  # rows of a table; JSON has all
COLUMNS = 8  # symbols that have a column each; of more the most probable are shown (our choice)
BATCH_NUMBERS = 2**21  # of a model's arrays, or of its answer, over sequences that are asked at once


@dataclasses.dataclass(frozen=True, eq=False)
class ConditionalsReport(AbstractReport):
    r"""$\log p(x_S)$ and $p(x_i = a \mid x_S)$ of sequences `tokens`, whose mask `q` is not seen.

    `log_likelihood` is of what is seen, in nats; `probabilities` are of every position and symbol, those of
    a position that is seen certain of its own. NaN where what is seen cannot occur. `names` are those of
    the symbols, if they have any; `out` is where the numbers were written.
    """

    schema: ClassVar[str] = "mdmjax.report.conditionals"
    subject: Subject
    q: int
    tokens: Int[np.ndarray, "sequences n"]
    log_likelihood: Float[np.ndarray, " sequences"]
    probabilities: Float[np.ndarray, "sequences n q"]
    names: Sequence[str] = ()
    out: str | None = None

    def fields(self) -> dict[str, Any]:
        """Everything that JSON has; probabilities only where they were not written to a file."""
        each = zip(self.tokens, self.log_likelihood, self.probabilities, strict=True)
        sequences = []
        for tokens, log_likelihood, rows in each:
            missing = np.flatnonzero(tokens == self.q)
            found = {
                "tokens": [None if token == self.q else token for token in tokens.tolist()],
                "log_likelihood": float(log_likelihood),
                "missing": missing,
            }
            sequences.append(found | ({} if self.out else {"probabilities": rows[missing]}))
        return {
            **self.subject.head(),
            "q": self.q,
            **self.subject.facts,
            "n": self.tokens.shape[1],
            "log_likelihood": float(self.log_likelihood.sum()),
            "sequences": sequences,
            "out": self.out,
        }

    def tables(self) -> list[Part]:
        """Of one sequence its missing positions, of several what each is worth."""
        count, n = self.tokens.shape
        head = f"{self.subject.title}\nn = {n} positions, q = {self.q} symbols"
        missing = self.tokens == self.q
        seen, total = int((~missing).sum()), six_decimals(self.log_likelihood.sum())
        of = f"{seen} symbol{'s' * (seen != 1)} seen" + (f" in {count} sequences" if count > 1 else "")
        parts: list[Part] = [f"{head}\nlog-likelihood of the {of}: {total} nats"]
        if count > 1:
            rows = list(
                zip(range(count), (~missing).sum(1), missing.sum(1), self.log_likelihood, strict=True)
            )
            columns = [Column(name, key) for key, name in enumerate(("sequence", "seen", "missing"))]
            parts.append(Table([*columns, Column("log-likelihood", 3, six_decimals)], rows[:SHOWN]))
            places, what = count, "sequences"
        else:
            at = np.flatnonzero(missing[0])
            rows = [(int(place), self.probabilities[0, place]) for place in at[:SHOWN]]
            if rows:
                parts.append(Table([Column("position", 0), *self._columns()], rows))
                parts.append("p(symbol | all that is seen), exact; positions count from 0.")
            places, what = at.size, "missing positions"
        if places > SHOWN:
            parts.append(f"These are {SHOWN} of {places} {what}.")
        if self.out:
            parts.append(f"The probabilities are in {self.out}.")
        elif places > SHOWN or (count > 1 and missing.any()):
            parts.append("Probabilities of every missing position: --json, or --out FILE.npz or .csv.")
        return parts

    def _columns(self) -> list[Column]:
        """One a symbol; of a large alphabet the most probable symbols."""
        called = self._called()
        if self.q <= COLUMNS:
            own = lambda symbol: lambda row: float(row[1][symbol])
            return [Column(name, own(symbol), six_decimals) for symbol, name in enumerate(called)]

        def best(row: Any) -> str:
            order = [symbol for symbol in np.argsort(-row[1], kind="stable")[:5] if row[1][symbol] > 0]
            return ", ".join(f"{called[symbol]}: {six_decimals(row[1][symbol])}" for symbol in order)

        return [Column("most probable symbols", best, justify="left")]

    def _called(self) -> Sequence[str]:
        """What the symbols are called."""
        return self.names or [str(symbol) for symbol in range(self.q)]

    def written(self, path: Path) -> "ConditionalsReport":
        """The report, once its numbers are an `.npz` of its arrays, or a `.csv` of missing positions."""
        with writing("out", path) as stream:
            if path.suffix.lower() == ".npz":
                kept = ("tokens", "log_likelihood", "probabilities")
                np.savez(stream, **{name: getattr(self, name) for name in kept})
            else:
                at = np.argwhere(self.tokens == self.q)
                header = ",".join(["sequence", "position", *self._called()])
                rows = np.hstack([at, self.probabilities[*at.T]])
                form = ["%d", "%d", *["%.17g"] * self.q]
                np.savetxt(stream, rows, form, ",", header=header, comments="", encoding="utf-8")
        return dataclasses.replace(self, out=str(path))


def conditionals_study(
    distribution: AbstractDistribution,
    tokens: Int[np.ndarray, "sequences n"],
    *,
    names: Sequence[str] = (),
    subject: Subject | None = None,
    track: Track = untracked,
) -> ConditionalsReport:
    """The log-likelihood of what is seen, and the law of every position given all of it, of each sequence.

    Sequences are asked so many at once as memory allows (`BATCH_NUMBERS`).

    Raises:
        InvalidInputError: more probabilities than `MAX_TABLE_BYTES` hold.

    >>> from mdmjax import symmetric_chain
    >>> report = conditionals_study(symmetric_chain(3, 2, 0.1), np.array([[0, 2, 0]]))
    >>> round(float(np.exp(report.log_likelihood[0])), 4), report.probabilities[0, 1].round(4).tolist()
    (0.41, [0.9878, 0.0122])
    """
    (count, n), q = tokens.shape, distribution.q
    need, remedy = 8 * count * n * q, "use fewer sequences"
    check_bytes(need, MAX_TABLE_BYTES, "probabilities", remedy, sequences=count, n=n, q=q)
    size = min(count, _at_once(distribution))
    log_likelihood, probabilities = np.empty(count), np.empty((count, n, q))
    for start in track(range(0, count, size), "conditionals"):
        here = np.minimum(np.arange(start, start + size), count - 1)  # one shape, compiled once
        found, rows = _asked(distribution, jnp.asarray(tokens[here]))
        kept = slice(start, min(start + size, count))
        log_likelihood[kept], probabilities[kept] = (
            np.asarray(x)[: kept.stop - start] for x in (found, rows)
        )
    about = subject or Subject.of(distribution)
    return ConditionalsReport(about, q, np.asarray(tokens), log_likelihood, probabilities, names)


def first_impossible(distribution: AbstractDistribution, tokens: Int[np.ndarray, " n"]) -> int:
    """The position at which what is seen from the left can no longer occur; `n` where all of it can.

    By bisection: a context that cannot occur cannot with more of it seen.

    >>> from mdmjax import parity_code
    >>> first_impossible(parity_code(4, 2), np.array([0, 1, 1, 1]))
    3
    """
    n, possible, impossible = distribution.n, 0, distribution.n + 1  # so many positions seen
    while impossible - possible > 1:
        middle = (possible + impossible) // 2
        seen = np.where(np.arange(n) < middle, tokens, distribution.q)
        if float(_evidence(distribution, jnp.asarray(seen))) > -np.inf:
            possible = middle
        else:
            impossible = middle
    return possible


def _at_once(distribution: AbstractDistribution) -> int:
    """How many sequences: by the arrays of the model, and by those of an answer."""
    leaves = [leaf for leaf in jax.tree.leaves(distribution) if eqx.is_array(leaf)]
    widest = max([distribution.q, *(axis for leaf in leaves for axis in leaf.shape)])
    return max(1, BATCH_NUMBERS // max(distribution.n * widest, sum(leaf.size for leaf in leaves)))


@eqx.filter_jit
def _asked(distribution: AbstractDistribution, tokens: Array) -> tuple[Array, Array]:
    found, rows = jax.vmap(lambda x: (distribution.log_marginal(x), distribution.log_conditionals(x)))(
        tokens
    )
    return found, jnp.exp(rows)


@eqx.filter_jit
def _evidence(distribution: AbstractDistribution, tokens: Tokens) -> Float[Array, ""]:
    return distribution.log_marginal(tokens)
