"""LLaDA and Dream in JAX against the torch code of their folders: forward passes on the same weights.

The folders, with their modelling code inside, are named by MDMJAX_CHECKPOINTS, with `:` between; without
torch, transformers or folders there is nothing to compare.
"""

import importlib.util
import os
from pathlib import Path

import jax
import numpy as np

from mdmjax.studies.hugging_face import open_hugging_face
from mdmjax.studies.native import open_native

from ._timing import Row, seconds

BATCH, LENGTH = 16, 64
GOAL = 1.0
"""Their time over ours: at least."""


def compared(folder: Path) -> Row:
    import torch

    torch.set_num_threads(len(os.sched_getaffinity(0)))
    theirs = open_hugging_face(folder, trust_remote_code=True, device="cpu")
    ours = open_native(folder)
    config = ours.network.config
    ids = np.random.default_rng(0).integers(0, config.q, (BATCH, LENGTH))
    ids = np.where(ids == theirs.pad_id, ours.mask_id, ids)
    forward = ours.logits_for(ids[:, :0])
    with torch.inference_mode():
        wanted = theirs.logits(ids).numpy()
        spent = seconds(lambda: theirs.logits(ids), runs=21)[0]
    difference = np.abs(np.asarray(forward(ids)) - wanted).max() / np.abs(wanted).max()
    if not difference < 1e-4:
        raise SystemExit(f"bench: error: the logits of {folder} differ by {difference:.1e}")
    jax.clear_caches()
    own, compiling = seconds(lambda: forward(ids), runs=21)
    what = f"forward {folder.name}, {config.parameters:.3g} parameters, {BATCH} x {LENGTH} tokens"
    note = f"logits differ by {difference:.0e}"
    return Row(what, own, compiling, f"torch {torch.__version__}", spent, GOAL, note)


def run() -> list[Row]:
    folders = [Path(one) for one in os.environ.get("MDMJAX_CHECKPOINTS", "").split(":") if one]
    if any(importlib.util.find_spec(name) is None for name in ("torch", "transformers")):
        return []
    return [compared(folder) for folder in folders]
