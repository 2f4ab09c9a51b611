"""Reading what users bring and writing what they keep: whole, or not at all."""

import json
import os
import signal
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from mdmjax._errors import InvalidInputError
from mdmjax.files import atomic
from mdmjax.files.arrays import check_readable, read_joint, read_npz
from mdmjax.files.checkpoint import read_header
from mdmjax.files.corpus import corpus_files, read_corpus, standard_library_files
from mdmjax.files.loss_table import read_loss_table
from mdmjax.files.safetensor_files import read_model
from mdmjax.files.schedule_files import export_schedule, read_schedule
from mdmjax.files.training_log import begin_log
from mdmjax.schedules.schedule import Schedule


def refused(match):
    return pytest.raises(InvalidInputError, match=match)


class Pickled:
    """An object that says when it is unpickled."""

    def __reduce__(self):
        return (os.mkdir, ("unpickled",))


# Writing.


def test_write_bytes_replaces_whole_and_leaves_nothing_beside(tmp_path):
    path = tmp_path / "out.bin"
    atomic.write_bytes(path, b"old")
    atomic.write_bytes(path, b"new")
    assert path.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["out.bin"]


def test_written_files_have_the_modes_of_ordinary_files(tmp_path):
    (tmp_path / "plain").write_text("x")
    atomic.write_bytes(tmp_path / "ours", b"x")
    atomic.write_folder(tmp_path / "folder", {"inside": b"x"})
    mode = (tmp_path / "plain").stat().st_mode
    assert (tmp_path / "ours").stat().st_mode == mode
    assert (tmp_path / "folder" / "inside").stat().st_mode == mode


@pytest.mark.parametrize("write", ["file", "new folder", "old folder"])
def test_a_failed_write_leaves_what_was_there(tmp_path, monkeypatch, write):
    old = tmp_path / "old"
    old.mkdir()
    (old / "a").write_bytes(b"before")

    def fail(*arguments):
        raise OSError("disk full")

    monkeypatch.setattr(atomic.os, "replace", fail)
    monkeypatch.setattr(atomic.os, "rename", fail)
    writes = {
        "file": lambda: atomic.write_bytes(old / "a", b"after"),
        "new folder": lambda: atomic.write_folder(tmp_path / "new", {"a": b"after"}),
        "old folder": lambda: atomic.write_folder(old, {"a": b"after"}),
    }
    with pytest.raises(OSError, match="disk full"):
        writes[write]()
    assert (old / "a").read_bytes() == b"before"
    assert sorted(os.listdir(tmp_path)) == ["old"]
    assert os.listdir(old) == ["a"]


def test_write_folder_stays_on_the_file_system_of_an_existing_folder(tmp_path, monkeypatch):
    """A mounted folder's parent is another file system, from which nothing can be renamed into it."""
    made, mkdtemp = [], atomic.tempfile.mkdtemp
    monkeypatch.setattr(atomic.tempfile, "mkdtemp", lambda **how: made.append(how["dir"]) or mkdtemp(**how))
    for _ in range(2):
        atomic.write_folder(tmp_path / "folder", {"a": b"1"})
    assert made == [tmp_path, tmp_path / "folder"]
    assert os.listdir(tmp_path / "folder") == ["a"]


def test_write_folder_keeps_other_files(tmp_path):
    folder = tmp_path / "kept"
    atomic.write_folder(folder, {"a": b"1", "b": b"2"})
    (folder / "mine").write_bytes(b"3")
    atomic.write_folder(folder, {"a": b"4"})
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == {
        "a": b"4",
        "b": b"2",
        "mine": b"3",
    }
    assert os.listdir(tmp_path) == ["kept"]


def test_paths_that_cannot_be_written_are_refused(tmp_path):
    (tmp_path / "file").write_text("x")
    with refused("plot is .*: want a file name; this is a folder"):
        atomic.check_writable("plot", tmp_path)
    with refused("plot is .*: want a file in an existing folder"):
        atomic.check_writable("plot", tmp_path / "no" / "x.png")
    with refused("export is .*: want a folder; a file of this name exists"):
        atomic.check_writable_folder("export", tmp_path / "file")
    with refused("export is .*: want a folder in an existing one"):
        atomic.check_writable_folder("export", tmp_path / "no" / "x")


