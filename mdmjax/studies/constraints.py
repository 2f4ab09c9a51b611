"""Constraints by name: a pattern or a file, and what is said of them where they cannot be had."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from .._errors import InvalidInputError, refuse
from ..decoders.automaton import Automaton, check_alphabet, given_accepted
from ..decoders.base import AbstractDecoder
from ..decoders.constrained import AbstractConstrained
from ..decoders.patterns import pattern
from ..distributions.joint import Joint
from ..divergences.tables import kl, reverse_kl, total_variation
from ..files.arrays import read_automaton
from ..laws.law import Law

FILES = (".json", ".npz")
"""The ends of what is a file and no pattern."""


def satisfied(accept: str, q: int, make: Callable[[Automaton], AbstractDecoder]) -> AbstractDecoder:
    """The decoder that `make` makes of the constraint `accept`, over `q` symbols."""
    try:
        is_file = Path(accept).suffix.lower() in FILES
        automaton = read_automaton(Path(accept)) if is_file else pattern(accept, q)
        check_alphabet(automaton, q)
        return make(automaton)
    except InvalidInputError as error:
        if error.argument not in ("pattern", "automaton", "file"):
            raise
        values = {"pattern": accept, "automaton": f"{accept}, {error.value}", "file": error.value}
        found = values[error.argument]
        refuse("accept", found, error.wanted, error.remedy)


def accepted_divergences(truth: Joint, decoder: AbstractConstrained, law: Law) -> Mapping[str, Any]:
    r"""How far the law of a constrained decoder is from $p(x \mid \text{accepted})$.

    `accepted_mass` is that of the truth: the law has all of its own there.
    """
    target, mass = given_accepted(truth, decoder.automaton)
    divergences = {"forward_kl": kl, "reverse_kl": reverse_kl, "total_variation": total_variation}
    found = {f"accepted_{name}": of(target.probs, law.probs) for name, of in divergences.items()}
    return {"accepted_mass": mass, **found} if mass > 0 else {"accepted_mass": mass}
