r"""What exact sampling of blocks by rejection costs in proposals (arXiv 2602.00286, Prop. 5.1).

A block is proposed from the product of the denoiser's rows and accepted with probability
$a = p / (M p_\Pi)$. With $Z = \sum p_\Pi a$ the law of an accepted block is $p_\Pi a / Z$, and the number
of proposals is geometric with mean $1 / Z = M$.
"""

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .._contexts import readable_state
from .._errors import check_bytes, refuse
from .._numerics import kl_terms
from .._types import Array, Float, Int, Tokens
from ..decoders.orders import FixedPartition
from ..decoders.verification import block_words, check_branches, check_fits, log_ratios, product_log_probs
from ..denoisers.base import AbstractDenoiser
from ..distributions.base import AbstractDistribution
from ..distributions.joint import MAX_TABLE_BYTES, tabulate
from ._rows import checked_probs, with_tables


class RejectionLaw(eqx.Module):
    r"""The output of block-wise rejection, and its mean cost; `*_by_block[m]` is the term of block `m`.

    - `probs`, shape `[q]*n`: the law $\prod_m p_\Pi a / Z$;
    - `proposals_by_block` $= \mathbb{E}_{x_P}[M(x_P)]$, contexts drawn from that law;
    - `bound_by_block` $= \mathbb{E}_{x_P}[\exp \mathrm{KL}(p(x_B \mid x_P) \,\|\, p_\Pi(x_B \mid x_P))]$,
      which is no larger (Prop. 5.1, in every context). With an `Oracle` the KL is the forward
      conditional total correlation.
    """

    probs: Float[Array, "..."]
    proposals_by_block: Float[Array, " blocks"]
    bound_by_block: Float[Array, " blocks"]

    @property
    def expected_proposals(self) -> Float[Array, ""]:
        """Mean number of proposals of a sequence."""
        return jnp.sum(self.proposals_by_block)

    @property
    def bound(self) -> Float[Array, ""]:
        """The bound below it."""
        return jnp.sum(self.bound_by_block)


def rejection_law(
    denoiser: AbstractDenoiser, distribution: AbstractDistribution, partition: Sequence[Sequence[int]]
) -> RejectionLaw:
    r"""The law and the mean cost of `BlockRejection`, in closed form, with no bound on the steps.

    The law is formed from what is accepted and not taken to be the distribution, which it equals. Costs
    $q^n$ a block, and the denoiser in each context of a block.

    Raises:
        InvalidInputError: blocks that do not partition `0..n-1`; a denoiser of another shape, one that
            is NaN at a context that occurs, or one whose product is zero where the target is not
            ($M = \infty$: nothing is accepted); tables of more than 2 GiB.

    >>> from mdmjax import Joint, Oracle
    >>> same = Joint(jnp.array([[0.5, 0.0], [0.0, 0.5]]))
    >>> law = rejection_law(Oracle(same), same, [[0, 1]])
    >>> law.probs.tolist(), float(law.expected_proposals), round(float(law.bound), 6)
    ([[0.5, 0.0], [0.0, 0.5]], 2.0, 2.0)
    """
    n, q = distribution.n, distribution.q
    check_fits(denoiser, distribution)
    FixedPartition(partition)  # refuses what is none
    order = [i for block in partition for i in block]
    if len(order) != n:
        refuse("partition", f"of {len(order)} positions", f"n = {n} positions")
    need = 8 * q**n * (8 + 4 * n)
    check_bytes(need, MAX_TABLE_BYTES, "the law of rejection", "use fewer positions")
    table = jnp.transpose(tabulate(distribution).probs, order)
    denoiser, law = with_tables(denoiser), jnp.ones((1,), table.dtype)
    proposals, bounds, seen = [], [], 0
    for block in partition:
        contexts = np.full((q**seen, n), q)
        contexts[:, order[:seen]] = np.indices((q,) * seen).reshape(seen, q**seen).T
        seen += len(block)
        truth = jnp.sum(table, axis=tuple(range(seen, n))).reshape(contexts.shape[0], -1)
        mass = jnp.sum(truth, axis=1, keepdims=True)
        exact = truth / jnp.where(mass > 0, mass, 1.0)
        product = _products(denoiser, contexts, np.asarray(law) > 0, list(block), table.dtype)
        accepted = _accepted(exact, product)
        rate = jnp.sum(accepted, axis=1)
        reached = law > 0
        _check_support(contexts, reached & (rate == 0))
        rate = jnp.where(reached, rate, 1.0)
        divergence = jnp.where(reached, jnp.sum(kl_terms(exact, product), axis=1), 0.0)
        proposals.append(jnp.sum(law / rate))
        bounds.append(jnp.sum(law * jnp.exp(divergence)))
        law = (law[:, None] * accepted / rate[:, None]).reshape(-1)
    probs = jnp.transpose(law.reshape((q,) * n), np.argsort(order).tolist())
    return RejectionLaw(probs, jnp.stack(proposals), jnp.stack(bounds))


