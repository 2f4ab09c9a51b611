r"""Finite automata over the symbols `0..q-1`: the words that are accepted, how many, what may follow.

With a weight $w_i(a)$ for every position and symbol, a word weighs $\prod_i w_i(x_i)$. Sums and maxima over
the accepted words are the recursion from the right, $A_n(s) = [s \text{ accepts}]$ and
$A_i(s) = \sum_a w_i(a) A_{i+1}(\delta(s, a))$, with a maximum in place of the sum: $O(n |Q| q)$.
"""

from collections.abc import Iterable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from .._checks import Numbers, check_integer
from .._draws import drawn_from
from .._errors import check_bytes, refuse
from .._numerics import comparable
from .._types import Array, Bool, Float, Int, Key
from ..distributions.joint import MAX_TABLE_BYTES, Joint, check_table_size

MAX_SETS = 2**12
"""Sets of states that `with_masks` makes (our choice)."""


class Automaton(eqx.Module):
    r"""A deterministic finite automaton: `transition[s, a]` is the state after symbol `a` in state `s`.

    It is complete: what may not go on leads to a dead state, one that leads to no accepting state.

    Raises:
        InvalidInputError: tables of other shapes, states that are none, known values only.

    >>> even = Automaton([[0, 1], [1, 0]], 0, [True, False])  # an even number of ones
    >>> [bool(even.accepts(jnp.array(word))) for word in ([0, 1, 1], [0, 1, 0])]
    [True, False]
    >>> word_count(even, [2, 2, 1])  # 011 and 101
    2
    """

    transition: Int[Array, "states q"]
    start: Int[Array, ""]
    accepting: Bool[Array, " states"]

    def __init__(self, transition: Numbers, start: Numbers, accepting: Numbers):
        table, first, last = (jnp.asarray(x) for x in (transition, start, accepting))
        if table.ndim != 2 or 0 in table.shape or not jnp.issubdtype(table.dtype, jnp.integer):
            found = f"of shape {table.shape}, {table.dtype}"
            refuse("transition", found, "integers of shape (states, q), both at least 1")
        states = table.shape[0]
        if last.shape != (states,) or last.dtype != bool:
            refuse("accepting", f"of shape {last.shape}, {last.dtype}", f"{states} booleans, one a state")
        if first.shape != () or not jnp.issubdtype(first.dtype, jnp.integer):
            refuse("start", f"of shape {first.shape}, {first.dtype}", "the number of a state")
        for name, values in {"transition": table, "start": first}.items():
            if not isinstance(values, Tracer) and not np.all((values >= 0) & (values < states)):
                outside = np.asarray(values)[~np.asarray((values >= 0) & (values < states))]
                refuse(name, int(outside.flat[0]), f"states among 0..{states - 1}")
        self.transition, self.start, self.accepting = table.astype(int), first.astype(int), last

    @property
    def states(self) -> int:
        """Number of states, dead ones with them."""
        return self.transition.shape[0]

    @property
    def q(self) -> int:
        """Size of the alphabet."""
        return self.transition.shape[1]

    def accepts(self, word: Int[Array, " n"]) -> Bool[Array, ""]:
        """Whether the word ends in an accepting state."""
        move = lambda state, symbol: (self.transition[state, symbol], None)
        return self.accepting[jax.lax.scan(move, self.start, word)[0]]


def live(automaton: Automaton, n: int) -> Bool[np.ndarray, "points states"]:
    """Whether a state leads to an accepting one in exactly `k = 0..n` more symbols; any other is dead.

    The paper's live states may take any number of symbols; ours the length that is left.

    >>> live(Automaton([[1], [1]], 0, [True, False]), 1).tolist()
    [[True, False], [False, False]]
    """
    moves, rows = np.asarray(automaton.transition), [np.asarray(automaton.accepting)]
    for _ in range(check_integer("n", n, 0)):
        rows.append(np.any(rows[-1][moves], axis=1))
    return np.array(rows)


