"""The registry of families of distributions: what `schedule`, `law`, `train` and sweeps know by a name.

What an entry names is imported when it is called: to read the list imports nothing.
"""

import importlib
import math
import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from ._errors import readable_bytes, refuse

if TYPE_CHECKING:
    from ._types import Array
    from .distributions.base import AbstractDistribution
    from .information.curve import InformationCurve

Use = Literal["curve", "law", "paper"]
"""What default sizes are for: a schedule; a law or a training; the decoders of the family's paper."""

MAX_POSITIONS = 2**24  # the longest sequence (our choice: its curve and schedules take 1 GiB)


@dataclass(frozen=True)
class Parameter:
    """A number of a family: its type, its default for each use, its bounds, and the bytes of one more."""

    name: str
    kind: type[int] | type[float]
    curve: int | float
    law: int | float
    least: int | float
    most: int | float
    help: str
    paper: int | None = None
    cost: int = 0

    def checked(self, value: Any) -> int | float:
        """The value as its type; refused if it is none, or out of bounds."""
        try:
            number = operator.index(value) if self.kind is int else float(value)
        except (TypeError, ValueError, OverflowError):
            refuse(self.name, repr(value), "an integer" if self.kind is int else "a number")
        if self.kind is float and not self.least <= number <= self.most:
            refuse(self.name, value, f"a number in [{self.least:g}, {self.most:g}]")
        if number < self.least:
            refuse(self.name, value, f"an integer >= {self.least}")
        if number > self.most:
            need = f"{readable_bytes(self.cost * int(number))} are needed" if self.cost else ""
            refuse(self.name, value, f"at most {self.most}", need)
        return number


@dataclass(frozen=True)
class Family:
    """Distributions that differ in a few numbers.

    `distribution`, `curve` (the information curve in closed form, if there is one), `counts` (the
    log-probability of each type, where words are exchangeable), `title` and `q` (the size of the alphabet)
    take every parameter by keyword; `rule` refuses values that do not fit together. `one_law` says that
    the probability of a part of a word depends on its size alone: every ordered partition then makes each
    word with the same probability, so that their mixture, the sampler's own law, has the KL of the mean.

    >>> chain = FAMILIES["markov"]
    >>> values = chain.values("law", flip=0.25)
    >>> values, chain.title(**values)
    ({'n': 8, 'q': 2, 'flip': 0.25}, 'Markov chain, flip 0.25')
    >>> chain.distribution(**values).n, chain.curve(**values).n
    (8, 8)
    """

    name: str
    help: str
    parameters: tuple[Parameter, ...]
    title: Callable[..., str]
    distribution: Callable[..., "AbstractDistribution"]
    curve: Callable[..., "InformationCurve"] | None = None
    counts: Callable[..., "Array"] | None = None
    one_law: bool = False
    q: Callable[..., int] = lambda q, **others: q
    rule: Callable[..., None] = lambda **values: None

    def values(self, use: Use, **given: Any) -> dict[str, Any]:
        """Every parameter, checked: as it is given (`None` is not), or the default of a use.

        The sizes of the paper come together: where one of them is given, the others are those of a law.
        """
        given = {name: value for name, value in given.items() if value is not None}
        if use == "paper" and any(p.paper is not None and p.name in given for p in self.parameters):
            use = "law"
        defaults = {p.name: p.law if getattr(p, use) is None else getattr(p, use) for p in self.parameters}
        return self.check(**defaults | given)

    def check(self, **values: Any) -> dict[str, Any]:
        """The values, each as its type; refused where one is unknown, missing, or what no member has."""
        known = {parameter.name: parameter for parameter in self.parameters}
        for name in values.keys() - known.keys():
            refuse(name, values[name], f"only {', '.join(known)}", f"{self.name} has no other parameters")
        for name in known.keys() - values.keys():
            refuse(name, "not given", known[name].help)
        found = {name: known[name].checked(values[name]) for name in known}
        self.rule(**found)
        return found


def _at(file: str, name: str) -> Callable[..., Any]:
    """The function of that name in a file of the package, which is imported when it is called."""
    return lambda **values: getattr(importlib.import_module(f".{file}", __package__), name)(**values)


def _size(
    name: str, curve: int, law: int, help: str, least: int = 1, paper: int | None = None
) -> Parameter:
    """A number of positions, or of what makes them: a curve and its schedules take 64 bytes of each."""
    return Parameter(name, int, curve, law, least, MAX_POSITIONS, help, paper, cost=64)


def _probability(name: str, default: float, help: str) -> Parameter:
    return Parameter(name, float, default, default, 0.0, 1.0, help)


def _reed_solomon_rule(n: int, q: int, dim: int) -> None:
    from .distributions.fields import prime_power

    if prime_power(q) is None:
        refuse("q", q, "a prime power", "the code lives on a field of q elements")
    if n > q:
        refuse("n", n, f"at most q = {q}", "every position is a field element")
    if dim > n:
        refuse("dim", dim, f"at most n = {n}", "no more symbols are free than there are")


def _pairs_rule(n: int, q: int) -> None:
    if n % 2:
        refuse("n", n, "an even integer", "pairs take two positions each")


def _of_all_sizes(name: str, sets: str, small: str) -> Family:
    """Bits on disjoint sets of 2, 2, 4, ..., n/2 positions: `parity-checks` and their dual."""
    file, words = name.replace("-", "_"), name.replace("-", " ")
    return Family(
        name,
        f"{sets} on disjoint sets of 2, 2, 4, 8, ..., n/2 positions: {small} is small.",
        (_size("n", 16, 8, "Number of positions, a power of two.", least=2),),
        f"{words} of all sizes".format,
        _at("distributions.codes", f"{file}_code"),
        _at("information.closed_form", f"{file}_curve"),
        q=lambda n: 2,
        rule=_at("distributions.codes", "doubling_sizes"),
    )


