"""Blocks of bits with a parity check, whose bias follows a hidden chain."""

import equinox as eqx
import jax
import jax.numpy as jnp

from .._checks import Numbers, as_floats, check_integer, check_probability, check_shape
from .._errors import refuse
from .._numerics import safe_log
from .._types import Array, Float, Int, Key
from ._chain import chain_log_evidence, check_chain, log_sum_exp, sample_chain
from .base import AbstractEvidence, check_sequence


class BlockHMM(AbstractEvidence):
    r"""The Block-HMM of arXiv 2602.00286 (Section 6.1, Eq. 20-24, App. E), every parameter free.

    A hidden chain $Z_1 .. Z_N$ (`initial`, `transition`) has one state a block. Block $m$ is
    $(P, Y_1, .., Y_{B-1})$: given $Z_m = z$ the content bits $Y_i$ are independent with
    $P(Y_i = 1) =$ `emission[z]`, and the first bit is their parity, flipped with probability `eta`.
    The defaults are the paper's model of 64 bits; without `initial` the start is uniform, and without
    `transition` a state is kept with probability 0.9 and the others are equally likely.

    The evidence of a partly observed block is a sum over its bits that carries the parity still wanted,
    $O(B)$ a block. It adds and never subtracts (the shorter formula with a product of $1 - 2\rho$ does), so
    that probabilities of order `eta` keep their digits: conditionals at 64 and 4096 bits are good to
    `1e-13` in float64, `1e-5` in float32. Refuses sizes below one or too large, wrong shapes, and numbers
    that are not probabilities.

    >>> seen = jnp.array([2, 1, 1, 2, 2, 2])
    >>> jnp.exp(BlockHMM(blocks=2, block_size=3).log_conditionals(seen)[0]).round(4).tolist()
    [1.0, 0.0]
    """

    initial: Float[Array, " states"]
    transition: Float[Array, "states states"]
    emission: Float[Array, " states"]
    eta: Float[Array, ""]
    blocks: int = eqx.field(static=True)
    block_size: int = eqx.field(static=True)
    n = property(lambda self: self.blocks * self.block_size)
    q = 2  # pyright: ignore[reportAssignmentType]

    def __init__(
        self,
        blocks: int = 8,
        block_size: int = 8,
        *,
        initial: Numbers | None = None,
        transition: Numbers | None = None,
        emission: Numbers = (0.9, 0.1),
        eta: Numbers = 1e-8,
    ):
        shape = as_floats(emission)[0].shape
        if len(shape) != 1 or shape[0] < 1:
            refuse("emission", f"of shape {shape}", "shape (states,), states >= 1")
        states = shape[0]
        initial = [1 / states] * states if initial is None else initial
        if transition is None:
            kept, moved = (0.9, 0.1 / (states - 1)) if states > 1 else (1.0, 0.0)
            transition = [[kept if i == j else moved for j in range(states)] for i in range(states)]
        arrays = as_floats(initial, transition, emission, eta)
        self.initial, self.transition, self.emission, self.eta = arrays
        self.blocks = check_integer("blocks", blocks, 1)
        self.block_size = check_integer("block_size", block_size, 1)
        check_sequence(self.n, max(states, 2), blocks=self.blocks, block_size=self.block_size)
        check_shape("initial", self.initial, (states,), "(states,)")
        check_chain(self.initial, self.transition, "states")
        check_shape("eta", self.eta, (), "()")
        check_probability("emission", self.emission)
        check_probability("eta", self.eta)

    def sample(self, key: Key[Array, ""]) -> Int[Array, " n"]:
        """One exact draw: the chain, the content bits, then the parity bits."""
        for_chain, for_content, for_flips = jax.random.split(key, 3)
        states = sample_chain(for_chain, self.initial, self.transition, self.blocks)
        bias = self.emission[states][:, None]
        # mode="high": by default float32 has 23 random bits, too few for a small eta.
        content = jax.random.bernoulli(for_content, bias, (self.blocks, self.block_size - 1), mode="high")
        flips = jax.random.bernoulli(for_flips, self.eta, (self.blocks,), mode="high")
        parity = (jnp.sum(content, axis=1) + flips.astype(int)) % 2
        return jnp.concatenate([parity[:, None], content.astype(int)], axis=1).reshape(self.n)

    def log_evidence(self, weights: Float[Array, "n q"]) -> Float[Array, ""]:
        r"""$\log \sum_x p(x) \prod_i w_i(x_i)$ in nats, in $O(n)$ per hidden state."""
        log_weights = safe_log(weights).reshape(self.blocks, self.block_size, 2)
        log_bits = jnp.stack([safe_log(1 - self.emission), safe_log(self.emission)], axis=-1)
        log_flip = jnp.stack([safe_log(1 - self.eta), safe_log(self.eta)])
        log_add = lambda a, b: log_sum_exp(jnp.stack([a, b]), axis=0)
        # wanted[b, z, s]: log weight of the bits read so far, with s the parity still to come.
        check = log_weights[:, 0, :]
        start = log_add(check + log_flip[0], check[:, ::-1] + log_flip[1])
        start = jnp.broadcast_to(start[:, None, :], (self.blocks, self.emission.shape[0], 2))

        def read_bit(wanted, log_weight):
            bit = log_weight[:, None, :] + log_bits[None, :, :]
            zero, one = bit[:, :, :1], bit[:, :, 1:]
            return log_add(wanted + zero, wanted[:, :, ::-1] + one), None

        wanted, _ = jax.lax.scan(read_bit, start, jnp.moveaxis(log_weights[:, 1:, :], 1, 0))
        return chain_log_evidence(self.initial, self.transition, wanted[:, :, 0])


def symmetric_block_hmm(blocks: int, block_size: int, eta: float, kept: float, bias: float) -> BlockHMM:
    r"""Two states, kept with probability `kept`; a bit is one with probability `bias` or `1 - bias`.

    `kept` is $a$ of arXiv 2602.00286, `bias` its $\rho$ of the first state; both are 0.9 there.

    >>> symmetric_block_hmm(2, 3, 0.1, kept=0.75, bias=0.75).emission.tolist()
    [0.75, 0.25]
    """
    transition = [[kept, 1 - kept], [1 - kept, kept]]
    return BlockHMM(blocks, block_size, transition=transition, emission=(bias, 1 - bias), eta=eta)
