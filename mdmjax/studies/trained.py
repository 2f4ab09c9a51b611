"""A trained model from its folder, and the data that it was never trained on."""

import dataclasses
import functools
from pathlib import Path
from typing import Any

import jax
import numpy as np

from .._errors import InvalidInputError, refuse
from .._types import Int
from ..decoders.prompted import written_positions
from ..denoisers.transformer import Transformer
from ..distributions.alphabet import AbstractAlphabet, alphabet_from_json
from ..files.loss_table import read_loss_table
from ..files.model_folder import MODEL
from ..files.safetensor_files import read_model
from ..information.loss_curve import LossCurve, LossTable
from ..information.loss_means import loss_means
from ..tasks.task import AbstractTask
from ..training.data import AbstractData
from .examples import check_same_data
from .measure import loss_curve_study
from .report import Track, untracked
from .sources import CorpusSource, DistributionSource, TaskSource, source_from_json
from .table_notes import curve_and_facts

LOSS_CURVE = "loss_curve.csv"  # the measured losses, in a model's folder


@dataclasses.dataclass(frozen=True, eq=False)
class Trained:
    """A model, and what it was trained on; the alphabet is that of a text, a distribution has none."""

    folder: Path
    network: Transformer
    alphabet: AbstractAlphabet | None
    source: DistributionSource | CorpusSource | TaskSource
    metadata: dict[str, Any]

    @property
    def task(self) -> AbstractTask | None:
        """The task, with answers as the model writes them; `None` where it was trained on none."""
        return self.source.made() if isinstance(self.source, TaskSource) else None

    @functools.cached_property
    def positions(self) -> Int[np.ndarray, " positions"]:
        """The positions that decoders are made for: of a task `written_positions`, else all."""
        if isinstance(self.source, TaskSource):
            return written_positions(self.source.held_out().given)
        return np.arange(self.network.n)

    def held_out(self, track: Track = untracked) -> AbstractData:
        """Windows of the held-out files, read again (`check_same_data`); or fresh samples."""
        examples = self.source.examples(track)
        check_same_data(self.metadata["data"], examples.facts)
        return examples.held_out

    def curve(self, track: Track = untracked) -> tuple[LossCurve, str]:
        """The loss curve, measured now if the folder has none that is up to date; and which it is.

        Smooth, and never rising (`spline_fit`): an optimum seeks out the dips of noise.
        """
        if self.task is not None and self.positions.size == self.network.n:
            remedy = "answers differ in length: leave the schedule out, for one token a step"
            refuse("schedule", "best", "a task with all prompts at the same positions", remedy)
        table, how = self.stored_losses(), f"by the smooth fit of {self.folder / LOSS_CURVE}"
        if table is None:
            found = loss_curve_study(jax.random.key(0), self.network, self.held_out(track), track=track)
            table = found.losses.table()
            how = f"by a loss curve measured now on {found.sequences} held-out sequences (smooth fit; "
            how += f"`mdmjax loss-curve {self.folder}` keeps one)"
        return curve_and_facts(loss_means(table))[0], how

    def stored_losses(self) -> LossTable | None:
        """The measured losses in the folder, if there are any and they are not older than the model."""
        path = self.folder / LOSS_CURVE
        if path.is_file() and path.stat().st_mtime >= (self.folder / MODEL).stat().st_mtime:
            return read_loss_table(path, self.positions.size)
        return None


def open_model(folder: Path | str) -> Trained:
    """The model of a folder that `mdmjax train` wrote.

    Raises:
        InvalidInputError: a folder without a model, or a damaged one.

    >>> open_model(Path("nowhere"))
    Traceback (most recent call last):
        ...
    mdmjax._errors.InvalidInputError: model is nowhere: want a folder with model.safetensors; mdmjax train
    SOURCE --out DIR makes one
    """
    folder = Path(folder)
    path = folder / MODEL
    if not path.is_file():
        refuse("model", str(folder), f"a folder with {MODEL}", "mdmjax train SOURCE --out DIR makes one")
    network, metadata = read_model(path)
    try:
        if not isinstance(data := metadata.get("data"), dict):
            refuse("data", "not there", "what the model was trained on")
        source = source_from_json(metadata.get("source"))
        if not isinstance(source, DistributionSource | CorpusSource | TaskSource):
            refuse("source", source.name, "one that can be trained on")
        alphabet = alphabet_from_json(data["alphabet"]) if "alphabet" in data else None
    except InvalidInputError as error:
        refuse("model", str(path), "a model of mdmjax train", f"in its metadata {error}")
    return Trained(folder, network, alphabet, source, metadata)
