"""Reports: JSON without surprises, tables in which no number is cut, HTML that is escaped."""

import dataclasses
import io
import json
import math
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdmjax.studies.report import AbstractReport, four_decimals, run_lengths, six_decimals, to_plain
from mdmjax.studies.table import Column, Table, as_html, as_text, printable, shortened


class Interval(NamedTuple):
    low: float
    high: float


@dataclasses.dataclass(frozen=True)
class Row:
    name: str
    kl: Any
    counts: tuple[int, ...]


@dataclasses.dataclass(frozen=True, eq=False)
class Found(AbstractReport):
    schema: ClassVar[str] = "mdmjax.toy"
    version: ClassVar[int] = 3

    title: str
    curve: Any
    rows: tuple[Row, ...]
    interval: Interval = Interval(0.0, math.inf)
    folder: Path | None = None
    law: Any = dataclasses.field(default=None, metadata={"json": False})

    def tables(self):
        columns = [
            Column("decoder", "name", justify="left"),
            Column("KL", "kl", six_decimals),
            Column(
                "twice", lambda row: None if row.kl is None else 2 * row.kl, four_decimals, optional=True
            ),
            Column("tokens revealed at each step", "counts", run_lengths, justify="left", shorten=True),
        ]
        table = Table(
            columns,
            self.rows,
            title="All of them:",
            bold=lambda row: row.name == "best",
            in_full=f"The best: {run_lengths(self.rows[0].counts)}.",
        )
        return [self.title, table, "Exact."]


COUNTS = tuple(range(1, 41))
REPORT = Found(
    title="Markov <chain> & [bold]co[/bold] :smile:\nn = 8",
    curve=jnp.array([0.5, jnp.nan, jnp.inf, -jnp.inf]),
    rows=(Row("best", 123456.789, COUNTS), Row("threshold 0.9", 12.330950, (8,)), Row("none", None, ())),
    folder=Path("some/folder"),
    law=object(),
)


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def __init__(self, encoding="utf-8"):
        super().__init__()
        self._encoding = encoding

    encoding = property(lambda self: self._encoding)

    def isatty(self):
        return True


@pytest.fixture
def terminal(monkeypatch):
    """Makes a terminal of a width."""

    def make(width, encoding="utf-8"):
        monkeypatch.setenv("COLUMNS", str(width))
        monkeypatch.setenv("TERM", "xterm-256color")
        monkeypatch.delenv("NO_COLOR", raising=False)
        return Terminal(encoding)

    return make


def test_json_has_the_head_and_every_field_as_plain_values():
    found = json.loads(json.dumps(REPORT.to_json(), allow_nan=False))
    assert found == {
        "schema": "mdmjax.toy",
        "version": 3,
        "units": "nats",
        "title": REPORT.title,
        "curve": [0.5, None, "inf", "-inf"],
        "rows": [
            {"name": "best", "kl": 123456.789, "counts": list(COUNTS)},
            {"name": "threshold 0.9", "kl": 12.330950, "counts": [8]},
            {"name": "none", "kl": None, "counts": []},
        ],
        "interval": {"low": 0.0, "high": "inf"},
        "folder": "some/folder",
    }


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (np.float64("nan"), None),
        (np.float32(0.5), 0.5),
        (np.int64(3), 3),
        (np.bool_(True), True),
        (jnp.array(-jnp.inf), "-inf"),
        (jnp.array([1, 2], jnp.int32), [1, 2]),
        (np.zeros((2, 1)), [[0.0], [0.0]]),
        ({1: (True, "s", None)}, {"1": [True, "s", None]}),
    ],
)
def test_plain_values(value, plain):
    found = to_plain(value)
    assert found == plain
    assert type(found) is type(plain)


def test_what_json_cannot_have_is_a_mistake_of_ours():
    with pytest.raises(TypeError, match="a set"):
        to_plain({"a": {1, 2}})


def test_a_report_must_say_what_it_shows():
    with pytest.raises(TypeError, match="tables"):
        AbstractReport()  # ty: ignore


