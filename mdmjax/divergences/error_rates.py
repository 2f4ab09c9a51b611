r"""Token and sequence error rates of a law, after Feng et al. (arXiv 2502.09622), and what ties them.

Of the paper the abstract and the introduction were seen; the two definitions, and the theorems named here,
are as others report them. What is said to be ours is derived here.
"""

import jax.numpy as jnp

from .._types import Array, Float
from .tables import Table, Tabulated, incoherence, kl


def token_error_rate(p: Table, law: Table) -> Float[Array, ""]:
    r"""TER, the perplexity a token of the law on data: $\exp \frac1n \mathbb{E}_{x \sim p}[-\log r(x)]$.

    The least is $\exp(H(p) / n)$, and $\log \mathrm{TER} = (H(p) + \mathrm{KL}(p \| r)) / n$; `inf` if the
    law misses something that $p$ has. Their theorem for data of $m$-grams, reported without its constant:
    $O((m - 1) / \epsilon^m)$ steps, at any $n$, come within $4 \epsilon \log q$ of the least $\log
    \mathrm{TER}$ and the error of the model.

    >>> round(float(token_error_rate(jnp.array([[0.5, 0.0], [0.0, 0.5]]), jnp.full((2, 2), 0.25))), 4)
    2.0
    """
    truth = p.probs if isinstance(p, Tabulated) else p
    entropy = -jnp.sum(truth * jnp.log(jnp.where(truth > 0, truth, 1.0)))
    return jnp.exp((entropy + kl(p, law)) / truth.ndim)


def sequence_error_rate(p: Table, law: Table) -> Float[Array, ""]:
    r"""SER: the mass of the law on sequences that $p$ never has, $\Pr_{x \sim r}[p(x) = 0]$.

    What had not finished is an error as well. It is `incoherence` at 0, and `support_mismatch(p,
    law).invalid`; for any other notion of a right sequence give a table that is positive on those alone.
    Their theorem: of some hidden Markov models all masking schedules of at most $c n$ steps have an SER
    above 1/2.

    >>> float(sequence_error_rate(jnp.array([[0.5, 0.0], [0.0, 0.5]]), jnp.full((2, 2), 0.25)))
    0.5
    """
    return incoherence(p, law, 0.0)


def most_sequence_errors(excess: Float[Array, "..."] | float, n: int) -> Float[Array, "..."]:
    r"""The most that SER can be, $1 - e^{-n \epsilon}$, by the `excess` $\epsilon$ of log TER (ours).

    $\epsilon$ is in nats above the least. $n \epsilon = \mathrm{KL}(p \| r)$ is at least that of what both
    say of the support, where $p$ is with certainty and $r$ with probability $1 - \mathrm{SER}$. It is
    reached where $r$ is $p$ on the support but for the factor. So an excess that is the same at every
    length allows any SER in the end; to bound SER it must fall as $1 / n$.

    >>> [round(float(most_sequence_errors(0.01, n)), 4) for n in (8, 64, 512)]
    [0.0769, 0.4727, 0.994]
    """
    return -jnp.expm1(-n * jnp.asarray(excess))
