"""The real samplers of text, run with an adapter on a model that gives random logits; needs torch."""

import importlib
import importlib.util
import pathlib
import sys
import types

import _adapter_cases as cases_of
import numpy as np
import torch

MASK, VOCABULARY = 7, 11


class Model(torch.nn.Module):
    """Random logits for any call; keeps what it was called with."""

    device = torch.device("cpu")

    def __init__(self):
        super().__init__()
        self.calls = []

    def forward(self, x, *args, **kwargs):
        self.calls.append(x.clone())
        logits = torch.randn(*x.shape, VOCABULARY)
        logits[..., MASK] = -torch.inf
        cache = [(torch.zeros(1, 1, x.shape[1], 1),) * 2]
        return types.SimpleNamespace(logits=logits, past_key_values=cache)


def load(path, name, **stand_ins):
    """The module of a file; `stand_ins` are modules that it imports and does not need."""
    for key, module in stand_ins.items():
        sys.modules[key.replace("__", ".")] = module
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def revealed(calls, last):
    """Masks that each call had more than the next one, for every row."""
    left = [(x == MASK).sum(1).tolist() for x in [*calls, last]]
    return (np.array(left[:-1]) - np.array(left[1:])).T.tolist()


def llada_plan(rng):
    """One block or several."""
    return cases_of.random_plan(rng) if rng.random() < 0.5 else cases_of.random_blocks(rng)


def llada_call(plan, rng):
    """How LLaDA's generators are called for a plan."""
    blocks = [block.schedule for block in plan.blocks] or [plan.schedule]
    steps = len(blocks) * max(block.steps for block in blocks)
    length = plan.block_length or plan.schedule.n
    call = {"steps": steps, "gen_length": plan.schedule.n, "block_length": length}
    return call | {"remasking": ("low_confidence", "random")[rng.integers(2)]}


def llada(path):
    generate = load(pathlib.Path(path) / "generate.py", "generate")

    def run(plan, rng):
        module, model = cases_of.load("llada_adapter.py", plan), Model()
        module.install(generate)
        call = llada_call(plan, rng) | {"temperature": float(rng.integers(2)), "mask_id": MASK}
        prompt = torch.zeros(int(rng.integers(1, 4)), int(rng.integers(1, 6)), dtype=torch.int64)
        x = generate.generate(model, prompt, **call)
        return {**call, "rows": prompt.shape[0]}, revealed(model.calls, x)

    return run, llada_plan


def fast_dllm(path):
    classes = types.SimpleNamespace(LLaDAModelLM=None)
    generate = load(
        pathlib.Path(path) / "llada" / "generate.py",
        "generate",
        model=types.ModuleType("model"),
        model__modeling_llada=classes,
    )
    real = generate.get_transfer_index

    def run(plan, rng):
        module, model, found = cases_of.load("llada_adapter.py", plan), Model(), []

        def spy(*args, **kwargs):
            x0, transfer = real(*args, **kwargs)
            found.append((transfer & args[3]).sum(1).tolist())
            return x0, transfer

        generate.get_transfer_index = spy
        module.install(generate)
        call = llada_call(plan, rng) | {"mask_id": MASK}
        name = module.GENERATORS[rng.integers(3)]
        x, _ = getattr(generate, name)(model, torch.zeros(1, 3, dtype=torch.int64), **call)
        assert not (x == MASK).any()
        return {**call, "rows": 1, "generator": name}, np.array(found).T.tolist()

    return run, llada_plan


def dllm_samplers(path):
    sys.path.insert(0, str(path))
    packages = (
        "dllm",
        "dllm.core",
        "dllm.core.samplers",
        "dllm.core.schedulers",
        "dllm.pipelines",
        "dllm.pipelines.dream",
        "dllm.pipelines.dream.models",
    )
    for name in packages:  # without the imports of their __init__ files
        package = types.ModuleType(name)
        package.__path__ = [str(pathlib.Path(path, *name.split(".")))]
        sys.modules[name] = package
    alpha = importlib.import_module("dllm.core.schedulers.alpha")
    for name in ("BaseAlphaScheduler", "LinearAlphaScheduler"):
        setattr(sys.modules["dllm.core.schedulers"], name, getattr(alpha, name))
    mdlm = importlib.import_module("dllm.core.samplers.mdlm")
    dream = importlib.import_module("dllm.pipelines.dream.sampler")
    return mdlm, dream, alpha.LinearAlphaScheduler()


