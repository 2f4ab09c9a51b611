"""Wide-in, narrow-out: reveal freely, and mask again what the rest of the text does not support (WINO)."""

import jax
import jax.numpy as jnp

from .._checks import Numbers, probability
from .._numerics import comparable
from .._types import Array, Bool, Float, Int, Positions, Step, Tokens
from ..denoisers.base import AbstractDenoiser
from .base import Branches, kept_rows, revealed_rows
from .leave_one_out import leave_one_out
from .orders import first
from .thresholds import ConfidenceThreshold
from .writing import AbstractJudged


class Wino(AbstractJudged):
    r"""Draft the confident positions, and mask again the tokens that fail verification (arXiv 2507.18578).

    A step drafts as `ConfidenceThreshold(draft_threshold)`, and masks again the tokens revealed before
    it with $\hat p(x_i \mid x_{S \setminus i}) <$ `verify_threshold` (`leave_one_out`), the least probable
    first and one fewer at most than it drafts. So each step adds a token on balance and `n` steps are
    enough. Drafts and verifications see the same state and share one call, as WINO's shadow tokens do.
    Tokens of the last step are never verified, as in the authors' code; defaults are theirs.

    Our choices: their limit is one fewer than the step before drafted, which a state has no memory of;
    they cut drafts at 20 and at 0.7 of the masked positions; and with drawn tokens they judge the draw,
    not the row. Tokens are drawn at `temperature`, 0 for greedy WINO; confidences and verifications are
    those of the rows as they are, or of `judge`. A verification that is NaN fails.

    Raises:
        InvalidInputError: a threshold not in `[0, 1]`.

    >>> from mdmjax import Joint, Oracle
    >>> pair, coin = jnp.array([[0.4, 0.1], [0.1, 0.4]]), jnp.array([0.25, 0.75])
    >>> three = Oracle(Joint(jnp.tensordot(pair, coin, axes=0)))
    >>> step = Wino(0.6, 0.9).branches(three, jnp.array([0, 2, 2]), jnp.array(0))
    >>> step.rows[0].round(2).tolist()  # two are drafted, so the first may be masked again
    [[0.0, 0.0, 1.0], [0.8, 0.2, 0.0], [0.25, 0.75, 0.0]]
    """

    draft: ConfidenceThreshold
    verify_threshold: Float[Array, ""]
    revises = True

    def __init__(
        self,
        draft_threshold: Numbers = 0.6,
        verify_threshold: Numbers = 0.9,
        *,
        temperature: float | int = 1.0,
        judge: AbstractDenoiser | None = None,
    ):
        self.draft = ConfidenceThreshold(probability("draft_threshold", draft_threshold))
        self.verify_threshold = probability("verify_threshold", verify_threshold)
        self.temperature, self.judge = temperature, judge

    def branches(self, denoiser: AbstractDenoiser, tokens: Tokens, step: Step) -> Branches:
        """One branch: drafts are drawn, failures are masked, the rest stays."""
        judged, log_probs = self.rows(denoiser, tokens)
        model = denoiser if self.judge is None else self.judge
        drafted = self.draft.choose(jax.random.key(0), judged, tokens, step)  # the key is not used
        failed = self._failed(leave_one_out(model, tokens), tokens != denoiser.q, jnp.sum(drafted) - 1)
        hidden = kept_rows(jnp.where(failed, denoiser.q, tokens), denoiser.q, log_probs.dtype)
        rows = jnp.where(failed[:, None], hidden, revealed_rows(log_probs, tokens, drafted))
        return Branches(jnp.ones((1,), log_probs.dtype), rows[None])

    def _failed(
        self, support: Float[Array, " n"], revealed: Bool[Array, " n"], most: Int[Array, ""]
    ) -> Positions:
        """The `most` least supported of the revealed positions that are below the threshold."""
        support = comparable(support)
        passed = support >= comparable(self.verify_threshold.astype(support.dtype))
        return first(support, revealed & ~passed, most)
