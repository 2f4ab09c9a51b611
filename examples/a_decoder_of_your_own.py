"""A decoder of one's own in 15 lines: its exact law, its regret, and samples from it.

Run it: `python examples/a_decoder_of_your_own.py`
"""

import jax
import jax.numpy as jnp

import mdmjax as mj

jax.config.update("jax_enable_x64", True)


class SureOrFirst(mj.AbstractRule):
    """Reveal every masked position that the model is sure of, or else the first one."""

    level: float = 0.85
    is_random = False

    def choose(self, key, log_probs, tokens, step):
        """A set of masked positions, as a mask."""
        masked = tokens == log_probs.shape[1]  # the mask token is id q
        sure = masked & (jnp.exp(log_probs.max(axis=1)) >= self.level)
        first = masked & (jnp.cumsum(masked) == 1)
        return jnp.where(sure.any(), sure, first)


truth = mj.tabulate(mj.BlockHMM(2, 3, eta=0.01))  # two blocks of three bits, each with a parity bit
model = mj.Mixed(mj.Oracle(truth), 0.02)  # a denoiser with a known error
decoder = mj.Reveal(SureOrFirst())

law = mj.exact_law(model, decoder)
print(f"KL(p || law) = {mj.kl(truth, law):.4f} nats in {law.expected_calls:.2f} calls")
print(f"regret: {mj.regret(truth, model, decoder).value:.4f} nats above the best policy")

traces = mj.decode_many(jax.random.key(0), model, decoder, 2000)
drawn = jnp.zeros((2,) * 6).at[tuple(traces.tokens.T)].add(1 / 2000)
print(f"2000 draws are within {abs(drawn - law.probs).max():.3f} of the law at every sequence")

# Beside the built-in ones, in one table.
counts = mj.Schedule([2, 2, 2])
rules = {
    "mine": SureOrFirst(),
    "random": mj.RandomSubset(counts),
    "easy-first": mj.Ranked(mj.negative_entropy, counts),
    "threshold": mj.ConfidenceThreshold(0.85),
}
decoders = [mj.Named(mj.Reveal(rule), name) for name, rule in rules.items()]
print(mj.comparison_study(truth, decoders, denoiser=model))
