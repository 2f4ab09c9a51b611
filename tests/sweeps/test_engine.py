"""The rows of points: against the study that a command runs, and the same on however many devices."""

import jax
import numpy as np
import pytest

from mdmjax import (
    NAMED,
    Mixed,
    expected_kl,
    noisy_repeated_bit,
    optimal_schedule,
    permutation_curve,
    tabulate,
)
from mdmjax.studies.law import law_study, oracle_of
from mdmjax.studies.named_decoders import DECODERS
from mdmjax.studies.naming import Setting
from mdmjax.sweeps.config import parse_config
from mdmjax.sweeps.engine import TILE, rows_of

FLIPS = {"from": 0.05, "to": 0.45, "count": TILE + 1}


def law_sweep(**axes):
    return parse_config({"study": "law", "axes": axes})


@pytest.mark.parametrize("decoder", ["random", "threshold", "low-confidence"])
@pytest.mark.parametrize("mapped_from", [1, 5])
def test_rows_are_what_the_command_says(decoder, mapped_from):
    """Mapped, random order and a threshold are one program each; low confidence goes one by one."""
    source = {"name": "noisy-bit", "n": 3, "flip": [0.1, 0.3]}
    sweep = law_sweep(source=[source], decoder=[decoder], steps=[2], mix=[0.0, 0.2])
    rows = rows_of(sweep, range(sweep.size), mapped_from=mapped_from)
    for place, (flip, mix) in enumerate([(0.1, 0.0), (0.1, 0.2), (0.3, 0.0), (0.3, 0.2)]):
        truth = tabulate(noisy_repeated_bit(3, flip))
        denoiser = Mixed(oracle_of(truth), mix)
        setting = Setting(denoiser, NAMED["llada_uniform"](3, 2), 1, truth=truth)
        report = law_study(truth, DECODERS[decoder].named(setting), denoiser=denoiser)
        for name in ("forward_kl", "reverse_kl", "total_variation", "hellinger"):
            assert rows[name][place] == pytest.approx(float(report.divergences[name]), rel=1e-10, abs=1e-15)
        assert rows["expected_calls"][place] == pytest.approx(float(report.law.expected_calls))
        assert (rows["source.flip"][place], rows["mix"][place]) == (flip, mix)
    assert rows["failed"] == [None] * 4


def test_rows_do_not_depend_on_the_devices():
    sweep = law_sweep(source=[{"name": "markov", "n": 4, "flip": FLIPS}], decoder=["random"], steps=[2])
    one, two = (rows_of(sweep, range(sweep.size), jax.devices()[:count], 1) for count in (1, 2))
    assert one == two


def test_a_point_that_fails_says_why_and_the_others_go_on():
    pairs = {"name": "pairs", "n": [3, 4]}
    sweep = law_sweep(source=[pairs], decoder=["random"], steps=[4])
    rows = rows_of(sweep, [0, 1])
    assert rows["failed"][0] == "n is 3: want an even integer; pairs take two positions each"
    assert rows["failed"][1] is None
    assert rows["forward_kl"][0] is None
    assert rows["forward_kl"][1] == pytest.approx(0.0, abs=1e-12)


def test_a_point_too_large_is_refused_before_it_starts():
    sweep = law_sweep(source=[{"name": "noisy-bit", "n": 60}], decoder=["random"])
    assert "GiB" in rows_of(sweep, [0])["failed"][0]


def test_a_seed_is_that_of_the_command():
    source = {"name": "markov", "n": 3, "flip": 0.2}
    sweep = law_sweep(source=[source], decoder=["random"], dirichlet=[5.0], seed=[0, 1], steps=[2])
    first, second = rows_of(sweep, [0, 1])["forward_kl"]
    assert first != second
    assert rows_of(sweep, [1])["forward_kl"] == [second]


def test_schedules():
    axes = {"source": ["permutation"], "source.n": [9], "schedule": ["best", "geometric"], "steps": [3]}
    rows = rows_of(parse_config({"study": "schedule", "axes": axes}), [0, 1])
    curve = permutation_curve(9)
    best, other = optimal_schedule(curve, 3), NAMED["geometric"](9, 3)
    expected = [float(expected_kl(curve, schedule)) for schedule in (best, other)]
    assert rows["expected_kl"] == pytest.approx(expected)
    assert rows["entropy"] == pytest.approx([float(np.sum(np.log(np.arange(1, 10))))] * 2)
