import numpy as np
import pytest
from _hidden_models import EMISSION, INITIAL, TRANSITION, draws, small
from _oracles import hmm_table, table_conditionals

from mdmjax import InvalidInputError, information_curve, tabulate
from mdmjax.information.loss_means import loss_means
from mdmjax.losses.entropies import bounded_batch, curve_levels, entropy_losses, row_bytes
from mdmjax.losses.masks import mask_plan


def test_every_row_by_the_table():
    """The mean entropy of the masked positions, of the context that the plan says."""
    model, data = small(), draws(small(), 5)
    found = entropy_losses(3, model, data, batch=8)
    plan = mask_plan(3, np.ones(data.shape, bool))
    table = hmm_table(INITIAL, TRANSITION, EMISSION, 6)
    assert found.loss.size == plan.rows == 30
    for row in range(plan.rows):
        masked = plan.masked(row)
        context = np.where(masked, 3, data[plan.sequence[row]])
        rows = table_conditionals(table, context)[masked]
        wanted = -np.sum(rows * np.log(np.where(rows > 0, rows, 1.0))) / masked.sum()
        assert found.loss[row] == pytest.approx(wanted, rel=1e-11)
        assert found.n_masked[row] == masked.sum()


def five_errors(seeds, samples):
    """How many standard errors each estimate is from the exact curve, `[seeds, n]`."""
    model = small()
    exact = np.asarray(information_curve(tabulate(model)).loss)
    apart = []
    for seed in seeds:
        losses = entropy_losses(seed, model, draws(model, samples, seed), batch=6 * samples)
        table = losses.table()
        wanted = exact[6 - table.n_masked]
        assert table.loss[-1] == pytest.approx(wanted[-1], rel=1e-12)  # all masked: nothing is random
        apart.append((table.loss - wanted)[:-1] / table.stderr[:-1])
    return np.array(apart)


def test_unbiased_within_five_standard_errors():
    assert np.abs(five_errors(range(3), 400)).max() < 5


@pytest.mark.slow
def test_unbiased_on_a_hundred_seeds():
    """Every level within five errors, their mean 0 and their spread 1: the errors are what they say."""
    apart = five_errors(range(100), 500)
    assert np.abs(apart).max() < 5
    assert np.abs(apart.mean(axis=0)).max() < 5 / np.sqrt(100)
    assert 0.7 < apart.std() < 1.3


def test_less_noise_than_the_loss_of_a_token():
    """Rao-Blackwell: the same contexts with -log p of one masked position vary more."""
    model = small()
    data = draws(model, 400)
    losses = entropy_losses(0, model, data, batch=2400)
    plan = mask_plan(0, np.ones(data.shape, bool))
    table = hmm_table(INITIAL, TRANSITION, EMISSION, 6)
    rows = np.flatnonzero(plan.n_masked == 3)
    plain = []
    for row in rows.tolist():
        masked, word = plan.masked(row), data[plan.sequence[row]]
        place = np.flatnonzero(masked)[0]
        plain.append(-np.log(table_conditionals(table, np.where(masked, 3, word))[place, word[place]]))
    assert np.var(losses.loss[rows]) < 0.2 * np.var(plain)


def test_an_estimation_goes_on():
    """Stopped in the middle of a batch: the same rows."""
    model, data = small(), draws(small(), 4)
    whole = entropy_losses(1, model, data, batch=8).loss
    kept = []
    entropy_losses(1, model, data, known=whole[:10], keep=kept.extend, batch=8)
    np.testing.assert_allclose(kept, whole[10:], rtol=1e-13)


def test_levels_are_dense_where_little_is_revealed():
    assert curve_levels(64).tolist() == list(range(1, 65))
    revealed = 65536 - curve_levels(65536)[::-1]
    assert revealed[0] == 0
    assert revealed[-1] == 65535
    assert {1, 2, 4, 8, 16, 32, 64, 128, 32768} <= set(revealed.tolist())
    assert revealed.size < 50


def test_memory_is_stated_before_it_is_taken():
    model = small(4096)
    need = row_bytes(model)
    assert need == 8 * 4096 * (10 * 3 + 4 * 3 + 8)
    assert bounded_batch(model, 64, 10**6) == 64
    assert bounded_batch(model, 10**6, 10**6) == 2**31 // need
    with pytest.raises(InvalidInputError, match="conditionals of one sequence of at most 2.0 GiB"):
        bounded_batch(small(2**25), 1, 1)
    with pytest.raises(InvalidInputError, match="two or more"):
        entropy_losses(0, small(), draws(small(), 1))


def test_errors_are_known_from_sequences():
    means = loss_means(entropy_losses(0, small(), draws(small(), 8), batch=8).rows())
    assert means.kind == "sequences"
    assert means.degrees == 7
