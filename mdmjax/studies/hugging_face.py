"""Masked models in local folders of Hugging Face: opened by transformers and torch, the extra `hf`."""

import dataclasses
import importlib.util
import warnings
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from .._errors import InvalidInputError, refuse, shown
from ..files.sequences import FASTA, Example, read_examples
from .measure import Measurable, fingerprint

DTYPES = ("float32", "bfloat16", "float16")
FIXED_LENGTH = 2**20  # what a tokenizer says that knows no length is above it


@dataclasses.dataclass(frozen=True, eq=False)
class HuggingFace:
    """A model with its tokenizer; ids are the tokenizer's, `forbidden` its special ones with the mask."""

    folder: Path
    model: Any
    tokenizer: Any
    device: str
    mask_id: int
    pad_id: int | None
    forbidden: tuple[int, ...]
    shift: int
    longest: int | None
    own_code: bool = False

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

        with _silent():
            found = self.model(ids, **known)
        logits = found if isinstance(found, torch.Tensor) else getattr(found, "logits", None)
        if logits is None:
            refuse("model", f"{self.folder}, whose output has no logits", "a masked language model")
        return logits

    def measurable(self, path: Path, *, length: int | None = None, most: int | None = None) -> Measurable:
        """The sequences of a file as ids, and what a measurement needs: see `read_examples`.

        Answers are what may be masked, or all that is not special; special symbols are put around as the
        tokenizer does, no template of a chat is. A text is cut into windows of `length` tokens, if given;
        of more sequences than `most` as many are taken, evenly spaced.
        """
        examples, proteins = read_examples(path), path.suffix.lower() in FASTA
        if length is not None:
            if proteins or any(example.prompt for example in examples):
                refuse("length", length, "left out", "only a text is cut into windows")
            examples = [Example("\n".join(example.text for example in examples))]
        rows = [
            (self._ids(e.prompt, n, False), self._ids(e.text, n, proteins)) for n, e in enumerate(examples)
        ]
        if length is not None:
            ids = rows[0][1]
            if not 1 <= length <= len(ids):
                refuse("length", length, f"1..{len(ids)}, the tokens of {path}")
            rows = [([], ids[start : start + length]) for start in range(0, len(ids) - length + 1, length)]
        if most is not None and most < len(rows):
            rows = [rows[place] for place in np.arange(most) * len(rows) // most]
        data, regions = self._framed(rows)
        facts = {"model": fingerprint(self.folder), "mask_id": self.mask_id, "shift": self.shift}
        facts |= {"dtype": str(self.model.dtype).removeprefix("torch."), "device": self.device}
        known = {
            "forbidden": self.forbidden,
            "pad_id": self.pad_id,
            "regions": regions,
            "shift": self.shift,
        }
        return Measurable(
            self.logits, data, self.mask_id, f"sequences of {path}", options=known, facts=facts
        )

    def _ids(self, text: str, number: int, residues: bool) -> list[int]:
        """The ids of a text, or of its letters, one each; what the tokenizer does not know is refused.

        Letters are taken where each of them is known and a word is not: those of a protein model.
        """
        unknown = self.tokenizer.unk_token_id
        letters = self.tokenizer.convert_tokens_to_ids(list(text))
        ids = self.tokenizer(text, add_special_tokens=False)["input_ids"] if text else []
        by_letter = residues or (unknown in ids and unknown not in letters)
        found = letters if by_letter else ids
        if unknown is not None and unknown in found:
            where = shown(text[found.index(unknown)]) if by_letter else f"a symbol of {shown(text)}"
            refuse("data", f"with {where} in sequence {number + 1}", "symbols that the tokenizer knows")
        return found

    def _framed(self, rows: Sequence[tuple[list[int], list[int]]]) -> tuple[np.ndarray, np.ndarray]:
        """All rows in one array, special symbols around each and padding after it; and their regions."""
        sample, unknown = self.tokenizer("a")["input_ids"], self.tokenizer.unk_token_id
        inside = [place for place, one in enumerate(sample) if one == unknown or one not in self.forbidden]
        first, last = (inside[0], inside[-1] + 1) if inside else (len(sample), len(sample))
        whole = [[*sample[:first], *prompt, *answer, *sample[last:]] for prompt, answer in rows]
        length = max(map(len, whole))
        if self.longest is not None and length > self.longest:
            number = max(range(len(whole)), key=lambda one: len(whole[one])) + 1
            refuse(
                "data", f"of {length} tokens in sequence {number}", f"at most {self.longest} of this model"
            )
        if self.pad_id is None and len({len(one) for one in whole}) > 1:
            refuse(
                "data", "of unequal lengths", "one length", "this tokenizer has no padding; take --length N"
            )
        pad = 0 if self.pad_id is None else self.pad_id
        data = np.array([one + [pad] * (length - len(one)) for one in whole], np.int64)
        if data.max() >= getattr(self.model.config, "vocab_size", np.inf):
            refuse(
                "data", f"with the id {data.max()}", "ids of the model", "the tokenizer is of another one"
            )
        regions = np.zeros(data.shape, bool)
        for row, (prompt, answer) in enumerate(rows):
            regions[row, first + len(prompt) : first + len(prompt) + len(answer)] = True
        return data, regions & ~np.isin(data, self.forbidden)


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

    if not (folder / "config.json").is_file():
        refuse(
            "model",
            f"hf:{folder}",
            "a folder with config.json",
            "save_pretrained of transformers writes one",
        )
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # torch raises either where it has no such device
        refuse("device", device, "a device of torch here, as cpu or cuda", shown(error, 200))
    known = {"local_files_only": True, "trust_remote_code": trust_remote_code}
    with _opening(folder):
        stored = transformers.PretrainedConfig.get_config_dict(folder, local_files_only=True)[0]
        remote = stored.get("auto_map") or {}
        if remote and not trust_remote_code:
            refuse(
                "model",
                f"hf:{folder}, which has code of its own",
                "a model that transformers knows",
                "--trust-remote-code runs the code in this folder",
            )
        name = "AutoModel" if remote and "AutoModelForMaskedLM" not in remote else "AutoModelForMaskedLM"
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **known)
        mask = _mask(mask_id, tokenizer, stored)
        opener, how = getattr(transformers, name), {"dtype": getattr(torch, dtype), **known}
        if remote:
            model, missing = _with_code_of_its_own(folder, opener, how)
        else:
            model, info = opener.from_pretrained(folder, output_loading_info=True, **how)
            missing = info["missing_keys"]
        model = model.to(device).eval()
    for one in sorted(missing):
        refuse("model", f"hf:{folder} without the weights {one}", "all weights", "those would be random")
    shift = (1 if stored.get("model_type", "").lower() == "dream" else 0) if shift is None else shift
    lengths = [getattr(model.config, "max_position_embeddings", None), tokenizer.model_max_length]
    longest = min((one for one in lengths if one and one < FIXED_LENGTH), default=None)
    forbidden = tuple(sorted({mask, *tokenizer.all_special_ids}))
    pad = tokenizer.pad_token_id
    return HuggingFace(folder, model, tokenizer, device, mask, pad, forbidden, shift, longest, bool(remote))


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


def _mask(given: int | None, tokenizer: Any, stored: dict[str, Any]) -> int:
    """The mask that is given, else the tokenizer's, else that of the configuration `stored`."""
    found = [given, tokenizer.mask_token_id, stored.get("mask_token_id")]
    mask = next((one for one in found if one is not None), None)
    if mask is None:
        refuse("mask_id", "not given", "the id of the mask", "neither tokenizer nor config.json has one")
    if not 0 <= mask < stored.get("vocab_size", mask + 1):
        refuse("mask_id", mask, f"ids in 0..{stored['vocab_size'] - 1}, the vocabulary of the model")
    return mask


@contextmanager
def _silent() -> Iterator[None]:
    """No bars, notes and warnings of transformers on stderr."""
    import transformers

    logging = transformers.utils.logging
    level = logging.get_verbosity()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(level)


@contextmanager
def _opening(folder: Path) -> Iterator[None]:
    """Silent, and whatever is raised is one line."""
    try:
        with _silent():
            yield
    except InvalidInputError:
        raise
    except Exception as error:  # transformers, and the code of a folder, raise errors of any type
        refuse("model", f"hf:{folder}", "a masked model that transformers opens", shown(error, 300))
