"""The folder of a trained model: what to resume from, what to use, and how it went."""

from pathlib import Path
from typing import Any

from .._errors import InvalidInputError, refuse, shown
from ..training.fit import TrainState
from .atomic import check_writable, check_writable_folder, remove_parts
from .checkpoint import read_checkpoint, read_header, write_checkpoint
from .safetensor_files import read_model, write_model

CHECKPOINT = "checkpoint.eqx"
"""The whole state, to resume from."""

MODEL = "model.safetensors"
"""The running mean of the weights, with all that is needed to use them."""

LOG = "log.csv"
"""One row a step."""


def check_folder(folder: Path) -> None:
    """Refuse, before any work, a folder that no training could be written to."""
    check_writable_folder("out", folder)
    for name in (CHECKPOINT, MODEL, LOG) if folder.is_dir() else ():
        check_writable("out", folder / name)


def save(folder: Path, header: dict[str, Any], state: TrainState) -> None:
    """Write the model and the checkpoint, each whole or not at all.

    Raises:
        InvalidInputError: a file that cannot be written, a full disk for one; the older ones are left.
    """
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
    """The state of the folder's checkpoint, of the shapes of `skeleton`; `None` if no step was done.

    Raises:
        InvalidInputError: a checkpoint of another header, which names what differs, or a damaged one.
    """
    for name in (CHECKPOINT, MODEL, LOG):
        remove_parts(folder / name)
    path = folder / CHECKPOINT
    if not path.exists():
        return None
    found = read_header(path)
    if found.get("step") == 0:
        return None
    wanted, found = flat(header), flat({k: v for k, v in found.items() if k != "step"})
    names = [name for name in wanted | found if wanted.get(name) != found.get(name)]
    if names:
        said = ", ".join(
            f"{shown(name)} {shown(found.get(name), 32)}, not {shown(wanted.get(name), 32)}"
            for name in names[:3]
        ) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
        remedy = "name another folder, or give the same options to go on"
        other = f"{folder}, of a training with {said}"
        refuse("out", other, "the folder of the same training", remedy)
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
