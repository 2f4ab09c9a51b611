"""Who judges and who writes: the rows that choices go by, and the rows that tokens are drawn from."""

import equinox as eqx

from .._errors import refuse
from .._types import Array, Bool, Float, Int, Key, Tokens
from ..denoisers.argmax import Argmax
from ..denoisers.base import AbstractDenoiser
from ..denoisers.perturbed import Tempered
from .base import AbstractDecoder, Branches


class Writing(eqx.Module):
    r"""Tokens are drawn at `temperature`, 0 for the argmax; choices go by the rows of `judge`.

    Without a judge choices go by the rows of the denoiser that writes, as they are before the temperature:
    then a step calls it once.

    Raises:
        InvalidInputError: `temperature` not a finite number of at least 0.

    >>> from mdmjax import Joint, Oracle
    >>> coin = Oracle(Joint(jnp.array([0.25, 0.75])))
    >>> judged, written = Writing(temperature=0).rows(coin, jnp.array([2]))
    >>> jnp.exp(judged).tolist(), jnp.exp(written).tolist()
    ([[0.25, 0.75]], [[0.0, 1.0]])
    """

    temperature: float = eqx.field(static=True, default=1.0)
    judge: AbstractDenoiser | None = None

    def __check_init__(self):
        """Refuse what is no temperature."""
        if not 0 <= self.temperature < float("inf"):
            refuse("temperature", self.temperature, "a finite number >= 0", "0 writes the argmax")

    def rows(
        self, denoiser: AbstractDenoiser, tokens: Tokens
    ) -> tuple[Float[Array, "n q"], Float[Array, "n q"]]:
        """The rows that choices go by, and those that are drawn from."""
        log_probs = denoiser(tokens)
        judged = log_probs if self.judge is None else self.judge(tokens)
        if self.temperature == 1:
            return judged, log_probs
        return judged, self.writer(denoiser).perturbed(log_probs, tokens)

    def writer(self, denoiser: AbstractDenoiser) -> AbstractDenoiser:
        """The denoiser whose rows are drawn from."""
        if self.temperature == 1:
            return denoiser
        return Argmax(denoiser) if self.temperature == 0 else Tempered(denoiser, self.temperature)


class AtTemperature(AbstractDecoder):
    r"""`decoder` with every row of its denoiser at `temperature`, those that it chooses by as well.

    For decoders that draw before they choose (verification, speculation, ReMDM, sweeps). Decoders with a
    temperature of their own (`Reveal`, `LowConfidence`, `Wino`) choose by the rows as they are.

    >>> from mdmjax import Joint, Oracle, Sweeps, exact_law
    >>> coin = Oracle(Joint(jnp.array([0.25, 0.75])))
    >>> exact_law(coin, AtTemperature(Sweeps([[0]], passes=1), 0.5)).probs.round(4).tolist()
    [0.1, 0.9]
    """

    decoder: AbstractDecoder
    writing: Writing

    def __init__(self, decoder: AbstractDecoder, temperature: float):
        self.decoder, self.writing = decoder, Writing(temperature)

    @property
    def revises(self) -> bool:
        """Whether `decoder` does."""
        return self.decoder.revises

    def branches(self, denoiser: AbstractDenoiser, tokens: Tokens, step: Int[Array, ""]) -> Branches:
        """Those of the decoder with the tempered denoiser."""
        return self.decoder.branches(self.writing.writer(denoiser), tokens, step)

    def draw(
        self, key: Key[Array, ""], denoiser: AbstractDenoiser, tokens: Tokens, step: Int[Array, ""]
    ) -> Tokens:
        """A draw of the decoder with the tempered denoiser."""
        return self.decoder.draw(key, self.writing.writer(denoiser), tokens, step)

    def calls(self, tokens: Tokens, step: Int[Array, ""], q: int) -> Int[Array, ""]:
        """Those of the decoder."""
        return self.decoder.calls(tokens, step, q)

    def finished(self, tokens: Tokens, step: Int[Array, ""], q: int) -> Bool[Array, ""]:
        """When the decoder is."""
        return self.decoder.finished(tokens, step, q)

    def writer(self, denoiser: AbstractDenoiser) -> AbstractDenoiser:
        """The tempered denoiser."""
        return self.decoder.writer(self.writing.writer(denoiser))

    def most_steps(self, n: int) -> int:
        """Those of the decoder."""
        return self.decoder.most_steps(n)
