r"""The loss of a masked diffusion model, in two ways to mask of the same mean.

Both estimate, in nats a token,
$$\frac1n \mathbb{E}\Big[\sum_{i=1}^n -\log \hat p(x_{\pi(i)} \mid x_{\pi(1)}, \dots, x_{\pi(i-1)})\Big],$$
the code length of one token a step in a uniformly random order $\pi$: the bound on the likelihood that
masked diffusion models maximise (arXiv 2406.07524, arXiv 2502.09992). By linearity each set $M$ of $m$
masked positions has the weight $1 / (n m \binom{n}{m})$ in it.
"""

from collections.abc import Callable
from typing import NamedTuple

import chex
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .._types import Array, Bool, Float, Int, Key
from ..denoisers.transformer import Transformer
from ..information.estimate import Estimate, estimate
from .data import AbstractData, draw_batch


class Masks(NamedTuple):
    """Which tokens of each sequence are masked, and the weight of the sum of their losses."""

    masked: Bool[Array, "batch n"]
    weights: Float[Array, " batch"]


MaskLaw = Callable[[Key[Array, ""], int, int], Masks]
"""How to mask: from a key, the size of the batch and `n`."""


def ratio_masks(key: Key[Array, ""], batch: int, n: int) -> Masks:
    r"""Each token is masked with probability $t \sim U(0, 1]$, of weight $1 / (t n)$.

    $\int_0^1 t^{m-1} (1-t)^{n-m} \,dt = 1 / (m \binom{n}{m})$, so that the mean is that of the module's
    formula. The variance is infinite: at small $t$ one masked token weighs $1 / (t n)$.
    """
    key_ratio, key_tokens = jax.random.split(key)
    ratio = 1 - jax.random.uniform(key_ratio, (batch,), jnp.float32)
    masked = jax.random.uniform(key_tokens, (batch, n), jnp.float32) < ratio[:, None]
    return Masks(masked, 1 / (n * ratio))


def stratified_masks(key: Key[Array, ""], batch: int, n: int) -> Masks:
    r"""A uniformly random set of `m` tokens is masked, of weight $1/m$; `m` is spread over the batch.

    Sequence `j` has $m = 1 + \lfloor (jn + r) / \text{batch} \rfloor$ with one uniform `r` in `0..n-1`:
    over `j` and `r` each `m` in `1..n` is taken exactly `batch` times, so the mean is that of the
    module's formula, and each batch has all masked shares in equal parts. The variance is finite.
    """
    key_shift, key_tokens = jax.random.split(key)
    shift = jax.random.randint(key_shift, (), 0, n, jnp.int32)
    count = 1 + (jnp.arange(batch, dtype=jnp.int32) * n + shift) // batch
    draws = jax.random.bits(key_tokens, (batch, n), jnp.uint32)
    largest = jnp.take_along_axis(jnp.sort(draws, axis=1), count[:, None] - 1, axis=1)
    return Masks(draws <= largest, 1 / count.astype(jnp.float32))


def masked_loss(network: Transformer, tokens: Int[Array, "batch n"], masks: Masks) -> Float[Array, ""]:
    r"""The mean over the batch of `weights` times $\sum_{i \in M} -\log \hat p(x_i \mid x_{\bar M})$."""
    masked, weights = masks
    # Laws of masks and data are anybody's: a mask that broadcasts would train on another loss.
    chex.assert_rank(tokens, 2)
    chex.assert_equal_shape([tokens, masked])
    chex.assert_shape(weights, tokens.shape[:1])
    chex.assert_type([tokens, masked, weights], [int, bool, float])
    logits = network.logits(jnp.where(masked, network.q, tokens))
    symbols = jnp.arange(network.q, dtype=tokens.dtype)[None, None, :]
    chosen = jnp.sum(jnp.where(tokens[:, :, None] == symbols, logits, 0), axis=2)  # faster than a gather
    losses = jnp.where(masked, jax.nn.logsumexp(logits, axis=2) - chosen, 0)
    return jnp.mean(weights * jnp.sum(losses, axis=1))


def mean_loss(
    key: Key[Array, ""], network: Transformer, data: AbstractData, batch: int, batches: int
) -> Estimate:
    """The loss over `batches` independent batches with `stratified_masks`, in nats a token."""
    return estimate(np.asarray(_batch_losses(key, network, data, batch, batches)))


@eqx.filter_jit
def _batch_losses(key, network: Transformer, data: AbstractData, batch: int, batches: int) -> Array:
    def one(key: Key[Array, ""]) -> Float[Array, ""]:
        key_data, key_masks = jax.random.split(key)
        tokens = draw_batch(key_data, data, batch)
        return masked_loss(network, tokens, stratified_masks(key_masks, batch, data.n))

    return jax.lax.map(one, jax.random.split(key, batches))
