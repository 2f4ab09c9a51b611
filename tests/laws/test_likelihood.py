"""The likelihood of a decoder against its exact law, at every sequence; estimates in standard errors."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from _oracles import best_first
from _sampled_models import draws, rows_of, table_of, wrong

from mdmjax._errors import InvalidInputError
from mdmjax.decoders.base import AbstractRule
from mdmjax.decoders.kept import kept_on_the_way
from mdmjax.decoders.low_confidence import LowConfidence
from mdmjax.decoders.nested import EarlyCommit, SemiAutoregressive
from mdmjax.decoders.orders import FixedPartition, RandomSubset, dilated, left_to_right, right_to_left
from mdmjax.decoders.ranked import (
    ConfidenceFactor,
    ConfidenceThreshold,
    EntropyBounded,
    EntropySum,
    Ranked,
    confidence,
    margin,
    negative_entropy,
    row_entropy,
)
from mdmjax.decoders.remasking import Wino
from mdmjax.decoders.reveal import AtTemperature, Reveal
from mdmjax.decoders.verification import BlockVerification
from mdmjax.denoisers.base import Oracle
from mdmjax.denoisers.conditioned import Conditioned
from mdmjax.denoisers.perturbed import Mixed, Tempered
from mdmjax.denoisers.transformer import Transformer, TransformerConfig
from mdmjax.distributions.joint import Joint
from mdmjax.laws.exact import exact_law
from mdmjax.laws.likelihood import decoder_paths, exact_nll
from mdmjax.schedules.schedule import Schedule

N, Q = 4, 3
WORDS = jnp.asarray(np.array(list(itertools.product(range(Q), repeat=N))))
SIZES = Schedule([1, 2, 1])
ONE_PATH = {
    "l2r": left_to_right(SIZES),
    "r2l": right_to_left(SIZES),
    "dilated": dilated(N),
    "blocks": FixedPartition([[1], [0, 3], [2]]),
    "confidence": Ranked(confidence, SIZES),
    "entropy": Ranked(negative_entropy, SIZES),
    "margin": Ranked(margin, SIZES),
    "hard-first": Ranked(row_entropy, SIZES),
    "threshold": ConfidenceThreshold(0.6),
    "factor": ConfidenceFactor(0.9),
    "entropy-bounded": EntropyBounded(0.7),
    "entropy-sum": EntropySum(0.7, [2, 0, 3, 1]),
    "early-commit": EarlyCommit(Ranked(confidence, Schedule([1] * N)), [1.5, 1.0, 0.5]),
    "semi-autoregressive": SemiAutoregressive(Ranked(confidence, Schedule([1, 1])), 2),
}
RANDOM = {
    "random": Reveal(RandomSubset(SIZES)),
    "entropy-sum": Reveal(EntropySum(0.7)),
    "early-commit": Reveal(EarlyCommit(RandomSubset(SIZES), [1.5, 1.0, 0.5])),
    "low-confidence": LowConfidence(SIZES),
    "low-confidence of two": LowConfidence(Schedule([2, 2]), temperature=0.7),
    "dream": Reveal(Ranked(confidence, SIZES, choice_temperature=0.3)),
    "maskgit": LowConfidence.maskgit(SIZES, 1.5),
    "discounted": LowConfidence(SIZES, discounted=[1], discount=0.5),
    "last of all": LowConfidence(SIZES, discounted=[1], discount=0.0),
    "tempered": AtTemperature(LowConfidence(SIZES), 1.5),
}


@functools.cache
def joints():
    """Fifty tables, many of whose words hardly occur."""
    found = []
    for seed in range(50):
        probs = np.random.default_rng(seed).dirichlet(np.full(Q**N, 0.2)) + 1e-9
        found.append(Joint(jnp.asarray((probs / probs.sum()).reshape((Q,) * N))))
    return found


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (i >= 6)) for i, name in enumerate(ONE_PATH)]
)
def test_exact_nll_is_the_exact_law_at_every_word(name):
    """On fifty joints, with a denoiser that is wrong, at temperature 1 and at another."""
    for number, joint in enumerate(joints()):
        denoiser = Mixed(Oracle(joint), 0.05 + 0.01 * number)
        decoder = Reveal(ONE_PATH[name], temperature=(1.0, 0.6)[number % 2])
        law = np.asarray(exact_law(denoiser, decoder).probs).reshape(-1)
        assert np.exp(-exact_nll(denoiser, decoder, WORDS, batch=16)) == pytest.approx(law, abs=1e-13)


MANY = {
    "discounted",
    "last of all",
    "tempered",
    "low-confidence of two",
    "maskgit",
    "low-confidence",
    "entropy-sum",
}  # programs that compile long


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name in MANY)) for name in RANDOM]
)
def test_estimates_have_the_exact_law_as_their_mean(name):
    """Within five standard errors at every word that is not rare, on two joints; bounds in their order."""
    decoder = RANDOM[name]
    for number, joint in enumerate(joints()[:2]):
        denoiser = Mixed(Oracle(joint), 0.1)
        law = np.asarray(exact_law(denoiser, decoder).probs).reshape(-1)
        (paths,) = decoder_paths(jax.random.key(number), denoiser, [decoder], WORDS, orders=1000, batch=512)
        assert not paths.exact
        weights = np.exp(paths.log_weight)
        error = weights.std(axis=1, ddof=1) / np.sqrt(1000)
        often = law > 1e-3  # others have a path so rare that it may never be drawn
        assert often.sum() > 20
        assert np.all((np.abs(weights.mean(axis=1) - law) < 5 * error + 1e-12)[often])
        assert np.all(paths.importance_nll <= paths.path_nll + 1e-12)
        spread = np.log(weights).std(axis=1) / np.sqrt(1000)
        assert np.all((paths.path_nll + np.log(law) > -5 * spread - 1e-12)[often])


def kept_sets_by_words(rows, judged, masked, word, size):
    """The probability that a step keeps exactly each set of positions with the tokens of `word`."""
    n, q = rows.shape
    places = [i for i in range(n) if masked[i]]
    found = {}
    for tokens in itertools.product(range(q), repeat=len(places)):
        drawn = dict(zip(places, tokens, strict=True))
        chance = np.prod([rows[i, a] for i, a in drawn.items()])
        scores = np.array([judged[i, drawn[i]] if masked[i] else 0.0 for i in range(n)])
        kept = tuple(sorted(best_first(scores.tolist(), places)[:size]))
        if all(drawn[i] == word[i] for i in kept):
            found[kept] = found.get(kept, 0.0) + chance
    return found


@pytest.mark.parametrize("seed", range(6))
def test_sets_are_kept_as_often_as_all_words_say(seed):
    """The sum over all sets, and the share of each, with equal confidences among them."""
    rng = np.random.default_rng(seed)
    n, q = 5, 3
    rows = rng.dirichlet(np.ones(q), n).round(1) + 0.1
    rows /= rows.sum(axis=1, keepdims=True)
    judged = rng.dirichlet(np.ones(q), n).round(1) if seed % 2 else rows
    masked = np.array([True, True, seed % 3 > 0, True, True])
    word, size = rng.integers(0, q, n), 1 + seed % 3
    exact = kept_sets_by_words(rows, judged, masked, word, size)
    keys = jax.random.split(jax.random.key(seed), 4000)
    values = jnp.asarray(judged), jnp.log(jnp.asarray(rows)), jnp.asarray(masked), jnp.asarray(word)
    kept, weight = jax.vmap(lambda key: kept_on_the_way(key, *values, jnp.array(size), 3))(keys)
    assert np.exp(weight[0]) == pytest.approx(sum(exact.values()), rel=1e-12)
    assert set(np.asarray(weight).tolist()) == {float(weight[0])}
    found = [tuple(np.flatnonzero(row)) for row in np.asarray(kept)]
    for places, chance in exact.items():
        share = chance / sum(exact.values())
        error = np.sqrt(share * (1 - share) / 4000)
        assert abs(found.count(places) / 4000 - share) < 5 * error + 1e-12
    assert set(found) <= set(exact)


def test_a_word_that_is_never_written_has_no_likelihood():
    joint = Joint(jnp.array([[0.5, 0.0], [0.0, 0.5]]))
    found = exact_nll(Oracle(joint), Reveal(left_to_right(Schedule([1, 1]))), jnp.array([[0, 1], [1, 1]]))
    assert found.tolist() == [np.inf, pytest.approx(np.log(2))]
    (paths,) = decoder_paths(
        jax.random.key(0), Oracle(joint), [LowConfidence(Schedule([1, 1]))], jnp.array([[0, 1]]), orders=3
    )
    assert paths.importance_nll.tolist() == [np.inf]


def test_calls_are_those_of_the_decoder():
    """As many as it makes on that word, whatever shares the batch; their costs by revealed tokens."""
    joint = table_of(N, Q, seed=3)
    denoiser, decoder = wrong(joint), Reveal(ConfidenceThreshold(0.6))
    words = draws(joint, 30)
    price = jnp.array([1.0, 10.0, 100.0, 1000.0])
    (paths,) = decoder_paths(jax.random.key(0), denoiser, [decoder], words, cost=price, batch=7)
    rows = rows_of(denoiser)
    for word, calls, cost in zip(words.tolist(), paths.calls[:, 0], paths.cost[:, 0], strict=True):
        state, steps, paid = [Q] * N, 0, 0.0
        while Q in state:
            sure = np.exp(rows[tuple(state)]).max(axis=1)
            hidden = [i for i in range(N) if state[i] == Q]
            best = max(hidden, key=lambda i: (round(sure[i], 12), -i))
            paid += float(price[N - len(hidden)])
            for i in hidden:
                if sure[i] >= 0.6 or i == best:
                    state[i] = word[i]
            steps += 1
        assert (calls, cost) == (steps, paid)


def test_a_family_is_one_batch_and_says_the_same_as_each_alone():
    joint = table_of(N, Q)
    denoiser, words, key = wrong(joint), draws(joint, 9), jax.random.key(5)
    decoders = [Reveal(ConfidenceThreshold(t)) for t in (0.3, 0.5, 0.9)]
    decoders += [Reveal(RandomSubset(Schedule(counts))) for counts in ([4], [2, 2], [1, 3])]
    decoders += [LowConfidence(Schedule([2, 2]))]
    together = decoder_paths(key, denoiser, decoders, words, orders=3, batch=5)
    for decoder, found in zip(decoders, together, strict=True):
        (alone,) = decoder_paths(key, denoiser, [decoder], words, orders=3)
        assert found.log_weight == pytest.approx(alone.log_weight, rel=1e-12)
        assert np.array_equal(found.calls, alone.calls)


def test_a_network_is_followed_in_float32():
    config = TransformerConfig(n=6, q=3, width=16, depth=1, heads=2, hidden=16)
    network = Transformer.create(jax.random.key(0), config)
    words = jax.random.randint(jax.random.key(1), (5, 6), 0, 3)
    schedule = Schedule([2, 4])
    found = exact_nll(network, Reveal(left_to_right(schedule)), words)
    first = network(jnp.full(6, 3))
    by_hand = []
    for word in words:
        second = network(jnp.where(jnp.arange(6) < 2, word, 3))
        rows = jnp.where((jnp.arange(6) < 2)[:, None], first, second)
        by_hand.append(-float(rows[jnp.arange(6), word].sum()))
    assert found == pytest.approx(by_hand, rel=1e-5)
    assert found.dtype == np.float64


def test_an_answer_after_a_prompt():
    """The likelihood of a conditioned denoiser is that of the conditional table."""
    joint = table_of(N, 2, seed=4)
    prompt = Conditioned(Oracle(joint), jnp.array([1, 0, 0, 1]), jnp.array([1, 2]))
    conditional = np.asarray(joint.probs)[1, :, :, 1]
    oracle = Oracle(Joint(jnp.asarray(conditional / conditional.sum())))
    words = jnp.asarray(list(itertools.product(range(2), repeat=2)))
    for rule in (ConfidenceThreshold(0.7), left_to_right(Schedule([2]))):
        one, other = (exact_nll(d, Reveal(rule), words) for d in (prompt, oracle))
        assert one == pytest.approx(other, rel=1e-12)


def test_every_sequence_may_have_a_prompt_of_its_own():
    """One denoiser a sequence in one batch says what each says alone."""
    joint = table_of(N, 2, seed=4)
    prompts = [[1, 0, 0, 1], [0, 0, 0, 1], [0, 0, 0, 0]]
    models = [Conditioned(Oracle(joint), jnp.array(one), jnp.array([1, 2])) for one in prompts]
    words = jnp.array([[0, 1], [1, 1], [0, 0]])
    decoders = [Reveal(ConfidenceThreshold(0.7)), Reveal(left_to_right(Schedule([1, 1])))]
    found = decoder_paths(jax.random.key(0), models, decoders, words, batch=2)
    for decoder, paths in zip(decoders, found, strict=True):
        alone = [exact_nll(model, decoder, word[None]) for model, word in zip(models, words, strict=True)]
        assert paths.path_nll == pytest.approx(np.concatenate(alone), rel=1e-12)
    with pytest.raises(InvalidInputError, match="or 3 of one kind, one for each sequence"):
        decoder_paths(jax.random.key(0), models[:2], decoders, words)


class Lazy(AbstractRule):
    """A rule that breaks its promise: it reveals nothing."""

    is_random = False

    def choose(self, key, log_probs, tokens, step):
        return jnp.zeros(tokens.shape, bool)


def test_a_rule_that_reveals_nothing_ends():
    joint = table_of(3, 2)
    assert exact_nll(Oracle(joint), Reveal(Lazy()), draws(joint, 2)).tolist() == [np.inf, np.inf]


def test_bad_input_is_refused():
    joint = table_of(3, 2)
    denoiser, key, words = Oracle(joint), jax.random.key(0), draws(joint, 2)
    good = Reveal(ConfidenceThreshold(0.5))
    random = Reveal(RandomSubset(Schedule([3])))
    truth = BlockVerification(joint, [[0], [1, 2]])
    for call, message in {
        lambda: exact_nll(denoiser, random, words): "one path to a sequence; decoder_paths",
        lambda: exact_nll(denoiser, good, words[:, :2]): "shape",
        lambda: exact_nll(denoiser, good, words, batch=0): "batch is 0",
        lambda: decoder_paths(key, denoiser, [], words): "decoders is none",
        lambda: decoder_paths(key, denoiser, [random], words, orders=0): "orders is 0",
        lambda: decoder_paths(key, denoiser, [random], words, orders=10**9): "GiB",
        lambda: decoder_paths(key, denoiser, [Wino()], words): "Wino: want one whose tokens stay",
        lambda: decoder_paths(key, denoiser, [truth], words): "BlockVerification: want one whose",
        lambda: decoder_paths(
            key, denoiser, [good], words, cost=jnp.ones(2)
        ): "one number for each of 0..2",
    }.items():
        with pytest.raises(InvalidInputError, match=message):
            call()


@pytest.mark.usefixtures("without_type_checks")
def test_slips_of_types_are_refused():
    joint = table_of(3, 2)
    words, rule = draws(joint, 2), ConfidenceThreshold(0.5)
    with pytest.raises(InvalidInputError, match="makes one of a rule"):
        exact_nll(Oracle(joint), rule, words)
    with pytest.raises(InvalidInputError, match="sequences is a list: want an array of integers"):
        exact_nll(Oracle(joint), Reveal(rule), words.tolist())
    with pytest.raises(InvalidInputError, match="decoders is one Reveal: want a list"):
        decoder_paths(jax.random.key(0), Oracle(joint), Reveal(rule), words)
    with pytest.raises(InvalidInputError, match="denoiser is a Joint"):
        exact_nll(joint, Reveal(rule), words)


def test_temperature_of_the_writer_only():
    """A tempered writer does not change what the rule goes by."""
    joint = table_of(3, 2)
    denoiser, words = wrong(joint), draws(joint, 5)
    rule = left_to_right(Schedule([1, 1, 1]))
    one = exact_nll(denoiser, Reveal(rule, temperature=0.5), words)
    assert one == pytest.approx(exact_nll(Tempered(denoiser, 0.5), Reveal(rule), words), rel=1e-12)