def word_count(automaton: Automaton, tokens: Iterable) -> int:
    """How many accepted words agree with the tokens, `q` where any symbol may be: exact, of any size.

    >>> word_count(Automaton([[0, 1], [1, 0]], 0, [True, False]), [2] * 100) == 2**99
    True
    """
    moves, ahead = (
        np.asarray(automaton.transition),
        np.asarray(automaton.accepting).astype(int).astype(object),
    )
    for token in reversed([int(token) for token in tokens]):
        ahead = ahead[moves].sum(axis=1) if token == automaton.q else ahead[moves[:, token]]
    return int(ahead[int(automaton.start)])


def check_satisfiable(automaton: Automaton, tokens: Iterable) -> None:
    """Refuse an automaton that no word satisfies which agrees with the tokens, `q` where masked.

    >>> odd = Automaton([[0, 1], [1, 0]], 0, [False, True])
    >>> check_satisfiable(odd, [2, 0])
    >>> try:
    ...     check_satisfiable(odd, [0, 0])
    ... except ValueError as error:
    ...     print(str(error).partition(":")[0])
    automaton is one that no word of length 2 with these tokens satisfies
    """
    tokens = [int(token) for token in tokens]
    if word_count(automaton, tokens):
        return
    given = " with these tokens" * any(token != automaton.q for token in tokens)
    found = f"one that no word of length {len(tokens)}{given} satisfies"
    refuse("automaton", found, "at least one accepted word", "another length, or a weaker constraint")


def accepted_table(automaton: Automaton, n: int) -> Bool[Array, "..."]:
    """Whether each word of length `n` is accepted, shape `[q]*n`.

    >>> accepted_table(Automaton([[0, 1], [1, 0]], 0, [True, False]), 2).tolist()
    [[True, False], [False, True]]
    """
    check_table_size(n, automaton.q)
    state = automaton.start
    for _ in range(n):
        state = automaton.transition[state]  # one more axis
    return automaton.accepting[state]


def given_accepted(joint: Joint, automaton: Automaton) -> tuple[Joint, Float[Array, ""]]:
    """The joint given that its word is accepted, and the probability that it is; NaN where that is 0.

    >>> coins = Joint(jnp.array([[0.1, 0.2], [0.3, 0.4]]))
    >>> given, mass = given_accepted(coins, Automaton([[0, 1], [1, 0]], 0, [True, False]))
    >>> given.probs.round(4).tolist(), float(mass)
    ([[0.2, 0.0], [0.0, 0.8]], 0.5)
    """
    check_alphabet(automaton, joint.q)
    kept = jnp.where(accepted_table(automaton, joint.n), joint.probs, 0.0)
    mass = jnp.sum(kept)
    return eqx.tree_at(lambda one: one.probs, joint, kept / mass), mass


def check_alphabet(automaton: Automaton, q: int) -> None:
    """Refuse an automaton of another alphabet."""
    if automaton.q != q:
        refuse("automaton", f"of {automaton.q} symbols", f"one of q = {q} symbols")


def log_total(automaton: Automaton, log_weights: Float[Array, "n q"]) -> Float[Array, ""]:
    """The logarithm of the summed weight of all accepted words."""
    return _ahead(automaton, log_weights, jax.nn.logsumexp)[0, automaton.start]


def drawn_word(
    key: Key[Array, ""], automaton: Automaton, log_weights: Float[Array, "n q"]
) -> Int[Array, " n"]:
    r"""An accepted word drawn in proportion to its weight: filtered from the right, drawn from the left.

    Symbol $a$ comes in state $s$ with probability $w_i(a) A_{i+1}(\delta(s, a)) / A_i(s)$.
    """
    ahead = _ahead(automaton, log_weights, jax.nn.logsumexp)

    def write(state: Array, at: tuple) -> tuple[Array, Array]:
        key, row, after = at
        moves = automaton.transition[state]
        shares = jax.nn.softmax(row + after[moves])
        symbol = drawn_from(key, shares[None, :])[0]
        return moves[symbol], symbol

    keys = jax.random.split(key, log_weights.shape[0])
    return jax.lax.scan(write, automaton.start, (keys, log_weights, ahead[1:]))[1]


