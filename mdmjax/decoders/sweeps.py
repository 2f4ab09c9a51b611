"""Sweeps: blocks of positions masked and drawn again, in turn; and editing what another decoder wrote."""

from collections.abc import Sequence
from dataclasses import replace

import equinox as eqx
import jax
import jax.numpy as jnp

from .._checks import check_integer
from .._errors import refuse
from .._types import Array, Bool, Int, Key, Step, Tokens
from ..denoisers.base import AbstractDenoiser
from .base import DENOISED, AbstractDecoder, Branches, revealed_rows
from .orders import FixedPartition, check_positions

# Whose calls `Edited` counts, and what a law says of them.
COUNTED = {"both": DENOISED, "writer": f"{DENOISED} by the writer", "editor": f"{DENOISED} by the editor"}


class Sweeps(AbstractDecoder):
    r"""The blocks of an ordered partition, each masked and redrawn in turn, `passes` times over.

    Step `t` masks block `B = t mod len(blocks)` and draws its positions independently, $x_B \sim \prod_{i
    \in B} \hat p(x_i \mid x_{-B})$ (arXiv 2602.00286, App. C). From all masked, the first pass is
    `FixedPartition(blocks)`. With blocks of one position and the oracle of $p$ it is the systematic-scan
    Gibbs sampler. Where it leads is `stationary_law`.

    Raises:
        InvalidInputError: as `FixedPartition`; `passes` below 1.

    >>> from mdmjax import Joint, Oracle, exact_law
    >>> same = Oracle(Joint(jnp.array([[0.5, 0.0], [0.0, 0.5]])))
    >>> exact_law(same, Sweeps([[0], [1]], passes=3)).probs.tolist()
    [[0.5, 0.0], [0.0, 0.5]]
    """

    levels: Int[Array, " n"]
    passes: int = eqx.field(static=True)
    revises = True

    def __init__(self, blocks: Sequence[Sequence[int]], passes: int):
        self.levels, self.passes = FixedPartition(blocks).levels, check_integer("passes", passes, 1)

    def branches(self, denoiser: AbstractDenoiser, tokens: Tokens, step: Step) -> Branches:
        """One branch: the block from its rows given the rest."""
        check_positions("blocks", self.levels, tokens)
        block = self.levels == step % (jnp.max(self.levels) + 1)
        hidden = jnp.where(block, denoiser.q, tokens)
        rows = revealed_rows(denoiser(hidden), hidden, block)
        return Branches(jnp.ones((1,), rows.dtype), rows[None])

    def finished(self, tokens: Tokens, step: Step, q: int) -> Bool[Array, ""]:
        """After the last block of the last pass."""
        return step >= self.passes * (jnp.max(self.levels) + 1)


