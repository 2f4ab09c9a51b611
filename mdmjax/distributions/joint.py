"""A dense table of probabilities: the form in which every exact enumeration starts."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp

from .._checks import check_number, check_rows
from .._draws import drawn_from
from .._errors import check_bytes, refuse
from .._numerics import dot, safe_log
from .._types import Array, Float, Int, Key, Tokens
from .base import MAX_TABLE_BYTES, AbstractDistribution, AbstractEvidence

MAX_AXES = 64  # of an array (NumPy)


class Joint(AbstractEvidence):
    r"""The distribution $p(x) = $ `probs[x_1, ..., x_n]`, with `probs` of shape `[q]*n`.

    Refuses another shape and, when they are known, values that are no probabilities of sum one (within
    `1e-9`, or `1e-4` in float32).

    >>> coin = Joint(jnp.array([[0.5, 0.0], [0.0, 0.5]]))
    >>> coin.n, coin.q, float(jnp.exp(coin.log_marginal(jnp.array([1, 2]))))
    (2, 2, 0.5)
    """

    probs: Float[Array, "..."]
    n = property(lambda self: self.probs.ndim)
    q = property(lambda self: self.probs.shape[0])

    def __check_init__(self):
        shape = self.probs.shape
        if not shape or len(set(shape)) != 1 or shape[0] < 1:
            refuse("probs", f"of shape {shape}", "shape (q,)*n", "one axis a position, all of length q")
        check_rows("probs", self.probs.reshape(-1))

    def sample(self, key: Key[Array, ""]) -> Int[Array, " n"]:
        """One exact draw, in `O(q^n)`."""
        index = drawn_from(key, self.probs.reshape(1, -1))[0]
        return jnp.stack(jnp.unravel_index(index, self.probs.shape))

    def log_evidence(self, weights: Float[Array, "n q"]) -> Float[Array, ""]:
        r"""$\log \sum_x p(x) \prod_i w_i(x_i)$ in nats, one axis contracted at a time."""
        table = self.probs
        for row in weights:
            table = dot(row, table)
        return safe_log(table)


def check_table_size(n: int, q: int, /, **sizes: int) -> None:
    """Refuse a table of `q^n` numbers that is too large; `sizes` are the arguments that set them."""
    sizes, remedy = sizes or {"n": n, "q": q}, "use fewer positions or a closed form"
    if n > MAX_AXES:
        refuse(", ".join(sizes), ", ".join(map(str, sizes.values())), f"at most {MAX_AXES} axes", remedy)
    check_bytes(8 * q**n, MAX_TABLE_BYTES, "a table", remedy, **sizes)


def random_table(n: int, q: int, concentration: float, draw: int) -> Joint:
    r"""Table number `draw` of those whose $q^n$ probabilities have a symmetric Dirichlet law.

    `concentration` is the parameter of every entry: near 0 few words hold all of the mass, 1 is uniform
    among tables. Refuses a table larger than `MAX_TABLE_BYTES`.

    >>> random_table(3, 2, 0.3, draw=0).probs.shape
    (2, 2, 2)
    """
    check_table_size(n, q)
    level = jnp.full(q**n, check_number("concentration", concentration, "a number > 0", lambda x: x > 0))
    return Joint(jax.random.dirichlet(jax.random.key(draw), level).reshape((q,) * n))


def tabulate(distribution: AbstractDistribution) -> Joint:
    """The dense `Joint` of any distribution, from `log_prob` of all `q^n` sequences in batches.

    Refuses a table larger than `MAX_TABLE_BYTES`.

    >>> tabulate(Joint(jnp.full((2, 2), 0.25))).probs.tolist()
    [[0.25, 0.25], [0.25, 0.25]]
    """
    n, q = distribution.n, distribution.q
    if isinstance(distribution, Joint):
        return distribution
    check_table_size(n, q)
    probs = jnp.exp(_tabulate(distribution.log_prob, n, q))
    return Joint((probs / probs.sum()).reshape((q,) * n))


@eqx.filter_jit
def _tabulate(log_prob: Callable[[Tokens], Float[Array, ""]], n: int, q: int) -> Float[Array, " sequences"]:
    place_values = jnp.array([q ** (n - 1 - i) for i in range(n)])
    one = lambda index: log_prob((index // place_values) % q)
    return jax.lax.map(one, jnp.arange(q**n), batch_size=min(2**14, q**n))
