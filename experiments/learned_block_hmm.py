r"""A network learns a Block-HMM: its curve, its two errors and the law of every order as training goes on.

At checkpoints of a training the network is tabulated at every masked input, so that everything but the
training itself is exact: the learned masked-loss curve, the learning and the sampling error of schedules,
and the law of each decoder, of which both KLs are taken. Does easy-first help more when the model is
worse? One token at a time all of the KL is the network's error: forward, a random order pays on average
the learning error, and less as the mixture of orders that it is (Jensen); easy-first may pay more or less.
Two tokens at a time add the sampling error. `best_policy_kl_nats` is the least forward KL of any policy of
as many calls that knows the truth and the network. Seeds differ in the start and in the data that training
draws.

It does not, on the mean over seeds. Two tokens at a time easy-first pays more than the random sampler while
the network is bad, and a sixth of it at the end, when the network is best. One at a time the random sampler
pays less than any single order, for it mixes them; a policy that knew where the network errs pays far less.
"""

import dataclasses
from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
import numpy as np

from mdmjax import (
    AbstractRule,
    BlockHMM,
    Draws,
    InformationCurve,
    Joint,
    RandomSubset,
    Ranked,
    Reveal,
    Schedule,
    TrainingPlan,
    TrainState,
    TransformerConfig,
    denoiser_loss_curve,
    exact_law,
    expected_kl,
    information_curve,
    kl,
    left_to_right,
    llada_uniform,
    negative_entropy,
    nll,
    optimal_policy_frontier,
    optimal_schedule,
    reverse_kl,
    row_entropy,
    tabulate,
    tabulate_denoiser,
)
from mdmjax.denoisers.table import TableDenoiser
from mdmjax.losses.exact import learning_error_curve
from mdmjax.training.fit import train_steps

from ._run import Progress


@dataclasses.dataclass(frozen=True)
class Config:
    blocks: int = 3
    block_size: int = 3
    eta: float = 0.01
    """Parity noise."""
    width: int = 32
    depth: int = 2
    heads: int = 2
    hidden: int = 88
    batch: int = 128
    learning_rate: float = 1e-2
    chunk: int = 25
    """Steps before the first checkpoint after the start; each next one has twice as many."""
    doublings: int = 7
    schedule_steps: tuple[int, ...] = (2, 3, 4, 5)
    """Numbers of steps for which schedules are optimised."""
    seeds: tuple[int, ...] = (0, 1, 2)


SMOKE = Config(
    blocks=2, block_size=2, width=16, depth=1, hidden=32, doublings=1, schedule_steps=(2,), seeds=(0,)
)

ORDERS: dict[str, Callable[[Schedule], AbstractRule]] = {
    "random": RandomSubset,
    "left to right": left_to_right,
    "easy-first": lambda schedule: Ranked(negative_entropy, schedule),
    "hard-first": lambda schedule: Ranked(row_entropy, schedule),
}

PER_STEP = (1, 2)
"""Tokens that a step reveals."""


def run(config: Config, progress: Progress) -> dict[str, np.ndarray]:
    """Everything in nats, `[seed, checkpoint, ...]`; laws `[..., tokens a step, order]`."""
    model = BlockHMM(config.blocks, config.block_size, eta=config.eta)
    joint = tabulate(model)
    curve = information_curve(joint)
    places = [(seed, step) for seed in config.seeds for step in range(config.doublings + 2)]
    tables = (table for seed in config.seeds for table in _checkpoints(config, model, seed))
    found = [
        _measured(config, joint, curve, table)
        for _, table in zip(progress(places, "checkpoints"), tables, strict=True)
    ]
    shape = (len(config.seeds), config.doublings + 2)
    stacked = {name: np.stack([row[name] for row in found]) for name in found[0]}
    return {
        "training_steps": np.array([0, *(config.chunk * 2**i for i in range(config.doublings + 1))]),
        "order": np.array(list(ORDERS)),
        "per_step": np.array(PER_STEP),
        "schedule_steps": np.array(config.schedule_steps),
        "true_loss_nats": np.asarray(curve.loss),
        **{name: values.reshape(shape + values.shape[1:]) for name, values in stacked.items()},
    }


def _checkpoints(config: Config, model: BlockHMM, seed: int) -> Iterator[TableDenoiser]:
    """The running mean of the weights after 0, 1, 2, 4, ... chunks, at every masked input."""
    total = config.chunk * 2**config.doublings
    plan = TrainingPlan(total, config.batch, config.learning_rate, warmup=total // 20, ema=0.99)
    shape = TransformerConfig(
        model.n,
        model.q,
        width=config.width,
        depth=config.depth,
        heads=config.heads,
        hidden=config.hidden,
        learned_positions=True,
    )
    key, data = jax.random.key(seed), Draws(model)
    state = TrainState.create(key, plan, shape)
    yield tabulate_denoiser(state.ema, dtype=jnp.dtype("float64"))
    for chunk in range(1, 2**config.doublings + 1):
        state, _ = train_steps(key, state, data, plan, config.chunk)
        if chunk & (chunk - 1) == 0:
            yield tabulate_denoiser(state.ema, dtype=jnp.dtype("float64"))


def _measured(
    config: Config, joint: Joint, curve: InformationCurve, table: TableDenoiser
) -> dict[str, np.ndarray]:
    """All numbers of one checkpoint; a split is the sampling and the learning error (`kl_split`)."""
    n, loss, errors = joint.n, denoiser_loss_curve(joint, table), learning_error_curve(joint, table)
    learned = [optimal_schedule(loss, k) for k in config.schedule_steps]
    equal = [llada_uniform(n, -(-n // per_step)) for per_step in PER_STEP]
    policies = optimal_policy_frontier(joint, n, denoiser=table)

    def splits(schedules: list[Schedule]) -> np.ndarray:
        return np.array([(float(expected_kl(curve, s)), float(nll(errors, s))) for s in schedules])

    laws = [[exact_law(table, Reveal(order(s))) for order in ORDERS.values()] for s in equal]
    return {
        "loss_nats": np.asarray(loss.loss),
        "learning_error_nats": np.asarray(errors.loss),
        "learned_counts": np.stack([np.pad(s.counts, (0, n - s.steps)) for s in learned]),
        "learned_split_nats": splits(learned),
        "true_split_nats": splits(_true_schedules(config, curve)),
        "mean_split_nats": splits(equal),
        "forward_kl_nats": np.array([[float(kl(joint, law)) for law in row] for row in laws]),
        "reverse_kl_nats": np.array([[float(reverse_kl(joint, law)) for law in row] for row in laws]),
        "best_policy_kl_nats": np.array([float(policies[schedule.steps - 1]) for schedule in equal]),
    }


def _true_schedules(config: Config, curve: InformationCurve) -> list[Schedule]:
    return [optimal_schedule(curve, k) for k in config.schedule_steps]
