"""What checkpoints call the parameters of a `Transformer`, and what their config.json says of its shape.

LLaMA's names are those of our own files; LLaDA (arXiv 2502.09992) has OLMo's, Dream (arXiv 2508.15487)
LLaMA's in the shape of Qwen2. Matrices of files act as `W x`, ours as `x @ w`: all but the embeddings are
transposed. Queries and keys are in the rotary convention of two halves, in all of them.
"""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal

from .._checks import check_integer, check_number
from .._errors import refuse, shown
from .transformer import TransformerConfig

Stored = Mapping[str, Any]
"""What config.json holds."""

EMBEDDINGS = ("embedding", "positions")
"""Fields whose rows are looked up: they are not transposed."""


@dataclasses.dataclass(frozen=True)
class Layout:
    """Names of tensors by the field of `Transformer`, or of `Block` with `{}` for the number of the block.

    `config` reads config.json; `shift` is 1 where the output at `i - 1` predicts position `i`.
    """

    outer: Mapping[str, str]
    inner: Mapping[str, str]
    config: Callable[[Stored], dict[str, Any]] = dict
    shift: int = 0

    def names(self, config: TransformerConfig, field: str) -> list[str]:
        """The tensors of a field: one, or one a block."""
        if field in self.outer:
            return [self.outer[field]]
        return [self.inner[field].format(i) for i in range(config.depth)]

    def shapes(self, config: TransformerConfig) -> Iterator[tuple[str, tuple[int, ...]]]:
        """Name and shape of every tensor, one at a time: there may be more than could be listed."""
        shapes = config.shapes()
        for field in (field for field in self.outer if field in shapes):
            yield self.outer[field], shapes[field] if field in EMBEDDINGS else shapes[field][::-1]
        for i in range(config.depth):
            for field in (field for field in self.inner if field in shapes):
                yield self.inner[field].format(i), shapes[field][:0:-1]


def _llada(stored: Stored) -> dict[str, Any]:
    """Keywords of the config that LLaDA's stand for; what is left out is as its class has it."""
    wanted = {"block_type": "llama", "layer_norm_type": "rms", "activation_type": "silu", "rope": True}
    others = {
        "block_type": "sequential",
        "layer_norm_type": "default",
        "activation_type": "swiglu",
        "rope": False,
    }
    absent = ("alibi", "attention_layer_norm", "include_bias", "bias_for_layer_norm", "input_emb_norm")
    wanted |= dict.fromkeys((*absent, "scale_logits"), False) | {"block_group_size": 1}
    _check(stored, wanted, others)
    width, rows = _size(stored, "d_model"), stored.get("embedding_size", 50304)
    if rows is not None and _size(stored, "vocab_size", 50257) > _size(stored, "embedding_size", rows):
        refuse("vocab_size", stored["vocab_size"], f"at most {rows}, the rows of the embedding")
    hidden, shared = stored.get("mlp_hidden_size"), stored.get("n_kv_heads")
    shared = 1 if shared is None and stored.get("multi_query_attention") else shared
    return {
        "n": _size(stored, "max_sequence_length", 1024),
        "q": _size(stored, "vocab_size", 50257) if rows is None else _size(stored, "embedding_size", rows),
        "width": width,
        "depth": _size(stored, "n_layers"),
        "heads": _size(stored, "n_heads"),
        "kv_heads": None if shared is None else _size({"n_kv_heads": shared}, "n_kv_heads"),
        "hidden": _size(stored, "mlp_ratio", 4) * width
        if hidden is None
        else _size(stored, "mlp_hidden_size"),
        "rotary_base": _real(stored, "rope_theta", 10_000.0),
        "norm_epsilon": _real(stored, "rms_norm_eps", 1e-5),
        "biases": bool(stored.get("include_qkv_bias", False)),
        "tied": bool(stored.get("weight_tying", True)),
    }


def _dream(stored: Stored) -> dict[str, Any]:
    """Keywords of the config that Dream's stand for: biases of queries, keys and values always."""
    rotary = stored.get("rope_parameters") or stored.get("rope_scaling") or {}
    if not isinstance(rotary, Mapping):
        refuse("rope_scaling", shown(repr(rotary)), "none")
    kind = rotary.get("rope_type", rotary.get("type", "default"))
    if kind != "default":
        refuse("rope_scaling", shown(kind), "none", "rotary positions are not scaled here")
    _check(stored, {"hidden_act": "silu", "use_sliding_window": False})
    shared = stored.get("num_key_value_heads")
    return {
        "n": _size(stored, "max_position_embeddings", 32768),
        "q": _size(stored, "vocab_size"),
        "width": _size(stored, "hidden_size"),
        "depth": _size(stored, "num_hidden_layers"),
        "heads": _size(stored, "num_attention_heads"),
        "kv_heads": None if shared is None else _size(stored, "num_key_value_heads"),
        "hidden": _size(stored, "intermediate_size"),
        "rotary_base": _real({**stored, **rotary}, "rope_theta", 10_000.0),
        "norm_epsilon": _real(stored, "rms_norm_eps", 1e-6),
        "biases": True,
        "tied": bool(stored.get("tie_word_embeddings", False)),
    }


