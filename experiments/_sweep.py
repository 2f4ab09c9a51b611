"""Experiments that are sweeps: a config `experiments/sweeps/NAME.toml`, and the columns of its rows.

`mdmjax sweep experiments/sweeps/NAME.toml --out DIR` runs the same. What is done is kept in
`build/sweeps/NAME`, so that an experiment that was stopped goes on there. In the stored arrays a number
that a row does not have is NaN, a word that it does not have is empty.
"""

import dataclasses
import functools
import json
import shutil
import tempfile
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mdmjax.sweeps.columns import Point
from mdmjax.sweeps.config import Config, parse_config
from mdmjax.sweeps.run import run_sweep
from mdmjax.sweeps.store import Store

SWEEPS = Path(__file__).parent / "sweeps"
KEPT = Path(__file__).parent.parent / "build" / "sweeps"


@dataclasses.dataclass(frozen=True)
class SweepConfig:
    """The tables of the file; in small, of the parts of an axis that differ in numbers, the first two."""

    document: Mapping[str, Any]
    small: bool = False

    @property
    def sweep(self) -> Config:
        """The sweep that it says."""
        whole = parse_config(self.document)
        axes = tuple(map(_thinned, whole.axes)) if self.small else whole.axes
        return dataclasses.replace(whole, axes=axes)


def _thinned(axis: tuple[Point, ...]) -> tuple[Point, ...]:
    kept: dict[tuple, list[Point]] = {}
    for part in axis:
        words = tuple((key, value if isinstance(value, str) else None) for key, value in part.items())
        kept.setdefault(words, []).append(part)
    return tuple(part for some in kept.values() for part in some[:2])


class SweepExperiment:
    """What the module of any other experiment has: `Config`, `SMOKE` and `run`."""

    def __init__(self, name: str):
        self.name = name
        document = tomllib.loads((SWEEPS / f"{name}.toml").read_text(encoding="utf-8"))
        self.Config = functools.partial(SweepConfig, document)
        self.SMOKE = SweepConfig(document, small=True)

    def run(self, config: SweepConfig, progress) -> dict[str, np.ndarray]:
        """The columns of all rows in the order of the points; a folder of another config begins anew."""
        if config.small:
            with tempfile.TemporaryDirectory() as folder:
                return _columns(config.sweep, Path(folder) / "rows", progress)
        folder = KEPT / self.name
        manifest = folder / "_manifest.json"
        if manifest.exists() and json.loads(manifest.read_bytes())["config"] != config.document:
            shutil.rmtree(folder)
        folder.parent.mkdir(parents=True, exist_ok=True)
        return _columns(config.sweep, folder, progress)


def names() -> list[str]:
    """Every sweep."""
    return sorted(path.stem for path in SWEEPS.glob("*.toml"))


def _columns(config: Config, folder: Path, progress) -> dict[str, np.ndarray]:
    run_sweep(config, folder, track=progress)
    table = Store(folder, config).rows()
    return {name: _array(table[name].to_pylist()) for name in table.column_names}


def _array(values: list[Any]) -> np.ndarray:
    """Words, or numbers, or rows of numbers of one length."""
    if any(isinstance(value, str) for value in values) or all(value is None for value in values):
        return np.array([value or "" for value in values])
    lists = [value for value in values if isinstance(value, list)]
    missing = [np.nan] * len(lists[0]) if lists else np.nan
    return np.array([missing if value is None else value for value in values])
