"""Training as a pure function: a state, and one compiled program that takes it many steps further."""

import dataclasses
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jax.sharding import NamedSharding, PartitionSpec

from .._errors import refuse
from .._types import Array, Float, Int
from ..denoisers.transformer import Transformer, TransformerConfig
from .data import AbstractData, draw_batch
from .loss import MaskLaw, masked_loss, stratified_masks


@dataclasses.dataclass(frozen=True)
class TrainingPlan:
    r"""Every number that a training depends on, beside the data and the network's shape.

    AdamW with gradients clipped to a global norm `clip`; the learning rate rises linearly over `warmup`
    steps to `learning_rate` and falls as a cosine to the share `last_rate` of it at `steps`. Norms do not
    decay. `ema` is the decay of the running mean of the weights; step `s` uses at most $(1+s)/(10+s)$, so
    that the random start is soon forgotten.

    Raises:
        InvalidInputError: a number out of its range.

    >>> TrainingPlan(steps=1000, warmup=100).rate(jnp.int32(99))
    Array(0.003, dtype=float32)
    """

    steps: int
    batch: int = 32
    learning_rate: float = 3e-3
    warmup: int = 0
    last_rate: float = 0.01
    weight_decay: float = 0.01
    betas: tuple[float, float] = (0.9, 0.98)
    clip: float = 1.0
    ema: float = 0.999
    seed: int = 0
    masks: MaskLaw = stratified_masks

    def __post_init__(self):
        """Refuse what is no plan."""
        for name, least in (("steps", 1), ("batch", 1), ("warmup", 0), ("seed", 0)):
            if getattr(self, name) < least:
                refuse(name, getattr(self, name), f"an integer >= {least}")
        if self.warmup >= self.steps:
            refuse("warmup", self.warmup, f"fewer than the {self.steps} steps")
        for name in ("learning_rate", "clip"):
            if not 0 < getattr(self, name) < float("inf"):
                refuse(name, getattr(self, name), "a positive number")
        for name in ("last_rate", "ema"):
            if not 0 <= getattr(self, name) <= 1:
                refuse(name, getattr(self, name), "a number in [0, 1]")
        if not 0 <= self.weight_decay < float("inf"):
            refuse("weight_decay", self.weight_decay, "a number >= 0")

    def rate(self, step: Int[Array, ""]) -> Float[Array, ""]:
        """The learning rate of a step, which begins at 0; the last one has the last rate."""
        schedule = optax.warmup_cosine_decay_schedule(
            0.0, self.learning_rate, self.warmup, self.steps, self.last_rate * self.learning_rate
        )
        with jax.numpy_dtype_promotion("standard"):
            return jnp.asarray(schedule(step + 1), jnp.float32)

    def optimiser(self) -> optax.GradientTransformation:
        """The optimiser of a network's parameters."""
        return optax.chain(
            optax.clip_by_global_norm(self.clip),
            optax.adamw(self.rate, *self.betas, weight_decay=self.weight_decay, mask=_decays),
        )


class TrainState(eqx.Module):
    """All that a training goes on from: float32 weights, their running mean, the optimiser, the step."""

    network: Transformer
    ema: Transformer
    optimiser: Any
    step: Int[Array, ""]

    @classmethod
    def create(cls, plan: TrainingPlan, config: TransformerConfig) -> "TrainState":
        """The state before the first step."""
        network = Transformer.create(jax.random.fold_in(jax.random.key(plan.seed), 2**32 - 1), config)
        optimiser = plan.optimiser().init(network)
        ema = jax.tree.map(jnp.copy, network)
        return cls(network, ema, optimiser, jnp.zeros((), jnp.int32))


class StepLog(NamedTuple):
    """What each step saw: the loss in nats a token, the learning rate, the norm before it is clipped."""

    loss: Float[Array, " count"]
    learning_rate: Float[Array, " count"]
    gradient_norm: Float[Array, " count"]


