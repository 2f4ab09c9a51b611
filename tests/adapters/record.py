"""Run the real samplers with the adapters, and store the counts that they revealed; needs torch.

    PYTHONPATH=.:tests python tests/adapters/record.py llada PATH COMMIT

with PATH a checkout of ML-GSAI/LLaDA at COMMIT (see `SAMPLERS` for the others) writes
`tests/adapters/fixtures/llada.json`. The model is a stand-in that gives random logits, none to the mask.
"""

import json
import pathlib
import sys

import numpy as np
import torch
from _real_block_samplers import (
    bernoulli,
    block_refinement,
    flow_matching,
    hackable_diffusion,
    maskgit,
    sdar,
)
from _real_samplers import dllm, dream, fast_dllm, llada

from mdmjax.adapters.source import plan_literal

HERE = pathlib.Path(__file__).parent / "fixtures"

SAMPLERS = {
    "llada": (llada, "ML-GSAI/LLaDA"),
    "fast_dllm": (fast_dllm, "NVlabs/Fast-dLLM"),
    "dllm": (dllm, "ZHZisZZ/dllm"),
    "dream": (dream, "ZHZisZZ/dllm"),
    "sdar": (sdar, "JetAstra/SDAR"),
    "block_refinement": (block_refinement, "huggingface/diffusers"),
    "maskgit": (maskgit, "google-research/maskgit"),
    "mdlm": (bernoulli, "kuleshov-group/mdlm"),
    "flow_matching": (flow_matching, "facebookresearch/flow_matching"),
    "hackable_diffusion": (hackable_diffusion, "google/hackable_diffusion"),
    "remdm": (bernoulli, "kuleshov-group/remdm"),
}


def record(name, path, commit):
    """100 random plans through a sampler."""
    make, repository = SAMPLERS[name]
    run, random_plan = make(path)
    rng, cases = np.random.default_rng(0), []
    torch.manual_seed(0)
    for _ in range(100):
        plan = random_plan(rng)
        call, found = run(plan, rng)
        cases.append({"plan": plan_literal(plan), "call": call, "revealed": found})
    HERE.mkdir(exist_ok=True)
    lines = ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases)
    head = json.dumps({"repository": repository, "commit": commit})[:-1]
    (HERE / f"{name}.json").write_text(f'{head}, "cases": [\n{lines}\n]}}\n')


if __name__ == "__main__":
    record(*sys.argv[1:])
