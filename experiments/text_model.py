r"""The claim on real text: the gain that a masked-loss curve predicts is the gain that paths measure.

`mdmjax train text` trains the model. The windows of the held-out files are cut apart and shuffled, so that
the model saw none of them, and of the three parts of the experiment no two share one:

- chosen: the masked-loss curve on some windows, each masked once at every number of tokens, in the way of
  `mdmjax loss-curve`. The best schedule of `k` steps is that of its nearest nonincreasing curve, and of the
  two of Theorem 9 (arXiv 2511.04647) that fit in `k` steps the better one on it is taken.
- predicted: the NLL $\sum_t s_t c(N_t)$ of every schedule by the curve on other windows.
- measured: the NLL of the same schedules along the path of a sampler on yet others, one random order a
  window that all schedules share, so that their differences are paired.

All numbers are estimates. Standard errors are over windows, of predictions too: what the points of a
curve share by their windows is counted, in differences as in sums. A curve flatters the schedule that
was chosen on it, which fits its noise as well: `chosen_gain_nats` is the gain that it promises itself.

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
    curve_from_table,
    dllm_cosine,
    frontier,
    isotonic_fit,
    llada_uniform,
    masked_losses,
    nll,
    prefix_losses,
)
from mdmjax.files.model_folder import LOG
from mdmjax.information.estimate import estimate
from mdmjax.losses.sampled import MaskedLosses, joined
from mdmjax.schedules.guaranteed import theorem9_dtc_for_steps, theorem9_tc_for_steps
from mdmjax.studies.sources import CorpusSource
from mdmjax.studies.trained import Trained, open_model
from mdmjax.studies.training import training_study

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
    seed: int = 0


SMOKE = Config(length=16, width=16, depth=1, training_steps=25, schedule_steps=(2, 4), windows=64, parts=2)

SCHEDULES = ("best", "uniform", "cosine", "theorem9")
UNIFORM = SCHEDULES.index("uniform")


def run(config: Config, progress: Progress) -> dict[str, np.ndarray]:
    """NLL in nats a window, `[k, schedule]`; gains over uniform with the errors of the differences."""
    trained, facts = _trained(config)
    network, (to_choose, to_predict, to_measure) = trained.network, _windows(config, trained, progress)
    keys = jax.random.split(jax.random.key(config.seed), (3, config.parts))

    def curve(keys: jax.Array, windows: jax.Array, label: str) -> MaskedLosses:
        parts = progress(list(zip(keys, windows, strict=True)), label)
        return joined([masked_losses(key, network, part, rounds=config.length) for key, part in parts])

    chosen, predicted = curve(keys[0], to_choose, "choosing"), curve(keys[1], to_predict, "predicting")
    measured = curve_from_table(chosen.table())
    fit = isotonic_fit(measured)
    schedules = chosen_schedules(fit, config.schedule_steps)
    every = [schedule for row in schedules for schedule in row]
    parts = progress(list(zip(keys[2], to_measure, strict=True)), "paths")
    starts = np.unique(np.concatenate([schedule.starts for schedule in every]))
    along = (prefix_losses(key, network, part, starts=starts) for key, part in parts)
    paths = np.concatenate([np.stack([one.path_nll(s)[:, 0] for s in every], 1) for one in along])
    own = [[chosen.nll(row[UNIFORM], less=schedule) for schedule in row] for row in schedules]
    return {
        **facts,
        "windows": np.array(config.windows),
        "loss_nats": np.asarray(measured.loss),
        "loss_stderr_nats": np.asarray(measured.stderr),
        "fit_nats": np.asarray(fit.loss),
        "predicting_loss_nats": np.asarray(curve_from_table(predicted.table()).loss),
        "schedule_steps": np.array(config.schedule_steps),
        "schedule": np.array(SCHEDULES),
        "counts": np.array([[np.pad(s.counts, (0, s.n - s.steps)) for s in row] for row in schedules]),
        "steps_made": np.array([[s.steps for s in row] for row in schedules]),
        **compared(predicted, schedules, paths.reshape(-1, len(schedules), len(SCHEDULES))),
        "chosen_gain_nats": np.array(own, np.float64)[..., 0],
        "chosen_gain_stderr_nats": np.array(own, np.float64)[..., 1],
    }


def _trained(config: Config) -> tuple[Trained, dict[str, np.ndarray]]:
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


def _windows(config: Config, trained: Trained, progress: Progress) -> jax.Array:
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
