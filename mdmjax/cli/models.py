"""The models that commands take: folders of `mdmjax train`, and `hf:FOLDER` of Hugging Face."""

from pathlib import Path
from typing import Any

import mdmjax as mj

from .._errors import refuse
from .options import Option, Positional

HUGGING_FACE = "hf:"

EITHER = Positional("folder", "Folder of `mdmjax train`, or hf:FOLDER of Hugging Face.", "MODEL")

OF_TORCH = {"device": None, "trust_remote_code": False}
FOR_HUGGING_FACE = (
    Option("length", int, None, "With hf: a text is cut into windows of this many tokens."),
    Option("native", bool, False, "With hf: LLaDA or Dream in JAX, without torch or code of the folder."),
    Option("device", str, None, "With hf: torch's device; cuda if there is one, else cpu."),
    Option("dtype", str, "float32", "With hf: of the weights.", choices=("float32", "bfloat16", "float16")),
    Option("trust-remote-code", bool, False, "With hf: run the folder's code, as LLaDA and Dream need."),
    Option("shift", int, None, "With hf: 1 where output i - 1 predicts position i; 1 for Dream, else 0."),
    Option("mask-id", int, None, "With hf: the mask, where neither tokenizer nor configuration has one."),
)  # fmt: skip
"""How a folder of Hugging Face is opened, and its data are cut."""


def is_hugging_face(model: str, values: dict[str, Any], options: tuple[Option, ...]) -> bool:
    """Whether it is one; refused where it is none, but one of these options of such a folder is given."""
    found = model.startswith(HUGGING_FACE)
    for option in () if found else options:
        if values[option.key] != option.default:
            refuse(option.name, values[option.key], "left out", f"it is for {HUGGING_FACE}FOLDER")
    return found


def opened(model: str, values: dict[str, Any]) -> Any:
    """The model of a folder of Hugging Face: by torch, or natively in JAX. Its data must be given."""
    if values["data"] is None:
        refuse(
            "data",
            "not given",
            "a text, .fasta or .jsonl file",
            "sequences that the model was not trained on",
        )
    folder = Path(model.removeprefix(HUGGING_FACE))
    reading = {name: values[name] for name in ("dtype", "shift", "mask_id")}
    if not values["native"]:
        from ..studies.hugging_face import open_hugging_face

        return open_hugging_face(folder, **reading, **{name: values[name] for name in OF_TORCH})
    from ..studies.native import open_native

    for name, default in OF_TORCH.items():
        if values[name] != default:
            refuse(name, values[name], "left out with --native", "it is torch's: JAX has the network")
    if values["dtype"] == "float16":
        refuse("dtype", "float16", "float32 or bfloat16 with --native")
    return open_native(folder, **reading)


def judged_of(
    model: str, values: dict[str, Any], key: Any, count: int, *, losses: Path | None = None
) -> Any:
    """The model of either kind, and as many sequences that it is judged on."""
    from ..studies import judged
    from .output import track

    if is_hugging_face(model, values, FOR_HUGGING_FACE):
        one, how = opened(model, values), {"length": values["length"], "losses": losses}
        return judged.of_hugging_face(one, values["data"], count, **how)
    trained, how = mj.open_model(Path(model)), {"text": values["data"], "losses": losses, "track": track}
    return judged.of_trained(key, trained, count, **how)
