"""`mdmjax train` as a stranger uses it: stopped at any moment, with wrong options, on a full disk."""

import csv
import errno
import json
import os
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import pytest

from mdmjax._errors import InvalidInputError
from mdmjax.cli import main
from mdmjax.files import atomic
from mdmjax.files.checkpoint import read_checkpoint, read_header
from mdmjax.files.safetensor_files import read_model
from mdmjax.studies import training
from mdmjax.studies.trained import open_model
from mdmjax.training import fit

OPTIONS = ["--steps", 20, "--batch", 4, "--width", 8, "--depth", 1, "--heads", 1, "--hidden", 8]
TEXT = ["text", "text.txt", "--length", 8]
FILES = ["checkpoint.eqx", "log.csv", "model.safetensors"]


class Killed(BaseException):
    """What nobody catches, as nobody can catch SIGKILL."""


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(fit, "CHUNK", 5)
    monkeypatch.setattr(training, "HELD_OUT_BATCH", 8)
    monkeypatch.setattr(training, "HELD_OUT_BATCHES", 2)
    monkeypatch.setattr(training, "SAVE_SECONDS", 0.0)
    (tmp_path / "text.txt").write_text("abba" * 100)


def run(capsys, *words, code=0):
    """Standard output and standard error of `mdmjax train`."""
    assert main(["train", *map(str, words)]) == code
    return capsys.readouterr()


def refusal(capsys, *words):
    """The one line of a command that is refused."""
    out, err = run(capsys, *words, code=2)
    assert err.startswith("mdmjax: error: ")
    assert err.count("\n") == 1
    return err


def contents(folder):
    """The bytes of the files of a model, and its log but for the seconds."""
    assert sorted(os.listdir(folder)) == FILES
    rows = [row.rsplit(",", 1)[0] for row in (folder / "log.csv").read_text().splitlines()]
    return (folder / FILES[0]).read_bytes(), (folder / FILES[2]).read_bytes(), rows


@pytest.fixture
def whole(capsys, tmp_path):
    """What a training that nothing stopped leaves."""
    run(capsys, *TEXT, *OPTIONS, "--out", "whole")
    return contents(tmp_path / "whole")


def test_a_text_model_is_trained_logged_and_opened_again(capsys, tmp_path):
    out, err = run(capsys, *TEXT, *OPTIONS, "--out", "model")
    assert err == ""
    for said in ("windows of 8 characters", "held out: the last tenth of the text, 40 characters"):
        assert said in out
    for said in ("held-out loss", "by the frequencies of the symbols alone", "mdmjax decode model"):
        assert said in out
    with open("model/log.csv") as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0]) == ["step", "loss", "learning_rate", "gradient_norm", "tokens", "seconds"]
    assert [int(row["step"]) for row in rows] == list(range(1, 21))
    assert [int(row["tokens"]) for row in rows] == [32 * step for step in range(1, 21)]
    assert (np.diff([float(row["seconds"]) for row in rows]) > 0).all()
    assert all(0 < float(row["loss"]) < 2 for row in rows)
    assert float(rows[0]["learning_rate"]) == pytest.approx(4e-3)

    trained = open_model(tmp_path / "model")
    assert trained.alphabet.symbols == ("a", "b", "\ufffd")
    assert (trained.network.n, trained.network.q) == (8, 3)
    assert trained.metadata["step"] == 20
    held_out = trained.held_out()
    assert trained.alphabet.decode(held_out.tokens) == "abba" * 10
    network, metadata = read_model(tmp_path / "model" / "model.safetensors")
    header = read_header(tmp_path / "model" / "checkpoint.eqx")
    assert metadata == header == trained.metadata
    assert header["plan"]["masks"] == "stratified_masks"


def test_the_weights_of_the_model_are_the_running_mean(capsys, tmp_path):
    run(capsys, *TEXT, *OPTIONS, "--ema", 0, "--out", "model")
    network = open_model(tmp_path / "model").network
    plan = fit.TrainingPlan(steps=20, batch=4, warmup=1)
    skeleton = fit.TrainState.create(jax.random.key(0), plan, network.config)
    state = read_checkpoint(tmp_path / "model" / "checkpoint.eqx", skeleton)
    for tree in (state.network, state.ema):  # a mean that forgets at once
        for a, b in zip(jax.tree.leaves(network), jax.tree.leaves(tree), strict=True):
            np.testing.assert_array_equal(a, b)


SOURCES = {
    "block-hmm": ["--blocks", 1, "--block-size", 4],
    "markov": ["--n", 4],
    "parity": ["--n", 4],
    "permutation": ["--n", 4],
    "joint": ["table.npz"],
}


