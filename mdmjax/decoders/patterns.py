r"""Automata from regular expressions over symbols: a parser, and Brzozowski's derivatives.

The derivative of a language by a symbol is what may follow it. Kept in a normal form (alternatives are a
set), a pattern has finitely many derivatives (Brzozowski, 1964): they are the states.
"""

import string
from collections.abc import Callable

import numpy as np

from .._checks import check_integer
from .._errors import refuse
from .automaton import Automaton

SYMBOLS = string.digits + string.ascii_lowercase
"""The characters of the symbols 0..35."""
MAX_STATES, MAX_REPEATS = 2**12, 2**8

# A pattern is a tuple: its kind, then its parts. Alternatives are a frozenset, so that equal ones are one.
Pattern = tuple
NOTHING: Pattern = ("any of", frozenset())
EMPTY: Pattern = ("empty",)


def pattern(text: str, q: int) -> Automaton:
    r"""The automaton of a regular expression that a whole word must match.

    Symbols are the characters `0`..`9`, then `a`..`z`; there are `.`, `[01]`, `[^01]`, `[0-3]`, `( )`, `|`,
    `*`, `+`, `?`, `{m}`, `{m,}` and `{m,n}`. Nothing else, spaces neither. States that are alike by
    derivatives are one; the automaton need not be the smallest.

    Raises:
        InvalidInputError: what is no such expression; symbols from `q` on; more than 4096 states.

    >>> from mdmjax.decoders.automaton import word_count
    >>> word_count(pattern("(0*10*1)*0*", 2), [2] * 5)  # an even number of ones
    16
    >>> try:
    ...     pattern("(01", 2)
    ... except ValueError as error:
    ...     print(str(error).partition(";")[0])
    pattern is (01: want ) at character 4
    """
    q = check_integer("q", q, 1)
    if q > len(SYMBOLS):
        refuse("q", q, f"at most {len(SYMBOLS)} symbols, for which there are characters")
    states = {_parsed(text, q): 0}
    rows, ends = [], []
    for state in (order := list(states)):  # which grows
        ends.append(_ends(state))
        rows.append([])
        for symbol in range(q):
            after = _after(state, symbol)
            if after not in states:
                states[after] = len(order)
                order.append(after)
            rows[-1].append(states[after])
        if len(order) > MAX_STATES:
            refuse("pattern", text, f"a pattern of at most {MAX_STATES} states", "or a file of the table")
    return Automaton(np.array(rows), 0, np.array(ends))


def _any_of(*parts: Pattern) -> Pattern:
    flat = frozenset().union(*(part[1] if part[0] == "any of" else {part} for part in parts))
    return next(iter(flat)) if len(flat) == 1 else ("any of", flat)


def _then(first: Pattern, second: Pattern) -> Pattern:
    if NOTHING in (first, second):
        return NOTHING
    if first == EMPTY or second == EMPTY:
        return second if first == EMPTY else first
    if first[0] == "then":  # to the right, so that equal ones are one
        return ("then", first[1], _then(first[2], second))
    return ("then", first, second)


def _many(part: Pattern) -> Pattern:
    return EMPTY if part in (NOTHING, EMPTY) else part if part[0] == "many" else ("many", part)


def _ends(state: Pattern) -> bool:
    """Whether the empty word matches."""
    kind, *parts = state
    if kind == "any of":
        return any(map(_ends, parts[0]))
    return all(map(_ends, parts)) if kind == "then" else kind != "symbols"


def _after(state: Pattern, symbol: int) -> Pattern:
    """The derivative by a symbol."""
    kind, *parts = state
    if kind == "symbols":
        return EMPTY if symbol in parts[0] else NOTHING
    if kind == "any of":
        return _any_of(*(_after(part, symbol) for part in parts[0]))
    if kind == "many":
        return _then(_after(parts[0], symbol), state)
    if kind == "then":
        first, second = parts
        begun = _then(_after(first, symbol), second)
        return _any_of(begun, _after(second, symbol)) if _ends(first) else begun
    return NOTHING


def _parsed(text: str, q: int) -> Pattern:
    """The expression as a tree, by recursive descent."""
    place = 0

    def wrong(wanted: str) -> None:
        refuse("pattern", text, f"{wanted} at character {place + 1}", "as (0*10*1)*0* or [^1]{3}.+")

    def here() -> str:
        return text[place : place + 1]

    def take(character: str) -> bool:
        nonlocal place
        found = here() == character
        place += found
        return found

    def need(character: str) -> None:
        if not take(character):
            wrong(character)

    def symbol() -> int:
        nonlocal place
        number = SYMBOLS.find(here()) if here() else -1
        if not 0 <= number < q:
            wrong(f"a symbol {SYMBOLS[0]}..{SYMBOLS[q - 1]}")
        place += 1
        return number

    def number(otherwise: int) -> int:
        nonlocal place
        start = place
        while here().isdecimal() and here().isascii():
            place += 1
        value = int(text[start:place][:9] or otherwise)
        if value > MAX_REPEATS:
            wrong(f"at most {MAX_REPEATS} repeats")
        return value

    def either() -> Pattern:
        parts = [sequence()]
        while take("|"):
            parts.append(sequence())
        return _any_of(*parts)

    def sequence() -> Pattern:
        found = EMPTY
        while here() and here() not in "|)":
            found = _then(found, repeated())
        return found

    def repeated() -> Pattern:
        part = atom()
        while here() and here() in "*+?{":
            part = repeats[here()](part)
        return part

    def bounded(part: Pattern) -> Pattern:
        need("{")
        if not here().isdecimal():
            wrong("a number")
        least = number(0)
        most = least
        if take(","):
            most = number(-1)
        need("}")
        if most == -1:
            return _power(part, least, _many(part))
        if most < least:
            wrong("{m,n} with m <= n")
        last = EMPTY
        for _ in range(most - least):
            last = _any_of(EMPTY, _then(part, last))
        return _power(part, least, last)

    def simple(character: str, make: Callable[[Pattern], Pattern]) -> Callable[[Pattern], Pattern]:
        def step(part: Pattern) -> Pattern:
            need(character)
            return make(part)

        return step

    repeats = {
        "*": simple("*", _many),
        "+": simple("+", lambda part: _then(part, _many(part))),
        "?": simple("?", lambda part: _any_of(EMPTY, part)),
        "{": bounded,
    }

    def atom() -> Pattern:
        if take("("):
            inside = either()
            need(")")
            return inside
        if take("."):
            return ("symbols", frozenset(range(q)))
        if not take("["):
            return ("symbols", frozenset([symbol()]))
        negated, found = take("^"), set[int]()
        while not take("]"):
            first = last = symbol()
            if take("-"):
                last = symbol()
            found.update(range(first, last + 1))
        return ("symbols", frozenset(range(q)) - found if negated else frozenset(found))

    tree = either()
    if place < len(text):
        wrong("the end")
    return tree


def _power(part: Pattern, times: int, last: Pattern) -> Pattern:
    """So many of a part, then the last."""
    for _ in range(times):
        last = _then(part, last)
    return last
