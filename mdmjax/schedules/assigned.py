r"""Several models, one budget: which model takes which step, by a programme over (revealed, spent).

A small model may take some of the steps of a large one (arXiv 2604.02340 tries segments of the steps). Here
the steps and their models are chosen together, and the choice is the best of all.
"""

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction

import equinox as eqx
import numpy as np

from .._checks import check_integer
from .._errors import check_bytes, refuse, shown
from .._types import Float, Int
from ..information.curve import AbstractCurve, check_curve
from .optimal import MAX_BYTES
from .schedule import Schedule

MAX_WORK = 2**36  # sums that are formed unasked: units of budget, times models, times n^2 (minutes)
Number = int | float | str | Fraction


class Assigned(eqx.Module):
    """A schedule with a model for each step: `models[t]` is its place among the curves.

    `cost` is what its calls cost, exactly, and `nll` its `assigned_nll` in nats.
    """

    schedule: Schedule
    models: Int[np.ndarray, " steps"]
    cost: Fraction = eqx.field(static=True)
    nll: float

    def weights(self, models: int) -> Int[np.ndarray, "models n"]:
        """How many reveals of each model have `m = 0..n-1` tokens to see: `nll` is linear in the losses."""
        found = np.zeros((models, self.schedule.n), np.int64)
        np.add.at(found, (self.models, self.schedule.boundaries[:-1]), self.schedule.counts)
        return found


def optimal_assignment(
    curves: Sequence[AbstractCurve],
    costs: Sequence[Number],
    budget: Number,
    *,
    order: Sequence[int] | None = None,
) -> Assigned:
    r"""The steps and their models of least mean negative log-likelihood, for a cost of at most `budget`.

    $$\min \sum_t s_t\, c_{m_t}(N_t) \quad\text{subject to}\quad \sum_t \kappa_{m_t} \le B$$

    over all numbers of steps, with $c_m$ the `loss` of `curves[m]` and $\kappa_m$ = `costs[m]` what a call
    of that model costs. The least sum $D_{ij}$ that reveals $j$ tokens for at most $i$ units of cost is

    $$D_{ij} = \min_m \min_{j' < j} D_{i - \kappa_m,\, j'} + (j - j')\, c_m(j')$$

    so it is exact for any curves, falling or not. Costs are exact rationals: a float is the decimal that it
    is printed as. The unit is their greatest common divisor. What does not help is not spent.

    With `order` the steps of `order[0]` come first, then those of `order[1]`, and so on, any of them none:
    `(1, 0, 1)` is the best sandwich, `(0, 1)` the best prefix of the first model.

    With $U$ units in the budget and $M$ models, time is $O(U M n^2)$ and memory $O(U n + M n^2)$, for each
    part of an `order`; both are refused before they are taken above `MAX_WORK` and `MAX_BYTES`.

    Raises:
        InvalidInputError: curves of unequal length, costs that are not above 0, a `budget` below the
            cheapest plan (one step of the cheapest model), too many units, an `order` of other models.

    >>> from mdmjax import LossCurve
    >>> large, small = LossCurve([3.0, 1.0, 0.5, 0.0]), LossCurve([3.0, 2.0, 2.0, 2.0])
    >>> best = optimal_assignment([large, small], [1, "0.25"], 2.25)
    >>> best.schedule.counts.tolist(), best.models.tolist(), best.cost, best.nll
    ([1, 1, 2], [1, 0, 0], Fraction(9, 4), 5.0)
    """
    losses, prices, allowed = _checked(curves, costs, budget)
    models, n = losses.shape
    parts = [range(models)] if order is None else [[check_integer("order", one, 0)] for one in order]
    if not parts or max(map(max, parts)) >= models:
        refuse("order", list(order or ()), f"places among the {models} curves")
    used = sorted({model for part in parts for model in part})
    unit = common_unit([prices[model] for model in used])
    units = {model: int(prices[model] / unit) for model in used}
    budget_units = min(int(allowed / unit), n * max(units.values()))
    if budget_units < min(units.values()):
        _refuse_budget(allowed, min(prices[model] for model in used))
    _check_size(budget_units, unit, n, sum(map(len, parts)), len(parts), models)
    ahead = np.arange(1, n + 1)[:, None] - np.arange(n)
    tables = [np.where(ahead > 0, ahead * loss, np.inf) for loss in losses]
    least = np.full((budget_units + 1, n + 1), np.inf)
    least[:, 0] = 0.0
    choices = []
    for part in parts:
        least, *choice = _layers(least, tables, units, part)
        choices.append(choice)
    slack = 64 * np.finfo(np.float64).eps * n * np.abs(losses).max()  # a plan is not dearer for rounding
    spent = int(np.argmax(least[:, n] <= least[-1, n] + slack))
    counts, taken = _traced(choices, units, spent, n)
    schedule, chosen = Schedule(counts), np.array(taken)
    cost = sum((prices[model] for model in taken), Fraction(0))
    return Assigned(schedule, chosen, cost, assigned_nll(curves, schedule, chosen))


