r"""The exact law of a Gumbel draw in finite precision: $\arg\max_a (l_a / T + g_a)$ of few digits.

Samplers draw $g = -\log(-\log u)$ with $u$ on a grid of $2^{-b}$. In float32 $-2.81 \le g \le 16.64$, but
for $u = 0$: what is 19.45 below the best is drawn only where that has $u = 0$, whatever is stated, and what
is not quite so far below in too few steps of the grid.
"""

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np

from .._checks import check_integer, check_number
from .._errors import refuse
from .._types import Float, Int

Values = Float[np.ndarray, " v"]
FORMS = ("gumbel", "race")
TORCH_BITS = {"float32": 24, "float16": 11, "bfloat16": 8}
CELLS, GRID_BITS, CHUNK = 2**34, 24, 2**22
REMEDY = "round them, sort them, or take fewer bits"
SMALL = 1e-30  # what is left out of the law, at most


@dataclass(frozen=True)
class GumbelLaw:
    """The law of the draw; and `stated`, softmax of the logits as the type has them at the temperature."""

    probs: Float[np.ndarray, " q"]
    stated: Float[np.ndarray, " q"]

    @property
    def entropy(self) -> float:
        """Of the draw."""
        return _entropy(self.probs)

    @property
    def stated_entropy(self) -> float:
        """Of softmax of the logits at the temperature."""
        return _entropy(self.stated)

    @property
    def kl(self) -> float:
        """KL(draw || stated): that of what is written; that of stated to draw is `inf` if any is missed."""
        there = self.probs > 0
        return float(np.sum(self.probs[there] * (np.log(self.probs[there]) - np.log(self.stated[there]))))

    @property
    def total_variation(self) -> float:
        """Half the sum of the differences."""
        return float(np.abs(self.probs - self.stated).sum() / 2)

    @property
    def missed(self) -> float:
        """The stated probability of all symbols that are never drawn."""
        return float(self.stated[self.probs == 0].sum())


