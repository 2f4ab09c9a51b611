"""Every SOURCE of the command line that is made from a few numbers.

A source is a frozen dataclass; its methods import what they need, so that `--help` imports nothing.
"""

import dataclasses
import math
import sys
from typing import Annotated, ClassVar

import tyro

from .._errors import refuse
from .loaded import Loaded, Model, Sized, Track, check_positions, closed, enumerated


@dataclasses.dataclass(frozen=True)
class BlockHMM(Sized):
    """Blocks of bits with a parity bit, driven by a hidden Markov chain (arXiv 2602.00286)."""

    name: ClassVar[str] = "block-hmm"
    curve_sizes: ClassVar[dict[str, int]] = {"blocks": 2, "block_size": 8}
    law_sizes: ClassVar[dict[str, int]] = {"blocks": 2, "block_size": 4}

    blocks: Annotated[int | None, tyro.conf.arg(metavar="INT")] = None
    """Number of blocks; 2. (For the laws of mean-field and verified: 8 blocks of 8.)"""
    block_size: Annotated[int | None, tyro.conf.arg(metavar="INT")] = None
    """Bits in a block, the parity bit included; 8, for a law 4."""
    eta: float = 1e-8
    """Probability that a parity bit is wrong."""

    def load(self, track: Track) -> Loaded:
        """Enumerated."""
        return enumerated(self.model(track))

    def model(self, track: Track) -> Model:
        """The distribution."""
        from ..distributions.block_hmm import BlockHMM as Distribution

        title = f"Block-HMM, {self.blocks} blocks of {self.block_size} bits, parity noise {self.eta:g}"
        return Model(Distribution(self.blocks, self.block_size, eta=self.eta), title, {})


@dataclasses.dataclass(frozen=True)
class Markov(Sized):
    """Stationary Markov chain that keeps its symbol or moves to a uniformly random other one."""

    name: ClassVar[str] = "markov"
    curve_sizes: ClassVar[dict[str, int]] = {"n": 16}
    law_sizes: ClassVar[dict[str, int]] = {"n": 8}

    n: Annotated[int | None, tyro.conf.arg(metavar="INT")] = None
    """Number of positions; 16, for a law 8."""
    q: int = 2
    """Size of the alphabet."""
    flip: float = 0.1
    """Probability of moving to another symbol."""

    def load(self, track: Track) -> Loaded:
        """Closed form."""
        from ..distributions.markov import symmetric_chain
        from ..information.markov import MAX_CHAIN_WORK, markov_curve

        check_positions(self.n)
        if self.n > 1 and self.q**3 > MAX_CHAIN_WORK:
            refuse("q", self.q, f"at most {int(MAX_CHAIN_WORK ** (1 / 3))}", "the work grows as q^3")
        if 0 <= self.flip < sys.float_info.min:
            refuse("flip", self.flip, "a probability > 0", "a chain that never moves is `repetition`")
        transition = symmetric_chain(self.n, self.q, self.flip).transition
        return closed(markov_curve(transition, self.n), self.title, self.q)

    def model(self, track: Track) -> Model:
        """The distribution."""
        from ..distributions.markov import symmetric_chain

        return Model(symmetric_chain(self.n, self.q, self.flip), self.title, {})

    @property
    def title(self) -> str:
        """What it is, in words."""
        return f"Markov chain, flip {self.flip:g}"


@dataclasses.dataclass(frozen=True)
class Repetition(Sized):
    """One uniform symbol, repeated at every position."""

    name: ClassVar[str] = "repetition"
    curve_sizes: ClassVar[dict[str, int]] = {"n": 16}
    law_sizes: ClassVar[dict[str, int]] = {"n": 8}

    n: Annotated[int | None, tyro.conf.arg(metavar="INT")] = None
    """Number of positions; 16, for a law 8."""
    q: int = 2
    """Size of the alphabet."""

    def load(self, track: Track) -> Loaded:
        """Closed form."""
        from ..information.closed_form import repetition_curve

        check_positions(self.n)
        return closed(repetition_curve(self.n, self.q), self.title, self.q)

    def model(self, track: Track) -> Model:
        """The distribution."""
        from ..distributions.codes import repetition_code

        return Model(repetition_code(self.n, self.q), self.title, {})

    @property
    def title(self) -> str:
        """What it is, in words."""
        return "repetition code"


@dataclasses.dataclass(frozen=True)
class Parity(Sized):
    """Uniform symbols that sum to zero."""

    name: ClassVar[str] = "parity"
    curve_sizes: ClassVar[dict[str, int]] = {"n": 16}
    law_sizes: ClassVar[dict[str, int]] = {"n": 8}

    n: Annotated[int | None, tyro.conf.arg(metavar="INT")] = None
    """Number of positions; 16, for a law 8."""
    q: int = 2
    """Size of the alphabet."""

    def load(self, track: Track) -> Loaded:
        """Closed form."""
        from ..information.closed_form import parity_curve

        check_positions(self.n)
        return closed(parity_curve(self.n, self.q), self.title, self.q)

    def model(self, track: Track) -> Model:
        """The distribution."""
        from ..distributions.codes import parity_code

        return Model(parity_code(self.n, self.q), self.title, {})

    @property
    def title(self) -> str:
        """What it is, in words."""
        return "parity code"


