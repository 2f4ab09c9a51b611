"""Denoisers that are functions of an oracle's rows: told the rows, they need not find them."""

import equinox as eqx

from .._types import Array, Float, Int, Key, LogProbs, Tokens
from ..denoisers.base import AbstractDenoiser, Oracle
from ..denoisers.perturbed import AbstractPerturbed, Fallback
from ..distributions.base import AbstractDistribution
from ..distributions.joint import tabulate


class _Told(AbstractDistribution):
    """A distribution whose conditionals are known already, at one state."""

    rows: LogProbs
    n = property(lambda self: self.rows.shape[0])
    q = property(lambda self: self.rows.shape[1])

    def sample(self, key: Key[Array, ""]) -> Int[Array, " n"]:
        raise NotImplementedError  # laws draw nothing

    def log_marginal(self, tokens: Tokens) -> Float[Array, ""]:
        raise NotImplementedError  # nor ask for a probability

    def log_conditionals(self, tokens: Tokens) -> LogProbs:
        return self.rows


def known_truth(denoiser: AbstractDenoiser) -> AbstractDistribution | None:
    """That of whose oracle the denoiser is a function, state by state; `None` of any other."""
    while isinstance(denoiser, AbstractPerturbed):
        denoiser = denoiser.denoiser
    return denoiser.distribution if isinstance(denoiser, Oracle) else None


def truth_of(denoiser: AbstractDenoiser) -> Float[Array, "..."] | None:
    """The table `[q]*n` of `known_truth`."""
    known = known_truth(denoiser)
    return None if known is None else tabulate(known).probs


def answers_all(denoiser: AbstractDenoiser) -> bool:
    """Whether it may have rows where its oracle has none: a `Fallback` is a part of it."""
    while isinstance(denoiser, AbstractPerturbed):
        if isinstance(denoiser, Fallback):
            return True
        denoiser = denoiser.denoiser
    return False


def told(denoiser: AbstractDenoiser, rows: LogProbs) -> AbstractDenoiser:
    """The denoiser whose oracle is told its `rows`, at the one state that it is asked about."""
    if isinstance(denoiser, AbstractPerturbed):
        return eqx.tree_at(lambda one: one.denoiser, denoiser, told(denoiser.denoiser, rows))
    return Oracle(_Told(rows))
