"""What every adapter has in it: the plan, and what the plan says for a row of masks."""

import functools
import inspect

# PLAN: written by mdmjax
PLAN = {
    "order": "random",
    "models": [1, 0],
    "lengths": [{"n": 8, "counts": [3, 5], "by_masks": {2: [1, 1]}}],
    "block_length": 4,
    "every_block": False,
    "blocks": [
        {"n": 4, "counts": [1, 3], "by_masks": {}},
        {"n": 4, "counts": [2, 2], "by_masks": {2: [1, 1]}},
    ],
}
# end of PLAN


def planned_lengths():
    """What the plan is for, in words."""
    lengths = " or ".join(str(plan["n"]) for plan in PLAN["lengths"])
    parts = [f"{lengths} masks at once"] if lengths else []
    if PLAN["blocks"]:
        many = "any number of" if PLAN["every_block"] else len(PLAN["blocks"])
        parts.append(f"{many} blocks of {PLAN['block_length']}")
    return ", or ".join(parts)


def plan_of_length(length):
    """The plan for a generation of `length` masks that is one block."""
    for plan in PLAN["lengths"]:
        if plan["n"] == length:
            return plan
    raise ValueError(
        f"this plan is for {planned_lengths()}, not for {length} at once: set that, or export a plan for "
        f"{length} (another length has a curve of its own)"
    )


def the_plan(length=None):
    """The plan of a length; without one, the only plan that is not for blocks."""
    if length is not None:
        return plan_of_length(length)
    if len(PLAN["lengths"]) != 1:
        raise ValueError(
            f"this plan is for {planned_lengths()}: give length, or export a plan for one length"
        )
    return PLAN["lengths"][0]


def plans_of_blocks(length, block_length):
    """The plans of the blocks of a generation, from left to right; one if a block holds all of it."""
    if block_length >= length:
        return [plan_of_length(length)]
    number = -(-length // block_length)
    blocks = PLAN["blocks"] * (number if PLAN["every_block"] else 1)
    if block_length != PLAN["block_length"] or len(blocks) != number:
        raise ValueError(
            f"this plan is for {planned_lengths()}, not for {number} blocks of {block_length}: set "
            f"that, or export a plan with --block-length {block_length}"
        )
    return blocks


def counts_of(plan, masks):
    """Tokens to reveal at each step in a row of `masks` masks."""
    if masks == plan["n"]:
        return plan["counts"]
    if masks and masks not in plan["by_masks"]:
        raise ValueError(
            f"this plan is for {plan['n']} masks, not for a row of {masks}: mask {plan['n']}, or export "
            f"plans for rows of a length of {plan['n']} with --infill {masks}"
        )
    return plan["by_masks"][masks] if masks else []


def rows_of_counts(plan, masks, width=0):
    """`counts_of` for every row, with zeros to the longest, or to `width`."""
    rows = [counts_of(plan, number) for number in masks]
    width = max([width, *map(len, rows)])
    return [row + [0] * (width - len(row)) for row in rows]


def steps_of(plans):
    """The steps of the longest plan."""
    return max(len(plan["counts"]) for plan in plans)


class Models:
    """Several models in the place of one: each step is taken by the one that the plan names, 0 the first.

        models = Models(large, small)

    It is called as they are, once a step; attributes are those of the first.
    """

    def __init__(self, *models):
        """In the order in which they were given to mdmjax."""
        if not PLAN["models"]:
            raise ValueError("this plan is for one model: give it in the place of Models(...)")
        if len(models) <= max(PLAN["models"]):
            raise ValueError(f"this plan is for {max(PLAN['models']) + 1} models: give as many")
        self.models, self.step = models, 0

    def __call__(self, *args, **kwargs):
        """The call of the model whose step it is."""
        model = self.models[PLAN["models"][self.step]]
        self.step += 1
        return model(*args, **kwargs)

    def __getattr__(self, name):
        """What the first model has."""
        return getattr(self.models[0], name)


def begin(model):
    """Before a generation: the first step again; one model is refused where the plan is for several."""
    if isinstance(model, Models):
        model.step = 0
    elif any(PLAN["models"]):
        number = max(PLAN["models"]) + 1
        raise ValueError(
            f"this plan is for {number} models, which take the steps {PLAN['models']}: give Models(...) in "
            f"the place of one, where a sampler calls its model once a step and keeps no cache"
        )


def check_equal(name, value, wanted):
    """Refuse another setting than the plan's."""
    if value != wanted:
        raise ValueError(f"{name} is {value}: set {name}={wanted}, as this plan has")


def check_parameters(function, *names):
    """Refuse a function of other parameters: it is of another sampler, or of another version."""
    found = tuple(inspect.signature(function).parameters)
    if found != names:
        raise ValueError(
            f"this adapter is for {function.__name__}({', '.join(names)}), not ({', '.join(found)}): it "
            f"needs the sampler that it was written for"
        )


def arguments_of(function, args, kwargs):
    """The arguments of a call by name, defaults included, those of `**kwargs` too."""
    bound = inspect.signature(function).bind(*args, **kwargs)
    bound.apply_defaults()
    given = dict(bound.arguments)
    return given | given.pop("kwargs", {})


def replace(owner, name, around):
    """Put `around(function)` in the place of a function; doing it again changes nothing."""
    function = getattr(owner, name)
    function = getattr(function, "unplanned", function)
    planned = functools.wraps(function)(around(function))
    vars(planned)["unplanned"] = function  # with what decorates it, as torch.no_grad
    setattr(owner, name, planned)
