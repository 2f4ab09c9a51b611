"""The rows of points: against the study that a command runs, and the same on however many devices."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mdmjax import (
    NAMED,
    BlockHMM,
    ConfidenceThreshold,
    Joint,
    Mixed,
    Reveal,
    denoiser_loss_curve,
    expected_kl,
    information_curve,
    llada_uniform,
    noisy_repeated_bit,
    optimal_schedule,
    permutation_curve,
    tabulate,
)
from mdmjax._errors import InvalidInputError
from mdmjax.distributions.joint import random_table
from mdmjax.information.closed_form import parity_checks_curve, repeated_bits_curve
from mdmjax.laws.block_decoding import block_decoding
from mdmjax.losses.exact import kl_split
from mdmjax.policies.mixture import mixture_schedules
from mdmjax.policies.orders import fixed_orders
from mdmjax.policies.regret import regret
from mdmjax.schedules.guaranteed import austin_for_steps
from mdmjax.studies.law import law_study, oracle_of
from mdmjax.studies.named_decoders import DECODERS
from mdmjax.studies.naming import Setting
from mdmjax.sweeps.config import parse_config
from mdmjax.sweeps.curve_cases import first_reaching
from mdmjax.sweeps.engine import TILE, check_points, rows_of

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
    noisy, hmm = {"name": "noisy-bit", "n": [4, 60]}, {"name": "block-hmm", "blocks": 8, "block_size": 8}
    sweep = law_sweep(source=[noisy], decoder=["random"])
    with pytest.raises(InvalidInputError, match="axes.source is noisy-bit of n = 60, .* need .*iB"):
        check_points(sweep)
    assert "GiB" in rows_of(sweep, [1])["failed"][0]
    check_points(law_sweep(source=[hmm], decoder=["mean-field", "verified"]))
    with pytest.raises(InvalidInputError, match="axes.source is block-hmm of blocks = 8"):
        check_points(law_sweep(source=[hmm], decoder=["mean-field", "entropy"]))
    check_points(law_sweep(source=[{"name": "pairs", "n": 3}], decoder=["random"]))  # fails on its own


def test_a_schedule_that_is_not_known_is_refused_before_it_starts():
    sweep = law_sweep(source=["markov"], decoder=[{"name": "random", "schedule": ["best", "cosin"]}])
    with pytest.raises(InvalidInputError, match="schedule is cosin: want one of best, best-mixture"):
        check_points(sweep)
    axes = {"source": ["markov"], "schedule": ["theorem9", "best-mixture"], "share": 0.5}
    with pytest.raises(InvalidInputError, match="schedule is best-mixture: want one of best, theorem9"):
        check_points(parse_config({"study": "steps", "axes": axes}))


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


def steps_rows(**axes):
    config = parse_config({"study": "steps", "axes": axes})
    return rows_of(config, range(config.size))


def test_fewest_steps_of_every_kind_of_schedule():
    """Each reaches its target; the optimum and the named ones do not with one step less."""
    sources = ["parity-checks", "repeated-bits"]
    axes = {
        "source": sources,
        "source.n": [32],
        "schedule": ["best", "theorem9", "llada_uniform", "austin"],
    }
    rows = steps_rows(**axes, share=[0.3])
    curves = {"parity-checks": parity_checks_curve(32), "repeated-bits": repeated_bits_curve(32)}
    for place, source in enumerate(rows["source"]):
        curve, steps, name = curves[source], int(rows["fewest_steps"][place]), rows["schedule"][place]
        small = min(float(curve.total_correlation), float(curve.dual_total_correlation))
        assert rows["epsilon_nats"][place] == pytest.approx(0.3 * small)
        assert rows["expected_kl"][place] <= 0.3 * small
        assert steps <= rows["theorem9_bound"][place] or name in ("llada_uniform", "austin")
        less = {"best": optimal_schedule(curve, steps - 1), "llada_uniform": llada_uniform(32, steps - 1)}
        if name in less:
            assert float(expected_kl(curve, less[name])) > 0.3 * small
    assert steps_rows(**axes, epsilon=[0.5])["epsilon_nats"] == [0.5] * 8
    assert "epsilon, share is neither" in steps_rows(**axes)["failed"][0]


def test_numbers_that_are_asked_for():
    """Regret, the two errors, the loss and the orders are those of the library."""
    names = ("regret", "sampling_error", "learning_error", "loss", "mean_order_reverse_kl")
    axes = {"source": [{"name": "noisy-bit", "n": 3}], "decoder": ["random", "threshold"], "mix": [0.2]}
    rows = rows_of(
        parse_config({"study": "law", "keep": list(names), "axes": axes | {"steps": [2]}}), [0, 1]
    )
    joint = tabulate(noisy_repeated_bit(3, 0.1))
    denoiser, schedule = Mixed(oracle_of(joint), 0.2), llada_uniform(3, 2)
    split = kl_split(joint, denoiser, schedule)
    assert rows["sampling_error"] == pytest.approx([float(split.sampling)] * 2)
    assert rows["learning_error"] == pytest.approx([float(split.learning)] * 2)
    assert rows["loss"][1] == pytest.approx(denoiser_loss_curve(joint, denoiser).loss.tolist())
    mean = float(fixed_orders(joint, denoiser).reverse_kl.mean())
    assert rows["mean_order_reverse_kl"] == pytest.approx([mean] * 2)
    threshold = Reveal(ConfidenceThreshold(0.9))
    assert rows["regret"][1] == pytest.approx(float(regret(joint, denoiser, threshold).value))


def test_distributions_of_files(tmp_path):
    """A table, a hidden Markov model and a mixture, and a file that is not there."""
    table = np.random.default_rng(0).dirichlet(np.ones(8)).reshape((2, 2, 2))
    np.savez(tmp_path / "p.npz", probs=table)
    hidden = {
        "initial": [0.5, 0.5],
        "transition": [[0.9, 0.1], [0.1, 0.9]],
        "emission": [[0.8, 0.2], [0.3, 0.7]],
    }
    np.savez(tmp_path / "hmm.npz", **hidden, n=3)
    np.savez(tmp_path / "parts.npz", weights=[0.5, 0.5], probs=[[0.9, 0.1], [0.2, 0.8]], n=3)
    names = {"joint": "p.npz", "hmm": "hmm.npz", "mixture": "parts.npz"}
    sources = [{"name": name, "file": str(tmp_path / file)} for name, file in names.items()]
    axes = {"source": [*sources, {"name": "joint", "file": "none.npz"}, {"name": "hmm"}], "steps": [1]}
    rows = rows_of(parse_config({"study": "schedule", "axes": axes}), range(5))
    curve = information_curve(Joint(jnp.asarray(table)))
    assert rows["total_correlation"][0] == pytest.approx(float(curve.total_correlation))
    assert rows["expected_kl"][:3] == pytest.approx(rows["total_correlation"][:3])
    assert rows["failed"][:3] == [None] * 3
    assert "none.npz" in rows["failed"][3]
    assert "source.file is not given" in rows["failed"][4]
    with pytest.raises(InvalidInputError, match="parameter of joint is n: want one of file"):
        parse_config({"study": "law", "axes": {"source": [{"name": "joint", "n": 3}]}})


@pytest.mark.slow
def test_laws_of_blocks_need_no_table():
    source = {"name": "block-hmm", "blocks": 8, "block_size": 8, "eta": 1e-4}
    sweep = parse_config(
        {
            "study": "law",
            "keep": ["forward_kl", "reverse_kl", "regret"],
            "axes": {"source": [source], "decoder": ["mean-field", "verified"]},
        }
    )
    rows = rows_of(sweep, [0, 1])
    exact = block_decoding(BlockHMM(8, 8, eta=1e-4))
    assert rows["forward_kl"] == pytest.approx([float(exact.forward_kl), 0.0])
    assert rows["reverse_kl"] == pytest.approx([float(exact.reverse_kl), 0.0])
    assert rows["regret"] == [None, None]


def test_schedules_that_are_searched_for():
    source = {"name": "random-table", "n": 4, "draw": 1}
    names = ["best", "best-mixture", "best-learned", "austin"]
    rows = rows_of(
        law_sweep(source=[source], decoder=["random"], steps=[2], schedule=names, mix=[0.4]), range(4)
    )
    joint = random_table(4, 2, 0.3, 1)
    denoiser = Mixed(oracle_of(joint), 0.4)
    mixtures = mixture_schedules(joint, denoiser)
    schedules = [
        optimal_schedule(information_curve(joint), 2),
        mixtures.schedule(2),
        optimal_schedule(denoiser_loss_curve(joint, denoiser), 2),
        austin_for_steps(4, 2),
    ]
    assert rows["forward_kl"] == pytest.approx([float(mixtures.kl_of(one)) for one in schedules])


@pytest.mark.slow
def test_a_training_is_one_run_whatever_is_asked_first():
    """A checkpoint is the same alone, after an earlier one, and where the training went past it."""
    model = {"name": "trained", "total": 20, "batch": 8, "width": 16, "hidden": 32, "depth": 1}
    source = {"name": "block-hmm", "blocks": 2, "block_size": 2, "eta": 0.01}
    axes = {"source": [source], "decoder": ["random"], "steps": [4], "seed": [0, 1]}
    sweep = parse_config(
        {"study": "law", "keep": ["forward_kl"], "axes": axes | {"model": [model | {"steps": [0, 10, 20]}]}}
    )
    rows = rows_of(sweep, range(6))["forward_kl"]
    assert rows_of(sweep, [5, 4, 0, 1])["forward_kl"] == [rows[5], rows[4], rows[0], rows[1]]
    assert rows[2] < rows[0]
    assert rows[0] != rows[3]
    wrong = parse_config({"study": "law", "axes": axes | {"model": [model | {"steps": [21]}]}})
    assert "model.steps is 21: want an integer in 0..20" in rows_of(wrong, [0])["failed"][0]


def test_first_steps_reaches_and_one_less_does_not():
    curve = parity_checks_curve(64)
    for epsilon in (0.05, 0.5, 2.0):
        steps = first_reaching(curve, llada_uniform, epsilon).steps
        assert float(expected_kl(curve, llada_uniform(64, steps))) <= epsilon
        assert float(expected_kl(curve, llada_uniform(64, steps - 1))) > epsilon
    assert first_reaching(curve, llada_uniform, 1e9).steps == 1