class Edited(AbstractDecoder):
    r"""What `decoder` writes, edited by `editor`: generate, then edit (arXiv 2601.15593).

    The decoder, which must not revise, has the first `n` steps and idles, at no call, in those that it does
    not need; then the editor takes its steps, counted from 0, until it is finished.
    `Edited(decoder, Sweeps(blocks, k))` redraws every block `k` times.

    With `denoiser` the editor has one of its own (our choice: the paper is known in parts only), which no
    temperature around the pair changes. `counted` says whose calls are: "both" together, one as dear as the
    other, or those of the "writer" or the "editor" alone.

    Raises:
        InvalidInputError: `counted` that is none of the three; a `denoiser` of other sizes.

    >>> from mdmjax import Joint, Mixed, Oracle, Reveal, Schedule, exact_law, left_to_right
    >>> same = Oracle(Joint(jnp.array([[0.5, 0.0], [0.0, 0.5]])))
    >>> write = Reveal(left_to_right(Schedule([1, 1])))
    >>> law = exact_law(same, Edited(write, Sweeps([[0], [1]], passes=1)))
    >>> law.probs.tolist(), float(law.expected_calls)
    ([[0.5, 0.0], [0.0, 0.5]], 4.0)
    >>> law = exact_law(Mixed(same, 0.2), Edited(write, Sweeps([[0], [1]], 1), same, counted="editor"))
    >>> law.probs.round(4).tolist(), round(float(law.expected_calls), 4)
    ([[0.5, 0.0], [0.0, 0.5]], 2.0)
    """

    decoder: AbstractDecoder
    editor: AbstractDecoder
    denoiser: AbstractDenoiser | None = None
    counted: str = eqx.field(default="both", static=True, kw_only=True)
    revises = True
    remembers = property(lambda self: self.decoder.remembers or self.editor.remembers)  # type: ignore[assignment]
    calls_of = property(lambda self: COUNTED[self.counted])  # type: ignore[assignment]

    def __check_init__(self):
        if self.counted not in COUNTED:
            refuse("counted", self.counted, f"one of {', '.join(COUNTED)}")

    def branches(self, denoiser: AbstractDenoiser, tokens: Tokens, step: Step) -> Branches:
        """Those of both, of which one of the two has no weight."""
        writing = step < denoiser.n
        first = self.decoder.branches(denoiser, tokens, step)
        second = self.editor.branches(self._reader(denoiser), tokens, step - denoiser.n)
        weights = [jnp.where(writing, first.weights, 0.0), jnp.where(writing, 0.0, second.weights)]
        return Branches(jnp.concatenate(weights), jnp.concatenate([first.rows, second.rows]))

    def draw(self, key: Key[Array, ""], denoiser: AbstractDenoiser, tokens: Tokens, step: Step) -> Tokens:
        """One draw from either."""
        write = lambda: self.decoder.draw(key, denoiser, tokens, step)
        edit = lambda: self.editor.draw(key, self._reader(denoiser), tokens, step - denoiser.n)
        return jax.lax.cond(step < denoiser.n, write, edit)

    def calls(self, tokens: Tokens, step: Step, q: int) -> Int[Array, ""]:
        """Those that are `counted`: of the decoder, none where it idles, then of the editor."""
        n, none = tokens.shape[0], jnp.zeros((), int)
        idle = self.decoder.finished(tokens, step, q)
        writing = none if self.counted == "editor" else self.decoder.calls(tokens, step, q)
        editing = none if self.counted == "writer" else self.editor.calls(tokens, step - n, q)
        return jnp.where(step < n, jnp.where(idle, 0, writing), editing)

    def finished(self, tokens: Tokens, step: Step, q: int) -> Bool[Array, ""]:
        """When the editor is."""
        n = tokens.shape[0]
        return (step >= n) & self.editor.finished(tokens, step - n, q)

    def then(self, denoiser: AbstractDenoiser, tokens: Tokens, after: Tokens, step: Step) -> "Edited":
        """What the one of the two that took the step remembers."""
        n, own = denoiser.n, self._reader(denoiser)
        write = lambda: replace(self, decoder=self.decoder.then(denoiser, tokens, after, step))
        edit = lambda: replace(self, editor=self.editor.then(own, tokens, after, step - n))
        both = eqx.partition(self, eqx.is_array)
        arrays = lambda made: lambda: eqx.filter(made(), eqx.is_array)
        return eqx.combine(jax.lax.cond(step < n, arrays(write), arrays(edit)), both[1])

    def start(self, n: int, q: int) -> Branches:
        """That of the decoder."""
        return self.decoder.start(n, q)

    def _reader(self, denoiser: AbstractDenoiser) -> AbstractDenoiser:
        """The denoiser that the editor calls."""
        own = denoiser if self.denoiser is None else self.denoiser
        if (own.n, own.q) != (denoiser.n, denoiser.q):
            wanted = f"n, q = {denoiser.n}, {denoiser.q} of what it edits"
            refuse("denoiser", f"the editor's, of n, q = {own.n}, {own.q}", wanted)
        return own
