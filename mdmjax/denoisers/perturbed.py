"""Denoisers made of another one: a known error, its best guess, an answer everywhere.

A revealed position stays certain of its token; but for `Fallback`, rows of NaN stay NaN. All but
`EntropyNoise` are our choices.
"""

import abc

import equinox as eqx
import jax
import jax.numpy as jnp

from .._checks import check_integer, check_number, positive, probability
from .._errors import refuse
from .._numerics import comparable, entropy, kl_terms, safe_log
from .._types import Array, Float, Key, LogProbs, Tokens
from ..distributions.base import known_rows
from .base import AbstractDenoiser


class AbstractPerturbed(AbstractDenoiser):
    """A denoiser whose masked rows are a function of those of another one."""

    denoiser: AbstractDenoiser
    n = property(lambda self: self.denoiser.n)
    q = property(lambda self: self.denoiser.q)

    @abc.abstractmethod
    def perturb(self, log_probs: LogProbs, tokens: Tokens) -> LogProbs:
        """The rows with error; what it says at revealed positions is not used."""

    def __call__(self, tokens: Tokens) -> LogProbs:
        """Log-probabilities of every symbol at every position."""
        return self.perturbed(self.denoiser(tokens), tokens)

    def perturbed(self, log_probs: LogProbs, tokens: Tokens) -> LogProbs:
        """What it says where its base says `log_probs`."""
        masked = (tokens == self.q)[:, None]
        return jnp.where(masked, self.perturb(log_probs, tokens), log_probs)


class Mixed(AbstractPerturbed):
    r"""$(1-\delta)\, p + \delta / q$: a denoiser that knows nothing a fraction $\delta$ of the time.

    Raises:
        InvalidInputError: `delta` not in `[0, 1]`.

    >>> from mdmjax import Joint, Oracle
    >>> pair = Oracle(Joint(jnp.array([[0.5, 0.0], [0.0, 0.5]])))
    >>> [round(float(x), 4) for x in jnp.exp(Mixed(pair, 0.2)(jnp.array([1, 2])))[1]]
    [0.1, 0.9]
    """

    delta: Float[Array, ""] = eqx.field(converter=lambda x: probability("delta", x))

    def perturb(self, log_probs: LogProbs, tokens: Tokens) -> LogProbs:
        """The mixture, added in logarithms so that small probabilities keep their digits."""
        delta = self.delta.astype(log_probs.dtype)
        return jnp.logaddexp(safe_log(1 - delta) + log_probs, safe_log(delta / self.q))


class Tempered(AbstractPerturbed):
    r"""$p^{1/\tau} / \sum_a p_a^{1/\tau}$ at `temperature` $\tau$: overconfident below 1, vague above it.

    Raises:
        InvalidInputError: `temperature` not a finite number above 0 (its limit at 0 is `Argmax`).

    >>> from mdmjax import Joint, Oracle
    >>> coin = Oracle(Joint(jnp.array([0.2, 0.8])))
    >>> [round(float(x), 4) for x in jnp.exp(Tempered(coin, 0.5)(jnp.array([2])))[0]]
    [0.0588, 0.9412]
    """

    temperature: Float[Array, ""] = eqx.field(converter=lambda x: positive("temperature", x))

    def perturb(self, log_probs: LogProbs, tokens: Tokens) -> LogProbs:
        """The rows at the temperature, normalised."""
        never = log_probs == -jnp.inf  # a quotient that has no derivative
        scaled = jnp.where(never, 0.0, log_probs) / self.temperature.astype(log_probs.dtype)
        return jax.nn.log_softmax(jnp.where(never, -jnp.inf, scaled), axis=-1)


class Argmax(AbstractPerturbed):
    r"""All mass on the most probable symbol, the first of equals: temperature 0, greedy writing.

    Probabilities that differ by rounding only count as equal (`comparable`). A decoder that sees these
    rows finds every position certain; `Reveal(rule, temperature=0)` lets it choose by the rows of the base.

    >>> from mdmjax import Joint, Oracle
    >>> coin = Oracle(Joint(jnp.array([0.2, 0.8])))
    >>> jnp.exp(Argmax(coin)(jnp.array([2])))[0].tolist()
    [0.0, 1.0]
    """

    def perturb(self, log_probs: LogProbs, tokens: Tokens) -> LogProbs:
        """One-hot rows; rows of NaN stay."""
        best = jnp.argmax(comparable(jnp.exp(log_probs)), axis=-1)
        rows = known_rows(best, self.q).astype(log_probs.dtype)
        return jnp.where(jnp.isnan(log_probs), log_probs, rows)


