"""What `mdmjax loss-curve` shows: the masked-loss curve of a model, of whole sequences or of blocks."""

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from ..information.estimate import Estimate
from ..losses.sampled import MaskedLosses
from .report import AbstractReport
from .table import Column, Part, Table


@dataclasses.dataclass(frozen=True, eq=False)
class LossCurveReport(AbstractReport):
    """Losses in nats a masked token by number of masked tokens, on as many sequences of `what`.

    `calls_per_second` is the rate of all but the first part, which compiles. `facts` are further keys of
    the JSON, `notes` what the reader should know.
    """

    schema: ClassVar[str] = "mdmjax.report.loss_curve"
    losses: MaskedLosses = dataclasses.field(metadata={"json": False})
    calls: int
    seconds: float
    calls_per_second: float
    model: str | None = None
    file: str | None = None
    what: str = dataclasses.field(default="held-out sequences", metadata={"json": False})
    facts: Mapping[str, Any] = dataclasses.field(default_factory=dict, metadata={"json": False})
    notes: tuple[str, ...] = dataclasses.field(default=(), metadata={"json": False})

    @property
    def sequences(self) -> int:
        """How many sequences it was measured on."""
        return np.unique(self.losses.sequence).size

    def one_by_one(self) -> Estimate:
        """The NLL of a sequence, one token a step in random order; straight lines between mask counts.

        Of blocks it is the sum of theirs: of a sampler that writes block after block.
        """
        n, measured = self.losses.n, self.losses.n - np.unique(self.losses.n_masked)[::-1]
        weights = np.zeros(n)
        each = [np.interp(np.arange(n), measured, one) for one in np.eye(measured.size)]
        weights[measured] = np.sum(each, axis=1)
        losses = self.losses.side_by_side()
        return losses.total(np.tile(weights, losses.n // n))

    def fields(self) -> dict[str, Any]:
        """Everything that JSON has."""
        table, n, nll = self.losses.table(), self.losses.n, self.one_by_one()
        names = ("n_masked", "loss", "stderr", "count")
        return {
            **super().fields(),
            **{name: getattr(table, name) for name in names},
            "n": n,
            "sequences": self.sequences,
            "nll_one_by_one": nll.mean,
            "nll_one_by_one_stderr": nll.stderr,
            **self.facts,
            **({"blocks": self._blocks()} if self.losses.block is not None else {}),
            "next": f"mdmjax schedule loss-curve {self.file}",
        }

    def _blocks(self) -> list[dict[str, Any]]:
        """The table of every block, and its NLL one token a step."""
        blocks = []
        for block, losses in self.losses.of_blocks().items():
            table, nll = losses.table(), dataclasses.replace(self, losses=losses).one_by_one()
            names = ("n_masked", "loss", "stderr", "count")
            found = {"block": block} | {name: getattr(table, name) for name in names}
            blocks.append(found | {"nll_one_by_one": nll.mean, "nll_one_by_one_stderr": nll.stderr})
        return blocks

    def tables(self) -> list[Part]:
        """A short table: one token masked, half of them, all of them; of blocks, each and all together."""
        found, n = self.fields(), self.losses.n
        counts, wanted = found["n_masked"], (1, -(-n // 4), -(-n // 2), -(-3 * n // 4), n)
        shown = sorted({int(np.argmin(np.abs(counts - m))) for m in wanted})
        rows = [(counts[at], found["loss"][at], found["stderr"][at]) for at in shown]
        columns = [Column("masked tokens", 0)]
        columns += [Column(name, at, "{:.4f}".format) for at, name in ((1, "nats each"), (2, "stderr"))]
        nll, error = found["nll_one_by_one"], found["nll_one_by_one_stderr"]
        rate = f"{self.seconds:.1f} s"
        if self.calls_per_second:
            rate += f", {self.calls_per_second:.0f} a second once compiled"
        every = "every number of them" if counts.size == n else f"{counts.size} numbers of them"
        each, blocks = f"{n} tokens, with {every} masked", found.get("blocks", [])
        if blocks:
            each = f"{len(blocks)} blocks of {n} tokens, with {every} masked, the blocks before known"
        return [
            f"{self.sequences} {self.what} of {each}",
            *([_by_block(blocks, shown)] if blocks else [Table(columns, rows)]),
            f"One token a step in random order{', block after block' * bool(blocks)}: "
            f"NLL {nll:.4f} +- {error:.4f} nats a sequence, "
            f"{nll / (n * max(len(blocks), 1)):.4f} a token (+-: standard error over sequences).",
            f"{self.calls} calls of the model in {rate}.",
            *self.notes,
            *([f"written to {self.file}; next:\n  {found['next']}"] if self.file else []),
        ]


def _by_block(blocks: list[dict[str, Any]], shown: list[int]) -> Table:
    """The loss of every block at the mask counts that are shown, all masked first, and its NLL."""
    decimals, columns = "{:.4f}".format, [Column("block", "block")]
    for at in reversed(shown):
        name = f"nats each, {blocks[0]['n_masked'][at]} masked"
        columns.append(Column(name, lambda row, at=at: row["loss"][at], decimals, optional=True))
    columns.append(Column("NLL", "nll_one_by_one", decimals))
    return Table([*columns, Column("stderr", "nll_one_by_one_stderr", decimals)], blocks)
