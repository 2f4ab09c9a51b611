"""The best schedule of a model from the masked-loss curve that its trainer logged.

Run it: `python examples/schedule_from_a_curve.py`
"""

import jax
import numpy as np

import mdmjax as mj

jax.config.update("jax_enable_x64", True)  # exact work wants float64; the library sets no flag

# What a trainer logs: nats a masked token, by how many of the 64 tokens were masked.
n_masked = np.array([1, 4, 8, 16, 24, 32, 40, 48, 56, 64])
loss = np.array([0.42, 0.44, 0.47, 0.55, 0.66, 0.81, 1.03, 1.38, 2.02, 3.60])
curve = mj.curve_from_table(mj.LossTable(64, n_masked, loss))

best = mj.optimal_schedule(curve, 8)
print("best counts:", best.counts.tolist())
for name in ("llada_uniform", "dllm_cosine", "pyramid"):
    excess = mj.nll(curve, mj.NAMED[name](64, 8)) - mj.nll(curve, best)
    print(f"{name} loses {excess:.4f} nats a sequence against it")

# The same as a report, with its tables; `report.to_json()` has every number.
print(mj.schedule_study(curve, steps=8))
