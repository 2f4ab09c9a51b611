"""The network and its loss as loops in NumPy and float64, from the definitions; nothing of the package."""

import math

import numpy as np


def network_logits(weights, config, tokens):
    """Logits `[n, q]` of a LLaMA-shaped transformer without a causal mask; `weights` by LLaMA's names.

    `config` has width, depth, heads, rotary_base and norm_epsilon. One position, one head, at a time.
    """
    weights = {name: np.asarray(value, np.float64) for name, value in weights.items()}
    n, heads, size = len(tokens), config["heads"], config["width"] // config["heads"]

    def normed(row, name):
        return row / math.sqrt(np.mean(row**2) + config["norm_epsilon"]) * weights[name]

    def turned(vector, position):
        half, out = size // 2, np.empty(size)
        for j in range(half):
            angle = position * config["rotary_base"] ** (-2 * j / size)
            a, b = vector[j], vector[j + half]
            out[j] = a * math.cos(angle) - b * math.sin(angle)
            out[j + half] = b * math.cos(angle) + a * math.sin(angle)
        return out

    x = [weights["model.embed_tokens.weight"][token].copy() for token in tokens]
    for layer in range(config["depth"]):
        at = f"model.layers.{layer}."
        rows = [normed(row, at + "input_layernorm.weight") for row in x]
        mixed = [np.empty(0) for _ in range(n)]
        for head in range(heads):
            part = slice(head * size, (head + 1) * size)
            q, k, v = (
                [weights[f"{at}self_attn.{which}_proj.weight"][part] @ row for row in rows]
                for which in "qkv"
            )
            q = [turned(vector, i) for i, vector in enumerate(q)]
            k = [turned(vector, i) for i, vector in enumerate(k)]
            for i in range(n):
                scores = np.exp([q[i] @ k[j] / math.sqrt(size) for j in range(n)])
                total = sum(score * v[j] for j, score in enumerate(scores)) / scores.sum()
                mixed[i] = np.concatenate([mixed[i], total])
        for i in range(n):
            x[i] = x[i] + weights[at + "self_attn.o_proj.weight"] @ mixed[i]
            row = normed(x[i], at + "post_attention_layernorm.weight")
            gate = weights[at + "mlp.gate_proj.weight"] @ row
            up = weights[at + "mlp.up_proj.weight"] @ row
            x[i] = x[i] + weights[at + "mlp.down_proj.weight"] @ (gate / (1 + np.exp(-gate)) * up)
    return np.array([weights["lm_head.weight"] @ normed(row, "model.norm.weight") for row in x])


def masked_losses(weights, config, tokens, masked, q):
    """`-log p(token)` of every masked position of one sequence, 0 elsewhere."""
    logits = network_logits(weights, config, [q if m else t for t, m in zip(tokens, masked, strict=True)])
    losses = np.zeros(len(tokens))
    for i, token in enumerate(tokens):
        if masked[i]:
            losses[i] = math.log(sum(math.exp(x) for x in logits[i])) - logits[i][token]
    return losses
