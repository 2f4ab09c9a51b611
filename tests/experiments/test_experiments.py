"""The frame of experiments: what is stored, when it is stale; every experiment in small."""

import dataclasses
import inspect
import itertools
import json
import pathlib
from math import comb

import _oracles
import jax.numpy as jnp
import numpy as np
import pytest
from rich.console import Console

from experiments import (
    _run,
    divergence_families,
    hard_curve,
    kl_against_steps,
    n128_k16,
    own_law,
    rejection_constant,
    text_model,
    two_models,
)
from experiments.__main__ import main, parser
from mdmjax import (
    BlockHMM,
    FixedPartition,
    Joint,
    LossCurve,
    Oracle,
    Reveal,
    exact_law,
    frontier,
    kl,
    noisy_bit_curve,
    noisy_repeated_bit,
    reverse_kl,
    tabulate,
)
from mdmjax.distributions.codes import repetition_code
from mdmjax.divergences.total_correlation import conditional_total_correlation
from mdmjax.laws.block_decoding import block_decoding
from mdmjax.laws.random_order import random_order_law
from mdmjax.losses.sampled import MaskedLosses
from mdmjax.schedules.assigned import optimal_assignment
from paper_figures._rows import rows_of


@dataclasses.dataclass(frozen=True)
class Config:
    size: int = 3
    seed: int = 7


ARRAYS = {"kl": np.array([0.5, 0.25]), "labels": np.array(["a", "b"])}


def manifest(config=Config()):
    return {"name": "toy", "config_hash": _run.config_hash("toy", config)}


def test_a_result_survives_storage(tmp_path):
    folder = tmp_path / "new" / "results"
    _run.save(folder, ARRAYS, manifest())
    arrays, stored = _run.load(folder, "toy")
    assert sorted(path.name for path in folder.iterdir()) == ["toy.json", "toy.npz"]
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(arrays[name], array)
    assert _run.fault(folder, "toy", Config()) is None


def test_equal_arrays_are_equal_bytes(tmp_path):
    for folder in ("one", "two"):
        _run.save(tmp_path / folder, ARRAYS, manifest())
    assert (tmp_path / "one/toy.npz").read_bytes() == (tmp_path / "two/toy.npz").read_bytes()


def test_faults_are_told_apart(tmp_path):
    assert "no result" in _run.fault(tmp_path, "toy", Config())
    _run.save(tmp_path, ARRAYS, manifest())
    assert "another configuration" in _run.fault(tmp_path, "toy", Config(size=4))
    (tmp_path / "toy.npz").write_bytes(b"half a file")
    assert "is not the one of" in _run.fault(tmp_path, "toy", Config())


def test_the_hash_depends_on_every_field_and_on_the_name():
    hashes = {
        _run.config_hash("toy", Config()),
        _run.config_hash("toy", Config(size=4)),
        _run.config_hash("toy", Config(seed=8)),
        _run.config_hash("other", Config()),
    }
    assert len(hashes) == 4


def test_progress_hands_out_every_item_and_is_silent_off_a_terminal(tmp_path):
    with open(tmp_path / "log", "w") as log:
        assert _run.progress_on(Console(file=log)) is _run.silent
    assert list(_run.silent([1, 2], "label")) == [1, 2]
    with open(tmp_path / "log", "w") as log:
        bar = _run.progress_on(Console(file=log, force_terminal=True))
        assert list(bar([1, 2], "label")) == [1, 2]
    assert "label" in (tmp_path / "log").read_text()


LONG = {
    "text_model",
    "two_models",
    "learned_block_hmm",
    "decoders",
    "easy_first_error",
    "block_hmm_decoding",
    "antibody",
    "honest_gain",
    "policy_frontier",
    "own_law",
    "growth_coverage",
    "constrained",
    "addition",
    "stitching",
    "editing",
    "nae_sat",
    "list_tasks",
    "sudoku",
    "task_traces",
}  # minutes, or many compilations


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name in LONG)) for name in _run.names()]
)
def test_smoke(name, tmp_path):
    if (needs := getattr(_run.experiment(name), "NEEDS", None)) is not None:
        pytest.importorskip(needs, reason="an extra of its own")
    assert main((name,), smoke=True, out=tmp_path) == 0
    arrays, stored = _run.load(tmp_path, name)
    module = _run.experiment(name)
    assert _run.fault(tmp_path, name, module.SMOKE) is None
    assert _run.fault(tmp_path, name, module.Config()) is not None
    assert stored["config"] == json.loads(json.dumps(dataclasses.asdict(module.SMOKE)))
    assert stored["versions"]["jax"]
    assert stored["dtype"] == "float64"
    assert stored["seconds"] >= 0
    assert set(stored["arrays"]) == set(arrays)
    for key, array in arrays.items():
        assert array.size > 0, key
        assert array.dtype.kind in "bfiuU", key


