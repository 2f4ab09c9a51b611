r"""The loss of a masked diffusion model, in two ways to mask of the same mean.

Both estimate, in nats a token,
$$\frac1n \mathbb{E}\Big[\sum_{i=1}^n -\log \hat p(x_{\pi(i)} \mid x_{\pi(1)}, \dots, x_{\pi(i-1)})\Big],$$
the code length of one token a step in a uniformly random order $\pi$: the bound on the likelihood that
masked diffusion models maximise (arXiv 2406.07524, arXiv 2502.09992). By linearity each set $M$ of $m$
masked positions has the weight $1 / (n m \binom{n}{m})$ in it. Where tokens are given, a prompt, they are
never masked: the same is estimated of the answer alone, in random orders of the $n$ positions of each
sequence that are free, and how many they are may differ by sequence.
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
from .data import AbstractData, draw_examples


class Masks(NamedTuple):
    """Which tokens of each sequence are masked, and the weight of the sum of their losses."""

    masked: Bool[Array, "batch n"]
    weights: Float[Array, " batch"]


MaskLaw = Callable[..., Masks]
"""How to mask: from a key, the size of the batch, `n` and, where tokens are given, which (`[batch, n]`)."""

Given = Bool[Array, "batch n"] | None


def ratio_masks(key: Key[Array, ""], batch: int, n: int, given: Given = None) -> Masks:
    r"""Each token is masked with probability $t \sim U(0, 1]$, of weight $1 / (t n)$.

    $\int_0^1 t^{m-1} (1-t)^{n-m} \,dt = 1 / (m \binom{n}{m})$, so that the mean is that of the module's
    formula. The variance is infinite: at small $t$ one masked token weighs $1 / (t n)$.
    """
    key_ratio, key_tokens = jax.random.split(key)
    ratio = 1 - jax.random.uniform(key_ratio, (batch,), jnp.float32)
    masked = jax.random.uniform(key_tokens, (batch, n), jnp.float32) < ratio[:, None]
    if given is not None:
        return Masks(masked & ~given, 1 / (free_counts(given) * ratio))
    return Masks(masked, 1 / (n * ratio))


def stratified_masks(key: Key[Array, ""], batch: int, n: int, given: Given = None) -> Masks:
    r"""A uniformly random set of `m` tokens is masked, of weight $1/m$; `m` is spread over the batch.

    Sequence `j` has $m = 1 + \lfloor (jn + r) / \text{batch} \rfloor$ with one uniform `r` in `0..n-1`:
    over `j` and `r` each `m` in `1..n` is taken exactly `batch` times, so the mean is that of the
    module's formula, and each batch has all masked shares in equal parts. The variance is finite.

    Of $f_j$ free positions $m = 1 + \lfloor f_j \{j / \text{batch} + u\} \rfloor$ with one $u \sim U[0, 1)$
    and $\{\cdot\}$ the fractional part: each sequence has every `m` in `1..f_j` with probability $1 / f_j$.
    """
    if given is not None:
        return _stratified_free_masks(key, given)
    key_shift, key_tokens = jax.random.split(key)
    shift = jax.random.randint(key_shift, (), 0, n, jnp.int32)
    count = 1 + (jnp.arange(batch, dtype=jnp.int32) * n + shift) // batch
    draws = jax.random.bits(key_tokens, (batch, n), jnp.uint32)
    largest = jnp.take_along_axis(jnp.sort(draws, axis=1), count[:, None] - 1, axis=1)
    return Masks(draws <= largest, 1 / count.astype(jnp.float32))


def _stratified_free_masks(key: Key[Array, ""], given: Bool[Array, "batch n"]) -> Masks:
    key_shift, key_tokens = jax.random.split(key)
    batch = given.shape[0]
    shift = jax.random.uniform(key_shift, (), jnp.float32)
    share = (jnp.arange(batch, dtype=jnp.float32) / batch + shift) % 1.0
    free = free_counts(given)
    count = jnp.minimum(1 + jnp.floor(free * share), free)
    draws = jnp.where(given, 1.0, jax.random.uniform(key_tokens, given.shape, jnp.float32))
    last = count.astype(jnp.int32) - 1
    largest = jnp.take_along_axis(jnp.sort(draws, axis=1), last[:, None], axis=1)
    return Masks((draws <= largest) & ~given, 1 / count)


def whole_masks(key: Key[Array, ""], batch: int, n: int, given: Given = None) -> Masks:
    """Everything that is not given, of weight one over how many: the mean loss of a `causal` network.

    A causal network is shown every token and uses those before each. For another network this is the loss
    of one step alone, the first.
    """
    masked = jnp.ones((batch, n), bool) if given is None else ~given
    return Masks(masked, 1 / free_counts(~masked))


def masks_of(law: MaskLaw, key: Key[Array, ""], batch: int, n: int, given: Given) -> Masks:
    """The masks of a law, which need not know what a prompt is where nothing is given."""
    return law(key, batch, n) if given is None else law(key, batch, n, given)


def free_counts(given: Bool[Array, "batch n"]) -> Float[Array, " batch"]:
    """How many positions of each sequence are not given, as float32."""
    return jnp.sum(~given, axis=1).astype(jnp.float32)


def masked_loss(network: Transformer, tokens: Int[Array, "batch n"], masks: Masks) -> Float[Array, ""]:
    r"""The mean over the batch of `weights` times $\sum_{i \in M} -\log \hat p(x_i \mid x_{\bar M})$.

    A causal network is shown all tokens, and says $\hat p(x_i \mid x_{<i})$.
    """
    masked, weights = masks
    # Laws of masks and data are anybody's: a mask that broadcasts would train on another loss.
    chex.assert_rank(tokens, 2)
    chex.assert_equal_shape([tokens, masked])
    chex.assert_shape(weights, tokens.shape[:1])
    chex.assert_type([tokens, masked, weights], [int, bool, float])
    seen = tokens if network.config.causal else jnp.where(masked, network.q, tokens)
    logits = network.logits(seen)
    symbols = jnp.arange(network.q, dtype=tokens.dtype)[None, None, :]
    chosen = jnp.sum(jnp.where(tokens[:, :, None] == symbols, logits, 0), axis=2)  # faster than a gather
    losses = jnp.where(masked, jax.nn.logsumexp(logits, axis=2) - chosen, 0)
    return jnp.mean(weights * jnp.sum(losses, axis=1))


def mean_loss(
    key: Key[Array, ""], network: Transformer, data: AbstractData, batch: int, batches: int
) -> Estimate:
    """The loss over `batches` independent batches with `stratified_masks`, in nats a token.

    Of a causal network it is that of one token a step from the left (`whole_masks`).
    """
    return estimate(np.asarray(_batch_losses(key, network, data, batch, batches)))


@eqx.filter_jit
def _batch_losses(key, network: Transformer, data: AbstractData, batch: int, batches: int) -> Array:
    def one(key: Key[Array, ""]) -> Float[Array, ""]:
        key_data, key_masks = jax.random.split(key)
        tokens, given = draw_examples(key_data, data, batch)
        law = whole_masks if network.config.causal else stratified_masks
        return masked_loss(network, tokens, masks_of(law, key_masks, batch, data.n, given))

    return jax.lax.map(one, jax.random.split(key, batches))