def train_steps(
    state: TrainState,
    data: AbstractData,
    plan: TrainingPlan,
    count: int,
    sharding: NamedSharding | None = None,
) -> tuple[TrainState, StepLog]:
    """The state after `count` more steps, in one program that is compiled once for each `count`.

    The key of a step is that of the plan's seed and the step's number: the state is all there is
    to go on from, and two calls of 5 steps are one of 10. The memory of `state` is given away: use the
    state that is returned. With `sharding`, over one axis of a mesh, each device has an equal part of
    every batch and all of the state. A loss that is not finite goes into the log, and everything after
    it is worthless.

    Raises:
        InvalidInputError: data of another size than the network's; a batch that the devices cannot share.

    >>> from mdmjax import Draws, parity_code
    >>> plan = TrainingPlan(steps=4, batch=8)
    >>> config = TransformerConfig(n=2, q=2, width=8, depth=1, heads=1, hidden=8)
    >>> state, log = train_steps(TrainState.create(plan, config), Draws(parity_code(2, 2)), plan, 2)
    >>> int(state.step), log.loss.shape
    (2, (2,))
    """
    config = state.network.config
    if (data.n, data.q) != (config.n, config.q):
        refuse("data", f"of n, q = {data.n}, {data.q}", f"n, q = {config.n}, {config.q} of the network")
    if sharding is not None and plan.batch % sharding.mesh.size:
        refuse("batch", plan.batch, f"a multiple of the {sharding.mesh.size} devices")
    data, state = on_every_device((data, state), sharding)
    return _train_steps((data, plan, count, sharding), state)


@eqx.filter_jit(donate="all-except-first")
def _train_steps(
    fixed: tuple[AbstractData, TrainingPlan, int, NamedSharding | None], state: TrainState
) -> tuple[TrainState, StepLog]:
    data, plan, count, sharding = fixed
    root, optimiser = jax.random.key(plan.seed), plan.optimiser()

    def step(state: TrainState, _: None) -> tuple[TrainState, StepLog]:
        key_data, key_masks = jax.random.split(jax.random.fold_in(root, state.step))
        tokens = draw_batch(key_data, data, plan.batch)
        masks = plan.masks(key_masks, plan.batch, data.n)
        tokens, masks = _placed((tokens, masks), sharding)
        with jax.numpy_dtype_promotion("standard"):  # attention backward, and optax's counts, promote
            loss, gradient = jax.value_and_grad(masked_loss)(state.network, tokens, masks)
            update, moments = optimiser.update(gradient, state.optimiser, state.network)
        network = jax.tree.map(lambda x, dx: x + dx.astype(x.dtype), state.network, update)
        since = state.step.astype(jnp.float32)
        keep = jnp.minimum(jnp.float32(plan.ema), (1 + since) / (10 + since))
        ema = jax.tree.map(lambda mean, x: keep * mean + (1 - keep) * x, state.ema, network)
        log = StepLog(loss, plan.rate(state.step), optax.tree.norm(gradient))
        return on_every_device(TrainState(network, ema, moments, state.step + 1), sharding), log

    return jax.lax.scan(step, state, length=count)


def batch_sharding(devices: list[jax.Device]) -> NamedSharding:
    """Each of the devices has an equal part of a batch.

    >>> batch_sharding(jax.devices()).spec
    P('batch',)
    """
    mesh = jax.make_mesh(
        (len(devices),), ("batch",), axis_types=(jax.sharding.AxisType.Auto,), devices=devices
    )
    return NamedSharding(mesh, PartitionSpec("batch"))


def on_every_device(tree: Any, sharding: NamedSharding | None) -> Any:
    """The arrays of a tree copied to every device of a sharding's mesh, if there is one.

    >>> on_every_device(jnp.arange(2), batch_sharding(jax.devices())).sharding.spec
    P()
    """
    return _placed(tree, sharding and NamedSharding(sharding.mesh, PartitionSpec()))


def _placed(tree: Any, sharding: NamedSharding | None) -> Any:
    """The arrays of a tree constrained to a sharding, if there is one."""
    return tree if sharding is None else eqx.filter_shard(tree, sharding)


def _decays(network: Transformer) -> Transformer:
    """Which parameters decay: all but the scales of norms."""
    return jax.tree_util.tree_map_with_path(
        lambda path, _: "norm" not in jax.tree_util.keystr(path[-1:]), network
    )