def test_resume_keeps_what_is_current(tmp_path, capsys):
    name = "curve_gallery"
    assert main((name,), smoke=True, out=tmp_path) == 0
    before = (tmp_path / f"{name}.json").stat().st_mtime_ns
    assert main((name,), smoke=True, resume=True, out=tmp_path) == 0
    assert (tmp_path / f"{name}.json").stat().st_mtime_ns == before
    assert "kept" in capsys.readouterr().out


def test_smoke_never_overwrites_the_full_results(capsys):
    assert main((_run.names()[0],), smoke=True, out=_run.RESULTS) == 2
    assert "--out" in capsys.readouterr().err


def test_an_unknown_name_is_one_line(capsys):
    assert main(("nonsense",)) == 2
    assert main(()) == 2
    first, second = capsys.readouterr().err.splitlines()
    assert "nonsense" in first
    assert "missing" in second


def test_the_command_line_is_that_of_main(capsys):
    given = parser().parse_args(["n128_k16", "text_model", "--smoke", "--resume", "--out", "there"])
    wanted = {"names": ["n128_k16", "text_model"], "every": False, "smoke": True, "resume": True}
    assert vars(given) == {**wanted, "out": pathlib.Path("there")}
    assert vars(parser().parse_args(["--all"]))["every"]
    assert set(vars(given)) == set(inspect.signature(main).parameters)
    with pytest.raises(SystemExit):
        parser().parse_args(["--help"])
    assert set(_run.names()) <= set(capsys.readouterr().out.replace(",", " ").split())


def test_n128_k16_is_the_published_table():
    """Numbers that were computed elsewhere, to the digits printed there."""
    arrays = n128_k16.run(n128_k16.Config(), _run.silent)
    names = arrays["schedule"].tolist()
    columns = [names.index(name) for name in ("llada_uniform", "pyramid", "dllm_cosine")]
    table = np.column_stack([arrays["optimum_kl_nats"], arrays["named_kl_nats"][:, columns]])
    expected = [
        [0.0003, 2.271, 0.121, 0.126],
        [2.445, 2.445, 3.275, 3.111],
        [11.11, 15.14, 23.17, 21.42],
        [0.0, 0.0, 49.9, 16.6],
        [0.0, 0.693, 0.693, 0.693],
    ]
    half_digits = [[5e-5, 5e-4, 5e-4, 5e-4], 5e-4, 5e-3, [1e-12, 1e-12, 0.05, 0.05], 5e-4]
    for row, wanted, tolerance in zip(table, expected, half_digits, strict=True):
        assert np.all(np.abs(row - wanted) <= tolerance), (row, wanted)
    counts = arrays["optimum_counts"].tolist()
    assert counts[0] == [1] * 12 + [2, 3, 8, 103]
    assert counts[1] == [8] * 16
    assert sorted(counts[2], reverse=True) == counts[2]
    assert 64 in np.cumsum(counts[3])
    assert counts[4][-1] == 1


def test_no_schedule_beats_the_optimum_and_li_cai_holds():
    arrays = kl_against_steps.run(kl_against_steps.SMOKE, _run.silent)
    for family, n in enumerate(arrays["n"]):
        optimum = arrays["optimum_kl_nats"][family, :n]
        kl, made = (arrays[name][family, :, :n] for name in ("named_kl_nats", "steps_made"))
        slack = 1e-12 * optimum[0]
        assert np.all(kl >= optimum[made.astype(int) - 1] - slack)
        assert np.all(made <= np.arange(1, n + 1))
        uniform = kl[arrays["schedule"].tolist().index("llada_uniform")]
        assert np.all(uniform <= arrays["li_cai_bound_nats"][family, :n] + slack)