def best_word(automaton: Automaton, log_weights: Float[Array, "n q"]) -> Int[Array, " n"]:
    """The accepted word of most weight; of equals (`comparable`) the lowest symbol, from the left."""
    ahead = _ahead(automaton, log_weights, jnp.max)

    def write(state: Array, at: tuple) -> tuple[Array, Array]:
        row, after = at
        moves = automaton.transition[state]
        symbol = jnp.argmax(comparable(row + after[moves]))
        return moves[symbol], symbol

    return jax.lax.scan(write, automaton.start, (log_weights, ahead[1:]))[1]


def _ahead(automaton: Automaton, log_weights: Float[Array, "n q"], over) -> Float[Array, "points states"]:
    """`log A_i(s)` by the reduction `over` symbols, for `i = 0..n`."""
    last = jnp.where(automaton.accepting, 0.0, -jnp.inf).astype(log_weights.dtype)

    def back(after: Array, row: Array) -> tuple[Array, Array]:
        before = over(row[None, :] + after[automaton.transition], axis=1)
        return before, before

    before = jax.lax.scan(back, last, log_weights, reverse=True)[1]
    return jnp.concatenate([before, last[None, :]])


def with_masks(automaton: Automaton) -> Automaton:
    r"""The automaton over `q + 1` symbols that takes the mask `q` for any symbol, made deterministic.

    It accepts a state $x \in \{0, \dots, q\}^n$ if some completion of it is accepted: the mask leads to the
    union of the successors, as in DINGO (arXiv 2505.23061). Its states are the sets of states that are
    reached, at most $2^{|Q|}$.

    Raises:
        InvalidInputError: more than 4096 sets.

    >>> even = with_masks(Automaton([[0, 1], [1, 0]], 0, [True, False]))
    >>> [bool(even.accepts(jnp.array(word))) for word in ([1, 0], [1, 2], [1, 1])]
    [False, True, True]
    """
    moves, ends = np.asarray(automaton.transition), np.asarray(automaton.accepting)
    found: dict[frozenset[int], int] = {frozenset([int(automaton.start)]): 0}
    sets, rows = list(found), []
    for states in sets:  # which grows
        here = moves[sorted(states)]
        row = []
        for after in [frozenset(column.tolist()) for column in here.T] + [frozenset(here.flat)]:
            if after not in found:
                found[after] = len(sets)
                sets.append(after)
            row.append(found[after])
        if len(sets) > MAX_SETS:
            wanted = f"one of at most {MAX_SETS} sets of states that masks reach"
            refuse(
                "automaton", f"of {automaton.states} states", wanted, "Constrained and Dingo need no sets"
            )
        rows.append(row)
    return Automaton(np.array(rows), 0, np.array([bool(ends[sorted(states)].any()) for states in sets]))


def padded(automaton: Automaton, states: int) -> Automaton:
    """The same with states that nothing leads to, up to so many: one shape, one program for several."""
    more = states - automaton.states
    if more < 0:
        refuse("states", states, f"at least the {automaton.states} that there are")
    moves = jnp.pad(automaton.transition, ((0, more), (0, 0)))
    return Automaton(moves, automaton.start, jnp.pad(automaton.accepting, (0, more)))


def check_accepted_size(n: int, q: int) -> None:
    """Refuse the words of a step that need more than their share of memory, before they are made."""
    need = q**n * n * 8 * 4
    check_bytes(need, MAX_TABLE_BYTES, "the words of a step", "use fewer positions, or sample", n=n, q=q)
