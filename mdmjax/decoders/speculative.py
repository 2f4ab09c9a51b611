"""Decoders that draft several tokens in one call and verify them in the next: fewer calls, same output.

The drafts are the denoiser's own: neither decoder needs a second model.
"""

import equinox as eqx
import jax
import jax.numpy as jnp

from .._checks import Numbers, check_integer
from .._draws import drawn_from, fine_uniform
from .._numerics import comparable
from .._types import Array, Bool, Int, Key, Step, Tokens
from ..denoisers.base import AbstractDenoiser
from .base import AbstractDecoder, Branches, check_branches, word_branches
from .orders import check_positions, places_of, rank
from .ranked import Score, confidence


class DraftAndVerify(AbstractDecoder):
    r"""Greedy decoding of one token a step, several steps a call: FreeDave (arXiv 2510.00294).

    At the state $x$ the nested drafts $d_1 \subset \dots \subset d_K$ fill the $k$ masked positions of
    highest `score` with their most probable symbols. One batched call on the drafts gives what each would
    write next, $t_k$. The step ends in the last of $d_1, d_2 = t_1, d_3 = t_2, \dots$ (the exact match).
    The output is that of `Reveal(Ranked(score, single tokens), temperature=0)`, ties and all.

    Calls: one for the first state and one a step, except that the last masked token needs none (our
    choice: its draft is always right). So at most `n`, as greedy decoding, and exactly `n` for one draft.

    Raises:
        InvalidInputError: `drafts` below 1.

    >>> from mdmjax import MixtureOfProducts, Oracle, exact_law
    >>> product = Oracle(MixtureOfProducts([1.0], [[[0.9, 0.1], [0.2, 0.8], [0.3, 0.7], [0.6, 0.4]]]))
    >>> [float(exact_law(product, DraftAndVerify(drafts)).expected_calls) for drafts in (1, 2, 4)]
    [4.0, 3.0, 2.0]
    """

    drafts: int = eqx.field(static=True, converter=lambda x: check_integer("drafts", x, 1))
    score: Score = eqx.field(static=True, default=confidence)
    revises = False

    def branches(self, denoiser: AbstractDenoiser, tokens: Tokens, step: Step) -> Branches:
        """One branch, the last draft that is verified; NaN where the denoiser is."""
        sizes = jnp.arange(1, min(self.drafts, denoiser.n) + 1)
        known, drafts = self._filled(denoiser, tokens, sizes)

        def follows(draft: Tokens, following: Tokens) -> Bool[Array, ""]:
            sure, targets = self._filled(denoiser, draft, jnp.ones((1,), sizes.dtype))
            return sure & jnp.all(targets[0] == following)

        verified = jax.vmap(follows)(drafts[:-1], drafts[1:])
        best = drafts[jnp.sum(jnp.cumprod(verified))]
        weights = jnp.where(known, jnp.ones((1,)), jnp.nan)
        return word_branches(weights, best[None, :], denoiser.q)

    def calls(self, tokens: Tokens, step: Step, q: int) -> Int[Array, ""]:
        """One if there is more than one token left, and one more in the first step."""
        return jnp.asarray(step == 0, int) + jnp.asarray(jnp.sum(tokens == q) > 1, int)

    def _filled(self, denoiser: AbstractDenoiser, tokens: Tokens, sizes: Int[Array, " k"]) -> tuple:
        """Whether the rows are no NaN; and the tokens with the best `sizes` masked positions filled."""
        log_probs, masked = denoiser(tokens), tokens == denoiser.q
        place = rank(-comparable(self.score(log_probs)), masked)
        symbols = jnp.argmax(comparable(jnp.exp(log_probs)), axis=1).astype(tokens.dtype)
        known = ~jnp.any(jnp.isnan(log_probs) & masked[:, None])
        chosen = masked[None, :] & (place[None, :] < sizes[:, None])
        return known, jnp.where(chosen, symbols[None, :], tokens[None, :])


