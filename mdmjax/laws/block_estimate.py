"""Block-by-block decoding of a Block-HMM whose beliefs do not merge: estimated from sampled contexts."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp

from .._checks import check_integer
from .._errors import check_bytes
from .._numerics import safe_log
from .._types import Array, Float, Key
from ..distributions.block_hmm import BlockHMM
from ..distributions.joint import MAX_TABLE_BYTES
from ._beliefs import Context, context, log_threshold_of, odds_of
from .block_decoding import BlockDecoding

BATCH = 4096
"""Sequences that are followed at a time."""

BLOCK_BYTES, COUNT_BYTES, POSITION_BYTES = 2 * 5 * 8, 4 * 8, 64
"""What a block leaves behind: five numbers, and as many on the way to their means; what each state needs
for a count of ones in a block at hand; and a position, for the decoder that is estimated."""


class BlockDecodingEstimate(eqx.Module):
    """A Monte Carlo estimate of `BlockDecoding`, with the standard errors of its totals."""

    estimate: BlockDecoding
    forward_kl_stderr: Float[Array, ""]
    reverse_kl_stderr: Float[Array, ""]
    incoherence_stderr: Float[Array, ""]
    violation_rate_stderr: Float[Array, ""]
    verified_incoherence_stderr: Float[Array, ""]


def block_decoding_estimate(
    key: Key[Array, ""], model: BlockHMM, samples: int, *, incoherence_threshold: float = 1e-8
) -> BlockDecodingEstimate:
    r"""An estimate of `block_decoding` for chains whose beliefs do not merge, with its standard errors.

    Contexts are drawn, `samples` from the model and as many from the decoder; in each context the sums
    are exact (Rao-Blackwell). Standard errors are those of the mean of independent sequences.

    Raises:
        InvalidInputError: fewer than two samples, or too many for 2 GiB; a threshold outside `[0, 1]`.

    >>> guess = block_decoding_estimate(jax.random.key(0), BlockHMM(eta=1e-8), 1000)
    >>> abs(float(guess.estimate.forward_kl) - 12.33) < 5 * float(guess.forward_kl_stderr)
    True
    """
    samples = check_samples(model, samples)
    threshold = log_threshold_of(incoherence_threshold, model.emission.dtype)
    return _estimate(key, model, threshold, samples)


def check_samples(model: BlockHMM, samples: int) -> int:
    """A number of samples, at least two; refused if they and what is left of them take over 2 GiB."""
    samples = check_integer("samples", samples, 2)
    of_block = min(samples, BATCH) * model.block_size * (model.emission.shape[0] + 2) * COUNT_BYTES
    need = samples * model.blocks * BLOCK_BYTES + of_block + model.n * POSITION_BYTES
    remedy = f"draw fewer sequences, or of a smaller model than {model.blocks} blocks of {model.block_size}"
    check_bytes(need, MAX_TABLE_BYTES, "an estimate", remedy, samples=samples)
    return samples


@eqx.filter_jit
def _estimate(
    key: Key[Array, ""], model: BlockHMM, log_threshold: Float[Array, ""], samples: int
) -> BlockDecodingEstimate:
    """Means over sampled contexts; the totals' standard errors over sequences."""
    start = odds_of(safe_log(model.initial))

    def sequence(
        key: Key[Array, ""],
        log_counts: Callable[[Context], Float[Array, " counts"]],
        metrics: Callable[[Context], tuple[Float[Array, ""], ...]],
    ) -> tuple[Float[Array, " blocks"], ...]:
        def block(odds: Float[Array, " odds"], key: Key[Array, ""]) -> tuple[Array, tuple]:
            here = context(model, log_threshold, odds)
            count = jax.random.categorical(key, log_counts(here), mode="high")
            return here.following[count], metrics(here)

        return jax.lax.scan(block, start, jax.random.split(key, model.blocks))[1]

    def both(key: Key[Array, ""]) -> BlockDecoding:
        from_model, from_decoder = jax.random.split(key)
        forward, verified = sequence(
            from_model, lambda c: c.log_p, lambda c: (c.forward, c.verified_incoherent)
        )
        reverse, incoherent, violated = sequence(
            from_decoder, lambda c: c.log_q, lambda c: (c.reverse, c.incoherent, c.violated)
        )
        return BlockDecoding(forward, reverse, incoherent, violated, verified, model.eta)

    draws = jax.lax.map(both, jax.random.split(key, samples), batch_size=min(samples, BATCH))

    def stderr(total: Callable[[BlockDecoding], Float[Array, ""]]) -> Float[Array, ""]:
        values = jax.vmap(total)(draws)
        finite = jnp.all(jnp.isfinite(values))
        return jnp.where(finite, jnp.std(jnp.where(finite, values, 0.0), ddof=1) / samples**0.5, 0.0)

    return BlockDecodingEstimate(
        jax.tree.map(lambda values: jnp.mean(values, axis=0), draws),
        stderr(lambda d: d.forward_kl),
        stderr(lambda d: d.reverse_kl),
        stderr(lambda d: d.incoherence),
        stderr(lambda d: d.violation_rate),
        stderr(lambda d: d.verified_incoherence),
    )
