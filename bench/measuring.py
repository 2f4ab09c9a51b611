"""Measuring a model against the forward passes alone that it needs; a likelihood against the decoder."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from mdmjax import (
    Ranked,
    Reveal,
    Transformer,
    TransformerConfig,
    confidence,
    decode_many,
    decoder_paths,
    llada_uniform,
    measure,
)

from ._timing import Row, seconds

SEQUENCES, BATCH, LENGTH, SYMBOLS = 24, 16, 104, 30


def network() -> Transformer:
    config = TransformerConfig(LENGTH, SYMBOLS, width=256, depth=4, heads=4, hidden=688)
    return Transformer.create(jax.random.key(0), config)


def measuring() -> Row:
    """The same calls, in batches of the same size, with nothing done to their logits."""
    model = network()
    logits = eqx.filter_jit(model.logits)
    padded = lambda ids: jnp.pad(logits(jnp.asarray(ids)), ((0, 0), (0, 0), (0, 1)))
    data = np.random.default_rng(0).integers(0, SYMBOLS, (SEQUENCES, LENGTH))
    levels = np.unique(np.linspace(1, LENGTH, 16).astype(int))
    found = measure(0, padded, data, mask_id=SYMBOLS, levels=levels, batch=BATCH)
    ours, compiling = seconds(
        lambda: measure(0, padded, data, mask_id=SYMBOLS, levels=levels, batch=BATCH).losses.loss
    )
    rows = -(-found.calls // BATCH)
    tokens = np.full((BATCH, LENGTH), SYMBOLS)

    def bare() -> None:
        padded(tokens[:1])  # one sequence alone, as the check of its neighbours
        for _ in range(rows):
            last = padded(tokens)
        jax.block_until_ready(last)

    theirs = seconds(bare)[0]
    note = f"{found.calls} calls of {LENGTH} tokens in batches of {BATCH}, and one alone; masks made too"
    return Row("measure a model", ours, compiling, "its forward passes alone", theirs, 1 / 1.05, note)


def following() -> Row:
    """As many calls as the decoder makes, with a batch that is filled up as paths end."""
    model, decoder = network(), Reveal(Ranked(confidence, llada_uniform(LENGTH, 8)))
    words = jax.random.randint(jax.random.key(1), (64, LENGTH), 0, SYMBOLS)
    key = jax.random.key(2)
    (paths,) = decoder_paths(key, model, [decoder], words, batch=BATCH)
    ours, compiling = seconds(lambda: decoder_paths(key, model, [decoder], words, batch=BATCH)[0].calls, 3)
    drawn = decode_many(key, model, decoder, 64, batch=BATCH)
    theirs = seconds(lambda: decode_many(key, model, decoder, 64, batch=BATCH).tokens, 3)[0]
    per = paths.calls.sum() / ours, float(drawn.calls.sum()) / theirs
    made = paths.calls.sum(), int(drawn.calls.sum())
    note = f"{made[0]} calls, {per[0]:.4g} a second; the sampler {made[1]}, {per[1]:.4g}"
    scaled = theirs * float(paths.calls.sum()) / float(drawn.calls.sum())
    return Row("likelihood, confidence, 8 steps", ours, compiling, "decoding, by call", scaled, 0.0, note)


def run() -> list[Row]:
    return [measuring(), following()]
