"""The law of a Block-HMM that is too long for a table, decoded block by block in its own order."""

from functools import partial

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from .._errors import refuse
from .._types import Array, Float, Int, Key
from ..decoders.base import DENOISED, AbstractDecoder
from ..decoders.orders import FixedPartition
from ..decoders.reveal import Reveal
from ..decoders.run import decode
from ..decoders.verification import BlockVerification
from ..denoisers.base import AbstractDenoiser, Oracle
from ..denoisers.perturbed import Fallback
from ..distributions.block_hmm import BlockHMM
from .block_decoding import INCOHERENT, BlockDecoding, block_decoding
from .fixed_order import blocks_of
from .law import AbstractLaw, Plan

DENSE = 2**17  # sequences up to which the law of a Block-HMM is a table like any other


class BlockChainLaw(AbstractLaw):
    r"""The law of block-by-block decoding of `model`, with no table: KLs are sums over its beliefs.

    `verified` is decoding by `BlockVerification`, whose law is the model; else the bits of a block are
    drawn independently. Both KLs are known to the model only. `block_decoding` says what each block adds.
    """

    model: BlockHMM
    decoding: BlockDecoding
    calls: Float[Array, " counts"]
    finalised: Float[Array, "n steps"]
    unfinished: Float[Array, ""]
    verified: bool = eqx.field(static=True)
    estimated: bool = eqx.field(static=True)
    way = "block chain"
    calls_of: str = eqx.field(static=True)
    n: int = eqx.field(static=True)
    q: int = eqx.field(static=True)

    def __init__(self, model: BlockHMM, verified: bool, decoding: BlockDecoding | None = None):
        self.model, self.verified, self.estimated = model, verified, decoding is not None
        self.decoding = block_decoding(model) if decoding is None else decoding
        self.calls = jnp.zeros((model.blocks + 1,)).at[-1].set(1.0)
        self.finalised = jnp.repeat(jnp.eye(model.blocks), model.block_size, axis=0)
        self.unfinished, self.n, self.q = jnp.zeros(()), model.n, 2
        self.calls_of = BlockVerification.calls_of if verified else DENOISED

    def kl(self, p: object) -> Float[Array, ""]:
        r"""$\mathrm{KL}(p \| \text{law})$ in nats, for the model itself: any other `p` is refused."""
        self._check(p)
        return jnp.zeros(()) if self.verified else self.decoding.forward_kl

    def reverse_kl(self, p: object) -> Float[Array, ""]:
        r"""$\mathrm{KL}(\text{law} \| p)$ in nats; `inf` at `eta = 0`."""
        self._check(p)
        return jnp.zeros(()) if self.verified else self.decoding.reverse_kl

    def incoherence(self, epsilon: float) -> Float[Array, ""]:
        r"""The mean fraction of decoded blocks with $p(x^{(m)} \mid x^{<m}) \le$ `epsilon`, in `[0, 1]`."""
        known = epsilon == INCOHERENT and not self.estimated
        found = self.decoding if known else block_decoding(self.model, incoherence_threshold=epsilon)
        return found.verified_incoherence if self.verified else found.incoherence

    @property
    def violation_rate(self) -> Float[Array, ""]:
        """The mean fraction of decoded blocks whose first bit is not their parity."""
        return self.decoding.verified_violation_rate if self.verified else self.decoding.violation_rate

    def sample(self, key: Key[Array, ""]) -> Int[Array, " n"]:
        """One draw; at `eta = 0` a block after a violation is drawn as its content bits say."""
        if self.verified:
            return self.model.sample(key)
        least = jnp.maximum(self.model.eta, jnp.finfo(self.model.eta.dtype).tiny)
        model = eqx.tree_at(lambda model: model.eta, self.model, least)
        return decode(key, Fallback(Oracle(model)), Reveal(FixedPartition(_blocks(model)))).tokens

    def _check(self, p: object) -> None:
        if not (isinstance(p, BlockHMM) and eqx.tree_equal(p, self.model)):
            remedy = f"a law of {self.n} bits has no table to compare with another"
            refuse("p", type(p).__name__, "the BlockHMM that this is the law of", remedy)


def plan(denoiser: AbstractDenoiser, decoder: AbstractDecoder, max_steps: int | None) -> Plan | None:
    """`BlockChainLaw`, if the decoder takes the blocks of a long Block-HMM in turn."""
    if verified := isinstance(decoder, BlockVerification):
        model, rule = decoder.distribution, decoder.partition
    elif isinstance(decoder, Reveal) and decoder.temperature == 1:
        inner = denoiser.denoiser if isinstance(denoiser, Fallback) else denoiser
        model, rule = inner.distribution if isinstance(inner, Oracle) else None, decoder.rule
    else:
        return None
    if not isinstance(model, BlockHMM) or not isinstance(rule, FixedPartition) or 2**model.n <= DENSE:
        return None
    fits = denoiser.n == model.n and blocks_of(rule) == _blocks(model)
    steps = model.blocks if max_steps is None else max_steps
    return partial(BlockChainLaw, model, verified) if fits and steps >= model.blocks else None


def _blocks(model: BlockHMM) -> list[list[int]]:
    """The blocks of the model, from left to right."""
    return np.arange(model.n).reshape(model.blocks, model.block_size).tolist()
