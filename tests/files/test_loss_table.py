"""Loss tables: every format that people have, what is refused with what to type, and there and back."""

import gzip
import json
import os
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdmjax._errors import InvalidInputError
from mdmjax.files import cells
from mdmjax.files.loss_table import read_loss_file, read_loss_table, write_loss_table
from mdmjax.information.loss_curve import LossTable

TABLES = Path(__file__).resolve().parent / "tables"
COUNTS, LOSSES = [1, 4, 8, 16], [0.25, 0.5, 1.25, 2.75]
ROWS = list(zip(COUNTS, LOSSES, strict=True))


def refused(match):
    return pytest.raises(InvalidInputError, match=match)


# Every format.


@pytest.mark.parametrize("name", sorted(os.listdir(TABLES)))
def test_every_format_gives_the_same_table(name):
    """One file for each format that the docs name, with the same losses of 16 positions."""
    table = read_loss_table(TABLES / name, 16)
    order = np.argsort(table.n_masked)
    assert table.n_masked[order].tolist() == COUNTS
    assert table.loss[order].tolist() == LOSSES
    assert table.n == 16


@pytest.mark.parametrize(
    "name", ["plain.csv", "records.json", "arrays.npz", "two.npy", "trailing_comma.csv"]
)
def test_without_a_length_it_is_the_largest_count(name):
    assert read_loss_table(TABLES / name).n == 16


@pytest.mark.parametrize("name", ["ratio.csv", "revealed.csv", "wide.csv", "trainer_state.json"])
def test_ratios_need_a_length(name):
    with refused("length is not given: want the number of positions; .* needs --length N"):
        read_loss_table(TABLES / name)


@pytest.mark.parametrize(
    ("name", "columns", "steps"),
    [
        ("plain.csv", {"n_masked": "n_masked", "loss": "loss"}, None),
        ("long_steps.csv", {"mask_ratio": "t", "loss": "val/loss", "step": "step"}, {"read": 200, "of": 3}),
        (
            "wandb.csv",
            {"mask_ratio": "*", "loss": "llada-small - val/loss_*", "step": "Step"},
            {"read": 200, "of": 3},
        ),
        (
            "trainer_state.json",
            {"mask_ratio": "*", "loss": "eval_r*_loss", "step": "step"},
            {"read": 20, "of": 2},
        ),
        ("summary.json", {"mask_ratio": "*", "loss": "eval/loss_t*"}, None),
        ("lightning.csv", {"mask_ratio": "mask_ratio", "loss": "val_loss", "step": "step"}, None),
        ("nameless.txt", {"n_masked": "1", "loss": "2"}, None),
    ],
)
def test_what_was_read_as_what(name, columns, steps):
    read = read_loss_file(TABLES / name, 16)
    assert read.facts["columns"] == columns
    assert read.facts["logged_steps"] == steps


def text(path, content):
    path.write_text(content)
    return path


def test_the_names_that_are_known(tmp_path):
    for axis in ("Num_Masked", "mask-count", "masked count"):
        path = text(tmp_path / "t.csv", f"{axis},val nll,SE,num_samples\n1,1,.1,3\n4,2,.2,5\n")
        table = read_loss_table(path)
        assert (table.stderr.tolist(), table.count.tolist()) == ([0.1, 0.2], [3, 5])
    for axis in ("masking_ratio", "p_mask", "t", "trainer/move_chance"):
        path = text(tmp_path / "t.csv", f"{axis},eval_loss\n.25,1\n1,2\n")
        assert read_loss_table(path, 8).n_masked.tolist() == [2, 8]


