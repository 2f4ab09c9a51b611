"""`python -m experiments NAME ... | --all [--smoke] [--resume] [--out DIR]`: run and store."""

import argparse
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path

import jax
from rich.console import Console

from . import _run


def main(
    names: Sequence[str] = (),
    *,
    every: bool = False,
    smoke: bool = False,
    resume: bool = False,
    out: Path | None = None,
) -> int:
    """Run experiments and store each result as one .npz and one .json.

    Args:
        names: which experiments: the files of experiments/ that do not start with an underscore.
        every: run all of them.
        smoke: tiny sizes, seconds in total; stored apart from the full results.
        resume: keep stored results that are of the same configuration, run only the others.
        out: folder of the results; experiments/results, or build/smoke with --smoke.
    """
    known = _run.names()
    chosen = known if every else list(names)
    unknown = [name for name in chosen if name not in known]
    if unknown or not chosen:
        wrong = f"NAME is {unknown[0]}" if unknown else "NAME is missing"
        print(f"{wrong}: want --all or some of {', '.join(known)}", file=sys.stderr)
        return 2
    folder = out or (_run.SMOKE_RESULTS if smoke else _run.RESULTS)
    if smoke and folder.resolve() == _run.RESULTS.resolve():
        print(
            f"--out is {out}: want another folder with --smoke; it holds the full results",
            file=sys.stderr,
        )
        return 2

    progress = _run.progress_on(Console(stderr=True))
    for name in chosen:
        module = _run.experiment(name)
        needs = getattr(module, "NEEDS", None)
        if every and needs is not None and importlib.util.find_spec(needs) is None:
            print(f"{name}: left out, {needs} is not installed: pip install 'mdmjax[{name}]'")
            continue
        config = module.SMOKE if smoke else module.Config()
        if resume and _run.fault(folder, name, config) is None:
            print(f"{name}: kept")
            continue
        arrays, manifest = _run.make(name, config, progress)
        _run.save(folder, arrays, manifest)
        print(f"{name}: {manifest['seconds']:.1f} s, {folder / name}.npz", flush=True)
    return 0


def parser() -> argparse.ArgumentParser:
    """The command line of `main`."""
    command = argparse.ArgumentParser(
        "python -m experiments", description="Run experiments, store results."
    )
    command.add_argument("names", nargs="*", metavar="NAME", help=", ".join(_run.names()))
    command.add_argument("--all", dest="every", action="store_true", help="run every experiment")
    command.add_argument("--smoke", action="store_true", help="tiny sizes; stored in build/smoke")
    command.add_argument("--resume", action="store_true", help="keep results of the same configuration")
    command.add_argument("--out", type=Path, metavar="DIR", help="folder of the results")
    return command


if __name__ == "__main__":
    # Exact numbers want float64; the library never sets a flag, an entry point does.
    jax.config.update("jax_enable_x64", True)
    sys.exit(main(**vars(parser().parse_args())))
