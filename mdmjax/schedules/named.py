"""The schedules that samplers use today, to the integer.

Every builder returns the counts of a sampler that is asked for `steps` steps on `n` masked tokens, and
refuses steps not in `1..n`. Steps that would reveal nothing are dropped: there may be fewer than asked.
"""

from collections.abc import Callable, Sequence

import numpy as np

from .._errors import refuse
from .._types import Float
from ..information.curve import check_positions
from .schedule import Schedule


def llada_uniform(n: int, steps: int) -> Schedule:
    """LLaDA and Fast-dLLM: `n // steps` each, and one more for the first `n % steps` steps.

    >>> llada_uniform(10, 4).counts.tolist()
    [3, 3, 2, 2]
    """
    check_steps(n, steps)
    base, rest = divmod(n, steps)
    return Schedule([base + 1] * rest + [base] * (steps - rest))


def dllm_linear(n: int, steps: int) -> Schedule:
    r"""dLLM with its linear scheduler $\alpha(t) = 1 - t$; see `dllm_counts` for the rounding.

    >>> dllm_linear(10, 4).counts.tolist()
    [2, 3, 2, 3]
    """
    return _without_empty(dllm_counts(n, _dllm_passed(n, steps)))


def dllm_cosine(n: int, steps: int) -> Schedule:
    r"""dLLM with its cosine scheduler $\alpha(t) = 1 - \cos(\frac\pi2 (1-t))$.

    The cosine is NumPy's in float32; another in the last bit matters within `1e-6` of a half only.

    >>> dllm_cosine(10, 4).counts.tolist()
    [1, 2, 3, 4]
    """
    angle = np.float32(np.pi / 2) * _dllm_passed(n, steps)
    return _without_empty(dllm_counts(n, np.float32(1) - np.cos(angle)))


def dllm_counts(n: int, alpha: Float[np.ndarray, " steps_and_one"]) -> list[int]:
    r"""Counts that dLLM's sampler gets from $\alpha$ at $t = 1, 1 - 1/k, \dots, 0$; some may be 0.

    Each step reveals $\mathrm{round}\big(r\,(1 - \frac{1-\alpha(s)}{1-\alpha(t)})\big)$ of the $r$ tokens
    left, from $t$ to $s = t - 1/k$: the quotient in the type of `alpha` (float32 there), the product in
    float64, halves to even.

    >>> dllm_counts(8, np.array([0.0, 0.25, 1.0], np.float32))
    [2, 6]
    """
    masked = alpha.dtype.type(1) - alpha
    left, counts = n, []
    for before, after in zip(masked[:-1], masked[1:], strict=True):
        share = 1.0 - float(after / before) if left else 0.0
        counts.append(min(round(left * share), left))
        left -= counts[-1]
    return counts


def dream(n: int, steps: int) -> Schedule:
    r"""Dream: a step reveals $\lfloor r(1 - s/t) \rfloor$ of the $r$ tokens left, from $t$ to $s$.

    Times go evenly from 1 to `1e-3`, in float32. The last step reveals the rest: two if `steps = n`.

    >>> dream(10, 4).counts.tolist()
    [2, 2, 2, 4]
    """
    check_steps(n, steps)
    times = np.linspace(1, 1e-3, steps + 1, dtype=np.float32)
    left, counts = n, []
    for t, s in zip(times[:-2], times[1:-1], strict=True):
        counts.append(int(np.float32(left) * (np.float32(1) - s / t)))
        left -= counts[-1]
    return _without_empty([*counts, left])


def maskgit_cosine(n: int, steps: int) -> Schedule:
    r"""MaskGIT: $\lfloor n \cos(\frac\pi2 \frac ik) \rfloor$ masked after step $i < k$.

    The last step reveals the rest. As in its sampler, a step before it leaves at least one token masked
    and, while two are, reveals at least one.

    >>> maskgit_cosine(10, 4).counts.tolist()
    [1, 2, 4, 3]
    """
    check_steps(n, steps)
    targets = np.floor(n * np.cos(np.pi / 2 * np.arange(1, steps) / steps)).astype(int)
    masked = [n]
    for target in targets.tolist():
        masked.append(max(1, min(masked[-1] - 1, target)))
    return _from_boundaries([*(n - left for left in masked), n])


