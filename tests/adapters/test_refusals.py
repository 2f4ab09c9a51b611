"""What would change the plan is refused by a line that says what to set."""

import functools
import sys
import types

import _adapter_loops as loops
import numpy as np
import pytest
from _adapter_cases import load

from mdmjax import Schedule
from mdmjax.schedules.plan import Plan

ONE = Plan(Schedule([1, 3]), {2: Schedule([1, 1])})
BLOCKS = Plan(Schedule([1, 3, 2, 2]), {}, 4, False, (ONE, Plan(Schedule([2, 2]))))
EVERY = Plan(Schedule([1, 3]), ONE.by_masks, 4, True, (ONE,))
LENGTHS = Plan(Schedule([1, 3]), {}, lengths=(Plan(Schedule([2, 6])),))
MODELS = Plan(Schedule([1, 3]), models=(1, 0))


@pytest.fixture(autouse=True)
def _torch(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", loops.stand_in_torch())


def llada(plan=ONE, *, model=None, prompt=(0, 0), **given):
    of = loops.llada_module()
    load("llada_adapter.py", plan).install(of)
    given = {"steps": 2, "gen_length": 4, "block_length": 4} | given
    return of.generate(model, np.array([prompt]), **given)


def dllm(plan=ONE, inputs=((0, 0),), *, method="sample", length=None, **given):
    of = loops.dllm_module()
    load("dllm_adapter.py", plan).install(of.MDLMSampler, length)
    config = of.MDLMSamplerConfig(**{"steps": 2, "max_new_tokens": 4, "block_size": 4} | given)
    return getattr(of.MDLMSampler(), method)([list(row) for row in inputs], config)


def dream(plan=ONE, rows=((7, 7, 7, 7),), *, length=None, **given):
    of = loops.dream_module()
    load("dream_adapter.py", plan).install(of.Dream, length)
    x = np.array(rows).view(loops.Tensor)
    config = {"alg": "entropy", "steps": 2, "mask_token_id": 7, "max_length": x.shape[1]} | given
    return of.Dream()._sample(x, None, types.SimpleNamespace(**config), None, None)


def sdar(plan=EVERY, **given):
    of = loops.sdar_module()
    load("sdar_adapter.py", plan).install(of)
    given = {"gen_length": 8, "block_length": 4, "denoising_steps": 2} | given
    given = {"remasking_strategy": "low_confidence_static"} | given
    return of.block_diffusion_generate(None, {"input_ids": np.zeros((1, 4), np.int64)}, 7, **given)


def refinement(plan=EVERY, *, steps=2, length=4, blocks=1, rows=(4,), **given):
    scheduler = load("block_refinement_adapter.py", plan).planned(loops.Scheduler())
    scheduler.set_timesteps(steps, block_length=length)
    given = {"mask_token_id": 7, "threshold": 2.0} | given
    return [scheduler.step(None, 0, loops.masks(rows, 4), **given) for _ in range(blocks)]


def mdlm(plan=ONE, **given):
    module = load("mdlm_adapter.py", plan)
    space = types.SimpleNamespace
    given = {"steps": 2, "length": 4, "noise": "loglinear", "sampler": "ddpm", "dfm": False} | given
    config = space(
        sampling=space(steps=given["steps"], dfm=given["dfm"]),
        model=space(length=given["length"]),
        noise=space(type=given["noise"]),
    )
    model = space(config=config, parameterization=given.get("kind", "subs"), sampler=given["sampler"])
    module.check_settings(model, module.the_plan(), None)


def other_function(name):
    def install():
        of = types.ModuleType("of")
        of.get_num_transfer_tokens = lambda mask_num, steps: None
        load(name, ONE).install(of)

    return install


REFUSED = [
    (lambda: llada(steps=3), "steps is 3: set steps=2"),
    (
        lambda: llada(gen_length=8, block_length=8),
        "for 4 masks at once, not for 8 at once: set that, or export",
    ),
    (
        lambda: llada(gen_length=8),
        "not for 2 blocks of 4: set that, or export a plan with --block-length 4",
    ),
    (lambda: llada(BLOCKS), "this plan is for 2 blocks of 4, not for 4 at once"),
    (
        lambda: llada(BLOCKS, gen_length=8, block_length=2),
        "this plan is for 2 blocks of 4, not for 4 blocks of 2",
    ),
    (lambda: llada(BLOCKS, gen_length=12), "this plan is for 2 blocks of 4, not for 3 blocks of 4"),
    (lambda: llada(BLOCKS, gen_length=8), "steps is 2: set steps=4"),
    (lambda: llada(LENGTHS, gen_length=6, block_length=6), "for 4 or 8 masks at once, not for 6"),
    (lambda: llada(threshold=0.9), "threshold is 0.9: set threshold=None"),
    (lambda: llada(factor=1.0), "factor is 1.0: set factor=None"),
    (lambda: llada(prompt=(0, 7)), "the prompt has masks"),
    (lambda: llada(MODELS, model=lambda x: x), "for 2 models, which take the steps .1, 0.: give Models"),
    (other_function("llada_adapter.py"), "for <lambda>.mask_index, steps., not .mask_num, steps."),
    (lambda: load("llada_adapter.py", ONE).get_num_transfer_tokens(None, 2), "no plan is open"),
    (lambda: load("llada_adapter.py", MODELS).Models(abs), "this plan is for 2 models: give as many"),
    (lambda: dllm(steps=3), "steps is 3: set steps=2"),
    (lambda: dllm(max_new_tokens=8, block_size=8), "for 4 masks at once, not for 8 at once"),
    (lambda: dllm(block_size=2), "not for 2 blocks of 2"),
    (lambda: dllm(stochastic_transfer=True), "stochastic_transfer is True: set stochastic_transfer=False"),
    (lambda: dllm(inputs=[(0, 7)]), "a prompt has masks"),
    (lambda: dllm(inputs=[(7, 7, 7, 0)], method="infill"), "4 masks, not for a row of 3: .* --infill 3"),
    (
        lambda: dllm(inputs=[(7, 7, 7, 0)], method="infill", block_size=2),
        "set block_size=None to infill at once",
    ),
    (lambda: dllm(LENGTHS, [(7, 7, 7, 7)], method="infill"), "4 or 8 masks at once: give length"),
    (lambda: dream(steps=3), "steps is 3: set steps=2"),
    (lambda: dream(alg="origin"), 'alg is "origin", which draws random counts: set "maskgit_plus"'),
    (lambda: dream(rows=[(7, 7, 7, 0)]), "not for a row of 3"),
    (lambda: dream(rows=[(7, 7, 7, 7), (7, 7, 0, 0)]), r"rows have \[2, 4\] masks"),
    (lambda: dream(MODELS), "this plan is for 2 models"),
    (lambda: dream(BLOCKS), "this plan is for 2 blocks of 4: give length, or export a plan for one length"),
    (lambda: sdar(denoising_steps=3), "denoising_steps is 3: set denoising_steps=2"),
    (lambda: sdar(block_length=2), "any number of blocks of 4, not for 4 blocks of 2"),
    (lambda: sdar(BLOCKS, gen_length=12), "this plan is for 2 blocks of 4, not for 3 blocks of 4"),
    (lambda: sdar(ONE), "not for 2 blocks of 4"),
    (
        lambda: sdar(remasking_strategy="low_confidence_dynamic"),
        "which ignores counts: set low_confidence_static",
    ),
    (lambda: refinement(steps=3), "num_inference_steps is 3: set num_inference_steps=2"),
    (lambda: refinement(length=8), "not for 8 at once"),
    (lambda: refinement(threshold=0.9), "threshold is 0.9: set threshold=2.0"),
    (lambda: refinement(threshold=None), "threshold is 0.95: set threshold=2.0"),
    (lambda: refinement(editing_threshold=0.5), "editing_threshold is 0.5: set editing_threshold=None"),
    (lambda: refinement(mask_token_id=None), "mask_token_id is None"),
    (lambda: refinement(BLOCKS, blocks=3), "this plan is for 2 blocks: set gen_length to no more"),
    (lambda: refinement(ONE, blocks=2), "this plan is for 1 blocks"),
    (lambda: refinement(rows=(4, 2)), r"rows have \[2, 4\] masks in a block"),
    (lambda: refinement(rows=(3,)), "not for a row of 3"),
    (lambda: mdlm(steps=3), "sampling.steps is 3: set sampling.steps=2"),
    (lambda: mdlm(length=8), "model.length is 8: set model.length=4"),
    (lambda: mdlm(noise="cosine"), "noise.type is cosine: set noise.type=loglinear"),
    (lambda: mdlm(kind="sedd"), "parameterization is sedd: set parameterization=subs"),
    (lambda: mdlm(sampler="analytic"), "is analytic: set ddpm_cache or ddpm"),
    (lambda: mdlm(dfm=True), "this sampler has times of its own"),
    (
        lambda: load("maskgit_adapter.py", BLOCKS).level_steps(2),
        r"this plan is for 2 levels, set level to 0\.\.1",
    ),
    (lambda: load("time_grid_adapter.py", LENGTHS).increasing_times(), "4 or 8 masks at once: give length"),
    (lambda: load("time_grid_adapter.py", LENGTHS).increasing_times(6), "not for 6 at once"),
]


@pytest.mark.parametrize(("call", "said"), REFUSED, ids=[said for _, said in REFUSED])
def test_it_is_one_line_that_says_what_to_set(call, said):
    with pytest.raises(ValueError, match=said) as refusal:
        call()
    assert "\n" not in str(refusal.value)


def test_what_fits_runs():
    assert llada()[1] == [[1], [3]]
    assert llada(BLOCKS, gen_length=8, steps=4)[1] == [[1], [3], [2], [2]]
    assert llada(EVERY, gen_length=12, steps=6)[1] == [[1], [3]] * 3
    assert llada(LENGTHS, gen_length=8, block_length=8)[1] == [[2], [6]]
    assert dllm()[1] == [[1], [3]]
    assert dllm(EVERY, max_new_tokens=6, steps=4)[1] == [[1], [3], [1], [1]]  # the last block has two masks
    assert dllm(LENGTHS, [(7,) * 8], method="infill", length=8, block_size=None)[1] == [[2], [6]]
    assert dream()[1] == [[1], [3]]
    assert dream(rows=[(7, 7, 0)])[1] == [[1], [1]]
    assert sdar()[1] == [[1], [3], [1], [3]]
    assert sdar(BLOCKS)[1] == [[1], [3], [2], [2]]
    mdlm()


def test_nothing_is_left_open_after_an_error():
    of, module = loops.llada_module(), load("llada_adapter.py", BLOCKS)
    module.install(of)
    module.install(of)  # twice is once
    given = {"steps": 4, "gen_length": 8, "block_length": 4}
    with pytest.raises(TypeError):
        of.generate(3, np.array([[0]]), **given)
    assert module.waiting == []
    assert of.generate(None, np.array([[0]]), **given)[1] == [[1], [3], [2], [2]]


def test_what_decorates_a_sampler_stays():
    """As torch.no_grad, whose function `inspect.unwrap` would pass by."""
    of, module, entered = loops.llada_module(), load("llada_adapter.py", ONE), []
    inner = of.generate

    @functools.wraps(inner)
    def decorated(*args, **kwargs):
        entered.append(1)
        return inner(*args, **kwargs)

    of.generate = decorated
    for _ in range(2):
        module.install(of)
        of.generate(None, np.array([[0]]), steps=2, gen_length=4, block_length=4)
    assert entered == [1, 1]


def test_each_step_is_taken_by_its_model():
    calls, of = [], loops.llada_module()
    module = load("llada_adapter.py", MODELS)
    module.install(of)
    models = module.Models(lambda x: calls.append("large"), lambda x: calls.append("small"))
    for _ in range(2):
        of.generate(models, np.array([[0]]), steps=2, gen_length=4, block_length=4)
    assert calls == ["small", "large"] * 2
