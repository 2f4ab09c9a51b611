"""A small model trained on a distribution that can be enumerated, and the exact law of what it learned.

Run it: `python examples/train_a_small_model.py` (about 20 seconds on two cores)
"""

import jax
import jax.numpy as jnp

import mdmjax as mj

jax.config.update("jax_enable_x64", True)

truth = mj.BlockHMM(2, 3, eta=0.01)  # two blocks of three bits with a parity bit each
config = mj.TransformerConfig(
    truth.n, truth.q, width=32, depth=1, heads=2, hidden=64, learned_positions=True
)
plan = mj.TrainingPlan(steps=300, batch=64, learning_rate=1e-2, warmup=20, ema=0.98)
key = jax.random.key(0)
state = mj.fit(key, mj.TrainState.create(key, plan, config), mj.Draws(truth), plan)

joint = mj.tabulate(truth)
model = mj.tabulate_denoiser(state.ema, dtype=jnp.dtype("float64"))  # its rows at every masked input
curve = mj.denoiser_loss_curve(joint, model)
best = mj.optimal_schedule(curve, 3)
print("loss by tokens revealed:", *(f"{loss:.3f}" for loss in curve.loss))
print("best three steps by the learned curve:", best.counts.tolist())
for name, rule in {
    "random order": mj.RandomSubset(best),
    "easy-first": mj.Ranked(mj.negative_entropy, best),
}.items():
    law = mj.exact_law(model, mj.Reveal(rule))
    print(f"{name}: KL(p || law) {mj.kl(joint, law):.4f} nats, exactly")
