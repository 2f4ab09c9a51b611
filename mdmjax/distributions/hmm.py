r"""Hidden Markov models: evidence and every conditional with any positions missing."""

import equinox as eqx
import jax
import jax.numpy as jnp

from .._checks import Numbers, as_floats, check_integer, check_rows, check_shape
from .._errors import check_bytes, refuse
from .._numerics import safe_log
from .._types import Array, Float, Int, Key, Tokens
from ._chain import chain_log_evidence, sample_chain
from ._forward_backward import Found, in_log_domain, rows_of_context
from .base import MAX_TABLE_BYTES, AbstractEvidence, check_sequence
from .block_hmm import BlockHMM


class HMM(AbstractEvidence):
    r"""$p(x) = \sum_z \pi(z_1) \prod_{i<n} A_i(z_i, z_{i+1}) \prod_i E_i(z_i, x_i)$, zeros allowed.

    $\pi$ is `initial`; $A$ is `transition`, one for all steps or `[n-1, states, states]`; $E$ is
    `emission`, one for all positions or `[n, states, q]`. Rows are the current state.

    `log_marginal` and `log_conditionals` with any positions missing take $O(n K (K + q))$: one scaled pass
    in each direction. Where a number of it could have underflowed, which the pass knows, its sequence is
    done again in the log domain: a state that is $10^{-1000}$ times as likely as another is not lost.
    Derivatives are those of the log domain. Refuses `n < 1` or too large, wrong shapes, and numbers that
    are not probabilities.

    >>> coin = HMM([1.0, 0.0], [[0.5, 0.5], [0.0, 1.0]], [[0.9, 0.1], [0.0, 1.0]], 3)
    >>> seen = jnp.array([2, 0, 2])
    >>> round(float(jnp.exp(coin.log_marginal(seen))), 4)
    0.45
    >>> jnp.exp(coin.log_conditionals(seen)).round(4).tolist()
    [[0.9, 0.1], [1.0, 0.0], [0.45, 0.55]]
    """

    initial: Float[Array, " states"]
    transition: Float[Array, "*steps states states"]
    emission: Float[Array, "*positions states q"]
    n: int = eqx.field(static=True)
    q = property(lambda self: self.emission.shape[-1])

    def __init__(self, initial: Numbers, transition: Numbers, emission: Numbers, n: int):
        self.initial, self.transition, self.emission = as_floats(initial, transition, emission)
        self.n = check_integer("n", n, 1)
        if self.initial.ndim != 1 or self.initial.shape[0] < 1:
            refuse("initial", f"of shape {self.initial.shape}", "shape (states,), states >= 1")
        states, shape = self.initial.shape[0], self.emission.shape
        steps = (self.n - 1,) if self.transition.ndim == 3 else ()
        words = "(n-1, states, states)" if steps else "(states, states)"
        check_shape("transition", self.transition, (*steps, states, states), words)
        positions = (self.n,) if self.emission.ndim == 3 else ()
        words = "(n, states, q)" if positions else "(states, q)"
        q = shape[-1] if shape else 0
        check_shape("emission", self.emission, (*positions, states, q), words)
        if q < 1:
            refuse("emission", f"of shape {shape}", f"shape {words}, q >= 1")
        check_sequence(self.n, self.q)
        need, remedy = 16 * self.n * states, "use fewer positions or states"
        check_bytes(need, MAX_TABLE_BYTES, "messages", remedy, n=self.n, states=states)
        check_rows("initial", self.initial)
        check_rows("transition", self.transition)
        check_rows("emission", self.emission)

    def sample(self, key: Key[Array, ""]) -> Int[Array, " n"]:
        """One exact draw: the states, then their symbols."""
        for_states, for_symbols = jax.random.split(key)
        states = sample_chain(for_states, self.initial, self.transition, self.n)
        emission = self.emission if self.emission.ndim == 3 else self.emission[None]
        place = jnp.arange(self.n) if self.emission.ndim == 3 else jnp.zeros(self.n, int)
        # mode="high": by default float32 has 23 random bits, too few for rare symbols.
        return jax.random.categorical(for_symbols, safe_log(emission)[place, states], mode="high")

    def log_evidence(self, weights: Float[Array, "n q"]) -> Float[Array, ""]:
        r"""$\log \sum_x p(x) \prod_i w_i(x_i)$ in nats."""
        emission = jnp.broadcast_to(self.emission, (self.n, *self.emission.shape[-2:]))
        likelihoods = jnp.sum(emission * weights[:, None, :], axis=-1)
        return chain_log_evidence(self.initial, self.transition, safe_log(likelihoods))

    def log_marginal(self, tokens: Tokens) -> Float[Array, ""]:
        r"""$\log p(x_S)$ in nats of the revealed positions; $-\infty$ if it cannot occur."""
        return _evidence_and_rows(self, tokens, tokens, True)[0]

    def log_conditionals(self, tokens: Tokens) -> Float[Array, "n q"]:
        r"""$\log p(x_i = a \mid x_S)$ in nats for any mask; NaN if the context cannot occur."""
        return _evidence_and_rows(self, tokens, tokens, True)[1]

    def log_conditionals_between(self, left: Tokens, right: Tokens) -> Float[Array, "n q"]:
        r"""$\log p(x_i = a \mid$ what `left` reveals before $i$ and `right` after $i)$, for every $i$.

        With `left` whole and `right` masked these are the predictions of a filter; with both alike, the
        conditional of each position on all others, its own symbol left out. NaN where what `left` shows
        cannot occur.

        >>> model = HMM([0.5, 0.5], [[0.9, 0.1], [0.1, 0.9]], [[1.0, 0.0], [0.0, 1.0]], 3)
        >>> rows = model.log_conditionals_between(jnp.array([0, 2, 2]), jnp.array([2, 2, 0]))
        >>> [round(p, 4) for p in jnp.exp(rows)[1].tolist()]
        [0.9878, 0.0122]
        """
        return _evidence_and_rows(self, left, right, False)[1]