@dataclasses.dataclass(frozen=True)
class ReedSolomon(Sized):
    """Uniform codeword of a Reed-Solomon code: any DIM symbols are free and fix the rest."""

    name: ClassVar[str] = "reed-solomon"
    curve_sizes: ClassVar[dict[str, int]] = {"n": 16, "q": 17, "dim": 8}
    law_sizes: ClassVar[dict[str, int]] = {"n": 4, "q": 5, "dim": 2}

    n: Annotated[int | None, tyro.conf.arg(metavar="INT")] = None
    """Number of positions, at most q; 16, for a law 4."""
    q: Annotated[int | None, tyro.conf.arg(metavar="INT")] = None
    """Size of the field: a prime power; 17, for a law 5."""
    dim: Annotated[int | None, tyro.conf.arg(metavar="INT")] = None
    """Dimension of the code; 8, for a law 2."""

    def load(self, track: Track) -> Loaded:
        """Closed form."""
        from ..information.closed_form import mds_curve

        check_positions(self.n)
        self._check()
        return closed(mds_curve(self.n, self.dim, self.q), self.title, self.q)

    def model(self, track: Track) -> Model:
        """The distribution."""
        from ..distributions.codes import reed_solomon_code

        self._check()
        return Model(reed_solomon_code(self.n, self.dim, self.q), self.title, {})

    @property
    def title(self) -> str:
        """What it is, in words."""
        return f"Reed-Solomon code of dimension {self.dim}"

    def _check(self) -> None:
        if not _is_prime_power(self.q):
            refuse("q", self.q, "a prime power", "the code lives on a field of q elements")
        if self.n > self.q:
            refuse("n", self.n, f"at most q = {self.q}", "every position is a field element")


@dataclasses.dataclass(frozen=True)
class Permutation(Sized):
    """Uniform permutation of n symbols."""

    name: ClassVar[str] = "permutation"
    curve_sizes: ClassVar[dict[str, int]] = {"n": 16}
    law_sizes: ClassVar[dict[str, int]] = {"n": 5}

    n: Annotated[int | None, tyro.conf.arg(metavar="INT")] = None
    """Number of positions, and of symbols; 16, for a law 5."""

    def load(self, track: Track) -> Loaded:
        """Closed form."""
        from ..information.closed_form import permutation_curve

        check_positions(self.n)
        return closed(permutation_curve(self.n), self.title, self.n)

    def model(self, track: Track) -> Model:
        """The distribution."""
        from ..distributions.permutation import UniformPermutation

        return Model(UniformPermutation(self.n), self.title, {})

    @property
    def title(self) -> str:
        """What it is, in words."""
        return "uniform permutation"


@dataclasses.dataclass(frozen=True)
class Pairs(Sized):
    """Independent pairs of equal symbols."""

    name: ClassVar[str] = "pairs"
    curve_sizes: ClassVar[dict[str, int]] = {"n": 16}
    law_sizes: ClassVar[dict[str, int]] = {"n": 8}

    n: Annotated[int | None, tyro.conf.arg(metavar="INT")] = None
    """Number of positions, even; 16, for a law 8."""
    q: int = 2
    """Size of the alphabet."""

    def load(self, track: Track) -> Loaded:
        """Closed form."""
        from ..information.closed_form import pairs_curve

        check_positions(self.n)
        return closed(pairs_curve(self.n, self.q), self.title, self.q)

    def model(self, track: Track) -> Model:
        """The distribution."""
        from ..distributions.codes import pairs_code

        return Model(pairs_code(self.n, self.q), self.title, {})

    @property
    def title(self) -> str:
        """What it is, in words."""
        return f"{self.n // 2} equal pairs"


@dataclasses.dataclass(frozen=True)
class NoisyBit(Sized):
    """One uniform bit, repeated at every position and flipped there independently."""

    name: ClassVar[str] = "noisy-bit"
    curve_sizes: ClassVar[dict[str, int]] = {"n": 16}
    law_sizes: ClassVar[dict[str, int]] = {"n": 8}

    n: Annotated[int | None, tyro.conf.arg(metavar="INT")] = None
    """Number of positions; 16, for a law 8."""
    flip: float = 0.1
    """Probability that a position shows the other bit."""

    def load(self, track: Track) -> Loaded:
        """Closed form."""
        from ..information.exchangeable import noisy_bit_curve

        check_positions(self.n)
        return closed(noisy_bit_curve(self.n, self.flip), self.title, 2)

    def model(self, track: Track) -> Model:
        """The distribution."""
        from ..distributions.mixtures import noisy_repeated_bit

        return Model(noisy_repeated_bit(self.n, self.flip), self.title, {})

    @property
    def title(self) -> str:
        """What it is, in words."""
        return f"noisy repeated bit, flip {self.flip:g}"


def _is_prime_power(q: int) -> bool:
    """Whether `q` is `p^m` of a prime `p`."""
    divisor = next((d for d in range(2, math.isqrt(max(q, 0)) + 1) if q % d == 0), q)
    while q > 1 and q % divisor == 0:
        q //= divisor
    return q == 1 and divisor > 1
