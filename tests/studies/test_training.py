"""A training with a folder: stopped at any moment, on a full disk, with what cannot be trained."""

import csv
import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mdmjax import parity_code, parity_curve
from mdmjax._errors import InvalidInputError
from mdmjax.cli.signals import stop_on_signals
from mdmjax.denoisers.transformer import TransformerConfig
from mdmjax.distributions.alphabet import ByteAlphabet, alphabet_from_json
from mdmjax.files import atomic
from mdmjax.files.checkpoint import read_checkpoint, read_header
from mdmjax.files.corpus import Corpus
from mdmjax.files.safetensor_files import read_model
from mdmjax.studies import training as study
from mdmjax.studies.examples import check_same_data, distribution_examples, text_examples
from mdmjax.studies.training import training_study
from mdmjax.training import fit
from mdmjax.training.loss import ratio_masks
from mdmjax.training.plan import TrainingPlan

KEY = jax.random.key(0)
CORPUS = Corpus(("abba" * 100,), 0)
SHAPE = {"width": 8, "depth": 1, "heads": 1, "hidden": 8}
PLAN = {"steps": 20, "batch": 4, "learning_rate": 4e-3, "warmup": 1, "ema": 0.99}
FILES = ["checkpoint.eqx", "log.csv", "model.safetensors"]
NAMES = {"checkpoint.eqx", "model.safetensors"}


class Killed(BaseException):
    """What nobody catches, as nobody can catch SIGKILL."""


@pytest.fixture(autouse=True)
def _small(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(fit, "CHUNK", 5)
    monkeypatch.setattr(study, "HELD_OUT_BATCH", 8)
    monkeypatch.setattr(study, "HELD_OUT_BATCHES", 2)
    monkeypatch.setattr(study, "SAVE_SECONDS", 0.0)


def train(folder, callback=None, *, examples=None, key=KEY, shape=None, plan=None, **options):
    examples = text_examples(CORPUS, 8) if examples is None else examples
    config = TransformerConfig(
        **({"n": examples.training.n, "q": examples.training.q} | SHAPE | (shape or {}))
    )
    return training_study(
        key, examples, config, TrainingPlan(**(PLAN | (plan or {}))), folder, callback=callback, **options
    )


def contents(folder):
    """The bytes of the files of a model, and its log but for the seconds."""
    assert sorted(os.listdir(folder)) == FILES
    rows = [row.rsplit(",", 1)[0] for row in (folder / "log.csv").read_text().splitlines()]
    return (folder / FILES[0]).read_bytes(), (folder / FILES[2]).read_bytes(), rows


def refused(match):
    return pytest.raises(InvalidInputError, match=match)


@pytest.fixture
def whole(tmp_path):
    """What a training that nothing stopped leaves."""
    train(tmp_path / "whole")
    return contents(tmp_path / "whole")


def test_a_training_is_logged_saved_and_measured(tmp_path):
    seen = []
    report = train(tmp_path / "model", seen.append, source={"name": "text"})
    assert [(p.step, len(p.log.loss)) for p in seen] == [(0, 0), (5, 5), (10, 5), (15, 5), (20, 5)]
    with open("model/log.csv") as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0]) == ["step", "loss", "learning_rate", "gradient_norm", "tokens", "seconds"]
    assert [int(row["step"]) for row in rows] == list(range(1, 21))
    assert [int(row["tokens"]) for row in rows] == [32 * step for step in range(1, 21)]
    seconds = [float(row["seconds"]) for row in rows]
    assert (np.diff([0, *seconds]) > 0).all()
    assert report.seconds == pytest.approx(seconds[-1], rel=1e-6)
    losses = np.concatenate([p.log.loss for p in seen])
    np.testing.assert_allclose([float(row["loss"]) for row in rows], losses, rtol=1e-6)
    assert float(rows[0]["learning_rate"]) == pytest.approx(4e-3)

    assert (report.steps, report.finished, report.resumed_from, report.tokens) == (20, True, 0, 640)
    assert 0 < report.held_out_loss < 2
    assert sorted(report.files) == FILES
    document = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert document["files"] == list(report.files)
    network, metadata = read_model(tmp_path / "model" / "model.safetensors")
    assert metadata == read_header(tmp_path / "model" / "checkpoint.eqx")
    assert (metadata["step"], metadata["source"]) == (20, {"name": "text"})
    assert (metadata["plan"]["masks"], metadata["plan"]["seed"]) == ("stratified_masks", 0)
    assert network.config.parameters == report.parameters


