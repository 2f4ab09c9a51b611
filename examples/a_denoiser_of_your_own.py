"""A denoiser of one's own: any function from tokens with masks to log-probabilities is judged and decoded.

Run it: `python examples/a_denoiser_of_your_own.py`
"""

import jax
import jax.numpy as jnp

import mdmjax as mj

jax.config.update("jax_enable_x64", True)


class Neighbours(mj.AbstractDenoiser):
    """Knows only the nearest revealed token on the left, and that bits change with probability `flip`."""

    n: int
    q: int = 2
    flip: float = 0.1

    def __call__(self, tokens):
        """Log-probabilities `[n, q]`: a revealed position is certain of its token."""

        def step(seen, token):
            belief, revealed = seen, token < self.q
            moved = belief * (1 - self.flip) + belief[::-1] * self.flip
            after = jnp.where(revealed, jax.nn.one_hot(token, self.q), moved)
            return after, after

        _, rows = jax.lax.scan(step, jnp.full(self.q, 0.5), tokens)
        return jnp.log(rows)


truth = mj.tabulate(mj.symmetric_chain(6, 2, 0.1))
model = Neighbours(6)

split = mj.kl_split(truth, model, mj.llada_uniform(6, 3))
print(f"three steps in random order: {split.sampling:.4f} nats by the schedule")
print(f"and {split.learning:.4f} by the model")
curve = mj.denoiser_loss_curve(truth, model)
print("loss by tokens revealed:", *(f"{loss:.3f}" for loss in curve.loss))

orders = {"left to right": mj.left_to_right, "right to left": mj.right_to_left}
for name, rule in orders.items():
    decoder = mj.Reveal(rule(mj.Schedule([1] * 6)))
    print(f"{name}: KL(p || law) {mj.kl(truth, mj.exact_law(model, decoder)):.4f} nats")
