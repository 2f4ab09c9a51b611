r"""What a decoder is: the law of one step of a sampler; and what a rule is, of which most are made.

A step takes a state to a law on states, $K(x' \mid x) = \sum_b w_b(x) \prod_i r_{b,i}(x'_i \mid x)$, a
mixture of products with the mask as one more symbol: one branch for a rule that reveals, one a subset for a
random one, one a draw for a decoder that looks at what it drew. A state need not have a mask.
"""

import abc
from typing import TYPE_CHECKING, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp

from .._draws import drawn_from
from .._errors import readable_bytes, refuse
from .._types import Array, Bool, Float, Int, Key, LogProbs, Positions, Step, Tokens
from ..denoisers.base import AbstractDenoiser
from ..distributions.joint import MAX_TABLE_BYTES

if TYPE_CHECKING:  # type checkers take `eqx.AbstractClassVar` for a field
    from typing import ClassVar as AbstractClassVar
else:
    from equinox import AbstractClassVar

# The steps after which a decoder that may go on for ever is stopped; what most calls are.
MAX_STEPS, DENOISED = 1024, "a call of the denoiser"


class AbstractRule(eqx.Module):
    r"""Which masked positions a step reveals, from what the denoiser says; `Reveal(rule)` is its decoder.

    With `is_random` false `choose` must not use its key. A random rule has an exact law if it says the
    probability of every choice in `choice_law`. At least one masked position must be chosen while there is
    one; what is chosen and not masked stays as it is.

    >>> from mdmjax import Joint, Oracle, Reveal, exact_law
    >>> class Sure(AbstractRule):
    ...     is_random = False
    ...     def choose(self, key, log_probs, tokens, step):
    ...         best = jnp.where(tokens == log_probs.shape[1], log_probs.max(axis=1), -jnp.inf)
    ...         return best == best.max()
    >>> coins = Oracle(Joint(jnp.outer(jnp.array([0.5, 0.5]), jnp.array([0.25, 0.75]))))
    >>> float(exact_law(coins, Reveal(Sure())).expected_calls)
    2.0
    """

    is_random: AbstractClassVar[bool]

    @abc.abstractmethod
    def choose(self, key: Key[Array, ""], log_probs: LogProbs, tokens: Tokens, step: Step) -> Positions:
        """The masked positions that step `step` (from 0) reveals."""

    def choice_law(self, log_probs: LogProbs, tokens: Tokens, step: Step) -> Float[Array, " subsets"]:
        """The probability that `choose` returns each set; bit `i` of the index is position `i`."""
        if self.is_random:
            name = type(self).__name__
            refuse("rule", name, "one that says the law of its choice", f"define {name}.choice_law")
        chosen = self.choose(jax.random.key(0), log_probs, tokens, step)  # the key is not used
        return certain_choice(chosen & (tokens == log_probs.shape[1]), log_probs.dtype)


class Branches(NamedTuple):
    """A mixture of products: `weights` sum to one, and so does every row over `0..q` (`q`: masked).

    >>> coin = Branches(jnp.ones((1,)), jnp.array([[[0.25, 0.75, 0.0]]]))
    >>> int(drawn_branch(jax.random.key(0), coin)[0]) in (0, 1)
    True
    """

    weights: Float[Array, " branches"]
    rows: Float[Array, "branches n symbols"]