@pytest.mark.parametrize(
    "header",
    [
        "val/loss_0.25,val/loss_0.5",
        "loss@.25,loss@.5",
        "eval_loss_t0.25,eval_loss_t0.5",
        "loss.0.25,loss.0.5",
        "nll/mask_ratio=0.25,nll/mask_ratio=0.5",
        "loss 25%,loss 50%",
        "val/0.25/loss,val/0.5/loss",
        "mask_0.25/ce,mask_0.5/ce",
        "test_loss_n_masked_2,test_loss_n_masked_4",
        '"loss_0,25","loss_0,5"',
        "loss_0.0,loss_0.25,loss_0.5",
    ],
)
def test_wide_headers(tmp_path, header):
    cells = "nan,1,2" if "0.0" in header else "1,2"
    table = read_loss_table(text(tmp_path / "t.csv", f"{header}\n{cells}\n"), 8)
    assert (table.n_masked.tolist(), table.loss.tolist()) == ([2, 4], [1, 2])


def test_a_wide_table_of_sequences_has_a_row_for_each(tmp_path):
    path = text(tmp_path / "t.csv", "seq_id,loss_0.25,loss_0.5\nab,1,2\ncd,3,4\n")
    table = read_loss_table(path, 8)
    assert table.n_masked.tolist() == [2, 4, 2, 4]
    assert table.loss.tolist() == [1, 2, 3, 4]
    assert table.sequence.tolist() == [0, 0, 1, 1]


def test_columns_say_what_names_do_not(tmp_path):
    path = text(tmp_path / "t.csv", 'a,"b, c",d\n.25,1,9\n.5,2,8\n')
    table = read_loss_table(path, 8, columns="mask_ratio=a,loss=b, c")
    assert (table.n_masked.tolist(), table.loss.tolist()) == ([2, 4], [1, 2])
    assert read_loss_table(path, 8, columns="revealed_ratio=a,loss=d").n_masked.tolist() == [6, 4]
    path = text(tmp_path / "w.csv", "a - loss_0.25,a - loss_0.5,b - loss_0.25,b - loss_0.5\n1,2,3,4\n")
    assert read_loss_table(path, 8, columns="loss=b - loss_*").loss.tolist() == [3, 4]
    assert read_loss_table(path, 8, columns="revealed_ratio=*,loss=b - loss_*").n_masked.tolist() == [6, 4]
    path = text(tmp_path / "n.csv", "k2,k4,e2,e4\n1,2,.1,.2\n")
    table = read_loss_table(path, columns="loss=k*,stderr=e*")
    assert (table.n, table.n_masked.tolist(), table.stderr.tolist()) == (4, [2, 4], [0.1, 0.2])
    np.save(tmp_path / "t.npy", np.array([[7, 1, 0.5], [7, 4, 1.5]]))
    assert read_loss_table(tmp_path / "t.npy", columns="n_masked=2,loss=3").loss.tolist() == [0.5, 1.5]


def test_of_steps_the_last_whole_one_is_read(tmp_path):
    rows = [(step, m, step + m) for step in (3, 1, 2) for m in (1, 2, 4) if (step, m) != (3, 4)]
    path = text(
        tmp_path / "t.csv", "\n".join(["step,n_masked,loss", *(f"{a},{b},{c}" for a, b, c in rows)])
    )
    assert read_loss_table(path).loss.tolist() == [3, 4, 6]


def test_steps_of_one_count_are_read_together_and_said(tmp_path):
    path = text(tmp_path / "t.csv", "step,n_masked,loss\n1,1,1\n2,2,3\n3,1,2\n")
    read = read_loss_file(path)
    assert read.table.loss.tolist() == [1, 3, 2]
    assert read.facts["logged_steps"] == {"read": None, "first": 1, "last": 3, "of": 3}


def test_rows_without_a_count_or_a_loss_are_left_out(tmp_path):
    path = text(tmp_path / "t.csv", "n_masked,loss\n1,1\n2,\n,3\n4,NA\n4,2\n")
    assert read_loss_table(path).n_masked.tolist() == [1, 4]


# Units.


