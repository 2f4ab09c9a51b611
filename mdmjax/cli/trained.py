"""A trained model from its folder, and the data that it was never trained on."""

import dataclasses
import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._errors import refuse
from .loaded import Track
from .train_sources import SOURCES, examples_of

if TYPE_CHECKING:
    from ..denoisers.transformer import Transformer
    from ..distributions.alphabet import AbstractAlphabet
    from ..training.data import AbstractData


@dataclasses.dataclass(frozen=True)
class Trained:
    """A model, and what it was trained on."""

    network: "Transformer"
    alphabet: "AbstractAlphabet | None"
    """That of a text; a distribution has none."""
    source: Any
    """The SOURCE of `mdmjax train`."""
    metadata: dict[str, Any]

    def held_out(self, track: Track) -> "AbstractData":
        """Windows of the held-out files, read again; of a distribution, fresh samples.

        Raises:
            InvalidInputError: files that are gone or not those of the training: what was held out then may
                have been trained on.
        """
        examples = examples_of(self.source, track)
        then, now = (facts.get("fingerprint") for facts in (self.metadata["data"], examples.facts))
        if then != now:
            names = [facts.get("of", "the table") for facts in (examples.facts, self.metadata["data"])]
            refuse(
                "source",
                f"{names[0]} of fingerprint {now}",
                f"{names[1]} of fingerprint {then}, as it was for the training",
                "train again on what there is now",
            )
        return examples.held_out


def open_model(folder: Path) -> Trained:
    """The model of a folder that `mdmjax train` wrote.

    Raises:
        InvalidInputError: a folder without a model, or a damaged one.
    """
    from ..distributions.alphabet import alphabet_from_json
    from ..files.model_folder import MODEL
    from ..files.safetensor_files import read_model

    if not (folder / MODEL).is_file():
        refuse("model", str(folder), f"a folder with {MODEL}", "mdmjax train SOURCE --out DIR makes one")
    network, metadata = read_model(folder / MODEL)
    try:
        source = source_from_json(metadata["source"])
        document = metadata["data"].get("alphabet")
    except (KeyError, TypeError, AttributeError):
        refuse("model", str(folder / MODEL), "a model of mdmjax train", "its metadata name no source")
    return Trained(network, document and alphabet_from_json(document), source, metadata)


def source_from_json(options: dict[str, Any]) -> Any:
    """The source of what `options_of` made of it."""
    kind = SOURCES[options["name"]]
    kinds = inspect.get_annotations(kind)
    values = {
        key: Path(value) if isinstance(value, str) and "Path" in str(kinds[key]) else value
        for key, value in options.items()
        if key != "name"
    }
    return kind(**values)