def gumbel_law(
    logits: Float[np.ndarray, " q"],
    temperature: float = 1.0,
    *,
    dtype: str = "float32",
    form: str = "gumbel",
    bits: int | None = None,
) -> GumbelLaw:
    r"""The law of one draw with independent $u_a = k 2^{-b}$, $k$ uniform in $0..2^b - 1$, all in `dtype`.

    `form` is "gumbel", $l / T - \log(-\log u)$, or "race", $e^l / (-\log u)^T$ (LLaDA, which takes float64;
    at $T = 1$ MDLM's but for $10^{-10}$). The least index wins among equals, as in `argmax`. `bits` $b$ are
    24 for float32, 11 for float16 and 8 for bfloat16, as `torch.rand` has them; JAX has 23, 10 and 7 (and
    the least positive number in place of 0, which is not followed here). Every operation is
    rounded to `dtype`, with NumPy's logarithm: others may differ by its last digit.

    With $F_a(v)$ the share of the grid whose score is at most $v$, and $F_a(v^-)$ below it,

    $$P(a) = \sum_v \left(F_a(v) - F_a(v^-)\right) \prod_{b < a} F_b(v^-) \prod_{b > a} F_b(v),$$

    over the scores $v$ at which a maximum of less than $10^{-30}$ is not left out; equal logits share $F$.
    Cost: with $D$ different logits in $R$ runs, $D (D + R)$ operations a score: many symbols leave few
    scores, at 24 bits two symbols have $2^{24}$. Takes at most about 1 GiB.

    Raises:
        InvalidInputError: logits that are no row of numbers, a temperature not above 0, another `dtype` or
            `form`; more than 24 bits, for then the law is the stated one to $2^{-24}$; more than $2^{34}$
            operations; scores that are NaN.

    >>> law = gumbel_law(np.array([0.0, -10.0]), bits=12)
    >>> f"{law.stated[1]:.1e} is drawn with {law.probs[1]:.1e}"
    '4.5e-05 is drawn with 2.5e-04'
    """
    row, count = _checked(logits, temperature, dtype, form, bits)
    scaled = row / temperature
    best = scaled.max()
    stated = np.exp(scaled - best)
    top = float(best + np.log(stated.sum()))
    levels, which = np.unique(row, return_inverse=True)
    if levels.size**2 > CELLS:
        refuse("logits", f"{levels.size} different ones", "fewer", REMEDY)
    ordered, counts = np.argsort(which, kind="stable"), np.bincount(which)
    places = np.split(ordered, np.cumsum(counts)[:-1])
    starts = [places[d][np.diff(places[d], prepend=-2) > 1] for d in range(levels.size)]
    scores = _scores(levels, temperature, dtype, form, count, top, counts.tolist(), starts)
    probs = np.zeros(row.size)
    for d, runs in enumerate(starts):
        lengths = np.diff(np.append(np.searchsorted(places[d], runs), places[d].size))
        before = np.stack([np.searchsorted(p, runs) for p in places], axis=1).astype(float)
        after = counts - before
        after[:, d] -= lengths
        found = scores.above[d]
        firsts = np.flatnonzero(np.append(True, found[1:] != found[:-1]))
        values, weights = found[firsts], np.diff(np.append(firsts, found.size))
        size = max(1, CHUNK // max(levels.size, runs.size))
        for chunk in range(0, values.size, size):
            below, at_most = scores.log_shares(values[chunk : chunk + size])
            others = before @ below + after @ at_most + np.log(weights[chunk : chunk + size] / 2**count)
            for run, length, log_win in zip(runs.tolist(), lengths.tolist(), others, strict=True):
                probs[run : run + length] += _of_run(log_win, below[d], at_most[d], length)
    return GumbelLaw(probs, stated / stated.sum())


def _of_run(log_win: Values, below: Values, at_most: Values, r: int) -> Float[np.ndarray, " r"]:
    """How often each of `r` neighbours of one logit wins: the sum over `v` of a geometric sequence."""
    first, log_ratio, size = log_win + (r - 1) * at_most, below - at_most, int(np.ceil(np.sqrt(r)))
    coarse = np.exp(first + np.arange(0, r, size)[:, None] * log_ratio)
    return (coarse @ np.exp(np.arange(size)[:, None] * log_ratio).T).reshape(-1)[:r]


@dataclass(frozen=True)
class _Scores:
    """The scores of each level above one that is common to all, of `2**bits` numbers each."""

    above: list[Float[np.ndarray, " _"]]
    bits: int

    def log_shares(self, values: Float[np.ndarray, " v"]) -> tuple[np.ndarray, np.ndarray]:
        """The logarithms of the shares of each level below each value, and at most there; none is -1e6."""
        shares = []
        for side in ("left", "right"):
            over = [s.size - np.searchsorted(s, values, side) for s in self.above]  # type: ignore[call-overload]
            with np.errstate(divide="ignore"):
                shares.append(np.maximum(np.log1p(-np.stack(over) / 2**self.bits), -1e6))
        return shares[0], shares[1]


def _scores(
    levels: Values,
    temperature: float,
    dtype: str,
    form: str,
    bits: int,
    top: float,
    sizes: list[int],
    starts: list[Int[np.ndarray, " _"]],
) -> _Scores:
    """Scores from the highest down, until a maximum below them is less probable than `SMALL`."""
    low = top - np.log(-np.log(SMALL))
    while True:
        # u of a score of `low`, less what rounding may move it; all of a small grid.
        slack = 1e-5 * (2 + np.abs(levels / temperature) + abs(low))
        least = np.exp(-np.exp(np.minimum(levels / temperature - low + slack, 700.0)))
        begins = np.floor(least * 2**bits).astype(int) if bits > 16 else np.zeros(levels.size, int)
        work = sum(
            (2**bits - begin) * (levels.size * (1 + runs.size) + size)
            for begin, runs, size in zip(begins.tolist(), starts, sizes, strict=True)
        )
        if work > CELLS:
            found = f"{levels.size} different ones, {work:.2g} operations"
            refuse("logits", found, f"at most {CELLS:.2g}", REMEDY)
        pairs = zip(levels.tolist(), begins.tolist(), strict=True)
        parts = [_of_level(level, begin, temperature, dtype, form, bits) for level, begin in pairs]
        cut = max((part[0] for part, begin in zip(parts, begins, strict=True) if begin), default=None)
        found = _Scores([part if cut is None else part[part > cut] for part in parts], bits)
        if cut is None:
            return found
        left_out = np.log1p(-np.array([part.size for part in found.above]) / 2**bits) @ sizes
        if left_out <= np.log(SMALL):
            return found
        low -= 1.0


def _of_level(
    level: float, begin: int, temperature: float, dtype: str, form: str, bits: int
) -> Float[np.ndarray, " scores"]:
    """The scores of a logit for `u` from `begin` up, every operation rounded, in ascending order."""
    kind = jnp.dtype(dtype)
    u = (np.arange(begin, 2**bits) / 2**bits).astype(kind)
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        waiting = -np.log(u)
        if form == "gumbel":
            scores = kind.type(level) / kind.type(temperature) - np.log(waiting)
        else:
            scores = np.exp(kind.type(level)) / waiting ** kind.type(temperature)
    scores = scores.astype(np.float64)
    if np.isnan(scores).any():
        refuse("logits", f"{level:.6g}", f"scores that are no NaN in {dtype}")
    return scores if np.all(scores[1:] >= scores[:-1]) else np.sort(scores)  # a logarithm may err


def _checked(
    logits: Float[np.ndarray, " q"], temperature: float, dtype: str, form: str, bits: int | None
) -> tuple[Float[np.ndarray, " q"], int]:
    """The logits as the type has them, and how many bits `u` has."""
    row = np.asarray(logits, np.float64)
    if row.ndim != 1 or not row.size or not np.isfinite(row).all():
        refuse("logits", f"of shape {row.shape}", "a row of finite numbers")
    check_number("temperature", temperature, "a finite number > 0", lambda x: x > 0)
    if dtype not in TORCH_BITS:
        refuse("dtype", dtype, f"one of {', '.join(TORCH_BITS)}")
    if form not in FORMS:
        refuse("form", form, f"one of {', '.join(FORMS)}")
    count = TORCH_BITS[dtype] if bits is None else check_integer("bits", bits, 1)
    if count > GRID_BITS:
        wanted = f"at most {GRID_BITS}"
        refuse("bits", count, wanted, f"of more the law is the stated one to 2^-{GRID_BITS}")
    return np.asarray(row.astype(jnp.dtype(dtype)), np.float64), count


def _entropy(probs: Float[np.ndarray, " q"]) -> float:
    there = probs[probs > 0]
    return float(-np.sum(there * np.log(there)))
