"""Who judges and who writes: the rows that choices go by, and the rows that tokens are drawn from."""

import equinox as eqx

from .._errors import refuse
from .._types import Array, Bool, Int, Key, LogProbs, Step, Tokens
from ..denoisers.base import AbstractDenoiser
from ..denoisers.perturbed import AbstractPerturbed, Argmax, Tempered
from .base import AbstractDecoder, Branches


class AbstractJudged(AbstractDecoder):
    r"""A decoder that draws tokens at a `temperature`, 0 for the argmax, and chooses by the rows before it.

    So a step calls the denoiser once. If a `judge` is given, choices go by its rows instead, and its calls
    are not counted (our choice). Other decoders draw before they choose: see `AtTemperature`.

    Raises:
        InvalidInputError: `temperature` not a finite number of at least 0.

    >>> import jax.numpy as jnp
    >>> from mdmjax import ConfidenceThreshold, Joint, Oracle, Reveal
    >>> coin = Oracle(Joint(jnp.array([0.25, 0.75])))
    >>> judged, written = Reveal(ConfidenceThreshold(1.0), temperature=0).rows(coin, jnp.array([2]))
    >>> jnp.exp(judged).tolist(), jnp.exp(written).tolist()
    ([[0.25, 0.75]], [[0.0, 1.0]])
    """

    temperature: float | int = eqx.field(default=1.0, static=True, kw_only=True)
    judge: AbstractDenoiser | None = eqx.field(default=None, kw_only=True)

    def __check_init__(self):
        """Refuse what is no temperature."""
        check_temperature(self.temperature)

    def rows(self, denoiser: AbstractDenoiser, tokens: Tokens) -> tuple[LogProbs, LogProbs]:
        """The rows that choices go by, and those that are drawn from."""
        said = denoiser(tokens)
        judged = said if self.judge is None else self.judge(tokens)
        if self.temperature == 1:
            return judged, said
        return judged, tempered_denoiser(denoiser, self.temperature).perturbed(said, tokens)

    def writer(self, denoiser: AbstractDenoiser) -> AbstractDenoiser:
        """The denoiser at the temperature."""
        return denoiser if self.temperature == 1 else tempered_denoiser(denoiser, self.temperature)


class AtTemperature(AbstractDecoder):
    r"""`decoder` with every row of its denoiser at `temperature`, those that it chooses by as well.

    For decoders that draw before they choose (verification, speculation, ReMDM, sweeps): the same as a
    denoiser that is `Tempered`, 0 for `Argmax`, but that `writer` says so.

    Raises:
        InvalidInputError: `temperature` not a finite number of at least 0.

    >>> import jax.numpy as jnp
    >>> from mdmjax import Joint, Oracle, Sweeps, exact_law
    >>> coin = Oracle(Joint(jnp.array([0.25, 0.75])))
    >>> exact_law(coin, AtTemperature(Sweeps([[0]], passes=1), 0.5)).probs.round(4).tolist()
    [0.1, 0.9]
    """

    decoder: AbstractDecoder
    temperature: float | int = eqx.field(static=True)

    def __check_init__(self):
        """Refuse what is no temperature."""
        check_temperature(self.temperature)

    @property
    def revises(self) -> bool:
        """Whether `decoder` does."""
        return self.decoder.revises

    def branches(self, denoiser: AbstractDenoiser, tokens: Tokens, step: Step) -> Branches:
        """Those of the decoder with the tempered denoiser."""
        return self.decoder.branches(tempered_denoiser(denoiser, self.temperature), tokens, step)

    def draw(self, key: Key[Array, ""], denoiser: AbstractDenoiser, tokens: Tokens, step: Step) -> Tokens:
        """A draw of the decoder with the tempered denoiser."""
        return self.decoder.draw(key, tempered_denoiser(denoiser, self.temperature), tokens, step)

    def calls(self, tokens: Tokens, step: Step, q: int) -> Int[Array, ""]:
        """Those of the decoder."""
        return self.decoder.calls(tokens, step, q)

    def finished(self, tokens: Tokens, step: Step, q: int) -> Bool[Array, ""]:
        """When the decoder is."""
        return self.decoder.finished(tokens, step, q)

    def start(self, n: int, q: int) -> Branches:
        """That of the decoder."""
        return self.decoder.start(n, q)

    def writer(self, denoiser: AbstractDenoiser) -> AbstractDenoiser:
        """That of the decoder with the tempered denoiser."""
        return self.decoder.writer(tempered_denoiser(denoiser, self.temperature))

    def most_steps(self, n: int) -> int:
        """Those of the decoder."""
        return self.decoder.most_steps(n)


def tempered_denoiser(denoiser: AbstractDenoiser, temperature: float | int) -> AbstractPerturbed:
    """`Tempered`, or `Argmax` at temperature 0."""
    return Argmax(denoiser) if temperature == 0 else Tempered(denoiser, temperature)


def check_temperature(temperature: float | int) -> None:
    """Refuse what is not a finite number of at least 0."""
    if not 0 <= temperature < float("inf"):
        refuse("temperature", temperature, "a finite number >= 0", "0 writes the argmax")