class AnySubsetSpeculative(AbstractDecoder):
    r"""One token at a time along `order` in law, several a step: ASSD (arXiv 2504.20456).

    The next $k =$ `drafts` masked positions $\sigma_1, \dots, \sigma_k$ of the order are drafted from the
    rows of one call, $a_j \sim r_j = \hat p(x_{\sigma_j} \mid x_S)$. A second call, on the drafted
    prefixes at once, gives $p_j = \hat p(x_{\sigma_j} \mid x_S, a_1, \dots, a_{j-1})$. In turn $a_j$ is
    accepted with probability $\min(1, p_j(a_j) / r_j(a_j))$; the first that is not is drawn from
    $(p_j - r_j)_+$, normalised, and ends the step. So

    $$\Pr(a_1, \dots, a_j) = (p_j - r_j)_+(a_j) \prod_{i < j} \min(p_i, r_i)(a_i),$$

    with $p_k(a_k)$ in the place of the first factor for $j = k$; the law of the output is $\prod_i \hat
    p(x_{\sigma_i} \mid x_{\sigma_{<i}})$, coherent or not. Calls: two a step, which bring two tokens or
    more, but one if a single token is drafted. Exact laws take $1 + q + \dots + q^{k-1}$ states of the
    denoiser a step, draws take `k`.

    Raises:
        InvalidInputError: `drafts` below 1; an `order` that is not a permutation, or, at the first use,
            not of the positions; branches of more than 2 GiB.

    >>> from mdmjax import Joint, Oracle, exact_law
    >>> same = Joint(jnp.array([[0.5, 0.0], [0.0, 0.5]]))
    >>> law = exact_law(Oracle(same), AnySubsetSpeculative([1, 0], 2))
    >>> law.probs.tolist(), float(law.expected_calls)
    ([[0.5, 0.0], [0.0, 0.5]], 2.0)
    """

    place: Int[Array, " n"]
    drafts: int = eqx.field(static=True)
    revises = False

    def __init__(self, order: Numbers, drafts: int):
        self.place, self.drafts = places_of(order), check_integer("drafts", drafts, 1)

    def branches(self, denoiser: AbstractDenoiser, tokens: Tokens, step: Step) -> Branches:
        """One branch a word of one to `k` tokens, by its length."""
        n, q, count = denoiser.n, denoiser.q, min(self.drafts, denoiser.n)
        check_branches("drafts", str(count), sum(q**j for j in range(1, count + 1)), n, q)
        positions, masked = self._targets(tokens, q, count)
        first = jnp.exp(denoiser(tokens))
        states, accepted = tokens[None, :], jnp.ones((1,), first.dtype)
        weights, words = [], []
        for j in range(count):
            position, draft = positions[j], first[positions[j]][None, :]
            rows = jnp.exp(jax.vmap(denoiser)(states))[:, position] if j else draft
            # What is never drafted and accepted is no context: its row may be NaN.
            rows = jnp.where(accepted[:, None] > 0, rows, 0.0)
            last = (j == count - 1) | ~masked[jnp.minimum(j + 1, count - 1)]
            ends = accepted[:, None] * jnp.where(last, rows, jnp.maximum(rows - draft, 0.0))
            goes_on = accepted[:, None] * jnp.minimum(rows, draft)
            symbols = jnp.tile(jnp.arange(q, dtype=tokens.dtype), states.shape[0])
            states = jnp.repeat(states, q, axis=0).at[:, position].set(symbols)
            weights.append(ends.reshape(-1))
            words.append(states)
            accepted = jnp.where(last, 0.0, goes_on).reshape(-1)
        return word_branches(jnp.concatenate(weights), jnp.concatenate(words), q)

    def draw(self, key: Key[Array, ""], denoiser: AbstractDenoiser, tokens: Tokens, step: Step) -> Tokens:
        """Drafts, their verification in one batch, and the token after those accepted."""
        drafting, verifying, ending = jax.random.split(key, 3)
        count = min(self.drafts, denoiser.n)
        positions, masked = self._targets(tokens, denoiser.q, count)
        log_drafts = denoiser(tokens)[positions]
        drawn = drawn_from(drafting, jnp.exp(log_drafts)).astype(tokens.dtype)

        def write(symbols: Int[Array, " drafts"], length: Int[Array, ""]) -> Tokens:
            written = masked & (jnp.arange(count) < length)
            return tokens.at[positions].set(jnp.where(written, symbols, tokens[positions]))

        later = jnp.arange(1, count)
        prefixes = jax.vmap(write, (None, 0))(drawn, later)
        verified = jax.vmap(lambda state, at: denoiser(state)[at])(prefixes, positions[1:])
        probs, drafts = jnp.exp(jnp.concatenate([log_drafts[:1], verified])), jnp.exp(log_drafts)
        taken = jnp.arange(count), drawn
        uniform = fine_uniform(verifying, (count,), probs.dtype)
        accepted = (uniform * drafts[taken] < probs[taken]) | (jnp.arange(count) == 0)
        length = jnp.sum(jnp.cumprod(accepted))
        # The first that is not accepted; if all are, this is not written.
        rejected = jnp.minimum(length, count - 1)
        left = jnp.maximum(probs[rejected] - drafts[rejected], 0.0)
        left = jnp.where(jnp.any(left > 0), left, probs[rejected])  # they differ by rounding only
        residual = drawn_from(ending, left[None, :])[0].astype(tokens.dtype)
        symbols = jnp.where(jnp.arange(count) == length, residual, drawn)
        return write(symbols, length + 1)

    def calls(self, tokens: Tokens, step: Step, q: int) -> Int[Array, ""]:
        """Two, or one if a single token is drafted."""
        return 1 + jnp.asarray((jnp.sum(tokens == q) > 1) & (self.drafts > 1), int)

    def _targets(self, tokens: Tokens, q: int, count: int) -> tuple[Int[Array, " k"], Bool[Array, " k"]]:
        """The next `count` positions of the order, and whether they are masked: the first ones are."""
        check_positions("order", self.place, tokens)
        positions = jnp.lexsort((self.place, tokens != q))[:count]
        return positions, tokens[positions] == q
