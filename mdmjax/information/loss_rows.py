r"""Losses as they are logged, made rows of a loss table: in nats a masked token, one row a mask count."""

import math
from typing import Literal, get_args

import numpy as np

from .._errors import refuse
from .._types import Float, Int
from .loss_curve import Counts, Rows

Merged = Float[np.ndarray, " counts"]

Unit = Literal["nats", "bits", "perplexity"]
Per = Literal["token", "position", "sequence"]
UNITS: tuple[Unit, ...] = get_args(Unit)
PER: tuple[Per, ...] = get_args(Per)


def masked_token_nats(
    loss: Rows,
    stderr: Rows | None,
    n_masked: Rows,
    n: int,
    *,
    unit: Unit = "nats",
    per: Per = "token",
    weighted: bool = False,
) -> tuple[Rows, Rows | None]:
    r"""Losses, and their standard errors, in nats a masked token.

    Where $S$ is the sum over the $m$ masked of $n$ positions, a loss is $w S / N$ with $N = m$ a `token`
    (masked), $n$ a `position`, 1 a `sequence`, and $w = n / m = 1/t$ if `weighted`, else 1; hence
    $S / m = L N / (w m)$. `n_masked` may be $m = t n$ of a ratio, not rounded. So a weighted mean a
    position, which is the loss of LLaDA and MDLM, is one a masked token already, and a weighted sum a
    sequence is $n$ times it. Bits are times $\log 2$. A perplexity is $e^{S/m}$; its standard error is
    divided by it (the delta method: first order, our choice).

    Raises:
        InvalidInputError: a perplexity below 1, or of anything but a masked token.

    >>> m, half = np.array([2.0, 4.0]), np.array([0.5, 0.5])
    >>> masked_token_nats(np.array([2.0, 8.0]), half, m, 8, per="sequence")[0].tolist()
    [1.0, 2.0]
    >>> masked_token_nats(np.array([8.0, 16.0]), half, m, 8, per="sequence", weighted=True)[1].tolist()
    [0.0625, 0.0625]
    """
    if unit == "perplexity":
        if per != "token" or weighted:
            refuse("unit", unit, "nats or bits", "a perplexity is that of a masked token")
        if not (loss >= 1).all():
            refuse(
                "loss", f"{loss.min():g} at the least", "a perplexity, at least 1", "nats are the default"
            )
        return np.log(loss), None if stderr is None else stderr / loss
    with np.errstate(over="ignore", invalid="ignore"):  # of a share of nearly nothing
        over = {"token": n_masked, "position": float(n), "sequence": 1.0}[per]
        factor = over / (float(n) if weighted else n_masked) * (math.log(2) if unit == "bits" else 1.0)
        return loss * factor, None if stderr is None else stderr * factor


def merged_rows(
    n_masked: Counts, loss: Rows, stderr: Rows, count: Rows | None
) -> tuple[Int[np.ndarray, " counts"], Merged, Merged, Merged]:
    r"""One row a mask count, fewest first, where some have more; else the rows as they are.

    Its loss is $\sum_i w_i \ell_i / \sum_i w_i$, with $w_i$ the `count`, or 1 where there is none.
    Its standard error is $\sqrt{\sum_i w_i^2 \sigma_i^2} / \sum_i w_i$, right for independent rows whatever
    the weights are; its count is the sum. Weights $1 / \sigma_i^2$ would be tighter, but a small sample of
    small losses has a small $\sigma_i$ as well, so that they would make the loss too low (our choice).

    >>> rows = merged_rows(np.array([2, 1, 2]), np.array([1.0, 5, 3]), np.array([0.3, 1, 0.4]), None)
    >>> [values.tolist() for values in rows]
    [[1, 2], [5.0, 2.0], [1.0, 0.25], [1.0, 2.0]]
    """
    weight = np.ones_like(loss) if count is None else count
    counts, which = np.unique(n_masked, return_inverse=True)
    if counts.size == n_masked.size:  # nothing to merge: as it is
        return n_masked, loss, stderr, weight
    share = weight / np.bincount(which, weight)[which]  # of its mask count
    largest = float(stderr.max()) or 1.0  # of which no square is infinite
    errors = np.sqrt(np.bincount(which, (share * stderr / largest) ** 2)) * largest
    return counts, np.bincount(which, share * loss), errors, np.bincount(which, weight)