def test_theorem_9_lies_between_the_optimum_and_its_bound():
    arrays, _ = _run.load(_run.RESULTS, "steps_against_n")
    by = {name: rows_of(arrays, {"schedule": name}) for name in set(arrays["schedule"].tolist())}
    steps = {name: rows["fewest_steps"] for name, rows in by.items()}
    assert steps["best"].size == 2 * 9 * 6
    assert np.all(steps["best"] <= steps["theorem9"])
    assert np.all(steps["theorem9"] <= by["theorem9"]["theorem9_bound"])
    assert np.all(steps["best"] <= steps["austin"])
    assert np.all(steps["best"] <= steps["llada_uniform"])
    checks, bits = (rows_of(by["best"], {"source": name}) for name in ("parity-checks", "repeated-bits"))
    np.testing.assert_allclose(checks["total_correlation"], bits["dual_total_correlation"], rtol=1e-9)
    assert np.all(checks["total_correlation"] <= checks["dual_total_correlation"])


def test_the_hard_curve_needs_its_logarithm():
    """A step of b blocks costs b - 1 parts where log n / 8 are allowed each: 1/9 of those that cost."""
    arrays = hard_curve.run(hard_curve.Config(log2_n=(4, 12, 16), epsilons=(0.01,)), _run.silent)
    length, steps = np.log(arrays["n"]), arrays["fewest_steps"][0] * 0.01
    assert np.all(steps * 100 <= arrays["theorem9_bound"][0])
    assert np.all(arrays["dtc_nats"] <= 1.01 / 4 * (1 + 1 / length))
    # Of the length L (in log n) a constant costs nothing: steps = E^2 / (E + 8 L) for E = L - constant.
    costly = steps / 2 + np.sqrt(steps**2 / 4 + 8 * length * steps)
    assert np.diff(costly)[1] == pytest.approx(np.diff(length)[1], rel=0.03)


def test_families_of_pairs_have_their_closed_forms():
    arrays = divergence_families.run(divergence_families.SMOKE, _run.silent)
    assert arrays["family"].tolist() == ["forbidden_pair", "near_copy", "rare_symbol", "large_alphabet"]
    eta, near, rare, q = arrays["parameter"]
    forward, reverse = arrays["forward_ctc_nats"], arrays["reverse_ctc_nats"]
    close = {"rtol": 1e-11, "atol": 0}

    p, one = (1 - eta) / 3, (1 + 2 * eta) / 3
    both, neither, single = one**2, (1 - one) ** 2, one * (1 - one)
    expected = eta * np.log(eta / both) + p * np.log(p / neither) + 2 * p * np.log(p / single)
    np.testing.assert_allclose(forward[0], expected, **close)
    expected = both * np.log(both / eta) + neither * np.log(neither / p) + 2 * single * np.log(single / p)
    np.testing.assert_allclose(reverse[0], expected, **close)

    expected = np.log(2) + near * np.log(near) + (1 - near) * np.log(1 - near)
    np.testing.assert_allclose(forward[1], expected, **close)
    np.testing.assert_allclose(reverse[1], -np.log(4 * near * (1 - near)) / 2, **close)

    # Copied half the time: cells (a, a) are m_a (1 + m_a) / 2, the others m_a m_b / 2.
    own, mixed = np.log((1 + 1 / rare) / 2), rare * (1 - rare) * np.log(2)
    rest = np.log((1 + 1 / (1 - rare)) / 2)
    expected = rare * (1 + rare) / 2 * own + (1 - rare) * (2 - rare) / 2 * rest - mixed
    np.testing.assert_allclose(forward[2], expected, **close)
    expected = 2 * mixed - rare**2 * own - (1 - rare) ** 2 * rest
    np.testing.assert_allclose(reverse[2], expected, rtol=1e-9)
    own = np.log((1 + q) / 2)
    np.testing.assert_allclose(forward[3], (1 + 1 / q) / 2 * own - (1 - 1 / q) * np.log(2) / 2, **close)
    np.testing.assert_allclose(reverse[3], (1 - 1 / q) * np.log(2) - own / q, **close)


def test_ctc_of_a_pair_is_the_divergence_of_its_exact_one_step_law():
    for table in (
        divergence_families.forbidden_pair(0.01),
        divergence_families.copied_symbol(np.array([0.9, 0.1]), 0.5),
        divergence_families.copied_symbol(np.full(5, 0.2), 0.5),
    ):
        pair, both = Joint(jnp.asarray(table)), [0, 1]
        law = exact_law(Oracle(pair), Reveal(FixedPartition([both])))
        nothing_seen = jnp.full(2, pair.q)
        forward, reverse = conditional_total_correlation(pair, nothing_seen, both)
        np.testing.assert_allclose(forward, kl(pair, law), rtol=1e-12)
        np.testing.assert_allclose(reverse, reverse_kl(pair, law), rtol=1e-12)


