"""A plan for MaskGIT, and for loops like it over the levels of a codec (VampNet, SoundStorm).

    import maskgit_adapter
    from maskgit.libml import parallel_decode
    maskgit_adapter.install(parallel_decode)
    parallel_decode.decode(..., num_iter=...)

`num_iter` are the steps of the plan. With levels of codebooks a block of the plan is a level, and
`level_share(level)` goes where a loop takes a schedule: it maps the share of that level's steps that are
done to the share that stays masked, a half of a token above the plan, so that a loop which cuts the number
of masks to an integer leaves the plan's. Loop over `range(level_steps(level))`. The order is by confidence
with noise; the prediction, for random order, is not for it (`mdmjax likelihood` gives that number).
Refused: another `num_iter` or number of masks, `start_iter`, and functions of other parameters. Inside
`jit` the masks cannot be counted, and are not.
"""

import types

from .shared import PLAN, arguments_of, begin, check_equal, check_parameters, replace, the_plan


def install(parallel_decode):
    """Let `parallel_decode.decode` follow the plan; training keeps its schedules."""
    check_parameters(parallel_decode.mask_schedule.schedule, "ratio", "total_unknown", "method")
    plan = the_plan()
    share = share_of(plan)
    schedule = lambda ratio, total_unknown, method="cosine": share(ratio)
    replace(parallel_decode, "decode", lambda decode: planned(decode, plan))
    parallel_decode.mask_schedule = types.SimpleNamespace(schedule=schedule)


def planned(decode, plan):
    """`decode`, which checks its call."""

    def run(*args, **kwargs):
        from jax.core import Tracer

        begin(None)
        given = arguments_of(decode, args, kwargs)
        check_equal("num_iter", given["num_iter"], len(plan["counts"]))
        check_equal("start_iter", given["start_iter"], 0)
        if not isinstance(given["inputs"], Tracer):
            for masks in (given["inputs"] == given["mask_token_id"]).sum(axis=-1).tolist():
                check_equal("the number of masks", masks, plan["n"])
        return decode(*args, **kwargs)

    return run


def level_plan(level):
    """The plan of a level, 0 the first."""
    levels = PLAN["blocks"] or PLAN["lengths"]
    if level >= len(levels) and not PLAN["every_block"]:
        raise ValueError(
            f"level is {level}: this plan is for {len(levels)} levels, set level to 0..{len(levels) - 1}"
        )
    return levels[min(level, len(levels) - 1)]


def level_steps(level):
    """The steps of a level."""
    return len(level_plan(level)["counts"])


def level_share(level):
    """The schedule of a level: a function from the share of steps done to that of masks left."""
    return share_of(level_plan(level))


def share_of(plan):
    """The share of masks left, and a half of a token, after a share of the steps; 0 at the end."""
    left, shares = plan["n"], []
    for count in plan["counts"]:
        left -= count
        shares.append((left + 0.5) / plan["n"] if left else 0.0)

    def share(ratio):
        if isinstance(ratio, (int, float)):
            return shares[round(ratio * len(shares)) - 1]
        import jax.numpy as jnp

        return jnp.asarray(shares, ratio.dtype)[jnp.round(ratio * len(shares)).astype(int) - 1]

    return share
