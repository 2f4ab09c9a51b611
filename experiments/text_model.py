r"""The claim on real text: the gain that a masked-loss curve predicts is the gain that paths measure.

`mdmjax train text` trains the model. The windows of the held-out files are cut apart and shuffled, so that
the model saw none of them, and of the three parts of the experiment no two share one:

- chosen: the masked-loss curve on some windows, each masked once at every number of tokens, in the way of
  `mdmjax loss-curve`. The best schedule of `k` steps is that of its smooth fit, and of the
  two of Theorem 9 (arXiv 2511.04647) that fit in `k` steps the better one on it is taken.
- predicted: the NLL $\sum_t s_t c(N_t)$ of every schedule by the curve on other windows.
- measured: the NLL of the same schedules along the paths of a sampler on yet others, random orders of each
  window that all schedules share, so that their differences are paired; and the bound of these orders,
  which is nearer to the sampler's own law. On some of these windows other decoders are scored as well.

All numbers are estimates. Standard errors are over windows, of predictions too: what the points of a
curve share by their windows is counted, in differences as in sums. `honest_gain_nats` is what the windows
that choose say of the gain of the best: one half of them chooses, the other judges.

The curve of this model is nearly straight, and uniform steps are nearly optimal: the best schedule gains
half a nat of 300 at 4 steps, if that, and nothing that can be told from 8 steps on; cosine loses, and
Theorem 9, which knows only the number of steps, loses much at few.
"""

import dataclasses
import tempfile
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from mdmjax import (
    LossCurve,
    Schedule,
    TrainingPlan,
    TransformerConfig,
    dllm_cosine,
    frontier,
    honest_gains,
    llada_uniform,
    loss_means,
    masked_losses,
    nll,
    prefix_losses,
    spline_fit,
)
from mdmjax.files.model_folder import LOG
from mdmjax.information.estimate import estimate
from mdmjax.losses.sampled import MaskedLosses, joined
from mdmjax.schedules.guaranteed import theorem9_dtc_for_steps, theorem9_tc_for_steps
from mdmjax.studies.sources import CorpusSource
from mdmjax.studies.trained import Trained, open_model
from mdmjax.studies.training import training_study

from ._decoders import decoded
from ._run import Progress


@dataclasses.dataclass(frozen=True)
class Config:
    length: int = 128
    """Characters in a window."""
    width: int = 128
    depth: int = 1
    training_steps: int = 8000
    batch: int = 16
    schedule_steps: tuple[int, ...] = (4, 8, 16, 32, 64)
    """Numbers of steps `k` at which schedules are compared."""
    windows: int = 1024
    """To choose on, as many to predict on, and as many to measure on."""
    parts: int = 16
    """Of each, for the progress bar."""
    orders: int = 4
    """Random orders a window, of the paths that are measured."""
    thresholds: tuple[float, ...] = (0.3, 0.5, 0.7, 0.9)
    bounds: tuple[float, ...] = (0.3, 1.0, 3.0, 10.0)
    """Of the entropy, in nats."""
    decoded: int = 128
    """Windows on which other decoders are scored."""
    seed: int = 0


SMOKE = Config(
    length=16, width=16, depth=1, training_steps=25, schedule_steps=(2, 4), windows=64, parts=2, decoded=4
)

SCHEDULES = ("best", "uniform", "cosine", "theorem9")
UNIFORM = SCHEDULES.index("uniform")


def run(config: Config, progress: Progress) -> dict[str, np.ndarray]:
    """NLL in nats a window, `[k, schedule]`; gains over uniform with the errors of the differences."""
    trained, facts = trained_model(config)
    network, (to_choose, to_predict, to_measure) = (
        trained.network,
        held_out_windows(config, trained, progress),
    )
    keys = jax.random.split(jax.random.key(config.seed), (3, config.parts))

    def curve(keys: jax.Array, windows: jax.Array, label: str) -> MaskedLosses:
        parts = progress(list(zip(keys, windows, strict=True)), label)
        return joined([masked_losses(key, network, part, rounds=config.length) for key, part in parts])

    chosen, predicted = curve(keys[0], to_choose, "choosing"), curve(keys[1], to_predict, "predicting")
    means = loss_means(chosen.rows())
    measured = means.curve()
    fit = spline_fit(measured)
    schedules = chosen_schedules(fit, config.schedule_steps)
    every = [schedule for row in schedules for schedule in row]
    parts = progress(list(zip(keys[2], to_measure, strict=True)), "paths")
    starts = np.unique(np.concatenate([schedule.starts for schedule in every]))
    shape = len(schedules), len(SCHEDULES)
    own, bound = list[np.ndarray](), list[np.ndarray]()
    for key, part in parts:
        losses = prefix_losses(key, network, part, starts=starts, orders=config.orders)
        own.append(np.stack([losses.path_nll(one).mean(axis=1) for one in every], axis=1))
        bound.append(np.stack([losses.importance_nll(one) for one in every], axis=1))
    paths, bounds = (np.concatenate(found).reshape(-1, *shape) for found in (own, bound))
    honest = [
        honest_gains(keys[0, 0], means, k, {"uniform": row[UNIFORM]})["uniform"]
        for k, row in zip(config.schedule_steps, schedules, strict=True)
    ]
    under = np.array([[estimate(column) for column in row] for row in bounds.transpose(1, 2, 0)])
    few = to_measure.reshape(-1, config.length)[: config.decoded]
    return {
        **facts,
        "windows": np.array(config.windows),
        "loss_nats": np.asarray(measured.loss),
        "loss_stderr_nats": np.asarray(measured.stderr),
        "fit_nats": np.asarray(fit.loss),
        "predicting_loss_nats": np.asarray(loss_means(predicted.rows()).curve().loss),
        "schedule_steps": np.array(config.schedule_steps),
        "schedule": np.array(SCHEDULES),
        "counts": np.array([[np.pad(s.counts, (0, s.n - s.steps)) for s in row] for row in schedules]),
        "steps_made": np.array([[s.steps for s in row] for row in schedules]),
        **compared(predicted, schedules, paths),
        "honest_gain_nats": np.array([one.gain for one in honest]),
        "honest_gain_stderr_nats": np.array([one.stderr for one in honest]),
        "orders": np.array(config.orders),
        "bound_nll_nats": under[..., 0],
        "bound_nll_stderr_nats": under[..., 1],
        **decoded(
            keys[2, 0],
            network,
            few,
            config.schedule_steps,
            config.thresholds,
            config.bounds,
            progress,
            mean=estimate,
        ),
    }


