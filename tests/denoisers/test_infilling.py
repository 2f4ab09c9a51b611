"""A model of the host as a denoiser: against the oracle that it wraps, batch by batch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import mdmjax as mj
from mdmjax._errors import InvalidInputError
from mdmjax.denoisers.infilling import Infilling

JOINT = mj.Joint(jnp.asarray(np.random.default_rng(0).dirichlet(np.full(27, 0.5)).reshape(3, 3, 3)))
IDS = np.array([1, 4, 6])
"""The outside ids of the symbols: of eight, where 0 and 7 are special and 5 is the mask."""


def table():
    oracle = mj.Oracle(JOINT)
    states = np.array(np.meshgrid(*[range(4)] * 3, indexing="ij")).reshape(3, -1).T
    return np.asarray(jax.vmap(oracle)(jnp.asarray(states))).reshape(4, 4, 4, 3, 3)


ROWS = table()


def host(shift, kind, calls):
    """Logits of [0, x, x, x, 7] with all that is special likely, and a constant added to each row."""

    def logits(ids):
        calls.append(len(ids))
        inside = np.array([9, 0, 9, 9, 1, 3, 2, 9])[ids[:, 1:4]]
        found = np.full((len(ids), 5, 8), 3.0)
        found[:, 1 - shift : 4 - shift, IDS] = ROWS[tuple(inside.T)] + 2.5
        return found if kind == "numpy" else pytest.importorskip("torch").from_numpy(found)

    return logits


@pytest.mark.parametrize("shift", [0, 1])
@pytest.mark.parametrize("kind", ["numpy", "torch"])
def test_it_is_the_oracle_that_it_wraps(shift, kind):
    calls, how = [], {"vocabulary": 8, "mask_id": 5, "forbidden": (0, 2, 3, 7), "shift": shift}
    model = Infilling(host(shift, kind, calls), [0, 5, 5, 5, 7], [1, 2, 3], **how)
    assert (model.n, model.q) == (3, 3)
    assert np.searchsorted(model.symbols, [6, 1, 4]).tolist() == [2, 0, 1]
    states = jnp.array([[3, 3, 3], [0, 3, 2], [3, 1, 1], [2, 2, 2]])
    found = np.exp(jax.jit(jax.vmap(model))(states))
    assert found == pytest.approx(np.exp(jax.vmap(mj.Oracle(JOINT))(states)), abs=1e-6)
    assert calls == [1, 4]  # one to see, and one for all
    alone = [[np.exp(model.log_probs_at(state, jnp.array(i))) for i in range(3)] for state in states[1:3]]
    np.testing.assert_allclose(alone, found[1:3], rtol=0, atol=1e-12)


def test_decoders_run_it_and_laws_are_exact():
    calls, how = [], {"vocabulary": 8, "mask_id": 5, "forbidden": (0, 2, 3, 7)}
    model = Infilling(host(0, "numpy", calls), [0, 5, 5, 5, 7], [1, 2, 3], **how)
    decoder = mj.Reveal(mj.ConfidenceThreshold(0.6))
    law = mj.exact_law(model, decoder)
    assert mj.total_variation(law, mj.exact_law(mj.Oracle(JOINT), decoder)) < 1e-12
    one = mj.decode(jax.random.key(0), model, decoder)
    two = mj.decode(jax.random.key(0), mj.Oracle(JOINT), decoder)
    assert one.tokens.tolist() == two.tokens.tolist()


@pytest.mark.parametrize(("mask_id", "forbidden", "name"), [(8, (), "mask_id"), (0, (9,), "forbidden")])
def test_ids_outside_the_vocabulary_are_refused(mask_id, forbidden, name):
    with pytest.raises(InvalidInputError, match=f"{name} is [89]: want an id in 0..7"):
        Infilling(lambda ids: ids, [0, 1], [0], vocabulary=8, mask_id=mask_id, forbidden=forbidden)