@pytest.mark.parametrize("share", [0.25, 1.0])
@pytest.mark.parametrize("axis", ["n_masked", "mask_ratio"])
def test_units_are_those_of_the_trainers(tmp_path, axis, share):
    """Losses as written in the trainers' own code, from the nats of each token."""
    n, nats = 8, np.random.default_rng(1).exponential(size=8)
    m = int(share * n)
    masked = nats[:m]
    logged = {
        ("token", False): masked.mean(),
        ("position", False): masked.sum() / n,
        ("sequence", False): masked.sum(),
        ("token", True): (masked / share).mean(),
        ("position", True): (masked / share).sum() / n,  # LLaDA, MDLM
        ("sequence", True): (masked / share).sum(),
    }
    at = m if axis == "n_masked" else share
    for (per, weighted), loss in logged.items():
        for unit, base in (("nats", 1), ("bits", np.log(2))):
            cells = f"{axis},loss,stderr\n{at},{loss / base!r},{loss / base / 8!r}\n{at / 2},1,1\n"
            path = text(tmp_path / "t.csv", cells)
            table = read_loss_table(path, n, unit=unit, per=per, weighted=weighted)
            assert table.loss[0] == pytest.approx(masked.mean(), rel=1e-14)
            assert table.stderr[0] == pytest.approx(masked.mean() / 8, rel=1e-14)


def test_a_perplexity(tmp_path):
    path = text(tmp_path / "t.csv", "n_masked,loss,stderr\n1,1,.5\n2,7.5,.75\n")
    table = read_loss_table(path, unit="perplexity")
    assert table.loss.tolist() == [0, np.log(7.5)]
    assert table.stderr.tolist() == [0.5, 0.1]
    with refused("loss is 0.5 at the least: want a perplexity, at least 1"):
        read_loss_table(text(tmp_path / "t.csv", "n_masked,loss\n1,.5\n2,7\n"), unit="perplexity")
    with refused("unit is perplexity: want nats or bits; a perplexity is that of a masked token"):
        read_loss_table(path, unit="perplexity", per="sequence")


@pytest.mark.parametrize(("per", "weighted"), [("token", True), ("position", False), ("sequence", True)])
def test_units_that_depend_on_the_length_need_it(per, weighted):
    with refused("length is not given: want the number of positions; --per .* needs --length N"):
        read_loss_table(TABLES / "plain.csv", per=per, weighted=weighted)
    read_loss_table(TABLES / "plain.csv", per="sequence")
    read_loss_table(TABLES / "plain.csv", per="position", weighted=True)


# Rows of one mask count.


def test_merged_rows_have_the_standard_error_of_their_mean(tmp_path):
    """Against draws: rows of unequal counts, whose errors are known, merged again and again."""
    rng, counts = np.random.default_rng(0), np.array([4.0, 1.0, 9.0])
    errors = 0.3 / np.sqrt(counts)
    means = []
    for _ in range(400):
        losses = 5 + errors * rng.standard_normal(3)
        rows = [
            f"2,{a!r},{b!r},{c}" for a, b, c in zip(losses.tolist(), errors.tolist(), counts, strict=True)
        ]
        path = text(tmp_path / "t.csv", "\n".join(["n_masked,loss,stderr,count", *rows, "1,1,.1,5"]))
        table = read_loss_table(path)
        means.append(table.loss[1])
    assert (table.n_masked.tolist(), table.count.tolist()) == ([1, 2], [5, 14])
    assert table.stderr[1] == pytest.approx(0.3 / np.sqrt(14), rel=1e-12)
    assert np.std(means) == pytest.approx(table.stderr[1], rel=0.15)  # 4 standard errors of the spread
    assert read_loss_file(path).facts["rows_merged"] == 2