LLAMA = Layout(
    {
        "embedding": "model.embed_tokens.weight",
        "norm": "model.norm.weight",
        "head": "lm_head.weight",
        "positions": "model.embed_positions.weight",  # which LLaMA has not
    },
    {
        "attention_norm": "model.layers.{}.input_layernorm.weight",
        "query": "model.layers.{}.self_attn.q_proj.weight",
        "key": "model.layers.{}.self_attn.k_proj.weight",
        "value": "model.layers.{}.self_attn.v_proj.weight",
        "out": "model.layers.{}.self_attn.o_proj.weight",
        "mlp_norm": "model.layers.{}.post_attention_layernorm.weight",
        "gate": "model.layers.{}.mlp.gate_proj.weight",
        "up": "model.layers.{}.mlp.up_proj.weight",
        "down": "model.layers.{}.mlp.down_proj.weight",
        "query_bias": "model.layers.{}.self_attn.q_proj.bias",
        "key_bias": "model.layers.{}.self_attn.k_proj.bias",
        "value_bias": "model.layers.{}.self_attn.v_proj.bias",
    },
)
"""Files of `mdmjax train`."""

LLADA = Layout(
    {
        "embedding": "model.transformer.wte.weight",
        "norm": "model.transformer.ln_f.weight",
        "head": "model.transformer.ff_out.weight",
    },
    {
        "attention_norm": "model.transformer.blocks.{}.attn_norm.weight",
        "query": "model.transformer.blocks.{}.q_proj.weight",
        "key": "model.transformer.blocks.{}.k_proj.weight",
        "value": "model.transformer.blocks.{}.v_proj.weight",
        "out": "model.transformer.blocks.{}.attn_out.weight",
        "mlp_norm": "model.transformer.blocks.{}.ff_norm.weight",
        "gate": "model.transformer.blocks.{}.ff_proj.weight",
        "up": "model.transformer.blocks.{}.up_proj.weight",
        "down": "model.transformer.blocks.{}.ff_out.weight",
        "query_bias": "model.transformer.blocks.{}.q_proj.bias",
        "key_bias": "model.transformer.blocks.{}.k_proj.bias",
        "value_bias": "model.transformer.blocks.{}.v_proj.bias",
    },
    _llada,
)

PRETRAINED = {"llada": LLADA, "dream": Layout(LLAMA.outer, LLAMA.inner, _dream, shift=1)}
"""Layouts of checkpoints by `model_type` of config.json, in small letters."""


def layout_of(stored: Stored) -> Layout:
    """The layout of a checkpoint with this config.json; refused if it is none of `PRETRAINED`."""
    kind = stored.get("model_type")
    if not isinstance(kind, str) or kind.lower() not in PRETRAINED:
        refuse("model_type", shown(repr(kind)), " or ".join(PRETRAINED), "others are measured by torch")
    return PRETRAINED[kind.lower()]


def pretrained_config(
    stored: Stored, mask_id: int | None = None, dtype: Literal["float32", "bfloat16"] = "float32"
) -> TransformerConfig:
    """The config of a network from config.json, with weights and matrix products of type `dtype`.

    Raises:
        InvalidInputError: a `model_type` or a setting that we do not have; a value that is none; no mask.

    >>> shape = {"d_model": 4096, "n_layers": 32, "n_heads": 32, "n_kv_heads": 32, "mlp_hidden_size": 12288}
    >>> shape |= {"vocab_size": 126464, "embedding_size": 126464, "weight_tying": False, "rope": True}
    >>> shape |= {"block_type": "llama", "layer_norm_type": "rms", "activation_type": "silu"}
    >>> shape |= {"model_type": "llada", "mask_token_id": 126336}
    >>> config = pretrained_config(shape, dtype="bfloat16")
    >>> config.parameters, config.bytes  # LLaDA 8B
    (8015581184, 16031162368)
    """
    layout = layout_of(stored)
    mask = stored.get("mask_token_id") if mask_id is None else mask_id
    if mask is None:
        refuse("mask_id", "not given", "the id of the mask", "config.json has no mask_token_id")
    known = layout.config(stored)
    return TransformerConfig(
        **known, mask_id=check_integer("mask_id", mask, 0), weights=dtype, compute=dtype
    )


def _size(stored: Stored, name: str, other: Any = None) -> int:
    """A size of config.json, or the `other` that its class takes where it is left out."""
    found = stored.get(name, other)
    if found is None:
        refuse(name, "not given", "an integer >= 1")
    return check_integer(name, found, 1)


def _real(stored: Stored, name: str, other: float) -> float:
    return check_number(name, stored.get(name, other), "a number > 0", lambda x: x > 0)


def _check(stored: Stored, wanted: Stored, others: Stored | None = None) -> None:
    """Refuse settings that are not as `wanted`; `others` are those of a config that leaves them out."""
    for name, value in wanted.items():
        found = stored.get(name, (others or {}).get(name, value))
        if found != value and not (found is None and value is False):
            refuse(name, shown(repr(found)), repr(value), "this network has no other")
