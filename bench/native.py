"""LLaDA and Dream in JAX against the torch code of their folders: forward passes, and one sampler.

The folders, with their modelling code inside, are named by MDMJAX_CHECKPOINTS, with `:` between; without
torch, transformers or folders there is nothing to compare.
"""

import importlib.util
import os
from pathlib import Path

import jax
import numpy as np

from mdmjax import llada_uniform
from mdmjax.decoders.low_confidence import LowConfidence
from mdmjax.decoders.run import decode
from mdmjax.denoisers.infilling import Infilling
from mdmjax.studies.hugging_face import open_hugging_face
from mdmjax.studies.native import open_native

from ._timing import Row, seconds

BATCH, LENGTH, STEPS = 16, 64, 16
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


def sampled(folder: Path) -> Row:
    """Low confidence at temperature 1: every masked token is drawn and the surest are kept."""
    import torch

    theirs = open_hugging_face(folder, trust_remote_code=True, device="cpu")
    ours, schedule = open_native(folder), llada_uniform(LENGTH, STEPS)
    mask, vocabulary = ours.mask_id, ours.network.config.q

    def in_torch():
        ids = torch.full((BATCH, LENGTH), mask)
        for count in schedule.counts.tolist():
            logits = theirs.logits(ids.numpy())
            if ours.shift:
                logits = torch.cat([logits[:, :1], logits[:, :-1]], dim=1)
            rows = logits.float().softmax(-1)
            drawn = torch.distributions.Categorical(probs=rows).sample()
            sure = rows.gather(-1, drawn[..., None])[..., 0].where(ids == mask, -torch.inf)
            kept = sure.topk(count, dim=1).indices
            ids.scatter_(1, kept, drawn.gather(1, kept))
        return ids

    frame = np.full(LENGTH, mask), np.arange(LENGTH)
    hidden = tuple(set(ours.forbidden) - {mask})
    known = {"vocabulary": vocabulary, "mask_id": mask, "forbidden": hidden, "shift": ours.shift}
    denoiser, decoder = Infilling(ours.network.logits, *frame, **known), LowConfidence(schedule)
    keys = jax.random.split(jax.random.key(0), BATCH)
    draw = jax.jit(jax.vmap(lambda key: decode(key, denoiser, decoder).tokens))
    with torch.inference_mode():
        spent = seconds(in_torch, runs=7)[0]
    own, compiling = seconds(lambda: draw(keys), runs=7)
    what = f"sampler of {folder.name}, {BATCH} x {LENGTH} tokens in {STEPS} steps"
    return Row(what, own, compiling, f"torch {torch.__version__}", spent, GOAL, "")


def run() -> list[Row]:
    folders = [Path(one) for one in os.environ.get("MDMJAX_CHECKPOINTS", "").split(":") if one]
    if any(importlib.util.find_spec(name) is None for name in ("torch", "transformers")):
        return []
    return [row for folder in folders for row in (compared(folder), sampled(folder))]
