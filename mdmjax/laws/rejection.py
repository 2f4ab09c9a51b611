r"""What exact sampling of blocks by rejection costs in proposals (arXiv 2602.00286, Prop. 5.1).

A block from the product $p_\Pi$ of the denoiser's rows is accepted with probability $a = p / (M p_\Pi)$.
With $Z = \sum p_\Pi a$ its law is $p_\Pi a / Z$; the number of proposals is geometric, of mean $1 / Z = M$.
"""

from collections.abc import Sequence
from functools import partial

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from .._contexts import readable_state
from .._errors import refuse
from .._numerics import kl_terms
from .._types import Array, Float, Tokens
from ..decoders.base import AbstractDecoder
from ..decoders.orders import FixedPartition
from ..decoders.verification import BlockRejection, block_words, check_branches, check_fits, proposals
from ..denoisers.base import AbstractDenoiser
from ..distributions.base import AbstractDistribution
from ..distributions.joint import tabulate
from ..divergences.total_correlation import check_block
from ._rows import with_tables
from .fixed_order import block_products, blocks_of, check_size, contexts_of
from .law import Law, Plan


def plan(denoiser: AbstractDenoiser, decoder: AbstractDecoder, max_steps: int | None) -> Plan | None:
    """`rejection_law` of `BlockRejection`; a bound on its steps is another law, for the general way."""
    if not isinstance(decoder, BlockRejection) or max_steps is not None:
        return None
    blocks = blocks_of(decoder.partition)
    check_fits(denoiser, decoder.distribution)
    check_size(denoiser, blocks, "the law of rejection")
    return partial(rejection_law, decoder.distribution, denoiser, blocks)


class RejectionLaw(Law):
    r"""The output of block-wise rejection, and its mean cost; `*_by_block[m]` is the term of block `m`.

    - `probs`, shape `[q]*n`: the law $\prod_m p_\Pi a / Z$;
    - `proposals_by_block` $= \mathbb{E}_{x_P}[M(x_P)]$, contexts drawn from that law;
    - `bound_by_block` $= \mathbb{E}_{x_P}[\exp \mathrm{KL}(p(x_B \mid x_P) \,\|\, p_\Pi(x_B \mid x_P))]$,
      which is no larger (Prop. 5.1, in every context).

    A call is a proposal. Their number has no bound: `calls` and `finalised` are `None`.
    """

    proposals_by_block: Float[Array, " blocks"] = eqx.field(kw_only=True)
    bound_by_block: Float[Array, " blocks"] = eqx.field(kw_only=True)

    @property
    def expected_calls(self) -> Float[Array, ""]:
        """Mean number of proposals of a sequence."""
        return jnp.sum(self.proposals_by_block)

    @property
    def bound(self) -> Float[Array, ""]:
        """The bound below it."""
        return jnp.sum(self.bound_by_block)


def rejection_law(
    distribution: AbstractDistribution, denoiser: AbstractDenoiser, partition: Sequence[Sequence[int]]
) -> RejectionLaw:
    r"""The law and the mean cost of `BlockRejection`, in closed form, with no bound on the steps.

    The law is formed from what is accepted and not taken to be the distribution, which it equals. Costs
    $q^n$ a block, and the denoiser in each context of a block. $M = \infty$ is refused.

    >>> from mdmjax import Joint, Oracle
    >>> same = Joint(jnp.array([[0.5, 0.0], [0.0, 0.5]]))
    >>> law = rejection_law(same, Oracle(same), [[0, 1]])
    >>> law.probs.tolist(), float(law.expected_calls), round(float(law.bound), 6)
    ([[0.5, 0.0], [0.0, 0.5]], 2.0, 2.0)
    """
    n, q = distribution.n, distribution.q
    check_fits(denoiser, distribution)
    blocks = [list(block) for block in partition]
    FixedPartition(blocks)  # refuses what is none
    order = [i for block in blocks for i in block]
    if len(order) != n:
        refuse("partition", f"of {len(order)} positions", f"n = {n} positions")
    check_size(denoiser, blocks, "the law of rejection")
    table = np.asarray(tabulate(distribution).probs, np.float64).transpose(order)
    denoiser, law, known, proposals, bounds = with_tables(denoiser), np.ones(1), [], [], []
    for block in blocks:
        product, _ = block_products(denoiser, known, block, law > 0)
        truth = table.reshape(*product.shape, -1).sum(2)
        mass = truth.sum(1, keepdims=True)
        exact = truth / np.where(mass > 0, mass, 1.0)
        # p_Pi a with a = p / (M p_Pi); zero where M is infinite
        with np.errstate(divide="ignore", over="ignore"):
            ratio = np.divide(exact, product, out=np.zeros_like(exact), where=exact > 0)
        constant = ratio.max(1, keepdims=True)
        usable = np.isfinite(constant) & (constant > 0)
        accepted = product * (np.where(usable, ratio, 0.0) / np.where(usable, constant, 1.0))
        rate = accepted.sum(1)
        lacking = np.flatnonzero((law > 0) & (rate == 0))
        if lacking.size:
            state = readable_state(contexts_of(known, n, q, lacking[:1])[0], q)
            remedy = "the denoiser gives a word that occurs no probability; mix its rows"
            refuse(f"the rejection constant at {state}", "inf", "a finite number of proposals", remedy)
        rate = np.where(law > 0, rate, 1.0)
        divergence = np.asarray(jnp.sum(kl_terms(jnp.asarray(exact), jnp.asarray(product)), axis=1))
        proposals.append((law / rate).sum())
        bounds.append((law * np.exp(np.where(law > 0, divergence, 0.0))).sum())
        law, known = (law[:, None] * accepted / rate[:, None]).reshape(-1), known + block
    as_float = partial(jnp.asarray, dtype=jnp.result_type(float))
    probs = as_float(law.reshape((q,) * n).transpose(np.argsort(order)))
    costs = {"proposals_by_block": as_float(proposals), "bound_by_block": as_float(bounds)}
    return RejectionLaw(probs, None, None, as_float(0.0), "rejection", BlockRejection.calls_of, **costs)


def rejection_constant(
    distribution: AbstractDistribution, denoiser: AbstractDenoiser, tokens: Tokens, block: Sequence[int]
) -> Float[Array, ""]:
    r"""$M(x_P) = \max_{x_B} p(x_B \mid x_P) / p_\Pi(x_B \mid x_P)$: the mean proposals of one block.

    The context are the revealed `tokens`; the positions `block` count as masked. `inf` if $p_\Pi$ misses a
    word that can occur, NaN if the context cannot. Takes $q^{|B|}$ marginals.
    """
    n, q = distribution.n, distribution.q
    check_fits(denoiser, distribution)
    check_block(block, n)
    check_branches("block", f"of {len(block)} positions", q ** len(block), n, q)
    chosen = jnp.zeros((n,), bool).at[jnp.asarray(block)].set(True)
    context = jnp.where(chosen, q, tokens)
    words = block_words(distribution, context, chosen, len(block))
    return jnp.exp(jnp.max(proposals(denoiser(context), words, chosen)[1]))
