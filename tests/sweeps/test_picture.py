"""Lines through the rows of a sweep, against a slow oracle; the figure that shows them; the option."""

import importlib.util
import json
import math
import tomllib

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from mdmjax._errors import InvalidInputError
from mdmjax.cli import main
from mdmjax.sweeps.config import parse_config
from mdmjax.sweeps.store import Store

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")
pytest.importorskip("matplotlib")

from mdmjax.sweeps.lines import NUMBERS, Plot, lines_of  # noqa: E402
from mdmjax.sweeps.picture import WORDS, figure_of  # noqa: E402
from mdmjax.sweeps.studies import STUDIES  # noqa: E402

ROWS = {
    "mix": [0.0, 0.0, 0.1, 0.1, 0.2, 0.2, None],
    "decoder": ["random", "l2r", "random", "l2r", "random", "l2r", "random"],
    "steps": [2, 2, 2, 2, 2, 4, 2],
    "forward_kl": [0.5, 1.0, 0.25, math.inf, None, 2.0, 3.0],
    "failed": [None, None, None, None, "no room", None, None],
}


def table(**columns):
    return pa.table({"point": list(range(len(next(iter(columns.values()))))), **columns})


def by_line(report):
    return {(line.panel, line.color): line for line in report.lines}


def test_lines_have_what_can_be_drawn_and_say_what_cannot():
    report = lines_of(table(**ROWS), 9, Plot("mix", "forward_kl", ("decoder",)))
    assert (report.points, report.drawn, report.colors) == (9, 4, ["random", "l2r"])
    assert report.left_out == {
        "not measured yet": 2,
        "failed": 1,
        "without mix": 1,
        "with infinite forward_kl": 1,
    }
    random, l2r = by_line(report)["", "random"], by_line(report)["", "l2r"]
    assert random.x == l2r.x == [0.0, 0.1, 0.2]
    np.testing.assert_equal((random.mean, random.rows), ([0.5, 0.25, np.nan], [1, 1, 0]))
    np.testing.assert_equal((l2r.mean, l2r.rows), ([1.0, np.nan, 2.0], [1, 0, 1]))
    assert report.to_json()["lines"][1]["mean"] == [1.0, None, 2.0]


numbers = st.sampled_from([0.0, 0.1, 0.3, 1.0, math.inf, math.nan])
row = st.tuples(st.sampled_from([4, 2, 1]), st.sampled_from("ab"), st.integers(0, 2), numbers)


@settings(max_examples=40, deadline=None)
@given(st.lists(row, min_size=1, max_size=12), st.booleans())
def test_lines_are_what_a_slow_reader_finds(rows, log):
    x, color, seed, y = zip(*rows, strict=True)
    values = table(steps=x, decoder=color, seed=seed, forward_kl=y)
    good = [math.isfinite(value) and (value > 0 or not log) for value in y]
    plot = Plot("steps", "forward_kl", ("decoder",), log="xy" if log else "")
    if not any(good):
        with pytest.raises(InvalidInputError, match="a column with numbers to draw"):
            lines_of(values, len(rows), plot)
        return
    report = lines_of(values, len(rows), plot)
    assert report.drawn == sum(good)
    assert sum(report.left_out.values()) == len(rows) - sum(good)
    assert report.colors == list(dict.fromkeys(color))
    for line in report.lines:
        places = sorted({x[i] for i in range(len(rows)) if color[i] == line.color})
        assert line.x == places
        for place, at in enumerate(places):
            mine = [y[i] for i in range(len(rows)) if (x[i], color[i]) == (at, line.color) and good[i]]
            assert line.rows[place] == len(mine)
            if mine:
                assert line.mean[place] == pytest.approx(sum(mine) / len(mine), rel=1e-15)
                assert (line.least[place], line.most[place]) == (min(mine), max(mine))
    groups = {(x[i], color[i], seed[i]) for i in range(len(rows)) if good[i]}
    many = len(groups) > len({key[:2] for key in groups})
    assert report.over == ["seed"] * many


def test_a_log_axis_leaves_out_rounding_of_what_is_measured_and_what_is_not_positive():
    values = table(mix=[0.0, 1e-14, 1.0], forward_kl=[1.0, 1.0, 1e-13])
    for log, reason in (("x", "with mix <= 0"), ("y", "with forward_kl <= 1e-12")):
        report = lines_of(values, 3, Plot("mix", "forward_kl", log=log))
        assert report.left_out == {f"{reason} on a log axis": 1}


def test_a_measured_x_has_a_marker_for_every_row():
    values = table(seed=[0, 1, 2], expected_calls=[2.0, 1.0, 2.0], forward_kl=[0.1, 0.3, 0.2])
    report = lines_of(values, 3, Plot("expected_calls", "forward_kl"))
    assert (report.lines[0].x, report.lines[0].mean) == ([1.0, 2.0, 2.0], [0.3, 0.1, 0.2])
    assert report.over == []
    assert figure_of(report).axes[0].lines[0].get_linestyle() == "None"