@pytest.mark.parametrize("copied", [-0.999, -0.5, 0.03, 0.3, 0.9, 1 - 1e-9])
def test_reverse_ctc_of_correlated_fair_bits_exceeds_the_forward_one(copied):
    """Their difference is the sum over k >= 2 of copied**2k (k - 1) / (k (2k - 1)), no less than k = 2."""
    pair = Joint(jnp.asarray(divergence_families.copied_symbol(np.array([0.5, 0.5]), copied)))
    nothing_seen = jnp.full(2, 2)
    forward, reverse = conditional_total_correlation(pair, nothing_seen, [0, 1])
    gap = reverse - forward
    assert float(gap) >= copied**4 / 6 * (1 - 1e-6)


def block_by_definition(table, size, seen):
    """M and forward CTC of the next block after the bits `seen`, and their probability, by loops."""
    words = list(itertools.product((0, 1), repeat=size))
    given = {word: table[(*seen, *word)].sum() for word in words}
    mass = sum(given.values())
    p = {word: value / mass for word, value in given.items()}
    one = [sum(p[word] for word in words if word[i]) for i in range(size)]
    product = {w: np.prod([one[i] if w[i] else 1 - one[i] for i in range(size)]) for w in words}
    ctc = sum(p[word] * np.log(p[word] / product[word]) for word in words)
    return max(p[word] / product[word] for word in words), ctc, mass


@pytest.mark.parametrize(("blocks", "size", "eta"), [(3, 3, 0.05), (2, 4, 1e-3), (2, 1, 0.5), (2, 2, 0.9)])
def test_rejection_constants_are_those_of_the_enumerated_words(blocks, size, eta):
    config = rejection_constant.Config(blocks=blocks, block_size=size, etas=(eta,))
    arrays = rejection_constant.run(config, _run.silent)
    transition = np.array([[0.9, 0.1], [0.1, 0.9]])
    table = _oracles.block_hmm_table([0.5, 0.5], transition, [0.9, 0.1], eta, blocks, size)
    table = np.asarray(table).reshape((2,) * (blocks * size))
    for block in range(blocks):
        contexts = itertools.product((0, 1), repeat=block * size)
        found = np.array([block_by_definition(table, size, seen) for seen in contexts])
        constant, ctc, mass = found.T
        # Beliefs are rounded to twelve digits.
        close = {"rtol": 1e-10, "atol": 1e-12}
        np.testing.assert_allclose(arrays["mean_constant"][0, block], mass @ constant, **close)
        np.testing.assert_allclose(arrays["mean_exp_ctc"][0, block], mass @ np.exp(ctc), **close)
        np.testing.assert_allclose(arrays["mean_ctc_nats"][0, block], mass @ ctc, **close)
        ends = arrays["constant_quantiles"][block, [0, -1]]
        np.testing.assert_allclose(ends, [constant.min(), constant.max()], **close)


def test_rejection_constants_of_the_papers_blocks():
    """The first is a closed form; mean CTCs are the terms of the forward KL that the library sums."""
    config = rejection_constant.Config(blocks=4, etas=(1e-8, 0.1))
    arrays = rejection_constant.run(config, _run.silent)
    for eta, constant, ctc in zip(
        config.etas, arrays["mean_constant"], arrays["mean_ctc_nats"], strict=True
    ):
        np.testing.assert_allclose(constant[0], 2**7 * (0.9**7 + 0.1**7) * (1 - eta), rtol=1e-12)
        expected = block_decoding(BlockHMM(4, 8, eta=eta)).forward_kl_by_block
        np.testing.assert_allclose(ctc, expected, rtol=1e-9)
    assert np.all(arrays["constant_by_belief"] >= arrays["exp_ctc_by_belief"])
    assert np.all(arrays["mean_constant"] >= arrays["mean_exp_ctc"])
    assert arrays["contexts"][:3].tolist() == [1, 8, 64]


def test_quantiles_are_by_mass():
    values, mass = np.array([3.0, 1.0, 2.0]), np.array([0.06, 0.04, 0.9])
    assert rejection_constant.quantiles(values, mass).tolist() == [1.0, 2.0, 2.0, 3.0, 3.0]