def rejection_constant(
    denoiser: AbstractDenoiser, distribution: AbstractDistribution, tokens: Tokens, block: Sequence[int]
) -> Float[Array, ""]:
    r"""$M(x_P) = \max_{x_B} p(x_B \mid x_P) / p_\Pi(x_B \mid x_P)$: the mean proposals of one block.

    The context $x_P$ are the revealed `tokens`, the positions `block` count as masked, and $p_\Pi$ is the
    product of the denoiser's rows. At least $\exp \mathrm{KL}(p \| p_\Pi)$ (arXiv 2602.00286, Prop. 5.1);
    `inf` if $p_\Pi$ misses a word that can occur, NaN if the context cannot. Takes $q^{|B|}$ marginals.

    Raises:
        InvalidInputError: an empty block, a position twice or not in `0..n-1`; words of more than 2 GiB;
            a denoiser of another shape.

    >>> from mdmjax import Joint, Oracle
    >>> same = Joint(jnp.array([[0.5, 0.0], [0.0, 0.5]]))
    >>> float(rejection_constant(Oracle(same), same, jnp.array([2, 2]), [0, 1]))
    2.0
    """
    n, q = distribution.n, distribution.q
    check_fits(denoiser, distribution)
    if not block or len(set(block)) != len(block) or not set(block) <= set(range(n)):
        refuse("block", list(block), f"different positions in 0..{n - 1}, at least one")
    check_branches("block", f"of {len(block)} positions", q ** len(block), n, q)
    chosen = jnp.zeros((n,), bool).at[jnp.asarray(block)].set(True)
    context = jnp.where(chosen, q, tokens)
    words = block_words(distribution, context, chosen, len(block))
    log_product = product_log_probs(denoiser(context), words.tokens, chosen)
    return jnp.exp(jnp.max(log_ratios(words.log_target, log_product)))


def _products(
    denoiser: AbstractDenoiser,
    contexts: Int[np.ndarray, "contexts n"],
    reached: np.ndarray,
    block: list[int],
    dtype: jnp.dtype,
) -> Float[Array, "contexts words"]:
    """The product of the denoiser's rows over the block, in the contexts that are reached."""
    log_probs = np.asarray(_log_probs(denoiser, jnp.asarray(contexts)))
    rows = np.ones((contexts.shape[0], len(block), denoiser.q))
    rows[reached] = checked_probs(log_probs[reached], contexts[reached])[:, block]
    result = np.ones((contexts.shape[0], 1))
    for i in range(len(block)):
        result = (result[:, :, None] * rows[:, i, None, :]).reshape(contexts.shape[0], -1)
    return jnp.asarray(result, dtype)


@eqx.filter_jit
def _log_probs(denoiser: AbstractDenoiser, tokens: Int[Array, "m n"]) -> Float[Array, "m n q"]:
    return jax.lax.map(denoiser, tokens, batch_size=min(2**12, tokens.shape[0]))


def _accepted(
    exact: Float[Array, "contexts words"], product: Float[Array, "contexts words"]
) -> Float[Array, "contexts words"]:
    r"""$p_\Pi a$ with $a = p / (M p_\Pi)$; zero where $M$ is infinite."""
    occurs = exact > 0
    ratio = jnp.where(occurs, exact / jnp.where(occurs, product, 1.0), 0.0)
    constant = jnp.max(ratio, axis=1, keepdims=True)
    usable = jnp.isfinite(constant) & (constant > 0)
    return jnp.where(usable, product * (ratio / jnp.where(usable, constant, 1.0)), 0.0)


def _check_support(contexts: Int[np.ndarray, "contexts n"], lacking: Array) -> None:
    """Refuse contexts where nothing is ever accepted."""
    found = np.flatnonzero(lacking)
    if found.size:
        state = readable_state(contexts[found[0]], int(contexts.max()))
        remedy = "the denoiser gives a word that occurs no probability; mix its rows"
        refuse(f"the rejection constant at {state}", "inf", "a finite number of proposals", remedy)
