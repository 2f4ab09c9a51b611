r"""The masked-loss curve of a denoiser, measured on sequences: every mask count as often as any other."""

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .._checks import check_integer
from .._errors import check_bytes, refuse
from .._types import Array, Bool, Float, Int, Key, Tokens
from ..denoisers.base import AbstractDenoiser
from ..information.estimate import Estimate
from ..information.loss_curve import LossTable, mean_losses
from ..schedules.schedule import Schedule, check_total
from .masks import mask_counts

# Calls of a denoiser that run at once (our choice); bytes that a call leaves behind, and that all may.
BATCH, ROW_BYTES, MAX_ROWS_BYTES = 64, 64, 2**32


class MaskedLosses(eqx.Module):
    r"""Losses of a denoiser in nats a masked token, one row a call: what a loss curve is the mean of.

    In row `r`, `n_masked[r]` tokens of sequence `sequence[r]` were masked, and `loss[r]` is the mean of
    $-\log \hat p$ over them: one observation of $c(n - m)$. All standard errors are over sequences, which
    must be independent draws; rows of one sequence may depend on each other (cluster-robust variance).
    """

    n: int = eqx.field(static=True)
    sequence: Int[np.ndarray, " rows"]
    n_masked: Int[np.ndarray, " rows"]
    loss: Float[np.ndarray, " rows"]

    def where(self, keep: Bool[np.ndarray, " rows"]) -> "MaskedLosses":
        """Some of the rows."""
        return MaskedLosses(self.n, self.sequence[keep], self.n_masked[keep], self.loss[keep])

    def table(self) -> LossTable:
        r"""The mean, an unbiased estimate of $c(n - m)$, its standard error and the rows of every $m$."""
        means, rows = mean_losses(self.n, self.n_masked, self.loss)
        m = np.unique(self.n_masked)
        errors = [self._stderr((self.n_masked == one) / rows[self.n - one]) for one in m]
        return LossTable(self.n, m, means[self.n - m], count=rows[self.n - m], stderr=np.array(errors))

    def rows(self) -> LossTable:
        """Every row with its sequence: what keeps standard errors, and halves by sequence, possible."""
        count = np.ones_like(self.loss)
        return LossTable(self.n, self.n_masked, self.loss, count=count, sequence=self.sequence)

    def nll(self, schedule: Schedule, *, less: Schedule | None = None) -> Estimate:
        r"""$\sum_t s_t c(N_t)$ of `schedule` in nats, less that of `less`: what both share cancels."""
        for one in (schedule, less or schedule):
            check_total(one, self.n)
        return self.total(schedule.weights - (0 if less is None else less.weights))

    def total(self, weights: np.ndarray) -> Estimate:
        r"""$\sum_m w_m c(m)$ in nats, $m$ tokens revealed; refused where a weight has no rows."""
        rows = mean_losses(self.n, self.n_masked, self.loss)[1]
        missing = np.flatnonzero((weights != 0) & (rows == 0))
        if missing.size:
            none = f"without rows of {self.n - missing[-1]}"
            refuse("n_masked", none, "every start of the schedule measured")
        each = (weights / np.maximum(rows, 1))[self.n - self.n_masked]
        return Estimate(float(each @ self.loss), self._stderr(each))

    def _stderr(self, weights: Float[np.ndarray, " rows"]) -> float:
        """The standard error of `weights @ loss`, a sum of means by mask count; sequences independent."""
        means = mean_losses(self.n, self.n_masked, self.loss)[0][self.n - self.n_masked]
        kinds = np.unique(np.stack([self.n_masked, self.sequence]), axis=1)[0]
        sequences = np.bincount(kinds, minlength=self.n + 1)[self.n_masked]
        alone = self.n_masked[(weights != 0) & (sequences < 2)]
        if alone.size:
            what = f"loss of {alone[0]} masked tokens"
            refuse(what, "measured on one sequence", "at least two", "give more sequences or rounds")
        # A mean that is taken off takes a degree of freedom from the sequences of its mask count.
        residuals = weights * np.sqrt(sequences / np.maximum(sequences - 1, 1)) * (self.loss - means)
        return float(np.sqrt(np.sum(np.bincount(self.sequence, residuals) ** 2)))