def test_noise_acts_on_every_position():
    flip, n = 0.1, 3
    noisy = own_law.through_noise(repetition_code(n, 3), flip)
    for word in itertools.product(range(3), repeat=n):
        terms = [np.prod([1 - flip if x == a else flip / 2 for x in word]) / 3 for a in range(3)]
        assert float(noisy.probs[word]) == pytest.approx(sum(terms), rel=1e-12)
    # Positions keep their order.
    table = np.arange(1.0, 9).reshape(2, 2, 2) / 36
    same = own_law.through_noise(Joint(jnp.asarray(table)), 0.0)
    np.testing.assert_allclose(same.probs, table, rtol=1e-14)


@pytest.mark.slow
def test_own_laws_of_the_best_schedules_by_loops():
    """Both numbers of both schedules; no schedule is nearer for the sampler than the one that is named."""
    config = own_law.SMOKE
    arrays = own_law.run(config, _run.silent)
    for row, title in enumerate(config.families):
        for member, joint in enumerate(own_law.members(title, 0, config)):
            probs, n = np.asarray(joint.probs), joint.n
            assert arrays["n"][row, 0] == n
            for steps in range(1, n + 1):
                place, least = (row, 0, member, steps - 1), []
                for counts in _oracles.all_compositions(n, steps):
                    laws = _oracles.random_order_laws(probs, np.array(counts))
                    by_loops = np.mean([_oracles.kl_by_sum(probs, law) for law in laws])
                    least.append((by_loops, _oracles.kl_by_sum(probs, laws.mean(0)), list(counts)))
                for name, key in (("of_mean", 0), ("best", 1)):
                    chosen = arrays[f"{name}_counts"][place]
                    expected, own, _ = next(x for x in least if x[2] == chosen[chosen > 0].tolist())
                    assert min(least, key=lambda x: x[key])[key] == pytest.approx(
                        (expected, own)[key], abs=1e-12
                    )
                    found = arrays[f"{name}_expected_kl_nats"][place], arrays[f"{name}_own_kl_nats"][place]
                    assert found == pytest.approx((expected, own), rel=1e-9, abs=1e-13)


def noisy_bit_mixture_kl(n, flip, counts):
    """KL to the mixture over partitions, one word for each number of ones: the bits are exchangeable."""

    def one_after(ones, zeros):
        weights = (1 - flip) ** ones * flip**zeros, flip**ones * (1 - flip) ** zeros
        return (weights[0] * (1 - flip) + weights[1] * flip) / sum(weights)

    total = 0.0
    for ones in range(n + 1):
        word = [1] * ones + [0] * (n - ones)
        p = ((1 - flip) ** ones * flip ** (n - ones) + flip**ones * (1 - flip) ** (n - ones)) / 2
        laws = []
        for partition in _oracles.partitions_of_sizes(range(n), counts):
            seen, law = [], 1.0
            for block in partition:
                one = one_after(seen.count(1), seen.count(0))
                law *= np.prod([one if word[i] else 1 - one for i in block])
                seen += [word[i] for i in block]
            laws.append(law)
        total += comb(n, ones) * p * np.log(p / np.mean(laws))
    return total


def test_more_steps_can_leave_the_sampler_worse():
    """The mean falls with every step, and the mixture of its optimal schedules need not."""
    joint, curve = tabulate(noisy_repeated_bit(8, 0.1)), noisy_bit_curve(8, 0.1)
    best, mixtures = frontier(curve, 4), []
    for steps, counts in ((3, [1, 2, 5]), (4, [1, 1, 2, 4])):
        schedule = best.schedule(steps)
        assert schedule.counts.tolist() == counts
        mixtures.append(float(kl(joint, random_order_law(Oracle(joint), schedule))))
        assert mixtures[-1] == pytest.approx(noisy_bit_mixture_kl(8, 0.1, counts), rel=1e-10)
    assert mixtures[1] > 1.5 * mixtures[0]
    assert best.gaps[3] < 0.6 * best.gaps[2]


def test_orders_of_a_wrong_denoiser_are_no_better_than_the_best():
    arrays, _ = _run.load(_run.RESULTS, "easy_first_error")
    kl, decoder = arrays["reverse_kl"], arrays["decoder"]
    assert kl.size == 2 * 6 * 32 * 5
    assert np.all(arrays["best_adaptive_reverse_kl"] <= kl + 1e-12 + 9 * (decoder == "random"))
    fixed = np.isin(decoder, ["l2r", "r2l"])
    assert np.all(arrays["best_order_reverse_kl"][fixed] <= kl[fixed] + 1e-12)
    random = decoder == "random"
    assert np.all(kl[random] <= arrays["mean_order_reverse_kl"][random] + 1e-12)  # Jensen


