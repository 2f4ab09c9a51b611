"""What the commands share that measure a trained model: its loss curve on held-out data."""

import time
from pathlib import Path
from typing import NamedTuple

import jax

from .._errors import refuse
from ..files.loss_table import read_loss_table
from ..files.model_folder import MODEL
from ..information.loss_curve import LossCurve, curve_from_table, isotonic_fit
from ..losses.sampled import MaskedLosses, joined, masked_losses
from ..training.data import draw_batch
from .loaded import Track
from .trained import Trained

LOSS_CURVE = "loss_curve.csv"
"""The file in a model's folder that holds its measured curve."""

LEAST_CALLS, LEAST_SEQUENCES = 4096, 64
"""Calls that a curve takes, and sequences that it is measured on, if nothing is said: at least so many
(our choice)."""

PARTS = 16
"""Most steps of the progress bar."""


class Measured(NamedTuple):
    """Losses of a model, and how long they took: the rate is that of all but the first part."""

    losses: MaskedLosses
    seconds: float
    calls: int
    calls_per_second: float


def measure(trained: Trained, sequences: int | None, seed: int, batch: int, track: Track) -> Measured:
    """The masked losses of held-out sequences, each at every number of masked tokens.

    Raises:
        InvalidInputError: fewer than two sequences, a batch below 1, or a seed that is none.
    """
    check(sequences, seed, batch)
    data, network = trained.held_out(track), trained.network
    n = network.n
    size = max(LEAST_SEQUENCES, -(-LEAST_CALLS // n)) if sequences is None else sequences
    parts = max(p for p in range(1, PARTS + 1) if size % p == 0)
    key, found, times = jax.random.key(seed), [], [time.monotonic()]
    for part in track(range(parts), "measuring"):
        drawing, masking = jax.random.split(jax.random.fold_in(key, part))
        drawn = draw_batch(drawing, data, size // parts)
        found.append(masked_losses(masking, network, drawn, rounds=n, batch=batch))
        times.append(time.monotonic())
    calls, seconds = size * n, times[-1] - times[0]
    rate = calls / parts * (parts - 1) / (times[-1] - times[1]) if parts > 1 else calls / seconds
    return Measured(joined(found), seconds, calls, rate)


def curve_of(folder: Path, trained: Trained, track: Track) -> tuple[LossCurve, str]:
    """The curve in the model's folder, or if it is not there or older than the model, a new one; which?

    Either is made nonincreasing (`isotonic_fit`): an optimum seeks out the dips of noise.
    """
    path = folder / LOSS_CURVE
    if path.is_file() and path.stat().st_mtime >= (folder / MODEL).stat().st_mtime:
        table = read_loss_table(path, trained.network.n)
        return isotonic_fit(curve_from_table(table)), f"by the isotonic fit of {path}"
    found = measure(trained, None, 0, 64, track)
    what = (
        f"by a loss curve measured now on {found.calls // found.losses.n} held-out sequences (isotonic fit"
    )
    curve = isotonic_fit(curve_from_table(found.losses.table()))
    return curve, f"{what}; `mdmjax loss-curve {folder}` keeps one)"


def check(sequences: int | None, seed: int, batch: int) -> None:
    """Refuse numbers that no measurement can have."""
    if sequences is not None and sequences < 2:
        refuse("sequences", sequences, "an integer >= 2", "a standard error needs two")
    if batch < 1:
        refuse("batch", batch, "an integer >= 1")
    if not 0 <= seed < 2**63:
        refuse("seed", seed, "an integer in 0..2^63-1")
