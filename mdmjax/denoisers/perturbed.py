r"""Denoisers with a known error: the knobs that turn a perfect denoiser into a wrong one.

Each wraps any denoiser and changes the rows of masked positions; a revealed position stays certain of
its token. Rows that the base gives as NaN (contexts that the data never have) stay NaN: no error,
not even `delta = 1`, makes an answer where the base has none. All of these are our choices.
"""

import abc

import equinox as eqx
import jax
import jax.numpy as jnp

from .._checks import Numbers, as_floats, check_probability, check_shape
from .._errors import refuse
from .._numerics import safe_log
from .._types import Array, Float, Key, Tokens
from .base import AbstractDenoiser


class AbstractPerturbed(AbstractDenoiser):
    """A denoiser whose masked rows are a function of those of another one."""

    denoiser: eqx.AbstractVar[AbstractDenoiser]

    @abc.abstractmethod
    def perturb(self, log_probs: Float[Array, "n q"], tokens: Tokens) -> Float[Array, "n q"]:
        """The rows with error; what it says at revealed positions is not used."""

    @property
    def n(self) -> int:
        """Number of positions."""
        return self.denoiser.n

    @property
    def q(self) -> int:
        """Size of the alphabet."""
        return self.denoiser.q

    def __call__(self, tokens: Tokens) -> Float[Array, "n q"]:
        """Log-probabilities of every symbol at every position."""
        return self.perturbed(self.denoiser(tokens), tokens)

    def perturbed(self, log_probs: Float[Array, "n q"], tokens: Tokens) -> Float[Array, "n q"]:
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

    denoiser: AbstractDenoiser
    delta: Float[Array, ""]

    def __init__(self, denoiser: AbstractDenoiser, delta: Numbers):
        self.denoiser, self.delta = denoiser, scalar("delta", delta)
        check_probability("delta", self.delta)

    def perturb(self, log_probs: Float[Array, "n q"], tokens: Tokens) -> Float[Array, "n q"]:
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

    denoiser: AbstractDenoiser
    temperature: Float[Array, ""]

    def __init__(self, denoiser: AbstractDenoiser, temperature: Numbers):
        self.denoiser, self.temperature = denoiser, scalar("temperature", temperature)
        check_positive("temperature", self.temperature)

    def perturb(self, log_probs: Float[Array, "n q"], tokens: Tokens) -> Float[Array, "n q"]:
        """The rows at the temperature, normalised."""
        return tempered(log_probs, self.temperature.astype(log_probs.dtype))


class DirichletNoise(AbstractPerturbed):
    r"""Every masked row replaced by a draw of a Dirichlet law with mean $p$, fixed by `key`.

    The parameters are $\kappa p$ with $\kappa$ the `concentration`, so the variance of an entry is
    $p_a (1 - p_a) / (\kappa + 1)$, and symbols of probability 0 keep it. The draw is a function of the key
    and the context, so that this is one wrong denoiser, not a random one: the same tokens always get the
    same rows. Different contexts and positions get independent draws.

    Raises:
        InvalidInputError: `concentration` not a finite number above 0.

    >>> from mdmjax import Joint, Oracle
    >>> coin = Oracle(Joint(jnp.array([0.2, 0.8])))
    >>> noisy = DirichletNoise(coin, 10.0, key=jax.random.key(0))
    >>> bool(jnp.all(noisy(jnp.array([2])) == noisy(jnp.array([2]))))
    True
    """

    denoiser: AbstractDenoiser
    concentration: Float[Array, ""]
    key: Key[Array, ""]

    def __init__(self, denoiser: AbstractDenoiser, concentration: Numbers, *, key: Key[Array, ""]):
        self.denoiser, self.key = denoiser, key
        self.concentration = scalar("concentration", concentration)
        check_positive("concentration", self.concentration)

    def perturb(self, log_probs: Float[Array, "n q"], tokens: Tokens) -> Float[Array, "n q"]:
        """Normalised gamma variables, in logarithms: small parameters underflow otherwise."""
        # The code of the context goes into the key digit by digit: no integer holds (q+1)^n.
        key, _ = jax.lax.scan(lambda key, token: (jax.random.fold_in(key, token), None), self.key, tokens)
        probs = jnp.exp(log_probs)
        possible = probs > 0
        shape = jnp.where(possible, self.concentration.astype(probs.dtype) * probs, 1.0)
        drawn = jnp.where(possible, jax.random.loggamma(key, shape, dtype=probs.dtype), -jnp.inf)
        return jnp.where(jnp.isnan(log_probs), log_probs, jax.nn.log_softmax(drawn, axis=-1))


def tempered(log_probs: Float[Array, "n q"], temperature: Float[Array, ""] | float) -> Float[Array, "n q"]:
    r"""Rows $p^{1/\tau} / \sum_a p_a^{1/\tau}$, in logarithms.

    >>> [round(float(x), 4) for x in jnp.exp(tempered(jnp.log(jnp.array([[0.2, 0.8]])), 0.5))[0]]
    [0.0588, 0.9412]
    """
    return jax.nn.log_softmax(log_probs / temperature, axis=-1)


def scalar(argument: str, value: Numbers) -> Float[Array, ""]:
    """The value as one number of the default float type; refused if it has axes."""
    (number,) = as_floats(value)
    check_shape(argument, number, (), "()")
    return number


def check_positive(argument: str, value: Float[Array, ""]) -> None:
    """Refuse what is not a finite number above 0; a traced value passes."""
    if not isinstance(value, jax.core.Tracer) and not 0 < float(value) < float("inf"):
        refuse(argument, f"{float(value):.6g}", "a finite number > 0")
