r"""The information curve: the one function of a distribution that decides every schedule."""

import equinox as eqx
import jax.numpy as jnp

from .._errors import refuse
from .._types import Array, Float


class InformationCurve(eqx.Module):
    r"""The information curve $Z_1 \le \dots \le Z_n$ of a distribution, in nats.

    $Z_j = \mathbb{E}_{|S| = j-1,\, i \notin S}\, I(X_i; X_S)$ over uniformly random $S$ and $i$, so
    $Z_1 = 0$ (arXiv 2511.04647, Def. 3); it is nondecreasing by Han's inequality. `information[j-1]`
    is $Z_j$, and `marginal_entropy` is $H_1 = \frac1n \sum_i H(X_i)$. The mean entropies of random
    subsets follow: $H(k) = k H_1 - \sum_{j \le k} Z_j$ (Lemma 13).

    $Z$ rather than $H(k)$ is stored because $Z$ is what schedules pay: differences of $H(k)$ lose
    digits when $H(k)$ is large.

    >>> repeated_bit = InformationCurve(jnp.array([0.0, 0.6931, 0.6931]), jnp.array(0.6931))
    >>> round(float(repeated_bit.total_correlation), 4)
    1.3862
    """

    information: Float[Array, " n"]
    marginal_entropy: Float[Array, ""]

    def __check_init__(self):
        """Refuse what is not a curve."""
        if self.information.ndim != 1 or self.information.shape[0] < 1:
            refuse("information", f"of shape {self.information.shape}", "shape (n,), n >= 1")

    @property
    def n(self) -> int:
        """Number of positions."""
        return self.information.shape[0]

    @property
    def mean_entropies(self) -> Float[Array, " points"]:
        r"""$H(k)$, the mean of $H(X_S)$ over $|S| = k$, for $k = 0..n$ (Def. 12), in nats."""
        sizes = jnp.arange(self.n + 1, dtype=self.information.dtype)
        lost = jnp.concatenate([jnp.zeros_like(self.information[:1]), jnp.cumsum(self.information)])
        return sizes * self.marginal_entropy - lost

    @property
    def conditional_entropies(self) -> Float[Array, " n"]:
        r"""$c(m) = H_1 - Z_{m+1}$: mean entropy of a masked token after $m$ random ones, $m = 0..n-1$.

        This is the masked-loss curve of the perfect denoiser.
        """
        return self.marginal_entropy - self.information

    @property
    def entropy(self) -> Float[Array, ""]:
        r"""$H(X) = H(n)$ in nats."""
        return jnp.sum(self.conditional_entropies)

    @property
    def total_correlation(self) -> Float[Array, ""]:
        r"""$\mathrm{TC} = \sum_i H(X_i) - H(X) = \sum_j Z_j$ in nats (Lemma 8)."""
        return jnp.sum(self.information)

    @property
    def dual_total_correlation(self) -> Float[Array, ""]:
        r"""$\mathrm{DTC} = H(X) - \sum_i H(X_i \mid X_{-i}) = n Z_n - \sum_j Z_j$ in nats (Lemma 8)."""
        return jnp.sum(self.information[-1] - self.information)

    @property
    def tse_complexity(self) -> Float[Array, ""]:
        r"""Tononi-Sporns-Edelman complexity $\sum_{k=1}^n [H(k) - \frac kn H(X)]$ in nats.

        It is $\sum_{j=1}^{n-1} \frac{j(n-j)}{2} (Z_{j+1} - Z_j)$, which loses no digits, and so
        $\frac{n+1}{2}$ times `ugc_mass`.
        """
        return self.ugc_mass * ((self.n + 1) / 2)

    @property
    def ugc_mass(self) -> Float[Array, ""]:
        r"""$H(0,1) = \int_0^1 t(1-t)h'(t)\,dt = \sum_{j<n} \frac{j(n-j)}{n+1}(Z_{j+1} - Z_j)$.

        In nats (arXiv 2608.13520, Eq. 2c, with $h$ the Bernstein polynomial of $n Z_{j+1}$; the sum
        is that integral in closed form). It is at most $\min(\mathrm{TC}, \mathrm{DTC})$.
        """
        j = jnp.arange(1, self.n, dtype=self.information.dtype)
        return jnp.sum(j * (self.n - j) / (self.n + 1) * jnp.diff(self.information))


def curve_from_mean_entropies(mean_entropies: Float[Array, " points"]) -> InformationCurve:
    r"""The curve $Z_j = H_1 + H_{j-1} - H_j$ of mean entropies $H(0..n)$ in nats (Lemma 13).

    >>> curve_from_mean_entropies(jnp.array([0.0, 1.0, 1.0])).information.tolist()
    [0.0, 1.0]
    """
    marginal = mean_entropies[1]
    return InformationCurve(marginal - jnp.diff(mean_entropies), marginal)