def log_linear(n: int, steps: int) -> Schedule:
    r"""The log-linear noise of MDLM and SEDD: a fraction $1 - i/k$ is masked after step $i$.

    Those samplers reveal a random number of tokens; here it is its mean, halves rounded up (our choice).

    >>> log_linear(10, 4).counts.tolist()
    [3, 2, 3, 2]
    """
    check_steps(n, steps)
    return _from_boundaries([(2 * n * i + steps) // (2 * steps) for i in range(steps + 1)])


def pyramid(n: int, steps: int) -> Schedule:
    r"""Counts proportional to $1, 2, \dots, k$: $n \frac{i(i+1)}{k(k+1)}$ revealed after step $i$.

    Rounded to nearest with halves up (our choice; it has the expected KL that is known of it).

    >>> pyramid(10, 4).counts.tolist()
    [1, 2, 3, 4]
    """
    check_steps(n, steps)
    whole = steps * (steps + 1)
    return _from_boundaries([(2 * n * i * (i + 1) + whole) // (2 * whole) for i in range(steps + 1)])


def geometric(n: int, steps: int) -> Schedule:
    r"""One token, then every step multiplies the number revealed by the same $n^{1/(k-1)}$.

    $n^{(i-1)/(k-1)}$ are revealed after step $i$, rounded to nearest with halves up. (No source fixes the
    integers: the first token alone and the rounding are our choices.)

    >>> geometric(16, 5).counts.tolist()
    [1, 1, 2, 4, 8]
    """
    check_steps(n, steps)
    exponents = np.linspace(0, 1, steps) if steps > 1 else np.ones(1)
    revealed = np.floor(float(n) ** exponents + 0.5).astype(int)
    return _from_boundaries([0, *revealed.tolist()])


def ascending_steps(n: int) -> Schedule:
    r"""ASS: $2^s$ tokens in step $s = 0, 1, \dots$, the rest in the last of $\lceil \log_2 n \rceil$ steps.

    (arXiv 2509.23924 for powers of two; the rest is our choice.) Not in `NAMED`: its steps are not chosen.

    >>> ascending_steps(16).counts.tolist()
    [1, 2, 4, 9]
    """
    if n < 1:
        refuse("n", n, "an integer >= 1")
    steps = max(1, (n - 1).bit_length())
    return _from_boundaries([*((1 << s) - 1 for s in range(steps)), n])


BUILDERS = llada_uniform, dllm_linear, dllm_cosine, dream, maskgit_cosine, log_linear, pyramid, geometric
NAMED: dict[str, Callable[[int, int], Schedule]] = {builder.__name__: builder for builder in BUILDERS}
"""Every builder of this file by its name, in the order of the tables."""


def check_steps(n: int, steps: int) -> None:
    """Refuse a number of steps that is not in `1..n`, or fills the memory."""
    if not 1 <= steps <= n:
        refuse("steps", steps, f"an integer in 1..n with n = {n}", "a step reveals at least one token")
    check_positions(steps, 1, "steps")


def _dllm_passed(n: int, steps: int) -> Float[np.ndarray, " steps_and_one"]:
    """`1 - t` at dLLM's times: those divided in float64, the rest in float32."""
    check_steps(n, steps)
    return np.float32(1) - (np.arange(steps, -1, -1) / steps).astype(np.float32)


def _from_boundaries(boundaries: Sequence[int]) -> Schedule:
    return _without_empty(np.diff(boundaries).tolist())


def _without_empty(counts: Sequence[int]) -> Schedule:
    return Schedule([count for count in counts if count > 0])