def _nae_sat_rule(latents: int, observations: int, flip: float, draw: int) -> None:
    triples = math.comb(latents, 3)
    if observations > triples:
        refuse("observations", observations, f"at most the {triples} triples of {latents} latents")


def _block_hmm_title(blocks: int, block_size: int, eta: float, kept: float, bias: float) -> str:
    more = "" if (kept, bias) == (0.9, 0.9) else f", kept {kept:g}, bias {bias:g}"
    return f"Block-HMM, {blocks} blocks of {block_size} bits, parity noise {eta:g}{more}"


_N = _size("n", 16, 8, "Number of positions.")
_Q = Parameter("q", int, 2, 2, 2, 2**63 - 1, "Size of the alphabet.")

FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        Family(
            "block-hmm",
            "Blocks of bits with a parity bit, driven by a hidden Markov chain (arXiv 2602.00286).",
            (
                _size("blocks", 2, 2, "Number of blocks.", paper=8),
                _size("block_size", 8, 4, "Bits in a block, with its parity.", paper=8),
                _probability("eta", 1e-8, "Probability that a parity bit is wrong."),
                _probability("kept", 0.9, "Probability that the hidden state is kept (the paper's a)."),
                _probability(
                    "bias", 0.9, "Probability of a one in the first state, a zero in the other (rho)."
                ),
            ),
            _block_hmm_title,
            _at("distributions.block_hmm", "symmetric_block_hmm"),
            q=lambda **values: 2,
        ),
        Family(
            "markov",
            "Stationary Markov chain that keeps its symbol or moves to a uniformly random other one.",
            (_N, _Q, _probability("flip", 0.1, "Probability of moving to another symbol.")),
            "Markov chain, flip {flip:g}".format,
            _at("distributions.markov", "symmetric_chain"),
            _at("information.markov", "symmetric_chain_curve"),
        ),
        Family(
            "repetition",
            "One uniform symbol, repeated at every position.",
            (_N, _Q),
            "repetition code".format,
            _at("distributions.codes", "repetition_code"),
            _at("information.closed_form", "repetition_curve"),
            one_law=True,
        ),
        Family(
            "parity",
            "Uniform symbols that sum to zero.",
            (_size("n", 16, 8, "Number of positions.", least=2), _Q),
            "parity code".format,
            _at("distributions.codes", "parity_code"),
            _at("information.closed_form", "parity_curve"),
            one_law=True,
        ),
        Family(
            "reed-solomon",
            "Uniform codeword of a Reed-Solomon code: any DIM symbols are free and fix the rest.",
            (
                _size("n", 16, 4, "Number of positions, at most q."),
                Parameter("q", int, 17, 5, 2, 2**40, "Size of the field: a prime power."),
                _size("dim", 8, 2, "Dimension of the code."),
            ),
            "Reed-Solomon code of dimension {dim}".format,
            _at("distributions.codes", "reed_solomon_code"),
            _at("information.closed_form", "mds_curve"),
            one_law=True,
            rule=_reed_solomon_rule,
        ),
        Family(
            "permutation",
            "Uniform permutation of n symbols.",
            (_size("n", 16, 5, "Number of positions, and of symbols."),),
            "uniform permutation".format,
            _at("distributions.permutation", "UniformPermutation"),
            _at("information.closed_form", "permutation_curve"),
            one_law=True,
            q=lambda n: n,
        ),
        Family(
            "pairs",
            "Independent pairs of equal symbols.",
            (_size("n", 16, 8, "Number of positions, even.", least=2), _Q),
            lambda n, q: f"{n // 2} equal pairs",
            _at("distributions.codes", "pairs_code"),
            _at("information.closed_form", "pairs_curve"),
            rule=_pairs_rule,
        ),
        _of_all_sizes("parity-checks", "Bits of even parity", "TC"),
        _of_all_sizes("repeated-bits", "Bits repeated", "DTC"),
        Family(
            "noisy-bit",
            "One uniform bit, repeated at every position and flipped there independently.",
            (_N, _probability("flip", 0.1, "Probability that a position shows the other bit.")),
            "noisy repeated bit, flip {flip:g}".format,
            _at("distributions.mixtures", "noisy_repeated_bit"),
            _at("information.exchangeable", "noisy_bit_curve"),
            _at("information.counts", "noisy_bit_counts"),
            q=lambda **values: 2,
        ),
        Family(
            "random-table",
            "A table of probabilities drawn from a symmetric Dirichlet law.",
            (
                _size("n", 8, 6, "Number of positions."),
                _Q,
                Parameter(
                    "concentration", float, 0.3, 0.3, 1e-3, 1e9, "Of the Dirichlet law, near 0: sparse."
                ),
                Parameter("draw", int, 0, 0, 0, 2**31 - 1, "Which of the tables."),
            ),
            "random table {draw}, concentration {concentration:g}".format,
            _at("distributions.joint", "random_table"),
        ),
        Family(
            "nae-sat",
            "Fair bits, then whether triples of them are not all equal (L&O-NAE-SAT, 2502.06768).",
            (
                Parameter("latents", int, 5, 4, 3, 20, "Number of fair bits, which come first."),
                _size("observations", 5, 4, "Number of triples that are observed."),
                _probability("flip", 0.0, "Probability that an observation is wrong."),
                Parameter("draw", int, 0, 0, 0, 2**31 - 1, "Which triples."),
            ),
            "NAE-SAT {draw}, {observations} observations of {latents} latents".format,
            _at("distributions.nae_sat", "nae_sat"),
            q=lambda **values: 2,
            rule=_nae_sat_rule,
        ),
    )
}