def test_remasking_in_parallel_stays_wrong():
    """Half of the words written at once have even parity; one position redrawn repairs the others."""
    arrays, _ = _run.load(_run.RESULTS, "remasking_invalid_mass")
    single, *parallel = arrays["invalid_mass"][0]
    np.testing.assert_allclose(single, [0.5] + [0.0] * (single.size - 1), atol=1e-12)
    np.testing.assert_allclose(parallel, 0.5, atol=1e-12)
    assert np.all(arrays["invalid_mass"][1, 1:, -1] > 0.1)


def test_fixed_numbers_of_calls_lie_above_the_best_policies():
    arrays, _ = _run.load(_run.RESULTS, "policy_frontier")
    decoders = ("entropy", "confidence", "margin", "hard-first", "l2r", "dilated", "threshold")
    of = np.isin(arrays["decoder"], decoders)
    assert of.sum() > 100
    assert np.all(arrays["regret"][of] >= -1e-10)
    priced = (arrays["decoder"] == "optimal") & np.isfinite(arrays["decoder.price"])
    np.testing.assert_allclose(arrays["regret"][priced], 0, atol=1e-10)
    random = rows_of(arrays, {"decoder": "random"})
    best, mixture = (rows_of(random, {"schedule": name}) for name in ("best", "best-mixture"))
    assert np.all(mixture["forward_kl"] <= best["forward_kl"] + 1e-12)
    assert np.all(best["forward_kl"] <= best["sampling_error"] + 1e-12)


def test_block_decoding_over_a_sweep_is_that_of_each_model():
    """The paper's model against `block_decoding`, and its figure's numbers."""
    arrays, _ = _run.load(_run.RESULTS, "block_hmm_decoding")
    paper = {"source.blocks": 8, "source.eta": 1e-8}
    mean_field, verified = (
        rows_of(arrays, {**paper, "decoder": name}) for name in ("mean-field", "verified")
    )
    exact = block_decoding(BlockHMM())
    assert mean_field["forward_kl"].item() == pytest.approx(float(exact.forward_kl), rel=1e-9)
    assert mean_field["reverse_kl"].item() == pytest.approx(float(exact.reverse_kl), rel=1e-9)
    assert mean_field["violation_rate"].item() == pytest.approx(float(exact.violation_rate), rel=1e-9)
    assert verified["forward_kl"].item() == verified["reverse_kl"].item() == 0
    assert np.all(arrays["failed"] == "")


def test_decoders_of_a_parity_code_on_the_map():
    """A last step of one token loses nothing and one of two loses log 2, whatever is chosen before."""
    arrays, _ = _run.load(_run.RESULTS, "decoders")
    assert np.all(arrays["failed"] == "")
    assert np.all(arrays["forward_kl"] >= -1e-12)
    exact = rows_of(arrays, {"source": "parity", "mix": 0.0})
    best = rows_of(exact, {"decoder": "random", "schedule": "best"})
    np.testing.assert_allclose(best["forward_kl"], 0, atol=1e-12)
    for name in ("random", "l2r", "entropy", "hard-first"):
        equal = rows_of(exact, {"decoder": name, "schedule": "llada_uniform"})
        np.testing.assert_allclose(equal["forward_kl"], np.log(2), rtol=1e-12)


def test_the_closed_forms_of_list_tasks_are_their_exact_laws():
    """On the stored result; the shuffle's count the list itself as an answer, one in 720."""
    arrays, _ = _run.load(_run.RESULTS, "list_tasks")
    closed, exact = arrays["closed_accuracy"], arrays["exact_accuracy"]
    known = np.isfinite(closed)
    apart = np.abs(exact - closed).max(axis=(1, 2), where=known, initial=0)
    refuses = arrays["task"] == "shuffle"
    assert np.all(apart[~refuses] < 1e-9)
    assert 1e-6 < apart[refuses].item() < 2e-3
    assert known[arrays["task"] == "replace-random"].sum() == 4 * 4 + 3
    best = arrays["order"] == "random, best steps"
    equal = arrays["order"] == "random"
    assert np.all(exact[:, 0][:, best] >= exact[:, 0][:, equal] - 1e-12)
    counts = arrays["best_counts"]
    assert np.all(counts.sum(axis=-1) == arrays["items"])
    one_a_step = (arrays["setting"] == 1) & equal
    assert np.all(arrays["model_accuracy"][:, 0][..., one_a_step] > 0.95)


