"""A plan for MDLM and ReMDM: their `_sample`, with a time step of its own for every step.

    import mdlm_adapter
    mdlm_adapter.install(diffusion.Diffusion)
    model.restore_model_and_sample(num_steps=...)

Both draw for every masked token whether it is revealed, so that the counts are random: that of a step is
binomial, of mean `c`, the plan's count, and variance `c (1 - c / n)` (a token is revealed in this step
with probability c / n). `spread()` lists the standard deviations, 2.7 for 8 of 128. The order is random,
as in the prediction, which is for the counts as they are planned. Of ReMDM's samplers, those that mask
tokens again keep the share of masks in the mean; the prediction is for "mdlm", which does not. The last
step reveals all that is left, so that no call is spent on removing noise. Refused: another length or
number of steps, noise other than loglinear, another parameterization than "subs", and samplers with times
of their own ("analytic", "remdm-loop", `dfm`).
"""

import inspect
import math

from .shared import begin, check_equal, check_parameters, replace, the_plan


def install(model, length=None):
    """Let a class of models follow the plan; that of `length`, if there are several."""
    owner = model if isinstance(model, type) else type(model)
    check_parameters(owner._sample, "self", "num_steps", "eps")
    replace(owner, "_sample", lambda sample: planned(the_plan(length)))


def masked_shares(counts):
    """The share that is masked before each step, and at the end: 1 to 0."""
    n, left = sum(counts), [sum(counts)]
    for count in counts:
        left.append(left[-1] - count)
    return [masks / n for masks in left]


def spread(length=None):
    """The standard deviation of the count of each step."""
    plan = the_plan(length)
    return [math.sqrt(count * (1 - count / plan["n"])) for count in plan["counts"]]


def check_settings(model, plan, num_steps):
    """Refuse what would run something else."""
    config = model.config
    steps = config.sampling.steps if num_steps is None else num_steps
    check_equal("sampling.steps", steps, len(plan["counts"]))
    check_equal("model.length", config.model.length, plan["n"])
    check_equal("noise.type", config.noise.type, "loglinear")
    check_equal("parameterization", model.parameterization, "subs")
    if model.sampler not in ("ddpm", "ddpm_cache"):
        raise ValueError(f"sampling.predictor is {model.sampler}: set ddpm_cache or ddpm")
    if getattr(config.sampling, "dfm", False) or getattr(config.sampling, "sampler", "") == "remdm-loop":
        raise ValueError(
            'this sampler has times of its own: set sampling.sampler to "mdlm" and sampling.dfm to False'
        )


def planned(plan):
    """`_sample`, which checks its call, over the times of the plan."""

    def run(self, num_steps=None, eps=1e-5):
        import torch

        begin(None)
        check_settings(self, plan, num_steps)
        with torch.no_grad():
            return walk(self, plan)

    return run


def walk(model, plan):
    """Tokens after the updates of the model between the times of the plan."""
    import torch

    x = model._sample_prior(model.config.loader.eval_batch_size, plan["n"]).to(model.device)
    times = torch.tensor(masked_shares(plan["counts"]), device=model.device)
    confidence = torch.full(x.shape, -math.inf, dtype=torch.bfloat16, device=model.device)
    cache, update = None, model._ddpm_caching_update
    remdm = "conf" in inspect.signature(update).parameters  # it takes confidences, and gives them back
    for t, s in zip(times[:-1], times[1:], strict=True):
        column = t.expand(x.shape[0], 1)
        before = x
        if model.sampler == "ddpm":
            x = model._ddpm_update(x, column, t - s)
        elif remdm:
            cache, x, confidence = update(x, column, t - s, p_x0=cache, conf=confidence)
        else:
            cache, x = update(x, column, t - s, p_x0=cache)
            if model.time_conditioning or not torch.equal(x, before):
                cache = None
    return x
