"""Every SOURCE of `mdmjax train`: a text, or samples of a distribution."""

import dataclasses
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, NamedTuple

import tyro

from .file_sources import Joint, python_version
from .loaded import Sized, Track
from .setting import one_of
from .sources import MADE

if TYPE_CHECKING:
    from ..distributions.alphabet import AbstractAlphabet
    from ..training.data import AbstractData


class Examples(NamedTuple):
    """What a source gives to `train`."""

    training: "AbstractData"
    held_out: "AbstractData"
    alphabet: "AbstractAlphabet | None"
    title: str
    facts: dict[str, Any]
    """What must be the same when a training is resumed or its data are taken again, for JSON."""
    known: dict[str, float]
    """Losses to compare with, in nats a token, by what they are."""


@dataclasses.dataclass(frozen=True)
class TrainText:
    """Windows of a text; without PATH, Python's standard library source. One file in ten is held out."""

    name: ClassVar[str] = "text"

    path: Annotated[tyro.conf.Positional[Path | None], tyro.conf.arg(metavar="PATH")] = None
    """A text file, or a folder whose .py, .txt and .md files are read."""
    length: int = 128
    """Tokens in a window: the n of the network."""
    bytes: bool = False
    """One token a byte of UTF-8, instead of one a character that is common in the training files."""

    def examples(self, track: Track) -> Examples:
        """Random windows of the training files, and of those held out."""
        import jax.numpy as jnp
        import numpy as np

        from .._errors import refuse
        from ..distributions.alphabet import ByteAlphabet, alphabet_to_json, common_characters
        from ..files.corpus import corpus_files, held_out_split, read_corpus, standard_library_files
        from ..training.data import Windows

        if self.length < 1:
            refuse("length", self.length, "an integer >= 1")
        files = corpus_files(self.path) if self.path else standard_library_files()
        corpus = read_corpus(track(files, "reading"))
        split = held_out_split(corpus.texts)
        alphabet = ByteAlphabet() if self.bytes else common_characters(split.training)
        sides = [alphabet.encode("".join(side)) for side in (split.training, split.held_out)]
        for side, what in zip(sides, ("to train on", "held out"), strict=True):
            if side.size < self.length:
                refuse("length", self.length, f"at most the {side.size} tokens of the text {what}")
        training, held_out = (Windows(jnp.asarray(side), self.length, alphabet.q) for side in sides)
        seen, new = (np.bincount(side, minlength=alphabet.q) for side in sides)
        rows = np.log((seen + 1) / (seen.sum() + alphabet.q))
        of = str(self.path) if self.path else f"the standard library of Python {python_version()}"
        facts = {
            "of": self.path.name if self.path else of,
            "files": len(corpus.texts),
            "skipped_files": corpus.skipped,
            "characters": corpus.characters,
            "held_out": split.rule,
            "fingerprint": split.fingerprint,
            "alphabet": alphabet_to_json(alphabet),
        }
        unit = "bytes" if self.bytes else "characters"
        return Examples(
            training,
            held_out,
            alphabet,
            f"windows of {self.length} {unit} of {of}",
            facts,
            {"by the frequencies of the symbols alone": float(-(new / new.sum()) @ rows)},
        )


TrainSource = one_of(TrainText, *MADE)
"""What a model is trained on."""

SOURCES = {source.name: source for source in (TrainText, *MADE)}
"""Every source by the name that a model's metadata have."""


def sized(source: Any) -> Any:
    """The source with every size given: as for a law, so that the exact law of the model can be had."""
    return source.sized(source.law_sizes) if isinstance(source, Sized) else source


def rooted(source: Any) -> Any:
    """The source with its path absolute: it means the same from any folder."""
    paths = {
        field.name: getattr(source, field.name).resolve()
        for field in dataclasses.fields(source)
        if isinstance(getattr(source, field.name), Path)
    }
    return dataclasses.replace(source, **paths)


def examples_of(source: Any, track: Track) -> Examples:
    """What a sized source gives to train on, and to measure on."""
    if isinstance(source, TrainText):
        return source.examples(track)
    from ..training.data import Draws

    model = source.model(track)
    data = Draws(model.distribution)
    facts = dict(model.facts)
    if isinstance(source, Joint):
        facts["fingerprint"] = hashlib.sha256(source.file.read_bytes()).hexdigest()[:16]
    return Examples(data, data, None, model.title, facts, _known(source, track))


def _known(source: Any, track: Track) -> dict[str, float]:
    """The entropies of a distribution in nats a token, where its curve can be had."""
    from .._errors import InvalidInputError

    try:
        curve = source.load(track).curve
    except InvalidInputError:
        return {}
    return {
        "by the frequencies of the symbols alone": float(curve.marginal_entropy),
        "the entropy of the source, which no model beats": float(curve.entropy) / curve.n,
    }
