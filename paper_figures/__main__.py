"""`python -m paper_figures [--check]`: draw the stored results, or say what is stale."""

import argparse
import io
import pkgutil
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

import matplotlib

from experiments import _run
from mdmjax.files.atomic import write_bytes

from ._style import RC

OUT = Path(__file__).parent / "out"
"""Where the figures lie; they are tracked."""


def figures() -> dict[str, ModuleType]:
    """Every figure: the files of this folder without a leading underscore."""
    found = pkgutil.iter_modules([str(Path(__file__).parent)])
    return {m.name: import_module(f"paper_figures.{m.name}") for m in found if m.name[0] != "_"}


def render(module: ModuleType, arrays: _run.Arrays, digest: str) -> dict[str, bytes]:
    """The figure as `png` and `pdf`, with the digest of the arrays it shows in their metadata.

    The bytes depend on the arrays and on the version of matplotlib only: no date is written.
    """
    metadata = {"png": {"Description": digest}, "pdf": {"Subject": digest, "CreationDate": None}}
    contents = {}
    with matplotlib.rc_context(RC):
        figure = module.draw(arrays)
        for kind, words in metadata.items():
            buffer = io.BytesIO()
            figure.savefig(buffer, format=kind, metadata=words)
            contents[kind] = buffer.getvalue()
    return contents


def faults(results: Path, out: Path) -> list[str]:
    """A line for each result that is missing or stale, and each figure that does not show it."""
    lines = []
    for name, module in figures().items():
        experiment = module.EXPERIMENT
        config = _run.experiment(experiment).Config()
        line = _run.fault(results, experiment, config)
        if line is not None:
            lines.append(line)
            continue
        digest = _run.load(results, experiment)[1]["sha256"].encode()
        for path in (out / f"{name}.png", out / f"{name}.pdf"):
            if not path.is_file():
                lines.append(f"{path.name}: missing; run python -m paper_figures")
            elif digest not in path.read_bytes():
                lines.append(f"{path.name}: drawn from another result; run python -m paper_figures")
    return lines


def main(*, check: bool = False, results: Path = _run.RESULTS, out: Path = OUT) -> int:
    """Draw every figure from the stored results, as PNG and PDF.

    Args:
        check: draw nothing; one line for each missing or stale result or figure, and exit code 1.
        results: folder of the results.
        out: folder of the figures.
    """
    if check:
        lines = faults(results, out)
        print(*lines or ["every result and figure is current"], sep="\n")
        return 1 if lines else 0
    out.mkdir(parents=True, exist_ok=True)
    for name, module in figures().items():
        if not (results / f"{module.EXPERIMENT}.json").is_file():
            print(f"{name}: no result; run python -m experiments {module.EXPERIMENT}", file=sys.stderr)
            return 1
        arrays, manifest = _run.load(results, module.EXPERIMENT)
        for kind, content in render(module, arrays, manifest["sha256"]).items():
            write_bytes(out / f"{name}.{kind}", content)
        print(f"{name}: {out / name}.png, .pdf")
    return 0


def parser() -> argparse.ArgumentParser:
    """The command line of `main`."""
    command = argparse.ArgumentParser("python -m paper_figures", description="Draw the stored results.")
    command.add_argument("--check", action="store_true", help="draw nothing; say what is missing or stale")
    command.add_argument("--results", type=Path, default=_run.RESULTS, metavar="DIR", help="of the results")
    command.add_argument("--out", type=Path, default=OUT, metavar="DIR", help="of the figures")
    return command


if __name__ == "__main__":
    sys.exit(main(**vars(parser().parse_args())))
