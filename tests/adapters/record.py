"""Run the real samplers with the adapters, and store the counts that they revealed; needs torch.

    PYTHONPATH=.:tests python tests/adapters/record.py llada PATH COMMIT

with PATH a checkout of ML-GSAI/LLaDA at COMMIT (see `SAMPLERS` for the others) writes
`tests/adapters/fixtures/llada.json`. The model is a stand-in that gives random logits, none to the mask.
"""

import importlib
import importlib.util
import json
import pathlib
import sys
import types

import _adapter_cases as cases_of
import numpy as np
import torch

from mdmjax.adapters.source import plan_literal

HERE = pathlib.Path(__file__).parent / "fixtures"
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


def sdar(path):
    generate = load(pathlib.Path(path) / "generate.py", "sdar_generate")

    def run(plan, rng):
        module, model = cases_of.load("sdar_adapter.py", plan), Model()
        module.install(generate)
        length, number = plan.block_length, len(plan.blocks)
        prompt = int(rng.integers(0, 2 * length))
        call = {"block_length": length, "gen_length": (number * length) - prompt % length}
        call |= {"denoising_steps": max(block.schedule.steps for block in plan.blocks)}
        call |= {"remasking_strategy": ("low_confidence_static", "sequential")[rng.integers(2)]}
        inputs = {"input_ids": torch.zeros(1, prompt, dtype=torch.int64)}
        x = generate.block_diffusion_generate(model, inputs, MASK, **call)
        assert not (x == MASK).any()
        assert (x[:, :prompt] == 0).all()
        left = [int((x == MASK).sum()) for x in model.calls[bool(prompt // length) :]]
        found = [a - b for a, b in zip(left, left[1:], strict=False) if a > b]
        return {**call, "prompt": prompt}, [found]

    return run, cases_of.random_blocks


def block_refinement(path):
    """PATH is a folder that `diffusers` can be imported from."""
    sys.path.insert(0, str(path))
    from diffusers import BlockRefinementScheduler, LLaDA2Pipeline

    class Quiet(LLaDA2Pipeline):
        _execution_device = torch.device("cpu")

    def run(plan, rng):
        module, model = cases_of.load("block_refinement_adapter.py", plan), Model()
        scheduler = module.planned(BlockRefinementScheduler())
        pipe = Quiet(model=model, scheduler=scheduler, tokenizer=None)
        pipe.set_progress_bar_config(disable=True)
        length, number = plan.block_length, len(plan.blocks)
        rows, prompt = int(rng.integers(1, 4)), int(rng.integers(0, 2 * length))
        found = []
        keep = lambda pipe, step, at, given: (found.append(given["transfer_index"].sum(1).tolist()), {})[1]
        call = {"block_length": length, "gen_length": number * length - prompt % length}
        call |= {"num_inference_steps": max(block.schedule.steps for block in plan.blocks)}
        inputs = torch.zeros(rows, prompt, dtype=torch.int64)
        x = pipe(
            input_ids=inputs,
            **call,
            threshold=2.0,
            editing_threshold=None,
            mask_token_id=MASK,
            output_type="seq",
            eos_early_stop=False,
            callback_on_step_end=keep,
            callback_on_step_end_tensor_inputs=["transfer_index"],
        ).sequences
        assert not (x == MASK).any()
        found = np.array(found).T.tolist()
        return {**call, "prompt": prompt, "rows": rows}, [[c for c in row if c] for row in found]

    return run, cases_of.random_blocks


def diffusion_class(path):
    """The `Diffusion` of MDLM or of ReMDM, of which training is left out."""
    lightning = types.ModuleType("lightning")
    lightning.LightningModule = torch.nn.Module
    metrics = types.ModuleType("torchmetrics")
    metrics.aggregation = types.SimpleNamespace(MeanMetric=torch.nn.Module)
    names = ("hydra", "hydra.utils", "dataloader", "models", "utils", "noise_schedule")
    sys.modules.update({name: types.ModuleType(name) for name in names})
    sys.modules.update(lightning=lightning, torchmetrics=metrics)
    sys.modules["hydra"].utils = sys.modules["hydra.utils"]
    sys.modules.pop("noise_schedule")
    noise = load(pathlib.Path(path) / "noise_schedule.py", "noise_schedule")
    return load(pathlib.Path(path) / "diffusion.py", "diffusion").Diffusion, noise.LogLinearNoise


def bernoulli(path):
    """MDLM or ReMDM: counts of 400 rows, of which the mean and the spread are to be those of the plan."""
    diffusion, noise = diffusion_class(path)

    class Tiny(diffusion):
        device = torch.device("cpu")

        def __init__(self, config):
            torch.nn.Module.__init__(self)
            self.config, self.sampler, self.noise = config, config.sampling.predictor, noise()
            self.parameterization, self.mask_index, self.neg_infinity = "subs", MASK, -1e6
            self.time_conditioning, self.calls = False, []

        def backbone(self, x, sigma):
            return torch.randn(*x.shape, VOCABULARY)

        def _kept(self, x):
            self.calls.append(x.clone())

        def _ddpm_update(self, x, t, dt):
            self._kept(x)
            return super()._ddpm_update(x, t, dt)

        def _ddpm_caching_update(self, x, t, dt, **given):
            self._kept(x)
            return super()._ddpm_caching_update(x, t, dt, **given)

    with_conf = "conf" in diffusion._ddpm_caching_update.__code__.co_varnames
    if with_conf:  # for `install`, which looks for what the updates take
        update = Tiny._ddpm_caching_update
        Tiny._ddpm_caching_update = lambda self, x, t, dt, p_x0=None, conf=None: update(
            self, x, t, dt, p_x0=p_x0, conf=conf
        )

    def run(plan, rng):
        module = cases_of.load("mdlm_adapter.py", plan)
        module.install(Tiny)
        space = types.SimpleNamespace
        predictor = ("ddpm", "ddpm_cache")[rng.integers(2)]
        sampling = {"steps": plan.schedule.steps, "predictor": predictor, "nucleus_p": 1.0, "dfm": False}
        config = space(
            loader=space(eval_batch_size=400),
            model=space(length=plan.schedule.n),
            noise=space(type="loglinear"),
            sampling=space(**sampling, sampler="mdlm", eta=0.0),
        )
        model = Tiny(config)
        x = model._sample()
        assert not (x == MASK).any()
        found = np.array(revealed(model.calls, x))
        call = {"predictor": predictor, "rows": 400}
        return call, {"mean": found.mean(0).tolist(), "sd": found.std(0, ddof=1).round(4).tolist()}

    return run, cases_of.random_plan


def maskgit(path):
    """The loop runs in Python (`jax.disable_jit`), so that the model sees the masks of each step."""
    import dataclasses

    import jax
    import jax.numpy as jnp

    flax = types.ModuleType("flax")  # no more than what it needs of it
    flax.struct = types.SimpleNamespace(
        dataclass=lambda kind: jax.tree_util.register_dataclass(dataclasses.dataclass(kind))
    )
    sys.modules["flax"] = flax
    jnp.DeviceArray = jax.Array  # its name then
    sys.path.insert(0, str(path))
    decode = importlib.import_module("maskgit.libml.parallel_decode")

    def run(plan, rng):
        module, seen = cases_of.load("maskgit_adapter.py", plan), []
        module.install(decode)
        n, rows = plan.schedule.n, 2
        inputs = np.concatenate([np.zeros((rows, 2), int), np.full((rows, n), MASK)], axis=1)

        def logits(x):
            seen.append(np.asarray(x))
            found = rng.normal(size=(*x.shape, VOCABULARY))
            found[..., MASK] = -np.inf
            return jnp.asarray(found)

        with jax.disable_jit():
            call = {"num_iter": plan.schedule.steps}
            last = decode.decode(jnp.asarray(inputs), jax.random.key(0), logits, MASK, **call)[:, -1]
        left = np.array([(x == MASK).sum(1) for x in [*seen, np.asarray(last)]])
        return {**call, "rows": rows}, (left[:-1] - left[1:]).T.tolist()

    def plan_of_few_shapes(rng):  # each is compiled, op by op
        return cases_of.Plan(cases_of.cut(rng, *((16, 4), (40, 7))[rng.integers(2)]))

    return run, plan_of_few_shapes


SAMPLERS = {
    "llada": (llada, "ML-GSAI/LLaDA"),
    "fast_dllm": (fast_dllm, "NVlabs/Fast-dLLM"),
    "dllm": (dllm, "ZHZisZZ/dllm"),
    "dream": (dream, "ZHZisZZ/dllm"),
    "sdar": (sdar, "JetAstra/SDAR"),
    "block_refinement": (block_refinement, "huggingface/diffusers"),
    "maskgit": (maskgit, "google-research/maskgit"),
    "mdlm": (bernoulli, "kuleshov-group/mdlm"),
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