def dllm(path):
    mdlm, dream, scheduler = dllm_samplers(path)
    tokenizer = types.SimpleNamespace(mask_token_id=MASK, eos_token_id=1, bos_token_id=2)

    def run(plan, rng):
        module = cases_of.load("dllm_adapter.py", plan)
        which = "MDLMSampler" if plan.blocks else ("MDLMSampler", "DreamSampler")[rng.integers(2)]
        of = mdlm if which == "MDLMSampler" else dream
        module.install(getattr(of, which))
        model = Model()
        sampler = getattr(of, which)(model=model, tokenizer=tokenizer, scheduler=scheduler)
        blocks = [block.schedule for block in plan.blocks] or [plan.schedule]
        steps, n = len(blocks) * max(block.steps for block in blocks), plan.schedule.n
        settings = {"steps": steps, "return_dict": True}
        if which == "MDLMSampler":
            settings |= {
                "block_size": plan.block_length or n,
                "remasking": ("low_confidence", "random")[rng.integers(2)],
            }
        else:
            settings |= {"alg": ("maskgit_plus", "entropy", "topk_margin")[rng.integers(3)], "top_k": None}
        infilled = not plan.blocks and rng.random() < 0.6
        if infilled:
            masks = [n, *map(int, rng.choice([0, *plan.by_masks], 2))]
            inputs = []
            for number in masks:
                row = np.full(n + 3, 3)
                row[rng.permutation(n + 3)[:number]] = MASK
                inputs.append(row.tolist())
            settings |= {"block_size": None} if which == "MDLMSampler" else {}
            output = sampler.infill(inputs, getattr(of, which + "Config")(**settings))
        else:
            masks = [n] * int(rng.integers(1, 3))
            inputs = [[3] * int(rng.integers(1, 5)) for _ in masks]
            output = sampler.sample(inputs, getattr(of, which + "Config")(**settings, max_new_tokens=n))
        call = {"sampler": which, "infill": infilled, "masks": masks, **settings}
        return call, revealed(output.histories[:-1], output.histories[-1])

    return run, llada_plan


def dream(path):
    """Dream's own `_sample`, of which dLLM has a copy; the class that it is a mixin of is a stand-in."""
    utils = load(
        pathlib.Path(path) / "dllm/pipelines/dream/models/generation_utils.py", "dream_generation_utils"
    )

    class Dream(utils.DreamGenerationMixin):
        device = torch.device("cpu")

        def __call__(self, x, *args):
            logits = torch.randn(*x.shape, VOCABULARY)
            logits[..., MASK] = -torch.inf
            return types.SimpleNamespace(logits=logits)

    def run(plan, rng):
        module = cases_of.load("dream_adapter.py", plan)
        module.install(Dream)
        n, rows = plan.schedule.n, int(rng.integers(1, 4))
        masks = int(rng.choice([n, *plan.by_masks]))
        counts = plan.by_masks.get(masks, plan.schedule)
        config = {"steps": counts.steps, "alg": ("maskgit_plus", "entropy", "topk_margin")[rng.integers(3)]}
        inside = int(rng.integers(0, masks + 1))  # masks that are in the prompt, the rest behind it
        prompt = torch.full((rows, 2 + inside), 3)
        for row in prompt:
            row[torch.from_numpy(rng.permutation(2 + inside)[:inside])] = MASK
        settings = utils.DreamGenerationConfig(
            **config,
            mask_token_id=MASK,
            max_length=prompt.shape[1] + masks - inside,
            eps=1e-3,
            output_history=True,
            return_dict_in_generate=True,
            temperature=0.2,
        )
        seen, keep = [], lambda step, x, logits: (seen.append(x.clone()), x)[1]
        Dream()._sample(prompt, None, settings, keep, lambda step, x, logits: logits)
        return {**config, "masks": masks, "rows": rows}, revealed(seen[:-1], seen[-1])

    return run, cases_of.random_plan