def trained_model(config: Config) -> tuple[Trained, dict[str, np.ndarray]]:
    """What `mdmjax train text --steps 8000` makes, and what it says of it."""
    source, steps = CorpusSource(length=config.length), config.training_steps
    examples = source.examples()
    hidden = -(-config.width * 8 // 24) * 8
    shape = TransformerConfig(
        config.length, examples.training.q, width=config.width, depth=config.depth, hidden=hidden
    )
    warmup = min(1000, steps // 20)
    plan = TrainingPlan(steps, config.batch, learning_rate=4e-3, warmup=warmup, ema=0.99)
    with tempfile.TemporaryDirectory() as folder:
        out, key = Path(folder) / "model", jax.random.key(config.seed)
        report = training_study(key, examples, shape, plan, out, source=source.to_json())
        log = np.genfromtxt(out / LOG, delimiter=",", names=True)
        trained = open_model(out)
    return trained, {
        "parameters": np.array(report.parameters),
        "symbols": np.array(report.q),
        "training_loss_nats": log["loss"],
        "training_seconds": np.array(report.seconds),
        "held_out_loss_nats": np.array([report.held_out_loss, report.held_out_stderr]),
        "frequencies_loss_nats": np.array(next(iter(report.compare.values()))),
    }


def held_out_windows(config: Config, trained: Trained, progress: Progress) -> jax.Array:
    """Windows of the held-out text that do not overlap, `[3, parts, windows, n]`, in random order."""
    tokens = np.asarray(trained.held_out(progress).tokens)
    cut = tokens[: tokens.size // config.length * config.length].reshape(-1, config.length)
    drawn = np.random.default_rng(config.seed).permutation(cut.shape[0])[: 3 * config.windows]
    return jnp.asarray(cut[drawn], jnp.int32).reshape(3, config.parts, -1, config.length)


def chosen_schedules(curve: LossCurve, steps: tuple[int, ...]) -> list[tuple[Schedule, ...]]:
    """For each number of steps the schedules of `SCHEDULES`, by a loss curve."""
    n, best = curve.n, frontier(curve, max(steps))
    return [
        (
            best.schedule(k),
            llada_uniform(n, k),
            dllm_cosine(n, k),
            min(
                (theorem9_tc_for_steps(n, k), theorem9_dtc_for_steps(n, k)),
                key=lambda schedule: float(nll(curve, schedule)),
            ),
        )
        for k in steps
    ]


def compared(
    rows: MaskedLosses, schedules: list[tuple[Schedule, ...]], paths: np.ndarray
) -> dict[str, np.ndarray]:
    """NLLs and gains over uniform, predicted and measured, `[k, schedule]`; `z` of what is left between."""
    predicted = {
        "nll": [[rows.nll(s) for s in row] for row in schedules],
        "gain": [[rows.nll(row[UNIFORM], less=s) for s in row] for row in schedules],
    }
    measured = {
        "nll": [[estimate(column) for column in row] for row in paths.transpose(1, 2, 0)],
        "gain": [[estimate(row[UNIFORM] - column) for column in row] for row in paths.transpose(1, 2, 0)],
    }
    result = {}
    for what in predicted:
        (mean, error), (other, other_error) = (
            np.moveaxis(np.array(side[what], np.float64), -1, 0) for side in (predicted, measured)
        )
        both = np.hypot(error, other_error)
        result |= {
            f"predicted_{what}_nats": mean,
            f"predicted_{what}_stderr_nats": error,
            f"measured_{what}_nats": other,
            f"measured_{what}_stderr_nats": other_error,
            f"{what}_z": (other - mean) / np.where(both > 0, both, 1.0),
        }
    return result
