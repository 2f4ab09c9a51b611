"""The glossary of axis names: every array annotation of the package uses these words.

| axis     | meaning                                                       |
|----------|---------------------------------------------------------------|
| `n`      | positions of a sequence                                       |
| `q`      | symbols of the alphabet, `0..q-1`; the mask token is id `q`    |
| `steps`  | steps of a schedule; their counts sum to `n`                   |
| `points` | `n+1`, the sizes `k = 0..n` of a subset of positions           |
| `subsets`| `2^n` subsets of positions; bit `i` of the index is position `i`|
| `states` | hidden states of a chain or of an HMM                          |
| `parts`  | components of a mixture, blocks of a product, windows of a text|

Entropies, divergences and losses are in nats.
"""

from typing import TYPE_CHECKING

import equinox as eqx
from jaxtyping import Array, Bool, Float, Int, Key, Shaped

Tokens = Int[Array, " n"]
"""A sequence with symbols `0..q-1` and the mask token `q` where nothing is revealed."""

LogProbs = Float[Array, "n q"]
"""What a denoiser says of every position."""

Positions = Bool[Array, " n"]
"""A set of positions."""

Step = Int[Array, ""]
"""The number of a step, from 0."""

__all__ = ["Array", "Bool", "Float", "Int", "Key", "Shaped", "LogProbs", "Positions", "Step", "Tokens"]


class AbstractSized(eqx.Module):
    """What has `n` positions of `q` symbols: a distribution, a denoiser, data."""

    if TYPE_CHECKING:  # a checker would take abstract variables for arguments of the constructor

        @property
        def n(self) -> int: ...  # noqa: D102
        @property
        def q(self) -> int: ...  # noqa: D102
    else:
        n: eqx.AbstractVar[int]
        q: eqx.AbstractVar[int]
