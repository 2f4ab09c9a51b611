"""Masked models in local folders of Hugging Face: opened by transformers and torch, the extra `hf`."""

import dataclasses
import importlib.util
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .._errors import refuse, shown
from ..denoisers.layouts import PRETRAINED
from ..files.pretrained import read_config
from ..losses.logits_model import LogitsFn
from .folders import AbstractFolder, longest_of, mask_of, opening, silent


@dataclasses.dataclass(frozen=True, eq=False)
class HuggingFace(AbstractFolder):
    """A model of torch on a device, perhaps of code of its own."""

    model: Any
    device: str
    own_code: bool = False

    def logits_for(self, data: np.ndarray) -> LogitsFn:
        """The same for all data."""
        return self.logits

    def facts(self) -> Mapping[str, Any]:
        """Type of the weights and device."""
        return {"dtype": str(self.model.dtype).removeprefix("torch."), "device": self.device}

    def logits(self, tokens: np.ndarray) -> Any:
        """Logits of tokens, a torch tensor on the model's device; padding is not attended to.

        Code of a folder may ignore an attention mask, as LLaDA's does: it sees one length at a time.
        """
        import torch

        ids, known = torch.from_numpy(tokens).to(self.device), {}
        if self.pad_id is not None and (tokens == self.pad_id).any():
            lengths = tokens.shape[1] - np.argmax(tokens[:, ::-1] != self.pad_id, axis=1)
            if self.own_code:
                groups = [(np.flatnonzero(lengths == one), one) for one in np.unique(lengths)]
                parts = [(rows, one, self._called(ids[rows, :one])) for rows, one in groups]
                whole = parts[0][2].new_zeros((*ids.shape, parts[0][2].shape[-1]))
                for rows, one, part in parts:
                    whole[rows, :one] = part
                return whole
            known = {"attention_mask": (ids != self.pad_id).long()}
        return self._called(ids, **known)

    def _called(self, ids: Any, **known: Any) -> Any:
        """The logits that the model gives, without notes on stderr."""
        import torch

        with silent():
            found = self.model(ids, **known)
        logits = found if isinstance(found, torch.Tensor) else getattr(found, "logits", None)
        if logits is None:
            refuse("model", f"{self.folder}, whose output has no logits", "a masked language model")
        return logits


def open_hugging_face(
    folder: Path,
    *,
    device: str | None = None,
    dtype: str = "float32",
    trust_remote_code: bool = False,
    shift: int | None = None,
    mask_id: int | None = None,
) -> HuggingFace:
    """The masked model of a local folder: nothing is downloaded, and none of its code runs unless trusted.

    `AutoModelForMaskedLM`; with code of its own `AutoModel`, as LLaDA and Dream have it. The mask is the
    tokenizer's, else the configuration's; `shift` is 1 for Dream.

    Raises:
        InvalidInputError: no transformers or torch; a folder without a model, with code that is not
            trusted, with weights missing; no mask.
    """
    missing = [name for name in ("torch", "transformers") if importlib.util.find_spec(name) is None]
    if missing:
        refuse("model", f"hf:{folder}", " and ".join(missing) + " installed", "pip install 'mdmjax[hf]'")
    import torch
    import transformers

    stored = read_config(folder)
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # torch raises either where it has no such device
        refuse("device", device, "a device of torch here, as cpu or cuda", shown(error, 200))
    known = {"local_files_only": True, "trust_remote_code": trust_remote_code}
    with opening(folder):
        remote = stored.get("auto_map") or {}
        kind = str(stored.get("model_type", "")).lower()
        if remote and not trust_remote_code:
            what, wanted = f"hf:{folder}, which has code of its own", "a model that transformers knows"
            remedy = "--trust-remote-code runs the code in this folder"
            refuse("model", what, wanted, remedy + ("; --native needs none" if kind in PRETRAINED else ""))
        name = "AutoModel" if remote and "AutoModelForMaskedLM" not in remote else "AutoModelForMaskedLM"
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **known)
        mask = mask_of(mask_id, tokenizer, stored)
        opener, how = getattr(transformers, name), {"dtype": getattr(torch, dtype), **known}
        if remote:
            model, missing = _with_code_of_its_own(folder, opener, how)
        else:
            model, info = opener.from_pretrained(folder, output_loading_info=True, **how)
            missing = info["missing_keys"]
        model = model.to(device).eval()
    for one in sorted(missing):
        refuse("model", f"hf:{folder} without the weights {one}", "all weights", "those would be random")
    shift = (PRETRAINED[kind].shift if kind in PRETRAINED else 0) if shift is None else shift
    vocabulary = getattr(model.config, "vocab_size", None)
    longest = longest_of(tokenizer, getattr(model.config, "max_position_embeddings", None))
    return HuggingFace(folder, tokenizer, mask, shift, vocabulary, longest, model, device, bool(remote))


def _with_code_of_its_own(folder: Path, opener: Any, how: dict[str, Any]) -> tuple[Any, Collection[str]]:
    """A model made by its own constructor, and the names of weights that no file has.

    Such code is as old as the transformers that it was written for. Opened by `from_pretrained` of
    transformers 5 it fails (LLaDA), or silently computes with rotary frequencies that nobody has set
    (Dream): so the weights are loaded here, and two things that transformers 5 took away are put back.
    """
    import transformers
    from safetensors.torch import load_file
    from transformers import modeling_rope_utils

    modeling_rope_utils.ROPE_INIT_FUNCTIONS.setdefault("default", _rotary_frequencies)
    dtype = how.pop("dtype")
    config = transformers.AutoConfig.from_pretrained(folder, **how)
    if not hasattr(config, "use_cache"):
        config.use_cache = False
    model = opener.from_config(config, dtype=dtype, trust_remote_code=True)
    missing = set(model.state_dict())
    for path in sorted(folder.glob("*.safetensors")):
        found = model.load_state_dict(load_file(path), strict=False)
        for name in found.unexpected_keys:
            refuse("model", f"hf:{folder} with weights {shown(name)}", "those of its code, and no other")
        missing &= set(found.missing_keys)
    tied = {x.data_ptr() for name, x in model.state_dict().items() if name not in missing}
    return model, {name for name in missing if model.state_dict()[name].data_ptr() not in tied}


def _rotary_frequencies(config: Any, device: Any = None, **_: Any) -> tuple[Any, float]:
    """Frequencies of rotary positions without scaling, and the factor of attention, which is 1."""
    import torch

    base = (getattr(config, "rope_parameters", None) or {}).get("rope_theta") or config.rope_theta
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return base ** -(torch.arange(0, size, 2, dtype=torch.float32, device=device) / size), 1.0
