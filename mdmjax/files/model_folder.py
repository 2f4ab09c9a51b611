"""The folder of a trained model: what to resume from, what to use, and how it went."""

from pathlib import Path
from typing import Any

from .._errors import InvalidInputError, refuse, shown
from ..training.fit import TrainState
from .atomic import check_writable, check_writable_folder, remove_parts
from .checkpoint import read_checkpoint, read_header, write_checkpoint
from .safetensor_files import read_model, write_model

CHECKPOINT, MODEL, LOG = "checkpoint.eqx", "model.safetensors", "log.csv"
"""The whole state, to resume from; the running mean of the weights, to use; one row a step."""


def check_folder(folder: Path) -> None:
    """Refuse, before any work, a folder that no training could be written to."""
    check_writable_folder("out", folder)
    for name in (CHECKPOINT, MODEL, LOG) if folder.is_dir() else ():
        check_writable("out", folder / name)


def save(folder: Path, header: dict[str, Any], state: TrainState) -> None:
    """Write the model and the checkpoint, each whole or not at all."""
    header = header | {"step": int(state.step)}
    write_model(folder / MODEL, state.ema, header)
    write_checkpoint(folder / CHECKPOINT, header, state)


def is_saved(folder: Path, header: dict[str, Any], state: TrainState) -> bool:
    """Whether the folder has the whole model of this state."""
    try:
        return read_model(folder / MODEL, limit=2**62)[1] == header | {"step": int(state.step)}
    except InvalidInputError:
        return False


def resumed(folder: Path, header: dict[str, Any], skeleton: TrainState) -> TrainState | None:
    """The state of the folder's checkpoint, of the shapes of `skeleton`; `None` if no step was done."""
    for name in (CHECKPOINT, MODEL, LOG):
        remove_parts(folder / name)
    path = folder / CHECKPOINT
    found = flat(read_header(path)) if path.exists() else {"step": 0}
    if found.pop("step", None) == 0:
        return None
    wanted = flat(header)
    names = [name for name in wanted | found if wanted.get(name) != found.get(name)]
    if names:
        both = [(shown(x), shown(found.get(x), 32), shown(wanted.get(x), 32)) for x in names[:3]]
        said = ", ".join(f"{name} {there}, not {here}" for name, there, here in both)
        said += f" and {len(names) - 3} more" if len(names) > 3 else ""
        remedy = "name another folder, or give the same options to go on"
        refuse("out", f"{folder}, of a training with {said}", "the folder of the same training", remedy)
    return read_checkpoint(path, skeleton)


def flat(tree: Any, name: str = "") -> dict[str, Any]:
    """The leaves of nested objects by dotted names.

    >>> flat({"plan": {"steps": 3}, "text": None})
    {'plan.steps': 3, 'text': None}
    """
    if not isinstance(tree, dict):
        return {name: tree}
    leaves = {}
    for key, value in tree.items():
        leaves |= flat(value, f"{name}.{key}" if name else key)
    return leaves
