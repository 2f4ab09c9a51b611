"""The network of a masked diffusion model: a bidirectional transformer in the shape of LLaMA and LLaDA.

RMSNorm before each part, rotary positions, attention to every position, a SwiGLU feed-forward part, no
input of time (arXiv 2502.09992); as in Dream (arXiv 2508.15487), heads may share keys and values, and
queries, keys and values may have biases.
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
from .._types import Array, Bool, Float, Int, Key, Tokens
from ._layers import attention, linear, rms_norm, rotary_turns, rotated, swiglu
from .base import AbstractDenoiser

# The most that the parameters of a network may take (our choice); the largest depth at which blocks are
# compiled one by one (faster) rather than as one loop (smaller).
MAX_NETWORK_BYTES, MAX_UNROLLED = 2**34, 8

# Fields of a config that files did not always have: written where they are not as they were.
LATER = ("kv_heads", "biases", "tied", "mask_id", "weights", "causal")


@dataclasses.dataclass(frozen=True)
class TransformerConfig:
    """The shape of a `Transformer`: every number that its parameters and its arithmetic depend on.

    `hidden` is the width of the feed-forward part. `weights` is the type of the parameters, `compute` that
    of the matrix products (the stream, norms, softmax and logits stay float32). `remat` computes each block
    again in the backward pass: memory of one block and `depth` inputs instead of all. `attention` is the
    implementation of `jax.nn.dot_product_attention`: `None` lets it choose. With `learned_positions`, which
    LLaMA has not, each position adds a vector of its own to the embedding of its token: for data whose
    positions differ, since rotary positions give all the same row where everything is masked.

    What LLaMA's family has beside: `kv_heads` of keys and values, each for as many queries (`None`: one a
    query); `biases` of queries, keys and values; a head `tied` to the embedding. With `mask_id` the mask is
    one of the `q` ids of a vocabulary, and embedding and head have a row for each; without, the mask is
    `q`, which the embedding has beside them.

    A `causal` network is a left-to-right model: its row of position $i$ is made of the tokens before $i$
    alone, the mask standing before the first. It is right where all before $i$ is revealed.

    Raises:
        InvalidInputError: a size that is no integer >= 1; a width that is not `heads` times an even number;
            `heads` that `kv_heads` does not divide; any other field of another type or out of its range.

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
    kv_heads: int | None = None
    biases: bool = False
    tied: bool = False
    mask_id: int | None = None
    weights: Literal["float32", "bfloat16"] = "float32"
    causal: bool = False

    def __post_init__(self):
        for name in ("n", "q", "width", "depth", "heads", "hidden"):
            object.__setattr__(self, name, check_integer(name, getattr(self, name), 1))
        if self.n >= 2**31:
            refuse("n", self.n, "an integer below 2^31")
        if self.width % (2 * self.heads):
            refuse("width", self.width, f"a multiple of 2 * heads = {2 * self.heads}")
        if self.kv_heads is not None and self.heads % check_integer("kv_heads", self.kv_heads, 1):
            refuse("kv_heads", self.kv_heads, f"a divisor of heads = {self.heads}")
        if self.mask_id is not None and check_integer("mask_id", self.mask_id, 0) >= self.q:
            refuse("mask_id", self.mask_id, f"an id in 0..{self.q - 1}, the vocabulary")
        check_number("rotary_base", self.rotary_base, "a number >= 1", lambda x: x >= 1)
        check_number("norm_epsilon", self.norm_epsilon, "a number in [1e-30, 1]", lambda x: 1e-30 <= x <= 1)
        both, types, ways = (True, False), ("float32", "bfloat16"), ("xla", "cudnn", None)
        choices = {"learned_positions": both, "remat": both, "compute": types, "attention": ways}
        choices |= {"biases": both, "tied": both, "weights": types, "causal": both}
        for name, known in choices.items():
            value = getattr(self, name)
            if not any(value is x or (isinstance(value, str) and value == x) for x in known):
                refuse(name, shown(repr(value)), " or ".join(map(str, known)))

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of every array by its field of `Transformer` or `Block` (which begin with `depth`)."""
        depth, width, shared = self.depth, self.width, self.head_size * (self.kv_heads or self.heads)
        square, wide, narrow = ((depth, width, x) for x in (width, self.hidden, shared))
        found = {"query": square, "key": narrow, "value": narrow, "out": square}
        found |= {"gate": wide, "up": wide, "down": (depth, self.hidden, width)}
        found |= {"embedding": (self.q + (self.mask_id is None), width)}
        found |= {} if self.tied else {"head": (width, self.q)}
        found |= {"positions": (self.n, width)} if self.learned_positions else {}
        found |= {"norm": (width,), "attention_norm": (depth, width), "mlp_norm": (depth, width)}
        biases = {"query_bias": (depth, width), "key_bias": (depth, shared), "value_bias": (depth, shared)}
        return found | (biases if self.biases else {})

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON can hold them; `LATER` ones where they are not the default."""
        later = {field.name: field.default for field in dataclasses.fields(self) if field.name in LATER}
        return {k: v for k, v in dataclasses.asdict(self).items() if k not in later or v != later[k]}

    @property
    def head_size(self) -> int:
        """Numbers of a query, of a key and of a value of one head."""
        return self.width // self.heads

    @property
    def parameters(self) -> int:
        """How many numbers the network has."""
        return sum(map(math.prod, self.shapes().values()))

    @property
    def bytes(self) -> int:
        """What the parameters take."""
        return jnp.dtype(self.weights).itemsize * self.parameters

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
    key: Float[Array, "*depth width shared"]
    value: Float[Array, "*depth width shared"]
    out: Float[Array, "*depth width width"]
    mlp_norm: Float[Array, "*depth width"]
    gate: Float[Array, "*depth width hidden"]
    up: Float[Array, "*depth width hidden"]
    down: Float[Array, "*depth hidden width"]
    query_bias: Float[Array, "*depth width"] | None = None
    key_bias: Float[Array, "*depth shared"] | None = None
    value_bias: Float[Array, "*depth shared"] | None = None

    def __call__(
        self,
        x: Float[Array, "batch n width"],
        turns: Float[Array, "n 2 half"],
        config: TransformerConfig,
        visible: Bool[Array, "batch n"] | None = None,
    ) -> Float[Array, "batch n width"]:
        """The residual stream after the block."""
        dtype, epsilon = jnp.dtype(config.compute), config.norm_epsilon
        normed = rms_norm(x, self.attention_norm, epsilon).astype(dtype)

        def heads(weight: Array, bias: Array | None) -> Float[Array, "batch n heads size"]:
            found = linear(normed, weight)
            found = found if bias is None else found + bias.astype(dtype)[None, None]
            return found.reshape(*x.shape[:-1], -1, config.head_size)

        query, key = heads(self.query, self.query_bias), heads(self.key, self.key_bias)
        value = heads(self.value, self.value_bias)
        turned = rotated(query, turns), rotated(key, turns)
        mixed = attention(*turned, value, config.attention, visible, config.causal)
        x = x + linear(mixed.reshape(x.shape), self.out).astype(x.dtype)
        normed = rms_norm(x, self.mlp_norm, epsilon).astype(dtype)
        hidden = swiglu(linear(normed, self.gate), linear(normed, self.up))
        return x + linear(hidden, self.down).astype(x.dtype)


