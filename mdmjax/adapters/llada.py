"""A plan for LLaDA's `generate` and for Fast-dLLM's, plain and with a prefix or dual cache.

    import generate, llada_adapter
    llada_adapter.install(generate)
    generate.generate(model, prompt, steps=..., gen_length=..., block_length=..., remasking="random")

`steps` are those of the plan, or for several blocks those of the longest block times the blocks. The
prediction is for random order: `remasking="random"`. The default, "low_confidence", runs the same counts in
another order, and `mdmjax likelihood` gives the number for that one. A shorter block of LLaDA still pays
its calls; Fast-dLLM ends it. Refused: another length, block length or number of steps, `threshold` and
`factor` (counts are not looked at then), masks in the prompt, and functions of other parameters. A plan for
several models takes `llada_adapter.Models(large, small)` as the model, without a cache.
"""

from .shared import (
    arguments_of,
    begin,
    check_equal,
    check_parameters,
    plans_of_blocks,
    replace,
    rows_of_counts,
    steps_of,
)

GENERATORS = ("generate", "generate_with_prefix_cache", "generate_with_dual_cache")

waiting = []  # the plans of the blocks that the call under way has still to begin


def install(module):
    """Let the generators of `module` follow the plan."""
    check_parameters(module.get_num_transfer_tokens, "mask_index", "steps")
    for name in GENERATORS:
        if hasattr(module, name):
            replace(module, name, planned)
    module.get_num_transfer_tokens = get_num_transfer_tokens


def planned(generate):
    """A generator that checks its call, and opens the plans of its blocks."""

    def run(*args, **kwargs):
        given = arguments_of(generate, args, kwargs)
        if given["block_length"] > given["gen_length"]:
            check_equal("block_length", given["block_length"], given["gen_length"])
        plans = plans_of_blocks(given["gen_length"], given["block_length"])
        check_equal("steps", given["steps"], len(plans) * steps_of(plans))
        begin(None if "cache" in generate.__name__ else given["model"])
        for name in ("threshold", "factor"):
            check_equal(name, given.get(name), None)
        if bool((given["prompt"] == given["mask_id"]).any()):
            raise ValueError(
                "the prompt has masks, which this sampler fills as part of the first block: fill them"
            )
        waiting[:] = plans
        try:
            return generate(*args, **kwargs)
        finally:
            waiting.clear()

    return run


def get_num_transfer_tokens(mask_index, steps):
    """Tokens to reveal at each step, int64 [batch, steps + 1], for a bool mask [batch, block]."""
    import torch

    if not waiting:
        raise ValueError(
            "no plan is open: after install(module) call module.generate, not one imported before"
        )
    # One step more, of no token: with a cache Fast-dLLM makes a second call in a block of one step.
    rows = rows_of_counts(waiting.pop(0), mask_index.sum(dim=1).tolist(), steps + 1)
    return torch.tensor(rows, dtype=torch.int64, device=mask_index.device)