class AbstractDecoder(eqx.Module):
    r"""One step of a sampler as a law on what follows: reveal, write, mask again, stop.

    `calls` is what a step costs, in calls of the denoiser (NFE; batched calls on several drafts count once)
    or of what `calls_of` says. `revises` is whether a token may change that is not masked, `one_path`
    whether one sequence of steps alone writes a given sequence (`follow` takes them). `draw` samples
    from `branches`; a decoder whose branches are many overrides it, with the same law. One that `remembers`
    has its memory in its fields, and is another decoder after each step: `then`.

    >>> from mdmjax import Oracle, exact_law, symmetric_chain
    >>> class AtOnce(AbstractDecoder):
    ...     revises = False
    ...     def branches(self, denoiser, tokens, step):
    ...         written = jnp.exp(denoiser(tokens))
    ...         rows = jnp.pad(written, ((0, 0), (0, 1)))  # no position stays masked
    ...         return Branches(jnp.ones((1,)), rows[None])
    >>> exact_law(Oracle(symmetric_chain(2, 2, 0.1)), AtOnce()).probs.round(4).tolist()
    [[0.25, 0.25], [0.25, 0.25]]
    """

    revises: AbstractClassVar[bool]
    one_path = False
    remembers = False
    calls_of = DENOISED

    @abc.abstractmethod
    def branches(self, denoiser: AbstractDenoiser, tokens: Tokens, step: Step) -> Branches:
        """The law of the tokens after step `step` (from 0)."""

    def draw(self, key: Key[Array, ""], denoiser: AbstractDenoiser, tokens: Tokens, step: Step) -> Tokens:
        """One draw from `branches`."""
        return drawn_branch(key, self.branches(denoiser, tokens, step)).astype(tokens.dtype)

    def follow(
        self, key: Key[Array, ""], denoiser: AbstractDenoiser, tokens: Tokens, target: Tokens, step: Step
    ) -> tuple[Positions, Float[Array, ""]]:
        r"""Masked positions that this step reveals on a way to `target`, and a log-weight $\log w$.

        Over `key`, $w$ has the mean $\sum_S \Pr(\text{the step writes } x_S \text{ and no more})$, and is
        $\Pr(S) / r(S)$ for positions $S$ that are drawn with probability $r(S)$. With `one_path` there is
        one $S$, and the key is not used. Refused unless a decoder says otherwise: what revises its tokens
        has no such product.
        """
        name = type(self).__name__
        refuse(
            "decoder", name, "one whose tokens stay as they are written", f"{name}.follow is not defined"
        )

    def then(
        self, denoiser: AbstractDenoiser, tokens: Tokens, after: Tokens, step: Step
    ) -> "AbstractDecoder":
        """The decoder of the next step, which remembers that this one made `after` of `tokens`.

        Of the same structure and shapes; what it is may depend on nothing else. Where it `remembers`. Its
        memory is the arrays that are made anew here: what is passed on as it is, is none.
        """
        return self

    def calls(self, tokens: Tokens, step: Step, q: int) -> Int[Array, ""]:
        """Calls of the denoiser in this step: one, unless a decoder says otherwise."""
        return jnp.ones((), int)

    def finished(self, tokens: Tokens, step: Step, q: int) -> Bool[Array, ""]:
        """Whether to stop before step `step`: once nothing is masked, unless a decoder says otherwise."""
        return jnp.all(tokens != q)

    def start(self, n: int, q: int) -> Branches:
        """The law of the tokens before step 0: all masked, unless a decoder says otherwise."""
        return word_branches(jnp.ones((1,)), jnp.full((1, n), q), q)

    def check_given(self, given: Int[Array, "*samples n"]) -> None:
        """Refuse tokens to start from that it cannot complete: none, unless a decoder says otherwise."""
        return

    def writer(self, denoiser: AbstractDenoiser) -> AbstractDenoiser:
        """The denoiser whose rows tokens are drawn from: as it is, unless a decoder has a temperature."""
        return denoiser

    def most_steps(self, n: int) -> int:
        """The steps after which it is stopped if nothing else is said; it may go on for ever."""
        return MAX_STEPS


def drawn_branch(key: Key[Array, ""], branches: Branches) -> Int[Array, " n"]:
    """One draw from a mixture of products."""
    choosing, drawing = jax.random.split(key)
    one = branches.weights.shape[0] == 1
    branch = 0 if one else drawn_from(choosing, branches.weights[None, :])[0]
    return drawn_from(drawing, branches.rows[branch])


def certain_choice(chosen: Positions, dtype: jnp.dtype) -> Float[Array, " subsets"]:
    """The law of a choice that is always this set."""
    n = chosen.shape[0]
    return jax.nn.one_hot(jnp.sum(jnp.where(chosen, 1 << jnp.arange(n), 0)), 2**n, dtype=dtype)


def kept_rows(tokens: Int[Array, "*words n"], q: int, dtype: jnp.dtype) -> Float[Array, "*words n symbols"]:
    """The rows of a step that changes nothing."""
    return jax.nn.one_hot(tokens, q + 1, dtype=dtype)


def revealed_rows(log_probs: LogProbs, tokens: Tokens, chosen: Positions) -> Float[Array, "n symbols"]:
    """The rows of a step that draws the chosen masked positions and keeps the others."""
    q = log_probs.shape[1]
    drawn = jnp.pad(jnp.exp(log_probs), ((0, 0), (0, 1)))
    masked = chosen & (tokens == q)
    return jnp.where(masked[:, None], drawn, kept_rows(tokens, q, log_probs.dtype))


def word_branches(weights: Float[Array, " branches"], words: Int[Array, "branches n"], q: int) -> Branches:
    """The law of one of the words: a branch that is certain for each."""
    return Branches(weights, kept_rows(words, q, weights.dtype))


def check_branches(
    argument: str, value: str, count: int, n: int, q: int, limit: int = MAX_TABLE_BYTES
) -> None:
    """Refuse `count` branches of `[n, q + 1]` that need more than `limit` bytes, before they are made."""
    need = count * n * (q + 1) * 8
    if need > limit:
        wanted = f"branches of at most {readable_bytes(limit)}"
        refuse(argument, value, wanted, f"they need {readable_bytes(need)}; use less, or sample instead")
