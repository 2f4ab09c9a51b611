"""`python -m bench [NAME ...]`: every comparison, or those named in `NAMES`."""

import importlib
import sys

import jax
from rich.console import Console
from rich.table import Table

NAMES = (
    "command",
    "entropies",
    "schedules",
    "laws",
    "hmm",
    "network",
    "measuring",
    "native",
    "sweeps",
    "tasks",
    "traces",
)


def main(names: list[str]) -> int:
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        print(f"bench: error: NAME is {unknown[0]}: want one of {', '.join(NAMES)}", file=sys.stderr)
        return 2
    jax.config.update("jax_enable_x64", True)
    table = Table(title=f"mdmjax on {jax.devices()[0].device_kind}, jax {jax.__version__}, float64")
    for column in ("what", "ours", "compile", "peer", "theirs", "theirs / ours", "wanted", "note"):
        table.add_column(column, justify="right" if column in ("ours", "compile", "theirs") else "left")
    for name in names or NAMES:
        for row in importlib.import_module(f"bench.{name}").run():
            table.add_row(
                row.what,
                f"{row.ours:.4g} s",
                f"{row.compile:.2g} s",
                row.peer,
                f"{row.theirs:.4g} s",
                f"{row.theirs / row.ours:.3g}",
                f">= {row.goal:g}" if row.goal else "",
                row.note,
            )
    Console(width=None if sys.stdout.isatty() else 220).print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
