"""The network of a masked diffusion model: a bidirectional transformer in the shape of LLaMA and LLaDA.

RMSNorm before each part, rotary positions, attention to every position, a SwiGLU feed-forward part, no
biases, no input of time (arXiv 2502.09992).
"""

import dataclasses
import math
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp

from .._checks import check_integer, check_number
from .._errors import check_bytes, refuse, shown
from .._numerics import safe_log
from .._types import Array, Float, Int, Key, Tokens
from ._layers import attention, linear, rms_norm, rotary_turns, rotated, swiglu
from .base import AbstractDenoiser

# The most that the parameters of a network may take (our choice); the largest depth at which blocks are
# compiled one by one (faster) rather than as one loop (smaller).
MAX_NETWORK_BYTES, MAX_UNROLLED = 2**34, 8


@dataclasses.dataclass(frozen=True)
class TransformerConfig:
    """The shape of a `Transformer`: every number that its parameters and its arithmetic depend on.

    `hidden` is the width of the feed-forward part. Parameters are float32; `compute` is the type of the
    matrix products (norms, softmax and logits stay float32). `remat` computes each block again in the
    backward pass: memory of one block and `depth` inputs instead of all. `attention` is the
    implementation of `jax.nn.dot_product_attention`: `None` lets it choose. With `learned_positions`, which
    LLaMA has not, each position adds a vector of its own to the embedding of its token: for data whose
    positions differ, since rotary positions give all the same row where everything is masked.

    Raises:
        InvalidInputError: a size that is no integer >= 1; a width that is not `heads` times an even number;
            any other field of another type or out of its range.

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
    learned_positions: bool = False
    compute: Literal["float32", "bfloat16"] = "float32"
    attention: Literal["xla", "cudnn"] | None = None
    remat: bool = False

    def __post_init__(self):
        for name in ("n", "q", "width", "depth", "heads", "hidden"):
            object.__setattr__(self, name, check_integer(name, getattr(self, name), 1))
        if self.n >= 2**31:
            refuse("n", self.n, "an integer below 2^31")
        if self.width % (2 * self.heads):
            refuse("width", self.width, f"a multiple of 2 * heads = {2 * self.heads}")
        check_number("rotary_base", self.rotary_base, "a number >= 1", lambda x: x >= 1)
        check_number("norm_epsilon", self.norm_epsilon, "a number in [1e-30, 1]", lambda x: 1e-30 <= x <= 1)
        both, types, ways = (True, False), ("float32", "bfloat16"), ("xla", "cudnn", None)
        choices = {"learned_positions": both, "remat": both, "compute": types, "attention": ways}
        for name, known in choices.items():
            value = getattr(self, name)
            if not any(value is x or (isinstance(value, str) and value == x) for x in known):
                refuse(name, shown(repr(value)), " or ".join(map(str, known)))

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of every array by its field of `Transformer` or `Block` (which begin with `depth`)."""
        depth, width = self.depth, self.width
        square, wide = (depth, width, width), (depth, width, self.hidden)
        found = dict.fromkeys(("query", "key", "value", "out"), square)
        found |= {"gate": wide, "up": wide, "down": (depth, self.hidden, width)}
        found |= {"embedding": (self.q + 1, width), "head": (width, self.q)}
        found |= {"positions": (self.n, width)} if self.learned_positions else {}
        return found | {"norm": (width,), "attention_norm": (depth, width), "mlp_norm": (depth, width)}

    @property
    def parameters(self) -> int:
        """How many numbers the network has."""
        return sum(map(math.prod, self.shapes().values()))

    @property
    def bytes(self) -> int:
        """What the parameters take, as float32."""
        return 4 * self.parameters

    @property
    def sequence_bytes(self) -> int:
        """What one sequence takes at least: its stream and its logits, as float32."""
        return 4 * self.n * (self.width + self.q)


SIZES: dict[str, dict[str, int]] = {
    "mini": {"width": 48, "depth": 2, "heads": 2, "hidden": 96},
    "tiny": {"width": 64, "depth": 3, "heads": 2, "hidden": 176},
    "little": {"width": 128, "depth": 4, "heads": 2, "hidden": 352},
    "small": {"width": 320, "depth": 8, "heads": 5, "hidden": 864},
    "base": {"width": 768, "depth": 14, "heads": 12, "hidden": 2048},
    "large": {"width": 1024, "depth": 28, "heads": 16, "hidden": 2752},
}
"""Shapes by name, as keywords of `TransformerConfig`: about 0.05, 0.2, 0.8, 10, 100 and 350 million
parameters at a hundred symbols. Tiny is for two CPU cores; small and up want an accelerator."""