def test_sequences_are_kept_apart(tmp_path):
    path = text(tmp_path / "t.csv", "sequence,n_masked,loss,stderr\nb,1,1,.1\na,1,2,.1\nb,2,3,.1\n")
    table = read_loss_table(path)
    assert table.sequence.tolist() == [0, 1, 0]
    assert table.stderr is None
    assert table.loss.tolist() == [1, 2, 3]
    path = text(tmp_path / "t.csv", "sequence,n_masked,loss\n7,2,1\n3,2,2\n")
    with refused("n_masked is 2 in every row"):
        read_loss_table(path)
    path = text(tmp_path / "t.csv", "sequence,n_masked,loss\n7,1,1\n3.0,2,2\n")
    assert read_loss_table(path).sequence.tolist() == [7, 3]
    with refused("sequence is '' in row 2: want what tells sequences apart"):
        read_loss_table(text(tmp_path / "t.csv", "sequence,n_masked,loss\n7,1,1\n,2,2\n"))


def test_blocks_have_tables_of_their_own(tmp_path):
    """Rows of one count are merged in their block alone; the table of all is the mean of the blocks."""
    rows = "0,1,1,.3\n0,1,3,.4\n0,2,4,.1\n7,1,1,.1\n7,2,2,.1\n"
    read = read_loss_file(text(tmp_path / "t.csv", "block_idx,n_masked,loss,stderr\n" + rows))
    assert list(read.blocks) == [0, 7]
    assert read.blocks[0].loss.tolist() == [2, 4]
    assert read.blocks[0].stderr.tolist() == pytest.approx([0.25, 0.1])
    assert read.table.loss.tolist() == [1.5, 3]
    assert read.facts["rows_merged"] == 1
    with refused("t.csv with a column block_idx: want losses of whole sequences"):
        read_loss_table(tmp_path / "t.csv")
    wide = text(tmp_path / "w.csv", "block,loss_0.5,loss_1.0\n0,1,2\n1,3,4\n")
    assert [one.loss.tolist() for one in read_loss_file(wide, 2).blocks.values()] == [[1, 2], [3, 4]]
    named = text(tmp_path / "n.csv", "chunk,n_masked,loss\n0,1,1\n0,2,2\n1,1,3\n1,2,4\n")
    assert read_loss_file(named).blocks == {}
    told = read_loss_file(named, columns="n_masked=n_masked,loss=loss,block=chunk")
    assert [one.loss.tolist() for one in told.blocks.values()] == [[1, 2], [3, 4]]


def test_blocks_are_written_and_read_back(tmp_path):
    n_masked, block, sequence = np.array([1, 2] * 4), np.array([0, 0, 1, 1] * 2), np.arange(8) // 4
    table = LossTable(2, n_masked, np.linspace(1, 2, 8), sequence=sequence)
    write_loss_table(tmp_path / "t.csv", table, block)
    read = read_loss_file(tmp_path / "t.csv")
    for one, found in read.blocks.items():
        assert found.loss.tolist() == table.loss[block == one].tolist()
        assert found.sequence.tolist() == [0, 0, 1, 1]


# There and back.

FINITE = st.floats(0, 1e300, allow_subnormal=True)


@st.composite
def tables(draw):
    n = draw(st.integers(2, 2**24))
    kind = draw(st.sampled_from(["plain", "stderr", "sequence"]))
    counts = st.integers(1, n)
    n_masked = draw(st.lists(counts, min_size=2, max_size=8, unique=True))
    if kind != "stderr":
        n_masked += draw(st.lists(st.sampled_from(n_masked), max_size=4))
    rows = len(n_masked)

    def column(values):
        return np.array(draw(st.lists(values, min_size=rows, max_size=rows)))

    return LossTable(
        n,
        np.array(n_masked),
        column(st.floats(0, 1e290)),
        count=column(st.floats(1e-300, 1e300)),
        stderr=column(FINITE) if kind == "stderr" else None,
        sequence=column(st.integers(0, 2**52)) if kind == "sequence" else None,
    )


