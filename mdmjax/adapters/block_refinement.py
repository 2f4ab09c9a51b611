"""A plan for `BlockRefinementScheduler` of diffusers, as LLaDA2 is sampled.

    import block_refinement_adapter
    pipe.scheduler = block_refinement_adapter.planned(pipe.scheduler)
    pipe(..., block_length=..., num_inference_steps=..., threshold=2.0, editing_threshold=None)

`num_inference_steps` are those of the longest block; a shorter one ends after one more call. The first
block may have fewer masks, where the prompt ends in it. The prediction is for random order; this scheduler
commits the most confident tokens, for which `mdmjax likelihood` gives the number. Refused: another block
length or number of steps, more blocks than planned, a `threshold` that a probability can pass (it commits
more than the count), `editing_threshold` (it writes tokens again), and uniform corruption (no mask token).
"""

from .shared import PLAN, begin, check_equal, check_parameters, counts_of, plan_of_length, steps_of


def planned(scheduler):
    """A scheduler like `scheduler`, of a subclass of its class, that follows the plan."""
    base = type(scheduler)
    check_parameters(base.get_num_transfer_tokens, "self", "block_length", "num_inference_steps")
    made = subclass(base)
    return made.from_config(scheduler.config)


def block_plans(block_length):
    """The plans of the blocks, of one that all follow, or of a single block."""
    if PLAN["block_length"] == block_length:
        return PLAN["blocks"]
    return [plan_of_length(block_length)]


def subclass(base):
    """The class: counts of the plan in the place of equal ones."""

    class PlannedBlockRefinementScheduler(base):
        def set_timesteps(self, num_inference_steps, device=None, block_length=None):
            length = block_length or self.config.block_length
            begin(None)
            self.plans, self.block = block_plans(length), -1
            check_equal("num_inference_steps", num_inference_steps, steps_of(self.plans))
            super().set_timesteps(num_inference_steps, device=device, block_length=length)

        def get_num_transfer_tokens(self, block_length, num_inference_steps):
            import torch

            return torch.tensor(self.plans[0]["counts"], dtype=torch.long)

        def step(self, model_output, timestep, sample, *, mask_token_id=None, threshold=None, **options):
            import torch

            if mask_token_id is None:
                raise ValueError("mask_token_id is None: uniform corruption has no masks to plan for")
            threshold = self.config.threshold if threshold is None else threshold
            if threshold <= 1:
                raise ValueError(
                    f"threshold is {threshold}: set threshold=2.0, so that no confidence passes it"
                )
            editing = options.get("editing_threshold") or self.config.editing_threshold
            if editing is not None and editing > 0:
                raise ValueError(
                    f"editing_threshold is {editing}: set editing_threshold=None, or tokens change again"
                )
            if int(timestep) == 0:
                self._transfer_schedule = torch.tensor(
                    self.next_counts(sample == mask_token_id), dtype=torch.long
                )
            given = {"mask_token_id": mask_token_id, "threshold": threshold}
            return super().step(model_output, timestep, sample, **given, **options)

        def next_counts(self, masked):
            """The counts of the block that begins."""
            self.block += 1
            if not PLAN["every_block"] and self.block >= len(self.plans):
                raise ValueError(
                    f"this plan is for {len(self.plans)} blocks: set gen_length to no more, or export one "
                    f"with --block-length"
                )
            masks = set(masked.sum(dim=1).tolist())
            if len(masks) != 1:
                raise ValueError(
                    f"rows have {sorted(masks)} masks in a block: this scheduler has one count for all"
                )
            return counts_of(self.plans[min(self.block, len(self.plans) - 1)], masks.pop()) or [0]

    return PlannedBlockRefinementScheduler
