r"""Block-by-block decoding of a Block-HMM at any length, by the law of its belief (arXiv 2602.00286, 6.1).

Blocks are decoded from left to right. What the blocks so far say of the next one is the belief
$b_z = P(Z_m = z \mid x^{<m})$, and a block changes it only through the number of ones among its content
bits: a parity bit says nothing of $z$. So the law of the decoder is propagated as a law over beliefs, with
one child for each count and not for each of $2^B$ words, and beliefs that are equal are one context.
"""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.scipy.special import gammaln

from .._checks import check_integer
from .._errors import readable_bytes, refuse
from .._numerics import safe_log
from .._types import Array, Float, Int, Key
from ..distributions._chain import log_sum_exp
from ..distributions.block_hmm import BlockHMM

MAX_CONTEXT_BYTES = 2**31
"""The most memory that contexts take without being asked for (2 GiB)."""

FARTHEST = 80.0
"""Log-odds are cut here: what is left out has probability below `exp(-80)` in every context."""


class BlockDecoding(eqx.Module):
    r"""How far block-by-block mean-field decoding is from its Block-HMM; KL in nats.

    `*_by_block[m]` is the term of block `m`, which the totals sum (KL) or average (rates):

    - `forward_kl` $= \mathrm{KL}(p \| p_B) = \sum_m \mathbb{E}_p\,
      \mathrm{KL}(p(x^{(m)} \mid x^{<m}) \| \prod_i p(x_{m,i} \mid x^{<m}))$ (Eq. 16);
    - `reverse_kl` $= \mathrm{KL}(p_B \| p)$, contexts drawn from the decoder (Eq. 18); `inf` at `eta = 0`;
    - `incoherence`, the mean fraction of decoded blocks with $p(x^{(m)} \mid x^{<m}) \le$ the threshold;
    - `violation_rate`, the mean fraction of decoded blocks whose first bit is not their parity.

    Verified decoding draws each block from its exact conditional: both its KLs are 0, its violation
    rate is `eta`, and its incoherence is `verified_incoherence`. At `eta = 0` a violation has
    probability zero; the belief after it is the one that its content bits give.
    """

    forward_kl_by_block: Float[Array, " blocks"]
    reverse_kl_by_block: Float[Array, " blocks"]
    incoherence_by_block: Float[Array, " blocks"]
    violation_rate_by_block: Float[Array, " blocks"]
    verified_incoherence_by_block: Float[Array, " blocks"]
    verified_violation_rate: Float[Array, ""]

    @property
    def forward_kl(self) -> Float[Array, ""]:
        """KL of the model from the decoder, in nats."""
        return jnp.sum(self.forward_kl_by_block)

    @property
    def reverse_kl(self) -> Float[Array, ""]:
        """KL of the decoder from the model, in nats."""
        return jnp.sum(self.reverse_kl_by_block)

    @property
    def incoherence(self) -> Float[Array, ""]:
        """Fraction of mean-field blocks whose conditional probability is at most the threshold."""
        return jnp.mean(self.incoherence_by_block)

    @property
    def violation_rate(self) -> Float[Array, ""]:
        """Fraction of mean-field blocks whose first bit is not their parity."""
        return jnp.mean(self.violation_rate_by_block)

    @property
    def verified_incoherence(self) -> Float[Array, ""]:
        """Fraction of verified blocks whose conditional probability is at most the threshold."""
        return jnp.mean(self.verified_incoherence_by_block)


class BlockDecodingEstimate(eqx.Module):
    """A Monte Carlo estimate of `BlockDecoding`, with the standard errors of its totals."""

    estimate: BlockDecoding
    forward_kl_stderr: Float[Array, ""]
    reverse_kl_stderr: Float[Array, ""]
    incoherence_stderr: Float[Array, ""]
    violation_rate_stderr: Float[Array, ""]
    verified_incoherence_stderr: Float[Array, ""]