@pytest.mark.parametrize(
    "source", [pytest.param(name, marks=[pytest.mark.slow] * (name != "joint")) for name in SOURCES]
)
def test_distributions_are_trained_on_and_opened_again(capsys, tmp_path, monkeypatch, source):
    np.savez("table.npz", probs=np.random.default_rng(0).dirichlet(np.ones(8)).reshape(2, 2, 2))
    options = [source, *SOURCES[source], *OPTIONS, "--steps", 5, "--out", "model"]
    result = json.loads(run(capsys, *options, "--json").out)
    known = list(result["compare"].values())
    assert 0 < result["held_out_loss"] < 2
    assert known[0] >= known[1] - 1e-9
    assert result["source"]["name"] == source
    assert result["files"] == ["model.safetensors", "checkpoint.eqx", "log.csv"]
    trained = open_model(tmp_path / "model")
    monkeypatch.chdir("/")
    distribution = trained.source.distribution()[0]
    assert (distribution.n, distribution.q) == (result["n"], result["q"])
    assert trained.held_out().draw(jax.random.key(0)).shape == (result["n"],)
    assert trained.alphabet is None


# Stopped and resumed.


@pytest.mark.parametrize("moment", ["before the log", "after the log", "in the log", "in the model"])
@pytest.mark.parametrize("save_seconds", [0.0, 1e9])
def test_killed_at_any_moment_it_ends_as_if_it_was_not(
    capsys, tmp_path, monkeypatch, whole, moment, save_seconds
):
    from mdmjax.files import model_folder

    monkeypatch.setattr(training, "SAVE_SECONDS", save_seconds)
    calls = []
    append, write = training.append_log, model_folder.write_model

    def kill(path, rows):
        calls.append(rows)
        if len(calls) < 3:
            return append(path, rows)
        if moment == "after the log":
            append(path, rows)
        if moment == "in the log":
            append(path, rows)
            text = path.read_text()
            path.write_text(text[: len(text) - 40])
        if moment == "in the model":
            (path.parent / ".checkpoint.eqx.killed.part").write_bytes(b"half")
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(training, "append_log", kill)
        with pytest.raises(Killed):
            main(["train", *map(str, [*TEXT, *OPTIONS, "--out", "killed"])])
    assert write is model_folder.write_model
    assert read_header(tmp_path / "killed" / "checkpoint.eqx")["step"] == (10 if save_seconds == 0 else 0)
    capsys.readouterr()
    out, _ = run(capsys, *TEXT, *OPTIONS, "--out", "killed")
    assert ("going on from step 10" in out) == (save_seconds == 0)
    assert contents(tmp_path / "killed") == whole


def test_ctrl_c_leaves_a_checkpoint(capsys, tmp_path, monkeypatch, whole):
    monkeypatch.setattr(training, "SAVE_SECONDS", 1e9)
    steps = fit.train_steps

    def interrupted(key, state, *rest):
        if int(state.step) == 5:
            os.kill(os.getpid(), signal.SIGINT)
        return steps(key, state, *rest)

    # A shell starts what it runs behind itself with SIGINT ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with monkeypatch.context() as patch:
            patch.setattr(fit, "train_steps", interrupted)
            _, err = run(capsys, *TEXT, *OPTIONS, "--out", "stopped", code=130)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
    assert "the same command goes on" in err
    assert read_header(tmp_path / "stopped" / "checkpoint.eqx")["step"] == 10
    assert "going on from step 10" in run(capsys, *TEXT, *OPTIONS, "--out", "stopped").out
    assert contents(tmp_path / "stopped") == whole


def test_a_finished_training_says_so_and_changes_nothing(capsys, tmp_path, whole):
    out, _ = run(capsys, *TEXT, *OPTIONS, "--out", "whole")
    assert "whole is finished" in out
    assert "held-out loss" in out
    assert contents(tmp_path / "whole") == whole


@pytest.mark.slow
def test_sigkill_in_a_process_of_its_own(tmp_path):
    """Killed thrice at moments of no choice, it ends with the bytes of one that ran through."""
    code = (
        "import sys; from mdmjax.cli import main; from mdmjax.studies import training\n"
        "training.SAVE_SECONDS = 0.0; sys.exit(main())"
    )
    words = [*TEXT, *OPTIONS, "--steps", 4000, "--out"]
    command = [sys.executable, "-c", code, "train", *map(str, words)]
    subprocess.run([*command, "through"], check=True, capture_output=True)
    log = tmp_path / "killed" / "log.csv"
    for part in range(1, 4):
        process = subprocess.Popen([*command, "killed"], stdout=subprocess.DEVNULL)
        while process.poll() is None and not (
            log.exists() and len(log.read_text().splitlines()) > 900 * part
        ):
            time.sleep(0.01)
        assert process.poll() is None, "it ended before it could be killed"
        process.kill()
        process.wait()
    subprocess.run([*command, "killed"], check=True, capture_output=True)
    assert contents(tmp_path / "killed") == contents(tmp_path / "through")


# What is refused.


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (["--width", 16], "network.width 8, not 16"),
        (["--learning-rate", 0.1], "plan.learning_rate 0.004, not 0.1"),
        (["--length", 4], "source.length 8, not 4"),
        (["--masks", "ratio"], "plan.masks stratified_masks, not ratio_masks"),
    ],
)
def test_another_training_in_the_same_folder_is_refused(capsys, tmp_path, whole, change, named):
    err = refusal(capsys, *TEXT, *OPTIONS, *change, "--out", "whole")
    assert named in err
    assert contents(tmp_path / "whole") == whole