class Transformer(AbstractDenoiser):
    r"""A network $\hat p(x_i \mid x_S)$ of masked tokens.

    `blocks` holds the parameters of all blocks with a leading axis `depth`, so that compiling takes one
    block's time at any depth. Made by `Transformer.create(key, config)`. A network of a vocabulary (with a
    `mask_id`) gives `logits` of ids; `mdmjax.denoisers.infilling` makes denoisers of it.

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
    head: Float[Array, "width q"] | None
    n = property(lambda self: self.config.n)
    q = property(lambda self: self.config.q)

    @classmethod
    def create(
        cls, key: Key[Array, ""], config: TransformerConfig, *, limit: int = MAX_NETWORK_BYTES
    ) -> "Transformer":
        r"""Random parameters: normal, of deviation 0.02, and $0.02/\sqrt{2\,\text{depth}}$ before a sum.

        Biases are zero.

        Raises:
            InvalidInputError: parameters of more than `limit` bytes.
        """
        check_bytes(config.bytes, limit, "network", "take a smaller width, depth or hidden")
        scales: dict[str, float] = dict.fromkeys(("out", "down"), (2 * config.depth) ** -0.5)
        keys, arrays = iter(jax.random.split(key, 10)), dict[str, Array]()
        for name, shape in config.shapes().items():
            if "norm" in name:
                arrays[name] = jnp.ones(shape, jnp.float32)
            elif name.endswith("bias"):
                arrays[name] = jnp.zeros(shape, jnp.float32)
            else:
                normal = jax.random.normal(next(keys), shape, jnp.float32)
                arrays[name] = 0.02 * scales.get(name, 1.0) * normal
        return cls.of(config, {name: x.astype(config.weights) for name, x in arrays.items()})

    @classmethod
    def of(cls, config: TransformerConfig, arrays: dict[str, Any]) -> "Transformer":
        """The network of arrays by the names of `config.shapes`."""
        arrays = {"positions": None, "head": None, **arrays}
        blocks = Block(**{field.name: arrays.pop(field.name, None) for field in dataclasses.fields(Block)})
        return cls(config=config, blocks=blocks, **arrays)

    def logits(
        self, tokens: Int[Array, "*batch n"], visible: Bool[Array, "*batch n"] | None = None
    ) -> Float[Array, "*batch n q"]:
        """What the softmax is taken of, in float32; a batch as it is makes its gradient one sum.

        A `causal` network has in row `i` what it says of position `i`, by the tokens before it.

        Only `visible` positions are attended to, all if it is `None`: padding after a sequence is not.
        """
        c = self.config
        batch = tokens.reshape(-1, tokens.shape[-1])
        if c.causal:  # what comes before the first position is the mask
            batch = jnp.roll(batch, 1, axis=1).at[:, 0].set(c.q if c.mask_id is None else c.mask_id)
        turns = rotary_turns(tokens.shape[-1], c.head_size, c.rotary_base)
        seen = None if visible is None or c.causal else visible.reshape(batch.shape)  # padding comes last

        def through(x: Float[Array, "batch n width"], block: Block):
            return block(x, turns, c, seen), None

        through = jax.checkpoint(through) if c.remat else through
        unroll = c.depth if c.depth <= MAX_UNROLLED else 1
        x = self.embedding[batch].astype(jnp.float32)
        x = x if self.positions is None else x + self.positions[None].astype(x.dtype)
        x, _ = jax.lax.scan(through, x, self.blocks, unroll=unroll)
        x = rms_norm(x, self.norm, c.norm_epsilon).astype(jnp.dtype(c.compute))
        head = self.embedding[: c.q].T if self.head is None else self.head
        return linear(x, head).astype(jnp.float32).reshape(*tokens.shape, c.q)

    def __call__(self, tokens: Tokens) -> Float[Array, "n q"]:
        """Log-probabilities of every symbol at every position; a revealed one is certain."""
        if self.config.mask_id is not None:
            remedy = "Infilling(network.logits, template, positions, ...) makes a denoiser of it"
            refuse("denoiser", "a network of a vocabulary", "one of positions that are filled in", remedy)
        masked = (tokens == self.q)[:, None]
        certain = safe_log(jax.nn.one_hot(tokens, self.q, dtype=jnp.float32))
        return jnp.where(masked, jax.nn.log_softmax(self.logits(tokens)), certain)