@given(tables())
def test_what_is_written_is_read_back_to_the_bit(table):
    path = Path(os.environ["PYTEST_TMP_TABLE"])
    write_loss_table(path, table)
    again = read_loss_table(path, table.n)
    for name in ("n_masked", "loss", "count", "stderr", "sequence"):
        one, other = getattr(table, name), getattr(again, name)
        assert (one is None) == (other is None), name
        assert one is None or one.tolist() == other.tolist()
    assert again.n == table.n


@pytest.fixture(autouse=True)
def _path(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTEST_TMP_TABLE", str(tmp_path / "there.csv"))


# What is refused, with what to type.


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.csv", "", "file is .*t.csv, empty: want a header line and rows"),
        ("t.csv", "# only\n\n", "file is .*t.csv, empty"),
        ("t.csv", "n_masked,loss\n", "t.csv without rows that have n_masked and loss"),
        ("t.csv", "n_masked,loss\n1,\n,2\n", "without rows that have n_masked and loss"),
        ("t.csv", "step,loss\n1,3\n2,2\n", "one averaged loss a step cannot tell .*`mdmjax loss-curve`"),
        ("t.csv", "step,loss\n1,3\n2,2\n", "--columns n_masked=NAME,loss=loss"),
        ("t.csv", "n_masked,count\n1,1\n", "want a column loss, .* --columns n_masked=n_masked,loss=NAME"),
        ("t.csv", "n_masked,ppl\n1,1\n", "want a column loss"),
        ("t.csv", "x,y\n1,1\n", "with columns x, y: .* --columns n_masked=NAME,loss=NAME"),
        ("t.csv", "loss\n1\n", "want a column n_masked or mask_ratio"),
        (
            "t.csv",
            "timestep,loss\n1,1\n",
            "if timestep is the share that is masked: --columns mask_ratio=timest",
        ),
        (
            "t.csv",
            "t,train_loss,val_loss\n1,1,1\n",
            "columns train_loss, val_loss for loss: want one of them; ",
        ),
        ("t.csv", "t,train_loss,val_loss\n1,1,1\n", "--columns loss=val_loss$"),
        ("t.csv", "t,a loss_.1,a loss_.5\n1,1,1\n", "needs --length"),
        (
            "t.csv",
            "a - loss_.1,a - loss_.5,b - loss_.1,b - loss_.5\n1,1,1,1\n",
            "--columns 'loss=b - loss_",
        ),
        ("t.csv", "n_masked,loss,loss\n1,1,1\n", "with two columns loss: want each column once"),
        ("t.csv", "n_masked,loss\n1,1\n2\n", "with '2' in row 2, cells: 1: want 2 .*is the file cut off"),
        ("t.csv", "n_masked,loss\n1,0,5\n2,1,5\n", "'1,0,5' in row 1, cells: 3.* decimal commas need ;"),
        (
            "t.csv",
            "n_masked,loss\n1;0.5\n2;1\n",
            "'1;0.5' in row 1, cells: 1.* part the cells of every line alike",
        ),
        (
            "t.csv",
            "My run\nn_masked,loss\n1,1\n",
            "whose first line is 'My run': .* lines before it begin with #",
        ),
        ("t.csv", "n_masked,loss\n1,x\n2,1\n", "loss is 'x' in row 1: want a number such as 1.31"),
        ("t.csv", "n_masked,loss\n1,1_0\n2,1\n", "loss is '1_0' in row 1"),
        ("t.csv", "n_masked,loss\n,1\n1,nan\n2,1\n", "loss is nan in row 2: want a finite number"),
        ("t.csv", "n_masked,loss\n1,inf\n2,1\n", "loss is inf in row 1"),
        ("t.csv", "n_masked,loss\n1,-1\n2,1\n", "loss is -1 in row 1"),
        ("t.csv", "n_masked,loss\n1.5,1\n2,1\n", "n_masked is 1.5 in row 1: want a whole number"),
        (
            "t.csv",
            "n_masked,loss\n.5,1\n1,1\n",
            "ratios. --columns mask_ratio=n_masked,loss=loss --length N",
        ),
        ("t.csv", "n_masked,loss\nnan,1\n2,1\n", "n_masked is nan in row 1"),
        ("t.csv", "n_masked,loss\n1e300,1\n2,1\n", r"n_masked is 1e\+300 in row 1"),
        ("t.csv", "n_masked,loss\n0,1\n2,1\n", "n_masked is 0 in row 1"),
        ("t.csv", "n_masked,loss\n0,1\n0,1\n", "n_masked is 0: want at least 1 in some row"),
        ("t.csv", "n_masked,loss\n2,1\n2,1\n", "want at least two different mask counts"),
        ("t.csv", "n_masked,loss,count\n1,1,2\n2,1,\n", "count is empty in row 2"),
        ("t.csv", "n_masked,loss,count\n1,1,2\n2,1,0\n", "count is 0 in row 2"),
        ("t.csv", "n_masked,loss,stderr\n1,1,2\n2,1,-1\n", "stderr is -1 in row 2"),
        ("t.csv", 'n_masked,loss\n1,1\n2,"1\n', "want comma-separated values; unexpected end"),
        ("t.csv", 'n_masked,"loss\n1,1\n2,1\n', "want comma-separated values; unexpected end"),
        ("t.csv", 'n_masked,loss\n1,"1"0\n2,1\n', "want comma-separated values"),
        (
            "t.csv",
            "n_masked,\x1b]0;title\x07\n1,1\n",
            r"with columns n_masked, .x1b]0;title.x07: want a column",
        ),
        (
            "t.csv",
            f"n_masked,{'x' * 10**5}\n1,1\n",
            r"columns n_masked, x{68}\.\.\.x{78}: want a column loss",
        ),
        ("t.csv", f"n_masked,loss\n1,{'x' * 10**5}\n", r"loss is 'x{27}\.\.\.x{27}' in row 1"),
        ("t.csv", "a\0b\n1\n", "t.csv, not text: want UTF-8 text, or UTF-16"),
        ("t.jsonl", "", "file is .*t.jsonl, empty"),
        ("t.jsonl", "[1]\n", "line 1 is not a JSON object"),
        ("t.jsonl", '{"n_masked": 1, "loss": 1}\n{\n', "line 2 is not a JSON object"),
        ("t.jsonl", '{"n_masked": 1, "loss": true}\n', "loss is True in row 1: want a number"),
        ("t.jsonl", '{"n_masked": 1, "loss": {"a": 1}}\n', "loss is .* in row 1: want a number"),
        ("t.jsonl", f'{{"n_masked": 1{"0" * 400}, "loss": 1}}\n', "n_masked is 1000.* in row 1"),
        ("t.jsonl", '{"a": ' * 10**5, "line 1 is not a JSON object"),
        ("t.json", '{"a": ' * 10**5, "want JSON: records"),
        ("t.json", "[1, 2]", "with JSON of another shape: want records"),
        ("t.json", "[]", "with JSON of another shape"),
        ("t.json", "{}", "want a column n_masked or mask_ratio"),
        ("t.json", "3", "with JSON of another shape"),
        ("t.json", '{"log_history": []}', "with JSON of another shape"),
        (
            "t.json",
            '{"n_masked": [1, 2], "loss": [1]}',
            "n_masked of 2, loss of 1: want lists of one length",
        ),
        ("t.json", '{"columns": ["n_masked", "loss"], "data": [[1]]}', "want rows of 2 cells each"),
        ("t.npz", "", "file is .*t.npz: want an .npz file"),
        ("t.npy", "", "file is .*t.npy: want an .npy file of numbers with two or more columns"),
        ("t.xlsx", "n_masked,loss\n1,1\n", "want a name that ends in .csv, .* a spreadsheet can save .csv"),
        ("t.npz.gz", "x", "want a name that ends in .csv"),
    ],
)
def test_loss_tables_that_are_refused(tmp_path, name, content, message):
    with refused(message) as error:
        read_loss_table(text(tmp_path / name, content))
    assert str(error.value).isprintable()
    assert len(str(error.value)) < 700


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ("", "columns is : want such as n_masked=NAME,loss=NAME"),
        ("loss", "columns is loss: want such as"),
        ("x,loss=loss", "want such as"),
        ("loss=loss,loss=lr", "want such as"),
        ("n_masked=step,mask_ratio=lr,loss=loss", "one of the first four"),
        ("n_masked=stp,loss=loss", "columns is n_masked=stp: want a column of .*: step, lr, loss, 00"),
        ("n_masked=step,loss=loss_*", "columns is loss_.*: want a pattern of columns of"),
        ("loss=lr", "want a column n_masked or mask_ratio"),
        ("loss=0*", "columns is 0.: want a pattern of columns of"),
    ],
)
def test_columns_that_are_refused(tmp_path, columns, message):
    with refused(message):
        read_loss_table(text(tmp_path / "t.csv", "step,lr,loss,00\n1,1,1,1\n2,1,1,1\n"), columns=columns)