class Block(eqx.Module):
    """Attention and feed-forward part, each added to what comes in. Weights act from the right: `x @ w`."""

    attention_norm: Float[Array, "*depth width"]
    query: Float[Array, "*depth width width"]
    key: Float[Array, "*depth width width"]
    value: Float[Array, "*depth width width"]
    out: Float[Array, "*depth width width"]
    mlp_norm: Float[Array, "*depth width"]
    gate: Float[Array, "*depth width hidden"]
    up: Float[Array, "*depth width hidden"]
    down: Float[Array, "*depth hidden width"]

    def __call__(
        self, x: Float[Array, "batch n width"], turns: Float[Array, "n 2 half"], config: TransformerConfig
    ) -> Float[Array, "batch n width"]:
        """The residual stream after the block."""
        dtype, epsilon = jnp.dtype(config.compute), config.norm_epsilon
        heads = (*x.shape[:-1], config.heads, config.width // config.heads)
        normed = rms_norm(x, self.attention_norm, epsilon).astype(dtype)
        query, key, value = (linear(normed, w).reshape(heads) for w in (self.query, self.key, self.value))
        mixed = attention(rotated(query, turns), rotated(key, turns), value, config.attention)
        x = x + linear(mixed.reshape(x.shape), self.out).astype(x.dtype)
        normed = rms_norm(x, self.mlp_norm, epsilon).astype(dtype)
        hidden = swiglu(linear(normed, self.gate), linear(normed, self.up))
        return x + linear(hidden, self.down).astype(x.dtype)


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
    positions: Float[Array, "n width"] | None
    blocks: Block
    norm: Float[Array, " width"]
    head: Float[Array, "width q"]
    n = property(lambda self: self.config.n)
    q = property(lambda self: self.config.q)

    @classmethod
    def create(
        cls, key: Key[Array, ""], config: TransformerConfig, *, limit: int = MAX_NETWORK_BYTES
    ) -> "Transformer":
        r"""Random parameters: normal, of deviation 0.02, and $0.02/\sqrt{2\,\text{depth}}$ before a sum.

        Raises:
            InvalidInputError: parameters of more than `limit` bytes.
        """
        check_bytes(config.bytes, limit, "network", "take a smaller width, depth or hidden")
        scales: dict[str, float] = dict.fromkeys(("out", "down"), (2 * config.depth) ** -0.5)
        keys, arrays = iter(jax.random.split(key, 10)), dict[str, Array]()
        for name, shape in config.shapes().items():
            if "norm" in name:
                arrays[name] = jnp.ones(shape, jnp.float32)
            else:
                normal = jax.random.normal(next(keys), shape, jnp.float32)
                arrays[name] = 0.02 * scales.get(name, 1.0) * normal
        return cls.of(config, arrays)

    @classmethod
    def of(cls, config: TransformerConfig, arrays: dict[str, Any]) -> "Transformer":
        """The network of arrays by the names of `config.shapes`."""
        arrays = {"positions": None, **arrays}
        blocks = Block(**{field.name: arrays.pop(field.name) for field in dataclasses.fields(Block)})
        return cls(config=config, blocks=blocks, **arrays)

    def logits(self, tokens: Int[Array, "*batch n"]) -> Float[Array, "*batch n q"]:
        """What the softmax is taken of, in float32; a batch as it is makes its gradient one sum."""
        c = self.config
        batch = tokens.reshape(-1, tokens.shape[-1])
        turns = rotary_turns(tokens.shape[-1], c.width // c.heads, c.rotary_base)

        def through(x: Float[Array, "batch n width"], block: Block):
            return block(x, turns, c), None

        through = jax.checkpoint(through) if c.remat else through
        unroll = c.depth if c.depth <= MAX_UNROLLED else 1
        x = self.embedding[batch]
        x = x if self.positions is None else x + self.positions[None]
        x, _ = jax.lax.scan(through, x, self.blocks, unroll=unroll)
        x = rms_norm(x, self.norm, c.norm_epsilon).astype(jnp.dtype(c.compute))
        return linear(x, self.head).astype(jnp.float32).reshape(*tokens.shape, c.q)

    def __call__(self, tokens: Tokens) -> Float[Array, "n q"]:
        """Log-probabilities of every symbol at every position; a revealed one is certain."""
        masked = (tokens == self.q)[:, None]
        certain = safe_log(jax.nn.one_hot(tokens, self.q, dtype=jnp.float32))
        return jnp.where(masked, jax.nn.log_softmax(self.logits(tokens)), certain)
