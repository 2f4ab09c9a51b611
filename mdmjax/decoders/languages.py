"""Automata by what they accept: counts, remainders, neighbours, words, brackets, and two at once."""

from collections.abc import Sequence

import numpy as np

from .._checks import check_integer
from .._errors import refuse
from .automaton import Automaton

MAX_STATES = 2**20
"""States of an automaton that is made here (our choice)."""


def symbol_counts(counts: Sequence[int | None]) -> Automaton:
    r"""Words with exactly `counts[a]` symbols `a`, `None` where any number will do.

    `[None, 2]` is two ones among the bits, `[1] * q` a permutation: $\prod_a (c_a + 1)$ states, a dead one.

    >>> from mdmjax.decoders.automaton import word_count
    >>> word_count(symbol_counts([None, 2]), [2] * 4), word_count(symbol_counts([1, 1, 1]), [3] * 3)
    (6, 6)
    """
    most = [0 if count is None else check_integer("counts", count, 0) for count in counts]
    sizes = [count + 1 for count in most]
    size = _checked("counts", list(counts), int(np.prod(sizes, dtype=object)) + 1, len(most))
    places = np.array([int(np.prod(sizes[a + 1 :], dtype=object)) for a in range(len(sizes))])
    digits = (np.arange(size - 1)[:, None] // places) % np.array(sizes)  # so many of each symbol so far
    free = np.array([count is None for count in counts])
    after = np.arange(size - 1)[:, None] + np.where(free, 0, places)
    moves = np.where(free | (digits < np.array(most)), after, size - 1)
    table = np.concatenate([moves, np.full((1, len(most)), size - 1)])
    return Automaton(table, 0, np.arange(size) == size - 2)


def remainder(values: Sequence[int], modulus: int, wanted: int = 0) -> Automaton:
    r"""Words with $\sum_i v(x_i) \equiv$ `wanted` modulo `modulus`: `[0, 1], 2` is even parity.

    >>> from mdmjax.decoders.automaton import word_count
    >>> word_count(remainder([0, 1], 2), [2] * 3)
    4
    """
    size = _checked("modulus", modulus, check_integer("modulus", modulus, 1), len(values))
    moves = (np.arange(size)[:, None] + np.array([int(v) for v in values])) % size
    return Automaton(moves, 0, np.arange(size) == wanted % size)


def no_two_alike(q: int) -> Automaton:
    """Words with no symbol twice in a row: the last symbol, the start, and a dead state.

    >>> from mdmjax.decoders.automaton import word_count
    >>> word_count(no_two_alike(3), [3] * 4)  # 3 * 2^3
    24
    """
    q = check_integer("q", q, 1)
    moves = np.tile(np.arange(q), (q + 2, 1))
    moves[np.arange(q), np.arange(q)] = q + 1
    moves[q + 1] = q + 1
    return Automaton(moves, q, np.arange(q + 2) <= q)


def one_of(words: Sequence[Sequence[int]], q: int) -> Automaton:
    """These words and no others, as a tree of their beginnings.

    Raises:
        InvalidInputError: no words, or symbols outside `0..q-1`.

    >>> from mdmjax.decoders.automaton import word_count
    >>> word_count(one_of([[0, 1], [1, 1], [1, 0, 1]], 2), [2, 2])
    2
    """
    every = [tuple(check_integer("words", symbol, 0) for symbol in word) for word in words]
    wrong = [symbol for word in every for symbol in word if symbol >= q]
    if not every or wrong:
        refuse("words", wrong[0] if wrong else "empty", f"words of the symbols 0..{q - 1}")
    beginnings = {word[:length] for word in every for length in range(len(word) + 1)}
    number = {start: place for place, start in enumerate(sorted(beginnings))}  # the empty one is 0
    dead = _checked("words", f"{len(every)} words", len(number) + 1, q) - 1
    moves = [[number.get((*start, a), dead) for a in range(q)] for start in number]
    accepting = [start in set(every) for start in number]
    return Automaton(np.array([*moves, [dead] * q]), 0, np.array([*accepting, False]))


def brackets(q: int, depth: int) -> Automaton:
    """Balanced words at most `depth` deep: 0 opens, 1 closes, any other symbol is free.

    >>> from mdmjax.decoders.automaton import word_count
    >>> [word_count(brackets(2, 3), [2] * n) for n in (2, 4, 6)]  # Catalan
    [1, 2, 5]
    """
    q, depth = check_integer("q", q, 2), check_integer("depth", depth, 1)
    dead = _checked("depth", depth, depth + 2, q) - 1
    level = np.arange(depth + 1)
    moves = np.tile(level[:, None], (1, q))
    moves[:, 0] = np.where(level < depth, level + 1, dead)
    moves[:, 1] = np.where(level > 0, level - 1, dead)
    return Automaton(np.concatenate([moves, np.full((1, q), dead)]), 0, np.arange(depth + 2) == 0)


def both(one: Automaton, other: Automaton) -> Automaton:
    """Words that both accept: pairs of states.

    Raises:
        InvalidInputError: two alphabets; too many pairs.

    >>> from mdmjax.decoders.automaton import word_count
    >>> word_count(both(remainder([0, 1], 2), no_two_alike(2)), [2] * 4)  # 0101 and 1010
    2
    """
    if one.q != other.q:
        refuse("other", f"of {other.q} symbols", f"the {one.q} of the first")
    _checked("one, other", f"{one.states}, {other.states}", one.states * other.states, one.q)
    first, second = np.asarray(one.transition), np.asarray(other.transition)
    moves = first[:, None, :] * other.states + second[None, :, :]
    accepting = np.asarray(one.accepting)[:, None] & np.asarray(other.accepting)
    start = int(one.start) * other.states + int(other.start)
    return Automaton(moves.reshape(-1, one.q), start, accepting.reshape(-1))


def _checked(argument: str, value: object, states: int, q: int) -> int:
    """The number of states, refused where their table would be too large, or of no symbols."""
    if not 1 <= states * q <= MAX_STATES:
        refuse(argument, value, f"an automaton of 1..{MAX_STATES} moves", f"this has {states} x {q}")
    return states
