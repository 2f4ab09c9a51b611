"""Traces as the tools themselves make them, stored for the tests that read them; needs torch.

    PYTHONPATH=.:tests:tests/adapters python tests/traces/record.py dllm PATH COMMIT
    PYTHONPATH=.:tests:tests/adapters python tests/traces/record.py dream PATH COMMIT
    python tests/traces/record.py diffusers

with PATH a checkout of ZHZisZZ/dllm at COMMIT, which has a copy of Dream's `_sample`; diffusers is the
installed package. The model is a stand-in that gives random logits, none to the mask. Each file has, beside
what the tool keeps, `seen`: for every position the last step after which its token was another one, found
here by comparing canvases one by one.
"""

import json
import pathlib
import sys
import types

import numpy as np
import torch

HERE = pathlib.Path(__file__).parent / "fixtures"
MASK, VOCABULARY = 9, 10


def logits_of(x):
    logits = torch.randn(*x.shape, VOCABULARY)
    logits[..., MASK] = -torch.inf
    return logits


def last_change(canvases):
    """For each sample and position the last step after which it was another token, -1 for none."""
    canvases = [np.asarray(canvas).tolist() for canvas in canvases]
    seen = [[-1] * len(row) for row in canvases[0]]
    for step, (before, after) in enumerate(zip(canvases, canvases[1:], strict=False)):
        for sample, row in enumerate(after):
            for position, token in enumerate(row):
                if token != before[sample][position]:
                    seen[sample][position] = step
    return seen


def dllm(path, commit):
    """`MDLMSampler.sample` with prompts of two lengths; what is behind the shorter one is padding."""
    from _real_samplers import dllm_samplers

    mdlm, _, scheduler = dllm_samplers(path)
    tokenizer = types.SimpleNamespace(mask_token_id=MASK, eos_token_id=1, bos_token_id=2)
    model = Stand()
    sampler = mdlm.MDLMSampler(model=model, tokenizer=tokenizer, scheduler=scheduler)
    config = mdlm.MDLMSamplerConfig(steps=6, block_size=8, max_new_tokens=16, return_dict=True)
    output = sampler.sample([[3, 4], [3, 4, 5]], config)
    histories = [canvas.tolist() for canvas in output.histories]
    return {
        "repository": "ZHZisZZ/dllm",
        "commit": commit,
        "call": "MDLMSampler.sample, steps 6, block_size 8, max_new_tokens 16",
        "mask": MASK,
        "seen": last_change(histories),
        "histories": histories,
    }


class Stand:
    """Random logits, whatever it is called with."""

    device = torch.device("cpu")

    def __call__(self, x, *args, **kwargs):
        return types.SimpleNamespace(logits=logits_of(x))


def dream(path, commit):
    """Dream's `_sample` with `output_history`: no canvas from before the first step."""
    from _real_samplers import load

    place = pathlib.Path(path) / "dllm/pipelines/dream/models/generation_utils.py"
    utils = load(place, "dream_generation_utils")

    class Dream(Stand, utils.DreamGenerationMixin):
        pass

    settings = utils.DreamGenerationConfig(
        steps=5, alg="entropy", mask_token_id=MASK, max_length=14, eps=1e-3, output_history=True,
        return_dict_in_generate=True, temperature=0.2,
    )  # fmt: skip
    settings.return_dict = True
    starts = []

    def keep(step, x, logits):
        starts.append(x.clone())
        return x

    prompt = torch.full((2, 3), 3)
    output = Dream()._sample(prompt, None, settings, keep, lambda step, x, logits: logits)
    history = [canvas.tolist() for canvas in output.history]
    return {
        "repository": "ZHZisZZ/dllm (its copy of Dream's generation_utils.py)",
        "commit": commit,
        "call": "_sample, steps 5, alg entropy, prompts of 3 tokens",
        "mask": MASK,
        "prompt_length": 3,
        "seen": last_change([starts[0].tolist(), *history]),
        "history": history,
    }


def diffusers():
    """`BlockRefinementScheduler` and `EntropyBoundScheduler`, each on two blocks of eight."""
    import diffusers
    from diffusers import BlockRefinementScheduler, EntropyBoundScheduler

    refinement = BlockRefinementScheduler(block_length=8)
    refinement.set_timesteps(4)
    x, seen, accepted = torch.full((2, 8), MASK), [], []
    canvases = [x.tolist()]
    for step in range(4):
        out = refinement.step(
            logits_of(x), step, x, mask_token_id=MASK, temperature=0.0, threshold=2.0,
            editing_threshold=None, return_dict=True,
        )  # fmt: skip
        x = out.prev_sample
        accepted.append(out.transfer_index.tolist())
        canvases.append(x.tolist())
    seen = last_change(canvases)
    bound = EntropyBoundScheduler(entropy_bound=2.0, num_inference_steps=6)
    x, kept = torch.full((2, 8), 0), []
    target = torch.randn(2, 8, VOCABULARY)
    for step in range(6):
        out = bound.step(target * (0.5 + 2 * step), step, x)
        x = out.prev_sample
        kept.append(out.accepted_index.tolist())
    return {
        "package": f"diffusers {diffusers.__version__}",
        "call": "BlockRefinementScheduler.step, 4 steps; EntropyBoundScheduler.step, bound 2, 6 steps",
        "seen": seen,
        "transfer_index": accepted,
        "accepted_index": kept,
    }


if __name__ == "__main__":
    name, *rest = sys.argv[1:]
    torch.manual_seed(0)
    found = {"dllm": dllm, "dream": dream, "diffusers": diffusers}[name](*rest)
    HERE.mkdir(exist_ok=True)
    (HERE / f"{name}.json").write_text(json.dumps(found, separators=(",", ":")) + "\n")