def test_the_weights_of_the_model_are_the_running_mean(tmp_path):
    train(tmp_path / "model", plan={"ema": 0.0})
    network, _ = read_model(tmp_path / "model" / "model.safetensors")
    like = fit.TrainState.create(KEY, TrainingPlan(**PLAN), network.config)
    state = read_checkpoint(tmp_path / "model" / "checkpoint.eqx", like)
    for tree in (state.network, state.ema):  # a mean that forgets at once
        for a, b in zip(jax.tree.leaves(network), jax.tree.leaves(tree), strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("seed", [3, 2**40 + 7, 2**63 - 1])
def test_the_header_has_the_seed_of_the_key(seed):
    examples = text_examples(CORPUS, 8)
    config = TransformerConfig(n=8, q=3, **SHAPE)
    header = study.training_header(jax.random.key(seed), examples, config, TrainingPlan(**PLAN))
    assert header["plan"]["seed"] == seed
    assert header["plan"] | {"masks": None} == PLAN | {
        "seed": seed, "masks": None, "betas": [0.9, 0.98], "clip": 1.0, "last_rate": 0.01,
        "weight_decay": 0.01,
    }  # fmt: skip


# Examples.


def test_a_text_is_split_and_encoded():
    examples = text_examples(CORPUS, 8, of="text.txt")
    assert examples.title == "windows of 8 characters of text.txt"
    alphabet = alphabet_from_json(examples.facts["alphabet"])
    assert alphabet.symbols == ("a", "b", "\ufffd")
    assert alphabet.decode(examples.training.tokens) == "abba" * 90
    assert alphabet.decode(examples.held_out.tokens) == "abba" * 10
    smoothed = np.log([181 / 363, 181 / 363])
    assert list(examples.known.values()) == pytest.approx([-smoothed.mean()])
    assert text_examples(CORPUS, 8, ByteAlphabet()).title == "windows of 8 bytes of a text"


@pytest.mark.parametrize(
    ("length", "said"),
    [
        (361, "length is 361: want at most the 360 tokens of the text to train on"),
        (41, "length is 41: want at most the 40 tokens of the text held out"),
        (0, "length is 0: want an integer >= 1"),
        (10**9, "length is 1000000000: want at most"),
    ],
)
def test_lengths_that_no_text_has_are_refused(length, said):
    with refused(said):
        text_examples(CORPUS, length)


def test_a_distribution_is_trained_on(tmp_path):
    examples = distribution_examples(parity_code(4, 2), "parity", {"n": 4}, parity_curve(4, 2))
    report = train(tmp_path / "model", examples=examples, plan={"steps": 5, "masks": ratio_masks})
    assert list(report.compare.values()) == pytest.approx([np.log(2), 3 / 4 * np.log(2)])
    assert read_header(tmp_path / "model" / "checkpoint.eqx")["data"] == {"n": 4}
    assert distribution_examples(parity_code(4, 2), "parity").known == {}


def test_data_that_have_changed_are_refused():
    then = text_examples(CORPUS, 8, of="text.txt").facts
    now = text_examples(Corpus(("abbb" * 100,), 0), 8, of="text.txt").facts
    check_same_data(then, dict(then))
    with refused(r"source is text.txt of fingerprint \w+: want text.txt of fingerprint \w+, as it was"):
        check_same_data(then, now)


# Stopped and resumed.


@pytest.mark.parametrize("moment", ["before the log", "after the log", "in the log", "in the model"])
@pytest.mark.parametrize("save_seconds", [0.0, 1e9])
def test_killed_at_any_moment_it_ends_as_if_it_was_not(tmp_path, monkeypatch, whole, moment, save_seconds):
    monkeypatch.setattr(study, "SAVE_SECONDS", save_seconds)
    append, calls, folder = study.append_log, [], tmp_path / "killed"

    def kill(path, rows):
        calls.append(rows)
        if len(calls) < 3 or moment in ("after the log", "in the log"):
            append(path, rows)
        if len(calls) < 3:
            return
        if moment == "in the log":
            text = path.read_text()
            path.write_text(text[: len(text) - 40])
        if moment == "in the model":
            (path.parent / ".checkpoint.eqx.killed.part").write_bytes(b"half")
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(study, "append_log", kill)
        with pytest.raises(Killed):
            train(folder)
    begun = 10 if save_seconds == 0 else 0
    assert read_header(folder / "checkpoint.eqx")["step"] == begun
    report = train(folder)
    assert (report.resumed_from, report.steps) == (begun, 20)
    assert contents(folder) == whole


@pytest.mark.parametrize("step", [0, 10, 20])
def test_a_callback_stops_it_with_a_checkpoint_of_all_its_steps(tmp_path, monkeypatch, whole, step):
    monkeypatch.setattr(study, "SAVE_SECONDS", 1e9)
    report = train(tmp_path / "stopped", lambda progress: progress.step == step)
    assert (report.steps, report.tokens, report.finished) == (step, 32 * step, step == 20)
    assert (report.held_out_loss is None) == (step < 20)
    json.dumps(report.to_json(), allow_nan=False)
    assert read_header(tmp_path / "stopped" / "checkpoint.eqx")["step"] == step
    assert read_model(tmp_path / "stopped" / "model.safetensors")[1]["step"] == step
    again = train(tmp_path / "stopped")
    assert again.resumed_from == step
    assert contents(tmp_path / "stopped") == whole


def test_a_callback_that_raises_leaves_a_checkpoint(tmp_path, monkeypatch):
    """A progress bar on a terminal that was closed, for one."""
    monkeypatch.setattr(study, "SAVE_SECONDS", 1e9)

    def closed(progress):
        if progress.step == 10:
            raise OSError(errno.EIO, "closed")

    with pytest.raises(OSError, match="closed"):
        train(tmp_path / "model", closed)
    assert read_header(tmp_path / "model" / "checkpoint.eqx")["step"] == 10


def test_a_finished_training_changes_nothing(tmp_path, whole):
    times = {name: os.stat(tmp_path / "whole" / name).st_mtime_ns for name in NAMES}
    seen = []
    report = train(tmp_path / "whole", seen.append)
    assert [p.step for p in seen] == [20]
    assert (report.resumed_from, report.finished) == (20, True)
    assert 0 < report.held_out_loss < 2
    assert contents(tmp_path / "whole") == whole
    assert {name: os.stat(tmp_path / "whole" / name).st_mtime_ns for name in NAMES} == times


@pytest.mark.parametrize("damage", ["deleted", "cut off", "flipped"])
def test_the_model_of_a_finished_training_is_written_again(tmp_path, whole, damage):
    model = tmp_path / "whole" / "model.safetensors"
    data = model.read_bytes()
    if damage == "deleted":
        model.unlink()
    else:
        model.write_bytes(data[:-1] if damage == "cut off" else data[:-1] + bytes([data[-1] ^ 1]))
    train(tmp_path / "whole")
    assert contents(tmp_path / "whole") == whole


SCRIPT = """
import signal, sys
from pathlib import Path
from jax import random
from mdmjax import TrainingPlan, TransformerConfig, training_study
from mdmjax.files.corpus import Corpus
from mdmjax.studies import training
from mdmjax.studies.examples import text_examples
from mdmjax.cli.signals import stop_on_signals
from mdmjax.training import fit

if "asked" in sys.argv:  # whatever started the tests ignores
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
training.SAVE_SECONDS, training.HELD_OUT_BATCHES = float(sys.argv[3]), 2
config = TransformerConfig(n=8, q=3, width=8, depth=1, heads=1, hidden=8)
plan = TrainingPlan(steps=int(sys.argv[2]), batch=4)
with stop_on_signals() as stop:
    report = training_study(
        random.key(0), text_examples(Corpus(("abba" * 100,), 0), 8), config, plan, Path(sys.argv[1]),
        callback=lambda progress: stop,
    )
print(report.steps, report.finished)
sys.exit(stop.exit_code)
"""


def started(folder, steps, save_seconds=0.0, before=(), *words):
    command = [*before, sys.executable, "-c", SCRIPT, folder, str(steps), str(save_seconds), *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for_rows(process, folder, rows):
    log = folder / "log.csv"
    while process.poll() is None and not (log.exists() and len(log.read_text().splitlines()) > rows):
        time.sleep(0.01)
    assert process.poll() is None, process.stderr.read()


@pytest.mark.slow
def test_sigkill_in_a_process_of_its_own(tmp_path):
    """Killed thrice at moments of no choice, it ends with the bytes of one that ran through."""
    assert started("through", 4000).communicate()[1] == ""
    for part in range(1, 4):
        process = started("killed", 4000)
        wait_for_rows(process, tmp_path / "killed", 900 * part)
        process.kill()
        process.communicate()
    assert started("killed", 4000).communicate()[1] == ""
    assert contents(tmp_path / "killed") == contents(tmp_path / "through")


SLOW = pytest.mark.slow  # the tests of the command have them too


@pytest.mark.parametrize(
    ("name", "code"),
    [("SIGINT", 130), pytest.param("SIGTERM", 143, marks=SLOW), pytest.param("SIGHUP", 129, marks=SLOW)],
)
def test_signals_save_and_stop(tmp_path, name, code):
    process = started("model", 10**6, 1e9, (), "asked")
    wait_for_rows(process, tmp_path / "model", 20)
    process.send_signal(getattr(signal, name))
    out, err = process.communicate(timeout=60)
    assert process.returncode == code
    assert err == "stopping after these steps; once more stops at once\n"
    steps, finished = out.split()
    assert finished == "False"
    assert read_header(tmp_path / "model" / "checkpoint.eqx")["step"] == int(steps) >= 20
    assert sorted(os.listdir(tmp_path / "model")) == FILES


def test_a_signal_that_the_parent_ignores_stays_ignored(tmp_path):
    """As a shell in the background has SIGINT, and nohup SIGHUP."""
    process = started("model", 10**6, 1e9, ("sh", "-c", 'trap "" INT HUP; exec "$@"', "sh"))
    wait_for_rows(process, tmp_path / "model", 20)
    for number in (signal.SIGINT, signal.SIGHUP):
        process.send_signal(number)
    rows = len((tmp_path / "model" / "log.csv").read_text().splitlines())
    wait_for_rows(process, tmp_path / "model", rows + 50)
    process.terminate()
    process.communicate(timeout=60)
    assert process.returncode == 143


def test_handlers_are_restored_and_the_second_signal_is_at_once(monkeypatch):
    before = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(sys, "stderr", None)  # no terminal any more
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with stop_on_signals() as stop:
            assert not stop
            assert stop.exit_code == 0
            os.kill(os.getpid(), signal.SIGINT)
            assert stop.exit_code == 128 + signal.SIGINT
            assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


def test_outside_the_main_thread_signals_are_left_alone():
    said, before = [], signal.getsignal(signal.SIGTERM)

    def run():
        with stop_on_signals() as stop:
            said.append((bool(stop), signal.getsignal(signal.SIGTERM)))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert said == [(False, before)]


# What is refused.


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"shape": {"width": 16}}, "network.width 8, not 16"),
        ({"plan": {"learning_rate": 0.1}}, "plan.learning_rate 0.004, not 0.1"),
        ({"plan": {"masks": ratio_masks}}, "plan.masks stratified_masks, not ratio_masks"),
        ({"key": jax.random.key(1)}, "plan.seed 0, not 1"),
        ({"examples": text_examples(Corpus(("abbb" * 100,), 0), 8)}, "data.fingerprint"),
    ],
)
def test_another_training_in_the_same_folder_is_refused(tmp_path, whole, change, named):
    with refused(named):
        train(tmp_path / "whole", **change)
    assert contents(tmp_path / "whole") == whole


