"""Linear codes over a finite field: uniform words, exact oracles by Gaussian elimination."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import UInt8
from scipy.linalg import block_diag

from .._checks import Numbers, check_integer
from .._errors import check_bytes, refuse
from .._types import Array, Float, Int, Key, Tokens
from .base import MAX_TABLE_BYTES, AbstractDistribution, check_sequence, known_rows
from .fields import finite_field


class LinearCode(AbstractDistribution):
    r"""The uniform distribution on the row space of `generator` over GF(q).

    With $G_S$ the columns of the positions $S$, $p(x_S) = q^{-\mathrm{rank}(G_S)}$ if some word agrees with
    $x_S$, else 0. A masked symbol is determined if its column is in the span of $G_S$, and uniform
    otherwise: one elimination of at most `dim` pivots on byte tables. The rows may be dependent. Refuses
    `q` not a prime power up to 256, and a generator that is no matrix of integers in `0..q-1`.

    >>> code = LinearCode([[1, 0, 1], [0, 1, 1]], q=2)
    >>> jnp.exp(code.log_conditionals(jnp.array([1, 2, 0])))[1].tolist()
    [0.0, 1.0]
    """

    generator: UInt8[Array, "dim n"]
    q: int = eqx.field(static=True)
    n = property(lambda self: self.generator.shape[1])

    def __init__(self, generator: Numbers, q: int):
        self.q = check_integer("q", q, 2)
        finite_field(self.q)
        if not isinstance(generator, Tracer):
            generator = np.asarray(generator)
            if generator.ndim != 2 or 0 in generator.shape:
                refuse("generator", f"of shape {generator.shape}", "shape (dim, n), both >= 1")
            if not np.issubdtype(generator.dtype, np.integer):
                refuse("generator", f"of type {generator.dtype}", "integers")
            wrong = generator[(generator < 0) | (generator >= q)]
            if wrong.size:
                refuse("generator", f"{wrong[0]} at an entry", f"elements 0..{q - 1} of GF({q})")
        check_sequence(generator.shape[1], self.q)
        self.generator = jnp.asarray(generator, jnp.uint8)

    def sample(self, key: Key[Array, ""]) -> Int[Array, " n"]:
        """One exact draw: a uniform message times the generator."""
        tables = jax.tree.map(jnp.asarray, finite_field(self.q))
        message = jax.random.randint(key, self.generator.shape[:1], 0, self.q, jnp.int32)

        def add_row(word, symbol_and_row):
            return tables.add[word, tables.multiply[symbol_and_row]], None

        start = jnp.zeros_like(self.generator[0])
        return jax.lax.scan(add_row, start, (message, self.generator))[0].astype(int)

    def log_marginal(self, tokens: Tokens) -> Float[Array, ""]:
        r"""$-\mathrm{rank}(G_S) \log q$ in nats, or $-\infty$ if no word agrees with $x_S$."""
        consistent, rank, _, _ = _eliminate(self.generator, tokens, self.q)
        return jnp.where(consistent, -rank.astype(self._log_q.dtype) * self._log_q, -jnp.inf)

    def log_conditionals(self, tokens: Tokens) -> Float[Array, "n q"]:
        r"""0 or $-\infty$ where determined, $-\log q$ where not; NaN if no word agrees."""
        consistent, _, determined, symbols = _eliminate(self.generator, tokens, self.q)
        known = known_rows(jnp.where(tokens == self.q, symbols, tokens), self.q)
        table = jnp.where((determined | (tokens != self.q))[:, None], known, -self._log_q)
        return jnp.where(consistent, table, jnp.nan)

    @property
    def _log_q(self) -> Float[Array, ""]:
        return jnp.log(jnp.asarray(self.q, jnp.result_type(float)))


def _eliminate(generator: Array, tokens: Tokens, q: int) -> tuple[Array, Array, Array, Array]:
    """Whether a word agrees with the tokens, the rank of their columns, where it is determined, and it."""
    # One pivot a turn, until no `free` row meets a revealed column. `residual` starts at the revealed
    # symbols, 0 elsewhere. Each pivot row is subtracted as often as clears its column, which later pivots
    # leave clear: the tokens agree with a word if `residual` ends at 0 on them, and elsewhere it is then
    # minus the word's symbol, which is that of all words that agree if the free rows are 0 there.
    tables = jax.tree.map(jnp.asarray, finite_field(q))
    revealed = tokens != q
    # In characteristic 2 digits add by exclusive or, much faster than a table.
    add = jnp.bitwise_xor if q % 2 == 0 else lambda a, b: tables.add[a, b]

    def candidates(state):
        rows, free, _, _ = state
        return free[:, None] & revealed[None, :] & (rows != 0)

    def turn(state):
        rows, free, residual, rank = state
        pivot_row, column = jnp.divmod(jnp.argmax(candidates(state)), tokens.shape[0])
        row = rows[pivot_row]
        scale = tables.negative[tables.inverse[row[column]]]
        free = free.at[pivot_row].set(False)
        multiples = tables.multiply[:, tables.multiply[scale, row]]  # [q, n], minus the pivot row
        factors = jnp.where(free, rows[:, column], 0)
        return add(rows, multiples[factors]), free, add(residual, multiples[residual[column]]), rank + 1

    free, symbols = jnp.ones(generator.shape[:1], bool), jnp.where(revealed, tokens, 0).astype(jnp.uint8)
    start = generator, free, symbols, jnp.zeros((), jnp.int32)
    rows, free, residual, rank = jax.lax.while_loop(lambda s: jnp.any(candidates(s)), turn, start)
    determined = ~jnp.any(free[:, None] & (rows != 0), axis=0)
    symbols = tables.negative[residual].astype(tokens.dtype)
    return ~jnp.any(revealed & (residual != 0)), rank, determined, symbols


def repetition_code(n: int, q: int = 2) -> LinearCode:
    """One uniform symbol, repeated `n` times.

    >>> repetition_code(3).generator.tolist()
    [[1, 1, 1]]
    """
    n, q = _sizes(n, q, least=1, dim=1)
    return LinearCode(np.ones((1, n), np.uint8), q)


def parity_code(n: int, q: int = 2) -> LinearCode:
    """Uniform words whose symbols sum to 0 in GF(q).

    >>> parity_code(3).generator.tolist()
    [[1, 0, 1], [0, 1, 1]]
    """
    n, q = _sizes(n, q, least=2, dim=n)
    last = np.full((n - 1, 1), finite_field(q).negative[1])
    return LinearCode(np.concatenate([np.eye(n - 1, dtype=np.uint8), last], axis=1), q)


def reed_solomon_code(n: int, dim: int, q: int) -> LinearCode:
    r"""The values of random polynomials of degree below `dim` at the points $0..n-1$ of GF(q).

    It is MDS: any `dim` columns are independent. `dim = n` is the uniform distribution. Refuses `dim`
    not in `1..n`, and `q < n` (there are only `q` points).

    >>> reed_solomon_code(4, 2, 5).generator.tolist()
    [[1, 1, 1, 1], [0, 1, 2, 3]]
    """
    n, dim, q = check_integer("n", n, 1), check_integer("dim", dim, 1), check_integer("q", q, 2)
    multiply = finite_field(q).multiply
    if n > q:
        refuse("q", q, f"q >= n = {n}", "take a larger field: each position is a point of it")
    if dim > n:
        refuse("dim", dim, f"an integer in 1..n = {n}")
    rows = [np.ones(n, np.uint8)]
    for _ in range(dim - 1):
        rows.append(multiply[rows[-1], np.arange(n)])
    return LinearCode(np.stack(rows), q)


def pairs_code(n: int, q: int = 2) -> LinearCode:
    """`n / 2` independent uniform symbols, each at two neighbouring positions.

    >>> pairs_code(4).generator.tolist()
    [[1, 1, 0, 0], [0, 0, 1, 1]]
    """
    n, q = _sizes(n, q, least=2, dim=n)
    if n % 2:
        refuse("n", n, "an even integer", "every position has its pair")
    return LinearCode(np.repeat(np.eye(n // 2, dtype=np.uint8), 2, axis=1), q)


def parity_checks_code(n: int) -> LinearCode:
    r"""Bits of even parity on disjoint sets of 2, 2, 4, 8, ..., n/2 positions; `n` a power of two.

    TC is $\log_2 n$ bits, spread evenly over the scales of what is still masked (the family is our choice).

    >>> parity_checks_code(4).generator.tolist()
    [[1, 1, 0, 0], [0, 0, 1, 1]]
    """
    return _side_by_side(parity_code, n)


def repeated_bits_code(n: int) -> LinearCode:
    r"""Bits repeated on disjoint sets of 2, 2, 4, 8, ..., n/2 positions: the dual of `parity_checks_code`.

    DTC is $\log_2 n$ bits.

    >>> repeated_bits_code(8).generator.tolist()
    [[1, 1, 0, 0, 0, 0, 0, 0], [0, 0, 1, 1, 0, 0, 0, 0], [0, 0, 0, 0, 1, 1, 1, 1]]
    """
    return _side_by_side(repetition_code, n)


def doubling_sizes(n: int) -> list[int]:
    """2, 2, 4, 8, ..., n/2: they sum to `n`, a power of two; refused if it is none.

    >>> doubling_sizes(16)
    [2, 2, 4, 8]
    """
    if check_integer("n", n, 2) & (n - 1):
        refuse("n", n, "a power of two", "it is 2 + 2 + 4 + ... + n/2")
    return [2, *(2**i for i in range(1, n.bit_length() - 1))]


def _side_by_side(code: Callable[[int], LinearCode], n: int) -> LinearCode:
    """Independent codes of the doubling sizes, one after another."""
    sizes = doubling_sizes(n)
    _sizes(n, 2, least=2, dim=n)
    return LinearCode(np.asarray(block_diag(*(np.asarray(code(size).generator) for size in sizes))), 2)


def _sizes(n: int, q: int, *, least: int, dim: int) -> tuple[int, int]:
    """`n` and `q`, refused where the elimination of a generator of `dim` rows would not fit."""
    n, q = check_integer("n", n, least), check_integer("q", q, 2)
    finite_field(q)
    # Rows, candidates and multiples: about 8 bytes an entry.
    check_bytes(8 * n * dim, MAX_TABLE_BYTES, "a code's elimination", "use fewer positions", n=n)
    return n, q
