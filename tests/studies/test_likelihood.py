"""Decoders scored, tuned to calls and held on a frontier, on joints whose laws are known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from _sampled_models import draws, table_of, wrong

import mdmjax as mj
from mdmjax._errors import InvalidInputError
from mdmjax.decoders.low_confidence import LowConfidence
from mdmjax.decoders.ranked import ConfidenceThreshold, Ranked, confidence
from mdmjax.decoders.reveal import AtTemperature, Reveal
from mdmjax.denoisers.table import TableDenoiser
from mdmjax.information.estimate import estimate
from mdmjax.laws.likelihood import exact_nll
from mdmjax.studies.law_report import Named
from mdmjax.studies.likelihood import at_temperature_one, likelihood_study, supported
from mdmjax.studies.named_decoders import DECODERS
from mdmjax.studies.naming import Setting
from mdmjax.studies.own_law import own_law_study
from mdmjax.studies.tuning import TUNED, budget_study, frontier_study, tuned_to_calls

N = 5
JOINT = table_of(N, 2, seed=2)
MODEL = mj.Mixed(mj.Oracle(JOINT), 0.1)
WORDS = draws(JOINT, 40)
TWO = mj.Schedule([2, 3])
THRESHOLD = Named(Reveal(ConfidenceThreshold(0.8)), "threshold", {"threshold": 0.8})
RANDOM = Named(Reveal(mj.RandomSubset(TWO)), "random")


def schedules(steps):
    return {"best": mj.llada_uniform(N, steps), "pyramid": mj.pyramid(N, steps)}


def test_a_report_has_the_numbers_of_its_paths():
    """Means, errors, perplexity and paired differences by hand."""
    report = likelihood_study(jax.random.key(0), MODEL, [THRESHOLD, RANDOM], WORDS, orders=3)
    found = report.to_json()
    exact = exact_nll(MODEL, THRESHOLD.decoder, WORDS)
    one, other = found["decoders"]
    mean, error = estimate(exact)
    assert one["kind"] == "exact_nll"
    assert one["exact_nll"] == {"mean": pytest.approx(mean), "stderr": pytest.approx(error)}
    assert one["nll_per_token"]["mean"] == pytest.approx(mean / N)
    assert one["perplexity"]["mean"] == pytest.approx(np.exp(mean / N))
    assert one["perplexity"]["stderr"] == pytest.approx(np.exp(mean / N) * error / N)
    assert "path_nll" not in one
    assert other["kind"] == "importance_nll"
    assert other["path_nll"]["mean"] >= other["importance_nll"]["mean"]
    paths = report.scored[1].paths
    assert other["importance_nll"]["mean"] == pytest.approx(paths.importance_nll.mean())
    first = found["decoders"][report.first]
    assert first["difference"]["nll"]["mean"] == 0
    last = found["decoders"][1 - report.first]
    apart = report.scored[1 - report.first].nll - report.scored[report.first].nll
    assert last["difference"]["nll"]["mean"] == pytest.approx(apart.mean())
    assert last["difference"]["nll"]["stderr"] == pytest.approx(apart.std(ddof=1) / np.sqrt(len(apart)))
    assert last["difference"]["of"] == "bounds"
    assert "difference of KLs" in str(report)


def test_only_two_exact_ones_differ_by_a_kl():
    other = THRESHOLD._replace(decoder=Reveal(ConfidenceThreshold(0.5)))
    found = likelihood_study(jax.random.key(0), MODEL, [THRESHOLD, other], WORDS).to_json()["decoders"]
    assert [row["difference"]["of"] for row in found] == ["KL", "KL"]


def test_parts_of_the_progress_change_nothing():
    """The exact numbers do not depend on how the sequences are cut; 37 cannot be."""
    for words in (WORDS, WORDS[:37]):
        report = likelihood_study(jax.random.key(0), MODEL, [THRESHOLD], words)
        assert report.scored[0].nll == pytest.approx(exact_nll(MODEL, THRESHOLD.decoder, words))


def test_greedy_writers_are_scored_with_drawn_tokens_and_say_so():
    ranked = Ranked(confidence, TWO)
    greedy = Named(Reveal(ranked, temperature=0), "confidence")
    low = Named(LowConfidence(TWO, temperature=0), "low-confidence")
    both = likelihood_study(jax.random.key(0), MODEL, [greedy, low], WORDS)
    drawn = exact_nll(MODEL, Reveal(ranked), WORDS)
    for one in both.scored:
        assert one.nll == pytest.approx(drawn)
        assert one.decoder.parameters["tokens_at"] == 1
    assert "tokens drawn at 1" in str(both)
    whole = Named(AtTemperature(Reveal(ranked), 0), "confidence")
    assert at_temperature_one(whole).parameters["tokens_at"] == 1
    assert at_temperature_one(THRESHOLD) is THRESHOLD


def test_greedy_maskgit_keeps_its_noise():
    """Its choices are those of its law: greedy draws are the best symbols, and the noise is on these."""
    model, sizes = wrong(table_of(4, 2)), mj.Schedule([1, 1, 2])
    greedy = LowConfidence.maskgit(sizes, 3.0, temperature=0)
    law = np.asarray(mj.exact_law(model, greedy).probs)
    assert (law > 0).sum() == 8  # the noise is felt: without it one word is written
    rule = at_temperature_one(Named(greedy, "maskgit")).decoder.rule
    found = np.asarray(mj.exact_law(model, Reveal(rule, temperature=0)).probs)
    assert found == pytest.approx(law, abs=1e-12)
    eoser = LowConfidence(TWO, discounted=[1], discount=0.5, temperature=0)
    with pytest.raises(InvalidInputError, match="a greedy one that discounts"):
        at_temperature_one(Named(eoser, "eoser"))


def test_what_revises_is_said_to_have_none():
    setting = Setting(MODEL, TWO, 2)
    named = [DECODERS[name].named(setting) for name in ("confidence", "wino", "remdm", "low-confidence")]
    good, bad = supported(named, MODEL)
    assert [one.name for one in good] == ["confidence", "low-confidence"]
    assert [one.name for one in bad] == ["wino", "remdm"]
    assert "tokens stay as they are written" in bad[0].why


@pytest.mark.parametrize("name", TUNED)
def test_families_are_tuned_from_one_call_to_one_token_a_call(name):
    """At the ends of the parameter, and between within the target."""
    knob, value = TUNED[name]
    setting = Setting(MODEL, mj.Schedule([N]), N)
    ends = [DECODERS[name].named(setting, **{knob: value(u, N, 2)}).decoder for u in (0.0, 1.0)]
    paths = mj.decoder_paths(jax.random.key(0), MODEL, ends, WORDS)
    assert [one.calls.mean() for one in paths] == [1, N]
    found = tuned_to_calls(jax.random.key(1), MODEL, name, WORDS, [2, 3])
    calls = [
        p.calls.mean()
        for p in mj.decoder_paths(jax.random.key(1), MODEL, [f.decoder for f in found], WORDS)
    ]
    # Calls of random choices differ from key to key: no more than asked for, up to that.
    slack = 0.1 if DECODERS[name].named(setting).decoder.rule.is_random else 1e-9
    assert 1 <= calls[0] <= 2 + slack
    assert calls[0] <= calls[1] <= 3 + slack


@pytest.mark.slow
def test_a_budget_tunes_on_one_half_and_judges_on_the_other():
    report = budget_study(jax.random.key(0), MODEL, WORDS, 3, schedules)
    assert report.sequences == 20
    scores = [one.nll.mean() for one in report.scored]
    assert scores == sorted(scores)
    assert report.first == 0
    judged = {one.decoder.name: one for one in report.scored}
    exact = judged["confidence"]
    assert exact.nll == pytest.approx(exact_nll(MODEL, exact.decoder.decoder, WORDS[20:]))
    # The schedule of a family is the one of least NLL on the first half.
    both = [
        exact_nll(MODEL, Reveal(Ranked(confidence, s)), WORDS[:20]).mean() for s in schedules(3).values()
    ]
    assert exact.decoder.parameters["schedule"] == list(schedules(3))[int(np.argmin(both))]
    assert "Within 3 calls" in str(report)
    settings = report.to_json()["settings"]
    assert settings["decoder"] == report.scored[0].decoder.name
    assert ("counts" in settings) == ("schedule" in settings)
    assert f"To give to the sampler: decoder {settings['decoder']}" in str(report)
    assert all(one.paths.calls.mean() <= 3.6 for one in report.scored)


@pytest.mark.slow
def test_the_frontier_is_that_of_the_exact_laws():
    """Every exact NLL is that of the law; those shown are not beaten at as many calls."""
    report = frontier_study(jax.random.key(0), MODEL, WORDS, [1, 2, 5], schedules)
    for one in report.scored:
        if one.paths.exact:
            law = np.asarray(mj.exact_law(MODEL, one.decoder.decoder).probs)
            expected = -np.log([law[tuple(x)] for x in WORDS.tolist()])
            assert one.nll == pytest.approx(expected, rel=1e-9)
    shown = [line for line in str(report).splitlines() if ":" in line and "|" in line]
    assert 0 < len(shown) < len(report.scored)


def test_calls_have_prices():
    price = jnp.arange(1.0, N + 1)
    report = likelihood_study(jax.random.key(0), MODEL, [RANDOM], WORDS, cost=price)
    assert report.to_json()["decoders"][0]["milliseconds"]["mean"] == pytest.approx(1 + 3)


def test_the_own_law_is_judged_on_other_sequences():
    named = {"uniform": {2: mj.llada_uniform(N, 2)}}
    report = own_law_study(jax.random.key(0), MODEL, WORDS, [1, 2], named=named, orders=4)
    found = report.to_json()
    assert (found["chosen_on"], found["held_out"]) == (20, 20)
    assert [row["schedule"] for row in found["schedules"]] == [
        "mean",
        "own law",
        "mean",
        "own law",
        "uniform",
    ]
    for row in found["schedules"]:
        assert row["importance_nll"]["mean"] <= row["path_nll"]["mean"]
    assert found["schedules"][0]["path_nll_above_mean"]["mean"] == 0


def test_bad_input_is_refused():
    key = jax.random.key(0)
    for call, message in {
        lambda: likelihood_study(key, MODEL, [RANDOM], WORDS[:1]): "sequences is 1: want an integer >= 2",
        lambda: budget_study(
            key, MODEL, WORDS, 9, schedules
        ): "budget is 9: want a number of calls in 1..5",
        lambda: budget_study(key, MODEL, WORDS[:3], 2, schedules): "half of them tune",
        lambda: own_law_study(key, MODEL, WORDS[:3], [2]): "half of them choose",
        lambda: own_law_study(key, MODEL, WORDS, [9]): "steps is 9",
    }.items():
        with pytest.raises(InvalidInputError, match=message):
            call()


def test_a_model_that_is_not_a_number_is_said():
    model = TableDenoiser(jnp.full((3**N, N, 2), jnp.nan, float))
    with pytest.raises(InvalidInputError, match="not a number on sequence 0"):
        likelihood_study(jax.random.key(0), model, [THRESHOLD], WORDS)
