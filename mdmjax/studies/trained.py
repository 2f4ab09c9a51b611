"""A trained model from its folder, and the data that it was never trained on."""

import dataclasses
from pathlib import Path
from typing import Any

from .._errors import InvalidInputError, refuse
from ..denoisers.transformer import Transformer
from ..distributions.alphabet import AbstractAlphabet, alphabet_from_json
from ..files.loss_table import read_loss_table
from ..files.model_folder import MODEL
from ..files.safetensor_files import read_model
from ..information.loss_curve import LossTable
from ..training.data import AbstractData
from .sources import CorpusSource, FamilySource, JointSource, source_from_json
from .subject import Track, untracked

LOSS_CURVE = "loss_curve.csv"
"""The file in a model's folder that holds its measured losses."""


@dataclasses.dataclass(frozen=True, eq=False)
class Trained:
    """A model, and what it was trained on; the alphabet is that of a text, a distribution has none."""

    folder: Path
    network: Transformer
    alphabet: AbstractAlphabet | None
    source: FamilySource | JointSource | CorpusSource
    metadata: dict[str, Any]

    def held_out(self, track: Track = untracked) -> AbstractData:
        """Windows of the held-out files, read again; of a distribution, fresh samples.

        Raises:
            InvalidInputError: files that are gone or not those of the training: what was held out then may
                have been trained on.
        """
        examples, before = self.source.examples(track), self.metadata["data"]
        now, then = examples.facts.get("fingerprint"), before.get("fingerprint")
        if then != now:
            refuse(
                "source",
                f"{examples.facts.get('of', 'the table')} of fingerprint {now}",
                f"{before.get('of', 'the table')} of fingerprint {then}, as it was for the training",
                "train again on what there is now",
            )
        return examples.held_out

    def stored_losses(self) -> LossTable | None:
        """The measured losses in the folder, if there are any and they are not older than the model."""
        path = self.folder / LOSS_CURVE
        if path.is_file() and path.stat().st_mtime >= (self.folder / MODEL).stat().st_mtime:
            return read_loss_table(path, self.network.n)
        return None


def open_model(folder: Path) -> Trained:
    """The model of a folder that `mdmjax train` wrote.

    Raises:
        InvalidInputError: a folder without a model, or a damaged one.

    >>> open_model(Path("nowhere"))
    Traceback (most recent call last):
        ...
    mdmjax._errors.InvalidInputError: model is nowhere: want a folder with model.safetensors; mdmjax train
    SOURCE --out DIR makes one
    """
    path = folder / MODEL
    if not path.is_file():
        refuse("model", str(folder), f"a folder with {MODEL}", "mdmjax train SOURCE --out DIR makes one")
    network, metadata = read_model(path)
    try:
        if not isinstance(metadata, dict) or not isinstance(data := metadata.get("data"), dict):
            refuse("data", "not there", "what the model was trained on")
        source = source_from_json(metadata.get("source"))
        if not isinstance(source, FamilySource | JointSource | CorpusSource):
            refuse("source", source.name, "one that can be trained on")
        alphabet = alphabet_from_json(data["alphabet"]) if "alphabet" in data else None
    except InvalidInputError as error:
        refuse("model", str(path), "a model of mdmjax train", f"in its metadata {error}")
    return Trained(folder, network, alphabet, source, metadata)
