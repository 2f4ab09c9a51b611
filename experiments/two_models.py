r"""Two models of text, one budget: the gain that their loss curves predict, and what paths measure.

A large and a small network are trained on the same text (`mdmjax train text`). A call of the small one
costs its share of the large one's parameters. Of held-out windows no two of three parts share one:

- chosen: both loss curves on some windows, in the way of `mdmjax loss-curve`; for every budget the best
  assignment of models to steps on their smooth fits, and the best of each simpler kind: one model alone,
  the sandwich small-large-small (arXiv 2604.02340), one model and then the other.
- predicted: the NLL $\sum_t s_t c_{m_t}(N_t)$ of these plans by the curves on other windows.
- measured: their NLL along the paths of the mixed sampler on yet others. Both models see the same random
  orders, so that a path is a sum of look-ups, and differences are paired.

Standard errors are over windows. Gains are over the large model alone at the same budget. No sandwich comes
out, though all are tried: what the small model lacks grows with what is revealed, so it takes the first
steps, and the large one the rest.
"""

import dataclasses
from fractions import Fraction
from itertools import groupby

import jax
import numpy as np

from mdmjax import loss_means, masked_losses, prefix_losses, spline_fit
from mdmjax.information.estimate import estimate
from mdmjax.losses.prefix import assigned_path_nll
from mdmjax.losses.sampled import MaskedLosses, joined
from mdmjax.schedules.assigned import Assigned
from mdmjax.studies.assigned import assigned_study

from . import text_model
from ._run import Progress


@dataclasses.dataclass(frozen=True)
class Config:
    length: int = 128
    """Characters in a window."""
    widths: tuple[int, ...] = (128, 64)
    depths: tuple[int, ...] = (2, 1)
    """Of the large network and the small one."""
    training_steps: int = 4000
    batch: int = 16
    budgets: tuple[int, ...] = (2, 4, 8, 16, 32)
    """In calls of the large model."""
    windows: int = 256
    """To choose on, as many to predict on, and as many to measure on."""
    parts: int = 4
    """Of each, for the progress bar."""
    orders: int = 2
    """Random orders a window, of the paths that are measured."""
    seed: int = 0


SMOKE = Config(
    length=12, widths=(16, 8), depths=(1, 1), training_steps=20, budgets=(2, 4), windows=32, parts=2
)

PLANS = ("best", "sandwich", "prefix", "alone_0", "alone_1")
LARGE = PLANS.index("alone_0")


def run(config: Config, progress: Progress) -> dict[str, np.ndarray]:
    """NLL in nats a window, `[budget, plan]`; gains over the large model alone, with their errors."""
    made = [
        text_model.trained_model(
            text_model.Config(
                length=config.length,
                width=width,
                depth=depth,
                training_steps=config.training_steps,
                batch=config.batch,
                seed=config.seed,
            )
        )
        for width, depth in zip(config.widths, config.depths, strict=True)
    ]
    networks = [trained.network for trained, _ in made]
    parameters = [int(facts["parameters"]) for _, facts in made]
    costs = [Fraction(1), Fraction(round(100 * parameters[1] / parameters[0]), 100)]
    cut = text_model.Config(length=config.length, windows=config.windows, parts=config.parts)
    to_choose, to_predict, to_measure = text_model.held_out_windows(cut, made[0][0], progress)
    keys = jax.random.split(jax.random.key(config.seed), (3, config.parts))

    def losses(network, keys: jax.Array, windows: jax.Array, label: str) -> MaskedLosses:
        parts = progress(list(zip(keys, windows, strict=True)), label)
        return joined([masked_losses(key, network, part, rounds=config.length) for key, part in parts])

    chosen = [losses(network, keys[0], to_choose, "choosing") for network in networks]
    predicted = [losses(network, keys[1], to_predict, "predicting") for network in networks]
    means = [loss_means(rows.rows()) for rows in chosen]
    curves = [spline_fit(one.curve()) for one in means]
    reports = [assigned_study(curves, costs, budget) for budget in config.budgets]
    plans = [[report.plan, *(report.compared[name] for name in PLANS[1:])] for report in reports]
    honest = [report.with_gains(keys[0, 0], means, "spline").gains["alone_0"] for report in reports]
    every = [plan for row in plans for plan in row]
    starts = np.unique(np.concatenate([plan.schedule.boundaries[:-1] for plan in every]))
    paths = []
    for key, part in progress(list(zip(keys[2], to_measure, strict=True)), "paths"):
        each = [prefix_losses(key, one, part, starts=starts, orders=config.orders) for one in networks]
        paths.append(np.stack([assigned_path_nll(each, plan).mean(axis=1) for plan in every], axis=1))
    measured = np.concatenate(paths).reshape(-1, len(plans), len(PLANS))
    return {
        "parameters": np.array(parameters),
        "costs": np.array([float(cost) for cost in costs]),
        "training_seconds": np.array([float(facts["training_seconds"]) for _, facts in made]),
        "held_out_loss_nats": np.array([facts["held_out_loss_nats"] for _, facts in made]),
        "loss_nats": np.array([np.asarray(one.curve().loss) for one in means]),
        "fit_nats": np.array([np.asarray(curve.loss) for curve in curves]),
        "budgets": np.array(config.budgets),
        "plan": np.array(PLANS),
        "counts": np.array([[_padded(plan, plan.schedule.counts, 0) for plan in row] for row in plans]),
        "models": np.array([[_padded(plan, plan.models, -1) for plan in row] for row in plans]),
        "order": np.array([[_order(plan) for plan in row] for row in plans]),
        **compared(each_window(predicted, plans), measured),
        "honest_gain_nats": np.array([one.gain for one in honest]),
        "honest_gain_stderr_nats": np.array([one.stderr for one in honest]),
    }


def each_window(rows: list[MaskedLosses], plans: list[list[Assigned]]) -> np.ndarray:
    """The NLL by each window's own losses, `[window, budget, plan]`: their mean is the predicted one."""
    tables = []
    for one in rows:  # every window was masked once at every count
        table = np.zeros((one.sequence.max() + 1, one.n))
        table[one.sequence, one.n - one.n_masked] = one.loss
        tables.append(table)
    weights = np.array([[plan.weights(len(rows)) for plan in row] for row in plans])
    return np.einsum("bpim,iwm->wbp", weights, np.array(tables))


def compared(predicted: np.ndarray, measured: np.ndarray) -> dict[str, np.ndarray]:
    """NLLs and gains over the large model alone, predicted and measured; `z` of what is left between."""
    found, sides = {}, {"predicted": predicted, "measured": measured}
    for side, nll in sides.items():
        for what, values in {"nll": nll, "gain": nll[..., LARGE : LARGE + 1] - nll}.items():
            pairs = np.array([[estimate(one) for one in row] for row in values.transpose(1, 2, 0)])
            found[f"{side}_{what}_nats"], found[f"{side}_{what}_stderr_nats"] = pairs[..., 0], pairs[..., 1]
    error = np.hypot(found["predicted_gain_stderr_nats"], found["measured_gain_stderr_nats"])
    apart = found["measured_gain_nats"] - found["predicted_gain_nats"]
    return found | {"gain_z": apart / np.where(error > 0, error, 1.0)}


def _padded(plan: Assigned, values: np.ndarray, fill: int) -> np.ndarray:
    return np.pad(values, (0, plan.schedule.n - plan.schedule.steps), constant_values=fill)


def _order(plan: Assigned) -> str:
    """The models in the order in which their steps come, as `1 0 1`."""
    return " ".join(str(one) for one, _ in groupby(plan.models))