def test_shares_of_nearly_nothing_are_refused(tmp_path):
    path = text(tmp_path / "t.csv", "mask_ratio,loss,stderr\n1e-308,50,1\n1,1,1\n")
    with refused("loss is inf in row 1: want finite nats a masked token"):
        read_loss_table(path, 8, per="sequence")
    read_loss_table(path, 8)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("n_masked,loss\n4,1\n8,2\n", "n_masked is 8 in row 2: want 1..n with n = 7; is --length less"),
        (
            "mask_ratio,loss\n10,1\n100,2\n",
            "mask_ratio is 10 in row 1: .* a percentage is to be divided by 100",
        ),
        (
            "t,loss\n1,1\n50,2\n",
            "mask_ratio is 50 in row 2: .* counts, --columns n_masked=t,loss=loss, or times",
        ),
        (
            "mask_ratio,loss\n0,1\n1,2\n",
            "mask_ratio is 0 in row 1: .* leave out rows where nothing is masked",
        ),
        ("mask_ratio,loss\nnan,1\n1,2\n", "mask_ratio is nan in row 1"),
        ("n_revealed,loss\n7,1\n1,2\n", "n_revealed is 7 in row 1: want 0..n-1 with n = 7"),
    ],
)
def test_what_does_not_fit_the_length(tmp_path, content, message):
    with refused(message):
        read_loss_table(text(tmp_path / "t.csv", content), 7)


