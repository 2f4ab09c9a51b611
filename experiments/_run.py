"""What an experiment is, and where its results lie.

A file `experiments/NAME.py` has a frozen dataclass `Config` whose defaults are the full size, an
instance `SMOKE` that takes seconds, and `run(config, progress) -> dict[str, np.ndarray]`; a sweep, a file
`experiments/sweeps/NAME.toml`, stands for the three. A result is one `NAME.npz` with those arrays and one
`NAME.json` that says how they were made. The manifest is written last and holds the digest of the arrays,
so that a half-written pair is seen as such.
"""

import dataclasses
import hashlib
import importlib
import io
import json
import pkgutil
import platform
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import rich.progress

from mdmjax.files.atomic import write_folder

from . import _sweep

RESULTS = Path(__file__).parent / "results"
"""Where full-size results lie; they are tracked."""

SMOKE_RESULTS = Path(__file__).parent.parent / "build" / "smoke"
"""Where smoke results go when nothing else is asked for; not tracked."""

Progress = Callable[[Sequence, str], Iterable]
"""`for item in progress(items, label)`: hands out the items, and may show how many are left."""

Arrays = Mapping[str, np.ndarray]


def silent(items: Sequence, label: str) -> Iterable:
    """Progress that shows nothing."""
    return iter(items)


def progress_on(console: rich.console.Console) -> Progress:
    """A bar with the time left on a terminal, and nothing anywhere else."""
    if not console.is_terminal:
        return silent
    return lambda items, label: rich.progress.track(items, label, console=console, transient=True)


def names() -> list[str]:
    """Every experiment: the files of this folder without a leading underscore, and the sweeps."""
    found = [m.name for m in pkgutil.iter_modules([str(Path(__file__).parent)]) if m.name[0] != "_"]
    return sorted([*found, *_sweep.names()])


def experiment(name: str) -> ModuleType | _sweep.SweepExperiment:
    """The module of one experiment, or the sweep."""
    if name in _sweep.names():
        return _sweep.SweepExperiment(name)
    return importlib.import_module(f"experiments.{name}")


def config_hash(name: str, config: Any) -> str:
    """A digest of the name and every field: results of another configuration have another hash."""
    fields = json.dumps([name, dataclasses.asdict(config)], sort_keys=True)
    return hashlib.sha256(fields.encode()).hexdigest()[:16]


def make(name: str, config: Any, progress: Progress) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The arrays of one experiment, and the manifest that says how they were made."""
    start = time.perf_counter()
    arrays = experiment(name).run(config, progress)
    seconds = time.perf_counter() - start
    device = jax.devices()[0]
    fields = dataclasses.asdict(config)
    manifest = {
        "name": name,
        "config": fields,
        "config_hash": config_hash(name, config),
        "seeds": {field: value for field, value in fields.items() if field.startswith("seed")},
        "versions": {
            "python": platform.python_version(),
            **{package: version(package) for package in ("mdmjax", "jax", "jaxlib", "numpy")},
        },
        "device": {"platform": device.platform, "kind": device.device_kind},
        "dtype": str(jnp.zeros(()).dtype),
        "seconds": round(seconds, 2),
        "arrays": {key: f"{array.dtype}{list(array.shape)}" for key, array in arrays.items()},
    }
    return arrays, manifest


def save(folder: Path, arrays: Arrays, manifest: Mapping[str, Any]) -> None:
    """Write the pair, each file whole or not at all, the manifest last."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    digest = hashlib.sha256(buffer.getvalue()).hexdigest()
    text = json.dumps({**manifest, "sha256": digest}, indent=1) + "\n"
    folder.parent.mkdir(parents=True, exist_ok=True)
    name = manifest["name"]
    write_folder(folder, {f"{name}.npz": buffer.getvalue(), f"{name}.json": text.encode()})


def load(folder: Path, name: str) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The arrays and the manifest of a stored result."""
    with np.load(folder / f"{name}.npz", allow_pickle=False) as stored:
        arrays = {key: stored[key] for key in stored.files}
    return arrays, json.loads((folder / f"{name}.json").read_text())


def fault(folder: Path, name: str, config: Any) -> str | None:
    """What is wrong with the stored result of `config`, or None."""
    npz, manifest = folder / f"{name}.npz", folder / f"{name}.json"
    remedy = f"run python -m experiments {name}"
    if not npz.is_file() or not manifest.is_file():
        return f"{name}: no result in {folder}; {remedy}"
    stored = json.loads(manifest.read_text())
    if stored["sha256"] != hashlib.sha256(npz.read_bytes()).hexdigest():
        return f"{name}: {npz.name} is not the one of {manifest.name}; {remedy}"
    if stored["config_hash"] != config_hash(name, config):
        return f"{name}: the result is of another configuration; {remedy}"
    return None
