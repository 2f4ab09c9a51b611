r"""The claim on real text: the gain that a masked-loss curve predicts is the gain that paths measure.

`mdmjax train text` trains the model. The windows of the held-out files are cut apart and shuffled, so that
the model saw none of them and the two estimates share none:

- predicted: the masked-loss curve on some windows, each masked once at every number of tokens, in the way
  of `mdmjax loss-curve`. It chooses the best schedule of `k` steps, and the better of the two of Theorem 9
  (arXiv 2511.04647) that fit in `k` steps, and gives the NLL $\sum_t s_t c(N_t)$ of every schedule.
- measured: the NLL of the same schedules along the path of a sampler on other windows, one random order a
  window that all schedules share, so that their differences are paired.

All numbers are estimates. Standard errors are over windows, of predictions too: what the points of a
curve share by their windows is counted, in differences as in sums. The best schedule is chosen on the
curve that predicts its gain, and `optimism_nats` is by how much that flatters it: how much more the
best schedule of a bootstrap replicate of the windows gains there than on all windows, on average.
"""

import contextlib
import dataclasses
import io
import json
import tempfile
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from mdmjax import (
    MaskedLosses,
    Schedule,
    dllm_cosine,
    estimate,
    frontier,
    llada_uniform,
    masked_losses,
    path_nlls,
    theorem9_dtc_for_steps,
    theorem9_tc_for_steps,
)
from mdmjax.cli.train import TrainCommand
from mdmjax.cli.train_sources import TrainText
from mdmjax.cli.trained import Trained, open_model
from mdmjax.denoisers.masked_losses import joined
from mdmjax.files.model_folder import LOG

from ._run import Progress


@dataclasses.dataclass(frozen=True)
class Config:
    length: int = TrainText.length
    """Characters in a window."""
    width: int = TrainCommand.width
    depth: int = TrainCommand.depth
    training_steps: int = 2 * TrainCommand.steps
    batch: int = TrainCommand.batch
    schedule_steps: tuple[int, ...] = (4, 8, 16, 32, 64)
    """Numbers of steps `k` at which schedules are compared."""
    curve_windows: int = 1024
    path_windows: int = 1024
    parts: int = 16
    """Of each, for the progress bar."""
    replicates: int = 200
    """Of the bootstrap."""
    seed: int = 0


SMOKE = Config(
    length=16, width=16, depth=1, training_steps=25, schedule_steps=(2, 4),
    curve_windows=64, path_windows=64, parts=2, replicates=4,
)  # fmt: skip

SCHEDULES = ("best", "uniform", "cosine", "theorem9")
UNIFORM = SCHEDULES.index("uniform")


def run(config: Config, progress: Progress) -> dict[str, np.ndarray]:
    """NLL in nats a window, `[k, schedule]`; gains over uniform with the errors of the differences."""
    trained, facts = _trained(config)
    curve_windows, path_windows = _windows(config, trained, progress)
    key_curve, key_paths, key_bootstrap = jax.random.split(jax.random.key(config.seed), 3)
    rows = joined(
        [
            masked_losses(jax.random.fold_in(key_curve, i), trained.network, part, rounds=config.length)
            for i, part in enumerate(progress(curve_windows, "loss curve"))
        ]
    )
    table = rows.table()
    loss, stderr = table.loss[::-1], table.stderr[::-1]  # by the number of revealed tokens
    schedules = chosen_schedules(loss, config.schedule_steps)
    every = [schedule for row in schedules for schedule in row]
    paths = np.concatenate(
        [
            path_nlls(jax.random.fold_in(key_paths, i), trained.network, part, every)
            for i, part in enumerate(progress(path_windows, "paths"))
        ]
    ).reshape(-1, len(config.schedule_steps), len(SCHEDULES))
    return {
        **facts,
        "windows": np.array([config.curve_windows, config.path_windows]),
        "loss_nats": loss,
        "loss_stderr_nats": stderr,
        "schedule_steps": np.array(config.schedule_steps),
        "schedule": np.array(SCHEDULES),
        "counts": np.array([[np.pad(s.counts, (0, s.n - s.steps)) for s in row] for row in schedules]),
        "steps_made": np.array([[s.steps for s in row] for row in schedules]),
        **compared(rows, schedules, paths),
        "optimism_nats": optimism(key_bootstrap, rows, config.schedule_steps, config.replicates),
    }


def _trained(config: Config) -> tuple[Trained, dict[str, np.ndarray]]:
    """What `mdmjax train text` makes, and what it says of it."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "model"
        command = TrainCommand(
            TrainText(length=config.length), out, width=config.width, depth=config.depth,
            steps=config.training_steps, batch=config.batch, seed=config.seed, json=True,
        )  # fmt: skip
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            command.run()
        log = np.genfromtxt(out / LOG, delimiter=",", names=True)
        trained = open_model(out)
    result = json.loads(printed.getvalue())
    return trained, {
        "parameters": np.array(result["parameters"]),
        "symbols": np.array(result["q"]),
        "training_loss_nats": log["loss"],
        "training_seconds": np.array(result["seconds"]),
        "held_out_loss_nats": np.array([result["held_out_loss"], result["held_out_stderr"]]),
        "frequencies_loss_nats": np.array(next(iter(result["compare"].values()))),
    }


def _windows(config: Config, trained: Trained, progress: Progress) -> list[jax.Array]:
    """Windows of the held-out text that do not overlap: those of the curve and those of the paths."""
    tokens = np.asarray(trained.held_out(progress).tokens)
    cut = tokens[: tokens.size // config.length * config.length].reshape(-1, config.length)
    wanted = config.curve_windows + config.path_windows
    drawn = np.random.default_rng(config.seed).permutation(cut.shape[0])[:wanted]
    windows = jnp.asarray(cut[drawn], jnp.int32)
    sides = windows[: config.curve_windows], windows[config.curve_windows :]
    return [list(side.reshape(config.parts, -1, config.length)) for side in sides]


def chosen_schedules(loss: np.ndarray, steps: tuple[int, ...]) -> list[tuple[Schedule, ...]]:
    """For each number of steps the schedules of `SCHEDULES`, by a loss curve."""
    n, best = loss.size, frontier(-loss, max(steps))
    return [
        (
            best.schedule(k),
            llada_uniform(n, k),
            dllm_cosine(n, k),
            min(
                (theorem9_tc_for_steps(n, k), theorem9_dtc_for_steps(n, k)),
                key=lambda schedule: loss[schedule.starts].sum(),
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


def optimism(key: jax.Array, rows: MaskedLosses, steps: tuple[int, ...], replicates: int) -> np.ndarray:
    """The optimism of the best schedule of every number of steps: see the module.

    What the best schedule on all windows gains more on a replicate is 0 on average, and is taken off: no
    replicate then counts less than 0.
    """
    n, size = rows.n, rows.sequence.max() + 1
    losses = np.zeros((size, n))
    losses[rows.sequence, n - rows.n_masked] = rows.loss  # every window has every mask count once
    loss = losses.mean(0)
    own, found = frontier(-loss, max(steps)), []
    for draw in np.asarray(jax.random.randint(key, (replicates, size), 0, size)):
        change = losses[draw].mean(0) - loss
        best = frontier(-(loss + change), max(steps))
        pairs = [(own.schedule(k).starts, best.schedule(k).starts) for k in steps]
        found.append([change[kept].sum() - change[chosen].sum() for kept, chosen in pairs])
    return np.mean(found, axis=0)
