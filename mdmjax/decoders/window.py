"""A window that slides with the first masked position: WeDLM's streaming decoding, as a rule."""

import math

import equinox as eqx
import jax.numpy as jnp

from .._checks import check_integer, scalar
from .._numerics import comparable
from .._types import Array, Float, Key, LogProbs, Positions, Step, Tokens
from .base import AbstractRule
from .orders import first
from .ranked import row_entropy


class StreamingWindow(AbstractRule):
    r"""Masked positions of a window that are sure enough, the near ones sooner: WeDLM (arXiv 2512.22737).

    The window is the `width` positions from the first masked one, what is filled among them included; $d_i$
    is the distance to the first. A step fills every masked position of the window with

    $$H_i + \text{penalty}\, d_i < \text{threshold},$$

    or, if there is none, the one where this is least. Nats. What precedes the first masked position is
    committed: it stays, and a causal model has it in its cache. The source is the paper's Algorithm 1 and
    the authors' code. Its model attends to what is filled and to no mask, so that its rows are those of
    any denoiser, $\hat p(x_i \mid x_S)$; the code sees the window in one more forward, which commits the
    last tokens and predicts nothing, and is no call here (our choice). Tokens a forward, their $p_{cache}$
    as far as its definition is known, are `n / law.expected_calls`.

    Raises:
        InvalidInputError: `width` below 1; `threshold` or `penalty` no finite number of at least 0.

    >>> import jax
    >>> rows = jnp.log(jnp.array([[0.5, 0.5], [0.1, 0.9], [0.01, 0.99], [0.01, 0.99]]))
    >>> for penalty in (0.02, 0.2):  # 0.06 + 2 * 0.2 is too much, but the least
    ...     rule = StreamingWindow(3, 0.4, penalty)
    ...     rule.choose(jax.random.key(0), rows, jnp.array([2, 2, 2, 2]), jnp.array(0)).tolist()
    [False, True, True, False]
    [False, False, True, False]
    """

    width: int = eqx.field(static=True, converter=lambda x: check_integer("width", x, 1))
    threshold: Float[Array, ""] = eqx.field(default=0.4, converter=lambda x: _nats("threshold", x))
    penalty: Float[Array, ""] = eqx.field(default=0.02, converter=lambda x: _nats("penalty", x))
    is_random = False

    def choose(self, key: Key[Array, ""], log_probs: LogProbs, tokens: Tokens, step: Step) -> Positions:
        """The positions of the window that pass, or the best of it."""
        masked = tokens == log_probs.shape[1]
        distance = jnp.arange(tokens.shape[0]) - jnp.argmax(masked)
        nats = row_entropy(log_probs)
        nats = comparable(nats + self.penalty.astype(nats.dtype) * distance.astype(nats.dtype))
        window = masked & (distance < self.width)
        enough = window & (nats < comparable(self.threshold.astype(nats.dtype)))
        return jnp.where(jnp.any(enough), enough, first(nats, window, jnp.ones((), int)))


def _nats(argument: str, value: float) -> Float[Array, ""]:
    return scalar(argument, value, "a finite number of nats >= 0", lambda x: 0 <= x < math.inf)
