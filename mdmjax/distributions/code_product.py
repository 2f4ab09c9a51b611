r"""Any information curve as that of a distribution: MDS codes side by side, with a switch (Lemma 29)."""

import math
from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import UInt8

from .._checks import Numbers, check_integer, check_number
from .._errors import check_bytes, refuse
from .._types import Array, Bool, Float, Int, Key, Tokens
from .base import MAX_TABLE_BYTES, AbstractDistribution, check_sequence
from .codes import LinearCode, reed_solomon_code
from .fields import MAX_ELEMENTS, prime_power


class CodeProduct(AbstractDistribution):
    r"""A symbol is one symbol of each of $L$ independent Reed-Solomon codes of `dims` over GF(`field`).

    With probability `switch` $= \rho$ the codes are drawn; else all show one more symbol, "off".
    With $h$ the entropy of the switch, in nats,

    $$Z_j = [j \ge 2]\, h(\rho) + \rho \log(\text{field})\, |\{l : d_l < j\}|, \qquad
    H_1 = h(\rho) + \rho L \log(\text{field}).$$

    The product is Lemma 29 of arXiv 2511.04647. The switch is our choice: without it no rise of $Z$ is less
    than $\log$ `field` $\ge \log n$. A token is $\sum_l c_l\,$`field`$^{L-l}$ for the symbols $c_1..c_L$,
    and `field`$^L$ is "off". Where that is too large a number, `sample_words` and `word_conditionals` have
    the codes as rows. Refuses no `dims` or some outside `1..n`, and a field that is too small or none.

    >>> product = CodeProduct(3, dims=[1, 2], field=3)
    >>> product.q, [round(z, 4) for z in product.heights.tolist()]
    (9, [0.0, 1.0986, 2.1972])
    """

    generator: UInt8[Array, "dim n"]
    dims: Int[Array, " codes"]
    field: int = eqx.field(static=True)
    switch: float = eqx.field(static=True)
    n = property(lambda self: self.generator.shape[1])
    q = property(lambda self: self._words + (self.switch < 1))

    def __init__(self, n: int, dims: Sequence[int], field: int, switch: float = 1.0):
        dims = [check_integer("dims", dim, 1) for dim in dims]
        if not dims:
            refuse("dims", "empty", "at least one dimension", f"dims=[{n}] is the code of all words")
        self.switch = check_number("switch", switch, "a probability in (0, 1]", lambda p: 0 < p <= 1)
        self.generator = reed_solomon_code(n, max(dims), field).generator
        self.dims, self.field = jnp.asarray(dims), int(field)
        # Of each code: rows, candidates and multiples of an elimination.
        need = len(dims) * (8 * n * max(dims) + 8 * n * field)
        check_bytes(need, MAX_TABLE_BYTES, "codes", "use fewer codes or positions", n=n, codes=len(dims))

    @property
    def heights(self) -> Float[np.ndarray, " n"]:
        """The information curve $Z_1..Z_n$ in nats, as above."""
        known = np.sum(np.asarray(self.dims)[:, None] <= np.arange(self.n), axis=0)
        seen = np.where(np.arange(self.n) > 0, _entropy(self.switch), 0.0)
        return seen + self.switch * math.log(self.field) * known

    @property
    def marginal_entropy(self) -> float:
        """$H_1$ in nats, as above."""
        return _entropy(self.switch) + self.switch * len(self.dims) * math.log(self.field)

    def sample_words(self, key: Key[Array, ""]) -> tuple[Bool[Array, ""], Int[Array, "codes n"]]:
        """One exact draw: whether the switch is on, and the words, which count only if it is."""
        for_switch, for_words = jax.random.split(key)
        on = jax.random.bernoulli(for_switch, self.switch, mode="high")
        keys = jax.random.split(for_words, len(self.dims))
        return on, jax.vmap(lambda dim, key: self._code(dim).sample(key))(self.dims, keys)

    def word_conditionals(self, words: Int[Array, "codes n"]) -> Float[Array, "codes n field"]:
        """`log_conditionals` of each code, given that the switch is on; the mask of a word is `field`."""
        return jax.vmap(lambda dim, word: self._code(dim).log_conditionals(word))(self.dims, words)

    def sample(self, key: Key[Array, ""]) -> Int[Array, " n"]:
        """One exact draw, as tokens."""
        self._check_tokens()
        on, words = self.sample_words(key)
        return jnp.where(on, jnp.sum(words * self._places, axis=0), self._words)

    def log_marginal(self, tokens: Tokens) -> Float[Array, ""]:
        r"""$\log p(x_S)$ in nats; $-\infty$ if it cannot occur."""
        on, off, words = self._read(tokens)
        each = jax.vmap(lambda dim, word: self._code(dim).log_marginal(word))(self.dims, words)
        log_on, log_off = self._log_switch
        some = jnp.where(on, log_on + jnp.sum(each), jnp.where(off, log_off, 0.0))
        return jnp.where(on & off, -jnp.inf, some)

    def log_conditionals(self, tokens: Tokens) -> Float[Array, "n q"]:
        r"""$\log p(x_i = a \mid x_S)$ in nats; NaN if the context cannot occur."""
        on, off, words = self._read(tokens)
        table = jnp.zeros((self.n, 1))
        for rows in self.word_conditionals(words):
            table = (table[:, :, None] + rows[:, None, :]).reshape(self.n, -1)
        log_on, log_off = self._log_switch
        table = table + jnp.where(on, 0.0, jnp.where(off, -jnp.inf, log_on))
        if self.switch < 1:
            column = jnp.where(off, 0.0, jnp.where(on, -jnp.inf, log_off))
            table = jnp.concatenate([table, jnp.broadcast_to(column, (self.n, 1))], axis=1)
        # The codes' rows are NaN where no words agree; the column of "off" knows nothing of it.
        return jnp.where((on & off) | jnp.isnan(table[0, 0]), jnp.nan, table)

    def _code(self, dim: Int[Array, ""]) -> LinearCode:
        """The code of the first `dim` rows; rows of zeros change nothing."""
        rows = jnp.arange(self.generator.shape[0])[:, None]
        return LinearCode(jnp.where(rows < dim, self.generator, 0), self.field)

    def _read(self, tokens: Tokens) -> tuple[Bool[Array, ""], Bool[Array, ""], Int[Array, "codes n"]]:
        """Whether a token shows that the switch is on, that it is off, and the masked words."""
        self._check_tokens()
        revealed = tokens != self.q
        is_on = revealed & (tokens < self._words)
        digits = tokens[None, :] // jnp.asarray(self._places, tokens.dtype) % self.field
        words = jnp.where(is_on[None, :], digits, self.field)
        return jnp.any(is_on), jnp.any(revealed & ~is_on), words

    @property
    def _words(self) -> int:
        return self.field ** len(self.dims)

    @property
    def _places(self) -> Int[np.ndarray, "codes 1"]:
        return self.field ** np.arange(len(self.dims))[::-1, None]

    @property
    def _log_switch(self) -> tuple[float, float]:
        return math.log(self.switch), math.log1p(-self.switch) if self.switch < 1 else -math.inf

    def _check_tokens(self) -> None:
        check_sequence(self.n, self.q, n=self.n, codes=len(self.dims), field=self.field)


