"""Where sweeps end: the law of a sequence whose blocks are masked and redrawn for ever."""

from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from .._checks import Numbers, check_integer
from .._errors import check_bytes, refuse
from .._types import Array, Float
from ..denoisers.base import AbstractDenoiser
from ..distributions.joint import MAX_TABLE_BYTES
from ..divergences.tables import Table
from ._redraw import Pass


class StationaryLaw(NamedTuple):
    """A law that a pass no longer changes, and how well that is known.

    `residual` is the total variation between the laws before and after the last of `passes` passes.
    `bound` is on the total variation from the stationary law; `inf` where none is known.
    """

    probs: Float[Array, "..."]
    residual: Float[Array, ""]
    bound: Float[Array, ""]
    passes: int


def stationary_law(
    denoiser: AbstractDenoiser,
    blocks: Sequence[Sequence[int]],
    *,
    weights: Numbers | None = None,
    start: Table | None = None,
    tolerance: float = 1e-12,
    max_passes: int = 2**14,
    max_bytes: int = MAX_TABLE_BYTES,
) -> StationaryLaw:
    r"""The limit of passes in which every one of `blocks` is masked and redrawn.

    A pass redraws the blocks in turn, as `Sweeps` does; with `weights` it redraws one of them, drawn with
    these probabilities (all subsets with $\rho^{|B|} (1-\rho)^{n-|B|}$: mask each position with probability
    $\rho$ and redraw). Blocks are sets of positions, not always a partition. Passes go on from `start`
    (uniform if not given) until one changes the law by at most `tolerance` in total variation.

    The law is unique, and reached from any start, if no row has a zero and the blocks (those of positive
    weight) hold every position. With zeros there may be several, and this is the one that `start` leads
    to, if it leads to any. With the oracle of a positive $p$ and blocks of one position it is $p$.

    `bound` is $\text{residual} \cdot (1 - \epsilon) / \epsilon$ with $\epsilon = \prod_B \sum_{x_B}
    \min_{x_{-B}} \prod_{i \in B} \hat p(x_i \mid x_{-B})$: in a pass two chains can be made to meet with at
    least that probability (with `weights`, only a block of all positions counts). Our choice; it is
    sharp for few positions and says little for many.

    Cost: `O(passes * blocks * q^n)` time, `O(blocks * q^n)` memory, $\sum_B q^{n-|B|}$ calls of the
    denoiser. Sums are float64; the result has the default float type.

    Raises:
        InvalidInputError: `max_passes` that do not suffice, as for a periodic chain; blocks that are not
            sets of positions; weights that do not sum to one; a start of another shape; a denoiser that
            is NaN where the passes lead, or whose rows do not sum to one; more than `max_bytes` bytes.

    >>> from mdmjax import Joint, Oracle
    >>> noisy = Joint(jnp.array([[0.4, 0.1], [0.2, 0.3]]))
    >>> stationary_law(Oracle(noisy), [[0], [1]]).probs.round(4).tolist()
    [[0.4, 0.1], [0.2, 0.3]]
    >>> stationary_law(Oracle(noisy), [[0, 1]]).probs.round(4).tolist()
    [[0.3, 0.2], [0.3, 0.2]]
    """
    check_integer("max_passes", max_passes, 1)
    one_pass = Pass(denoiser, blocks, weights, max_bytes)
    law = one_pass.start(start)
    passes, residual = 0, np.inf
    while residual > tolerance and passes < max_passes:
        after = one_pass(law)
        passes, residual, law = passes + 1, np.abs(after - law).sum() / 2, after
    if residual > tolerance:
        far = f"the last pass changed the law by {residual:.3g}, not {tolerance:.3g}"
        refuse("max_passes", max_passes, "more passes", f"{far}; raise it, or see sweep_laws")
    meets = one_pass.meeting_chance()
    bound = residual * (1 - meets) / meets if meets > 0 else np.inf
    dtype = jnp.result_type(float)
    known = [jnp.asarray(x, dtype) for x in (law, residual, bound)]
    return StationaryLaw(known[0], known[1], known[2], passes)


def sweep_laws(
    denoiser: AbstractDenoiser,
    blocks: Sequence[Sequence[int]],
    start: Table,
    passes: int,
    *,
    weights: Numbers | None = None,
    max_bytes: int = MAX_TABLE_BYTES,
) -> Float[Array, "..."]:
    r"""The laws after `0..passes` passes from `start`, shape `[passes + 1] + [q]*n`.

    Blocks, weights, cost and errors are those of `stationary_law`. If a pass leaves $p$ as it is, KL and
    reverse KL to $p$ never rise. From $p$, if redrawing the one block can write a sequence that $p$ never
    has, the reverse KL is infinite after every number of passes (arXiv 2602.00286, Prop. C.5).

    >>> from mdmjax import Joint, Oracle
    >>> from mdmjax.divergences.tables import support_mismatch
    >>> same = Joint(jnp.array([[0.5, 0.0], [0.0, 0.5]]))
    >>> laws = sweep_laws(Oracle(same), [[0, 1]], same, 2)
    >>> [float(support_mismatch(same, law).invalid) for law in laws]
    [0.0, 0.5, 0.5]
    """
    check_integer("passes", passes, 0)
    size = denoiser.q**denoiser.n
    check_bytes((passes + 1) * size * 8, max_bytes, "the laws after every pass", "use fewer passes")
    one_pass = Pass(denoiser, blocks, weights, max_bytes)
    laws = [one_pass.start(start)]
    for _ in range(passes):
        laws.append(one_pass(laws[-1]))
    return jnp.asarray(np.stack(laws), jnp.result_type(float))
