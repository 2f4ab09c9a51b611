"""Training as a pure function: a state, and one compiled program that takes it many steps further."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import NamedSharding, PartitionSpec

from .._errors import InvalidInputError, readable_bytes, refuse
from .._types import Array, Float, Int, Key
from ..denoisers.transformer import Transformer, TransformerConfig
from .data import AbstractData, draw_examples
from .loss import masked_loss, masks_of
from .plan import MAX_TRAINING_BYTES, TrainingPlan, check_training, training_bytes

CHUNK = 25
"""Steps in one program, between two looks at what they did: the last bits of a training depend on it."""


class TrainState(eqx.Module):
    """All that a training goes on from: float32 weights, their running mean, the optimiser, the step.

    >>> config = TransformerConfig(n=2, q=2, width=8, depth=1, heads=1, hidden=8)
    >>> int(TrainState.create(jax.random.key(0), TrainingPlan(steps=4, batch=8), config).step)
    0
    """

    network: Transformer
    ema: Transformer
    optimiser: Any
    step: Int[Array, ""]

    @classmethod
    def create(
        cls,
        key: Key[Array, ""],
        plan: TrainingPlan,
        config: TransformerConfig,
        *,
        limit: int = MAX_TRAINING_BYTES,
    ) -> "TrainState":
        """The state before the first step, with random weights of at most `limit` bytes."""
        key = jax.random.fold_in(key, 2**32 - 1)
        return cls.begin(Transformer.create(key, config, limit=limit), plan)

    @classmethod
    def begin(cls, network: Transformer, plan: TrainingPlan) -> "TrainState":
        """The state before the first step that starts from a network."""
        weights: Any = network
        moments = plan.optimiser().init(weights)
        return cls(network, jax.tree.map(jnp.copy, network), moments, jnp.zeros((), jnp.int32))


Steps = Float[Array | np.ndarray, " count"]


class StepLog(NamedTuple):
    """What each step saw: the loss in nats a token, the learning rate, the norm before it is clipped."""

    loss: Steps
    learning_rate: Steps
    gradient_norm: Steps


class Progress(NamedTuple):
    """What a callback of `fit` is given after every chunk of steps: `step` of them are done in all.

    `log` is of the chunk, `seconds` are since `fit` began. The memory of `state` is given away to the next
    chunk: copy what is to be kept.
    """

    step: int
    log: StepLog
    seconds: float
    state: TrainState


class NotFinite(InvalidInputError):
    """A loss or a gradient that is not finite; `progress` has the steps of its chunk that came before."""

    def __init__(self, message: str, progress: Progress):
        super().__init__(message)
        self.progress = progress


def fit(
    key: Key[Array, ""],
    state: TrainState,
    data: AbstractData,
    plan: TrainingPlan,
    callback: Callable[[Progress], Any] | None = None,
    sharding: NamedSharding | None = None,
    *,
    limit: int = MAX_TRAINING_BYTES,
) -> TrainState:
    """The state at the end of the plan, or after the chunk at which `callback` said something true.

    Goes on from any state of the same `key` and plan; the memory of `state` is given away. A training that
    is stopped and goes on has the bits of one that is not, on the same machine: chunks end at multiples of
    `CHUNK`. With `sharding`, over one axis of a mesh, each device has an equal part of every batch.

    Raises:
        NotFinite: a loss or a gradient that is not finite, with its step.
        InvalidInputError: data of another size than the network's; a batch that the devices cannot share; a
            training of more than `limit` bytes a device.

    >>> from mdmjax import Draws, parity_code
    >>> plan, key = TrainingPlan(steps=4, batch=8), jax.random.key(0)
    >>> config = TransformerConfig(n=2, q=2, width=8, depth=1, heads=1, hidden=8)
    >>> state = fit(key, TrainState.create(key, plan, config), Draws(parity_code(2, 2)), plan)
    >>> int(state.step)
    4
    """
    devices = sharding.mesh.size if sharding else 1
    check_training(state.network.config, plan, devices=devices, limit=limit)
    data, state = on_every_device((data, state), sharding)
    step, start = int(state.step), time.monotonic()
    while step < plan.steps:
        count = min(CHUNK - step % CHUNK, plan.steps - step)
        try:
            state, log = train_steps(key, state, data, plan, count, sharding)
            log = jax.device_get(log)
        except jax.errors.JaxRuntimeError as error:
            if "RESOURCE_EXHAUSTED" not in str(error):
                raise
            need = f"of {readable_bytes(training_bytes(state.network.config, plan))} or more"
            refuse("training", need, "what the device's memory holds", "take a smaller batch")
        good = np.isfinite(log.loss) & np.isfinite(log.gradient_norm)
        done = count if good.all() else int(np.argmin(good))
        seen = Progress(step + done, StepLog(*(x[:done] for x in log)), time.monotonic() - start, state)
        if done < count:
            what = "gradient_norm" if np.isfinite(log.loss[done]) else "loss"
            wrong = f"{what} is {getattr(log, what)[done]} at step {step + done + 1}"
            raise NotFinite(f"{wrong}: want a finite number; lower the learning rate", seen)
        step += count
        if callback is not None and callback(seen):
            break
    return state


def train_steps(
    key: Key[Array, ""],
    state: TrainState,
    data: AbstractData,
    plan: TrainingPlan,
    count: int,
    sharding: NamedSharding | None = None,
) -> tuple[TrainState, StepLog]:
    """The state after `count` more steps, in one program a `count`; twice 5 steps are 10. See `fit`."""
    check_data(data, state.network.config)
    if sharding is not None and plan.batch % sharding.mesh.size:
        refuse("batch", plan.batch, f"a multiple of the {sharding.mesh.size} devices")
    data, state = on_every_device((data, state), sharding)
    return _train_steps((key, data, plan, count, sharding), state)


def check_data(data: AbstractData, config: TransformerConfig) -> None:
    """Refuse data of another size than the network's."""
    if (data.n, data.q) != (config.n, config.q):
        refuse("data", f"of n, q = {data.n}, {data.q}", f"n, q = {config.n}, {config.q} of the network")


