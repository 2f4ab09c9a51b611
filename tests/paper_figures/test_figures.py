"""Figures: drawn from stored results only, with stable bytes; what is missing or stale is told."""

import inspect
import re

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure

from experiments import _run
from experiments.__main__ import main as run_experiments
from paper_figures import __main__ as frame
from paper_figures import n128_k16
from paper_figures._style import LOOKS, RC


@pytest.fixture(scope="module")
def smoke(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    assert run_experiments((), every=True, smoke=True, out=folder) == 0
    return folder


@pytest.fixture(scope="module")
def complete(smoke, tmp_path_factory):
    """Smoke arrays under full configurations' hashes, and their figures: what `--check` accepts."""
    results, out = tmp_path_factory.mktemp("complete"), tmp_path_factory.mktemp("out")
    for name in _run.names():
        arrays, manifest = _run.load(smoke, name)
        config_hash = _run.config_hash(name, _run.experiment(name).Config())
        _run.save(results, arrays, {**manifest, "config_hash": config_hash})
    assert frame.main(results=results, out=out) == 0
    return results, out


def drawn(name, arrays):
    with matplotlib.rc_context(RC):
        return frame.figures()[name].draw(arrays)


def test_every_experiment_has_a_figure_and_every_figure_an_experiment():
    assert {module.EXPERIMENT for module in frame.figures().values()} == set(_run.names())


@pytest.mark.slow
@pytest.mark.parametrize("name", frame.figures())
def test_a_figure_has_labels_and_stable_bytes(name, smoke):
    arrays, manifest = _run.load(smoke, frame.figures()[name].EXPERIMENT)
    figure = drawn(name, arrays)
    assert isinstance(figure, Figure)
    for axes in figure.axes:  # one that shares its x axis has the label of the lowest
        shared = axes.get_shared_x_axes().get_siblings(axes)
        assert axes.get_title(loc="left") or any(one.get_xlabel() for one in shared)
    first, second = (frame.render(frame.figures()[name], arrays, manifest["sha256"]) for _ in range(2))
    assert set(first) == {"png", "pdf"}
    assert first == second
    for content in first.values():
        assert manifest["sha256"].encode() in content
        assert len(content) < 300_000


@pytest.mark.slow
def test_nothing_overlaps_the_edge_of_a_page(smoke):
    for name, module in frame.figures().items():
        figure = drawn(name, _run.load(smoke, module.EXPERIMENT)[0])
        figure.draw_without_rendering()
        page, used = figure.get_size_inches(), figure.get_tightbbox()
        assert min(used.x0, used.y0) >= -0.01, name
        assert used.x1 <= page[0] + 0.01, name
        assert used.y1 <= page[1] + 0.01, name


def test_the_command_line_is_that_of_main(tmp_path):
    given = frame.parser().parse_args(["--check", "--out", str(tmp_path)])
    assert vars(given) == {"check": True, "results": _run.RESULTS, "out": tmp_path}
    assert set(vars(given)) == set(inspect.signature(frame.main).parameters)


def test_a_line_is_told_apart_without_colour():
    seen = [(str(look["linestyle"]), look["marker"]) for look in LOOKS.values()]
    assert len(set(seen)) == len(seen)


@pytest.mark.slow
def test_the_error_area_of_the_text_figure_is_the_expected_kl(smoke):
    """Measured from the drawn polygons, with no formula of the schedule."""
    arrays, _ = _run.load(smoke, "text_schedule")
    figure = drawn("text_schedule", arrays)
    for axes, kl in zip(figure.axes, arrays["expected_kl_nats"], strict=True):
        values, edges, baseline = axes.patches[0].get_data()
        assert np.sum((values - baseline) * np.diff(edges)) == pytest.approx(kl, abs=1e-12)


@pytest.mark.slow
def test_a_complete_folder_passes_the_check(complete, capsys):
    results, out = complete
    assert frame.main(check=True, results=results, out=out) == 0
    assert "current" in capsys.readouterr().out


@pytest.mark.slow
def test_the_check_fails_on_another_configuration(smoke, complete):
    """Smoke results are of another configuration than the full one."""
    lines = frame.faults(smoke, complete[1])
    assert len(lines) == len(frame.figures())
    assert all("another configuration" in line for line in lines)
    assert frame.main(check=True, results=smoke, out=complete[1]) == 1


@pytest.mark.slow
def test_the_check_fails_on_a_missing_result_and_on_a_missing_figure(complete, tmp_path, capsys):
    results, _ = complete
    assert frame.main(check=True, results=tmp_path, out=complete[1]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(frame.figures())
    assert all("no result" in line for line in lines)
    lines = frame.faults(results, tmp_path)
    assert len(lines) == 2 * len(frame.figures())
    assert all("missing" in line for line in lines)
    assert frame.main(results=tmp_path, out=tmp_path) == 1


@pytest.mark.slow
def test_the_check_fails_on_a_figure_of_an_earlier_result(complete, tmp_path):
    _, out = complete
    for name in _run.names():
        arrays, manifest = _run.load(complete[0], name)
        _run.save(tmp_path, {**arrays, "extra": np.zeros(1)}, manifest)
    lines = frame.faults(tmp_path, out)
    assert len(lines) == 2 * len(frame.figures())
    assert all("drawn from another result" in line for line in lines)


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ([1] * 12 + [2, 3, 8, 103], "1 x 12, 2, 3, 8, 103"),
        ([8] * 16, "8 x 16"),
        ([9, 8, 8, 7], "9, 8, 8, 7"),
        ([5], "5"),
    ],
)
def test_counts_are_written_short_and_whole(counts, expected):
    text = n128_k16.written(np.array(counts))
    assert text == expected
    runs = re.findall(r"(\d+)(?: x (\d+))?", text)
    assert [int(c) for c, times in runs for _ in range(int(times or 1))] == counts


def test_the_stored_results_and_figures_are_current():
    """The tracked ones: what the README shows was made by this configuration."""
    assert frame.faults(_run.RESULTS, frame.OUT) == []
