r"""The network of a masked diffusion model: a bidirectional transformer in the shape of LLaMA and LLaDA.

RMSNorm before each part, rotary positions, attention to every position, a SwiGLU feed-forward part, no
biases, no input of time (arXiv 2502.09992). One sequence in; `jax.vmap` outside.
"""

import dataclasses
from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .._errors import refuse
from .._numerics import safe_log
from .._types import Array, Float, Key, Tokens
from .base import AbstractDenoiser


@dataclasses.dataclass(frozen=True)
class TransformerConfig:
    """The shape of a `Transformer`: every number that its parameters and its arithmetic depend on.

    `hidden` is the width of the feed-forward part. Parameters are float32; `compute` is the type of the
    matrix products (norms, softmax and logits stay float32). `remat` computes each block again in the
    backward pass: memory of one block and `depth` inputs instead of all. `attention` is the
    implementation that `jax.nn.dot_product_attention` takes: `None` lets it choose.

    Raises:
        InvalidInputError: a size below 1; a width that is not `heads` times an even number.

    >>> TransformerConfig(n=16, q=2, width=64, depth=2, heads=4, hidden=128).parameters
    82560
    """

    n: int
    q: int
    width: int = 128
    depth: int = 4
    heads: int = 4
    hidden: int = 352
    rotary_base: float = 10_000.0
    norm_epsilon: float = 1e-5
    compute: Literal["float32", "bfloat16"] = "float32"
    attention: Literal["xla", "cudnn"] | None = None
    remat: bool = False

    def __post_init__(self):
        """Refuse what is no shape."""
        for name in ("n", "q", "width", "depth", "heads", "hidden"):
            if getattr(self, name) < 1:
                refuse(name, getattr(self, name), "an integer >= 1")
        if self.width % (2 * self.heads):
            refuse("width", self.width, f"a multiple of 2 * heads = {2 * self.heads}")

    @property
    def parameters(self) -> int:
        """How many numbers the network has."""
        block = 4 * self.width**2 + 3 * self.width * self.hidden + 2 * self.width
        return self.depth * block + self.width * (2 * self.q + 2)


class Block(eqx.Module):
    """Attention and feed-forward part, each added to what comes in. Weights act from the right: `x @ w`."""

    attention_norm: Float[Array, "*depth width"]
    qkv: Float[Array, "*depth width 3 heads size"]
    out: Float[Array, "*depth heads size width"]
    mlp_norm: Float[Array, "*depth width"]
    gate_up: Float[Array, "*depth width 2 hidden"]
    down: Float[Array, "*depth hidden width"]

    def __call__(
        self, x: Float[Array, "n width"], turns: Float[Array, "n 2 half"], config: TransformerConfig
    ) -> Float[Array, "n width"]:
        """The residual stream after the block."""
        dtype = jnp.dtype(config.compute)
        normed = rms_norm(x, self.attention_norm, config.norm_epsilon).astype(dtype)
        query, key, value = jnp.moveaxis(jnp.einsum("nd,dchs->nchs", normed, self.qkv.astype(dtype)), 1, 0)
        with jax.numpy_dtype_promotion("standard"):  # it promotes bfloat16 within itself
            mixed = jax.nn.dot_product_attention(
                rotated(query, turns), rotated(key, turns), value, implementation=config.attention
            )
        x = x + jnp.einsum("nhs,hsd->nd", mixed, self.out.astype(dtype)).astype(x.dtype)
        normed = rms_norm(x, self.mlp_norm, config.norm_epsilon).astype(dtype)
        gate, up = jnp.moveaxis(jnp.einsum("nd,dcm->ncm", normed, self.gate_up.astype(dtype)), 1, 0)
        return x + ((jax.nn.silu(gate) * up) @ self.down.astype(dtype)).astype(x.dtype)