def test_an_exported_schedule_comes_back(tmp_path):
    schedule = Schedule([1, 3, 9, 1])
    export_schedule(tmp_path / "out", schedule, {"curve": "mine"})
    for path in (tmp_path / "out", tmp_path / "out" / "schedule.json"):
        assert read_schedule(path).counts.tolist() == [1, 3, 9, 1]
    document = json.loads((tmp_path / "out" / "schedule.json").read_text())
    assert document["metadata"] == {"units": "nats", "curve": "mine"}
    for adapter in (tmp_path / "out").glob("*.py"):
        compile(adapter.read_text(), adapter.name, "exec")
    (tmp_path / "bad.json").write_text("{")
    with refused("file is .*bad.json: want a JSON object"):
        read_schedule(tmp_path / "bad.json")


# What is no file.


@pytest.fixture
def odd(tmp_path):
    """A pipe, a link to an endless device, a circle of links, a link to nothing; opening them may hang."""
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "zero").symlink_to("/dev/zero")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "nothing").symlink_to(tmp_path / "gone")
    return tmp_path


ODD = ["fifo", "zero", "loop", "nothing"]
READERS = {
    "csv": read_loss_table,
    "npz": read_joint,
    "json": read_schedule,
    "safetensors": read_model,
    "checkpoint": read_header,
    "text": lambda path: read_corpus(corpus_files(path)),
}


@pytest.mark.parametrize("kind", READERS)
@pytest.mark.parametrize("name", ODD)
def test_what_is_no_file_is_never_opened(odd, kind, name):
    path = (odd / name).rename(odd / f"{name}.{kind}")
    if name == "loop":
        path.unlink()
        path.symlink_to(path)
    with refused(rf"is .*{name}.{kind}: want a .*(this is not a file|leads to none|this is neither)"):
        READERS[kind](path)


@pytest.mark.parametrize("name", ODD)
def test_what_is_no_file_is_never_written_over(odd, name):
    with refused(f"out is .*{name}: want a file name; this (is a pipe|link leads to none)"):
        atomic.check_writable("out", odd / name)
    with refused(f"out is .*{name}: want a folder; (a file of this name exists|this link leads to none)"):
        atomic.check_writable_folder("out", odd / name)
    with refused("want a (file|folder) in an existing"):
        atomic.check_writable("out", odd / name / "x")
    with refused("want a (file|folder) in an existing"):
        atomic.check_writable_folder("out", odd / name / "x")
    with refused("log is .*: want a file name"):
        begin_log(odd / name, 0)
    assert sorted(os.listdir(odd)) == sorted(ODD)


def test_no_name_is_too_odd_to_be_refused(tmp_path):
    for name in ("x" * 5000, "a\0b"):
        with refused("file is .*: want a file; no such file") as error:
            check_readable("file", tmp_path / name)
        assert str(error.value).isprintable()


def test_what_is_no_file_in_a_folder_of_text_is_left_out(odd):
    (odd / "real.txt").write_text("text")
    for name in ODD:
        (odd / name).rename(odd / f"{name}.txt")
    (odd / "loop.txt").unlink()
    (odd / "loop.txt").symlink_to(odd / "loop.txt")
    (odd / "link.txt").symlink_to(odd / "real.txt")
    assert [file.name for file in corpus_files(odd)] == ["link.txt", "real.txt"]


def test_the_size_of_every_file_is_known_before_it_is_read(tmp_path):
    """Files of 100 GB, which take no room on the disk, as they have nothing in them."""
    for name in ("t.csv", "t.jsonl", "t.npz", "t.json", "t.txt", "model.safetensors"):
        with (tmp_path / name).open("wb") as stream:
            stream.truncate(10**11)
    for read, name in [
        (read_loss_table, "t.csv"),
        (read_loss_table, "t.jsonl"),
        (read_schedule, "t.json"),
        (read_model, "model.safetensors"),
    ]:
        with refused(rf"is .*{name}, 93.1 GiB: want at most"):
            read(tmp_path / name)
    for read in (read_loss_table, read_joint):
        with refused("t.npz: want an .npz file"):
            read(tmp_path / "t.npz")
    with refused("text is of 93.1 GiB: want at most 2.0 GiB"):
        read_corpus(corpus_files(tmp_path / "t.txt"))
    with refused("text is of 8 bytes: want at most 7 bytes"):
        (tmp_path / "t.txt").write_text("four")
        read_corpus([tmp_path / "t.txt"] * 2, limit=7)


