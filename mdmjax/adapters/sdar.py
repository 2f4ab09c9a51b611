"""A plan for SDAR's `block_diffusion_generate`.

    import generate, sdar_adapter
    sdar_adapter.install(generate)
    generate.block_diffusion_generate(model, prompt, mask_id, block_length=..., denoising_steps=...,
                                      remasking_strategy="low_confidence_static")

`denoising_steps` are those of the longest block; a shorter one ends early. SDAR asks for one vector of
counts for all blocks: it is given one that knows where each block begins, and how many masks the prompt
leaves in the first (SDAR itself writes over the prompt's tokens there). The prediction is for random order,
which SDAR does not have; `mdmjax likelihood` gives the number for its own. Refused: another block length or
number of blocks or of steps, and the strategies that do not look at counts ("low_confidence_dynamic", the
default, and "entropy_bounded").
"""

from .shared import (
    arguments_of,
    begin,
    check_equal,
    check_parameters,
    counts_of,
    plans_of_blocks,
    replace,
    steps_of,
)

FIXED = ("low_confidence_static", "sequential")

waiting = []  # the vector for the call under way


def install(module):
    """Let `module.block_diffusion_generate` follow the plan."""
    check_parameters(module.get_num_transfer_tokens, "block_length", "steps")
    replace(module, "block_diffusion_generate", planned)
    module.get_num_transfer_tokens = get_num_transfer_tokens


def planned(generate):
    """The generator, which checks its call and opens the counts of its blocks."""

    def run(*args, **kwargs):
        begin(None)
        given = arguments_of(generate, args, kwargs)
        strategy, length = given["remasking_strategy"], given["block_length"]
        if strategy not in FIXED:
            raise ValueError(
                f"remasking_strategy is {strategy}, which ignores counts: set {' or '.join(FIXED)}"
            )
        prompt = given["prompt"]["input_ids"].shape[1]
        number = -(-(prompt + given["gen_length"]) // length) - prompt // length
        plans = plans_of_blocks(number * length, length)
        check_equal("denoising_steps", given["denoising_steps"], steps_of(plans))
        masks = [length - prompt % length] + [length] * (number - 1)
        waiting[:] = [Counts(map(counts_of, plans, masks))]
        try:
            return generate(*args, **kwargs)
        finally:
            waiting.clear()

    return run


class Counts:
    """The counts of every block in turn, indexed by step: a new block begins at step 0."""

    def __init__(self, blocks):
        self.blocks, self.counts = list(blocks), []

    def __getitem__(self, step):
        if step == 0:
            self.counts = self.blocks.pop(0)
        return self.counts[step]


def get_num_transfer_tokens(block_length, steps):
    """The counts of the call under way."""
    if not waiting:
        raise ValueError("no plan is open: after install(module) call module.block_diffusion_generate")
    return waiting.pop()