class Transformer(AbstractDenoiser):
    r"""A network $\hat p(x_i \mid x_S)$ of masked tokens; parameters are float32 leaves.

    `blocks` holds the parameters of all blocks with a leading axis `depth`, so that compiling takes one
    block's time at any depth. Made by `Transformer.create(key, config)`.

    >>> config = TransformerConfig(n=4, q=2, width=16, depth=1, heads=2, hidden=32)
    >>> network = Transformer.create(jax.random.key(0), config)
    >>> jnp.exp(network(jnp.array([0, 2, 2, 1]))).sum(axis=1).round(4).tolist()
    [1.0, 1.0, 1.0, 1.0]
    """

    config: TransformerConfig = eqx.field(static=True)
    embedding: Float[Array, "symbols width"]
    blocks: Block
    norm: Float[Array, " width"]
    head: Float[Array, "width q"]

    @classmethod
    def create(cls, key: Key[Array, ""], config: TransformerConfig) -> "Transformer":
        r"""Random parameters: normal, of deviation 0.02, and $0.02/\sqrt{2\,\text{depth}}$ before a sum."""
        c, size = config, config.width // config.heads
        keys = jax.random.split(key, 6)

        def normal(key: Key[Array, ""], shape: tuple[int, ...], scale: float = 1.0) -> Float[Array, "..."]:
            return 0.02 * scale * jax.random.normal(key, shape, jnp.float32)

        last = (2 * c.depth) ** -0.5
        blocks = Block(
            attention_norm=jnp.ones((c.depth, c.width), jnp.float32),
            qkv=normal(keys[0], (c.depth, c.width, 3, c.heads, size)),
            out=normal(keys[1], (c.depth, c.heads, size, c.width), last),
            mlp_norm=jnp.ones((c.depth, c.width), jnp.float32),
            gate_up=normal(keys[2], (c.depth, c.width, 2, c.hidden)),
            down=normal(keys[3], (c.depth, c.hidden, c.width), last),
        )
        embedding = normal(keys[4], (c.q + 1, c.width))
        head = normal(keys[5], (c.width, c.q))
        return cls(config, embedding, blocks, jnp.ones((c.width,), jnp.float32), head)

    @property
    def n(self) -> int:
        """Number of positions."""
        return self.config.n

    @property
    def q(self) -> int:
        """Size of the alphabet."""
        return self.config.q

    def logits(self, tokens: Tokens) -> Float[Array, "n q"]:
        """What the softmax is taken of, at every position, in float32."""
        c = self.config
        turns = rotary_turns(tokens.shape[0], c.width // c.heads, c.rotary_base)

        def through(x: Float[Array, "n width"], block: Block) -> tuple[Float[Array, "n width"], None]:
            return block(x, turns, c), None

        through = jax.checkpoint(through) if c.remat else through
        x, _ = jax.lax.scan(through, self.embedding[tokens], self.blocks)
        dtype = jnp.dtype(c.compute)
        x = rms_norm(x, self.norm, c.norm_epsilon).astype(dtype)
        return jnp.matmul(x, self.head.astype(dtype), preferred_element_type=jnp.float32)

    def __call__(self, tokens: Tokens) -> Float[Array, "n q"]:
        """Log-probabilities of every symbol at every position; a revealed one is certain."""
        masked = (tokens == self.q)[:, None]
        certain = safe_log(jax.nn.one_hot(tokens, self.q, dtype=jnp.float32))
        return jnp.where(masked, jax.nn.log_softmax(self.logits(tokens)), certain)


def rms_norm(
    x: Float[Array, "n width"], scale: Float[Array, " width"], epsilon: float
) -> Float[Array, "n width"]:
    r"""$x / \sqrt{\overline{x^2} + \epsilon}$, times `scale`, row by row.

    >>> rms_norm(jnp.array([[3.0, 4.0]]), jnp.ones(2), 0.0).round(4).tolist()
    [[0.8485, 1.1314]]
    """
    mean = jnp.mean(jnp.square(x), axis=-1, keepdims=True)
    return x * jax.lax.rsqrt(mean + epsilon) * scale[None, :]


def rotary_turns(n: int, size: int, base: float) -> Float[Array, "n 2 half"]:
    r"""Cosine and sine of $i\,\text{base}^{-2j/\text{size}}$ for position `i` and pair `j`, as float32."""
    angles = np.arange(n)[:, None] * base ** (-np.arange(0, size, 2) / size)[None, :]
    return jnp.asarray(np.stack([np.cos(angles), np.sin(angles)], axis=1), jnp.float32)


def rotated(
    x: Float[Array, "n heads size"], turns: Float[Array, "n 2 half"]
) -> Float[Array, "n heads size"]:
    """Entries `j` and `j + size/2` turned as a pair (the convention of LLaMA's exported checkpoints)."""
    cos, sin = turns[:, 0, None].astype(x.dtype), turns[:, 1, None].astype(x.dtype)
    first, second = jnp.split(x, 2, axis=-1)
    return jnp.concatenate([first * cos - second * sin, second * cos + first * sin], axis=-1)
