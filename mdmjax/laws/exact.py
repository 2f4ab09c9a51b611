"""The exact law of a decoder that uses no randomness but the tokens that it draws."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .._errors import readable_bytes, refuse
from .._partial import place_values, readable_state, tokens_of
from .._types import Array, Bool, Float, Int
from ..decoders.base import AbstractDecoder
from ..denoisers.base import AbstractDenoiser
from ..distributions.joint import check_table_size
from ._rows import checked_probs, with_tables
from .law import Law

MAX_STATES = 2**22
"""The largest frontier that is made without being asked for."""

BYTES_PER_STATE = 64
"""Code, mass and owner of an outcome, and their copies while outcomes are merged."""


def exact_law(
    denoiser: AbstractDenoiser,
    decoder: AbstractDecoder,
    *,
    max_states: int = MAX_STATES,
    batch: int = 2**12,
) -> Law:
    r"""The law of the output of `decoder` when its tokens are drawn from `denoiser`, with no sampling.

    The mass of the partial assignments is propagated from all masked,

    $$m_{t+1}(x') = \sum_x m_t(x) \prod_{i \in B} \hat p(x'_i \mid x), \qquad B = B_t(x),$$

    over the states that are reached: outcomes of probability zero are dropped, equal ones merged. The
    oracle of a `Joint` is tabulated first where that fits. `batch` states are denoised at a time. Sums
    are float64; the result has the default float type.

    Raises:
        InvalidInputError: a decoder that is random, or that chooses nothing while positions are masked;
            a denoiser that is NaN, or whose rows do not sum to one, at a state that is reached; more
            than `max_states` states at once, before they are made; a result of more than 2 GiB.

    >>> from mdmjax import Joint, Oracle, optimal_policy
    >>> joint = Joint(jnp.array([[0.5, 0.0], [0.0, 0.5]]))
    >>> law = exact_law(Oracle(joint), optimal_policy(joint, 2).decoder)
    >>> law.probs.tolist(), float(law.expected_calls)
    ([[0.5, 0.0], [0.0, 0.5]], 2.0)
    """
    n, q = denoiser.n, denoiser.q
    check_table_size(n, q)
    if decoder.is_random:
        name = type(decoder).__name__
        refuse("decoder", name, "one that is not random", "use random_order_law for random subsets")
    place, denoiser = place_values(n, q), with_tables(denoiser)
    codes, mass = np.array([q * place.sum()]), np.ones(1)
    probs = np.zeros(q**n)
    calls, finalised = [0.0], []
    while codes.size:
        tokens = tokens_of(codes, n, q)
        rows, chosen = _denoise(denoiser, decoder, tokens, len(finalised), batch)
        finalised.append(mass @ chosen)
        codes, mass = _outcomes(codes, mass, rows, chosen, place, max_states)
        tokens = tokens_of(codes, n, q)
        done = np.all(tokens != q, axis=1)
        words = tokens[done].astype(np.int64) @ np.array([q ** (n - 1 - i) for i in range(n)])
        probs[words] += mass[done]
        calls.append(mass[done].sum())
        codes, mass = codes[~done], mass[~done]
    dtype = jnp.result_type(float)
    return Law(
        probs=jnp.asarray(probs.reshape((q,) * n), dtype),
        calls=jnp.asarray(np.array(calls), dtype),
        finalised=jnp.asarray(np.stack(finalised, axis=1), dtype),
        unfinished=jnp.zeros((), dtype),
    )


def _outcomes(
    codes: Int[np.ndarray, " m"],
    mass: Float[np.ndarray, " m"],
    rows: Float[np.ndarray, "m n q"],
    chosen: Bool[np.ndarray, "m n"],
    place: Int[np.ndarray, " n"],
    max_states: int,
) -> tuple[Int[np.ndarray, " next"], Float[np.ndarray, " next"]]:
    """The states after the step and their mass: one position at a time, impossible outcomes dropped."""
    q = rows.shape[2]
    owner = np.arange(codes.size)
    for position in np.flatnonzero(chosen.any(axis=0)):
        splits = chosen[owner, position]
        count = codes.size + (q - 1) * int(splits.sum())
        if count > max_states:
            refuse(
                "max_states",
                max_states,
                f"at least {count}",
                f"that many states need about {readable_bytes(count * BYTES_PER_STATE)}; raise it, or "
                "reveal fewer positions at once",
            )
        split = np.flatnonzero(splits)
        weights = mass[split, None] * rows[owner[split], position]
        source, symbol = np.nonzero(weights)
        fresh = codes[split][source] + (symbol - q) * place[position]
        codes = np.concatenate([codes[~splits], fresh])
        owner = np.concatenate([owner[~splits], owner[split][source]])
        mass = np.concatenate([mass[~splits], weights[source, symbol]])
    merged, which = np.unique(codes, return_inverse=True)
    return merged, np.bincount(which, weights=mass, minlength=merged.size)


def _denoise(
    denoiser: AbstractDenoiser,
    decoder: AbstractDecoder,
    tokens: Int[np.ndarray, "m n"],
    step: int,
    batch: int,
) -> tuple[Float[np.ndarray, "m n q"], Bool[np.ndarray, "m n"]]:
    """The checked rows and the chosen positions of every state, `batch` states at a time."""
    rows, chosen = [], []
    for start in range(0, tokens.shape[0], batch):
        block = tokens[start : start + batch]
        # Padded to a power of two, and to no less than 64, so that compilations are few.
        size = min(batch, max(64, 1 << (block.shape[0] - 1).bit_length()))
        padded = np.concatenate([block, np.repeat(block[:1], size - block.shape[0], axis=0)])
        log_probs, choice = _choices(denoiser, decoder, jnp.asarray(padded), jnp.asarray(step))
        rows.append(checked_probs(np.asarray(log_probs)[: block.shape[0]], block))
        chosen.append(np.asarray(choice)[: block.shape[0]])
        idle = ~chosen[-1].any(axis=1)
        if idle.any():
            state = readable_state(block[np.argmax(idle)], denoiser.q)
            name = type(decoder).__name__
            refuse(f"the choice of {name} at {state}", "empty", "at least one masked position")
    return np.concatenate(rows), np.concatenate(chosen)


@eqx.filter_jit
def _choices(
    denoiser: AbstractDenoiser, decoder: AbstractDecoder, tokens: Int[Array, "m n"], step: Int[Array, ""]
) -> tuple[Float[Array, "m n q"], Bool[Array, "m n"]]:
    key = jax.random.key(0)  # not used: the decoder is not random

    def one(state: Int[Array, " n"]):
        log_probs = denoiser(state)
        return log_probs, decoder.choose(key, log_probs, state, step) & (state == denoiser.q)

    return jax.vmap(one)(tokens)
