"""The exact law of a decoder: the one verb, and the ways that it tries in turn."""

from ..decoders.base import AbstractDecoder
from ..decoders.reveal import AtTemperature, tempered_denoiser
from ..decoders.run import step_limit
from ..denoisers.base import AbstractDenoiser
from . import block_chain, dense, fixed_order, frontier, random_order, rejection
from .law import AbstractLaw, Plan

MAX_STATES = 2**22  # at once, without being asked for
WAYS = (block_chain.plan, rejection.plan, random_order.plan, fixed_order.plan, dense.plan)
"""The ways that are faster than the general one, for some decoders without memory: `None` for others."""


def exact_law(
    denoiser: AbstractDenoiser,
    decoder: AbstractDecoder,
    *,
    max_steps: int | None = None,
    max_states: int = MAX_STATES,
    batch: int = 2**12,
) -> AbstractLaw:
    r"""The law of the output of `decoder` when its tokens are drawn from `denoiser`, with no sampling.

    The fastest exact way is taken, and `law.way` says which:

    - "block chain": blocks of a `BlockHMM` of more than $2^{17}$ sequences in its order (`BlockChainLaw`);
    - "rejection": `BlockRejection`, in closed form (`RejectionLaw`);
    - "random order": `Reveal(RandomSubset(...))`, level by level over subsets;
    - "fixed order": `Reveal(FixedPartition(...))`, a product over its blocks;
    - "tree": `Reveal` of any other rule that chooses nothing at random, of an oracle (or what perturbs it)
      whose $(q+1)^n$ marginals have no room (`tree_law`);
    - "frontier": any decoder; a random rule must have a `choice_law`. Mass goes from the decoder's `start`,

    $$m_{t+1}(x') = \sum_x m_t(x) \sum_b w_b(x) \prod_i r_{b,i}(x'_i \mid x),$$

    over the states that are reached. Cost: the sum over the steps of states times branches times outcomes.
    A state of a decoder that `remembers` has its memory beside its tokens; equal bytes are equal states.

    What has not finished after `max_steps` steps (`most_steps` of the decoder; rejection has no bound
    unless one is given) is `unfinished`. `batch` states are denoised at a time. Sums are float64; the
    result has the default float type. Rows of a float32 denoiser leave a relative error of about `1e-6`.

    Raises:
        InvalidInputError: a random decoder without `choice_law`; one that chooses nothing while positions
            are masked; a denoiser that is NaN, or whose rows do not sum to one, where it is reached; more
            than `max_states` states at once, before they are made; `max_steps` below 1; and, before
            anything is computed, more than 2 GiB of tables, or a minute's work where that is known.

    >>> import jax.numpy as jnp
    >>> from mdmjax import Joint, Oracle, Reveal, Schedule, left_to_right
    >>> joint = Joint(jnp.array([[0.5, 0.0], [0.0, 0.5]]))
    >>> law = exact_law(Oracle(joint), Reveal(left_to_right(Schedule([1, 1]))))
    >>> law.probs.tolist(), float(law.expected_calls), float(law.kl(joint)), law.way
    ([[0.5, 0.0], [0.0, 0.5]], 2.0, 0.0, 'fixed order')
    """
    return planned_law(denoiser, decoder, max_steps, max_states, batch)()


def planned_law(
    denoiser: AbstractDenoiser,
    decoder: AbstractDecoder,
    max_steps: int | None = None,
    max_states: int = MAX_STATES,
    batch: int = 2**12,
) -> Plan:
    """The law, still to be computed, by the first way that is for these: what is too large is refused."""
    step_limit(denoiser, decoder, max_steps)  # refuses what is none of them
    while isinstance(decoder, AtTemperature):
        denoiser, decoder = tempered_denoiser(denoiser, decoder.temperature), decoder.decoder
    for way in () if decoder.remembers else WAYS:
        planned = way(denoiser, decoder, max_steps)
        if planned is not None:
            return planned
    return frontier.plan(denoiser, decoder, max_steps, max_states, batch)