def test_a_text_that_has_changed_is_refused(capsys, tmp_path, whole):
    trained = open_model(tmp_path / "whole")
    (tmp_path / "text.txt").write_text("abbb" * 100)
    assert "data.fingerprint" in refusal(capsys, *TEXT, *OPTIONS, "--out", "whole")
    with pytest.raises(InvalidInputError, match=r"text.txt of fingerprint \w+: want .* as it was"):
        trained.held_out()


def test_a_damaged_checkpoint_is_refused(capsys, tmp_path, whole):
    checkpoint = tmp_path / "whole" / "checkpoint.eqx"
    checkpoint.write_bytes(checkpoint.read_bytes()[:-10])
    assert "cut off" in refusal(capsys, *TEXT, *OPTIONS, "--out", "whole")
    checkpoint.write_bytes(b"something else\n")
    assert "another format" in refusal(capsys, *TEXT, *OPTIONS, "--out", "whole")


def test_a_loss_that_is_nan_stops_and_keeps_the_last_checkpoint(capsys, tmp_path, monkeypatch):
    steps = fit.train_steps

    def broken(key, state, *rest):
        state, log = steps(key, state, *rest)
        if int(state.step) == 15:
            log = log._replace(loss=log.loss.at[2].set(np.nan))
        return state, log

    monkeypatch.setattr(fit, "train_steps", broken)
    err = refusal(capsys, *TEXT, *OPTIONS, "--out", "model")
    assert "loss is nan at step 13" in err
    assert "keeps the checkpoint of step 10" in err
    assert read_header(tmp_path / "model" / "checkpoint.eqx")["step"] == 10
    assert (tmp_path / "model" / "log.csv").read_text().splitlines()[-1].startswith("12,")
    assert open_model(tmp_path / "model").metadata["step"] == 10


@pytest.mark.parametrize("full", ["checkpoint", "log"])
def test_a_full_disk_is_one_line_and_nothing_is_lost(capsys, tmp_path, monkeypatch, whole, full):
    from mdmjax.files import training_log

    replace, append, count = os.replace, training.append_log, []

    def no_room(source, target):
        if str(target).endswith("checkpoint.eqx"):
            count.append(target)
            if len(count) == 3:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        replace(source, target)

    def half_a_row(path, rows):
        append(path, rows)
        if rows[0][0] > 10:
            path.write_text(path.read_text()[:-9])
            training_log._refuse(path, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))

    with monkeypatch.context() as patch:
        if full == "checkpoint":
            patch.setattr(atomic.os, "replace", no_room)
        else:
            patch.setattr(training, "append_log", half_a_row)
        assert "No space left on device" in refusal(capsys, *TEXT, *OPTIONS, "--out", "full")
    assert sorted(os.listdir(tmp_path / "full")) == FILES
    step = read_header(tmp_path / "full" / "checkpoint.eqx")["step"]
    assert step == (5 if full == "checkpoint" else 10)
    run(capsys, *TEXT, *OPTIONS, "--out", "full")
    assert contents(tmp_path / "full") == whole


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["text", "none.txt"], "path is none.txt: want a text file"),
        (["text", "empty"], "path is empty: want a folder with *.py or *.txt or *.md files"),
        (["text", "blank.txt"], "without text"),
        (["text", "text.txt", "--length", 361], "--length is 361: want at most the 360 tokens"),
        (["text", "text.txt", "--length", 41], "--length is 41: want at most the 40 tokens"),
        (["text", "text.txt", "--length", 0], "--length is 0"),
        (["parity", "--width", 15], "--width is 15"),
        (["parity", "--steps", 0], "--steps is 0"),
        (["parity", "--batch", 0], "--batch is 0"),
        (["parity", "--seed", -1], "--seed is -1"),
        (["parity", "--clip", "nan"], "--clip is nan"),
        (["joint", "none.npz"], "no such file"),
    ],
)
def test_bad_input_is_one_line_and_makes_nothing(capsys, tmp_path, words, said):
    (tmp_path / "empty").mkdir()
    (tmp_path / "blank.txt").touch()
    assert said in refusal(capsys, *words, "--out", "model")
    assert not (tmp_path / "model").exists()


def test_an_out_that_is_a_file_is_refused(capsys, tmp_path):
    assert "--out is text.txt: want a folder" in refusal(capsys, *TEXT, *OPTIONS, "--out", "text.txt")
    assert "make" in refusal(capsys, *TEXT, *OPTIONS, "--out", "none/model")


@pytest.mark.parametrize("change", ["none", "empty folder", "another program", "no source"])
def test_what_is_no_model_is_refused(tmp_path, whole, change):
    from mdmjax.files.safetensor_files import write_model

    file = tmp_path / "whole" / "model.safetensors"
    network, metadata = read_model(file)
    if change == "none":
        assert open_model(tmp_path / "whole").network.n == 8
        return
    if change == "empty folder":
        file.unlink()
    elif change == "another program":
        file.write_bytes(b"x" * 100)
    else:
        write_model(file, network, {"source": {"name": "nothing"}})
    with pytest.raises(InvalidInputError, match="model is "):
        open_model(tmp_path / "whole")
