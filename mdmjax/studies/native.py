"""Checkpoints of LLaDA and Dream in JAX, without torch and their code; tokenizers are of transformers."""

import dataclasses
import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from .._errors import readable_bytes, refuse
from .._types import Array, Float, Int
from ..denoisers.layouts import layout_of
from ..denoisers.transformer import Transformer
from ..files.pretrained import read_config, read_pretrained
from ..losses.logits_model import LogitsFn
from .folders import AbstractFolder, longest_of, mask_of, opening


class VocabularyLogits(eqx.Module):
    """A network called on ids, compiled once a shape; nothing attends to `pad_id` after a sequence."""

    network: Transformer
    pad_id: int | None = eqx.field(static=True)

    @eqx.filter_jit
    def __call__(
        self, ids: Int[Array | np.ndarray, "*batch length"]
    ) -> Float[Array, "*batch length vocabulary"]:
        """Logits of every id at every position."""
        ids = jnp.asarray(ids)
        if self.pad_id is None:
            return self.network.logits(ids)
        after = jnp.cumsum((ids != self.pad_id)[..., ::-1], axis=-1)[..., ::-1]  # others, from here on
        return self.network.logits(ids, after > 0)


@dataclasses.dataclass(frozen=True, eq=False)
class Native(AbstractFolder):
    """A network of JAX, on one device or split over all."""

    network: Transformer

    def logits_for(self, data: np.ndarray) -> LogitsFn:
        """Padding is looked for where there is any."""
        padded = self.pad_id is not None and bool((data == self.pad_id).any())
        return VocabularyLogits(self.network, self.pad_id if padded else None)

    def facts(self) -> Mapping[str, Any]:
        """Type of the weights, device, and what computes."""
        return {"dtype": self.network.config.weights, "device": jax.default_backend(), "native": True}

    def notes(self) -> tuple[str, ...]:
        """How large it is."""
        config, devices = self.network.config, len(self.network.embedding.sharding.device_set)
        where = "on one device" if devices == 1 else f"over {devices} devices"
        size = f"{config.parameters:,} parameters of {config.weights}"
        return (f"{size}, {readable_bytes(config.bytes)} {where}.",)


def open_native(
    folder: Path,
    *,
    dtype: Literal["float32", "bfloat16"] = "float32",
    shift: int | None = None,
    mask_id: int | None = None,
) -> Native:
    """The LLaDA or Dream of a local folder as a network of JAX, split over all devices (`read_pretrained`).

    The tokenizer is that of tokenizer.json, or Qwen2's of vocab.json and merges.txt (Dream's own class is a
    copy of it).

    Raises:
        InvalidInputError: no transformers; a `model_type` that we do not have; no mask or tokenizer; what
            `read_pretrained` refuses.
    """
    if importlib.util.find_spec("transformers") is None:
        refuse(
            "model", f"hf:{folder}", "transformers installed, for its tokenizer", "pip install transformers"
        )
    stored = read_config(folder)
    layout, tokenizer = layout_of(stored), _tokenizer(folder)
    mask, devices = mask_of(mask_id, tokenizer, stored), np.array(jax.devices())
    mesh = Mesh(devices, ("devices",)) if devices.size > 1 else None
    network = read_pretrained(folder, mask_id=mask, dtype=dtype, mesh=mesh)
    vocabulary, longest = network.config.q, longest_of(tokenizer, network.config.n)
    return Native(
        folder, tokenizer, mask, layout.shift if shift is None else shift, vocabulary, longest, network
    )


def _tokenizer(folder: Path) -> Any:
    """The tokenizer of a folder, without running code that is in it."""
    import transformers

    if (folder / "tokenizer.json").is_file():
        opener = transformers.PreTrainedTokenizerFast
    elif (folder / "vocab.json").is_file() and (folder / "merges.txt").is_file():
        opener = transformers.Qwen2Tokenizer
    else:
        refuse("model", f"hf:{folder}", "a folder with tokenizer.json, or with vocab.json and merges.txt")
    with opening(folder):
        return opener.from_pretrained(folder, local_files_only=True)
