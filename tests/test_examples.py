"""The examples run as a user runs them; the decoder of 15 lines has the law that it is drawn from."""

import ast
import math
import os
import pathlib
import subprocess
import sys

import jax
import numpy as np
import pytest

import mdmjax as mj

ROOT = pathlib.Path(__file__).parent.parent
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
SLOW = {"train_a_small_model.py"}
LINES = {
    "a_decoder_of_your_own.py": "regret: ",
    "a_denoiser_of_your_own.py": "right to left: KL(p || law) ",
    "scan_schedules_and_noise.py": "best 3 steps: ",
    "schedule_from_a_curve.py": "best counts: ",
    "train_a_small_model.py": "best three steps by the learned curve: ",
}
"""How a line of each begins."""


@pytest.mark.parametrize(
    "path",
    [pytest.param(p, id=p.stem, marks=[pytest.mark.slow] if p.name in SLOW else []) for p in EXAMPLES],
)
def test_an_example_runs(path, tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-W", "error", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert any(line.startswith(LINES[path.name]) for line in done.stdout.splitlines())
    assert "nan" not in done.stdout
    assert not list(tmp_path.iterdir())


def test_an_example_is_short():
    assert len(EXAMPLES) == 5
    for path in EXAMPLES:
        assert len(path.read_text().splitlines()) <= 60, path.name


@pytest.fixture(scope="module")
def rule():
    """The class of the example, without what the example does with it."""
    tree, names = ast.parse((ROOT / "examples" / "a_decoder_of_your_own.py").read_text()), {}
    tree.body = [node for node in tree.body if isinstance(node, ast.Import | ast.ClassDef)]
    exec(compile(tree, "a_decoder_of_your_own.py", "exec"), names)
    return names["SureOrFirst"]


@pytest.fixture(scope="module")
def model():
    """All masked positions of a repeated bit have one row: the first of them is as sure as any."""
    return mj.Mixed(mj.Oracle(mj.tabulate(mj.noisy_repeated_bit(6, 0.1))), 0.02)


@pytest.mark.parametrize("level", [0.6, 0.85, 0.92])
def test_its_law_is_that_of_a_built_in_decoder(rule, model, level):
    mine = mj.exact_law(model, mj.Reveal(rule(level)))
    built_in = mj.exact_law(model, mj.Reveal(mj.ConfidenceThreshold(level)))
    np.testing.assert_allclose(mine.probs, built_in.probs, rtol=0, atol=1e-15)
    np.testing.assert_allclose(mine.calls, built_in.calls, rtol=0, atol=1e-15)
    np.testing.assert_allclose(mine.finalised, built_in.finalised, rtol=0, atol=1e-15)


def test_never_sure_is_left_to_right_and_always_sure_is_at_once(rule, model):
    for level, blocks in ((2.0, [[i] for i in range(6)]), (0.0, [list(range(6))])):
        mine = mj.exact_law(model, mj.Reveal(rule(level)))
        fixed = mj.exact_law(model, mj.Reveal(mj.FixedPartition(blocks)))
        np.testing.assert_allclose(mine.probs, fixed.probs, rtol=0, atol=1e-15)
        assert float(mine.expected_calls) == pytest.approx(len(blocks), abs=1e-14)


@pytest.mark.slow
def test_a_million_draws_have_its_law(rule, model):
    """Each frequency within 5 standard errors sqrt(p(1-p)/N), and all together by chi-square, also 5.

    Of 64 sequences and their calls, a true law fails with probability below 1e-4.
    """
    decoder, samples = mj.Reveal(rule(0.85)), 10**6
    law = mj.exact_law(model, decoder)
    traces = mj.decode_many(jax.random.key(3), model, decoder, samples, batch=10**4)
    drawn = np.bincount(np.asarray(traces.tokens) @ 2 ** np.arange(6)[::-1], minlength=64)
    probs = np.asarray(law.probs).reshape(-1)
    errors = (drawn - samples * probs) / np.sqrt(samples * probs * (1 - probs))
    assert np.abs(errors).max() < 5
    chi_square = np.sum((drawn - samples * probs) ** 2 / (samples * probs))
    assert abs(chi_square - 63) < 5 * math.sqrt(2 * 63)
    calls = np.asarray(traces.calls, float)
    assert calls.std() > 0
    assert abs(calls.mean() - float(law.expected_calls)) < 5 * calls.std() / math.sqrt(samples)
