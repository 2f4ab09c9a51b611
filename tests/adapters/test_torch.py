"""Where torch is installed: what the adapters give it is what it takes."""

import types

import numpy as np
import pytest
from _adapter_cases import load

from mdmjax import Schedule
from mdmjax.schedules.plan import Plan

torch = pytest.importorskip("torch")

PLAN = Plan(Schedule([1, 3, 4]), {2: Schedule([1, 1])})


def test_counts_are_rows_of_int64_for_topk():
    module = load("llada_adapter.py", PLAN)
    module.waiting.append(module.PLAN["lengths"][0])
    found = module.get_num_transfer_tokens(torch.tensor([[True] * 8, [True] * 2 + [False] * 6]), 3)
    assert (found.dtype, found.tolist()) == (torch.int64, [[1, 3, 4, 0], [1, 1, 0, 0]])
    assert torch.topk(torch.rand(8), k=found[0, 2]).indices.shape == (4,)


@pytest.mark.parametrize("n", [10, 1000, 2**17])
@pytest.mark.parametrize("steps", [2, 9])
def test_dreams_arithmetic_cuts_its_times_to_the_counts(n, steps):
    rng = np.random.default_rng([n, steps])
    for skew in (1.0, 6.0):
        inner = np.unique(1 + ((n - 2) * rng.random(steps - 1) ** skew).astype(int))
        for edges in ([0, *inner, n], [0, *(n - inner[::-1]), n]):
            counts = np.diff(edges).tolist()
            module = load("dream_adapter.py", Plan(Schedule(counts)))
            times = module.TimesOf(torch, counts).linspace(1, 1e-3, len(counts) + 1, device="cpu")
            assert times.dtype == torch.float32
            left, found = torch.tensor(n) / 1, []
            for t, s in zip(times[:-2], times[1:-1], strict=True):
                found.append(int(left * (1 - s / t)))
                left = left - found[-1]
            assert [*found, int(left)] == counts


@pytest.mark.parametrize("predictor", ["ddpm", "ddpm_cache"])
def test_mdlms_walk_reveals_what_its_times_say(predictor):
    module, space, calls = load("mdlm_adapter.py", PLAN), types.SimpleNamespace, []

    class Model:
        device, parameterization, sampler, time_conditioning = "cpu", "subs", predictor, False
        config = space(
            sampling=space(steps=3),
            model=space(length=8),
            noise=space(type="loglinear"),
            loader=space(eval_batch_size=4000),
        )

        def _sample(self, num_steps=None, eps=1e-5):
            raise AssertionError("the model's own loop")

        def _sample_prior(self, *shape):
            return torch.full(shape, 7)

        def _ddpm_update(self, x, t, dt):
            assert not torch.is_grad_enabled()
            assert t.shape == (4000, 1)
            calls.append(x)
            shown = (torch.rand(x.shape) < dt / t) & (x == 7)
            return torch.where(shown, 1, x)

        def _ddpm_caching_update(self, x, t, dt, p_x0=None):
            return None, self._ddpm_update(x, t, dt)

    torch.manual_seed(0)
    module.install(Model)
    x = Model()._sample()
    assert (x == 1).all()
    left = torch.stack([(x == 7).sum(1) for x in [*calls, x]]).double()
    counts = left[:-1] - left[1:]
    np.testing.assert_allclose(counts.mean(1), [1, 3, 4], atol=5 * 1.5 / 4000**0.5)
    np.testing.assert_allclose(counts.std(1), module.spread(), rtol=0.06)
