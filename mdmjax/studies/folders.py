"""Sequences of a file as the ids of a model in a local folder of Hugging Face, framed and padded."""

import abc
import dataclasses
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from .._errors import InvalidInputError, refuse, shown
from ..files.sequences import FASTA, Example, read_examples
from ..losses.logits_model import LogitsFn
from .measure import Measurable, fingerprint

FIXED_LENGTH = 2**20  # what a tokenizer says that knows no length is above it


@dataclasses.dataclass(frozen=True, eq=False)
class AbstractFolder(abc.ABC):
    """A masked model with its tokenizer; ids are the tokenizer's.

    `vocabulary` is what config.json says of it, `longest` the most tokens of a sequence.
    """

    folder: Path
    tokenizer: Any
    mask_id: int
    shift: int
    vocabulary: int | None
    longest: int | None

    @property
    def pad_id(self) -> int | None:
        """The id after sequences that are shorter than others."""
        return self.tokenizer.pad_token_id

    @property
    def forbidden(self) -> tuple[int, ...]:
        """Ids that are no answer: the special ones of the tokenizer, and the mask."""
        return tuple(sorted({self.mask_id, *self.tokenizer.all_special_ids}))

    @abc.abstractmethod
    def logits_for(self, data: np.ndarray) -> LogitsFn:
        """The model, as it is called on these sequences with some of their tokens masked."""

    @abc.abstractmethod
    def facts(self) -> Mapping[str, Any]:
        """What a measurement hangs on beside the folder."""

    def notes(self) -> tuple[str, ...]:
        """What the reader of a report should know."""
        return ()

    def measurable(self, path: Path, *, length: int | None = None, most: int | None = None) -> Measurable:
        """The sequences of a file as ids, and what a measurement needs: see `read_examples`.

        Answers are what may be masked, or all that is not special; special symbols are put around as the
        tokenizer does, no template of a chat is. A text is cut into windows of `length` tokens, if given;
        of more sequences than `most` as many are taken, evenly spaced.
        """
        examples, proteins = read_examples(path), path.suffix.lower() in FASTA
        if length is not None:
            if proteins or any(example.prompt for example in examples):
                refuse("length", length, "left out", "only a text is cut into windows")
            examples = [Example("\n".join(example.text for example in examples))]
        rows = [
            (self._ids(e.prompt, n, False), self._ids(e.text, n, proteins)) for n, e in enumerate(examples)
        ]
        if length is not None:
            ids = rows[0][1]
            if not 1 <= length <= len(ids):
                refuse("length", length, f"1..{len(ids)}, the tokens of {path}")
            rows = [([], ids[start : start + length]) for start in range(0, len(ids) - length + 1, length)]
        if most is not None and most < len(rows):
            rows = [rows[place] for place in np.arange(most) * len(rows) // most]
        data, regions = self._framed(rows)
        facts = {"model": fingerprint(self.folder), "mask_id": self.mask_id, "shift": self.shift}
        facts |= self.facts()
        known = {
            "forbidden": self.forbidden,
            "pad_id": self.pad_id,
            "regions": regions,
            "shift": self.shift,
        }
        about = {"options": known, "facts": facts, "notes": self.notes()}
        return Measurable(self.logits_for(data), data, self.mask_id, f"sequences of {path}", **about)

    def _ids(self, text: str, number: int, residues: bool) -> list[int]:
        """The ids of a text, or of its letters, one each; what the tokenizer does not know is refused.

        Letters are taken where each of them is known and a word is not: those of a protein model.
        """
        unknown = self.tokenizer.unk_token_id
        letters = self.tokenizer.convert_tokens_to_ids(list(text))
        ids = self.tokenizer(text, add_special_tokens=False)["input_ids"] if text else []
        by_letter = residues or (unknown in ids and unknown not in letters)
        found = letters if by_letter else ids
        if unknown is not None and unknown in found:
            where = shown(text[found.index(unknown)]) if by_letter else f"a symbol of {shown(text)}"
            refuse("data", f"with {where} in sequence {number + 1}", "symbols that the tokenizer knows")
        return found

    def _framed(self, rows: Sequence[tuple[list[int], list[int]]]) -> tuple[np.ndarray, np.ndarray]:
        """All rows in one array, special symbols around each and padding after it; and their regions."""
        sample, unknown = self.tokenizer("a")["input_ids"], self.tokenizer.unk_token_id
        inside = [place for place, one in enumerate(sample) if one == unknown or one not in self.forbidden]
        first, last = (inside[0], inside[-1] + 1) if inside else (len(sample), len(sample))
        whole = [[*sample[:first], *prompt, *answer, *sample[last:]] for prompt, answer in rows]
        length = max(map(len, whole))
        if self.longest is not None and length > self.longest:
            number = max(range(len(whole)), key=lambda one: len(whole[one])) + 1
            refuse(
                "data", f"of {length} tokens in sequence {number}", f"at most {self.longest} of this model"
            )
        if self.pad_id is None and len({len(one) for one in whole}) > 1:
            refuse(
                "data", "of unequal lengths", "one length", "this tokenizer has no padding; take --length N"
            )
        pad = 0 if self.pad_id is None else self.pad_id
        data = np.array([one + [pad] * (length - len(one)) for one in whole], np.int64)
        if self.vocabulary is not None and data.max() >= self.vocabulary:
            refuse(
                "data", f"with the id {data.max()}", "ids of the model", "the tokenizer is of another one"
            )
        regions = np.zeros(data.shape, bool)
        for row, (prompt, answer) in enumerate(rows):
            regions[row, first + len(prompt) : first + len(prompt) + len(answer)] = True
        return data, regions & ~np.isin(data, self.forbidden)


def mask_of(given: int | None, tokenizer: Any, stored: dict[str, Any]) -> int:
    """The mask that is given, else the tokenizer's, else that of the configuration `stored`."""
    found = [given, tokenizer.mask_token_id, stored.get("mask_token_id")]
    mask = next((one for one in found if one is not None), None)
    if mask is None:
        refuse("mask_id", "not given", "the id of the mask", "neither tokenizer nor config.json has one")
    if not 0 <= mask < stored.get("vocab_size", mask + 1):
        refuse("mask_id", mask, f"ids in 0..{stored['vocab_size'] - 1}, the vocabulary of the model")
    return mask


def longest_of(tokenizer: Any, positions: int | None) -> int | None:
    """The most tokens that the tokenizer and the `positions` of a model allow."""
    return min(
        (one for one in (positions, tokenizer.model_max_length) if one and one < FIXED_LENGTH), default=None
    )


@contextmanager
def silent() -> Iterator[None]:
    """No bars, notes and warnings of transformers on stderr."""
    import transformers

    logging = transformers.utils.logging
    level = logging.get_verbosity()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(level)


@contextmanager
def opening(folder: Path) -> Iterator[None]:
    """Silent, and whatever is raised is one line."""
    try:
        with silent():
            yield
    except InvalidInputError:
        raise
    except Exception as error:  # transformers, and the code of a folder, raise errors of any type
        refuse("model", f"hf:{folder}", "a masked model that transformers opens", shown(error, 300))
