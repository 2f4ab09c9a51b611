r"""The best decoders there can be, by Bellman's recursion, and regret against them.

There are two expectations of the number of calls, and they differ where the denoiser or the temperature
makes the output differ from the data. **Over the data**, $\mathbb{E}_p[R]$: the tokens seen on the way are
those of $x \sim p$, as in training with a teacher. A price, `expected_calls` of a policy, the hull and
`teacher_forced_calls` are this one; the forward KL of a policy is a sum of such means. **Over the output**:
the tokens seen are the decoder's own; `Law.expected_calls` is that one. `Regret.over` says which it used.
"""