class Without(AbstractPerturbed):
    r"""Masked rows without these `symbols`, normalised: their logits are $-\infty$ before drawing.

    LLaDA's `logits_eos_inf`, a decoder's confidences included. A row that has nothing else is NaN.

    Raises:
        InvalidInputError: `symbols` that are none, or not below `q`; all of them.

    >>> from mdmjax import Joint, Oracle
    >>> three = Oracle(Joint(jnp.array([0.5, 0.25, 0.25])))
    >>> jnp.exp(Without(three, [0])(jnp.array([3])))[0].tolist()
    [0.0, 0.5, 0.5]
    """

    symbols: tuple[int, ...] = eqx.field(
        static=True, converter=lambda x: tuple(check_integer("symbols", symbol, 0) for symbol in x)
    )

    def __check_init__(self):
        left = set(range(self.q)) - set(self.symbols)
        if not self.symbols or max(self.symbols) >= self.q or not left:
            refuse("symbols", list(self.symbols), f"some of 0..{self.q - 1}, and not all")

    def perturb(self, log_probs: LogProbs, tokens: Tokens) -> LogProbs:
        """The rows given that none of the symbols is drawn."""
        others = log_probs.at[:, jnp.asarray(self.symbols)].set(-jnp.inf)
        return jax.nn.log_softmax(others, axis=-1)


class DirichletNoise(AbstractPerturbed):
    r"""Every masked row replaced by a draw of a Dirichlet law with mean $p$, fixed by `key`.

    The parameters are $\kappa p$ with $\kappa$ the `concentration`, so the variance of an entry is
    $p_a (1 - p_a) / (\kappa + 1)$, and symbols of probability 0 keep it. The draw is a function of the key
    and the context: one wrong denoiser, not a random one, with independent draws of all rows.

    Raises:
        InvalidInputError: `concentration` not a finite number above 0.

    >>> from mdmjax import Joint, Oracle
    >>> coin = Oracle(Joint(jnp.array([0.2, 0.8])))
    >>> noisy = DirichletNoise(coin, 10.0, key=jax.random.key(0))
    >>> bool(jnp.all(noisy(jnp.array([2])) == noisy(jnp.array([2]))))
    True
    """

    concentration: Float[Array, ""] = eqx.field(converter=lambda x: positive("concentration", x))
    key: Key[Array, ""] = eqx.field(kw_only=True)

    def perturb(self, log_probs: LogProbs, tokens: Tokens) -> LogProbs:
        """Normalised gamma variables, in logarithms: small parameters underflow otherwise."""
        # The code of the context goes into the key digit by digit: no integer holds (q+1)^n.
        key, _ = jax.lax.scan(lambda key, token: (jax.random.fold_in(key, token), None), self.key, tokens)
        probs = jnp.exp(log_probs)
        possible = probs > 0
        shape = jnp.where(possible, self.concentration.astype(probs.dtype) * probs, 1.0)
        drawn = jnp.where(possible, jax.random.loggamma(key, shape, dtype=probs.dtype), -jnp.inf)
        return jnp.where(jnp.isnan(log_probs), log_probs, jax.nn.log_softmax(drawn, axis=-1))


class Fallback(AbstractPerturbed):
    r"""`denoiser` where it has an answer, uniform rows where it gives NaN.

    Writing several tokens at once with the oracle of a distribution that has zeros can end in a context of
    probability zero, where no conditional is right. For a decoder that never masks again uniform rows do
    not matter to the forward KL, the total variation or the mass outside the support: a sequence of
    positive probability has no impossible context on its way. They do matter to the entropy of the law,
    and to the calls of a rule that looks at rows.

    >>> from mdmjax import Joint, Oracle
    >>> even = Oracle(Joint(jnp.array([[[0.5, 0.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 0.5]]])))
    >>> [x.tolist() for x in jnp.exp(Fallback(even)(jnp.array([0, 1, 2])))]
    [[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]]
    """

    def __call__(self, tokens: Tokens) -> LogProbs:
        """Log-probabilities of every symbol at every position, never NaN."""
        rows = self.perturb(self.denoiser(tokens), tokens)
        return jnp.where((tokens == self.q)[:, None], rows, known_rows(tokens, self.q).astype(rows.dtype))

    def perturb(self, log_probs: LogProbs, tokens: Tokens) -> LogProbs:
        """Uniform rows in place of those with NaN."""
        missing = jnp.any(jnp.isnan(log_probs), axis=1, keepdims=True)
        return jnp.where(missing, -jnp.log(self.q), log_probs)


class EntropyNoise(AbstractPerturbed):
    r"""Error in proportion to entropy: Assumption 4.2 of arXiv 2602.00286 (Eq. 10) with known constants.

    The row of a masked position $i$ in context $x_S$ has the model-first local error of Eq. 6

    $$\varepsilon_i = \mathrm{KL}(\hat p_i \,\|\, p_i)
      = \min\left(\alpha H(p_i) + \lambda E_S,\ -\log \min_a p_i(a)\right)$$

    in nats, the inner minimum over the symbols that $p_i$ has, so that Eq. 10 holds with $b = 0$. Our
    choice of error: $p_i$ is mixed towards its least likely possible symbol (the first of equals); at
    $\lambda = 0$ the cap only matters for $\alpha > 1$. A certain row stays certain.

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
