"""Exact laws as pure functions of arrays: what `jax.jit`, `jax.vmap` and `jax.grad` take."""

from functools import partial

import jax.numpy as jnp

from .._errors import refuse
from ..decoders.base import AbstractDecoder
from ..decoders.orders import RandomSubset
from ..decoders.reveal import AtTemperature, Reveal, tempered_denoiser
from ..denoisers.base import AbstractDenoiser
from ..distributions.joint import Joint
from ._rows import has_table
from ._told import known_truth
from .law import Law, Plan
from .levels import schedule_law
from .tree import check_tree, tree_law


def dense_law(denoiser: AbstractDenoiser, decoder: AbstractDecoder) -> Law:
    r"""The law that `exact_law` finds, of a decoder whose states have shapes that are known before.

    - `Reveal` of a rule that chooses nothing at random (a fixed order; ranked; a threshold): `tree_law`,
      $O(n^2 q^n)$ for an oracle of a table and what perturbs it. The law and its KLs are differentiable
      in the truth, in the denoiser and in its temperature, where no choice changes; all arrays of denoiser
      and rule may be traced.
    - `Reveal` of `RandomSubset`: a sum over sets of positions, level by level. Counts that are known take
      the products of their steps alone, counts that are traced all $(2q+1)^n$: one program for every
      schedule of `n`, whose steps are padded to `n`. Its KLs are differentiable as above.

    To map over schedules, stack decoders leaf by leaf, as below; over temperatures, take `Tempered`.
    Everything is of the float type of the truth (or the default one). In float32 a KL is within
    `1e-9 + 2e-6 KL` of that in float64 (200 joints of 32 sequences, in the tests), if no choice hangs on a
    rounding. Map over many random orders in batches of about 16, `jax.lax.map(..., batch_size=16)`, whose
    arrays stay in the cache, over many trees at once. A tree compiles for half a second a level, traced
    counts of `n = 8` for some six seconds.

    What depends on values is not refused but NaN: a denoiser that is NaN where it is reached or whose rows
    do not sum to one, and a rule that chooses nothing.

    Raises:
        InvalidInputError: any other decoder; a table or a sum that is too large, before it is made.

    >>> import jax
    >>> import jax.numpy as jnp
    >>> from mdmjax import Joint, Oracle, RandomSubset, Schedule, noisy_repeated_bit, tabulate
    >>> sizes = Reveal(RandomSubset(Schedule([1, 2])))
    >>> joints = jnp.stack([tabulate(noisy_repeated_bit(3, flip)).probs for flip in (0.1, 0.2)])
    >>> kl = lambda table: dense_law(Oracle(Joint(table)), sizes).kl(table)
    >>> [round(x, 4) for x in jax.vmap(kl)(joints).tolist()]
    [0.0078, 0.0066]
    >>> jax.grad(kl)(joints[0]).shape
    (2, 2, 2)
    >>> orders = [Reveal(RandomSubset(Schedule(counts))) for counts in ([3], [2, 1], [1, 2])]
    >>> stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *orders)
    >>> kls = jax.vmap(lambda order: dense_law(Oracle(Joint(joints[0])), order).kl(joints[0]))(stacked)
    >>> [round(x, 4) for x in kls.tolist()]
    [0.5064, 0.1666, 0.0078]
    """
    while isinstance(decoder, AtTemperature):
        denoiser, decoder = tempered_denoiser(denoiser, decoder.temperature), decoder.decoder
    if isinstance(decoder, Reveal) and isinstance(decoder.rule, RandomSubset) and not decoder.remembers:
        return schedule_law(decoder.writer(denoiser), decoder.rule.ends)
    if not isinstance(decoder, Reveal) or decoder.rule.is_random or decoder.remembers:
        wanted = "Reveal of RandomSubset or of a rule that chooses nothing at random"
        refuse("decoder", type(decoder).__name__, wanted, "exact_law has the laws of all others")
    return tree_law(denoiser, decoder)


def plan(denoiser: AbstractDenoiser, decoder: AbstractDecoder, max_steps: int | None) -> Plan | None:
    """`tree_law`, for a table whose marginals have no room: it needs none. Else it compiles for longer."""
    if not isinstance(decoder, Reveal) or decoder.rule.is_random or decoder.judge is not None:
        return None
    truth = known_truth(denoiser)
    steps = denoiser.n if max_steps is None else max_steps
    if not isinstance(truth, Joint) or has_table(truth) or steps < denoiser.n:
        return None
    check_tree(denoiser.n, denoiser.q)
    return partial(_whole_law, denoiser, decoder)


def _whole_law(denoiser: AbstractDenoiser, decoder: Reveal) -> Law:
    """The law without the steps that it never takes; refused if something is NaN."""
    law = tree_law(denoiser, decoder)
    assert law.calls is not None
    assert law.finalised is not None
    if jnp.isnan(law.probs).any():
        what, name = "NaN or chooses nothing", "the denoiser or its rule"
        refuse(name, what, "rows of sum one, and at least one position", "wrap the denoiser in Fallback")
    steps = int(jnp.flatnonzero(law.calls)[-1])
    return Law(law.probs, law.calls[: steps + 1], law.finalised[:, :steps], law.unfinished, law.way)