def hmm_of_blocks(model: BlockHMM) -> HMM:
    r"""The same distribution as an `HMM` of bits, with the parity as a constraint on hidden states.

    A state of a bit is $(z, b, w)$: the block's state, the bit, and the parity $w$ that the bits still to
    come in the block must have. So there are four times as many states, and transitions of zeros and ones
    besides chances; they are repeated for every block.

    >>> small = BlockHMM(blocks=2, block_size=3, eta=0.1)
    >>> seen = jnp.array([2, 1, 1, 2, 2, 0])
    >>> rows = [jnp.exp(one.log_conditionals(seen))[3] for one in (small, hmm_of_blocks(small))]
    >>> [[round(p, 4) for p in row.tolist()] for row in rows]
    [[0.5166, 0.4834], [0.5166, 0.4834]]
    """
    states, size, blocks = model.emission.shape[0], model.block_size, model.blocks
    need, remedy = 8 * model.n * (4 * states) ** 2, "use fewer blocks, or BlockHMM itself"
    check_bytes(need, MAX_TABLE_BYTES, "transitions", remedy, blocks=blocks, block_size=size)
    bias = jnp.stack([1 - model.emission, model.emission], axis=-1)  # [z, b]
    parity = [jnp.broadcast_to(jnp.array([1.0, 0.0], bias.dtype), (states, 2))]  # of so many bits: [z, w]
    for _ in range(size - 1):
        even = parity[-1]
        parity.append(bias[:, :1] * even + bias[:, 1:] * even[:, ::-1])
    flip = jnp.stack([1 - model.eta, model.eta])
    wrong = jnp.stack([flip, flip[::-1]])  # [b, w]
    first = parity[-1][:, None, :] * wrong[None]  # [z, b, w]: the block's parity bit, given z
    rest = jnp.einsum("ij,jbw->ijbw", model.transition, first)
    after_last = jnp.broadcast_to(rest[:, None, None], (states, 2, 2, states, 2, 2))
    moves = []
    for left in range(size - 2, -1, -1):  # bits that come after the next one
        # [z, w, b]: the next bit, given the parity that it and the rest must have; w there is w ^ b.
        chance = bias[:, None, :] * jnp.stack([parity[left], parity[left][:, ::-1]], axis=1)
        total = parity[left + 1][:, :, None]
        chance = jnp.where(total > 0, chance / jnp.where(total > 0, total, 1.0), bias[:, None, :])
        same, wanted = jnp.eye(states, dtype=bias.dtype), jnp.arange(2)
        fits = (wanted[:, None, None] ^ wanted[None, :, None]) == wanted[None, None, :]  # [w, b, w']
        move = jnp.einsum("iwb,ij,wbv->iwjbv", chance, same, fits.astype(bias.dtype))
        moves.append(jnp.broadcast_to(move[:, None], (states, 2, 2, states, 2, 2)))
    square = (4 * states, 4 * states)
    period = jnp.stack([*moves, after_last]).reshape(size, *square)
    transition = jnp.tile(period, (blocks, 1, 1))[: model.n - 1]
    initial = (model.initial[:, None, None] * first).reshape(-1)
    shown = jnp.broadcast_to(jnp.eye(2, dtype=bias.dtype)[None, :, None], (states, 2, 2, 2))
    return HMM(initial, transition, shown.reshape(-1, 2), model.n)


_ROWS = {known: rows_of_context(known) for known in (True, False)}


@eqx.filter_custom_jvp
def _evidence_and_rows(model: HMM, left: Tokens, right: Tokens, known: bool) -> Found:
    return _ROWS[known](model.initial, model.transition, model.emission, left, right)


@_evidence_and_rows.def_jvp
def _evidence_and_rows_jvp(primals, tangents):
    """Derivatives are those of the log domain."""
    exact = lambda model, *others: in_log_domain(model.initial, model.transition, model.emission, *others)
    return eqx.filter_jvp(exact, primals, tangents)
