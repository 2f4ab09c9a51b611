"""How a rule becomes a decoder, and at which temperature: who judges and who writes."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from .._draws import drawn_from
from .._errors import refuse
from .._types import Array, Float, Key, LogProbs, Positions, Step, Tokens
from ..denoisers.base import AbstractDenoiser
from ..denoisers.perturbed import AbstractPerturbed, Argmax, Tempered
from .base import AbstractDecoder, AbstractRule, Branches, revealed_rows
from .orders import subsets


def check_temperature(temperature: float | int) -> float | int:
    """The temperature, refused if it is not a finite number of at least 0."""
    if not 0 <= temperature < float("inf"):
        refuse("temperature", temperature, "a finite number >= 0", "0 writes the argmax")
    return temperature


class AbstractJudged(AbstractDecoder):
    """A decoder that draws tokens at a `temperature`, 0 for the argmax, and chooses by the rows before it.

    If a `judge` is given, choices go by its rows instead, and its calls are not counted (our choice).
    """

    temperature: float | int = eqx.field(
        default=1.0, static=True, kw_only=True, converter=check_temperature
    )
    judge: AbstractDenoiser | None = eqx.field(default=None, kw_only=True)

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


def of_decoder(name: str) -> Any:
    """The method of this name of the field `decoder`."""
    return lambda self, *arguments: getattr(self.decoder, name)(*arguments)


class AtTemperature(AbstractDecoder):
    r"""`decoder` with every row of its denoiser at `temperature`, those that it chooses by as well.

    For decoders that draw before they choose (verification, speculation, ReMDM, sweeps): the same as a
    denoiser that is `Tempered`, 0 for `Argmax`, but that `writer` says so.

    Raises:
        InvalidInputError: as `Reveal`.

    >>> import jax.numpy as jnp
    >>> from mdmjax import Joint, Oracle, Sweeps, exact_law
    >>> coin = Oracle(Joint(jnp.array([0.25, 0.75])))
    >>> exact_law(coin, AtTemperature(Sweeps([[0]], passes=1), 0.5)).probs.round(4).tolist()
    [0.1, 0.9]
    """

    decoder: AbstractDecoder
    temperature: float | int = eqx.field(static=True, converter=check_temperature)
    revises = property(lambda self: self.decoder.revises)  # type: ignore[assignment]
    one_path = property(lambda self: self.decoder.one_path)  # type: ignore[assignment]
    remembers = property(lambda self: self.decoder.remembers)  # type: ignore[assignment]
    calls_of = property(lambda self: self.decoder.calls_of)  # type: ignore[assignment]
    calls, finished = of_decoder("calls"), of_decoder("finished")
    start, most_steps = of_decoder("start"), of_decoder("most_steps")
    check_given = of_decoder("check_given")

    def branches(self, denoiser: AbstractDenoiser, tokens: Tokens, step: Step) -> Branches:
        """Those of the decoder with the tempered denoiser."""
        return self.decoder.branches(tempered_denoiser(denoiser, self.temperature), tokens, step)

    def draw(self, key: Key[Array, ""], denoiser: AbstractDenoiser, tokens: Tokens, step: Step) -> Tokens:
        """A draw of the decoder with the tempered denoiser."""
        return self.decoder.draw(key, tempered_denoiser(denoiser, self.temperature), tokens, step)

    def follow(
        self, key: Key[Array, ""], denoiser: AbstractDenoiser, tokens: Tokens, target: Tokens, step: Step
    ) -> tuple[Positions, Float[Array, ""]]:
        """A step of the decoder with the tempered denoiser."""
        return self.decoder.follow(key, tempered_denoiser(denoiser, self.temperature), tokens, target, step)

    def then(
        self, denoiser: AbstractDenoiser, tokens: Tokens, after: Tokens, step: Step
    ) -> "AtTemperature":
        """That of the decoder with the tempered denoiser."""
        tempered = tempered_denoiser(denoiser, self.temperature)
        return AtTemperature(self.decoder.then(tempered, tokens, after, step), self.temperature)

    def writer(self, denoiser: AbstractDenoiser) -> AbstractDenoiser:
        """That of the decoder with the tempered denoiser."""
        return self.decoder.writer(tempered_denoiser(denoiser, self.temperature))


def tempered_denoiser(denoiser: AbstractDenoiser, temperature: float | int) -> AbstractPerturbed:
    """`Tempered`, or `Argmax` at temperature 0."""
    return Argmax(denoiser) if temperature == 0 else Tempered(denoiser, temperature)


class Reveal(AbstractJudged):
    """The decoder of a rule: the positions that it chooses are drawn independently, the others stay.

    `Reveal(rule, temperature=1.0, judge=None)`: a step calls the denoiser once, on the tokens before it.
    Tokens are drawn at `temperature`, 0 for the argmax; the rule goes by the rows before it, or by those of
    `judge`, whose calls are not counted (our choice).

    Raises:
        InvalidInputError: `temperature` not a finite number of at least 0.

    >>> from mdmjax import Joint, Oracle, Schedule, left_to_right
    >>> fair = Oracle(Joint(jnp.full((2, 2), 0.25)))
    >>> step = Reveal(left_to_right(Schedule([1, 1]))).branches(fair, jnp.array([2, 2]), jnp.array(0))
    >>> step.rows.tolist()
    [[[0.5, 0.5, 0.0], [0.0, 0.0, 1.0]]]
    """

    rule: AbstractRule
    revises = False
    one_path = property(lambda self: not self.rule.is_random)  # type: ignore[assignment]

    def branches(self, denoiser: AbstractDenoiser, tokens: Tokens, step: Step) -> Branches:
        """One branch, or one a set for a random rule."""
        judged, written = self.rows(denoiser, tokens)
        if self.rule.is_random:
            weights, chosen = self.rule.choice_law(judged, tokens, step), jnp.asarray(subsets(denoiser.n))
        else:
            weights = jnp.ones((1,), judged.dtype)
            chosen = self.rule.choose(jax.random.key(0), judged, tokens, step)[None, :]  # a key not used
        return Branches(weights, jax.vmap(lambda one: revealed_rows(written, tokens, one))(chosen))

    def draw(self, key: Key[Array, ""], denoiser: AbstractDenoiser, tokens: Tokens, step: Step) -> Tokens:
        """The chosen positions drawn from their rows."""
        choosing, drawing = jax.random.split(key)
        judged, written = self.rows(denoiser, tokens)
        chosen = self.rule.choose(choosing, judged, tokens, step) & (tokens == denoiser.q)
        greedy = self.temperature == 0
        drawn = jnp.argmax(written, axis=-1) if greedy else drawn_from(drawing, jnp.exp(written))
        return jnp.where(chosen, drawn.astype(tokens.dtype), tokens)

    def follow(
        self, key: Key[Array, ""], denoiser: AbstractDenoiser, tokens: Tokens, target: Tokens, step: Step
    ) -> tuple[Positions, Float[Array, ""]]:
        """What the rule chooses, and what the rows say of it."""
        judged, written = self.rows(denoiser, tokens)
        chosen = self.rule.choose(key, judged, tokens, step) & (tokens == denoiser.q)
        return chosen, jnp.sum(written[jnp.arange(denoiser.n), target], where=chosen)

    def most_steps(self, n: int) -> int:
        """A step reveals at least one position."""
        return n