def test_the_predicted_gain_is_the_measured_one():
    """On the stored result: other windows and other masks, and no more apart than chance has it."""
    arrays, _ = _run.load(_run.RESULTS, "text_model")
    names, steps = arrays["schedule"].tolist(), arrays["schedule_steps"]
    fit, other = arrays["fit_nats"], arrays["predicting_loss_nats"]
    best, uniform = names.index("best"), names.index("uniform")
    assert np.all(np.diff(fit) <= 0)
    on_fit = np.zeros((steps.size, len(names)))
    for row, k in enumerate(steps):
        for column in range(len(names)):
            counts = arrays["counts"][row, column]
            assert counts.sum() == fit.size
            assert np.sum(counts > 0) == arrays["steps_made"][row, column] <= k
            starts = np.repeat(np.cumsum(counts) - counts, counts)
            on_fit[row, column] = fit[starts].sum()
            predicted = arrays["predicted_nll_nats"][row, column]
            assert predicted == pytest.approx(sum(other[m] for m in starts), rel=1e-12)
    for side in ("predicted", "measured"):
        nll, gain = (arrays[f"{side}_{what}_nats"] for what in ("nll", "gain"))
        np.testing.assert_allclose(gain, nll[:, [uniform]] - nll, atol=1e-9)
    assert np.all(on_fit[:, [best]] <= on_fit + 1e-9)
    assert np.all(np.abs(arrays["nll_z"]) < 5)
    assert np.all(np.abs(arrays["gain_z"]) < 5)
    for what in ("nll", "gain"):
        sides = [arrays[f"{side}_{what}_nats"] for side in ("predicted", "measured")]
        errors = [arrays[f"{side}_{what}_stderr_nats"] for side in ("predicted", "measured")]
        apart = arrays[f"{what}_z"] * np.sqrt(errors[0] ** 2 + errors[1] ** 2)
        np.testing.assert_allclose(apart, sides[1] - sides[0], atol=1e-9)
    np.testing.assert_array_equal(arrays["measured_gain_stderr_nats"][:, uniform], 0)


def test_the_plan_of_two_models_gains_what_is_predicted_and_is_no_sandwich():
    """On the stored result: the best of the programme on its curves, and no more apart than chance."""
    arrays, _ = _run.load(_run.RESULTS, "two_models")
    names, fit, costs = arrays["plan"].tolist(), arrays["fit_nats"], arrays["costs"]
    curves = [LossCurve(one) for one in fit]
    best = names.index("best")
    for row, budget in enumerate(arrays["budgets"]):
        on_fit = []
        for counts, models in zip(arrays["counts"][row], arrays["models"][row], strict=True):
            counts, models = counts[counts > 0], models[models >= 0]
            assert counts.sum() == fit.shape[1]
            assert costs[models].sum() <= budget + 1e-9
            on_fit.append(np.sum(counts * fit[models, np.cumsum(counts) - counts]))
        assert on_fit[best] == pytest.approx(min(on_fit), abs=1e-9)
        again = optimal_assignment(curves, costs.tolist(), int(budget))
        assert on_fit[best] == pytest.approx(again.nll, abs=1e-9)
    assert np.all(np.abs(arrays["gain_z"]) < 5)
    assert np.all(arrays["measured_gain_nats"][:, best] > 0)
    assert arrays["order"][:, best].tolist() == ["1", "1 0", "1 0", "1 0", "1 0"]
    assert arrays["order"][1:, names.index("sandwich")].tolist() == ["1 0"] * 4


def test_predictions_of_two_models_are_by_window():
    """The mean over windows is the sum on the curve; what windows share is in the error of the sum."""
    offsets, large = np.array([0.0, 0.5, 1.0]), np.array([3.0, 2.0, 1.0])
    rows = [windows_that_differ_by(offsets, curve) for curve in (large, large + 1)]
    plan = optimal_assignment([LossCurve(large), LossCurve(large + 1)], [1, 0.5], 2)
    found = two_models.each_window(rows, [[plan]])
    np.testing.assert_allclose(found[:, 0, 0], plan.nll + 3 * offsets)


def windows_that_differ_by(offsets, curve):
    """Losses at every mask count of windows that are all harder or easier than the curve by one number."""
    size, n = offsets.size, curve.size
    sequence, n_masked = np.repeat(np.arange(size), n), np.tile(np.arange(1, n + 1), size)
    return MaskedLosses(n, sequence, n_masked, curve[n - n_masked] + offsets[sequence])


