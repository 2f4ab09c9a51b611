"""What the decoders of a model are judged on: its denoiser, sequences that it never saw, its loss curve."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from .._errors import InvalidInputError, refuse
from .._types import Array, Bool, Int, Key
from ..denoisers.base import AbstractDenoiser
from ..denoisers.conditioned import Conditioned
from ..denoisers.infilling import Infilling
from ..files.arrays import read_text
from ..information.loss_curve import LossCurve
from ..information.loss_means import loss_means
from ..training.data import Windows, examples_apart
from .folders import AbstractFolder
from .measure import Measurable, logits_of
from .report import Subject, Track, untracked
from .sources import LossTableSource
from .table_notes import curve_and_facts
from .trained import Trained


@dataclasses.dataclass(frozen=True, eq=False)
class Judged:
    """A denoiser, or one for each of the sequences; `curve` is what the best schedule is chosen on.

    `measurable` is the same model on the same sequences, as losses are measured (`measure_study`).
    """

    denoiser: AbstractDenoiser | Sequence[AbstractDenoiser]
    sequences: Int[Array, "samples n"]
    subject: Subject
    measurable: Measurable
    curve: Callable[[], LossCurve]

    @property
    def one(self) -> AbstractDenoiser:
        """The denoiser where it is the same for all sequences; refused where prompts differ."""
        if isinstance(self.denoiser, AbstractDenoiser):
            return self.denoiser
        remedy = "decoders by name can be scored: leave --budget, --frontier and --schedules out"
        return refuse("data", "of sequences with different prompts", "one frame for all", remedy)


def of_trained(
    key: Key[Array, ""],
    trained: Trained,
    count: int,
    *,
    text: Path | None = None,
    losses: Path | None = None,
    track: Track = untracked,
) -> Judged:
    """A model of `mdmjax train`, on `count` windows of the held-out text that do not overlap, or of `text`.

    Random windows of a small text overlap, and their errors are not those of independent sequences. A model
    of a distribution is judged on fresh samples, one of a task on its answers to held-out problems, each
    after its prompt.

    Raises:
        InvalidInputError: fewer windows or problems than `count`, a text where the model is of none;
            answers at positions that differ.
    """
    subject = Subject(
        f"model {trained.folder} on {text or 'data that it was not trained on'}",
        trained.source.to_json(),
        q=trained.network.q,
        facts={"model": str(trained.folder)},
    )
    sequences, given = _sequences(key, trained, count, text, track)
    n = trained.positions.size
    curve = (lambda: trained.curve(track)[0]) if losses is None else _curve_of(losses, n)
    options = {} if given is None else {"regions": ~np.asarray(given)}
    rows = np.asarray(sequences)
    measurable = Measurable(logits_of(trained.network), rows, trained.network.q, options=options)
    if given is None:
        return Judged(trained.network, sequences, subject, measurable, curve)
    if n == trained.network.n:
        remedy = "`mdmjax loss-curve` takes the same share of each answer"
        refuse(
            "model",
            f"of the task {trained.source.to_json()['task']}",
            "one with answers of one length",
            remedy,
        )
    at = jnp.asarray(trained.positions)
    return Judged(
        [Conditioned(trained.network, row, at) for row in sequences],
        sequences[:, at],
        subject,
        measurable,
        curve,
    )


def of_hugging_face(
    model: AbstractFolder, data: Path, count: int, *, length: int | None = None, losses: Path | None = None
) -> Judged:
    """A masked model of Hugging Face on at most `count` sequences of a file, with regions of one length.

    Raises:
        InvalidInputError: regions of unequal lengths; what `AbstractFolder.measurable` refuses.
    """
    measurable = model.measurable(data, length=length, most=count)
    denoiser, sequences = externals(measurable)
    n = sequences.shape[1]
    q = denoiser.q if isinstance(denoiser, AbstractDenoiser) else denoiser[0].q
    title = f"model hf:{model.folder} on {measurable.what}"
    subject = Subject(title, None, q=q, facts={"model": f"hf:{model.folder}", **measurable.facts})
    return Judged(denoiser, sequences, subject, measurable, _curve_of(losses, n))


def externals(
    measurable: Measurable,
) -> tuple[Infilling | list[Infilling], Int[Array, "samples n"]]:
    """What is measured, as a denoiser of the regions, and symbols; one a sequence where frames differ."""
    data, options = np.asarray(measurable.data), dict(measurable.options)
    regions = np.asarray(options["regions"], bool)
    sizes = regions.sum(axis=1)
    if np.ptp(sizes) or sizes[0] < 1:
        found = f"of regions of {sizes.min()} to {sizes.max()} tokens"
        refuse(
            "data", found, "one length for all", "keep sequences of one length; a text is cut by --length N"
        )
    pad = options.get("pad_id")
    forbidden = tuple(sorted({*options["forbidden"], *(() if pad is None else (pad,))}))
    frames = np.where(regions, measurable.mask_id, data)
    vocabulary = measurable.logits_fn(frames[:1]).shape[-1]
    positions = np.nonzero(regions)[1].reshape(len(data), -1)
    known = {"vocabulary": vocabulary, "mask_id": measurable.mask_id, "forbidden": forbidden}
    known["shift"] = options.get("shift", 0)
    pairs = list(zip(frames, positions, strict=True))
    same = all((frame == frames[0]).all() and (at == positions[0]).all() for frame, at in pairs)
    first = Infilling(measurable.logits_fn, *pairs[0], **known)
    parts = lambda one: (one.template, one.positions)
    others = (
        [] if same else [eqx.tree_at(parts, first, tuple(map(jnp.asarray, pair))) for pair in pairs[1:]]
    )
    made = [first, *others]
    ids = np.take_along_axis(data, positions, axis=1)
    return (made[0] if same else made), jnp.asarray(np.searchsorted(made[0].symbols, ids))


def _sequences(
    key: Key[Array, ""], trained: Trained, count: int, text: Path | None, track: Track
) -> tuple[Int[Array, "samples n"], Bool[Array, "samples n"] | None]:
    """The sequences, and what of them is given."""
    alphabet, n = trained.alphabet, trained.network.n
    if text is not None and alphabet is None:
        remedy = "this model is of a distribution: fresh samples are drawn"
        if trained.task is not None:
            remedy = "this model is of a task: problems that are held out are drawn"
        refuse("data", str(text), "no text", remedy)
    if text is None or alphabet is None:
        return examples_apart(key, trained.held_out(track), count)
    tokens = alphabet.encode(read_text("data", text))
    if tokens.size < 2 * n:
        refuse("data", f"{text} of {tokens.size} tokens", f"at least two windows of {n} tokens")
    data = Windows(jnp.asarray(tokens), n, alphabet.q)
    return examples_apart(key, data, min(count, data.apart))


def _curve_of(losses: Path | None, n: int) -> Callable[[], LossCurve]:
    """The curve of a loss table, read when it is asked for."""

    def curve() -> LossCurve:
        if losses is None or not losses.is_file():
            remedy = "`mdmjax loss-curve MODEL` measures them; --losses FILE says where they are"
            found = "not given" if losses is None else str(losses)
            refuse("losses", found, "the measured losses, for the best schedule", remedy)
        try:
            table = LossTableSource(losses, n).table()
        except InvalidInputError as error:
            refuse("losses", str(losses), f"a loss table of this model, n = {n}", str(error))
        return curve_and_facts(loss_means(table))[0]

    return curve
