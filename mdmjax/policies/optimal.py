"""The best decoder of a class of policies, for a number of calls or for a price of a call."""

import equinox as eqx
import jax
import jax.numpy as jnp

from .._errors import refuse
from .._types import Array, Float, Int, Key, LogProbs, Positions, Step, Tokens
from ..decoders.base import AbstractRule
from ..decoders.orders import first, uniform_choice_law
from ..decoders.reveal import Reveal
from ..denoisers.base import AbstractDenoiser
from ..distributions.joint import Joint
from ..laws._rows import code_of
from .bellman import Policies, Swept, any_policy, priced, problem, sweeps


class PolicyTable(AbstractRule):
    """The set to reveal of every step and state: bit `i` of `sets[step, code]` is position `i`.

    Steps beyond the last row use the last row. With `adaptive` false the code is in base 2, with digit 1
    where masked: the choice depends on which positions are revealed, and not on their symbols.
    """

    sets: Int[Array, "steps codes"]
    adaptive: bool = eqx.field(static=True, default=True)
    is_random = False

    def choose(self, key: Key[Array, ""], log_probs: LogProbs, tokens: Tokens, step: Step) -> Positions:
        """The positions of the table's set."""
        n, q = log_probs.shape
        chosen = _entry(self.sets, self.adaptive, q, tokens, step)
        return (chosen >> jnp.arange(n, dtype=chosen.dtype)) & 1 == 1


class SizeTable(AbstractRule):
    """The number of tokens to reveal, at uniformly random masked positions; codes as in `PolicyTable`."""

    sizes: Int[Array, "steps codes"]
    adaptive: bool = eqx.field(static=True, default=True)
    is_random = True

    def choose(self, key: Key[Array, ""], log_probs: LogProbs, tokens: Tokens, step: Step) -> Positions:
        """The masked positions that come first in a random order."""
        n, q = log_probs.shape
        size = _entry(self.sizes, self.adaptive, q, tokens, step)
        return first(jax.random.permutation(key, n), tokens == q, size)

    def choice_law(self, log_probs: LogProbs, tokens: Tokens, step: Step) -> Float[Array, " subsets"]:
        """Uniform over the sets of masked positions of this size."""
        q = log_probs.shape[1]
        size = _entry(self.sizes, self.adaptive, q, tokens, step)
        return uniform_choice_law(tokens == q, size, log_probs.dtype)


def _entry(table: Int[Array, "steps codes"], adaptive: bool, q: int, tokens: Tokens, step: Step) -> Array:
    code = code_of(tokens, q) if adaptive else code_of((tokens == q).astype(tokens.dtype), 1)
    return table[jnp.minimum(step, table.shape[0] - 1), code].astype(int)


class OptimalPolicy(eqx.Module):
    """A policy that none of its class beats, its cost in nats and its mean number of calls.

    Both are means over the data and over the random choices of the decoder, if it makes any; `exact_law` of
    the decoder gives the calls over its own output.
    """

    expected_kl: Float[Array, ""]
    expected_calls: Float[Array, ""]
    decoder: Reveal

    @property
    def kl(self) -> Float[Array, ""]:
        r"""$\mathrm{KL}(p \| \text{law})$; refused for random orders, where it may be less (Jensen)."""
        if self.decoder.rule.is_random:
            remedy = "take expected_kl, or kl(joint, exact_law(denoiser, decoder))"
            refuse("the kl of random orders", "not expected_kl", "that of a policy", remedy)
        return self.expected_kl