def test_printing_a_report_is_plain_ascii_of_120_columns():
    out = str(REPORT)
    assert out.isascii()
    assert "\x1b" not in out
    assert max(map(len, out.splitlines())) <= 120
    lines = [line.rstrip() for line in out.splitlines()]
    assert lines[:4] == ["Markov <chain> & [bold]co[/bold] :smile:", "n = 8", "", "All of them:"]
    head = next(number for number, line in enumerate(lines) if line.startswith(" decoder"))
    cells = [[cell.strip() for cell in line.split("|")] for line in lines[head:] if "|" in line]
    assert cells[0] == ["decoder", "KL", "twice", "tokens revealed at each step"]
    assert cells[2] == ["threshold 0.9", "12.330950", "24.6619", "8"]
    assert cells[3] == ["none", "undefined", "undefined", ""]
    assert set(lines[head + 1]) == {"-", "+"}
    assert lines[-1] == "Exact."
    assert f"The best: {run_lengths(COUNTS)}." in " ".join(lines)


@pytest.mark.parametrize("width", range(40, 201, 5))
def test_no_number_is_cut_at_any_width(terminal, width):
    """Columns are left out, not cut, and the bold row's list is given in full where the table has not."""
    out = as_text(REPORT.tables(), terminal(width))
    plain = re.sub(r"\x1b\[[\d;]*m", "", out)
    assert max(map(len, plain.splitlines())) <= width
    assert "\N{HORIZONTAL ELLIPSIS}" not in plain
    rows = [
        [cell.strip() for cell in re.split("[│┃]", line)]
        for line in plain.splitlines()
        if re.search("[│┃]", line)
    ]
    best = next(row for row in rows if row[0] == "best")
    assert best[1] == "123456.789000"
    assert ("twice" in plain) == ("246913.5780" in plain)
    if width >= 80:
        assert "246913.5780" in plain
    if width < 50:
        assert len(best) == 2
        best.append(" ...")  # the list was left out
    listed = best[-1].removesuffix(" ...")
    assert run_lengths(COUNTS).startswith(listed)
    assert set(listed.split()) <= {str(count) for count in COUNTS}
    assert run_lengths(COUNTS) in " ".join(plain.split())
    assert (f"The best: {run_lengths(COUNTS)}." in " ".join(plain.split())) == best[-1].endswith(" ...")


@given(
    st.lists(
        st.tuples(st.text("ab ", max_size=40), st.floats(-1e9, 1e9), st.floats(0, 1)),
        min_size=1,
        max_size=4,
    ),
    st.lists(st.booleans(), min_size=2, max_size=2),
    st.integers(20, 120),
)
def test_a_layout_fits_and_keeps_every_number_whole(rows, optional, width):
    columns = [
        Column("name", 0, justify="left"),
        Column("one", 1, six_decimals, optional=optional[0]),
        Column("two", 2, six_decimals, optional=optional[1]),
        Column("list", lambda row: [1, 2, 3] * 10, run_lengths, justify="left", shorten=True),
    ]
    table = Table(columns, rows)
    widths = table.layout(width)
    assert sum(width + 3 for width in widths.values()) - 1 <= max(width, 3 * 19 - 1 + 40)
    whole = {n: max(len(column.cell(row)) for row in rows) for n, column in enumerate(columns)}
    for n in (1, 2):
        if not optional[n - 1]:
            assert n in widths
        if n in widths:
            assert widths[n] >= whole[n]
    if any(optional[n - 1] and n not in widths for n in (1, 2)) and 3 in widths:
        assert sum(width + 3 for width in widths.values()) - 1 <= width
    assert 0 in widths
    everything = {n: max(whole[n], len(column.heading)) for n, column in enumerate(columns)}
    if sum(everything.values()) + 3 * 4 - 1 <= width:
        assert widths == everything


def test_a_row_too_wide_for_any_terminal_is_still_whole(terminal):
    columns = [Column(name, name, six_decimals) for name in "abcdef"]
    out = as_text([Table(columns, [dict.fromkeys("abcdef", 123456.0)])], terminal(40))
    assert out.count("123456.000000") == 6


def test_text_is_wrapped_before_a_number_is_left_out(terminal):
    columns = [Column("what", 0, justify="left"), Column("kl", 1, six_decimals, optional=True)]
    row = ("mean over random partitions of KL(p || law given the partition), nats", 0.5)
    out = as_text([Table(columns, [row])], terminal(40))
    assert "0.500000" in out
    told = " ".join(re.split("[│┃]", line)[0].strip() for line in out.splitlines()[2:])
    assert " ".join(told.split()) == row[0]


