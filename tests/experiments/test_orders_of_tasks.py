"""Parts of the experiments on orders: means over problems and seeds, a puzzle's own order, its rounds."""

import pathlib

import jax
import jax.numpy as jnp
import numpy as np

from experiments import _run
from experiments._crossed import crossed
from experiments.sudoku import _answers, _places_by_round
from mdmjax import Schedule, Transformer, TransformerConfig, left_to_right
from mdmjax.tasks.propagation import order_of, propagated
from mdmjax.tasks.sudoku import Sudoku


def test_means_over_problems_and_seeds():
    rng = np.random.default_rng(1)
    values = rng.normal(size=(2, 3, 50)) + np.array([0.0, 3.0])[:, None, None]
    found = crossed(values)
    np.testing.assert_allclose(found[:, 0], values.mean((1, 2)))
    assert np.all((found[:, 1] < found[:, 0]) & (found[:, 0] < found[:, 2]))
    # Paired: a shift has no error; and what is missing has no part.
    np.testing.assert_allclose(crossed(values[0] + 1 - values[0]), 1)
    holes = np.where(rng.random((3, 50)) < 0.3, np.nan, values[0])
    np.testing.assert_allclose(crossed(holes)[0], np.nanmean(holes))
    assert np.isnan(crossed(np.full((3, 50), np.nan))).all()


def test_the_interval_has_the_error_of_both_problems_and_seeds():
    """A mean of row and column effects: the variances of the two bootstraps add."""
    rng = np.random.default_rng(2)
    seeds, problems = rng.normal(size=40), rng.normal(size=400)
    _, low, high = crossed(seeds[:, None] + problems[None, :])
    expected = np.sqrt(seeds.var() / 40 + problems.var() / 400)
    np.testing.assert_allclose((high - low) / (2 * 1.96), expected, rtol=0.15)


def test_a_puzzle_is_written_in_its_own_order():
    task = Sudoku(size=4, clues=6)
    puzzles = task.problems(0, 5)
    order = order_of(propagated(puzzles.tokens, puzzles.given, 4))
    config = TransformerConfig(task.n, task.q, width=8, depth=1, heads=1, hidden=8, learned_positions=True)
    network = Transformer.create(jax.random.key(0), config)
    start = jnp.asarray(np.where(puzzles.given, puzzles.tokens, task.q), int)
    keys = jax.random.split(jax.random.key(1), 5)
    places, rule = np.argsort(order, axis=1), left_to_right(Schedule(np.ones(task.n, int)))
    for direction in (1, -1, 0):
        own = jnp.asarray(direction * places)
        found = np.asarray(_answers(keys, network, rule, start, own).finalised)
        for row in range(5):
            written = np.argsort(np.where(puzzles.given[row], 99, found[row]))[: task.n - 6]
            wanted = [cell for cell in order[row] if not puzzles.given[row, cell]]
            assert written.tolist() == (wanted[::direction] if direction else sorted(wanted))


def test_when_blanks_of_each_round_are_filled():
    finalised = np.array([[-1, 0, 1, 2, 4]])
    depth = np.array([[0, 1, 1, 3, 5]])  # of five cells, 5 is never
    found = _places_by_round(finalised, depth, finalised < 0)
    np.testing.assert_allclose(found[:, 0], [0.125, np.nan, 0.5, np.nan, 1.0])


def test_what_the_docs_say_of_the_order_of_sudoku():
    arrays, _ = _run.load(_run.RESULTS, "sudoku")
    names = arrays["decoder"].tolist()
    of = {name: arrays["kendall_tau_b"][:, at, 1] for at, name in enumerate(names)}
    solved = {name: arrays["accuracy"][:, at] for at, name in enumerate(names)}
    for easy in ("confidence", "margin", "entropy", "threshold 0.5", "threshold 0.9", "threshold 0.99"):
        assert np.all(of[easy][:, 1] > 0), easy
    assert np.all(of["hard first"][:, 2] < 0)
    for neither in ("left to right", "random"):
        assert np.all((of[neither][:, 1] < 0.02) & (of[neither][:, 2] > -0.02)), neither
    assert np.all(solved["confidence"][:, 0] > 0.999)
    assert np.all(solved["threshold 0.99"][:, 0] > 0.99)
    assert np.all(solved["by propagation"][:, 2] < solved["confidence"][:, 1])
    assert np.all(solved["against propagation"][:, 2] < solved["by propagation"][:, 1])
    assert np.all(arrays["kind_count"][:, 1:] == 0)


def test_what_the_docs_say_of_traces_by_task():
    arrays, _ = _run.load(_run.RESULTS, "task_traces")
    tasks, decoders = arrays["task"].tolist(), arrays["decoder"].tolist()
    low, high = decoders.index("threshold 0.5"), decoders.index("threshold 0.9")
    afp, right = arrays["afp"][:, :, 0, 0], arrays["accuracy"][..., 0]
    decided = [tasks.index(name) for name in ("addition", "copy", "reverse", "sort")]
    np.testing.assert_allclose(afp[decided, low], afp[decided, high], rtol=0.01)
    assert np.all(arrays["with_a_tau"][decided][:, :-1] < 0.01)
    assert np.all(right[:, high] > 0.99)
    for name in ("replace", "Latin"):
        assert right[tasks.index(name), low] == 0
    for name in ("copy", "reverse"):  # by the lowest position among equals
        assert arrays["kendall_tau_b"][tasks.index(name), -1, 0, 0] == 1


def test_the_table_of_addition_is_that_of_the_stored_result():
    arrays, _ = _run.load(_run.RESULTS, "addition")
    root = pathlib.Path(__file__).parent.parent.parent
    page = (root / "docs/tasks.md").read_text()
    columns = (
        "random",
        "easy first",
        "right to left",
        "left to right",
        "hard first",
        "causal",
        "causal, backwards",
    )
    at = [arrays["decoder"].tolist().index(name) for name in columns]
    means = 100 * arrays["accuracy"].mean(axis=1)[:, at]
    for parameters, row in zip(arrays["parameters"][1:].tolist(), means[1:], strict=True):
        shown = " | ".join(f"{value:.1f}%" for value in row)
        assert f"| {parameters:,} | {shown}" in page
    sentence = f"{means[1, 1]:.1f}% right, {means[1, 0]:.1f}% in random order"
    assert sentence in (root / "README.md").read_text()
