"""Rules that only tests have: any table of choices, and the simplest of each kind."""

import jax
import jax.numpy as jnp

from mdmjax.decoders.base import AbstractRule


class Lookup(AbstractRule):
    """Any deterministic rule: the masked ones of the set of a (step, state), or all if none is masked."""

    wishes: jax.Array
    is_random = False

    def choose(self, key, log_probs, tokens, step):
        n, q = log_probs.shape
        place = jnp.asarray([(q + 1) ** (n - 1 - i) for i in range(n)], tokens.dtype)
        masked = tokens == q
        wish = masked & self.wishes[step, jnp.sum(tokens * place)]
        return jnp.where(wish.any(), wish, masked)


class Surest(AbstractRule):
    """The `width` positions whose best symbol is most probable."""

    width: int = 1
    is_random = False

    def choose(self, key, log_probs, tokens, step):
        best = jnp.where(tokens == log_probs.shape[1], jnp.max(log_probs, 1), -jnp.inf)
        rank = jnp.argsort(jnp.argsort(-best, stable=True), stable=True)
        return (rank < self.width) & jnp.isfinite(best)


class Idle(Surest):
    def choose(self, key, log_probs, tokens, step):
        return jnp.zeros_like(tokens, bool)


class Random(Surest):
    is_random = True
