r"""Python sources that give a schedule to the samplers of others: paste, or save and import.

None imports mdmjax. LLaDA, Fast-dLLM and dLLM reproduce the schedule to the integer, the others draw the
number of tokens of a step at random, with about that mean. dLLM's rounding gives the counts back for up to
`2^21` tokens: $1 - \alpha$ in float32 is wrong by $1.5 \cdot 2^{-25}$ at most, which moves
$r(1 - \text{quotient})$ by less than a half. (Its file has the hooks of both interfaces that dLLM has had.)
"""

import textwrap

from .schedule import Schedule


def adapter_source(name: str, schedule: Schedule) -> str:
    """The text of the file `name`, one of `ADAPTERS`, for a schedule.

    >>> "COUNTS = [1, 3]" in adapter_source("llada_adapter.py", Schedule([1, 3]))
    True
    """
    source = ADAPTERS[name].replace("<<N>>", str(schedule.n)).replace("<<STEPS>>", str(schedule.steps))
    source = source.replace("<<COUNTS>>", _literal("COUNTS", schedule.counts.tolist()))
    return source.replace("<<REVEALED>>", _literal("REVEALED", schedule.boundaries.tolist()))


def _literal(name: str, values: list[int]) -> str:
    """`name = [...]`, over as many lines as it needs."""
    line = f"{name} = {values}"
    body = textwrap.indent(textwrap.fill(f"{str(values)[1:-1]},", 96), " " * 4)
    return line if len(line) <= 100 else f"{name} = [\n{body}\n]"


ADAPTERS = {
    "llada_adapter.py": '''\
"""<<STEPS>> steps for <<N>> masked tokens, for LLaDA and Fast-dLLM. Written by mdmjax.

In place of the sampler's own function:

    import generate, llada_adapter
    generate.get_num_transfer_tokens = llada_adapter.get_num_transfer_tokens

and call it with steps=<<STEPS>>, gen_length=<<N>> and block_length=<<N>>: with smaller blocks the
sampler asks for each block by itself, with steps / blocks steps.
"""

<<COUNTS>>


def get_num_transfer_tokens(mask_index, steps):
    """Tokens to reveal at each step, int64 [batch, steps], for a bool mask [batch, length]."""
    import torch

    masked = mask_index.sum(dim=1).tolist()
    if steps != len(COUNTS) or any(number != sum(COUNTS) for number in masked):
        raise ValueError(
            f"this schedule has {len(COUNTS)} steps for {sum(COUNTS)} masked tokens, "
            f"not {steps} steps for {masked}: set steps={len(COUNTS)} and "
            f"gen_length=block_length={sum(COUNTS)}"
        )
    return torch.tensor([COUNTS] * len(masked), dtype=torch.int64, device=mask_index.device)
''',
    "dllm_adapter.py": '''\
"""<<STEPS>> steps for <<N>> masked tokens, for dLLM. Written by mdmjax.

    sampler = MDLMSampler(model=model, tokenizer=tokenizer, scheduler=TabulatedAlphaScheduler())

with steps=<<STEPS>>, max_new_tokens=<<N>> and block_size=<<N>>: with smaller blocks dLLM applies
the whole schedule inside each block, with steps / blocks steps. Leave stochastic_transfer off.
"""

import dataclasses
import math

import torch
from dllm.core.schedulers import BaseAlphaScheduler

<<REVEALED>>


def alpha(t):
    """The fraction revealed at time t (1 masked, 0 clean): exact at multiples of 1 / steps."""
    steps = len(REVEALED) - 1
    passed = (1 - t) * steps
    if abs(passed - round(passed)) < 0.1:  # t went through float32
        passed = round(passed)
    step = min(math.floor(passed), steps - 1)
    below, above = REVEALED[step], REVEALED[step + 1]
    return (below + (passed - step) * (above - below)) / REVEALED[-1]


def alpha_derivative(t):
    """The slope of alpha(t): constant between the times of the table."""
    steps = len(REVEALED) - 1
    step = min(max(math.floor((1 - t) * steps), 0), steps - 1)
    return -steps * (REVEALED[step + 1] - REVEALED[step]) / REVEALED[-1]


def _apply(function, t):
    values = [function(value) for value in t.reshape(-1).tolist()]
    return torch.tensor(values, dtype=t.dtype, device=t.device).reshape(t.shape)


@dataclasses.dataclass
class TabulatedAlphaScheduler(BaseAlphaScheduler):
    """alpha(1 - j / steps) is the fraction of tokens revealed after j steps."""

    def _alpha(self, t):
        return _apply(alpha, t)

    def _alpha_derivative(self, t):
        return _apply(alpha_derivative, t)

    _value, _derivative = _alpha, _alpha_derivative
''',
    "time_grid_adapter.py": '''\
"""Time grids of <<STEPS>> steps for <<N>> masked tokens. Written by mdmjax.

Both samplers below draw how many tokens a step reveals; the schedule is met in the mean at most.
Both grids are for a linear noise: a fraction t is masked (decreasing) or revealed (increasing) at
time t. With another noise, map each time to the one at which that noise masks the same fraction.
"""

<<REVEALED>>


def increasing_times():
    """0 to 1, for flow_matching with the linear (n=1) PolynomialConvexScheduler.

        grid = torch.tensor(increasing_times())
        solver.sample(x_init, step_size=None, time_grid=grid)

    Its Euler step from t to t + h reveals a masked token with probability 1 - exp(-h / (1 - t)),
    less than the h / (1 - t) of this schedule; its last step reveals all that is left.
    """
    return [revealed / REVEALED[-1] for revealed in REVEALED]


def decreasing_times(margin=1e-6):
    """1 - margin to margin, for hackable_diffusion; its sampler needs times inside (0, 1)."""
    masked = [1 - revealed / REVEALED[-1] for revealed in REVEALED]
    return [min(max(time, margin), 1 - margin) for time in masked]


class TabulatedTimeSchedule:
    """A TimeSchedule for hackable_diffusion: DiffusionSampler(..., num_steps=<<STEPS>> + 1).

    Made from its UniformTimeSchedule(), which makes everything but the times:

        TabulatedTimeSchedule(time_scheduling.UniformTimeSchedule())
    """

    def __init__(self, uniform):
        self.uniform = uniform

    def all_step_infos(self, rng, num_steps, data_spec):
        times = decreasing_times()
        if num_steps != len(times):
            raise ValueError(f"num_steps is {num_steps}: this schedule needs {len(times)} times")
        infos = self.uniform.all_step_infos(rng, num_steps, data_spec)
        import jax.numpy as jnp

        column = jnp.asarray(times, infos.time.dtype).reshape((-1,) + (1,) * (infos.time.ndim - 1))
        return type(infos)(
            step=infos.step, time=jnp.broadcast_to(column, infos.time.shape), rng=infos.rng
        )
''',
}
"""For LLaDA and Fast-dLLM, for dLLM, and for flow_matching and hackable_diffusion: templates by file."""
