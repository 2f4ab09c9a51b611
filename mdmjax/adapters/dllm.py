"""A plan for dLLM's `MDLMSampler` and `DreamSampler`: `sample` and `infill`.

    import dllm_adapter
    dllm_adapter.install(MDLMSampler)
    config = MDLMSamplerConfig(steps=..., max_new_tokens=..., block_size=..., remasking="random")
    sampler.sample(inputs, config)

`steps` are those of the plan, or for several blocks those of the longest block times the blocks; a shorter
block ends early. Rows to infill may have fewer masks than the plan, each row with a plan of its own. The
prediction is for random order: MDLMSampler's `remasking="random"`. Its default, "low_confidence", and every
`alg` of DreamSampler run the same counts in another order; `mdmjax likelihood` gives the number for those.
Refused: another length, block size or number of steps, `stochastic_transfer` (random counts), masks in
the prompt, and functions of other parameters. A plan for several models takes
`dllm_adapter.Models(large, small)` as the sampler's model.
"""

import functools
import sys

from .shared import (
    PLAN,
    arguments_of,
    begin,
    check_equal,
    check_parameters,
    planned_lengths,
    plans_of_blocks,
    replace,
    rows_of_counts,
    steps_of,
    the_plan,
)

waiting = []  # the plans of the blocks that the call under way has still to begin


def install(sampler, length=None):
    """Let a class of samplers follow the plan; rows to infill that of `length`, if there are several."""
    module = sys.modules[sampler.__module__]
    check_parameters(module.get_num_transfer_tokens, "mask_index", "steps", "scheduler", "stochastic")
    default = getattr(module, f"{sampler.__name__}Config")
    replace(sampler, "sample", lambda sample: planned(sample, default, sample_plans))
    plans_for = functools.partial(infill_plans, length=length)
    replace(sampler, "infill", lambda infill: planned(infill, default, plans_for))
    vars(module)["get_num_transfer_tokens"] = get_num_transfer_tokens


def planned(function, default, plans_for):
    """A method that checks its call, and opens the plans of its blocks."""

    def run(self, *args, **kwargs):
        given = arguments_of(function, (self, *args), kwargs)
        config = given.get("config") or default()
        setting = lambda name: given.get(name, getattr(config, name, None))
        check_equal("stochastic_transfer", bool(setting("stochastic_transfer")), False)
        begin(self.model)
        plans = plans_for(self, given["inputs"], setting)
        check_equal("steps", setting("steps"), len(plans) * steps_of(plans))
        waiting[:] = plans
        try:
            return function(self, *args, **kwargs)
        finally:
            waiting.clear()

    return run


def sample_plans(sampler, inputs, setting):
    """The plans for tokens that are written after prompts."""
    mask = sampler.tokenizer.mask_token_id
    if any(mask in list(map(int, prompt)) for prompt in inputs):
        raise ValueError(
            "a prompt has masks, which this sampler fills as part of the first block: fill them"
        )
    length = setting("max_new_tokens") or setting("max_length") - max(map(len, inputs))
    return plans_of_blocks(length, setting("block_size") or length)


def infill_plans(sampler, inputs, setting, length):
    """The plans for masks inside the inputs: blocks are of the whole sequence, with any number of masks."""
    positions = max(map(len, inputs))
    block = setting("block_size") or positions
    if block < positions:
        if not PLAN["every_block"]:
            raise ValueError(f"this plan is for {planned_lengths()}: set block_size=None to infill at once")
        return plans_of_blocks(positions, block)
    return [the_plan(length)]


def get_num_transfer_tokens(mask_index, steps, scheduler, stochastic=False):
    """Tokens to reveal at each step, int64 [batch, longest], for a bool mask [batch, block]."""
    import torch

    if not waiting:
        raise ValueError("no plan is open: call sample or infill of the class that install was given")
    rows = rows_of_counts(waiting.pop(0), mask_index.sum(dim=1).tolist())
    return torch.tensor(rows, dtype=torch.int64, device=mask_index.device)