def block_decoding(
    model: BlockHMM,
    *,
    incoherence_threshold: float = 1e-8,
    merge: float | None = None,
    contexts: int = 2**17,
) -> BlockDecoding:
    r"""Forward and reverse KL, incoherence and violations of mean-field decoding, with no sampling.

    In each context the sums over words are closed sums over counts of ones. Contexts whose log-odds
    $\log b_z/b_K$ fall in one cell of side `merge` (by default $\texttt{eps}^{2/5}$) become one at their
    mean, separately under the model and under the decoder: the first-order error of a KL vanishes, and
    what is left is of order `merge**2` (the paper's model: 1e-15 of the value). A rate moves only if the
    threshold falls within a cell. With more than `contexts` cells nothing is returned; $B^{N-1}$ are
    enough for `N` blocks with no merging, and the paper's model needs 11000. Not for use under `jit`.

    Raises:
        InvalidInputError: a threshold outside `[0, 1]`, more beliefs than `contexts` after merging, or
            more memory than `MAX_CONTEXT_BYTES`.

    >>> paper = block_decoding(BlockHMM(eta=1e-8))
    >>> [round(float(x), 2) for x in (paper.forward_kl, paper.reverse_kl, paper.incoherence)]
    [12.33, 72.08, 0.5]
    """
    dtype = model.emission.dtype
    threshold = _log_threshold(incoherence_threshold, dtype)
    merge = float(jnp.finfo(dtype).eps) ** 0.4 if merge is None else merge
    if not merge > 0:
        refuse("merge", merge, "a positive width of log-odds")
    contexts = min(check_integer("contexts", contexts, 1), model.block_size ** (model.blocks - 1))
    numbers = 4 * (model.emission.shape[0] + 2)
    size = contexts * model.block_size * numbers * dtype.itemsize
    if size > MAX_CONTEXT_BYTES:
        limit = readable_bytes(MAX_CONTEXT_BYTES)
        refuse("contexts", contexts, f"at most {limit}, not {readable_bytes(size)}", "allow fewer")
    # Time grows with the room for contexts, and few are needed as a rule.
    room = min(2**14, contexts)
    while True:
        result, most = _decoding(model, threshold, jnp.asarray(merge, dtype), room)
        if int(most) <= room:
            return result
        if room == contexts:
            refuse("contexts", contexts, f"as many as there are beliefs, {int(most)} or more", _REMEDY)
        room = min(4 * room, contexts)


_REMEDY = "use a larger merge, or block_decoding_estimate"


def block_decoding_estimate(
    key: Key[Array, ""], model: BlockHMM, samples: int, *, incoherence_threshold: float = 1e-8
) -> BlockDecodingEstimate:
    r"""An estimate of `block_decoding` for chains whose beliefs do not merge, with its standard errors.

    Contexts are drawn, `samples` from the model and as many from the decoder; in each context the sums
    are exact (Rao-Blackwell). Standard errors are those of the mean of independent sequences.

    Raises:
        InvalidInputError: fewer than two samples, or a threshold outside `[0, 1]`.

    >>> guess = block_decoding_estimate(jax.random.key(0), BlockHMM(eta=1e-8), 1000)
    >>> abs(float(guess.estimate.forward_kl) - 12.33) < 5 * float(guess.forward_kl_stderr)
    True
    """
    samples = check_integer("samples", samples, 2)
    threshold = _log_threshold(incoherence_threshold, model.emission.dtype)
    return _estimate(key, model, threshold, samples)


class _Context(eqx.Module):
    """What a belief says of the next block; `log_p`, `log_q` are the laws of its count of ones."""

    log_p: Float[Array, " counts"]
    log_q: Float[Array, " counts"]
    following: Float[Array, "counts odds"]
    forward: Float[Array, ""]
    reverse: Float[Array, ""]
    incoherent: Float[Array, ""]
    violated: Float[Array, ""]
    verified_incoherent: Float[Array, ""]


