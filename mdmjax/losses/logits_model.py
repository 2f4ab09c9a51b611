r"""A model as its owner has it, a function from tokens to logits: called in batches, for its losses."""

import contextlib
import dataclasses
import sys
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

from .._errors import check_bytes, refuse, shown
from .._types import Bool, Float, Int
from ..denoisers.external import is_torch, without_gradients
from .blocks import BlockRows
from .masks import MaskPlan
from .token_losses import check_logits, on_host, token_losses

LogitsFn = Callable[[np.ndarray], Any]
"""Tokens `int64[batch, length]` of NumPy to logits `[batch, length, vocabulary]` of NumPy, JAX or torch."""

MAX_LOGITS_BYTES = 2**35  # of one call (our choice)


@dataclasses.dataclass
class Call:
    """Some rows of a plan; `launched` are their losses, which a device may still be computing."""

    rows: range
    tokens: Int[np.ndarray, "batch length"]
    masked: Bool[np.ndarray, "batch length"]
    uncond: Bool[np.ndarray, "batch length"] | None
    launched: Any = None


@dataclasses.dataclass
class LogitsModel:
    """A `LogitsFn`, the sequences and masks that it is measured on, and how its logits are read."""

    logits_fn: LogitsFn
    data: Int[np.ndarray, "samples length"]
    plan: MaskPlan
    mask_id: int
    forbidden: tuple[int, ...]
    shift: int
    scale: float
    prompt: Bool[np.ndarray, "samples length"] | None
    batch: int
    blocks: BlockRows | None = None
    one_shape: bool = False

    def first(self) -> tuple[float, int]:
        """The loss of the first row alone, and the vocabulary; refuses what could go wrong in all rows."""
        call = self.call(range(1))
        try:
            logits = self._logits(call)
        except IndexError as error:
            most = f"with ids up to {int(self.data.max())}, and a mask_id {self.mask_id}"
            refuse("data", most, "ids and a length that the model has", shown(error, 200))
        vocabulary = check_logits(logits, call.tokens)
        self.one_shape = not (is_torch(logits) or isinstance(logits, np.ndarray))
        for name, ids in (("mask_id", (self.mask_id,)), ("forbidden", self.forbidden), ("data", self.data)):
            low, high = int(np.min(ids)), int(np.max(ids))
            if low < 0 or high >= vocabulary:
                found, wanted = (
                    low if low < 0 else high,
                    f"0..{vocabulary - 1}, the vocabulary of the logits",
                )
                refuse(name, found if name == "mask_id" else f"with an id {found}", f"ids in {wanted}")
        need = self.batch * call.tokens.size * vocabulary * logits.dtype.itemsize * (3 if self.scale else 1)
        check_bytes(need, MAX_LOGITS_BYTES, "logits", "take fewer at once", batch=self.batch)
        return float(self._means(call, self._losses(call, logits))[0]), vocabulary

    def call(self, rows: range) -> Call:
        """Some rows with their masks; for JAX, which compiles every shape, filled up to a batch."""
        masked = np.stack([self.plan.masked(row) for row in rows])
        which = self.plan.sequence[rows.start : rows.stop]
        if self.one_shape:
            filled = np.minimum(np.arange(self.batch), len(rows) - 1)
            masked, which = masked[filled], which[filled]
        uncond = None if self.prompt is None else self.prompt[which]
        return Call(rows, self.data[which].astype(np.int64), masked, uncond)

    def launch(self, call: Call) -> None:
        """Start the computation of the losses, unless the memory is full."""
        with memory_may_fill():
            call.launched = self._losses(call, self._logits(call))

    def losses(self, call: Call) -> Float[np.ndarray, " rows"]:
        """The loss of every row; where the memory is full, the batch is halved from then on."""
        with memory_may_fill():
            if call.launched is not None:
                return self._means(call, call.launched)
        if self.batch >= len(call.rows):
            self.batch = -(-len(call.rows) // 2) if len(call.rows) > 1 else 0
        while self.batch:
            with memory_may_fill():
                starts = range(call.rows.start, call.rows.stop, self.batch)
                parts = [self.call(range(s, min(s + self.batch, call.rows.stop))) for s in starts]
                return np.concatenate([self._means(p, self._losses(p, self._logits(p))) for p in parts])
            self.batch //= 2
        return refuse("batch", 1, "a sequence that fits into memory", "the memory is full with one")

    def _logits(self, call: Call) -> Any:
        """The logits, guided if they are to be."""
        tokens = np.where(call.masked, self.mask_id, call.tokens)
        with without_gradients():
            logits = self.logits_fn(tokens)
            if call.uncond is None:
                return logits
            free = self.logits_fn(np.where(call.uncond, self.mask_id, tokens))
            return free + (self.scale + 1) * (logits - free)

    def _losses(self, call: Call, logits: Any) -> Any:
        check_logits(logits, call.tokens)
        return token_losses(logits, call.tokens, call.masked, self.forbidden, self.shift)

    def _means(self, call: Call, losses: Any) -> Float[np.ndarray, " rows"]:
        """The mean over what is masked in every row, in float64."""
        each, row = on_host(losses, call.masked), np.nonzero(call.masked)[0]
        means = (np.bincount(row, each) / call.masked.sum(axis=1))[: len(call.rows)]
        wrong = ~np.isfinite(means)
        if wrong.any():
            at = call.rows[int(np.argmax(wrong))]
            masks, sequence, of = self.plan.n_masked[at], self.plan.sequence[at], ""
            if self.blocks is not None:
                sequence, of = self.blocks.sequence[sequence], f"block {self.blocks.block[sequence]} of "
            where = f"{means[wrong][0]} with {masks} masked tokens of {of}sequence {sequence}"
            said = "its logits are not numbers" if np.isnan(means[wrong][0]) else "it rules out what occurs"
            refuse("loss", where, "finite nats", f"the model is at fault: {said}")
        return means


@contextlib.contextmanager
def memory_may_fill() -> Iterator[None]:
    """Goes on after the block where the memory of the host or of a device had no room for it."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        torch = sys.modules.get("torch")
        full = isinstance(error, MemoryError) or (
            torch is not None and isinstance(error, torch.OutOfMemoryError)
        )
        full = full or (
            isinstance(error, jax.errors.JaxRuntimeError) and "RESOURCE_EXHAUSTED" in str(error)
        )
        if not full and "DefaultCPUAllocator: can't allocate memory" not in str(error):
            raise
