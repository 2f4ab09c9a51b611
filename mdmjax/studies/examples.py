"""What a training is given: examples to train on, others to measure on, and what identifies them."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import UInt8

from .._checks import check_integer
from .._errors import refuse
from ..distributions.alphabet import Alphabet, ByteAlphabet, alphabet_to_json, common_characters
from ..distributions.base import AbstractDistribution
from ..files.corpus import Corpus, held_out_split
from ..information.curve import InformationCurve
from ..tasks.task import AbstractTask
from ..training.data import AbstractData, Draws, Windows

FREQUENCIES = "by the frequencies of the symbols alone"


class Examples(NamedTuple):
    """What to train on; `facts` are the same whenever its data are taken again.

    `known` are losses to compare with, in nats a token, by what they are. Of a `task` the data are
    problems, and their losses those of the answers.
    """

    training: AbstractData
    held_out: AbstractData
    title: str
    facts: dict[str, Any]
    known: dict[str, float] = {}
    task: AbstractTask | None = None


def text_examples(
    corpus: Corpus, length: int, alphabet: Alphabet | ByteAlphabet | None = None, *, of: str = "a text"
) -> Examples:
    """Random windows of `length` tokens of nine files in ten, and of those held out (`held_out_split`).

    Without an `alphabet`, that of the common characters of the training files.
    """
    length = check_integer("length", length, 1)
    split = held_out_split(corpus.texts)
    alphabet = common_characters(split.training) if alphabet is None else alphabet
    sides = [alphabet.encode("".join(side)) for side in (split.training, split.held_out)]
    for side, what in zip(sides, ("to train on", "held out"), strict=True):
        if side.size < length:
            refuse("length", length, f"at most the {side.size} tokens of the text {what}")
    training, held_out = (Windows(tokens=jnp.asarray(side), n=length, q=alphabet.q) for side in sides)
    seen, new = (np.bincount(side, minlength=alphabet.q) for side in sides)
    rows = np.log((seen + 1) / (seen.sum() + alphabet.q))
    facts: dict[str, Any] = {"of": of, "files": len(corpus.texts), "skipped_files": corpus.skipped}
    facts |= {"characters": corpus.characters, "held_out": split.rule, "fingerprint": split.fingerprint}
    facts["alphabet"] = alphabet_to_json(alphabet)
    title = f"windows of {length} {'bytes' if isinstance(alphabet, ByteAlphabet) else 'characters'} of {of}"
    return Examples(training, held_out, title, facts, {FREQUENCIES: float(-(new / new.sum()) @ rows)})


def distribution_examples(
    distribution: AbstractDistribution,
    title: str,
    facts: Mapping[str, Any] | None = None,
    curve: InformationCurve | None = None,
) -> Examples:
    """Fresh samples of a distribution; with its `curve`, the entropies to compare with."""
    known, data = {}, Draws(distribution)
    if curve is not None:
        known = {
            FREQUENCIES: float(curve.marginal_entropy),
            "the entropy of the source, which no model beats": float(curve.entropy) / curve.n,
        }
    return Examples(data, data, title, dict(facts or {}), known)


def check_same_data(then: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Refuse facts of other data than `then`, at the training: what is held out now may have been seen."""
    was, found = (f"{x.get('of', 'the table')} of fingerprint {x.get('fingerprint')}" for x in (then, now))
    if then.get("fingerprint") != now.get("fingerprint"):
        refuse("source", found, f"{was}, as it was for the training", "train again on what there is now")


def known_rows_of(rows: UInt8[np.ndarray, "rows n"], known: UInt8[np.ndarray, "known n"]) -> np.ndarray:
    """Whether each row is one of those that are known.

    >>> known_rows_of(np.array([[0, 1], [1, 1]], np.uint8), np.array([[1, 1]], np.uint8)).tolist()
    [False, True]
    """
    values = [np.ascontiguousarray(x).view(np.dtype((np.void, x.shape[1])))[:, 0] for x in (rows, known)]
    return np.isin(*values)
