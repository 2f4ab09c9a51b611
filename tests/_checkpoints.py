"""Tiny random checkpoints of LLaDA and Dream, as their config.json and tensors are."""

import json

import numpy as np
import safetensors.numpy


def llada(rng, *, heads=4, shared=2, size=8, depth=2, hidden=12, rows=11, tied=False, biases=False):
    """Config and tensors, with two rows of padding after the vocabulary."""
    width = heads * size
    config = {
        "model_type": "llada", "d_model": width, "n_heads": heads, "n_kv_heads": shared,
        "n_layers": depth, "mlp_hidden_size": hidden, "vocab_size": rows - 2, "embedding_size": rows,
        "max_sequence_length": 32, "block_type": "llama", "layer_norm_type": "rms", "rope": True,
        "activation_type": "silu", "rope_theta": 500_000.0, "rms_norm_eps": 1e-5, "weight_tying": tied,
        "include_qkv_bias": biases, "mask_token_id": rows - 4,
    }  # fmt: skip
    names = {"q_proj": (width, width), "attn_out": (width, width), "ff_out": (width, hidden)}
    names |= dict.fromkeys(("k_proj", "v_proj"), (shared * size, width))
    names |= dict.fromkeys(("ff_proj", "up_proj"), (hidden, width))
    names |= dict.fromkeys(("attn_norm", "ff_norm"), (width,))
    shapes = {f"blocks.{i}.{k}.weight": v for i in range(depth) for k, v in names.items()}
    if biases:
        for i in range(depth):
            shapes |= {f"blocks.{i}.{k}_proj.bias": (names[f"{k}_proj"][0],) for k in "qkv"}
    shapes |= {"wte.weight": (rows, width), "ln_f.weight": (width,)}
    shapes |= {} if tied else {"ff_out.weight": (rows, width)}
    return config, _random(rng, {"model.transformer." + k: v for k, v in shapes.items()})


def dream(rng, *, heads=4, shared=2, size=8, depth=2, hidden=12, rows=11, tied=False):
    """Config and tensors; the mask is the last but three."""
    width = heads * size
    config = {
        "model_type": "Dream", "hidden_size": width, "num_attention_heads": heads,
        "num_key_value_heads": shared, "num_hidden_layers": depth, "intermediate_size": hidden,
        "vocab_size": rows, "max_position_embeddings": 32, "hidden_act": "silu", "rope_theta": 1e6,
        "rms_norm_eps": 1e-6, "tie_word_embeddings": tied, "mask_token_id": rows - 4,
    }  # fmt: skip
    names = {"self_attn.q_proj": (width, width), "self_attn.o_proj": (width, width)}
    names |= dict.fromkeys(("self_attn.k_proj", "self_attn.v_proj"), (shared * size, width))
    names |= dict.fromkeys(("mlp.gate_proj", "mlp.up_proj"), (hidden, width))
    names |= {"mlp.down_proj": (width, hidden), "input_layernorm": (width,)}
    names |= {"post_attention_layernorm": (width,)}
    shapes = {f"layers.{i}.{k}.weight": v for i in range(depth) for k, v in names.items()}
    for i in range(depth):
        own = ((k, f"self_attn.{k}_proj") for k in "qkv")
        shapes |= {f"layers.{i}.{name}.bias": (names[name][0],) for _, name in own}
    shapes |= {"embed_tokens.weight": (rows, width), "norm.weight": (width,)}
    shapes = {"model." + k: v for k, v in shapes.items()}
    return config, _random(rng, shapes | ({} if tied else {"lm_head.weight": (rows, width)}))


def _random(rng, shapes):
    def one(name, shape):
        if "norm" in name or "ln_f" in name:
            return 1 + 0.3 * rng.standard_normal(shape)
        return rng.standard_normal(shape) * (0.5 if name.endswith("bias") else 1.5 * shape[-1] ** -0.5)

    return {name: one(name, shape).astype(np.float32) for name, shape in shapes.items()}


def written(folder, config, tensors, shards=1):
    """The folder, with one file or with `shards` and their index."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    if shards == 1:
        safetensors.numpy.save_file(tensors, folder / "model.safetensors")
        return folder
    names = {f"model-{i}.safetensors": sorted(tensors)[i::shards] for i in range(shards)}
    for file, own in names.items():
        safetensors.numpy.save_file({name: tensors[name] for name in own}, folder / file)
    index = {"weight_map": {name: file for file, own in names.items() for name in own}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return folder
