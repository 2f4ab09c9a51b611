"""Many traces at once, what they say of the order, temperatures, and the exact law of a float32 network."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import binom

from mdmjax._errors import InvalidInputError
from mdmjax.decoders.orders import RandomSubset, left_to_right
from mdmjax.decoders.ranked import ConfidenceThreshold, Ranked, confidence
from mdmjax.decoders.reveal import Reveal
from mdmjax.decoders.run import decode, decode_many
from mdmjax.denoisers.perturbed import Argmax, Tempered
from mdmjax.denoisers.table import TableDenoiser, tabulate_denoiser
from mdmjax.denoisers.transformer import Transformer, TransformerConfig
from mdmjax.distributions.joint import tabulate
from mdmjax.distributions.markov import symmetric_chain
from mdmjax.divergences.tables import kl
from mdmjax.laws.exact import exact_law
from mdmjax.laws.random_order import random_order_law
from mdmjax.losses.exact import denoiser_loss_curve, kl_split
from mdmjax.schedules.named import llada_uniform
from mdmjax.schedules.schedule import Schedule, nll
from mdmjax.traces.metrics import trace_metrics
from mdmjax.traces.trace import traces_of


@pytest.fixture(scope="module")
def network():
    """Float32, and far from uniform."""
    config = TransformerConfig(n=5, q=2, width=16, depth=1, heads=2, hidden=16)
    made = Transformer.create(jax.random.key(0), config)
    return eqx.tree_at(lambda t: (t.head, t.embedding), made, (8 * made.head, 30 * made.embedding))


@pytest.fixture(scope="module")
def table(network):
    return tabulate_denoiser(network, dtype=jnp.dtype(float))


@pytest.mark.slow
def test_draws_are_those_of_one_by_one(table):
    decoder, key = Reveal(RandomSubset(llada_uniform(5, 2))), jax.random.key(3)
    many = decode_many(key, table, decoder, 5, batch=2)
    for row, one in enumerate(jax.random.split(key, 5)):
        alone = decode(one, table, decoder)
        assert [x[row].tolist() for x in many[:4]] == [x.tolist() for x in alone[:4]]
    for words in ({"samples": 0}, {"samples": 1, "batch": 0}, {"samples": 1, "max_steps": 0}):
        with pytest.raises(InvalidInputError, match="want an integer >= 1"):
            decode_many(key, table, decoder, **words)


@pytest.mark.parametrize("temperature", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("rule", [Ranked(confidence, Schedule([2, 3])), ConfidenceThreshold(0.7)])
def test_a_temperature_costs_one_call(table, temperature, rule):
    """The same law as with a second, wrapped denoiser; and draws of it."""
    writer = Argmax(table) if temperature == 0 else Tempered(table, temperature)
    decoder = Reveal(rule, temperature=temperature)
    slow = exact_law(writer, Reveal(rule, judge=table))
    fast = exact_law(table, decoder)
    assert fast.probs == pytest.approx(np.asarray(slow.probs), abs=1e-12)
    tokens = np.asarray(decode_many(jax.random.key(0), table, decoder, 2000).tokens)
    drawn = np.bincount(tokens @ (2 ** np.arange(4, -1, -1)), minlength=32)
    law = np.asarray(fast.probs).reshape(-1)
    # Binomial tails, not standard errors: one draw of a rare word is no surprise.
    tails = binom.cdf(drawn, 2000, law), binom.sf(drawn - 1, 2000, law)
    assert min(map(np.min, tails)) > 1e-7


def test_no_temperature_is_refused():
    with pytest.raises(InvalidInputError, match="temperature is -1"):
        Reveal(ConfidenceThreshold(0.5), temperature=-1.0)


def test_the_exact_law_of_a_network_is_what_it_draws(network, table):
    """Straight from float32, and from its table in either precision.

    Not by rank: with everything masked, the rows of all positions are equal but for rounding.
    """
    own = tabulate_denoiser(network)
    assert (own.log_probs.dtype, table.log_probs.dtype) == (np.float32, np.float64)
    decoder = Reveal(left_to_right(llada_uniform(5, 3)))
    laws = [exact_law(denoiser, decoder) for denoiser in (network, own, table)]
    for law in laws:
        assert float(law.probs.sum()) == pytest.approx(1, abs=1e-12)
        assert law.probs == pytest.approx(np.asarray(laws[2].probs), abs=1e-6)
    tokens = np.asarray(decode_many(jax.random.key(0), network, decoder, 4000, batch=500).tokens)
    drawn = np.bincount(tokens @ (2 ** np.arange(4, -1, -1)), minlength=32) / 4000
    law = np.asarray(laws[0].probs).reshape(-1)
    assert np.all(np.abs(drawn - law) <= 5 * np.sqrt(law * (1 - law) / 4000) + 1e-9)


def test_the_errors_of_a_network_add_up(network, table):
    """Sampling plus learning is the cross-entropy of the loss curve less the entropy of the data."""
    joint, schedule = tabulate(symmetric_chain(5, 2, 0.1)), llada_uniform(5, 2)
    entropy = -float(jnp.sum(joint.probs * jnp.log(joint.probs)))
    sampling, learning = kl_split(joint, network, schedule)
    assert learning > 0.1
    loss = denoiser_loss_curve(joint, network)
    assert float(nll(loss, schedule)) - entropy == pytest.approx(float(sampling + learning), abs=1e-5)
    assert kl(joint, random_order_law(table, schedule)) <= sampling + learning + 1e-6


def test_a_table_is_normalised_again():
    rough = TableDenoiser(jnp.log(jnp.array([[[1.0, 0.0]], [[0.0, 1.0]], [[0.2, 0.80001]]], jnp.float32)))
    probs = np.exp(np.asarray(tabulate_denoiser(rough, dtype=jnp.dtype(float)).log_probs))
    assert probs.sum(-1) == pytest.approx(np.ones((3, 1)), abs=1e-12)


def test_left_to_right_is_in_order(table):
    trace = decode(jax.random.key(0), table, Reveal(left_to_right(Schedule([1] * 5))))
    found = trace_metrics(traces_of(trace, 2))
    assert [float(x) for x in (found.afp, found.kendall_tau_b, found.tie_fraction)] == [1, 1, 0]