def test_loss_arrays_that_are_refused(tmp_path):
    def saved(**arrays):
        np.savez(tmp_path / "t.npz", **arrays)
        return tmp_path / "t.npz"

    with refused("want one-dimensional arrays of one length"):
        read_loss_table(saved(n_masked=np.array([1, 2]), loss=np.array([1.0])))
    with refused("want one-dimensional arrays of one length"):
        read_loss_table(saved(n_masked=np.ones((2, 2)), loss=np.ones((2, 2))))
    for array in (np.ones(3), np.ones((3, 1)), np.ones((2, 2), complex), np.array([["a", "b"]])):
        np.save(tmp_path / "t.npy", array)
        with refused(
            "t.npy of type .* and shape .*: want an .npy file of numbers with two or more columns"
        ):
            read_loss_table(tmp_path / "t.npy")


def test_nothing_is_unpickled(tmp_path):
    np.save(tmp_path / "t.npy", np.array([{}, {}], dtype=object), allow_pickle=True)
    with refused("arrays of objects are never loaded"):
        read_loss_table(tmp_path / "t.npy")


def test_an_npy_takes_no_more_than_its_bytes(tmp_path):
    """Its header says a terabyte."""
    np.save(tmp_path / "t.npy", np.ones((4, 2)))
    data = (tmp_path / "t.npy").read_bytes().replace(b"(4, 2), }     ", b"(99999999999, 2), }"[:14])
    (tmp_path / "t.npy").write_bytes(data.replace(b"(4, 2), }          ", b"(40000000000, 2), }"))
    with refused("t.npy: want an .npy file"):
        read_loss_table(tmp_path / "t.npy")