def test_several_columns_tell_lines_apart():
    decoder, threshold = ["random", "threshold", "threshold"], [None, 0.7, 0.9]
    known = {"decoder": decoder, "decoder.threshold": threshold, "forward_kl": [1.0, 2.0, 3.0]}
    values = table(mix=[0.0] * 3, **known)
    report = lines_of(values, 3, Plot("mix", "forward_kl", ("decoder", "decoder.threshold")))
    assert report.colors == ["random", "threshold, threshold=0.7", "threshold, threshold=0.9"]
    one = lines_of(values, 3, Plot("mix", "forward_kl", ("decoder",)))
    assert one.notes()[0] == "mean and range of 1 to 2 rows, over decoder.threshold"


def test_the_figure_shows_the_lines():
    columns = {
        "steps": [1, 2, 4] * 4,
        "seed": [0, 0, 0, 1, 1, 1] * 2,
        "source": ["markov"] * 6 + ["parity"] * 6,
    }
    values = table(**columns, expected_kl=[float(k) for k in range(1, 13)])
    report = lines_of(values, 13, Plot("steps", "expected_kl", panel=("source",), log="x"))
    figure = figure_of(report)
    left, right = figure.axes
    assert [axes.get_title() for axes in figure.axes] == ["source = markov", "source = parity"]
    np.testing.assert_array_equal(left.lines[0].get_xydata(), [[1, 2.5], [2, 3.5], [4, 4.5]])
    np.testing.assert_array_equal(right.lines[0].get_ydata(), [8.5, 9.5, 10.5])
    band = left.collections[0].get_paths()[0].vertices
    assert (band[:, 1].min(), band[:, 1].max()) == (1.0, 6.0)
    assert (left.get_xscale(), left.get_yscale()) == ("log", "linear")
    assert figure.get_supxlabel() == "steps"
    assert figure.get_supylabel() == "expected KL, nats"
    told = "mean and range of 2 rows, over seed\n12 of 13 points drawn; left out: 1 not measured yet"
    assert figure.get_suptitle() == told


def test_names_are_an_axis_with_bars_set_apart():
    decoder, source = ["random", "l2r", "random", "l2r"], ["markov", "markov", "parity", "parity"]
    values = table(decoder=decoder, source=source, chi_square=[1.0, 2.0, 3.0, 4.0])
    report = lines_of(values, 4, Plot("decoder", "chi_square", ("source",)))
    (axes,) = figure_of(report).axes
    assert [label.get_text() for label in axes.get_xticklabels()] == ["random", "l2r"]
    np.testing.assert_allclose(axes.lines[0].get_xydata(), [[-0.15, 1], [0.85, 2]])
    np.testing.assert_allclose(axes.lines[1].get_xydata(), [[0.15, 3], [1.15, 4]])
    (legend,) = axes.figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["markov", "parity"]
    assert len({(line.get_marker(), line.get_color()) for line in axes.lines}) == 2


def test_every_number_of_a_study_has_words_for_its_axis():
    known = {name: lists for study in STUDIES.values() for name, lists in study.known.items()}
    assert known.keys() == NUMBERS
    assert {name for name, lists in known.items() if not lists} <= WORDS.keys()


CONFIG = """
study = "schedule"
chunk = 2
[axes]
source = ["noisy-bit", "markov"]
"source.n" = [4, 5]
"""