def test_a_damaged_checkpoint_is_refused(tmp_path, whole):
    checkpoint = tmp_path / "whole" / "checkpoint.eqx"
    checkpoint.write_bytes(checkpoint.read_bytes()[:-10])
    with refused("cut off"):
        train(tmp_path / "whole")
    checkpoint.write_bytes(b"something else\n")
    with refused("another format"):
        train(tmp_path / "whole")


def test_a_loss_that_is_nan_stops_and_keeps_the_last_checkpoint(tmp_path, monkeypatch):
    steps = fit.train_steps

    def broken(*arguments):
        state, log = steps(*arguments)
        return state, log._replace(loss=log.loss.at[2].set(jnp.nan)) if int(state.step) == 15 else log

    monkeypatch.setattr(fit, "train_steps", broken)
    with refused("^loss is nan at step 13: .*model keeps the checkpoint of step 10"):
        train(tmp_path / "model")
    assert read_header(tmp_path / "model" / "checkpoint.eqx")["step"] == 10
    assert (tmp_path / "model" / "log.csv").read_text().splitlines()[-1].startswith("12,")
    assert read_model(tmp_path / "model" / "model.safetensors")[1]["step"] == 10


@pytest.mark.parametrize("full", ["checkpoint", "log"])
def test_a_full_disk_is_one_line_and_nothing_is_lost(tmp_path, monkeypatch, whole, full):
    replace, append, count = os.replace, study.append_log, []

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
            raise InvalidInputError(os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        if full == "checkpoint":
            patch.setattr(atomic.os, "replace", no_room)
        else:
            patch.setattr(study, "append_log", half_a_row)
        with refused("No space left on device"):
            train(tmp_path / "full")
    assert sorted(os.listdir(tmp_path / "full")) == FILES
    step = read_header(tmp_path / "full" / "checkpoint.eqx")["step"]
    assert step == (5 if full == "checkpoint" else 10)
    train(tmp_path / "full")
    assert contents(tmp_path / "full") == whole


def no_first_checkpoint(monkeypatch):
    def no_room(source, target):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(atomic.os, "replace", no_room)


REFUSED = {
    "of another size": (lambda patch: {"shape": {"q": 5}}, "data is of n, q = 8, 3: want n, q = 8, 5"),
    "too wide": (lambda patch: {"shape": {"width": 10**5}}, "training is of .*: want at most 16.0 GiB"),
    "too deep": (lambda patch: {"shape": {"depth": 10**6, "width": 512}}, "training is of .* TiB"),
    "too large a batch": (lambda patch: {"plan": {"batch": 10**9}}, "training is of .*: want at most"),
    "over the limit": (lambda patch: {"limit": 1000}, "training is of .* KiB: want at most 1000 bytes"),
    "cudnn": (lambda patch: {"shape": {"attention": "cudnn"}}, "attention is cudnn on cpu and float32"),
    "no room": (no_first_checkpoint, "No space left on device"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_a_training_that_is_refused_leaves_nothing(tmp_path, monkeypatch, kind):
    options, match = REFUSED[kind]
    with monkeypatch.context() as patch, refused(match):
        train(tmp_path / "model", **(options(patch) or {}))
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", FILES)
def test_a_pipe_in_the_folder_is_refused_and_left(tmp_path, name):
    (tmp_path / "model").mkdir()
    os.mkfifo(tmp_path / "model" / name)
    with refused(f"out is .*{name}: want a file name; this is a pipe"):
        train(tmp_path / "model")
    assert os.listdir(tmp_path / "model") == [name]


def test_an_out_that_is_no_folder_is_refused(tmp_path):
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for name in ("file", "fifo", "loop"):
        with refused(f"out is .*{name}: want a folder"):
            train(tmp_path / name)
    with refused("want a folder in an existing one; make "):
        train(tmp_path / "none" / "model")