def masked_losses(
    key: Key[Array, ""],
    denoiser: AbstractDenoiser,
    sequences: Int[Array, "samples n"],
    *,
    rounds: int = 1,
    batch: int = BATCH,
) -> MaskedLosses:
    r"""Losses of `denoiser` on `sequences`, each masked once a round, at uniformly random positions.

    Stratified: with the $N$ sequences in a random order, number $j$ has in round $r$
    $(j + rN + \lfloor rN / \mathrm{lcm}(N, n) \rfloor) \bmod n + 1$ tokens masked. So in every round, and
    over all rounds, each mask count `1..n` is used as often as any other, to within one; and in up to `n`
    rounds no sequence has the same mask count twice. One round of many sequences has independent rows. `n`
    rounds mask nested sets of every sequence, one random order each: what a sequence and its order have of
    their own cancels in differences of the curve. `batch` of the `N * rounds` calls run at once.

    Raises:
        InvalidInputError: sequences of another length or with other symbols, `rounds` or `batch` below 1,
            too many rows, or a loss that is not finite (a symbol that occurs has probability 0).

    >>> from mdmjax import Mixed, Oracle, noisy_repeated_bit, tabulate
    >>> joint = tabulate(noisy_repeated_bit(3, 0.1))
    >>> sequences = jax.vmap(joint.sample)(jax.random.split(jax.random.key(0), 30))
    >>> rows = masked_losses(jax.random.key(1), Oracle(joint), sequences)
    >>> rows.table().count.tolist()
    [10.0, 10.0, 10.0]
    """
    size, n = check_sequences(sequences, denoiser, rounds=rounds, batch=batch)
    need = ROW_BYTES * size * rounds
    check_bytes(need, MAX_ROWS_BYTES, f"a table of {rounds} rounds of {size} sequences", "use fewer rounds")
    ordering, masking = jax.random.split(key)
    place = np.asarray(jax.random.permutation(ordering, size))
    n_masked = mask_counts(place, n, rounds).reshape(-1)
    sequence = np.tile(np.arange(size), rounds)
    order = sequence + np.repeat(np.arange(rounds) // n, size) * size  # a new one every n rounds
    rows = jnp.asarray(sequence), jnp.asarray(order), jnp.asarray(n_masked)
    loss = np.asarray(_losses(masking, denoiser, sequences, rows, min(batch, n_masked.size)), np.float64)
    wrong = ~np.isfinite(loss)
    if wrong.any():
        row = int(np.argmax(wrong))
        where = f"{loss[row]} with {n_masked[row]} masked tokens of sequence {sequence[row]}"
        refuse("loss", where, "finite nats", "the denoiser rules out what occurs, or is not a number")
    return MaskedLosses(n, sequence, n_masked, np.maximum(loss, 0.0))


def joined(parts: Sequence[MaskedLosses]) -> MaskedLosses:
    """The rows of all parts, each of sequences of its own."""
    offsets = np.cumsum([0, *(part.sequence.max() + 1 for part in parts[:-1])])
    moved = [part.sequence + offset for part, offset in zip(parts, offsets, strict=True)]
    n_masked, loss = (np.concatenate([getattr(p, name) for p in parts]) for name in ("n_masked", "loss"))
    return MaskedLosses(parts[0].n, np.concatenate(moved), n_masked, loss)


def check_sequences(
    sequences: Int[Array, "samples n"], denoiser: AbstractDenoiser, **at_least_one: int
) -> tuple[int, int]:
    """The number and the length of sequences of the denoiser's symbols; others are refused."""
    for name, value in at_least_one.items():
        check_integer(name, value, 1)
    n, q = denoiser.n, denoiser.q
    if not hasattr(sequences, "dtype") or not jnp.issubdtype(sequences.dtype, jnp.integer):
        kind = getattr(sequences, "dtype", type(sequences).__name__)
        refuse("sequences", f"a {kind}", f"an array of integers of shape (samples, {n})")
    if sequences.ndim != 2 or sequences.shape[0] < 1 or sequences.shape[1] != n:
        refuse("sequences", f"of shape {sequences.shape}", f"shape (samples, {n})")
    low, high = int(jnp.min(sequences)), int(jnp.max(sequences))
    if low < 0 or high >= q:
        refuse("sequences", f"with a symbol {low if low < 0 else high}", f"symbols 0..{q - 1}")
    return sequences.shape[0], n


def token_losses(denoiser: AbstractDenoiser, state: Tokens, tokens: Tokens) -> Float[Array, " n"]:
    r"""$-\log \hat p(x_i \mid \text{state})$ at every position, in nats and the default float type."""
    return -denoiser(state)[jnp.arange(denoiser.n), tokens].astype(jnp.result_type(float))


@eqx.filter_jit
def _losses(key, denoiser: AbstractDenoiser, sequences, rows: tuple, batch: int) -> Float[Array, " rows"]:
    """The mean loss of the masked tokens of every row: its sequence, its order, how many are masked."""

    def loss(row):
        one, number, count = row
        tokens = sequences[one]
        masked = jax.random.permutation(jax.random.fold_in(key, number), denoiser.n) < count
        losses = token_losses(denoiser, jnp.where(masked, denoiser.q, tokens), tokens)
        return jnp.sum(losses, where=masked) / count.astype(losses.dtype)

    return jax.lax.map(loss, rows, batch_size=batch)
