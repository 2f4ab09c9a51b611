"""L&O-NAE-SAT (arXiv 2502.06768): free latent bits, then what is observed of triples of them."""

import itertools
from math import comb

import jax
import jax.numpy as jnp
import numpy as np

from .._checks import Numbers, check_integer, probability
from .._errors import check_bytes, refuse
from .._types import Int
from .base import MAX_TABLE_BYTES
from .mixtures import MixtureOfProducts


def nae_triples(latents: int, observations: int, draw: int) -> Int[np.ndarray, "observations 3"]:
    """Draw number `draw` of that many different triples of `0..latents-1`, each rising.

    The paper says "randomly chosen"; that all are different is our choice.

    >>> nae_triples(4, 2, draw=0).shape
    (2, 3)
    """
    latents, observations = (
        check_integer("latents", latents, 3),
        check_integer("observations", observations, 1),
    )
    if observations > comb(latents, 3):
        refuse("observations", observations, f"at most the {comb(latents, 3)} triples of {latents} latents")
    triples = np.array(list(itertools.combinations(range(latents), 3)))
    chosen = jax.random.permutation(jax.random.key(draw), len(triples))[:observations]
    return triples[np.asarray(chosen)]


def nae_sat(latents: int, observations: int, draw: int, flip: Numbers = 0.0) -> MixtureOfProducts:
    r"""`latents` fair bits, then `observations` bits that say of a triple of them: not all equal.

    $p(x) = 2^{-N} \prod_j O_j(x_{N+j} \mid x_{1..N})$ with $O_j$ certain of $\mathrm{NAE}(x_a, x_b, x_c) =
    1 - [x_a = x_b = x_c]$ of the triple $j$ of `nae_triples`, or wrong with probability `flip` (ours: the
    paper's model allows it, its instances are certain). An observation is 1 with probability 3/4. All
    latents at once and then all observations at once is exact in two steps, and the order in which the
    paper calls positions easy. Both kinds share the symbols 0, 1, for the position says which it is (the
    paper has 1, 2 and 0, 1); positions are not permuted, as in its experiments.

    It is a mixture of $2^N$ products. Refuses sizes below 3 and 1, more observations than triples, a
    mixture that is too large, and `flip` not in `[0, 1]`.

    >>> three = nae_sat(3, 1, draw=0)
    >>> jnp.exp(three.log_conditionals(jnp.array([2, 2, 2, 2])))[3].round(4).tolist()
    [0.25, 0.75]
    >>> jnp.exp(three.log_conditionals(jnp.array([0, 1, 2, 2])))[2:].round(4).tolist()
    [[0.5, 0.5], [0.0, 1.0]]
    """
    check_integer("latents", latents, 3)
    need = 32 * 2 ** min(latents, 64) * (latents + observations)
    check_bytes(need, MAX_TABLE_BYTES, "a mixture", "use fewer latents", latents=latents)
    triples, flip = nae_triples(latents, observations, draw), probability("flip", flip)
    bits = np.indices((2,) * latents).reshape(latents, -1).T
    seen = bits[:, triples].min(axis=2) != bits[:, triples].max(axis=2)
    wrong = jnp.concatenate([jnp.zeros(latents, flip.dtype), jnp.broadcast_to(flip, (observations,))])
    said = jax.nn.one_hot(np.concatenate([bits, seen], axis=1), 2, dtype=flip.dtype)
    probs = (1 - wrong)[None, :, None] * said + wrong[None, :, None] * (1 - said)
    return MixtureOfProducts(jnp.full(2**latents, 0.5**latents, flip.dtype), probs)
