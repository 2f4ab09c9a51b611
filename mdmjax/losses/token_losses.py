r"""$-\log \hat p$ of chosen tokens from logits, computed where the logits are: by NumPy, JAX or torch."""

import sys
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._errors import refuse
from .._types import Bool, Int
from ..denoisers.external import is_torch

MOST_BYTES = 2**28  # of the float32 rows that torch holds at once (our choice)


def check_logits(logits: Any, tokens: Int[np.ndarray, "batch length"]) -> int:
    """The size of the vocabulary of an array `[batch, length, vocabulary]`; what else is refused."""
    if not (is_torch(logits) or isinstance(logits, np.ndarray | jax.Array)):
        kind = f"a {type(logits).__name__}"
        refuse("logits", kind, "an array of NumPy, JAX or torch", "of a model's output take its .logits")
    shape = tuple(logits.shape)
    if len(shape) != 3 or shape[:2] != tokens.shape or shape[2] < 2:
        refuse("logits", f"of shape {shape}", f"({tokens.shape[0]}, {tokens.shape[1]}, vocabulary)")
    return shape[2]


def token_losses(
    logits: Any,
    tokens: Int[np.ndarray, "batch length"],
    masked: Bool[np.ndarray, "batch length"],
    forbidden: tuple[int, ...],
    shift: int,
) -> Any:
    r"""Losses in nats of the masked positions, row by row, or of every position; not yet on the host.

    The softmax is of float32 (float64 if the logits are) over the ids that are not `forbidden`. With a
    shift of 1 position $i$ is predicted by the output at $i - 1$, and position 0 by its own, as Dream's
    sampler has it. `on_host` takes the result.
    """
    if is_torch(logits):
        return _torch(logits, tokens, masked, forbidden, shift)
    hidden = jnp.asarray(forbidden, jnp.int32)
    return _jax(jnp.asarray(logits), jnp.asarray(tokens, jnp.int32), hidden, shift=shift)


def on_host(losses: Any, masked: Bool[np.ndarray, "batch length"]) -> np.ndarray:
    """The losses of the masked positions, row by row, once they are computed."""
    if is_torch(losses):
        return losses.cpu().numpy().astype(np.float64)
    return np.asarray(losses, np.float64)[masked]


@partial(jax.jit, static_argnames="shift")
def _jax(logits, tokens, forbidden, *, shift: int):
    """The losses of every position, as what is compiled has one shape whatever is masked."""
    logits = logits.astype(logits.dtype if logits.dtype == jnp.float64 else jnp.float32)
    logits = logits.at[..., forbidden].set(-jnp.inf)
    if shift:
        logits = jnp.concatenate([logits[:, :1], logits[:, :-1]], axis=1)
    chosen = jnp.take_along_axis(logits, tokens[..., None], axis=-1)[..., 0]
    return jax.nn.logsumexp(logits, axis=-1) - chosen


def _torch(logits, tokens, masked, forbidden, shift: int):
    """The losses of the masked positions, some at a time: float32 rows of all would fill the device."""
    torch = sys.modules["torch"]
    row, position = np.nonzero(masked)
    to = partial(torch.as_tensor, device=logits.device)
    rows, outputs, targets = to(row), to(np.maximum(position - shift, 0)), to(tokens[row, position])
    hidden, size, found = to(np.array(forbidden)), max(1, MOST_BYTES // (4 * logits.shape[2])), []
    with torch.inference_mode():
        for start in range(0, row.size, size):
            part = slice(start, start + size)
            chosen = logits[rows[part], outputs[part]]
            chosen = chosen if chosen.dtype == torch.float64 else chosen.float()
            chosen = chosen.index_fill(1, hidden, -torch.inf)
            found.append(torch.logsumexp(chosen, 1) - chosen.gather(1, targets[part, None])[:, 0])
        return torch.cat(found)
