"""The folder of a trained model: what to resume from, what to use, and how it went."""

from pathlib import Path
from typing import Any

import equinox as eqx

from .._errors import refuse
from ..training.fit import TrainState
from .atomic import remove_parts
from .checkpoint import read_checkpoint, read_header, write_checkpoint
from .safetensor_files import write_model

CHECKPOINT = "checkpoint.eqx"
"""The whole state, to resume from."""

MODEL = "model.safetensors"
"""The running mean of the weights, with all that is needed to use them."""

LOG = "log.csv"
"""One row a step."""


def save(folder: Path, header: dict[str, Any], state: TrainState) -> None:
    """Write the model and the checkpoint, each whole or not at all.

    Raises:
        InvalidInputError: a file that cannot be written, a full disk for one; the older ones are left.
    """
    header = header | {"step": int(state.step)}
    write_model(folder / MODEL, state.ema, header)
    write_checkpoint(folder / CHECKPOINT, header, state)


def resumed(folder: Path, header: dict[str, Any], state: TrainState) -> TrainState:
    """The state of the folder's checkpoint; or `state`, if there is none or no step was done.

    `header` says what the state depends on; that of the checkpoint must be the same.

    Raises:
        InvalidInputError: a checkpoint of another header, which names what differs, or a damaged one.
    """
    for name in (CHECKPOINT, MODEL, LOG):
        remove_parts(folder / name)
    path = folder / CHECKPOINT
    if not path.exists():
        return state
    found = read_header(path)
    if found.get("step") == 0:
        return state
    wanted, found = flat(header), flat({k: v for k, v in found.items() if k != "step"})
    names = [name for name in wanted | found if wanted.get(name) != found.get(name)]
    if names:
        said = ", ".join(
            f"{name} {shown(found.get(name))}, not {shown(wanted.get(name))}" for name in names[:3]
        )
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        refuse(
            "out",
            f"{folder}, of a training with {said}{more}",
            "the folder of the same training",
            "name another folder, or give the same options to go on",
        )
    return read_checkpoint(path, eqx.filter_eval_shape(lambda: state))


def shown(value: Any) -> str:
    """A value as a line can show it.

    >>> shown("a" * 99)
    'aaaaaaaaaaaaaaaaaaaaaaaaaaaaa...'
    """
    text = str(value)
    return text if len(text) <= 32 else f"{text[:29]}..."


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
