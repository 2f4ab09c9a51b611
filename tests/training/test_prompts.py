"""The loss after a prompt against enumeration and loops; what is given is never masked nor learned."""

import dataclasses
import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from _network_oracle import attended, network_logits, normed, turned
from _network_oracle import masked_loss as oracle_loss

from mdmjax._errors import InvalidInputError
from mdmjax.denoisers.transformer import Transformer, TransformerConfig
from mdmjax.files.safetensor_files import to_llama
from mdmjax.training.data import Pool, draw_examples, examples_apart
from mdmjax.training.loss import Masks, masked_loss, ratio_masks, stratified_masks, whole_masks

LAWS = [ratio_masks, stratified_masks]
GIVEN = np.array([[1, 1, 0, 0, 0], [0, 1, 0, 1, 1], [1, 0, 1, 1, 1]], bool)  # 3, 2 and 1 free positions
CONFIG = TransformerConfig(n=5, q=3, width=16, depth=2, heads=2, hidden=24, learned_positions=True)


@pytest.fixture(scope="module")
def networks():
    """Large weights, so that rows are far from uniform: bidirectional, and the same weights causal."""
    network = Transformer.create(jax.random.key(1), CONFIG)
    network = jax.tree.map(lambda x: x * 10 if x.ndim > 1 else x, network)
    return {
        way: dataclasses.replace(network, config=dataclasses.replace(CONFIG, causal=way))
        for way in (False, True)
    }


@pytest.mark.parametrize("law", LAWS)
def test_each_sequence_has_the_mean_weights_of_its_own_free_positions(law):
    """1 / (f m C(f, m)) for every set of m of the f free positions, and of no other, by sequence."""
    draws = 2**13
    given = jnp.asarray(GIVEN)
    masks = jax.jit(jax.vmap(lambda key: law(key, 3, 5, given)))(jax.random.split(jax.random.key(0), draws))
    masked, weights = np.asarray(masks.masked), np.asarray(masks.weights, np.float64)
    assert not (masked & GIVEN[None]).any()
    for row, places in enumerate(np.flatnonzero(~one) for one in GIVEN):
        f = places.size
        for m in range(1, f + 1):
            for chosen in itertools.combinations(places, m):
                here = (masked[:, row] == np.isin(np.arange(5), chosen)).all(axis=1)
                totals = np.where(here, weights[:, row], 0.0)
                wanted = 1 / (f * m * math.comb(f, m))
                assert abs(totals.mean() - wanted) < 5 * totals.std() / math.sqrt(draws) + 1e-6


def test_counts_are_spread_over_a_batch_whatever_is_free():
    given = jnp.zeros((8, 4), bool).at[:, 0].set(True)
    for seed in range(5):
        masked, weights = stratified_masks(jax.random.key(seed), 8, 4, given)
        counts = np.asarray(masked).sum(axis=1)
        np.testing.assert_allclose(weights, 1 / counts, rtol=1e-6)
        shares = np.bincount(counts, minlength=4)[1:]
        assert abs(shares - 8 / 3).max() <= 1


def conditional_loss(logits_of, tokens, given, q):
    """Nats a token of the answer in random order, by all orders, from the definition."""
    places = np.flatnonzero(~given)
    total = 0.0
    for order in itertools.permutations(places):
        seen = np.where(given, tokens, q)
        for place in order:
            hidden = np.arange(tokens.size) == place
            total += oracle_loss(logits_of(seen), tokens, hidden, 1.0)
            seen[place] = tokens[place]
    return total / math.factorial(places.size) / places.size


def test_the_loss_is_that_of_the_answer_in_random_orders(networks):
    """Every set of masks of three sequences with its mean weight, against all orders in NumPy."""
    tokens, network = np.array([[2, 0, 1, 1, 0], [0, 1, 2, 2, 0], [1, 1, 0, 2, 2]]), networks[False]
    args = CONFIG.heads, CONFIG.depth, CONFIG.rotary_base, CONFIG.norm_epsilon
    weights, rows, masked, mass, wanted = to_llama(network), [], [], [], 0.0
    for row, given in zip(tokens, GIVEN, strict=True):
        places = np.flatnonzero(~given)
        f = places.size
        for m in range(1, f + 1):
            for chosen in itertools.combinations(places, m):
                rows.append(row)
                masked.append(np.isin(np.arange(5), chosen))
                mass.append(1 / (f * m * math.comb(f, m)))
        wanted += conditional_loss(lambda seen: network_logits(weights, seen, *args), row, given, 3)
    mass = jnp.asarray(np.array(mass) * len(mass), jnp.float32)
    found = masked_loss(network, jnp.asarray(np.array(rows), jnp.int32), Masks(jnp.asarray(masked), mass))
    assert float(found) == pytest.approx(wanted, rel=1e-4)


