"""The counts that the real samplers revealed with the adapters, and those of the same loops in NumPy."""

import json
import pathlib
import sys

import _adapter_loops as loops
import numpy as np
import pytest
from _adapter_cases import load, plan_of, planned, without_zeros

FIXTURES = pathlib.Path(__file__).parent / "fixtures"


def run_llada(module, call):
    generate = loops.llada_module()
    module.install(generate)
    given = {key: call[key] for key in ("steps", "gen_length", "block_length")}
    return generate.generate(None, loops.masks([0] * call["rows"], 3), **given)


def run_dllm(module, call):
    of = loops.dllm_module()
    module.install(of.MDLMSampler)
    config = of.MDLMSamplerConfig(steps=call["steps"], block_size=call.get("block_size"))
    if call["infill"]:
        return of.MDLMSampler().infill(loops.masks(call["masks"], max(call["masks"]) + 3).tolist(), config)
    config.max_new_tokens = call["masks"][0]
    return of.MDLMSampler().sample([[0] * 4 for _ in call["masks"]], config)


def run_dream(module, call):
    of = loops.dream_module()
    module.install(of.Dream)
    config = type("Config", (), {"alg": call["alg"], "steps": call["steps"], "mask_token_id": loops.MASK})
    x = loops.masks([call["masks"] // 2] * call["rows"], call["masks"] // 2 + 2)
    config.max_length = x.shape[1] + call["masks"] - call["masks"] // 2
    return of.Dream()._sample(x, None, config, None, None)


def run_sdar(module, call):
    of = loops.sdar_module()
    module.install(of)
    given = {
        key: call[key] for key in ("gen_length", "block_length", "denoising_steps", "remasking_strategy")
    }
    prompt = {"input_ids": np.zeros((1, call["prompt"]), np.int64)}
    return of.block_diffusion_generate(None, prompt, loops.MASK, **given)


def run_block_refinement(module, call):
    scheduler, length = module.planned(loops.Scheduler()), call["block_length"]
    scheduler.set_timesteps(call["num_inference_steps"], block_length=length)
    number, found = -(-(call["prompt"] + call["gen_length"]) // length) - call["prompt"] // length, []
    for b in range(number):
        x = loops.masks([length - (call["prompt"] % length if b == 0 else 0)] * call["rows"], length)
        for step in range(call["num_inference_steps"]):
            options = {"mask_token_id": loops.MASK, "threshold": 2.0}
            found.append(scheduler.step(None, step, x, **options))
    return None, found


RUNS = {
    "llada": ("llada_adapter.py", run_llada),
    "fast_dllm": ("llada_adapter.py", run_llada),
    "dllm": ("dllm_adapter.py", run_dllm),
    "dream": ("dream_adapter.py", run_dream),
    "sdar": ("sdar_adapter.py", run_sdar),
    "block_refinement": ("block_refinement_adapter.py", run_block_refinement),
}


@pytest.fixture
def stand_in_torch(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", loops.stand_in_torch())


@pytest.mark.usefixtures("stand_in_torch")
@pytest.mark.parametrize("name", RUNS)
def test_real_samplers_and_their_loops_reveal_the_plan(name):
    recorded = json.loads((FIXTURES / f"{name}.json").read_text())
    adapter, run = RUNS[name]
    assert len(recorded["cases"]) == 100
    assert recorded["commit"]
    for case in recorded["cases"]:
        plan = plan_of(case["plan"])
        wanted = planned(plan, case["call"])
        assert without_zeros(case["revealed"]) == wanted
        _, found = run(load(adapter, plan), case["call"])
        assert without_zeros(np.array(found).T.tolist()) == wanted
