r"""What the blocks so far say of the next one of a Block-HMM: its belief, and the sums that follow from it.

The belief is $b_z = P(Z_m = z \mid x^{<m})$, and a block changes it only through the number of ones among
its content bits: a parity bit says nothing of $z$. So a context has one child for each count and not for
each of $2^B$ words.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.special import gammaln

from .._errors import refuse
from .._numerics import safe_log
from .._types import Array, Float
from ..distributions._chain import log_sum_exp
from ..distributions.block_hmm import BlockHMM

FARTHEST = 80.0  # log-odds are cut here: the rest has probability below exp(-80) in every context


class Context(NamedTuple):
    """What a belief says of the next block, drawn from the model (0) or by the decoder (1).

    `means[0]` are the forward KL and the incoherence of verified blocks, `means[1]` the reverse KL, the
    incoherence and the violations; `log_counts` are the laws of the count of ones.
    """

    log_counts: tuple[Float[Array, " counts"], ...]
    means: tuple[tuple[Float[Array, ""], ...], ...]
    following: Float[Array, "counts odds"]


def context(model: BlockHMM, log_threshold: Float[Array, ""], odds: Float[Array, " odds"]) -> Context:
    """The closed sums over counts of one context; `odds` are log-odds against the last state."""
    dtype, bits = odds.dtype, model.block_size - 1
    log_belief = jax.nn.log_softmax(jnp.append(odds, jnp.zeros((1,), dtype)))
    ones = jnp.arange(bits + 1, dtype=dtype)
    zeros = bits - ones
    log_ways = gammaln(jnp.asarray(bits + 1.0, dtype)) - gammaln(ones + 1) - gammaln(zeros + 1)
    log_flip = jnp.stack([safe_log(1 - model.eta), safe_log(model.eta)])
    log_moves = safe_log(model.transition)
    is_odd = jnp.arange(bits + 1) % 2 == 1

    def log_word(log_one: Float[Array, ""], log_zero: Float[Array, ""]) -> Float[Array, " counts"]:
        # 0 times -inf is 0 here: no bit of that kind.
        return jnp.where(ones > 0, ones * log_one, 0.0) + jnp.where(zeros > 0, zeros * log_zero, 0.0)

    # Of words with the parity kept (0) or violated (1): [counts, 2].
    log_one, log_zero = safe_log(model.emission), safe_log(1 - model.emission)
    given_state = jax.vmap(log_word)(log_one, log_zero)
    log_content = log_sum_exp(log_belief[:, None] + given_state, axis=0)
    log_p_word = log_content[:, None] + log_flip[None, :]
    log_p = log_p_word + log_ways[:, None]

    # The product of the marginals; the first bit is one if odd and kept, or even and violated.
    check = log_sum_exp(jnp.where(is_odd[:, None], log_p, log_p[:, ::-1]), axis=0)  # of a one, a zero
    marginals = (log_sum_exp(log_belief + log_bit, axis=0) for log_bit in (log_one, log_zero))
    log_q_content = log_word(*marginals) + log_ways
    log_q = log_q_content[:, None] + jnp.where(is_odd[:, None], check[None, :], check[None, ::-1])

    incoherent = log_p_word <= log_threshold
    p, q = jnp.exp(log_p), jnp.exp(log_q)
    from_model = jnp.sum(_log_kl_terms(log_p, log_q)), jnp.sum(p, where=incoherent)
    missed = jnp.sum(q, where=incoherent)
    following = jax.vmap(lambda row: odds_of(log_sum_exp((log_belief + row)[:, None] + log_moves, axis=0)))
    return Context(
        (log_content + log_ways, log_q_content),
        (from_model, (jnp.sum(_log_kl_terms(log_q, log_p)), missed, jnp.sum(q[:, 1]))),
        following(given_state.T),
    )


def odds_of(log_weights: Float[Array, " states"]) -> Float[Array, " odds"]:
    """Log-odds against the last state, those below the greatest by more than `FARTHEST` cut."""
    top = jnp.max(log_weights)
    log_weights = jnp.where(jnp.isfinite(top), log_weights - top, 0.0)
    log_weights = jnp.maximum(log_weights, -FARTHEST)
    return log_weights[:-1] - log_weights[-1]


def _log_kl_terms(log_p: Float[Array, "..."], log_r: Float[Array, "..."]) -> Float[Array, "..."]:
    r"""`kl_terms` of logarithms: $p\,(e^d - 1 - d) \ge 0$, $d = \log(r/p)$, also where `p` underflows."""
    positive = log_p > -jnp.inf
    d = jnp.where(positive, log_r - jnp.where(positive, log_p, 0.0), 0.0)
    p, r = jnp.exp(log_p), jnp.exp(log_r)
    near = p * (jnp.expm1(jnp.minimum(d, 1.0)) - d)
    far = r - p - p * d
    return jnp.where(positive, jnp.where(d < 1, near, far), r)


def log_threshold_of(threshold: float, dtype: jnp.dtype) -> Float[Array, ""]:
    if not 0 <= threshold <= 1:
        refuse("incoherence_threshold", threshold, "a probability in [0, 1]")
    return safe_log(jnp.asarray(threshold, dtype))
