"""`mdmjax loss-curve DIR`: the masked-loss curve of a trained model on held-out data."""

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from .._errors import refuse
from ..files.atomic import check_writable
from .setting import OptionalInt

if TYPE_CHECKING:
    from .measure import Measured


@dataclasses.dataclass(frozen=True)
class LossCurveCommand:
    """Masked-loss curve of a trained model by number of masked tokens, on data it was not trained on."""

    model: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="DIR")]
    """Folder that `mdmjax train` wrote."""
    out: Annotated[Path | None, tyro.conf.arg(metavar="FILE.csv")] = None
    """Where the curve goes; loss_curve.csv in the model's folder, where `mdmjax decode` finds it."""
    sequences: OptionalInt = None
    """Held-out sequences, each seen at every number of masked tokens; 64, or 4096 / n if that is more."""
    batch: int = 64
    """Sequences that the model sees at once: bounds the memory."""
    seed: int = 0
    """Seed of the sequences and of their masks."""
    json: bool = False
    """Print one JSON object instead of the table."""

    def run(self) -> None:
        """Measure, write the file, and print."""
        from ..files.loss_table import write_loss_table
        from . import measure
        from .progress import track
        from .trained import open_model

        measure.check(self.sequences, self.seed, self.batch)
        path = self.model / measure.LOSS_CURVE if self.out is None else self.out
        if path.suffix.lower() != ".csv":
            refuse("out", str(path), "a name that ends in .csv")
        trained = open_model(self.model)
        check_writable("out", path)
        found = measure.measure(trained, self.sequences, self.seed, self.batch, track)
        table = found.losses.table()
        write_loss_table(path, table)
        result = _result(self.model, path, found)
        print(json.dumps(result, allow_nan=False) if self.json else _shown(result))


def _result(folder: Path, path: Path, found: "Measured") -> dict[str, Any]:
    """One object of plain numbers, lists and strings."""
    from ..schedules.schedule import Schedule

    table, n = found.losses.table(), found.losses.n
    one_by_one = found.losses.nll(Schedule([1] * n))
    return {
        "model": str(folder),
        "file": str(path),
        "units": "nats",
        "n": n,
        "sequences": found.calls // n,
        "n_masked": table.n_masked.tolist(),
        "loss": table.loss.tolist(),
        "stderr": table.stderr.tolist(),
        "count": table.count.tolist(),
        "nll_one_by_one": one_by_one.mean,
        "nll_one_by_one_stderr": one_by_one.stderr,
        "seconds": found.seconds,
        "calls": found.calls,
        "calls_per_second": found.calls_per_second,
        "next": f"mdmjax schedule loss-curve {path} --isotonic",
    }


def _shown(result: dict[str, Any]) -> str:
    """A short table: one token masked, half of them, all of them."""
    n = result["n"]
    rows = [
        f"{m:>14} | {result['loss'][m - 1]:>9.4f} | {result['stderr'][m - 1]:.4f}"
        for m in sorted({1, -(-n // 4), -(-n // 2), -(-3 * n // 4), n})
    ]
    nll, error = result["nll_one_by_one"], result["nll_one_by_one_stderr"]
    return "\n".join(
        [
            f"{result['sequences']} held-out sequences of {n} tokens, with every number of them masked",
            "",
            " masked tokens | nats each | stderr",
            "---------------+-----------+-------",
            *rows,
            "",
            f"One token a step in random order: NLL {nll:.4f} +- {error:.4f} nats a sequence, "
            f"{nll / n:.4f} a token (+-: standard error over sequences).",
            f"{result['calls']} calls of the model in {result['seconds']:.1f} s, "
            f"{result['calls_per_second']:.0f} a second once compiled.",
            f"written to {result['file']}; next:",
            f"  {result['next']}",
        ]
    )
