"""A plan as time grids, for flow_matching and hackable_diffusion.

Both samplers draw how many tokens a step reveals, in random order: the plan is met in the mean at most, and
what is predicted for its counts is about right. Both grids are for a linear noise: a fraction t is masked
(decreasing) or revealed (increasing) at time t. With another noise, map each time to the one at which that
noise masks the same fraction.
"""

from .shared import the_plan


def increasing_times(length=None):
    """0 to 1, for flow_matching with the linear (n=1) PolynomialConvexScheduler.

        grid = torch.tensor(increasing_times())
        solver.sample(x_init, step_size=None, time_grid=grid)

    Its Euler step from t to t + h reveals a masked token with probability 1 - exp(-h / (1 - t)), less than
    the h / (1 - t) of this plan; its last step reveals all that is left.
    """
    plan, revealed = the_plan(length), [0]
    for count in plan["counts"]:
        revealed.append(revealed[-1] + count)
    return [number / plan["n"] for number in revealed]


def decreasing_times(margin=1e-6, length=None):
    """1 - margin to margin, for hackable_diffusion; its sampler needs times inside (0, 1)."""
    return [min(max(1 - time, margin), 1 - margin) for time in increasing_times(length)]


class TabulatedTimeSchedule:
    """A TimeSchedule for hackable_diffusion: DiffusionSampler(..., num_steps=steps of the plan + 1).

    Made from its UniformTimeSchedule(), which makes everything but the times:

        TabulatedTimeSchedule(time_scheduling.UniformTimeSchedule())
    """

    def __init__(self, uniform, length=None):
        """Of a plan's length, if there are several."""
        self.uniform, self.times = uniform, decreasing_times(length=length)

    def all_step_infos(self, rng, num_steps, data_spec):
        """The steps of the uniform schedule, at the times of the plan."""
        import jax.numpy as jnp

        if num_steps != len(self.times):
            raise ValueError(f"num_steps is {num_steps}: set num_steps={len(self.times)}, as this plan has")
        infos = self.uniform.all_step_infos(rng, num_steps, data_spec)
        column = jnp.asarray(self.times, infos.time.dtype).reshape((-1,) + (1,) * (infos.time.ndim - 1))
        return type(infos)(step=infos.step, time=jnp.broadcast_to(column, infos.time.shape), rng=infos.rng)