# What killed writers leave.


def killed_while_writing(path, kind):
    """A process that is killed while it writes `path`; what it leaves is there afterwards."""
    write = {
        "file": "half = atomic.opened(path); half.__enter__().write(b'half')",
        "folder": "atomic.write_folder(path, Slow())",
    }[kind]
    code = f"""
import os, signal, sys
from pathlib import Path
from mdmjax.files import atomic
class Slow(dict):
    def items(self):
        yield "a", b"half"
        os.kill(os.getpid(), signal.SIGKILL)
path = Path(sys.argv[1])
{write}
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", code, str(path)], check=False)
    assert done.returncode == -signal.SIGKILL


@pytest.mark.parametrize("kind", ["file", "folder"])
@pytest.mark.parametrize("exists", [False, True])
def test_the_next_writer_removes_what_a_killed_one_left(tmp_path, kind, exists):
    path = tmp_path / "out[1]"
    write = {
        "file": lambda: atomic.write_bytes(path, b"whole"),
        "folder": lambda: atomic.write_folder(path, {"a": b"whole"}),
    }[kind]
    if exists:
        write()
    killed_while_writing(path, kind)
    assert len(list(tmp_path.rglob("*.part"))) == 1
    (tmp_path / ".other.abc.part").write_bytes(b"of another file")
    write()
    assert [part.name for part in tmp_path.rglob("*.part")] == [".other.abc.part"]
    assert sorted(os.listdir(tmp_path)) == [".other.abc.part", "out[1]"]


def test_a_part_that_is_being_written_is_left_alone(tmp_path):
    path = tmp_path / "out"
    with atomic.opened(path) as slow:
        slow.write(b"slow")
        atomic.write_bytes(path, b"fast")
        assert path.read_bytes() == b"fast"
    assert path.read_bytes() == b"slow"
    assert os.listdir(tmp_path) == ["out"]


def test_a_folder_that_could_not_be_filled_is_removed(tmp_path):
    for made in (False, True):
        with pytest.raises(IsADirectoryError), atomic.new_folder(tmp_path / "new"):
            (tmp_path / "new").write_bytes(b"x")
        assert (tmp_path / "new").exists() == made
        (tmp_path / "new").mkdir(exist_ok=True)


# Joint tables.


def saved(path, **arrays):
    np.savez(path, **arrays)
    return path


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, np.int64, ">f8", ">f4"])
def test_a_joint_of_any_number_type_is_read(tmp_path, dtype):
    table = np.array([[0, 1], [0, 0]]) if dtype is np.int64 else np.full((2, 2), 0.25)
    joint = read_joint(saved(tmp_path / "t.npz", probs=table.astype(dtype)))
    np.testing.assert_array_equal(joint.probs, table)
    assert joint.probs.dtype == jnp.float64


def test_a_float32_joint_sums_to_one_in_float64(tmp_path):
    table = np.random.default_rng(0).dirichlet(np.ones(27)).reshape(3, 3, 3)
    joint = read_joint(saved(tmp_path / "t.npz", probs=table.astype(np.float32)))
    assert float(joint.probs.sum()) == pytest.approx(1, abs=1e-15)
    np.testing.assert_allclose(joint.probs, table, rtol=1e-5)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"table": np.full(2, 0.5)}, "with arrays table: want an array named probs"),
        ({}, "with arrays none: want an array named probs"),
        ({"probs": np.full((2, 3), 1 / 6)}, r"probs is of shape \(2, 3\)"),
        ({"probs": np.array(1.0)}, r"probs is of shape \(\)"),
        ({"probs": np.array([0.5, np.nan])}, "probs is nan: want a probability"),
        ({"probs": np.array([1.5, -0.5])}, "probs is 1.5: want a probability"),
        ({"probs": np.array([0.5, 0.6])}, "probs is of sum 1.1"),
        ({"probs": np.array([0.5, 0.5], dtype=complex)}, "probs of type complex128"),
        ({"probs": np.array([0.5, 0.5], dtype=np.longdouble)}, "probs of type float128"),
        ({"probs": np.array([0.5, 0.5], dtype=np.clongdouble)}, "probs of type complex256"),
        ({"probs": np.array(["2020-01-01"], dtype="M8[D]")}, "probs of type datetime64"),
        ({"probs": np.array([True, False])}, "probs of type bool"),
        ({"probs": np.array(["a", "b"])}, "probs of type <U1"),
        ({"probs": np.array([Pickled(), 1], dtype=object)}, "arrays of objects are never loaded"),
    ],
)
def test_joint_tables_that_are_refused(tmp_path, monkeypatch, arrays, message):
    monkeypatch.chdir(tmp_path)
    path = saved(tmp_path / "t.npz", **arrays)
    with refused(message):
        read_joint(path)
    assert os.listdir(tmp_path) == ["t.npz"]


def test_a_table_is_refused_by_its_size_before_it_is_loaded(tmp_path):
    path = saved(tmp_path / "t.npz", probs=np.zeros((64, 64)))
    with refused(r"32\.\d KiB unpacked: want at most 1.0 KiB"):
        read_joint(path, limit=2**10)


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04 broken"])
def test_files_that_are_no_npz_are_refused(tmp_path, content):
    path = tmp_path / "t.npz"
    path.write_bytes(content)
    with refused("file is .*t.npz: want an .npz file of real numbers"):
        read_npz("file", path, limit=2**20)


def test_a_truncated_npz_and_a_zip_of_other_things_are_refused(tmp_path):
    whole = saved(tmp_path / "w.npz", probs=np.full((8, 8), 1 / 64)).read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[:-40])
    damaged = bytearray(whole)
    damaged[len(whole) // 2] ^= 0xFF
    (tmp_path / "damaged.npz").write_bytes(bytes(damaged))
    with zipfile.ZipFile(tmp_path / "other.npz", "w") as archive:
        archive.writestr("probs", "text")
    for name in ("cut", "damaged", "other"):
        with refused(f"file is .*{name}.npz"):
            read_joint(tmp_path / f"{name}.npz")
    with refused("no such file"):
        read_joint(tmp_path / "missing.npz")
    with refused("this is not a file"):
        read_joint(tmp_path)


# Text.


def test_corpus_is_every_text_file_in_order(tmp_path):
    for name in ("b.md", "a/z.txt", "a.py", "a/skip.csv", "tests/t.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / "latin.py").write_bytes(b"\xe9")
    corpus = read_corpus(corpus_files(tmp_path))
    assert corpus.texts == ("a/z.txt", "a.py", "b.md", "tests/t.py")
    assert corpus.skipped == 1
    assert corpus.characters == sum(map(len, corpus.texts))
    assert read_corpus(corpus_files(tmp_path, skip={"tests"})).texts == corpus.texts[:3]
    assert corpus_files(tmp_path / "a" / "skip.csv") == [tmp_path / "a" / "skip.csv"]
    assert len(corpus_files(tmp_path, suffixes=(".py",))) == 3


def test_corpora_that_are_refused(tmp_path):
    with refused("path is .*no: want a text file, or a folder"):
        corpus_files(tmp_path / "no")
    with refused(r"want a folder with \*.py or \*.txt or \*.md files"):
        corpus_files(tmp_path)
    (tmp_path / "empty.py").write_text("")
    (tmp_path / "bytes.py").write_bytes(b"\xff")
    with refused("path is 2 files without text"):
        read_corpus(corpus_files(tmp_path))


def test_standard_library_is_the_interpreters_own_without_tests():
    root = Path(sysconfig.get_path("stdlib"))
    names = [file.relative_to(root) for file in standard_library_files()]
    assert {Path("os.py"), Path("json/decoder.py"), Path("unittest/case.py")} <= set(names)
    assert not {"site-packages", "test", "tests"} & {part for name in names for part in name.parts}
    assert names == sorted(names)
