"""Losses in other units, and rows of one mask count: against the definitions, token by token."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdmjax._errors import InvalidInputError
from mdmjax.information.loss_rows import PER, UNITS, masked_token_nats, merged_rows


@given(st.integers(1, 40), st.data())
def test_a_logged_loss_is_made_that_of_a_masked_token(n, data):
    """The nats of each masked token, summed, averaged and weighted in the words of the definition."""
    m = data.draw(st.integers(1, n))
    nats = np.array(data.draw(st.lists(st.floats(1e-3, 20), min_size=m, max_size=m)))
    unit = data.draw(st.sampled_from(UNITS[:2]))
    for per in PER:
        for weighted in (False, True):
            total = 0.0
            for one in nats:
                total += one * (n / m if weighted else 1.0)
            logged = (
                total
                / {"token": m, "position": n, "sequence": 1}[per]
                / (np.log(2) if unit == "bits" else 1)
            )
            loss, stderr = masked_token_nats(
                np.array([logged]),
                np.array([logged / 7]),
                np.array([float(m)]),
                n,
                unit=unit,
                per=per,
                weighted=weighted,
            )
            assert loss[0] == pytest.approx(nats.mean(), rel=1e-12)
            assert stderr[0] == pytest.approx(nats.mean() / 7, rel=1e-12)


def test_the_standard_error_of_a_log_perplexity_is_that_of_its_draws():
    rng = np.random.default_rng(0)
    loss, stderr = masked_token_nats(
        np.array([20.0]), np.array([0.4]), np.array([3.0]), 8, unit="perplexity"
    )
    drawn = np.log(20 + 0.4 * rng.standard_normal(10**5))
    assert loss[0] == np.log(20)
    assert stderr[0] == pytest.approx(drawn.std(), rel=0.02)


def test_nothing_changes_by_default():
    values = np.array([0.1, 1 / 3])
    assert masked_token_nats(values, None, np.array([1.0, 3.0]), 7) == (pytest.approx(values, abs=0), None)


@given(
    st.lists(
        st.tuples(st.integers(1, 4), st.floats(0, 9), st.floats(0, 2), st.floats(0.1, 50)),
        min_size=1,
        max_size=12,
    )
)
def test_merged_rows_are_sums_over_the_rows(rows):
    columns = [np.array(column) for column in zip(*rows, strict=True)]
    merged = merged_rows(*columns)
    if len({row[0] for row in rows}) == len(rows):
        assert all(one is other for one, other in zip(merged, columns, strict=True))
        return
    assert merged[0].tolist() == sorted({row[0] for row in rows})
    for m, loss, stderr, count in zip(*(values.tolist() for values in merged), strict=True):
        same = [row for row in rows if row[0] == m]
        weight = sum(row[3] for row in same)
        assert count == pytest.approx(weight)
        assert loss == pytest.approx(sum(row[1] * row[3] for row in same) / weight, abs=1e-12)
        assert stderr == pytest.approx(
            sum((row[2] * row[3]) ** 2 for row in same) ** 0.5 / weight, abs=1e-12
        )


def test_weights_of_inverse_variance_would_be_biased():
    """Why they are not used: of skewed losses, small samples of a small mean have a small error too."""
    rng = np.random.default_rng(1)
    samples = rng.exponential(size=(2000, 6, 8))
    means, errors = samples.mean(-1), samples.std(-1, ddof=1) / np.sqrt(8)
    inverse = (means / errors**2).sum(1) / (1 / errors**2).sum(1)
    ours = []
    for row, error in zip(means, errors, strict=True):
        ours.append(merged_rows(np.ones(6, np.int64), row, error, None)[1][0])
    assert np.mean(inverse) < 0.85
    assert abs(np.mean(ours) - 1) < 4 / np.sqrt(2000 * 48)


def test_perplexities_that_are_refused():
    one = np.array([0.5])
    with pytest.raises(InvalidInputError, match="loss is 0.5 at the least: want a perplexity, at least 1"):
        masked_token_nats(one, None, one, 8, unit="perplexity")
    with pytest.raises(InvalidInputError, match="a perplexity is that of a masked token"):
        masked_token_nats(one + 1, None, one, 8, unit="perplexity", weighted=True)