def test_what_gzip_holds_is_bounded(tmp_path, monkeypatch):
    (tmp_path / "bomb.csv.gz").write_bytes(gzip.compress(bytes(2**27)))
    with refused("bomb.csv.gz, more than 64.0 MiB unpacked: want at most 64.0 MiB"):
        read_loss_table(tmp_path / "bomb.csv.gz")
    whole = (TABLES / "packed.csv.gz").read_bytes()
    for data in (whole[:-9], whole[:12], whole[:20] + b"\xff" * 9 + whole[29:]):
        (tmp_path / "cut.csv.gz").write_bytes(data)
        with refused("cut.csv.gz: want a file that gzip can unpack"):
            read_loss_table(tmp_path / "cut.csv.gz")
    monkeypatch.setattr(cells, "MAX_TABLE_BYTES", 40)
    with refused("want at most 40 bytes"):
        read_loss_table(TABLES / "trainer_state.json")


@pytest.mark.slow
def test_many_columns_are_read_quickly(tmp_path):
    names = [f"x{i}" for i in range(10**5)]
    path = text(
        tmp_path / "t.csv", "\n".join([",".join([*names, "n_masked", "loss"]), *["0," * 10**5 + "1,1"]])
    )
    with refused("n_masked is 1 in every row"):
        read_loss_table(path, 4)
    names = [f"loss_{i / 10**5:.5f}" for i in range(1, 10**5)]
    path = text(tmp_path / "t.csv", "\n".join([",".join(names), ",".join(["1"] * len(names))]))
    assert read_loss_table(path, 16).n_masked.size == 10**5 - 1


def line_of(path, length):
    """The line by which a file is refused, checked; empty if it is read."""
    line = ""
    try:
        read_loss_table(path, length)
    except InvalidInputError as error:
        line = str(error)
    assert line.isprintable()
    assert len(line) < 1000
    return line


def fuzzed():
    """Files cut off, with bytes changed, and of other kinds, from those of every format."""
    rng = random.Random(0)
    for name in sorted(os.listdir(TABLES)):
        data = (TABLES / name).read_bytes()
        for at in range(6):
            cut = data[: rng.randrange(len(data))]
            changed = bytearray(data)
            for _ in range(3):
                changed[rng.randrange(len(data))] = rng.randrange(256)
            yield name, cut
            yield name, bytes(changed)
            yield name, rng.randbytes(50 * at)
            yield name, (TABLES / rng.choice(sorted(os.listdir(TABLES)))).read_bytes()


@pytest.mark.filterwarnings("error")
def test_a_damaged_file_is_read_or_refused_in_one_line(tmp_path):
    outcomes = []
    for name, data in fuzzed():
        (tmp_path / name).write_bytes(data)
        outcomes.append(line_of(tmp_path / name, 16))
    assert 0 < sum(line == "" for line in outcomes) < len(outcomes)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.sampled_from(["1", "loss", "t", ""]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["n_masked", "loss", "t", "columns", "data", "log_history"]), inner
        )
    ),
    max_leaves=20,
)


@given(JSON)
def test_any_json_is_read_or_refused(document):
    path = Path(os.environ["PYTEST_TMP_TABLE"]).with_suffix(".json")
    path.write_text(json.dumps(document))
    line_of(path, 4)


@given(st.text(st.sampled_from('n_masked,loss;\t 0123456789.#"\n-'), max_size=60))
def test_any_text_is_read_or_refused(content):
    path = Path(os.environ["PYTEST_TMP_TABLE"])
    for head in ("", "n_masked,loss\n", "n_masked;loss\n", "loss_0.1\tloss_0.5\n"):
        path.write_text(head + content)
        line_of(path, 4)