@eqx.filter_jit(donate="all-except-first")
def _train_steps(fixed: tuple, state: TrainState) -> tuple[TrainState, StepLog]:
    """`fixed` is what is not given away: key, data, plan, count and sharding."""
    key, data, plan, count, sharding = fixed
    optimiser = plan.optimiser()

    def step(state: TrainState, _: None) -> tuple[TrainState, StepLog]:
        key_data, key_masks = jax.random.split(jax.random.fold_in(key, state.step))
        tokens, given = draw_examples(key_data, data, plan.batch)
        masks = masks_of(plan.masks, key_masks, plan.batch, data.n, given)
        tokens, masks = (tokens, masks) if sharding is None else eqx.filter_shard((tokens, masks), sharding)
        with jax.numpy_dtype_promotion("standard"):  # attention backward, and optax's counts, promote
            loss, gradient = jax.value_and_grad(masked_loss)(state.network, tokens, masks)
            network: Any = state.network
            update, moments = optimiser.update(gradient, state.optimiser, network)
        network = jax.tree.map(lambda x, dx: x + dx.astype(x.dtype), network, update)
        since = state.step.astype(jnp.float32)
        keep = jnp.minimum(jnp.float32(plan.ema), (1 + since) / (10 + since))
        ema = jax.tree.map(lambda mean, x: keep * mean + (1 - keep) * x, state.ema, network)
        log = StepLog(loss, plan.rate(state.step), optax.tree.norm(gradient))
        return on_every_device(TrainState(network, ema, moments, state.step + 1), sharding), log

    return jax.lax.scan(step, state, length=count)


def batch_sharding(devices: list[Any]) -> NamedSharding:
    """Each of the devices has an equal part of a batch."""
    types = (jax.sharding.AxisType.Auto,)
    mesh = jax.make_mesh((len(devices),), ("batch",), axis_types=types, devices=devices)
    return NamedSharding(mesh, PartitionSpec("batch"))


def on_every_device(tree: Any, sharding: NamedSharding | None) -> Any:
    """The arrays of a tree copied to every device of a sharding's mesh, if there is one."""
    if sharding is None:
        return tree
    return eqx.filter_shard(tree, NamedSharding(sharding.mesh, PartitionSpec()))