def test_a_terminal_has_a_box_and_bold_and_an_ascii_one_has_no_box(terminal):
    out = as_text(REPORT.tables(), terminal(100))
    assert "┃" in out
    assert "\x1b[1mbest" in out
    poor = as_text(REPORT.tables(), terminal(100, encoding="ascii"))
    assert poor.isascii()


def test_colours_are_not_forced_into_a_file(monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b" not in as_text(REPORT.tables(), io.StringIO())


def test_rich_prints_a_report_too():
    from rich.console import Console

    console = Console(file=io.StringIO(), width=120, highlight=False)
    console.print(REPORT)
    assert console.file.getvalue() == str(REPORT)


def test_html_is_escaped_and_has_every_column_and_list():
    out = REPORT._repr_html_()
    assert "<p>Markov &lt;chain&gt; &amp; [bold]co[/bold] :smile:<br>n = 8</p>" in out
    assert "<chain>" not in out
    assert run_lengths(COUNTS) in out
    for heading in ("decoder", "KL", "twice", "tokens revealed at each step"):
        assert f">{heading}</th>" in out
    assert '<tr style="font-weight: bold"><td style="text-align: left">best</td>' in out
    assert '<td style="text-align: right">12.330950</td>' in out
    assert "<caption>All of them:</caption>" in out
    evil = Table([Column("<b>", 0, justify="left")], [("<script>alert('x')</script>",)], title="</caption>")
    shown = as_html([evil])
    assert "<script" not in shown
    assert "<b>" not in shown
    assert shown.count("</caption>") == 1


def test_what_steers_a_terminal_is_escaped_in_every_look(terminal):
    evil = "\x1b]0;title\x07"
    parts = [evil, Table([Column(evil, 0, justify="left")], [(evil + "\n",)], title=evil, in_full=evil)]
    for out in (as_text(parts), as_text(parts, terminal(80, "ascii")), as_html(parts)):
        assert "\x1b]" not in out
        assert "\x07" not in out
        assert r"\x1b]0;title\x07" in out
    assert printable("a\tb\n\u202e\udcff") == "a\tb\n\\u202e\\udcff"
    assert printable("a\nb", keep="") == r"a\nb"


@pytest.mark.parametrize(
    ("value", "four", "six"),
    [
        (0.0, "0.0000", "0"),
        (-1e-13, "0.0000", "0"),
        (1.25e-5, "1.3e-05", "1.250e-05"),
        (0.6931472, "0.6931", "0.693147"),
        (-3.5, "-3.5000", "-3.500000"),
        (2.5e6, "2500000.0000", "2.500e+06"),
    ],
)
def test_number_formats(value, four, six):
    assert four_decimals(value) == four
    assert six_decimals(value) == six


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "undefined"),
        (math.nan, "undefined"),
        (np.float32("nan"), "undefined"),
        (math.inf, "inf"),
        (jnp.array(-jnp.inf), "-inf"),
        ("", ""),
        (jnp.array(0.5), "0.500000"),
    ],
)
def test_cells(value, shown):
    assert Column("x", 0, six_decimals).cell((value,)) == shown
    assert Column("x", "x", six_decimals).cell({"x": value}) == shown
    assert Column("x", "name", six_decimals).cell(Row(value, 0, ())) == shown


def test_run_lengths():
    assert run_lengths([3]) == "3"
    assert run_lengths([1, 1, 2, 1]) == "1x2 2 1"
    assert run_lengths([]) == ""


@given(st.lists(st.integers(1, 10**6), min_size=1), st.integers(3, 40))
def test_a_shortened_list_has_whole_numbers_and_fits(counts, room):
    text = " ".join(map(str, counts))
    found = shortened(text, room)
    assert len(found) <= room
    kept = found.removesuffix("...").split()
    assert kept == text.split()[: len(kept)]
    assert found.endswith("...") == (found != text)
    following = text.split()[len(kept) : len(kept) + 1]
    if found != text:  # one more number would not have fitted
        assert len(" ".join([*kept, *following, "..."])) > room


def test_a_report_imports_neither_jax_nor_rich():
    code = (
        "import sys, mdmjax.studies.report\n"
        "heavy = {'jax', 'numpy', 'rich', 'equinox', 'scipy'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
