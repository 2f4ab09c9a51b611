"""The parts of a transformer, on a batch of sequences, with the backward passes that run fast.

The derivatives are those that JAX would take. They are written out where XLA's choice of layouts on a CPU
makes the automatic ones two to three times slower: it would transpose large arrays element by element.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._types import Array, Bool, Float

Heads = Float[Array, "batch n heads size"]
Shared = Float[Array, "batch n shared size"]


def rms_norm(x: Float[Array, "*batch w"], scale: Float[Array, " w"], epsilon: float) -> Array:
    r"""$x / \sqrt{\overline{x^2} + \epsilon}$, times `scale`, row by row."""
    mean = jnp.mean(jnp.square(x), axis=-1, keepdims=True)
    return x * jax.lax.rsqrt(mean + epsilon) * scale.astype(x.dtype).reshape((1,) * (x.ndim - 1) + (-1,))


@jax.custom_vjp
def linear(x: Float[Array, "batch n inputs"], weight: Float[Array, "inputs outputs"]):
    """`x @ weight` in the type of `x`; the derivative by `weight` has the type of `weight`."""
    return jax.lax.optimization_barrier(x) @ weight.astype(x.dtype)  # XLA fuses what makes x badly


def _linear_backward(kept, change):
    x, weight = kept
    change = jax.lax.optimization_barrier(change)  # its transpose is not computed again from its parts
    rows, changes = x.reshape(-1, x.shape[-1]), change.reshape(-1, change.shape[-1])
    by_row = (((0,), (0,)), ((), ()))
    to_weight = jax.lax.dot_general(rows, changes, by_row, preferred_element_type=weight.dtype)
    return change @ weight.astype(x.dtype).T, to_weight


linear.defvjp(lambda x, weight: (linear(x, weight), (x, weight)), _linear_backward)


@jax.custom_vjp
def swiglu(gate: Float[Array, "batch n hidden"], up: Float[Array, "batch n hidden"]):
    r"""$g \sigma(g)$ times `up`; the backward pass keeps these two and nothing else."""
    return jax.nn.silu(gate) * up


def _swiglu_backward(kept, change):
    gate, up = kept
    share = jax.nn.sigmoid(gate)
    silu = gate * share
    return change * up * (share + silu * (1 - share)), change * silu


swiglu.defvjp(lambda gate, up: (swiglu(gate, up), (gate, up)), _swiglu_backward)


def attention(
    query: Heads,
    key: Shared,
    value: Shared,
    implementation: str | None,
    visible: Bool[Array, "batch n"] | None = None,
    causal: bool = False,
) -> Heads:
    r"""$\sum_j \mathrm{softmax}_j(\langle q_i, k_j \rangle / \sqrt{\text{size}})\, v_j$ in each head.

    Of fewer heads of keys and values each is that of as many queries, one after the other. The sum is over
    the `visible` positions, over $j \le i$ alone if it is `causal`.
    """
    mask = None if visible is None else visible[:, None, None]

    def library(query: Heads, key: Shared, value: Shared) -> Heads:
        with jax.numpy_dtype_promotion("standard"):  # it promotes bfloat16 within itself
            how: dict[str, Any] = {"mask": mask, "is_causal": causal, "implementation": implementation}
            return jax.nn.dot_product_attention(query, key, value, **how)

    def plain(query: Heads, key: Shared, value: Shared) -> Heads:
        group = query.shape[2] // key.shape[2]
        key, value = (x if group == 1 else jnp.repeat(x, group, axis=2) for x in (key, value))
        return plain_attention(query, key, value, causal)

    if implementation is not None or mask is not None:
        return library(query, key, value)
    return jax.lax.platform_dependent(query, key, value, cpu=plain, default=library)


@functools.partial(jax.custom_vjp, nondiff_argnums=(3,))
def plain_attention(query: Heads, key: Heads, value: Heads, causal: bool = False) -> Heads:
    """Attention as batched products in which no `n` by `n` array is transposed, and none is divided."""
    return _attention_forward(query, key, value, causal)[0]


def _attention_forward(query: Heads, key: Heads, value: Heads, causal: bool):
    product = functools.partial(jnp.einsum, preferred_element_type=jnp.float32)
    query = query * query.shape[-1] ** -0.5
    query, key, value = jax.lax.optimization_barrier(tuple(map(_heads_first, (query, key, value))))
    scores = product("bhqs,bhks->bhqk", query, key)
    if causal:
        n = scores.shape[-1]
        scores = jnp.where(np.tri(n, dtype=bool)[None, None], scores, -jnp.inf)
    powers = jnp.exp(scores - jnp.max(scores, axis=-1, keepdims=True))
    sums = jnp.sum(powers, axis=-1, keepdims=True)
    powers, sums = jax.lax.optimization_barrier((powers.astype(query.dtype), sums))
    mixed = (product("bhqk,bhks->bhqs", powers, value) / sums).astype(query.dtype)
    mixed = jax.lax.optimization_barrier(mixed)
    return _heads_first(mixed), (query, key, value, powers, sums, mixed)


def _attention_backward(causal: bool, kept, change: Heads):
    product = functools.partial(jnp.einsum, preferred_element_type=jnp.float32)
    query, key, value, powers, sums, mixed = kept
    change = _heads_first(change).astype(jnp.float32) / sums
    mean = jnp.sum(change * mixed.astype(jnp.float32), axis=-1, keepdims=True)
    change = change.astype(query.dtype)
    turned, query_turned = jnp.swapaxes(change, 2, 3), jnp.swapaxes(query, 2, 3)
    parts = jax.lax.optimization_barrier((change, turned, query_turned, mean))
    change, turned, query_turned, mean = parts
    to_value = product("bhsq,bhqk->bhsk", turned, powers)
    to_powers = product("bhqs,bhks->bhqk", change, value)
    to_scores = (powers.astype(jnp.float32) * (to_powers - mean)).astype(query.dtype)
    to_scores = jax.lax.optimization_barrier(to_scores)
    to_query = product("bhqk,bhks->bhqs", to_scores, key) * query.shape[-1] ** -0.5
    to_key = product("bhsq,bhqk->bhsk", query_turned, to_scores)
    parts = tuple(x.astype(query.dtype) for x in (to_query, to_key, to_value))
    to_query, to_key, to_value = jax.lax.optimization_barrier(parts)
    return _heads_first(to_query), jnp.moveaxis(to_key, 3, 1), jnp.moveaxis(to_value, 3, 1)


plain_attention.defvjp(_attention_forward, _attention_backward)


def _heads_first(x: Float[Array, "batch n heads size"]) -> Float[Array, "batch heads n size"]:
    """The axes of heads and positions exchanged; the same again undoes it."""
    return jnp.swapaxes(x, 1, 2)


def rotary_turns(n: int, size: int, base: float) -> Float[Array, "n 2 half"]:
    r"""Cosine and sine of $i\,\text{base}^{-2j/\text{size}}$ for position `i` and pair `j`, as float32."""
    angles = np.arange(n)[:, None] * base ** (-np.arange(0, size, 2) / size)[None, :]
    return jnp.asarray(np.stack([np.cos(angles), np.sin(angles)], axis=1), jnp.float32)


def rotated(x: Heads, turns: Float[Array, "n 2 half"]) -> Heads:
    """Entries `j` and `j + size/2` turned as a pair (the convention of LLaMA's exported checkpoints)."""
    cos, sin = turns[None, :, 0, None].astype(x.dtype), turns[None, :, 1, None].astype(x.dtype)
    first, second = jnp.split(x, 2, axis=-1)
    return jnp.concatenate([first * cos - second * sin, second * cos + first * sin], axis=-1)
