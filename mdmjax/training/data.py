"""What a denoiser is trained on: examples drawn one by one, on the device."""

import abc

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Integer, UInt8

from .._checks import check_integer
from .._errors import refuse
from .._types import AbstractSized, Array, Bool, Int, Key
from ..distributions.base import AbstractDistribution


class AbstractData(AbstractSized):
    """A source of sequences of `n` symbols `0..q-1`; the key is the position in the data."""

    @abc.abstractmethod
    def draw(self, key: Key[Array, ""]) -> Int[Array, " n"]:
        """One example, as `int32`; `jax.vmap` makes a batch."""

    def draw_example(self, key: Key[Array, ""]) -> tuple[Int[Array, " n"], Bool[Array, " n"] | None]:
        """One example, and which of its tokens are given and never masked; `None` where none ever is."""
        return self.draw(key), None


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


class Pool(AbstractData):
    """Problems with their answers, one of which is drawn at random: the prompt is `given`, never masked.

    Raises:
        InvalidInputError: no problem; a problem whose tokens are all given, which has no answer.

    >>> pool = Pool(jnp.array([[0, 1, 1]], jnp.uint8), jnp.array([[True, True, False]]), q=2)
    >>> tokens, given = pool.draw_example(jax.random.key(0))
    >>> tokens.tolist(), given.tolist()
    ([0, 1, 1], [True, True, False])
    """

    tokens: UInt8[Array, "problems n"]
    given: Bool[Array, "problems n"]
    q: int = eqx.field(static=True)
    n = property(lambda self: self.tokens.shape[1])

    def __check_init__(self):
        if self.tokens.shape[0] < 1:
            refuse("problems", 0, "an integer >= 1")
        if not isinstance(self.given, Tracer) and bool(jnp.any(jnp.all(self.given, axis=1))):
            refuse("given", "every token of a problem", "an answer in each")

    def draw(self, key: Key[Array, ""]) -> Int[Array, " n"]:
        """A uniformly random problem, with its answer."""
        return self.draw_example(key)[0]

    def draw_example(self, key: Key[Array, ""]) -> tuple[Int[Array, " n"], Bool[Array, " n"]]:
        """A uniformly random problem, and which of its tokens are given."""
        at = jax.random.randint(key, (), 0, self.tokens.shape[0], jnp.int32)
        return self.tokens[at].astype(jnp.int32), self.given[at]


def draw_examples(
    key: Key[Array, ""], data: AbstractData, batch: int
) -> tuple[Int[Array, "batch n"], Bool[Array, "batch n"] | None]:
    """`batch` independent examples, and which of their tokens are given."""
    return jax.vmap(data.draw_example)(jax.random.split(key, batch))


def draw_batch(key: Key[Array, ""], data: AbstractData, batch: int) -> Int[Array, "batch n"]:
    """`batch` independent examples, prompts and all."""
    return draw_examples(key, data, batch)[0]


def examples_apart(
    key: Key[Array, ""], data: AbstractData, count: int
) -> tuple[Int[Array, "count n"], Bool[Array, "count n"] | None]:
    """`count` examples that share nothing: windows of a text that do not overlap, different problems.

    Windows at random places overlap in a small text, and errors over them are too small. Other data are
    drawn as ever.

    Raises:
        InvalidInputError: more windows, or problems, than there are.

    >>> text = Windows(jnp.arange(9, dtype=jnp.uint8), n=4, q=9)
    >>> sorted(examples_apart(jax.random.key(0), text, 2)[0].tolist())
    [[0, 1, 2, 3], [4, 5, 6, 7]]
    """
    if isinstance(data, Windows):
        apart, what = data.apart, f"the windows of {data.n} tokens that do not overlap"
    elif isinstance(data, Pool):
        apart, what = data.tokens.shape[0], "the held-out problems"
    else:
        return draw_examples(key, data, count)
    if apart < count:
        refuse("sequences", count, f"at most {apart}, {what}")
    chosen = jax.random.choice(key, apart, (count,), replace=False)
    if isinstance(data, Pool):
        return data.tokens[chosen].astype(jnp.int32), data.given[chosen]
    whole = data.tokens[: apart * data.n].reshape(-1, data.n)
    return whole[chosen].astype(jnp.int32), None