def _context(model: BlockHMM, log_threshold: Float[Array, ""], odds: Float[Array, " odds"]) -> _Context:
    """The closed sums over counts of one context; `odds` are log-odds against the last state."""
    dtype, bits = odds.dtype, model.block_size - 1
    log_belief = jax.nn.log_softmax(jnp.append(odds, jnp.zeros((1,), dtype)))
    ones = jnp.arange(bits + 1, dtype=dtype)
    log_ways = gammaln(jnp.asarray(bits + 1.0, dtype)) - gammaln(ones + 1) - gammaln(bits - ones + 1)
    log_flip = jnp.stack([safe_log(1 - model.eta), safe_log(model.eta)])
    is_odd = jnp.arange(bits + 1) % 2 == 1

    def log_word(log_one: Float[Array, ""], log_zero: Float[Array, ""]) -> Float[Array, " counts"]:
        # 0 times -inf is 0 here: no bit of that kind.
        zeros = bits - ones
        return jnp.where(ones > 0, ones * log_one, 0.0) + jnp.where(zeros > 0, zeros * log_zero, 0.0)

    # Of words with the parity kept (0) or violated (1): [counts, 2].
    log_one, log_zero = safe_log(model.emission), safe_log(1 - model.emission)
    given_state = jax.vmap(log_word)(log_one, log_zero)
    log_content = log_sum_exp(log_belief[:, None] + given_state, axis=0)
    log_p_word = log_content[:, None] + log_flip[None, :]
    log_p = log_p_word + log_ways[:, None]

    # The product of the marginals; the first bit is one if odd and kept, or even and violated.
    ones_parity = jnp.where(is_odd[:, None], log_p, log_p[:, ::-1])
    log_check_one = log_sum_exp(ones_parity[:, 0], axis=0)
    log_check_zero = log_sum_exp(ones_parity[:, 1], axis=0)
    marginal_one = log_sum_exp(log_belief + log_one, axis=0)
    marginal_zero = log_sum_exp(log_belief + log_zero, axis=0)
    log_q_content = log_word(marginal_one, marginal_zero) + log_ways
    kept = jnp.where(is_odd, log_check_one, log_check_zero)
    violated = jnp.where(is_odd, log_check_zero, log_check_one)
    log_q = log_q_content[:, None] + jnp.stack([kept, violated], axis=1)

    incoherent = log_p_word <= log_threshold
    p, q = jnp.exp(log_p), jnp.exp(log_q)
    return _Context(
        log_content + log_ways,
        log_q_content,
        jax.vmap(lambda row: _next_odds(model, log_belief + row))(given_state.T),
        jnp.sum(_log_kl_terms(log_p, log_q)),
        jnp.sum(_log_kl_terms(log_q, log_p)),
        jnp.sum(jnp.where(incoherent, q, 0.0)),
        jnp.sum(q[:, 1]),
        jnp.sum(jnp.where(incoherent, p, 0.0)),
    )


def _odds(log_weights: Float[Array, " states"]) -> Float[Array, " odds"]:
    """Log-odds against the last state, those below the greatest by more than `FARTHEST` cut."""
    top = jnp.max(log_weights)
    log_weights = jnp.where(jnp.isfinite(top), log_weights - top, 0.0)
    log_weights = jnp.maximum(log_weights, -FARTHEST)
    return log_weights[:-1] - log_weights[-1]


def _next_odds(model: BlockHMM, log_weights: Float[Array, " states"]) -> Float[Array, " odds"]:
    """The belief about the next block, given the weights of the states of this one."""
    return _odds(log_sum_exp(log_weights[:, None] + safe_log(model.transition), axis=0))


def _log_kl_terms(log_p: Float[Array, "..."], log_r: Float[Array, "..."]) -> Float[Array, "..."]:
    r"""`kl_terms` of logarithms: $p\,(e^d - 1 - d) \ge 0$, $d = \log(r/p)$, also where `p` underflows."""
    positive = log_p > -jnp.inf
    d = jnp.where(positive, log_r - jnp.where(positive, log_p, 0.0), 0.0)
    p, r = jnp.exp(log_p), jnp.exp(log_r)
    near = p * (jnp.expm1(jnp.minimum(d, 1.0)) - d)
    far = r - p - p * d
    return jnp.where(positive, jnp.where(d < 1, near, far), r)


def _log_threshold(threshold: float, dtype: jnp.dtype) -> Float[Array, ""]:
    if not 0 <= threshold <= 1:
        refuse("incoherence_threshold", threshold, "a probability in [0, 1]")
    return safe_log(jnp.asarray(threshold, dtype))


def _merge(
    odds: Float[Array, "children odds"],
    mass: Float[Array, " children"],
    cell: Float[Array, ""],
    contexts: int,
) -> tuple[Float[Array, "contexts odds"], Float[Array, " contexts"], Int[Array, ""]]:
    """Children in one cell become one at their mean; how many cells there are."""
    cells = jnp.round(odds / cell)
    # Children without mass come last.
    order = jnp.lexsort((*cells.T, mass == 0))
    odds, mass, cells = odds[order], mass[order], cells[order]
    is_new = jnp.any(cells[1:] != cells[:-1], axis=1) & (mass[1:] > 0)
    index = jnp.cumsum(jnp.concatenate([jnp.zeros((1,), bool), is_new]))

    def total(values: Float[Array, "children ..."]) -> Float[Array, "contexts ..."]:
        return jax.ops.segment_sum(values, index, contexts, indices_are_sorted=True)

    merged = total(mass)
    mean = total(mass[:, None] * odds) / jnp.where(merged > 0, merged, 1.0)[:, None]
    return mean, merged, index[-1] + 1


