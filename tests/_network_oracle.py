"""The transformer as loops over positions, heads and pairs, from LLaMA's definition, in float64.

It takes parameters by the names of LLaMA's checkpoints and shares no code with the package.
"""

import math

import numpy as np


def normed(row, scale, epsilon):
    """RMSNorm of one position."""
    size = math.sqrt(sum(float(v) ** 2 for v in row) / len(row) + epsilon)
    return np.array([v / size * s for v, s in zip(row, scale, strict=True)])


def turned(vector, position, base):
    """Rotary positions: pair (j, j + half) as a complex number, turned by position * base^(-2j/size)."""
    half = len(vector) // 2
    out = np.empty(2 * half)
    for j in range(half):
        angle = position * base ** (-2 * j / (2 * half))
        z = complex(vector[j], vector[j + half]) * complex(math.cos(angle), math.sin(angle))
        out[j], out[j + half] = z.real, z.imag
    return out


def attended(queries, keys, values):
    """One head: for each position, the values of all positions by the softmax of its scores."""
    out = []
    for query in queries:
        scores = [float(np.dot(query, key)) / math.sqrt(len(query)) for key in keys]
        top = max(scores)
        weights = [math.exp(s - top) for s in scores]
        out.append(sum(w * v for w, v in zip(weights, values, strict=True)) / sum(weights))
    return out


def network_logits(weights, tokens, heads, depth, base, epsilon):
    """Logits `[n, q]` of one sequence."""
    w = {name: np.asarray(value, np.float64) for name, value in weights.items()}
    stream = [w["model.embed_tokens.weight"][t] for t in tokens]
    size = len(stream[0]) // heads
    for i in range(depth):

        def of(name, i=i):
            return w[f"model.layers.{i}.{name}.weight"]

        ins = [normed(x, of("input_layernorm"), epsilon) for x in stream]
        mixed = [[] for _ in tokens]
        for h in range(heads):
            part = slice(h * size, (h + 1) * size)
            queries = [turned((of("self_attn.q_proj") @ x)[part], p, base) for p, x in enumerate(ins)]
            keys = [turned((of("self_attn.k_proj") @ x)[part], p, base) for p, x in enumerate(ins)]
            values = [(of("self_attn.v_proj") @ x)[part] for x in ins]
            for p, row in enumerate(attended(queries, keys, values)):
                mixed[p].extend(row)
        stream = [x + of("self_attn.o_proj") @ np.array(m) for x, m in zip(stream, mixed, strict=True)]
        for p, x in enumerate(stream):
            y = normed(x, of("post_attention_layernorm"), epsilon)
            gate = [g / (1 + math.exp(-g)) for g in of("mlp.gate_proj") @ y]
            stream[p] = x + of("mlp.down_proj") @ (np.array(gate) * (of("mlp.up_proj") @ y))
    return np.array([w["lm_head.weight"] @ normed(x, w["model.norm.weight"], epsilon) for x in stream])


def masked_loss(logits, tokens, masked, weight):
    """`weight` times the sum of -log softmax(logits)[token] over masked positions."""
    total = 0.0
    for row, token, hidden in zip(logits, tokens, masked, strict=True):
        if hidden:
            total += math.log(sum(math.exp(v - max(row)) for v in row)) + max(row) - row[token]
    return weight * total
