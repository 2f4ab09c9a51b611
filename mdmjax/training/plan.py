"""What a training depends on beside the data and the network's shape, and the memory that it takes."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import optax

from .._checks import check_integer, check_number
from .._errors import check_bytes, refuse, shown
from .._types import Array, Float, Int
from ..denoisers.transformer import Transformer, TransformerConfig
from .loss import MaskLaw, stratified_masks

MAX_TRAINING_BYTES = 2**34
"""The most memory that a training may take (our choice)."""


@dataclasses.dataclass(frozen=True)
class TrainingPlan:
    r"""How to train: steps, batches, the optimiser, the masks.

    AdamW with gradients clipped to a global norm `clip`; the learning rate rises linearly over `warmup`
    steps to `learning_rate` and falls as a cosine to the share `last_rate` of it at `steps`. Norms do not
    decay. `ema` is the decay of the running mean of the weights; step `s` uses at most $(1+s)/(10+s)$, so
    that the random start is soon forgotten.

    Raises:
        InvalidInputError: a field of another type or out of its range.

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
    masks: MaskLaw = stratified_masks

    def __post_init__(self):
        for name, least in (("steps", 1), ("batch", 1), ("warmup", 0)):
            value = check_integer(name, getattr(self, name), least)
            if value >= 2**31 and name != "warmup":
                refuse(name, value, "an integer below 2^31")
            object.__setattr__(self, name, value)
        if self.warmup >= self.steps:
            refuse("warmup", self.warmup, f"fewer than the {self.steps} steps")
        for name in ("learning_rate", "clip"):
            check_number(name, getattr(self, name), "a positive number", lambda x: x > 0)
        for name in ("last_rate", "ema"):
            check_number(name, getattr(self, name), "a number in [0, 1]", lambda x: 0 <= x <= 1)
        check_number("weight_decay", self.weight_decay, "a number >= 0", lambda x: x >= 0)
        if not isinstance(self.betas, tuple) or len(self.betas) != 2:
            refuse("betas", shown(repr(self.betas)), "two numbers in [0, 1)")
        for beta in self.betas:
            check_number("betas", beta, "two numbers in [0, 1)", lambda x: 0 <= x < 1)

    def rate(self, step: Int[Array, ""]) -> Float[Array, ""]:
        """The learning rate of a step, which begins at 0; the last one has the last rate."""
        schedule = optax.warmup_cosine_decay_schedule(
            0.0, self.learning_rate, self.warmup, self.steps, self.last_rate * self.learning_rate
        )
        with jax.numpy_dtype_promotion("standard"):
            return jnp.asarray(schedule(step + 1), jnp.float32)

    def optimiser(self) -> optax.GradientTransformation:
        """The optimiser of a network's parameters."""
        rate: Any = self.rate
        adamw = optax.adamw(rate, *self.betas, weight_decay=self.weight_decay, mask=_decays)
        return optax.chain(optax.clip_by_global_norm(self.clip), adamw)


def training_bytes(config: TransformerConfig, plan: TrainingPlan, devices: int = 1) -> int:
    """The memory that a training takes on each of its devices, at least, and within a factor of two."""
    # Five float32 numbers a parameter (weights, their running mean, two moments, the gradient); and for
    # every token of a batch what the backward pass needs of each block (with `remat` of one block, and the
    # inputs of all), the stream and the logits.
    c, size = config, 2 if config.compute == "bfloat16" else 4
    scores = 0 if c.attention == "cudnn" else c.heads * c.n
    of_block = 8 * c.width + size * (6 * c.width + 3 * c.hidden + scores)
    of_blocks = 4 * c.width * c.depth + of_block if c.remat else of_block * c.depth
    tokens = -(-plan.batch // devices) * c.n
    return 5 * c.bytes + tokens * (of_blocks + 4 * c.width + 8 * c.q)


def check_training(
    config: TransformerConfig, plan: TrainingPlan, *, devices: int = 1, limit: int = MAX_TRAINING_BYTES
) -> None:
    """Refuse a training that takes more than `limit` bytes, before anything is made."""
    need = training_bytes(config, plan, devices)
    check_bytes(need, limit, "training", "take a smaller batch, length, width, depth or hidden")
    if plan.batch * config.n >= 2**31:
        refuse("batch", plan.batch, f"fewer than 2^31 tokens, in sequences of {config.n}")


def _decays(network: Transformer) -> Transformer:
    """Which parameters decay: all but the scales of norms."""
    decays = lambda path, _: "norm" not in jax.tree_util.keystr(path[-1:])
    return jax.tree_util.tree_map_with_path(decays, network)
