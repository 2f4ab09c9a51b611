"""Sweeps: positions masked and redrawn, in turn or at random; and editing what another decoder wrote."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .._checks import Numbers, as_floats, check_integer, check_rows
from .._draws import drawn_from
from .._errors import refuse
from .._types import Array, Bool, Float, Int, Key, Step, Tokens
from ..denoisers.base import AbstractDenoiser
from .base import DENOISED, AbstractDecoder, Branches, check_branches, revealed_rows
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


class MaskedGibbs(AbstractDecoder):
    r"""A uniformly random set $B$ of `width` positions masked and redrawn, `steps` times: a GMLM's chain.

    A step draws $x_B \sim \prod_{i \in B} \hat p(x_i \mid x_{-B})$, the product of the conditionals (arXiv
    2407.21046, of which the abstract was seen). Our choices: the draws of a step are independent, and the
    chain starts from all masked, with one more step before the others that writes everything from its
    marginals; or from independent tokens with the laws `start`, `[n, q]`.

    With width 1 and the oracle of $p$ it is the random-scan Gibbs sampler, which leaves $p$ as it is. It
    leads to `stationary_law(denoiser, sets, weights=...)`, all sets of `width` positions equally likely.
    Exact laws call the denoiser on $\binom{n}{\text{width}}$ states in a step, draws on one.

    Raises:
        InvalidInputError: `width` or `steps` below 1; a `start` of no probability rows; at the first use,
            `width` above `n`, a `start` of another shape, or branches of more than 2 GiB.

    >>> from mdmjax import Joint, Oracle, exact_law
    >>> noisy = Joint(jnp.array([[0.4, 0.1], [0.2, 0.3]]))
    >>> exact_law(Oracle(noisy), MaskedGibbs(1, steps=40)).probs.round(4).tolist()
    [[0.4, 0.1], [0.2, 0.3]]
    """

    width: int = eqx.field(static=True)
    steps: int = eqx.field(static=True)
    starts: Float[Array, "n q"] | None
    revises = True

    def __init__(self, width: int, steps: int, start: Numbers | None = None):
        self.width, self.steps = check_integer("width", width, 1), check_integer("steps", steps, 1)
        self.starts = None if start is None else as_floats(start)[0]
        if self.starts is not None:
            check_rows("start", self.starts)

    def branches(self, denoiser: AbstractDenoiser, tokens: Tokens, step: Step) -> Branches:
        """One branch a set."""
        n, q = denoiser.n, denoiser.q
        self._check(n)
        count = math.comb(n, self.width)
        check_branches("width", str(self.width), count, n, q)
        sets = np.zeros((count, n), bool)
        np.put_along_axis(sets, np.array(list(itertools.combinations(range(n), self.width))), True, axis=1)
        hidden = jnp.where(jnp.asarray(sets), q, tokens[None, :])
        rows = jax.vmap(lambda state: revealed_rows(denoiser(state), state, state == q))(hidden)
        return Branches(jnp.full((count,), 1 / count, rows.dtype), rows)

    def draw(self, key: Key[Array, ""], denoiser: AbstractDenoiser, tokens: Tokens, step: Step) -> Tokens:
        """One set, masked and redrawn."""
        self._check(denoiser.n)
        choosing, drawing = jax.random.split(key)
        chosen = jax.random.permutation(choosing, denoiser.n) < self.width
        hidden = jnp.where(chosen, denoiser.q, tokens)
        drawn = drawn_from(drawing, jnp.exp(denoiser(hidden)))
        return jnp.where(hidden == denoiser.q, drawn.astype(tokens.dtype), tokens)

    def finished(self, tokens: Tokens, step: Step, q: int) -> Bool[Array, ""]:
        """After all steps."""
        return jnp.asarray(step >= self.most_steps(tokens.shape[0]))

    def start(self, n: int, q: int) -> Branches:
        """All masked, or independent tokens."""
        if self.starts is None:
            return super().start(n, q)
        if self.starts.shape != (n, q):
            refuse("start", f"of shape {self.starts.shape}", f"one row of q = {q} for each of n = {n}")
        return Branches(jnp.ones((1,), self.starts.dtype), jnp.pad(self.starts, ((0, 0), (0, 1)))[None])

    def most_steps(self, n: int) -> int:
        """`steps`, and one that writes what is masked."""
        return self.steps + (self.starts is None)

    def _check(self, n: int) -> None:
        if self.width > n:
            refuse("width", self.width, f"an integer in 1..n with n = {n}")


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
        writing = jnp.asarray(step < n)
        first = self.decoder.then(denoiser, tokens, after, step)
        second = self.editor.then(own, tokens, after, step - n)
        written, edited = _where(writing, first, self.decoder), _where(~writing, second, self.editor)
        return replace(self, decoder=written, editor=edited)

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


def _where(when: Bool[Array, ""], new: AbstractDecoder, old: AbstractDecoder) -> AbstractDecoder:
    """The new decoder, or the old one; an array that both share stays itself, and is no memory."""
    pick = lambda a, b: jnp.where(when, a, b) if eqx.is_array(a) and a is not b else b
    return jax.tree.map(pick, new, old)