def test_a_causal_loss_is_that_of_the_answer_from_the_left(networks):
    """Each token of the answer by those before it alone: the oracle is shown no other."""
    network, row, given = networks[True], np.array([2, 0, 1, 1, 0]), GIVEN[0]
    masks = whole_masks(jax.random.key(0), 1, 5, jnp.asarray(given[None]))
    np.testing.assert_allclose(masks.weights, 1 / 3)
    found = masked_loss(network, jnp.asarray(row[None], jnp.int32), masks)
    weights = to_llama(network)
    total = 0.0
    for i in np.flatnonzero(~given):
        shown = [3, *row[:i]]  # the mask stands before the first
        cut = {k: v[: i + 1] if "positions" in k else v for k, v in weights.items()}
        total += oracle_loss(causal_logits(cut, shown), row[: i + 1], np.arange(i + 1) == i, 1.0)
    assert float(found) == pytest.approx(total / 3, rel=1e-4)


def causal_logits(w, tokens):
    """LLaMA with a causal mask in plain loops of float64; its last row sees all."""
    c = CONFIG
    heads, depth, base, epsilon = c.heads, c.depth, c.rotary_base, c.norm_epsilon
    w = {name: np.asarray(value, np.float64) for name, value in w.items()}
    x = [
        w["model.embed_tokens.weight"][t] + w["model.embed_positions.weight"][p]
        for p, t in enumerate(tokens)
    ]
    size = len(x[0]) // heads
    for i in range(depth):
        of = lambda name, i=i: w[f"model.layers.{i}.{name}.weight"]
        ins = [normed(row, of("input_layernorm"), epsilon) for row in x]
        mixed = [[] for _ in tokens]
        for h in range(heads):
            part = slice(h * size, (h + 1) * size)
            keys = [turned((of("self_attn.k_proj") @ r)[part], p, base) for p, r in enumerate(ins)]
            values = [(of("self_attn.v_proj") @ r)[part] for r in ins]
            for p, row in enumerate(ins):
                query = turned((of("self_attn.q_proj") @ row)[part], p, base)
                mixed[p].extend(attended([query], keys[: p + 1], values[: p + 1])[0])
        x = [row + of("self_attn.o_proj") @ np.array(m) for row, m in zip(x, mixed, strict=True)]
        for p, row in enumerate(x):
            y = normed(row, of("post_attention_layernorm"), epsilon)
            gate = [g / (1 + math.exp(-g)) for g in of("mlp.gate_proj") @ y]
            x[p] = row + of("mlp.down_proj") @ (np.array(gate) * (of("mlp.up_proj") @ y))
    return np.array([w["lm_head.weight"] @ normed(row, w["model.norm.weight"], epsilon) for row in x])


def test_the_logits_of_prompts_have_no_gradient(networks):
    """The derivative by the rows of the head, row by row: only masked positions push on what they say."""
    tokens = jnp.asarray([[2, 0, 1, 1, 0]], jnp.int32)
    masks = stratified_masks(jax.random.key(3), 1, 5, jnp.asarray(GIVEN[:1]))

    class Shifted(Transformer):
        """The network with something added to its logits."""

        more: jax.Array

        def logits(self, tokens, visible=None):
            return super().logits(tokens) + self.more

    parts = {
        field.name: getattr(networks[False], field.name) for field in dataclasses.fields(networks[False])
    }
    loss = lambda more: masked_loss(Shifted(**parts, more=more), tokens, masks)
    push = jax.grad(loss)(jnp.zeros((1, 5, 3), jnp.float32))
    moved = np.abs(np.asarray(push)).max(axis=2)[0] > 0
    np.testing.assert_array_equal(moved, np.asarray(masks.masked)[0])


# Data.


@pytest.fixture(scope="module")
def pool():
    tokens = jnp.asarray(np.arange(20).reshape(4, 5) % 3, jnp.uint8)
    return Pool(tokens, jnp.asarray(np.tile(GIVEN[0], (4, 1))), q=3)


def test_a_pool_is_drawn_from_uniformly_with_its_prompts(pool):
    tokens, given = draw_examples(jax.random.key(0), pool, 4000)
    assert (np.asarray(given) == GIVEN[0]).all()
    rows = [row.tolist() for row in np.asarray(pool.tokens)]
    found = [rows.index(row) for row in np.asarray(tokens).tolist()]
    first = {tuple(row): rows.index(row) for row in rows}
    counts = np.bincount(found, minlength=4)
    wanted = np.bincount([first[tuple(row)] for row in rows], minlength=4) * 1000
    assert abs(counts - wanted).max() < 5 * math.sqrt(2000)


def test_problems_apart_are_different_ones():
    pool = Pool(jnp.arange(6, dtype=jnp.uint8)[:, None], jnp.zeros((6, 1), bool), q=6)
    tokens, given = examples_apart(jax.random.key(0), pool, 6)
    assert sorted(np.asarray(tokens)[:, 0].tolist()) == list(range(6))
    assert given.shape == (6, 1)
    with pytest.raises(InvalidInputError, match="sequences is 7: want at most 6, the held-out problems"):
        examples_apart(jax.random.key(0), pool, 7)


def test_a_problem_without_an_answer_is_refused():
    with pytest.raises(InvalidInputError, match="given is every token of a problem"):
        Pool(jnp.zeros((1, 2), jnp.uint8), jnp.ones((1, 2), bool), q=2)
