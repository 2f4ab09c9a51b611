"""The real samplers of blocks, of images, and those whose counts are random, run with an adapter."""

import importlib
import pathlib
import sys
import types

import _adapter_cases as cases_of
import numpy as np
import torch
from _real_samplers import MASK, VOCABULARY, Model, load, revealed


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


def hackable_diffusion(path):
    """PATH is a folder that `hackable_diffusion` can be imported from; the means of 400 rows."""
    sys.path.insert(0, str(path))
    import jax
    import jax.numpy as jnp
    from hackable_diffusion.lib.corruption.discrete import CategoricalProcess
    from hackable_diffusion.lib.corruption.schedules import LinearDiscreteSchedule
    from hackable_diffusion.lib.sampling.discrete_step_sampler import (
        MaskValueCorruptedMaskFn,
        UnMaskingStep,
    )
    from hackable_diffusion.lib.sampling.sampling import DiffusionSampler
    from hackable_diffusion.lib.sampling.time_scheduling import UniformTimeSchedule

    linear = CategoricalProcess.masking_process(LinearDiscreteSchedule(), MASK)
    masks = MaskValueCorruptedMaskFn(process=linear)
    step = UnMaskingStep(corruption_process=linear, corruption_mask_fn=masks)

    def uniform(xt, conditioning, time):
        return {"logits": jnp.zeros((*xt.shape[:-1], MASK))}

    def run(plan, rng):
        module = cases_of.load("time_grid_adapter.py", plan)
        times = module.TabulatedTimeSchedule(UniformTimeSchedule())
        sampler = DiffusionSampler(time_schedule=times, stepper=step, num_steps=plan.schedule.steps + 1)
        start = jnp.full((400, plan.schedule.n, 1), MASK)
        draw = jax.jit(lambda key: sampler(uniform, key, start)[1].xt)
        left = np.asarray((draw(jax.random.key(int(rng.integers(2**31)))) == MASK).sum(axis=(2, 3)))
        return {"rows": 400}, {"mean": (-np.diff(left, axis=0)).mean(axis=1).tolist()}

    return run, cases_of.random_plan


def flow_matching(path):
    """PATH is a folder that `flow_matching` can be imported from; the means of 400 rows."""
    sys.path.insert(0, str(path))
    from flow_matching.path import MixtureDiscreteProbPath
    from flow_matching.path.scheduler import PolynomialConvexScheduler
    from flow_matching.solver import MixtureDiscreteEulerSolver

    def run(plan, rng):
        module, seen = cases_of.load("time_grid_adapter.py", plan), []

        def posterior(x, t):
            seen.append(x.clone())
            logits = torch.randn(*x.shape, VOCABULARY)
            logits[..., MASK] = -torch.inf
            return logits.softmax(-1)

        linear = MixtureDiscreteProbPath(scheduler=PolynomialConvexScheduler(n=1))
        solver = MixtureDiscreteEulerSolver(posterior, linear, VOCABULARY)
        start = torch.full((400, plan.schedule.n), MASK)
        grid = torch.tensor(module.increasing_times())
        last = solver.sample(start, step_size=None, time_grid=grid)
        found = np.array(revealed(seen, last))
        return {"rows": 400}, {"mean": found.mean(0).tolist()}

    return run, cases_of.random_plan
