r"""One optimal schedule of a curve of any length, with its proof: every step has a price.

For a nondecreasing curve $z$ a step from $a$ to $b$ loses $\sum_{a \le j < b} (z_j - z_a)$: a Monge cost.
So the least loss $f(k)$ of $k$ steps is convex in $k$, and a price $\lambda$ of a step is a proof:

$$f(k) \ge \min_{\text{schedules}} (\text{loss} + \lambda \cdot \text{steps}) - \lambda k \quad
\text{for every } \lambda, \text{ with equality for some.}$$

The minimum takes one pass over the starts. With $z_0 = 0$ it is the same to gain $(b - a) z_a - \lambda$ a
step, and the most gained up to $b$ is the upper envelope of one line in $b$ for each start. Slopes $z_a$
and queries are sorted, so the lines that can still win are a queue (the convex hull trick). A pass is
sequential: Python takes 0.4 microseconds a start, and a loop of XLA a hundred times that. The price is
searched on each 256th start, on each 16th, then on all, where one or two passes are left.

If the prices jump over `k`, the last two schedules, of fewer and of more steps, are an edge of the convex
hull of all `(steps, loss)`. Where a step of the one holds a step of the other they exchange their ends:
Monge says that both that result, one of `k` steps, lose no more in sum, so that they are on the edge too.

Work is `O(m)` a pass for `m` starts, and about ten passes, whatever `k` is; memory 200 bytes a start. Gains
are sums of up to $n (z_n - z_1)$, so an optimum is exact to a few `eps` of that.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from .._errors import check_bytes
from .._types import Float, Int

MAX_BYTES = 2**31  # that a solve may take without being asked
THIN, FEWEST = 16, 2048  # each thinning keeps one start of 16, and no fewer than so many (our choice)

Starts = Int[np.ndarray, " starts"]
Boundaries = Int[np.ndarray, " boundaries"]
Values = Float[np.ndarray, " n"]


class _Path(NamedTuple):
    """Where its steps start, and `n`; what it loses; a price at which nothing is better."""

    boundaries: Boundaries
    loss: float
    price: float

    @property
    def steps(self) -> int:
        return self.boundaries.size - 1


def of_steps(values: Values, records: Starts, steps: int) -> Boundaries:
    """Boundaries of a best schedule of `1 <= steps <= m` steps that starts them at `m` `records`.

    Of fewer steps that lose no more, where `z` less `z_0` is not a record of its own.
    """
    few, more = _search(values, records, lambda path: math.log(path.steps / steps))
    return few.boundaries if few is more else _exchanged(few, more, steps)


def of_loss(values: Values, records: Starts, epsilon: float) -> Boundaries:
    """The same of the fewest steps that lose at most `epsilon > 0`."""

    def beyond(path: _Path) -> float:
        if path.loss <= epsilon < path.loss + path.price:
            return 0.0  # one step less loses the price more, or worse
        return math.log(epsilon / path.loss) if path.loss > epsilon * 1e-9 else 20.0

    few, more = _search(values, records, beyond)
    if few is more:
        return few.boundaries
    share = (few.loss - epsilon) / (few.loss - more.loss)
    for steps in range(few.steps + max(1, math.ceil(share * (more.steps - few.steps))), more.steps):
        found = _exchanged(few, more, steps)
        if loss_of(values, found) <= epsilon:
            return found
    return more.boundaries


def loss_of(values: Values, boundaries: Boundaries) -> float:
    """What a schedule loses: `step_gap` on the host."""
    return float(np.sum(values - np.repeat(values[boundaries[:-1]], np.diff(boundaries))))


def _search(values: Values, records: Starts, beyond: Callable[[_Path], float]) -> tuple[_Path, _Path]:
    """Two neighbours on the hull, one of too few steps and one of enough; or the right one, twice.

    `beyond` is about the logarithm of the steps that a path has over those it should have: 0 if right.
    """
    n = values.size
    check_bytes(200 * records.size, MAX_BYTES, f"a solve for n = {n}", "use a shorter curve")
    curve = np.asarray(values, np.float64) - float(values[0])
    records = records[np.append(True, np.diff(curve[records]) > 0)]  # the subtraction may have rounded
    stride = 1
    while records.size // (stride * THIN) >= FEWEST:
        stride *= THIN
    # A smooth curve loses (sum of sqrt(dx dz))^2 / (2 k) in k steps: the first price is that of this rule.
    smooth = 0.5 * np.sum(np.sqrt(np.diff(records) * np.diff(curve[records]))) ** 2
    first = _Path(np.array([0, n]), float(smooth), math.inf)
    price = first.loss * math.exp(2 * beyond(first)) if smooth > 0 else 1.0
    while True:
        ends = _between(_Lines(curve, records[::stride]), beyond, price)
        if stride == 1:
            return ends
        few, more = ends
        if few is not more:
            price = _chord(few, more)
        elif 0 < few.price < math.inf:
            price = few.price
        stride //= THIN


def _between(lines: "_Lines", beyond: Callable[[_Path], float], price: float) -> tuple[_Path, _Path]:
    """The same of these starts alone, from a first guess of the price."""
    few, more = lines.path([0], math.inf), lines.path(slice(None), 0.0)
    for end in (few, more):
        if beyond(end) == 0 or (beyond(end) > 0) == (end is few):
            return end, end
    before = None
    while more.steps - few.steps > 1:
        on_chord = not more.price < price < few.price
        price = _chord(few, more) if on_chord else price
        found = lines.cheapest(price)
        here, width = beyond(found), more.steps - few.steps
        if here == 0:
            return found, found
        if on_chord and found.loss + price * found.steps >= few.loss + price * few.steps - lines.rounding:
            break
        few, more = (found, more) if here < 0 else (few, found)
        # The next guess is by the power law of this price and the last. One that leaves most of the steps
        # between is followed by the chord, which finds a neighbour or ends the search.
        slope = 2.0
        if before is not None and here != before[0]:
            slope = math.log(price / before[1]) / (before[0] - here)
        before = here, price
        slow = not on_chord and more.steps - few.steps > width / 2
        price = 0.0 if slow else price * math.exp((slope if 0.5 < slope < 8 else 2.0) * here)
    return few, more


def _chord(few: _Path, more: _Path) -> float:
    """The price at which both cost the same."""
    return (few.loss - more.loss) / (more.steps - few.steps)


def _exchanged(few: _Path, more: _Path, steps: int) -> Boundaries:
    """The first steps of `few`, one across, and the last of `more`: `steps` in between."""
    first, last = few.boundaries, more.boundaries[more.steps - steps :]
    at = int(np.argmax(last[1 : first.size] <= first[1:]))
    return np.concatenate([first[: at + 1], last[at + 1 :]])


class _Lines:
    """The lines of some starts of a curve with $z_0 = 0$."""

    def __init__(self, curve: Values, starts: Starts):
        self.curve, self.starts = curve, starts
        self.x, self.z, self.n = starts.astype(float).tolist(), curve[starts].tolist(), float(curve.size)
        self.rounding = 8 * float(np.finfo(np.float64).eps) * self.n * self.z[-1]  # of sums of gains

    def path(self, used: slice | list[int], price: float) -> _Path:
        """The schedule of these of the starts."""
        boundaries = np.append(self.starts[used], self.curve.size)
        return _Path(boundaries, loss_of(self.curve, boundaries), price)

    def cheapest(self, price: float) -> _Path:
        """The schedule of least loss plus `price` a step."""
        x, z, count = self.x, self.z, len(self.x)
        # The queue from `head` to `tail`: lines c + z[line] x, each best from `since` on.
        line, c, since = [0] * count, [0.0] * count, [0.0] * count
        parent, head, tail = [0] * count, 0, 0
        c[0] = -price
        for here in range(1, count):
            at, slope = x[here], z[here]
            while head < tail and since[head + 1] <= at:
                head += 1
            parent[here] = line[head]
            own = c[head] + at * (z[line[head]] - slope) - price
            begins = (c[tail] - own) / (slope - z[line[tail]])
            while tail > head and begins <= since[tail]:
                tail -= 1
                begins = (c[tail] - own) / (slope - z[line[tail]])
            tail += 1
            line[tail], c[tail], since[tail] = here, own, begins
        while head < tail and since[head + 1] <= self.n:
            head += 1
        used = [line[head]]
        while used[-1]:
            used.append(parent[used[-1]])
        return self.path(used[::-1], price)
