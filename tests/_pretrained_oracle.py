"""LLaDA and Dream forward, from the definition, in float64 NumPy: by the names of their checkpoints.

It shares no code with the package, and neither with their modelling code.
"""

import numpy as np

PARTS = ("norm1", "q", "k", "v", "out", "norm2", "gate", "up", "down")
DREAM_SIZES = ("num_attention_heads", "num_hidden_layers", "num_key_value_heads")
LLADA = (
    "model.transformer.blocks.{}.",
    ("model.transformer.wte.weight", "model.transformer.ln_f.weight", "model.transformer.ff_out.weight"),
    "attn_norm q_proj k_proj v_proj attn_out ff_norm ff_proj up_proj ff_out",
)
DREAM = (
    "model.layers.{}.",
    ("model.embed_tokens.weight", "model.norm.weight", "lm_head.weight"),
    "input_layernorm self_attn.q_proj self_attn.k_proj self_attn.v_proj self_attn.o_proj "
    "post_attention_layernorm mlp.gate_proj mlp.up_proj mlp.down_proj",
)


def pretrained_logits(tensors, config, ids):
    """Logits `[length, vocabulary]` of one sequence; `config` is what config.json holds."""
    w = {name: np.asarray(value, np.float64) for name, value in tensors.items()}
    is_llada = config["model_type"] == "llada"
    heads, depth, shared = (
        config[x] for x in (("n_heads", "n_layers", "n_kv_heads") if is_llada else DREAM_SIZES)
    )
    epsilon, tied = config["rms_norm_eps"], config["weight_tying" if is_llada else "tie_word_embeddings"]
    block, outer, parts = LLADA if is_llada else DREAM
    parts = dict(zip(PARTS, parts.split(), strict=True))
    embedding = w[outer[0]]
    size = embedding.shape[1] // heads
    angle = np.outer(np.arange(len(ids)), config["rope_theta"] ** (-2 * np.arange(size // 2) / size))
    turn = np.exp(1j * angle)

    def apply(i, part, x):
        name = block.format(i) + parts[part]
        return x @ w[name + ".weight"].T + w.get(name + ".bias", 0.0)

    def normed(x, scale):
        return x / np.sqrt((x**2).mean(axis=1, keepdims=True) + epsilon) * scale

    def turned(x):
        z = (x[:, : size // 2] + 1j * x[:, size // 2 :]) * turn
        return np.concatenate([z.real, z.imag], axis=1)

    x = embedding[np.asarray(ids)]
    for i in range(depth):
        y = normed(x, w[block.format(i) + parts["norm1"] + ".weight"])
        query, key, value = (apply(i, part, y) for part in "qkv")
        mixed = []
        for head in range(heads):
            own = slice(head * size, (head + 1) * size)
            group = head // (heads // shared)
            theirs = slice(group * size, (group + 1) * size)
            scores = turned(query[:, own]) @ turned(key[:, theirs]).T / np.sqrt(size)
            powers = np.exp(scores - scores.max(axis=1, keepdims=True))
            mixed.append(powers / powers.sum(axis=1, keepdims=True) @ value[:, theirs])
        x = x + apply(i, "out", np.concatenate(mixed, axis=1))
        y = normed(x, w[block.format(i) + parts["norm2"] + ".weight"])
        gate = apply(i, "gate", y)
        x = x + apply(i, "down", gate / (1 + np.exp(-gate)) * apply(i, "up", y))
    return normed(x, w[outer[1]]) @ (embedding if tied else w[outer[2]]).T