def optimal_policy(
    joint: Joint, steps: int, *, among: Policies = any_policy, denoiser: AbstractDenoiser | None = None
) -> OptimalPolicy:
    r"""The policy of least $\mathrm{KL}(p \| q_\pi)$ among those of at most `steps` calls, always.

    $$V_k(x_C) = \min_{\emptyset \ne B \subseteq \bar C} \mathrm{TC}(X_B \mid x_C)
    + \mathbb{E}[V_{k-1}(x_C X_B)]$$

    with $V_k = 0$ where nothing is masked and $V_0 = \infty$ elsewhere, so that it ends in `steps` calls on
    contexts that the data never have as well. `among` is the class:

    - `any_policy`: as above;
    - `fixed_partition`: no choice depends on the tokens; its cost is $L^*_T$ of arXiv 2510.04767 (Thm 2);
    - `given_sizes(schedule)`: $|B|$ is that of the schedule, whose steps are at most `steps`;
    - `random_order`: the least over the size $s$ of the mean over all $|B| = s$.

    Costs $(q+2)^n$ a step, `random_order` $n$ times that. With a `denoiser` $\hat p$ the TC of a step gains
    $\sum_{i \in B} \mathrm{KL}(p(x_i \mid x_C) \| \hat p(x_i \mid x_C))$, `inf` where $\hat p$ rules out
    what occurs, and more calls may be worse than fewer. Where every choice costs `inf`, as much is revealed
    as the class may.

    Raises:
        InvalidInputError: `steps` outside `1..n`, or below those of the given sizes; sizes that do not sum
            to `n`; tables of more than 2 GiB; a denoiser of another size, or whose rows are NaN or do not
            sum to one in a context that occurs.

    >>> same = Joint(jnp.array([[0.5, 0.0], [0.0, 0.5]]))
    >>> [round(float(optimal_policy(same, steps).kl), 4) for steps in (1, 2)]
    [0.6931, 0.0]
    """
    check_steps("steps", steps, joint.n)
    if among.counts is not None and steps < len(among.counts):
        refuse("steps", steps, f"at least {len(among.counts)}", f"the sizes given are {[*among.counts]}")
    found = list(sweeps(problem(joint, among, denoiser, steps), steps))
    # Row t is the first choice with steps - t left.
    return _policy(among, found[-1], [one.choices for one in found[::-1]])


def optimal_policy_frontier(
    joint: Joint, max_steps: int, *, among: Policies = any_policy, denoiser: AbstractDenoiser | None = None
) -> Float[Array, " max_steps"]:
    """The least `expected_kl` in nats for at most `k = 1..max_steps` calls: without the policies.

    `inf` for fewer calls than given sizes take. Refused as `optimal_policy`.

    >>> same = Joint(jnp.array([[0.5, 0.0], [0.0, 0.5]]))
    >>> [round(kl, 4) for kl in optimal_policy_frontier(same, 2).tolist()]
    [0.6931, 0.0]
    """
    check_steps("max_steps", max_steps, joint.n)
    found = [one.cost for one in sweeps(problem(joint, among, denoiser), max_steps)]
    return jnp.maximum(jnp.stack(found), 0.0)


def optimal_policy_calls(
    joint: Joint, price: float, *, among: Policies = any_policy, denoiser: AbstractDenoiser | None = None
) -> OptimalPolicy:
    r"""The policy that minimises $\mathrm{KL}(p \| q_\pi) + \text{price} \cdot \mathbb{E}_p[\text{calls}]$.

    `price` is in nats a call; over all prices the results are the vertices of `calls_hull`.

    Raises:
        InvalidInputError: a price that is negative or not finite; and as `optimal_policy`.

    >>> same = Joint(jnp.array([[0.5, 0.0], [0.0, 0.5]]))
    >>> [float(optimal_policy_calls(same, price).expected_calls) for price in (0.1, 1.0)]
    [2.0, 1.0]
    """
    if not 0 <= price < float("inf"):
        refuse("price", price, "a number of nats a call, >= 0")
    found = priced(problem(joint, among, denoiser), price)
    return _policy(among, found, [found.choices])


def check_steps(argument: str, steps: int, n: int) -> None:
    """Refuse a number of steps that no policy has."""
    if not 1 <= steps <= n:
        refuse(argument, steps, f"an integer in 1..{n}", "each step reveals at least one token")


def _policy(among: Policies, found: Swept, rows: list[Array]) -> OptimalPolicy:
    table = SizeTable if among.random else PolicyTable
    rule = table(jnp.stack(rows), adaptive=among.adaptive)
    return OptimalPolicy(jnp.maximum(found.cost, 0.0), found.calls, Reveal(rule))
