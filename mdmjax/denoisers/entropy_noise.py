"""A denoiser whose error grows with the entropy of what it predicts, by a known law."""

import equinox as eqx
import jax
import jax.numpy as jnp

from .._checks import check_number, positive
from .._numerics import entropy, kl_terms, safe_log
from .._types import Array, Float, LogProbs, Tokens
from .perturbed import AbstractPerturbed


class EntropyNoise(AbstractPerturbed):
    r"""Error in proportion to entropy: Assumption 4.2 of arXiv 2602.00286 (Eq. 10) with known constants.

    The row of a masked position $i$ in context $x_S$ has the model-first local error of Eq. 6

    $$\varepsilon_i = \mathrm{KL}(\hat p_i \,\|\, p_i)
      = \min\left(\alpha H(p_i) + \lambda E_S,\ -\log \min_a p_i(a)\right)$$

    in nats, the inner minimum over the symbols that $p_i$ has, so that Eq. 10 holds with $b = 0$. Our
    choice of error: $p_i$ is mixed towards its least likely possible symbol (the first of equals); that
    can reach $-\log \min_a p_i(a) \ge H(p_i)$, so that at $\lambda = 0$ the cap only matters for
    $\alpha > 1$. A certain row stays certain: it can have no finite error.

    $E_S$ is the *sum* of past errors, the reading of $\bar\varepsilon_{\pi(<t)}$ under which the weights
    $\alpha (1 + \lambda)^{T-t}$ of Eq. 11 are right. A denoiser sees what is revealed, not in which order:
    the past is taken from left to right, each error in the context of the revealed positions before it.
    For one token at a time in that order Eq. 10 holds with equality below the cap; for any other only
    `lam = 0` is certain to satisfy it. Cost: one call of the base, and `n` more if `lam > 0`.

    Raises:
        InvalidInputError: `alpha` not a finite number above 0, or `lam` not a finite number of at least 0.

    >>> from mdmjax import Joint, Oracle
    >>> coin = Oracle(Joint(jnp.array([0.2, 0.8])))
    >>> row = jnp.exp(EntropyNoise(coin, 0.1, 0.0)(jnp.array([2])))[0]
    >>> error = jnp.sum(row * jnp.log(row / jnp.array([0.2, 0.8])))
    >>> round(float(error / entropy(jnp.array([0.2, 0.8]))), 6)
    0.1
    """

    alpha: Float[Array, ""] = eqx.field(converter=lambda x: positive("alpha", x))
    lam: float = eqx.field(
        static=True, converter=lambda x: check_number("lam", x, "a finite number >= 0", lambda y: y >= 0)
    )

    def perturb(self, log_probs: LogProbs, tokens: Tokens) -> LogProbs:
        """The rows with their error."""
        target = self.alpha.astype(log_probs.dtype) * entropy(jnp.exp(log_probs))
        if self.lam > 0:
            target = target + self.lam * self._past(tokens)
        return jax.vmap(_with_error)(log_probs, target)

    def _past(self, tokens: Tokens) -> Float[Array, ""]:
        """The sum of the errors of the revealed positions, from left to right."""
        positions = jnp.arange(self.n)
        row_before = lambda i: self.denoiser(jnp.where(positions < i, tokens, self.q))[i]
        rows = jax.lax.map(row_before, positions)
        alpha = self.alpha.astype(rows.dtype)
        certain = jnp.min(rows, axis=-1, where=rows > -jnp.inf, initial=0.0)

        def add(past, position):
            own, cap, revealed = position
            error = jnp.minimum(alpha * own + self.lam * past, cap)
            return past + jnp.where(revealed, error, 0.0), None

        each = entropy(jnp.exp(rows)), -certain, tokens != self.q
        return jax.lax.scan(add, jnp.zeros((), rows.dtype), each)[0]


def _with_error(log_row: Float[Array, " q"], target: Float[Array, ""]) -> Float[Array, " q"]:
    """The row mixed towards its least likely symbol until KL(result || row) is `target`, or all of it."""
    # Its probability grows from r to r^(1-u), u in [0, 1]: a scale on which a tiny r keeps its digits.
    symbol = jnp.argmin(jnp.where(log_row > -jnp.inf, log_row, jnp.inf))
    log_r = jnp.minimum(log_row[symbol], 0.0)
    rest = -jnp.expm1(log_r)

    def error(u):
        log_m = (1 - u) * log_r
        now = jnp.stack([jnp.exp(log_m), -jnp.expm1(log_m)])
        return jnp.sum(kl_terms(now, jnp.stack([jnp.exp(log_r), rest])))

    def halve(_, ends):
        low, high = ends
        middle = (low + high) / 2
        small = error(middle) <= target
        return jnp.where(small, middle, low), jnp.where(small, high, middle)

    zero, one = jnp.zeros_like(log_r), jnp.ones_like(log_r)
    low, _ = jax.lax.fori_loop(0, jnp.finfo(log_row.dtype).nmant + 10, halve, (zero, one))
    log_m = (1 - jnp.where(error(one) <= target, one, low)) * log_r
    shrink = safe_log(-jnp.expm1(log_m)) - jnp.log(jnp.where(rest > 0, rest, 1.0))
    mixed = (log_row + shrink).at[symbol].set(log_m)
    return jnp.where((rest > 0) & (target > 0), mixed, log_row)