def assigned_nll(
    curves: Sequence[AbstractCurve], schedule: Schedule, models: Int[np.ndarray, " steps"]
) -> float:
    r"""$\sum_t s_t c_{m_t}(N_t)$ in nats: `nll` where each step is by a model of its own.

    Each step draws its tokens given what is revealed, whoever revealed it, so the sum over steps of the
    chain rule is that of `nll` (arXiv 2511.04647, App. G), with the losses of the step's own model.

    >>> from mdmjax import LossCurve
    >>> assigned_nll([LossCurve([3.0, 1.0]), LossCurve([4.0, 2.0])], Schedule([1, 1]), np.array([1, 0]))
    5.0
    """
    starts = schedule.boundaries[:-1]
    losses = np.stack([np.asarray(curve.loss, np.float64) for curve in curves])
    return float(np.sum(schedule.counts * losses[models, starts]))


def exact_number(argument: str, value: Number) -> Fraction:
    """A number above 0 as it is written: `0.1` is a tenth, `"1/3"` a third.

    >>> exact_number("cost", 0.1), exact_number("cost", "1/3")
    (Fraction(1, 10), Fraction(1, 3))
    """
    text = str(value).strip()
    try:
        few = len(text) <= 40 and ("/" in text or math.isfinite(float(text)))  # 1e999999 fills the memory
        number = Fraction(text) if few else Fraction(0)
    except (ValueError, ZeroDivisionError):
        number = Fraction(0)
    if number <= 0:
        refuse(argument, shown(text), "a number > 0, as 0.25 or 1/4")
    return number


def common_unit(costs: Sequence[Fraction]) -> Fraction:
    """The greatest number of which all costs are multiples: what a budget is counted in.

    >>> common_unit([Fraction(1), Fraction(3, 4)])
    Fraction(1, 4)
    """
    common = math.lcm(*(one.denominator for one in costs))
    return Fraction(math.gcd(*(int(one * common) for one in costs)), common)


def _checked(
    curves: Sequence[AbstractCurve], costs: Sequence[Number], budget: Number
) -> tuple[Float[np.ndarray, "models n"], list[Fraction], Fraction]:
    """The losses, the costs and the budget, when they can be used."""
    if not curves or len(curves) != len(costs):
        refuse("costs", f"of length {len(costs)}", f"one for each of {len(curves)} curves, at least one")
    for curve in curves:
        check_curve(curve)
    lengths = [curve.n for curve in curves]
    if len(set(lengths)) > 1:
        remedy = "measure them on sequences of one length"
        refuse("curves", f"of lengths {', '.join(map(str, lengths))}", "models of one n", remedy)
    losses = np.stack([np.asarray(curve.loss, np.float64) for curve in curves])
    if not np.isfinite(losses).all():
        model, m = np.argwhere(~np.isfinite(losses))[0]
        refuse("curves", f"{losses[model, m]} at index {m} of number {model}", "finite numbers")
    return losses, [exact_number("costs", one) for one in costs], exact_number("budget", budget)


def _refuse_budget(budget: Fraction, least: Fraction) -> None:
    remedy = f"the cheapest plan is one step of the model of cost {float(least):g}"
    refuse("budget", f"{float(budget):g}", f"at least {float(least):g}", remedy)


def _check_size(budget: int, unit: Fraction, n: int, layers: int, parts: int, models: int) -> None:
    """Refuse too many units, or too much memory, before anything is made."""
    remedy = "round the costs, as 0.25 for 0.2513, or ask for a smaller budget"
    if budget * layers * n * n > MAX_WORK:
        most = MAX_WORK // (layers * n * n)
        found = f"{budget} units of {unit}, the greatest common divisor of the costs"
        refuse("budget", found, f"at most {most} units for n = {n}", remedy)
    need = (budget + 1) * (n + 1) * (16 + 8 * parts) + 8 * (models + 1) * n * n
    check_bytes(need, MAX_BYTES, f"a programme of {budget} units of {unit} and n = {n}", remedy)


def _layers(
    before: Float[np.ndarray, "spent revealed"],
    tables: Sequence[Float[np.ndarray, "n n"]],
    units: Mapping[int, int],
    part: Sequence[int],
) -> list[np.ndarray]:
    """The least sums with steps of the models of `part` after what led to `before`.

    Beside them where the last step started, or -1 where there is none of this part, and its model.
    """
    least, n = before.copy(), before.shape[1] - 1
    start, model = np.full(before.shape, -1, np.int32), np.zeros(before.shape, np.int32)
    sums, ends = np.empty((n, n)), np.arange(n)
    for spent in range(min(units[one] for one in part), before.shape[0]):
        for one in part:
            if units[one] > spent:
                continue
            np.add(tables[one], least[spent - units[one], :n], out=sums)
            found = sums.argmin(axis=1)
            better = sums[ends, found] < least[spent, 1:]
            least[spent, 1:][better] = sums[ends, found][better]
            start[spent, 1:][better] = found[better]
            model[spent, 1:][better] = one
    return [least, start, model]


def _traced(
    choices: Sequence[Sequence[np.ndarray]], units: Mapping[int, int], spent: int, n: int
) -> tuple[list[int], list[int]]:
    """Counts and models of the best plan of `n` tokens, from its last step back."""
    counts, taken, left = [], [], n
    for start, model in reversed(choices):
        while left and start[spent, left] >= 0:
            one, begin = int(model[spent, left]), int(start[spent, left])
            counts.append(left - begin)
            taken.append(one)
            spent, left = spent - units[one], begin
    return counts[::-1], taken[::-1]
