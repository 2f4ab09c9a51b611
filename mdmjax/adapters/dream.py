"""A plan for Dream's own `diffusion_generate`.

    import dream_adapter
    dream_adapter.install(model)
    model.diffusion_generate(input_ids, steps=..., max_new_tokens=..., alg="entropy")

Dream reveals `int(left * (1 - s / t))` tokens between two of its times. It is given times that make this
the plan's count and a half, which no rounding moves to another integer. Its orders are all by confidence
but "origin", which draws how many tokens it reveals: the prediction, for random order, is not theirs;
`mdmjax likelihood` gives the number for them. Refused: another number of steps or of masks, rows of unequal
numbers of masks (Dream takes their mean), `alg="origin"`, and a `_sample` of other parameters. Blocks are
not Dream's. A hook that writes tokens or masks changes the counts, which nobody can check.
"""

import sys

from .shared import PLAN, arguments_of, begin, check_equal, check_parameters, counts_of, replace, the_plan


def install(model, length=None):
    """Let a model, or its class, follow the plan; rows to infill that of `length`, if there are several."""
    owner = model if isinstance(model, type) else type(model)
    names = ("self", "input_ids", "attention_mask", "generation_config")
    hooks = ("generation_tokens_hook_func", "generation_logits_hook_func")
    check_parameters(owner._sample, *names, *hooks)
    replace(owner, "_sample", lambda sample: planned(sample, length))


def planned(sample, length):
    """`_sample` with the times of the plan."""
    module = sys.modules[sample.__module__]

    def run(*args, **kwargs):
        begin(None)
        given = arguments_of(sample, args, kwargs)
        config, x = given["generation_config"], given["input_ids"]
        if config.alg == "origin":
            raise ValueError(
                'alg is "origin", which draws random counts: set "maskgit_plus", "entropy" or "topk_margin"'
            )
        new = config.max_length - x.shape[1]
        masks = {new + masked for masked in (x == config.mask_token_id).sum(dim=1).tolist()}
        if len(masks) > 1:
            raise ValueError(
                f"rows have {sorted(masks)} masks, of which Dream takes the mean: call it for each number"
            )
        number = masks.pop()
        planned = [plan for plan in PLAN["lengths"] if length is None and plan["n"] == number]
        counts = counts_of(planned[0] if planned else the_plan(length), number)
        check_equal("steps", config.steps, len(counts))
        real = module.torch
        vars(module)["torch"] = TimesOf(real, counts)
        try:
            return sample(*args, **kwargs)
        finally:
            vars(module)["torch"] = real

    return run


def times(counts):
    """Decreasing times from 1 to 0 between which Dream reveals these counts."""
    left, found = sum(counts), [1.0]
    for count in counts[:-1]:
        found.append(found[-1] * (1 - (count + 0.5) / left))
        left -= count
    return [*found, 0.0]


class TimesOf:
    """torch, but for `linspace`, which gives the times of the plan."""

    def __init__(self, torch, counts):
        self._torch, self._counts = torch, counts

    def __getattr__(self, name):
        return getattr(self._torch, name)

    def linspace(self, start, end, steps, **options):
        """The times of the plan."""
        check_equal("the number of times", steps, len(self._counts) + 1)
        return self._torch.tensor(times(self._counts), **options)
