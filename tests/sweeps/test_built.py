"""Cases that are built at once are those that are built one by one, bit by bit, with the same refusals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mdmjax.studies.named_decoders import DECODERS
from mdmjax.sweeps.config import parse_config
from mdmjax.sweeps.engine import _alike, _together, built, completed, rows_of
from mdmjax.sweeps.studies import STUDIES

LAW = STUDIES["law"]
SOURCES = {
    "noisy-bit": {"n": 3, "flip": [0.1, 0.2]},
    "markov": {"n": 3, "flip": [0.1, 0.2]},
    "block-hmm": {"blocks": 2, "block_size": 2, "eta": [0.1, 0.2], "kept": [0.8, 0.9]},
    "random-table": {"n": 3, "concentration": [0.3, 0.5]},
}
ERRORS = [
    {"mix": [0.0, 0.1]},
    {"dirichlet": [3.0, 5.0], "seed": [0, 1]},
    {"entropy_noise": [0.1, 0.2]},
    {"temperature": [0.5, 1.0]},
]


def points_of(source, decoder, **axes):
    knobs = {knob.name: knob.default for knob in DECODERS[decoder].knobs if isinstance(knob.default, float)}
    given = {name: [0.9 * value, value] for name, value in knobs.items()}
    tables = {"source": [{"name": source} | SOURCES[source]], "decoder": [{"name": decoder} | given]}
    config = parse_config({"study": "law", "axes": tables | {"steps": [2]} | axes})
    points, failed = completed(config, range(config.size))
    return {place: point for place, point in enumerate(points) if failed[place] is None}


def by_place(groups):
    return {
        place: (jax.tree.leaves(jax.tree.map(lambda leaf, k=k: leaf[k], group.arrays)), group.known)
        for group in groups
        for k, place in enumerate(group.places)
    }


def check_same(points):
    cases = {}
    for place, point in points.items():
        try:
            cases[place] = LAW.case(point)
        except Exception:
            continue
    found, expected = by_place(built(LAW, points)), by_place(_alike(cases))
    assert found.keys() == expected.keys()
    for place, (leaves, known) in expected.items():
        assert found[place][1] == known
        for ours, theirs in zip(found[place][0], leaves, strict=True):
            assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype)
            if jnp.issubdtype(ours.dtype, jax.dtypes.prng_key):
                ours, theirs = map(jax.random.key_data, (ours, theirs))
            np.testing.assert_array_equal(ours, theirs)
    return found


def test_built_at_once_with_what_is_refused_left_out():
    points = points_of("noisy-bit", "l2r", mix=[0.0, 0.1, -1.0])
    assert len(check_same(points)) == 4
    for _ in range(2):  # programs within are compiled the first time, and known the second
        group = _together(LAW, list(points), list(points.values()))
        assert group is not None
        assert group.places == [place for place, point in points.items() if point["mix"] >= 0]


@pytest.mark.slow
def test_what_is_refused_is_a_row_with_its_reason():
    axes = {"source": [{"name": "markov", "n": 2, "flip": [0.1, 0.2]}], "mix": [0.0, 1.5], "steps": [2]}
    rows = rows_of(
        parse_config({"study": "law", "axes": axes | {"decoder": "l2r"}}), range(4), mapped_from=1
    )
    reason = "delta is 1.5: want a probability in [0, 1]"
    assert rows["failed"] == [None, reason, None, reason]
    assert rows["forward_kl"] == [pytest.approx(0, abs=1e-12), None] * 2


@pytest.mark.slow
@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("decoder", DECODERS)
def test_every_decoder_and_error(source, decoder):
    for error in ({}, *ERRORS):
        check_same(points_of(source, decoder, **error))


def test_points_of_other_columns_are_not_built_together():
    """One source with a share that is uniform, and the same with an error by entropy."""
    sources = [{"name": "markov", "n": 2, error: [0.1, 0.2]} for error in ("mix", "entropy_noise")]
    config = parse_config({"study": "law", "axes": {"source": sources, "decoder": "l2r", "steps": 2}})
    assert [len(chunk) for chunk in config.chunks()] == [2, 2]
    points, _ = completed(config, range(4))
    assert [group.places for group in built(LAW, dict(enumerate(points)))] == [[0, 1], [2, 3]]
