"""Small sweeps, whose rows are made up where it does not matter what they say."""

import pytest

from mdmjax.sweeps.run import Measured, run_sweep

pq = pytest.importorskip("pyarrow.parquet")

AXES = {"source": ["noisy-bit", "markov"], "source.n": [4, 5], "steps": [2, 3]}
DOCUMENT = {"study": "schedule", "chunk": 1, "axes": AXES}


def rows_in(folder):
    """The rows as a reader gets them, in the order of the points."""
    return pq.read_table(folder).sort_by("point")


def made(config, chunks):
    """Rows that nobody has measured: the store does not ask where they are from."""
    for number, indices in chunks.items():
        rows = {key: [config.point(index)[key] for index in indices] for key in config.point(0)}
        numbers = {"expected_kl": [0.5 * index for index in indices], "failed": [None] * len(indices)}
        yield Measured(number, {"point": indices} | rows | numbers, 1.0)


def run_made(config, folder, **how):
    return run_sweep(config, folder, measured=made, **how)
