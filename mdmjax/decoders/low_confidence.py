"""Low-confidence remasking: draw everything, keep the draws that the denoiser believes most (LLaDA)."""

import jax
import jax.numpy as jnp
import numpy as np

from .._numerics import comparable
from .._types import Array, Int, Key, LogProbs, Positions, Step, Tokens
from ..denoisers.base import AbstractDenoiser
from ..distributions.joint import MAX_TABLE_BYTES
from ..schedules.schedule import Schedule
from .base import Branches, check_branches, kept_rows, word_branches
from .orders import ends_of, first, step_size
from .writing import AbstractJudged


class LowConfidence(AbstractJudged):
    r"""LLaDA's low-confidence remasking, with drawn tokens (arXiv 2502.09992).

    Every masked position is drawn from its row; the draws of highest $\hat p_i(x_i)$ stay for good, as many
    as the schedule says, and the others are masked again. Because the choice looks at the draws, what is
    kept is not distributed as the rows say. Ties are those of `ranked`.

    Tokens are drawn at `temperature`; the confidences are those of the rows as they are, or of `judge`. At
    temperature 0 it is `Reveal(Ranked(confidence, schedule), temperature=0)`. `branches` has one branch a
    word, $q^n$; a draw takes `O(n q)` and one call.

    Raises:
        InvalidInputError: at the first use, counts that do not sum to the number of positions; branches of
            more than 512 MiB.

    >>> from mdmjax import Joint, Oracle
    >>> coins = Oracle(Joint(jnp.outer(jnp.array([0.5, 0.5]), jnp.array([0.25, 0.75]))))
    >>> step = LowConfidence(Schedule([1, 1])).branches(coins, jnp.array([2, 2]), jnp.array(0))
    >>> step.weights.tolist()
    [0.125, 0.375, 0.125, 0.375]
    >>> jnp.argmax(step.rows, -1).tolist()  # a 0 of the second coin is less likely than the first coin
    [[0, 2], [2, 1], [1, 2], [2, 1]]
    """

    ends: Int[Array, " n"]
    revises = False

    def __init__(
        self, schedule: Schedule, *, temperature: float | int = 1.0, judge: AbstractDenoiser | None = None
    ):
        self.ends, self.temperature, self.judge = ends_of(schedule), temperature, judge

    def branches(self, denoiser: AbstractDenoiser, tokens: Tokens, step: Step) -> Branches:
        """One branch a word: its weight is the product of the rows, its rows are what is kept of it."""
        n, q = denoiser.n, denoiser.q
        check_branches("n, q", f"{n}, {q}", q**n, n, q, MAX_TABLE_BYTES // 4)
        masked = tokens == q
        judged, probs = (jnp.exp(rows) for rows in self.rows(denoiser, tokens))
        # Revealed positions are certain of their token, whatever the denoiser says of them.
        shown = kept_rows(tokens, q, probs.dtype)[:, :q]
        probs = jnp.where(masked[:, None], probs, shown)
        words = jnp.asarray(np.indices((q,) * n).reshape(n, -1).T, tokens.dtype)
        weights = jnp.prod(probs[jnp.arange(n), words], axis=1)
        kept = jax.vmap(lambda word: jnp.where(self._kept(judged, masked, word), word, tokens))(words)
        return word_branches(weights, kept, q)

    def draw(self, key: Key[Array, ""], denoiser: AbstractDenoiser, tokens: Tokens, step: Step) -> Tokens:
        """One word drawn, and what is kept of it."""
        judged, written = self.rows(denoiser, tokens)
        drawn = jax.random.categorical(key, written).astype(tokens.dtype)
        return jnp.where(self._kept(jnp.exp(judged), tokens == denoiser.q, drawn), drawn, tokens)

    def _kept(self, judged: LogProbs, masked: Positions, word: Tokens) -> Positions:
        """The masked positions whose drawn tokens are the most probable."""
        sure = comparable(judged[jnp.arange(word.shape[0]), word])
        return first(-sure, masked, step_size(self.ends, masked))