def realised_curve(heights: Numbers, epsilon: float, *, field: int | None = None) -> CodeProduct:
    r"""A distribution whose information curve is within `epsilon` nats of `heights` everywhere.

    For any $0 = Z_1 \le \dots \le Z_n$, $n \le 256$ (Lemma 29 of arXiv 2511.04647; the construction with a
    switch is ours). With $K_j$ the integer nearest $(Z_j - h(\rho)) / (\rho \log \text{field})$, not below
    0, $K_{j+1} - K_j$ codes have dimension $j$, and the error is at most
    $\max(h(\rho), \frac12 \rho \log \text{field})$. $\rho$ is the first of $1, \frac12, \frac14, \dots$
    whose error, `product.heights` less `heights`, is small enough: the codes are about
    $Z_n / (\rho \log \text{field})$. Any schedule then costs what it would, but for $2 n \varepsilon$ at
    most. `field` is the least that there is for `n`, unless given. $H_1$ is not matched, and where no
    code is needed there is one of all words. Refuses heights that are no such curve, `epsilon <= 0`, and
    codes of more than 2 GiB.

    >>> product = realised_curve([0.0, 0.5, 2.0], 0.3)
    >>> product.switch, product.dims.tolist(), [round(z, 3) for z in product.heights.tolist()]
    (0.5, [2, 2], [0.0, 0.693, 1.792])
    """
    height = np.asarray(heights, np.float64)
    if height.ndim != 1 or not 1 <= height.size <= MAX_ELEMENTS:
        wanted = f"shape (n,), n in 1..{MAX_ELEMENTS}"
        refuse("heights", f"of shape {height.shape}", wanted, "every position is an element of the field")
    if not np.all(np.isfinite(height)) or np.any(np.diff(height) < 0) or height[0] != 0:
        refuse("heights", height.tolist(), "finite, nondecreasing numbers from Z_1 = 0, in nats")
    epsilon = check_number("epsilon", epsilon, "nats > 0", lambda error: error > 0)
    n = height.size
    if field is None:
        field = next(q for q in range(max(n, 2), MAX_ELEMENTS + 1) if prime_power(q))
    switch = 1.0
    while True:
        unit = switch * math.log(field)
        seen = np.where(np.arange(n) > 0, _entropy(switch), 0.0)
        # In float until the number of codes is known to be small.
        counts = np.maximum(np.rint((height - seen) / unit), 0)
        check_bytes(int(counts[-1]) * 16 * n, MAX_TABLE_BYTES, "codes", "allow a larger epsilon", n=n)
        if np.max(np.abs(seen + unit * counts - height)) <= epsilon:
            dims = np.repeat(np.arange(1, n), np.diff(counts).astype(int)).tolist()
            return CodeProduct(n, dims or [n], field, switch)
        switch /= 2


def _entropy(switch: float) -> float:
    """Entropy of a switch that is on with this probability, in nats."""
    off = 1 - switch
    return -switch * math.log(switch) - (off * math.log1p(-switch) if off > 0 else 0.0)
