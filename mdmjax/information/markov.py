r"""The information curve of a stationary Markov chain, from $I(X_0; X_g)$ alone."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .._checks import Numbers, as_floats, check_integer, check_rows, check_shape, probability
from .._errors import refuse
from .._numerics import dot, entropy, kl_terms, xlogx
from .._types import Array, Float
from .curve import InformationCurve, check_positions

MAX_CHAIN_WORK = 2 * 10**10  # multiplications of the sums over distances (minutes on two cores)
_CHUNK = 1024  # curve values that share one loop over distances, and stop together


def stationary_distribution(transition: Numbers) -> Float[Array, " states"]:
    r"""The one $\pi$ with $\pi A = \pi$, without a subtraction (Grassmann, Taksar, Heyman 1985).

    Rows of `transition` are the current state. States that are left for good have probability 0. Refuses
    what is no square matrix of probabilities, and more than one closed class of states.

    >>> [round(p, 6) for p in stationary_distribution([[0.75, 0.25], [0.5, 0.5]]).tolist()]
    [0.666667, 0.333333]
    """
    (matrix,) = as_floats(transition)
    if matrix.ndim != 2 or matrix.shape[0] < 1:
        refuse("transition", f"of shape {matrix.shape}", "shape (states, states), states >= 1")
    check_shape("transition", matrix, (matrix.shape[0],) * 2, "(states, states)")
    check_rows("transition", matrix)
    a = np.asarray(matrix, np.float64)
    recurrent = _closed_class(a > 0)
    a = a[np.ix_(recurrent, recurrent)].copy()
    for last in range(len(a) - 1, 0, -1):
        a[:last, last] /= a[last, :last].sum()
        a[:last, :last] += np.outer(a[:last, last], a[last, :last])
    weight = np.ones(len(a))
    for state in range(1, len(a)):
        weight[state] = weight[:state] @ a[:state, state]
    stationary = np.zeros(matrix.shape[0])
    stationary[recurrent] = weight / weight.sum()
    return jnp.asarray(stationary, matrix.dtype)


def markov_curve(transition: Numbers, n: int) -> InformationCurve:
    r"""The curve of `n` steps of the chain $A$ = `transition`, started from its stationary law.

    With $i(g) = I(X_0; X_g)$, a token whose nearest revealed neighbours are $a$ to the left and $b$
    to the right has $I(X; X_S) = i(a) + i(b) - i(a+b)$ (a missing neighbour counts 0), so that

    $$Z_{k+1} = \frac1n \sum_{g=1}^{n-1} (n-g)\, i(g)\,
    \frac{2\binom{n-1-g}{k-1} - (g-1)\binom{n-1-g}{k-2}}{\binom{n-1}{k}}.$$

    As $i(a+b) \le \min(i(a), i(b))$ the negative part is at most half of the positive one: no digits are
    lost; $i$ of a weakly dependent chain is good to about `eps / sqrt(i(1))`. A chain that mixes is exact
    to a few roundings, one that never does to 3e-12 at $n = 10^6$ (2e-4 in float32 at $10^5$; measured).

    As $i$ does not rise, terms beyond $g$ are at most
    $i(g)\,[3\binom{n-1-g}{k} + g\binom{n-1-g}{k-1}] / \binom{n-1}{k}$ and are left out once that is below
    one rounding of $\frac kn i(1) \le Z_{k+1}$: time about $n \log n$. A running maximum keeps rounding
    from a fall. Refuses what `stationary_distribution` does, and too many states for so slow a chain
    (`MAX_CHAIN_WORK`).

    >>> curve = markov_curve([[0.9, 0.1], [0.1, 0.9]], 3)
    >>> [round(z, 4) for z in curve.information.tolist()]
    [0.0, 0.3193, 0.4168]
    """
    n = check_positions(n)
    stationary = stationary_distribution(transition)
    # Powers of A - 1 pi are those of A less their limit, so that a small rest keeps its digits.
    deviation = as_floats(transition)[0] - stationary[None, :]
    farthest = min(n - 1, MAX_CHAIN_WORK // (stationary.size**3 + _CHUNK))
    if farthest < n - 1:
        _check_mixing(stationary, deviation, n, farthest)
    if n == 1:
        return InformationCurve(jnp.zeros_like(stationary[:1]), entropy(stationary))
    apart = _information_apart(stationary, deviation, n, farthest)
    return InformationCurve(_sum_over_distances(apart, n), entropy(stationary))


def symmetric_chain_curve(n: int, q: int, flip: Numbers) -> InformationCurve:
    r"""The curve of `symmetric_chain(n, q, flip)`, for an alphabet of any size.

    The chain keeps its symbol with probability `1 - flip`, else picks one of the other $q - 1$. Its powers
    are symmetric channels: $g$ steps lead to any symbol with $\frac{1 + a}{q}$ for the same and
    $\frac{1 + b}{q}$ for another, $b = -\lambda^g$, $a = (q-1)\lambda^g$ and $\lambda = 1 - \frac{q}{q-1}$
    `flip`. With $\phi(x) = (1+x)\log(1+x) - x$, the sum of `markov_curve` is over

    $$i(g) = I(X_0; X_g) = \tfrac1q \phi(a) + \tfrac{q-1}q \phi(b) \quad\text{nats}.$$

    Good to a few roundings however weak the dependence; `flip = 0` is `repetition_curve`. Refuses `n < 1`
    or too large, `q < 2`, and `flip` not in `[0, 1]`.

    >>> [round(z, 4) for z in symmetric_chain_curve(3, 10**6, 0.1).information.tolist()]
    [0.0, 11.6407, 12.5771]
    """
    n, others = check_positions(n), float(check_integer("q", q, 2) - 1)
    flip = probability("flip", flip)
    log_q = jnp.asarray(math.log(q), flip.dtype)
    if n == 1 or float(flip) == 0:
        return InformationCurve(jnp.full(n, log_q).at[0].set(0.0), log_q)
    correlation = 1 - flip * (q / others)
    # |1 - flip q / (q-1)|^g with the digits of a small flip.
    log_size = jnp.log1p(-flip * (q / others)) if float(correlation) > 0 else jnp.log(-correlation)
    distance = jnp.arange(1, n, dtype=flip.dtype)
    power = jnp.exp(distance * log_size) * jnp.where(distance % 2 == 0, 1.0, jnp.sign(correlation))
    apart = (_divergence_term(others * power) + others * _divergence_term(-power)) / float(q)
    return InformationCurve(_sum_over_distances(apart, n), log_q)


def _divergence_term(x: Array) -> Array:
    r"""$(1+x)\log(1+x) - x$, $x \ge -1$, by its series $\sum_k \frac{(-x)^k}{k(k-1)}$ where small."""
    small = jnp.abs(x) < 0.3
    near, series = jnp.where(small, x, 0.0), jnp.zeros_like(x)
    for k in range(32, 1, -1):
        series = 1 / (k * (k - 1)) - near * series
    far = jnp.where(small, 0.0, jnp.maximum(1 + x, 0.0))
    return jnp.where(small, near**2 * series, xlogx(far) - x)


def _closed_class(moves: np.ndarray) -> np.ndarray:
    """The states of the only closed class of a directed graph; refuses a second one."""
    reach = moves | np.eye(len(moves), dtype=bool)
    for _ in range(max(len(moves) - 1, 1).bit_length()):
        paths = reach.astype(np.float32)  # a product of floats is far faster than one of bools
        reach = paths @ paths > 0
    # A state is recurrent if everything it reaches comes back to it.
    recurrent = np.flatnonzero(np.all(~reach | reach.T, axis=1))
    classes = np.unique(reach[recurrent], axis=0)
    if len(classes) > 1:
        wanted = "one closed class, so that the stationary law is unique"
        remedy = "join the classes, or mix the curves of the classes as a mixture"
        refuse("transition", f"a chain of {len(classes)} closed classes", wanted, remedy)
    return recurrent


def _pair_information(stationary: Array, deviation: Array) -> Array:
    r"""$I(X_0; X_g)$ in nats, from $\pi$ and $A^g - 1\pi$."""
    joint = stationary[:, None] * jnp.maximum(stationary[None, :] + deviation, 0.0)
    return jnp.sum(kl_terms(joint, stationary[:, None] * stationary[None, :]))


def _negligible(information: Array, first: Array, n: int) -> Array:
    """Whether what is left from here on cannot change a rounding of any value of the curve."""
    return 4 * n * information <= jnp.finfo(first.dtype).eps * first


@eqx.filter_jit
def _information_apart(stationary: Array, deviation: Array, n: int, farthest: int) -> Array:
    r"""$i(1), i(2), ..., i$(`farthest`), 0 from where it is negligible."""
    first = _pair_information(stationary, deviation)

    def more(state):
        distance, _, latest, _ = state
        return (distance < farthest) & ~_negligible(latest, first, n)

    def step(state):
        distance, power, _, values = state
        power = dot(power, deviation)
        latest = _pair_information(stationary, power)
        return distance + 1, power, latest, values.at[distance].set(latest)

    values = jnp.zeros(farthest, first.dtype).at[0].set(first)
    return jax.lax.while_loop(more, step, (jnp.array(1), deviation, first, values))[3]


@eqx.filter_jit
def _sum_over_distances(apart: Array, n: int) -> Array:
    r"""$Z_1, ..., Z_n$ from $i(1), i(2), ...$: chunks of $k$, each a loop over distances."""
    dtype, eps = apart.dtype, jnp.finfo(apart.dtype).eps
    chunks = -(-(n - 1) // _CHUNK)
    k = jnp.minimum(jnp.arange(1, chunks * _CHUNK + 1, dtype=dtype), n - 1)

    def one_chunk(k):
        # single is C(n-1-g, k-1) / C(n-1, k), and double C(n-1-g, k-2) / C(n-1, k).
        def more(state):
            index, _, _, _, unfinished = state
            return (index < apart.shape[0]) & unfinished

        def step(state):
            index, single, double, total, _ = state
            g, information = (index + 1).astype(dtype), apart[index]
            total += information * (n - g) * (2 * single - (g - 1) * double)
            none_yet = single * (n - g - k) / k
            rest = information * (3 * none_yet + g * single)
            left = jnp.maximum(n - 1 - g, 1)
            single, double = single * ((n - g - k) / left), double * ((n + 1 - g - k) / left)
            return index + 1, single, double, total, jnp.any(rest > eps * k / n * apart[0])

        double = k * (k - 1) / ((n - 1) * (n - k))
        start = jnp.array(0), k / (n - 1), double, jnp.zeros_like(k), jnp.array(True)
        return jax.lax.while_loop(more, step, start)[3] / n

    others = jax.lax.map(one_chunk, k.reshape(chunks, _CHUNK)).reshape(-1)[: n - 1]
    return jax.lax.cummax(jnp.pad(others, (1, 0)))


def _check_mixing(stationary: Array, deviation: Array, n: int, farthest: int) -> None:
    """Refuse a chain whose times are not yet independent at the farthest distance we can afford."""
    first = _pair_information(stationary, deviation)
    far = _pair_information(stationary, jnp.linalg.matrix_power(deviation, max(farthest, 1)))
    if farthest < 1 or not bool(_negligible(far, first, n)):
        states = deviation.shape[0]
        found = f"a chain of {states} states that remembers more than {farthest} steps"
        wanted = f"at most {MAX_CHAIN_WORK:.0e} multiplications ({states}^3 for every step remembered)"
        remedy = f"use n <= {farthest + 1}, fewer states, or a chain that mixes faster"
        refuse("transition", found, wanted, remedy)
