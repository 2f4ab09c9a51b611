"""A scan without a loop: every schedule of eight tokens at many noise levels, as one compiled program.

Run it: `python examples/scan_schedules_and_noise.py`
"""

import itertools

import jax
import jax.numpy as jnp
import numpy as np

import mdmjax as mj

jax.config.update("jax_enable_x64", True)

n, flips = 8, jnp.linspace(0.02, 0.4, 20)

# A schedule of n tokens is a set of cuts in 1..n-1: all 128, each as the start of the step of every token.
cuts = [cut for k in range(n) for cut in itertools.combinations(range(1, n), k)]
starts = jnp.asarray([mj.Schedule(np.diff([0, *cut, n])).starts for cut in cuts])
steps = jnp.asarray([len(cut) + 1 for cut in cuts])


def expected_kl(flip, starts):
    """The left-Riemann error of the curve (Theorem 4), in nats."""
    curve = mj.information_curve(mj.tabulate(mj.noisy_repeated_bit(n, flip)))
    return jnp.sum(curve.information - curve.information[starts])


scan = jax.jit(jax.vmap(jax.vmap(expected_kl, (None, 0)), (0, None)))
table = scan(flips, starts)  # [flips, schedules]
print(f"{table.size} expected KLs")
for k in (2, 3):
    among = jnp.where(steps == k, table, jnp.inf)
    best = [np.diff([0, *cuts[int(i)], n]).tolist() for i in jnp.argmin(among, axis=1)[:: len(flips) - 1]]
    print(f"best {k} steps: {best[0]} at flip {flips[0]:.2f}, {best[1]} at flip {flips[-1]:.2f}")