def test_what_windows_share_is_counted_in_errors_of_predictions():
    rng = np.random.default_rng(0)
    offsets, curve = rng.normal(size=50), np.array([4.0, 3.0, 2.5, 2.25, 2.125, 2.0])
    rows = windows_that_differ_by(offsets, curve)
    schedules = text_model.chosen_schedules(LossCurve(curve), (2, 3))
    paths = np.array([[[curve[s.starts].sum() for s in row] for row in schedules]]) + 6 * rng.normal(
        size=(30, 1, 1)
    )
    found = text_model.compared(rows, schedules, paths)
    np.testing.assert_allclose(
        found["predicted_nll_stderr_nats"], 6 * offsets.std(ddof=1) / np.sqrt(50), rtol=1e-9
    )
    np.testing.assert_allclose(found["predicted_gain_stderr_nats"], 0, atol=1e-9)
    np.testing.assert_allclose(found["measured_gain_stderr_nats"], 0, atol=1e-9)
    np.testing.assert_allclose(found["predicted_gain_nats"], found["measured_gain_nats"], atol=1e-9)
    assert schedules[0][0].counts.tolist() == [2, 4]


def test_a_network_that_learns_obeys_every_bound_on_the_way():
    arrays, _ = _run.load(_run.RESULTS, "learned_block_hmm")
    assert np.all(arrays["failed"] == "")
    true = arrays["loss"][arrays["model"] == "oracle"][0]
    trained = rows_of(arrays, {"model": "trained"})
    first = rows_of(trained, {"schedule": "llada_uniform", "steps": 9, "decoder": "random"})
    total = first["learning_error"].reshape(3, 9)  # seeds, checkpoints
    np.testing.assert_allclose((first["loss"] - true).sum(-1), total.ravel(), atol=1e-10)
    assert np.all(total > 0)
    assert np.all(total[:, -1] < 0.5 * total[:, 0])
    # The curve's own optimum is the best for the network, the true curve's for the oracle.
    best, learned = (rows_of(trained, {"schedule": name}) for name in ("best", "best-learned"))
    assert np.all(best["sampling_error"] <= learned["sampling_error"] + 1e-12)
    both = [rows["sampling_error"] + rows["learning_error"] for rows in (learned, best)]
    assert np.all(both[0] <= both[1] + 1e-10)
    # One token a step has no sampling error; the sampler is no worse than the mean of its orders.
    np.testing.assert_allclose(first["sampling_error"], 0, atol=1e-12)
    for steps in (9, 5):
        rows = rows_of(trained, {"schedule": "llada_uniform", "steps": steps})
        random, optimal = (rows_of(rows, {"decoder": name}) for name in ("random", "optimal"))
        mean = random["sampling_error"] + random["learning_error"]
        assert np.all(random["forward_kl"] <= mean + 1e-12)
        for name in ("l2r", "entropy", "hard-first"):
            assert np.all(optimal["forward_kl"] <= rows_of(rows, {"decoder": name})["forward_kl"] + 1e-10)
    assert np.all(trained["forward_kl"] >= 0)
    assert np.all(trained["reverse_kl"] >= 0)


def test_the_stored_honest_gains_are_why_defaults_are_what_they_are():
    """PCHIP in log odds between rows, the spline to choose on, and intervals that hold the truth in 95%."""
    arrays, _ = _run.load(_run.RESULTS, "honest_gain")
    rules, grids = arrays["rule"].tolist(), arrays["grid"].tolist()
    error = arrays["rule_best_error_nats"].mean(axis=-1)
    for grid in ("every 4th", "every 8th", "5 bins"):
        assert rules[error[:, grids.index(grid)].argmin()] == "PCHIP in log odds"
    assert rules[np.log(error).mean(axis=1).argmin()] == "PCHIP in log odds"
    choices = arrays["choice"].tolist()
    excess = arrays["choice_excess_nats"].mean(axis=-1)
    others = [name for name in choices if "spline" not in name]
    for name in others:
        assert np.all(excess[choices.index("spline")] < excess[choices.index(name)])
    assert excess[choices.index("spline")].mean() < 1.15 * excess[choices.index("bagged spline")].mean()
    assert arrays["curve"].size >= 10
    assert arrays["case_covered"].min() >= 0.94
    assert np.all(np.abs(arrays["case_honest"] - arrays["case_true"]) < 0.7)
    promised = arrays["case_promised"][arrays["case_fit"] == "rows"]
    assert promised.min() > 5
