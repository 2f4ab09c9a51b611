"""What a denoiser is trained on: examples drawn one by one, on the device."""

import abc

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Integer

from .._checks import check_integer
from .._errors import refuse
from .._types import AbstractSized, Array, Int, Key
from ..distributions.base import AbstractDistribution


class AbstractData(AbstractSized):
    """A source of sequences of `n` symbols `0..q-1`; the key is the position in the data."""

    @abc.abstractmethod
    def draw(self, key: Key[Array, ""]) -> Int[Array, " n"]:
        """One example, as `int32`; `jax.vmap` makes a batch."""


class Windows(AbstractData):
    """Uniformly random windows of `n` tokens of one long array, which stays `uint8` or `uint16`.

    Raises:
        InvalidInputError: `n < 1`, fewer than `n` tokens, or 2^31 of them.

    >>> text = Windows(jnp.arange(4, dtype=jnp.uint8), n=3, q=4)
    >>> text.draw(jax.random.key(0)).tolist() in ([0, 1, 2], [1, 2, 3])
    True
    """

    tokens: Integer[Array, " tokens"]
    n: int = eqx.field(static=True)
    q: int = eqx.field(static=True)

    def __check_init__(self):
        check_integer("n", self.n, 1)
        if self.tokens.size < self.n:
            refuse("n", self.n, f"at most the {self.tokens.size} tokens of the data")
        if self.tokens.size >= 2**31:
            refuse("tokens", self.tokens.size, "fewer than 2^31", "their places are counted in int32")

    @property
    def apart(self) -> int:
        """How many windows there are that do not overlap."""
        return self.tokens.size // self.n

    def draw(self, key: Key[Array, ""]) -> Int[Array, " n"]:
        """The window at a uniformly random place."""
        start = jax.random.randint(key, (), 0, self.tokens.size - self.n + 1, jnp.int32)
        return jax.lax.dynamic_slice(self.tokens, (start,), (self.n,)).astype(jnp.int32)


class Draws(AbstractData):
    """Independent samples of a distribution: no example is seen twice but by chance.

    >>> from mdmjax import parity_code
    >>> int(Draws(parity_code(4, 2)).draw(jax.random.key(0)).sum()) % 2
    0
    """

    distribution: AbstractDistribution
    n = property(lambda self: self.distribution.n)
    q = property(lambda self: self.distribution.q)

    def draw(self, key: Key[Array, ""]) -> Int[Array, " n"]:
        """One exact sample."""
        return self.distribution.sample(key).astype(jnp.int32)


def draw_batch(key: Key[Array, ""], data: AbstractData, batch: int) -> Int[Array, "batch n"]:
    """`batch` independent examples."""
    return jax.vmap(data.draw)(jax.random.split(key, batch))


def draw_apart(key: Key[Array, ""], data: AbstractData, count: int) -> Int[Array, "count n"]:
    """`count` examples that share nothing: windows of a text that do not overlap; else `draw_batch`.

    Windows at random places overlap in a small text, and errors over them are too small.

    Raises:
        InvalidInputError: more windows than there are.

    >>> text = Windows(jnp.arange(9, dtype=jnp.uint8), n=4, q=9)
    >>> sorted(draw_apart(jax.random.key(0), text, 2).tolist())
    [[0, 1, 2, 3], [4, 5, 6, 7]]
    """
    if not isinstance(data, Windows):
        return draw_batch(key, data, count)
    if data.apart < count:
        wanted = f"at most {data.apart}, the windows of {data.n} tokens that do not overlap"
        refuse("sequences", count, wanted)
    whole = data.tokens[: data.apart * data.n].reshape(-1, data.n)
    chosen = jax.random.choice(key, data.apart, (count,), replace=False)
    return whole[chosen].astype(jnp.int32)
