"""COrAL's sliding block: tokens written and rewritten until they have stood still, without verification."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .._checks import check_integer
from .._types import Array, Bool, Float, Int, Step, Tokens
from ..denoisers.base import AbstractDenoiser
from ..denoisers.perturbed import Argmax, Tempered
from .base import AbstractDecoder, Branches, kept_rows
from .orders import check_positions
from .reveal import check_temperature

ITERATIONS = 512  # the authors' bound
FORWARD_DECAY, BACKWARD_DECAY = 8.0, 1 / 8  # of the weights, as in the authors' code


class SlidingBlock(AbstractDecoder):
    r"""A block behind the fixed tokens, rewritten from several contexts in each step (arXiv 2410.09675).

    With $F$ tokens fixed and $L$ written, a step rewrites the positions $F..E$, $E = \min(L - 1 +
    \text{forward}, F + \text{block} - 1, n - 1)$. A token is drawn from the normalised product of

    $$\hat p(x_i \mid x_{\{0..j\} \setminus i})^{w_{i - j}}, \qquad j = \max(F - 1, i -
    \text{forward})..\min(L - 1, i + \text{backward}),$$

    its forward predictions and backward reconstructions; $w_o = e^{-8 (o - 1)}$ for $o > 0$, and $e^{-x/8}$
    for $o \le 0$ with $x = 2, 1, 0, 1, 2, \dots$ for $o = 0, -1, -2, \dots$; for `backward` 0 only $w_0 =
    0.1$. A step counts for each token how often it was written in a row with all before it; what has more
    than `repeats`, with all before it, is fixed. Done when all is. It `remembers` the counts.

    This is the authors' code without its verification, and with its sizes and its argmax (`temperature`
    0). Our choices: a token to be reconstructed is hidden from a denoiser, where their model sees it;
    draws; a sequence begins with no prompt; `repeats` at least 1 (with 0 they accept at random). Not built
    is their verification, of candidates in a tree of the best tokens, by losses of their own model at every
    offset. One call a step (its contexts are a batch). A product that is 0 everywhere is NaN.

    Raises:
        InvalidInputError: a size below 1 (`backward`: 0); at the first use, `n` not the denoiser's; as
            `Reveal`.

    >>> from mdmjax import Joint, Oracle, exact_law
    >>> noisy = Oracle(Joint(jnp.array([[0.1, 0.2], [0.3, 0.4]])))
    >>> law = exact_law(noisy, SlidingBlock(2, repeats=1))
    >>> law.probs.tolist(), float(law.expected_calls)
    ([[0.0, 0.0], [0.0, 1.0]], 2.0)
    """

    counts: Int[Array, " n"]
    block: int = eqx.field(static=True)
    forward: int = eqx.field(static=True)
    backward: int = eqx.field(static=True)
    repeats: int = eqx.field(static=True)
    temperature: float | int = eqx.field(static=True, converter=check_temperature)
    revises = True
    remembers = True

    def __init__(
        self,
        n: int,
        *,
        block: int = 16,
        forward: int = 4,
        backward: int = 8,
        repeats: int = 8,
        temperature: float | int = 0,
    ):
        self.counts = jnp.zeros((check_integer("n", n, 1),), int)
        self.block, self.forward = check_integer("block", block, 1), check_integer("forward", forward, 1)
        self.backward = check_integer("backward", backward, 0)
        self.repeats, self.temperature = check_integer("repeats", repeats, 1), temperature

    def branches(self, denoiser: AbstractDenoiser, tokens: Tokens, step: Step) -> Branches:
        """One branch: the block from its products, the others as they are."""
        q, (rewritten, log_probs) = denoiser.q, self._products(denoiser, tokens)
        drawn = jnp.pad(jnp.exp(log_probs), ((0, 0), (0, 1)))
        rows = jnp.where(rewritten[:, None], drawn, kept_rows(tokens, q, drawn.dtype))
        return Branches(jnp.ones((1,), rows.dtype), rows[None])

    def then(self, denoiser: AbstractDenoiser, tokens: Tokens, after: Tokens, step: Step) -> "SlidingBlock":
        """The same, with the counts after this step."""
        check_positions("n", self.counts, tokens)
        old = tokens != denoiser.q
        stands = jnp.cumprod(jnp.where(old, tokens == after, False)) == 1  # with all before it
        counts = jnp.where(stands, self.counts + 1, jnp.where(after != denoiser.q, 1, 0))
        return eqx.tree_at(lambda one: one.counts, self, counts.astype(self.counts.dtype))

    def finished(self, tokens: Tokens, step: Step, q: int) -> Bool[Array, ""]:
        """Once every token is fixed."""
        return jnp.all(self.counts > self.repeats)

    def most_steps(self, n: int) -> int:
        """512, the authors' bound."""
        return ITERATIONS

    def _products(self, denoiser: AbstractDenoiser, tokens: Tokens) -> tuple[Bool[Array, " n"], Array]:
        """The positions that are rewritten, and the logarithms of the rows that they are drawn from."""
        check_positions("n", self.counts, tokens)
        n, q = denoiser.n, denoiser.q
        places = jnp.arange(n)
        fixed = jnp.sum(jnp.cumprod(self.counts > self.repeats))
        written = jnp.sum(jnp.cumprod(tokens != q))
        end = jnp.minimum(jnp.minimum(written - 1 + self.forward, fixed + self.block - 1), n - 1)
        rewritten = (places >= fixed) & (places <= end)
        weights = {o: w for o, w in _weights(self.forward, self.backward).items() if abs(o) <= n}
        offsets = jnp.array(list(weights))
        last = places[:, None] - offsets[None, :]  # j: the last of the context
        use = rewritten[:, None] & (last >= fixed - 1) & (last <= written - 1)

        def row(place: Int[Array, ""], upto: Int[Array, ""]) -> Float[Array, " q"]:
            return denoiser(jnp.where((places <= upto) & (places != place), tokens, q))[place]

        rows = jax.vmap(jax.vmap(row, (None, 0)))(places, last)
        share = jnp.where(use, jnp.array(list(weights.values()), rows.dtype)[None, :], 0.0)
        share = share / jnp.where(jnp.any(use, axis=1), jnp.sum(share, axis=1), 1.0)[:, None]
        total = jnp.sum(jnp.where(use[:, :, None], share[:, :, None] * rows, 0.0), axis=1)
        total = jax.nn.log_softmax(total, axis=-1)
        if self.temperature == 1:
            return rewritten, total
        writer = Argmax(denoiser) if self.temperature == 0 else Tempered(denoiser, self.temperature)
        return rewritten, writer.perturb(total, tokens)


def _weights(forward: int, backward: int) -> dict[int, float]:
    """The weight of the prediction of a position from a context that ends so many before it."""
    after = {o: float(np.exp(-FORWARD_DECAY * (o - 1))) for o in range(1, forward + 1)}
    if backward == 0:
        return {0: 0.1} | after
    far = {0: 2, -1: 1} | {-o: o - 2 for o in range(2, backward + 1)}
    return {o: float(np.exp(-BACKWARD_DECAY * x)) for o, x in far.items()} | after