@eqx.filter_jit
def _decoding(
    model: BlockHMM, log_threshold: Float[Array, ""], cell: Float[Array, ""], contexts: int
) -> tuple[BlockDecoding, Int[Array, ""]]:
    """The result, of use if the second number, the most cells of any block, is at most `contexts`."""

    def propagate(
        log_counts: Callable[[_Context], Float[Array, " counts"]],
        metrics: Callable[[_Context], tuple[Float[Array, ""], ...]],
    ) -> tuple[tuple[Float[Array, " blocks"], ...], Int[Array, ""]]:
        """Means of the metrics in each block, with contexts drawn by the law `log_counts`."""

        def block(
            law: tuple[Float[Array, "contexts odds"], Float[Array, " contexts"]], _: None
        ) -> tuple[tuple, tuple]:
            odds, mass = law
            here = jax.vmap(lambda one: _context(model, log_threshold, one))(odds)
            means = [jnp.sum(jnp.where(mass > 0, mass * value, 0.0)) for value in metrics(here)]
            children = mass[:, None] * jnp.exp(log_counts(here))
            following = here.following.reshape(children.size, odds.shape[1])
            *law, cells = _merge(following, children.reshape(-1), cell, contexts)
            return tuple(law), (tuple(means), cells)

        start = _odds(safe_log(model.initial))
        odds = jnp.zeros((contexts, start.shape[0]), start.dtype).at[0].set(start)
        mass = jnp.zeros((contexts,), start.dtype).at[0].set(1.0)
        _, (means, cells) = jax.lax.scan(block, (odds, mass), None, length=model.blocks)
        # The children of the last block are not used.
        return means, jnp.max(cells[:-1], initial=1)

    (forward, verified), most_p = propagate(lambda c: c.log_p, lambda c: (c.forward, c.verified_incoherent))
    (reverse, incoherent, violated), most_q = propagate(
        lambda c: c.log_q, lambda c: (c.reverse, c.incoherent, c.violated)
    )
    result = BlockDecoding(forward, reverse, incoherent, violated, verified, model.eta)
    return result, jnp.maximum(most_p, most_q)


@eqx.filter_jit
def _estimate(
    key: Key[Array, ""], model: BlockHMM, log_threshold: Float[Array, ""], samples: int
) -> BlockDecodingEstimate:
    """Means over sampled contexts; the totals' standard errors over sequences."""
    start = _odds(safe_log(model.initial))

    def sequence(
        key: Key[Array, ""],
        log_counts: Callable[[_Context], Float[Array, " counts"]],
        metrics: Callable[[_Context], tuple[Float[Array, ""], ...]],
    ) -> tuple[Float[Array, " blocks"], ...]:
        def block(odds: Float[Array, " odds"], key: Key[Array, ""]) -> tuple[Array, tuple]:
            here = _context(model, log_threshold, odds)
            count = jax.random.categorical(key, log_counts(here), mode="high")
            return here.following[count], metrics(here)

        return jax.lax.scan(block, start, jax.random.split(key, model.blocks))[1]

    def both(key: Key[Array, ""]) -> BlockDecoding:
        from_model, from_decoder = jax.random.split(key)
        forward, verified = sequence(
            from_model, lambda c: c.log_p, lambda c: (c.forward, c.verified_incoherent)
        )
        reverse, incoherent, violated = sequence(
            from_decoder, lambda c: c.log_q, lambda c: (c.reverse, c.incoherent, c.violated)
        )
        return BlockDecoding(forward, reverse, incoherent, violated, verified, model.eta)

    draws = jax.lax.map(both, jax.random.split(key, samples), batch_size=min(samples, 4096))

    def stderr(total: Callable[[BlockDecoding], Float[Array, ""]]) -> Float[Array, ""]:
        values = jax.vmap(total)(draws)
        finite = jnp.all(jnp.isfinite(values))
        return jnp.where(finite, jnp.std(jnp.where(finite, values, 0.0), ddof=1) / samples**0.5, 0.0)

    return BlockDecodingEstimate(
        jax.tree.map(lambda values: jnp.mean(values, axis=0), draws),
        stderr(lambda d: d.forward_kl),
        stderr(lambda d: d.reverse_kl),
        stderr(lambda d: d.incoherence),
        stderr(lambda d: d.violation_rate),
        stderr(lambda d: d.verified_incoherence),
    )