@pytest.fixture
def rows(tmp_path, monkeypatch):
    """A folder of half a sweep: two chunks of one row, and a broken file in the place of the third."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sweep.toml").write_text(CONFIG)
    store = Store(tmp_path / "rows", parse_config(tomllib.loads(CONFIG)))
    chunks = store.chunks
    with store.held():
        for number, n in ((1, 5), (0, 4)):
            points = [store.config.point(index) for index in chunks[number]]
            given = {key: [point.get(key) for point in points] for key in points[0]}
            found = {"point": chunks[number], **given, "expected_kl": [0.1 * n] * len(points)}
            store.write(number, found | {"failed": [None] * len(points)}, 0.1)
    store.path(2).write_bytes(b"PAR1 half")
    return store


def test_the_rows_of_a_store_are_in_order_and_of_whole_chunks_only(rows):
    found = rows.rows()
    assert found.schema.names == rows.schema.names
    assert found["point"].to_pylist() == sorted(rows.chunks[0] + rows.chunks[1])
    assert Store(rows.folder.parent / "none", rows.config).rows().num_rows == 0
    assert not (rows.folder.parent / "none").exists()


def test_a_chunk_that_cannot_be_read_is_named(rows):
    """Its points, by which it is trusted, can be read; another column cannot."""
    group, whole = pq.read_metadata(rows.path(0)).row_group(0), rows.path(0).read_bytes()
    column = next(c for c in map(group.column, range(group.num_columns)) if c.path_in_schema == "source")
    start = column.dictionary_page_offset or column.data_page_offset
    rows.path(0).write_bytes(whole[:start] + bytes(20) + whole[start + 20 :])
    with pytest.raises(
        InvalidInputError, match="chunk-000000.parquet: want a chunk that can be read"
    ) as caught:
        rows.rows()
    assert "\n" not in str(caught.value)


def run(capsys, *words):
    code = main(["sweep", "sweep.toml", "--out", "rows", *words])
    out, err = capsys.readouterr()
    return code, out, err


def test_the_command_draws_what_is_there(rows, capsys):
    code, out, err = run(capsys, "--plot", "x=source.n,y=expected_kl", "--json")
    assert (code, err) == (0, "")
    document = json.loads(out)
    assert (document["drawn"], document["points"], document["file"]) == (2, 4, "rows/_plot.png")
    assert document["schema"] == "mdmjax.report.sweep_lines"
    assert (rows.folder / "_plot.png").read_bytes().startswith(b"\x89PNG")
    assert pa.parquet.read_table(rows.path(0)).num_rows == 1
    rows.path(2).unlink()
    assert pa.parquet.read_table(rows.folder).num_rows == 2
    code, out, _ = run(capsys, "--plot", "x=source.n,y=expected_kl,file=kl.pdf")
    assert out.startswith("in kl.pdf; 2 of 4 points drawn; left out: 2 not measured yet")


@pytest.mark.parametrize(
    ("plot", "line"),
    [
        (
            "x=steps,y=expected_kl,colr=source",
            "--plot is colr=source: want KEY=COLUMN with one of x, y, color,",
        ),
        ("x=steps,y=expected_kl,colr=source", "; perhaps color"),
        ("x=steps,y=expected_kl,color", "--plot is color: want color=COLUMN"),
        ("x=steps,y=", "--plot is y=: want y=COLUMN"),
        ("x=steps", "--plot is x=steps: want y=COLUMN too; as x=mix,y=forward_kl,color=decoder"),
        ("y=expected_kl", "--plot is y=expected_kl: want x=COLUMN too"),
        ("", "--plot is '': want KEY=COLUMN"),
        ("x=steps,x=source,y=expected_kl", "--plot is x=steps and x=source: want x once"),
        (
            "x=step,y=expected_kl",
            "--plot is x=step: want a column, one of point, source, schedule, steps, sou",
        ),
        ("x=step,y=expected_kl", "; perhaps steps"),
        ("x=steps,y=expected_kl,panel=source+source.m", "--plot is panel=source.m: want a column, one of"),
        (
            "x=steps,y=source",
            "--plot is y=source: want a column of numbers, one of point, steps, source.n",
        ),
        ("x=source,y=expected_kl,log=x", "--plot is x=source: want a column of numbers"),
        ("x=source,y=expected_kl,log=z", "--plot is log=z: want log=x, log=y or log=xy"),
        (
            "x=steps,y=expected_kl",
            "--plot is y=expected_kl: want a column with numbers to draw; of 4 points: 2",
        ),
        ("x=source.n,y=expected_kl,file=kl.jpg", "--plot is kl.jpg: want a name that ends in .png or .pdf"),
        (
            "x=source.n,y=expected_kl,file=no/kl.png",
            "--plot is no/kl.png: want a file in an existing folder",
        ),
        (
            "x=source.n,y=expected_kl,file=rows/kl.png",
            "--plot is file=rows/kl.png: want a file in another fold",
        ),
        ("x=source.n,y=expected_kl,color=point+failed", "--plot is color=failed: want a column"),
    ],
)
def test_one_line_for_every_mistake(rows, capsys, plot, line):
    code, out, err = run(capsys, "--plot", plot)
    assert (code, out) == (2, "")
    assert line in err
    assert err.count("\n") == 1
    assert not list(rows.folder.glob("_plot*"))


@pytest.mark.parametrize(
    "more", ["--status", "--dry-run", "--retry-failed", "--workers 2", "--cluster tcp://a:1"]
)
@pytest.mark.usefixtures("rows")
def test_a_plot_measures_nothing(capsys, more):
    code, out, err = run(capsys, "--plot", "x=source.n,y=expected_kl", *more.split())
    assert (code, out) == (2, "")
    told = {f"--plot, {more.split()[0]}", f"{more.split()[0]}, --plot"}
    assert any(f"error: {one} is given together: want one of them" in err for one in told)


def test_a_sweep_without_rows_has_no_picture(rows, capsys):
    for number in range(3):
        rows.path(number).unlink()
    code, out, err = run(capsys, "--plot", "x=source.n,y=expected_kl")
    assert (code, out) == (2, "")
    assert "--plot is of no row: want a sweep with rows; run it without --plot first" in err


@pytest.mark.parametrize(("missing", "extra"), [("pyarrow", "sweep"), ("matplotlib", "figures")])
@pytest.mark.usefixtures("rows")
def test_what_is_not_installed_is_named(capsys, monkeypatch, missing, extra):
    found = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == missing else found(name))
    code, out, err = run(capsys, "--plot", "x=source.n,y=expected_kl")
    assert (code, out) == (2, "")
    assert f"want {missing}; pip install 'mdmjax[{extra}]'" in err


def test_too_many_lines_are_refused():
    values = table(mix=[0.0] * 10, seed=list(range(10)), forward_kl=[1.0] * 10)
    line = "plot is color=seed: want columns of at most 9 values; there are 10"
    with pytest.raises(InvalidInputError, match=line):
        lines_of(values, 10, Plot("mix", "forward_kl", ("seed",)))
