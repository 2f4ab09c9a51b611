"""The samplers' loops on NumPy arrays, as far as counts go: what tests have where torch is not installed.

Written from what the samplers ask of `get_num_transfer_tokens`, of times and of a scheduler; that the real
ones reveal the same counts is recorded in `fixtures` (see `record.py`).
"""

import sys
import types

import numpy as np

MASK = 7


class Tensor(np.ndarray):
    """An array with what the adapters use of a tensor."""

    device = "cpu"

    def sum(self, dim=None, axis=None, **others):
        return np.asarray(self).sum(axis=axis if dim is None else dim, **others).view(Tensor)


def tensor(values, dtype=None, device=None):
    return np.asarray(values, dtype if dtype is not None else np.float32).view(Tensor)


def stand_in_torch():
    torch = types.ModuleType("torch")
    torch.int64 = torch.long = np.int64
    torch.tensor = tensor
    torch.linspace = lambda start, end, steps, device=None: tensor(np.linspace(start, end, steps))
    return torch


def masks(rows, length):
    """A batch with so many masks in each row."""
    return tensor([[MASK] * m + [0] * (length - m) for m in rows], np.int64)


def reveal(x, counts, start=0, end=None):
    """Write so many of the first masks of each row; how many there were."""
    done = []
    for row, count in zip(x, counts, strict=True):
        at = np.flatnonzero(row[start:end] == MASK)[:count] + start
        row[at] = 1
        done.append(len(at))
    return done


def module_of(name, **members):
    module = types.ModuleType(name)
    module.__dict__.update(members)
    sys.modules[name] = module
    return module


def llada_module():
    """LLaDA's `generate`: equal steps a block, whatever is left."""

    def get_num_transfer_tokens(mask_index, steps):
        raise AssertionError("the sampler's own counts")

    def generate(
        model, prompt, steps=128, gen_length=128, block_length=128, temperature=0.0,
        remasking="low_confidence", mask_id=MASK, threshold=None, factor=None,
    ):  # fmt: skip
        rows, start = prompt.shape
        x = np.concatenate([prompt, np.full((rows, gen_length), MASK)], axis=1).view(Tensor)
        number, found = gen_length // block_length, []
        for b in range(number):
            block = slice(start + b * block_length, start + (b + 1) * block_length)
            counts = module.get_num_transfer_tokens(x[:, block] == mask_id, steps // number)
            for i in range(steps // number):
                if model is not None:
                    model(x)
                found.append(reveal(x, counts[:, i]))
        return x, found

    module = module_of("stand_in_llada", generate=generate, get_num_transfer_tokens=get_num_transfer_tokens)
    return module


def dllm_module():
    """dLLM's samplers: windows of each block, an early end, rows of any number of masks."""

    class MDLMSamplerConfig:
        def __init__(self, **settings):
            given = {"max_new_tokens": 128, "max_length": None, "block_size": 128, "steps": 128}
            self.__dict__.update(given | {"stochastic_transfer": False} | settings)

    class MDLMSampler:
        tokenizer, model = types.SimpleNamespace(mask_token_id=MASK), None

        def sample(self, inputs, config=None, **kwargs):
            length = kwargs.get("max_new_tokens", config.max_new_tokens)
            x = tensor([[0] * 9 + [MASK] * length for _ in inputs], np.int64)
            return self.run(x, 9, length, kwargs.get("block_size", config.block_size) or length, config)

        def infill(self, inputs, config, **kwargs):
            x = tensor(inputs, np.int64)
            return self.run(x, 0, x.shape[1], config.block_size or x.shape[1], config)

        def run(self, x, start, length, block, config):
            number, found = -(-length // block), []
            for b in range(number):
                window = slice(start + b * block, min(start + (b + 1) * block, x.shape[1]))
                counts = module.get_num_transfer_tokens(
                    mask_index=x[:, window] == MASK, steps=-(-config.steps // number), scheduler=None,
                    stochastic=config.stochastic_transfer,
                )  # fmt: skip
                found += [
                    reveal(x, counts[:, i], window.start, window.stop) for i in range(counts.shape[1])
                ]
            return x, found

    def get_num_transfer_tokens(mask_index, steps, scheduler, stochastic=False):
        raise AssertionError("the sampler's own counts")

    MDLMSampler.__module__ = "stand_in_dllm"
    members = {"MDLMSampler": MDLMSampler, "MDLMSamplerConfig": MDLMSamplerConfig}
    module = module_of("stand_in_dllm", **members, get_num_transfer_tokens=get_num_transfer_tokens)
    return module


def dream_module():
    """Dream's `_sample`: counts from the ratio of two times, in float32, cut to integers."""

    class Dream:
        def _sample(
            self, input_ids, attention_mask, generation_config, generation_tokens_hook_func,
            generation_logits_hook_func,
        ):  # fmt: skip
            config, found = generation_config, []
            behind = np.full((len(input_ids), config.max_length - input_ids.shape[1]), MASK)
            x = np.concatenate([input_ids, behind], axis=1).view(Tensor)
            times = module.torch.linspace(1, 1e-3, config.steps + 1, device="cpu")
            for i in range(config.steps):
                left = np.float32((x == MASK).sum() / len(x))
                share = np.float32(1) - times[i + 1] / times[i]
                count = int(left * share) if i < config.steps - 1 else int(left)
                found.append(reveal(x, [count] * len(x)))
            return x, found

    Dream.__module__ = Dream._sample.__module__ = "stand_in_dream"
    module = module_of("stand_in_dream", Dream=Dream, torch=stand_in_torch())
    return module


def sdar_module():
    """SDAR's generator: one vector of counts for all blocks, looked up by step."""

    def get_num_transfer_tokens(block_length, steps):
        raise AssertionError("the sampler's own counts")

    def block_diffusion_generate(
        model, prompt, mask_id, gen_length=128, block_length=8, denoising_steps=8,
        remasking_strategy="low_confidence_dynamic",
    ):  # fmt: skip
        start = prompt["input_ids"].shape[1]
        total = -(-(start + gen_length) // block_length) * block_length
        x = np.concatenate([prompt["input_ids"], np.full((1, total - start), mask_id)], axis=1)
        counts, found = module.get_num_transfer_tokens(block_length, denoising_steps), []
        for first in range(start // block_length * block_length, total, block_length):
            for step in range(denoising_steps + 1):
                if not (x[:, first : first + block_length] == mask_id).any():
                    break
                found.append(reveal(x, [counts[step]], first, first + block_length))
        return x, found

    module = module_of(
        "stand_in_sdar",
        block_diffusion_generate=block_diffusion_generate,
        get_num_transfer_tokens=get_num_transfer_tokens,
    )
    return module


class Scheduler:
    """The scheduler of diffusers: counts by step, fewer where fewer are left."""

    def __init__(self, **config):
        self.config = types.SimpleNamespace(
            **{"block_length": 32, "threshold": 0.95, "editing_threshold": None, "minimal_topk": 1} | config
        )

    @classmethod
    def from_config(cls, config):
        return cls(**vars(config))

    def set_timesteps(self, num_inference_steps, device=None, block_length=None):
        self.num_inference_steps = num_inference_steps
        self._transfer_schedule = self.get_num_transfer_tokens(block_length, num_inference_steps)

    def get_num_transfer_tokens(self, block_length, num_inference_steps):
        raise AssertionError("the scheduler's own counts")

    def step(self, model_output, timestep, sample, *, mask_token_id=None, threshold=None, **options):
        count = int(self._transfer_schedule[min(timestep, len(self._transfer_schedule) - 1)])
        return reveal(sample, [count] * len(sample))
