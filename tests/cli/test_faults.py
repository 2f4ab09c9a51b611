"""Every fault that the rebuild was to mend, with its kind, through the command as a user types it.

What is refused is one line within ten seconds, and nothing is written or taken for it.
"""

import contextlib
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest
import safetensors
import safetensors.numpy

from mdmjax import (
    LowConfidence,
    Oracle,
    Schedule,
    Transformer,
    TransformerConfig,
    regret,
    symmetric_chain,
    tabulate,
)
from mdmjax._errors import InvalidInputError
from mdmjax.cli import main
from mdmjax.families import FAMILIES
from mdmjax.files.checkpoint import read_header
from mdmjax.files.model_folder import MODEL
from mdmjax.files.safetensor_files import write_model
from mdmjax.schedules.guaranteed import theorem9_steps
from mdmjax.studies.sources import FamilySource

ROOT = Path(__file__).parents[2]
PROGRAM = [sys.executable, "-m", "mdmjax"]
SECONDS, MEMORY = 10, 2**30
"""What a refusal may take, of the processor's time and of memory."""
SMALL = "--width 8 --depth 1 --heads 1 --hidden 8 --batch 4 --steps 4"
BIG, HUGE = 10**11, 10**18

needs_fifo = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes")


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    """A model that nobody trained, of a chain of four bits."""
    folder = tmp_path_factory.mktemp("models") / "chain"
    folder.mkdir()
    source = FamilySource("markov", FAMILIES["markov"].values("law", n=4))
    config = TransformerConfig(n=4, q=2, width=8, depth=1, heads=1, hidden=8)
    network = Transformer.create(jax.random.key(0), config)
    write_model(folder / MODEL, network, {"source": source.to_json(), "data": source.examples().facts})
    return folder


@pytest.fixture
def model(chain, tmp_path):
    """That model, to damage."""
    return shutil.copytree(chain, tmp_path / "model")


@contextlib.contextmanager
def soon():
    """Ends what takes longer."""

    def late(number, frame):
        raise AssertionError(f"still running after {SECONDS} s")

    old = signal.signal(signal.SIGPROF, late)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, old)


def everything():
    """What is in the folder."""
    return sorted(str(path) for path in Path().rglob("*"))


def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def refusal(capsys, line, *more):
    """The one line of a command that is refused."""
    before, memory = everything(), peak()
    with soon():
        code = main([*line.split(), *map(str, more)])
    out, err = capsys.readouterr()
    assert (code, out) == (2, "")
    assert err.startswith("mdmjax: error: ")
    assert err.endswith("\n")
    assert err[:-1].isprintable()
    assert len(err) < 1500
    assert everything() == before
    assert peak() - memory < MEMORY
    return err.removeprefix("mdmjax: error: ")


def run(capsys, line, *more):
    """What a command prints that succeeds."""
    assert main([*line.split(), *map(str, more)]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


def json_of(capsys, line, *more):
    return json.loads(run(capsys, f"{line} --json", *more), parse_constant=pytest.fail)


# 1. Output and environment: as users have it, whose standard output is buffered.


def shell(script, **environment):
    """A line of shell with `mdmjax` for the program."""
    ours = ("PYTHON", "LC_", "LANG", "COLUMNS", "FORCE_COLOR", "NO_COLOR")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(ours)}
    env = kept | {"PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu", "LANG": "C.UTF-8"} | environment
    script = script.replace("mdmjax", " ".join(PROGRAM), 1)
    return subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=120, env=env)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
@pytest.mark.parametrize("line", ["schedule permutation --n 8 --steps 2", "law --help"])
def test_a_full_device(line):
    found = shell(f"mdmjax {line} >/dev/full")
    assert found.returncode == 2
    assert found.stderr == "mdmjax: error: standard output cannot be used: No space left on device\n"


def test_a_pipe_that_is_closed():
    found = shell("mdmjax law --help | head -3; echo ${PIPESTATUS[0]}")
    assert found.stdout.splitlines()[0] == "usage: mdmjax law SOURCE [DECODER] [options]"
    assert found.stdout.splitlines()[3:] == ["0"]
    assert found.stderr == ""


@pytest.mark.parametrize("line", ["--help", "law --help", "schedule permutation --n 4 --steps 2"])
def test_an_ascii_terminal(line):
    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii"}
    found = shell(f"mdmjax {line}", **ascii_only)
    assert (found.returncode, found.stderr) == (0, "")
    assert found.stdout.isascii()


@pytest.mark.skipif(os.path.exists("/proc/driver/nvidia"), reason="there is a GPU here")
def test_a_platform_that_is_not_here():
    found = shell("mdmjax law markov --n 2 l2r", JAX_PLATFORMS="cuda")
    assert (found.returncode, found.stdout) == (2, "")
    assert found.stderr.startswith("mdmjax: error: JAX_PLATFORMS is cuda: want a platform that JAX finds")
    assert found.stderr.count("\n") == 1


TITLE = "\x1b]0;title\x07"


@pytest.mark.parametrize(
    "line", ["", "law", "schedule joint", "law text", "law markov l2r --plot", "decode", "law markov --n"]
)
def test_a_typed_name_steers_no_terminal(capsys, line):
    assert "\\x1b]0;title\\x07" in refusal(capsys, line, TITLE)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("header.csv", f"n_masked,{TITLE}\n1,1\n2,1\n"),
        ("cell.csv", f"n_masked,loss\n1,{TITLE}\n2,1\n"),
        ("twice.csv", f"{TITLE},{TITLE}\n1,1\n2,1\n"),
        ("keys.jsonl", json.dumps({TITLE: 1, "loss": 1}) + "\n"),
    ],
)
def test_a_file_steers_no_terminal(capsys, name, content):
    Path(name).write_text(content)
    assert "\\x1b]0;title\\x07" in refusal(capsys, f"schedule loss-curve {name}")


def test_an_array_s_name_and_a_file_s_name_steer_no_terminal(capsys):
    np.savez("names.npz", **{TITLE: np.ones(2) / 2})
    assert "\\x1b]0;title\\x07" in refusal(capsys, "schedule joint names.npz")
    shutil.move("names.npz", f"{TITLE}.npz")
    assert "\\x1b]0;title\\x07" in refusal(capsys, "schedule joint", f"{TITLE}.npz")
    np.savez(f"{TITLE}.npz", probs=np.ones(2) / 2)
    out = run(capsys, "schedule joint", f"{TITLE}.npz")
    assert "\\x1b]0;title\\x07.npz" in out
    assert out.replace("\n", "").isprintable()


@pytest.mark.parametrize(
    "content", ["n_masked,loss\n1,{}\n2,1\n", "n_masked,{}\n1,1\n2,1\n", "{},{}\n1,1\n2,1\n"]
)
def test_what_is_long_is_cut(capsys, content):
    Path("long.csv").write_text(content.replace("{}", "x" * 10**5))
    assert len(refusal(capsys, "schedule loss-curve long.csv")) < 300


@pytest.mark.parametrize(
    "line", ["lwa", "law markv", "schedule joint", "law markov --n", "law markov --fip"]
)
def test_a_long_word_is_cut(capsys, line):
    first, _, last = line.rpartition(" ")
    assert len(refusal(capsys, first, last + "x" * 10**5) if first else refusal(capsys, "x" * 10**5)) < 900


# 2. Sizes that are refused before they are tried.

SIZES = [
    "law markov random --n 17",
    "law markov --n 40 l2r",
    f"law noisy-bit --n {BIG}",
    f"law parity --n {BIG}",
    f"law pairs --n {BIG}",
    f"law repetition --n {BIG}",
    f"law markov --n {BIG}",
    f"law permutation --n {BIG}",
    f"law reed-solomon --n {BIG} --q {BIG + 3}",
    "law noisy-bit --n 10000000 l2r",
    "law permutation --n 10000 l2r",
    "law block-hmm --blocks 2 --block-size 2000000 mean-field",
    "law block-hmm --blocks 10000000 --block-size 10 mean-field",
    "law block-hmm --blocks 100000 verified",
    "law block-hmm --blocks 2 --block-size 10000000 mean-field --samples 5000",
    "law block-hmm --blocks 10000000 --block-size 10 mean-field --samples 2",
    f"law block-hmm --blocks {BIG} mean-field",
    f"law block-hmm mean-field --samples {HUGE}",
    f"law block-hmm verified --samples {HUGE}",
    f"train markov --n {BIG} --out m",
    f"train permutation --n {BIG} --out m",
    f"train block-hmm --blocks {BIG} --out m",
    f"train block-hmm --block-size {BIG} --out m",
    "train permutation --n 100000 --out m",
    f"train repetition --q {BIG} --out m",
    "train markov --q 100000 --out m",
    f"train markov --steps {10**20} --out m",
    "train markov --width 100000 --out m",
    "train markov --depth 1000000 --out m",
    "train markov --batch 100000000 --out m",
    f"train markov --batch {10**20} --out m",
    f"train markov --hidden {10**20} --out m",
    f"schedule permutation --n {BIG}",
    f"schedule markov --n {BIG}",
    f"schedule noisy-bit --n {BIG}",
    f"schedule block-hmm --blocks {BIG}",
    f"schedule text --window {BIG}",
]


@pytest.mark.parametrize("line", SIZES)
def test_a_size_is_refused_and_not_tried(capsys, line):
    message = refusal(capsys, line)
    assert ": want " in message


@pytest.mark.parametrize(
    "line",
    [
        f"schedule model {{}} --sequences {HUGE}",
        f"loss-curve {{}} --out x.csv --sequences {HUGE}",
        f"decode {{}} --samples {HUGE}",
    ],
)
def test_a_model_is_not_called_so_often(capsys, chain, line):
    assert ": want " in refusal(capsys, line.format(chain))


@pytest.mark.parametrize(
    "line",
    [
        f"decode {{}} --samples 2 --batch {HUGE}",
        f"loss-curve {{}} --out x.csv --sequences 2 --batch {HUGE}",
    ],
)
def test_a_batch_is_no_more_than_there_is(capsys, chain, line):
    with soon():
        run(capsys, line.format(chain))


def test_regret_takes_the_states_that_a_law_may_reach():
    joint = tabulate(symmetric_chain(3, 2, 0.1))
    remasking = LowConfidence(Schedule([1, 1, 1]))
    with pytest.raises(InvalidInputError, match="at most 2"):
        regret(joint, Oracle(joint), remasking, max_states=2)
    assert float(regret(joint, Oracle(joint), remasking, max_states=27).value) >= -1e-12


def test_a_symmetric_chain_has_a_closed_form_of_any_alphabet(capsys):
    found = json_of(capsys, "schedule markov --n 6 --q 100000 --flip 0.5 --steps 3")
    assert found["entropy"] == pytest.approx(np.log(1e5) + 5 * (np.log(2) + np.log(99999) / 2))


# 3. Files.


def rewritten(folder, **change):
    """Another config in the header of a model, and no checksum, as a hand that edits it leaves."""
    path = folder / MODEL
    with safetensors.safe_open(path, "numpy") as file:
        texts, names = dict(file.metadata()), list(file.keys())
        tensors = {name: file.get_tensor(name) for name in names}
    del texts["sha256"]
    texts["config"] = json.dumps(json.loads(texts["config"]) | change)
    safetensors.numpy.save_file(tensors, path, texts)


USES = [
    "decode model",
    "loss-curve model --out x.csv",
    "schedule model model",
    "law markov --n 4 l2r --model model",
]


@pytest.mark.parametrize("line", USES)
@pytest.mark.parametrize("name", ["depth", "n"])
def test_a_header_of_a_size_that_is_none(capsys, model, line, name):
    rewritten(model, **{name: 10**12})
    assert "model" in refusal(capsys, line)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("depth", 1.5),
        ("depth", "x"),
        ("depth", float("inf")),
        ("width", None),
        ("heads", 0),
        ("q", True),
        ("compute", "x"),
        ("compute", 3),
        ("norm_epsilon", None),
        ("norm_epsilon", -1),
        ("norm_epsilon", 0),
        ("rotary_base", "x"),
        ("rotary_base", 0),
        ("rotary_base", float("nan")),
        ("learned_positions", "yes"),
        ("remat", 2),
        ("unknown", 1),
    ],
)
def test_a_header_of_a_wrong_type(capsys, without_type_checks, model, name, value):
    rewritten(model, **{name: value})
    message = refusal(capsys, "decode model")
    assert message.startswith("model is ")
    assert name in message or name == "unknown"


@pytest.mark.parametrize("line", USES)
def test_a_weight_that_is_not_a_number(capsys, model, line):
    path = model / MODEL
    with safetensors.safe_open(path, "numpy") as file:
        texts, names = dict(file.metadata()), list(file.keys())
        tensors = {name: file.get_tensor(name) for name in names}
    del texts["sha256"]
    tensors["lm_head.weight"][0, 0] = np.nan
    safetensors.numpy.save_file(tensors, path, texts)
    assert "lm_head.weight" in refusal(capsys, line)


@pytest.mark.parametrize("line", USES)
def test_a_bit_that_has_flipped(capsys, model, line):
    path = model / MODEL
    data = path.read_bytes()
    path.write_bytes(data[:-2] + bytes([data[-2] ^ 1]) + data[-1:])
    assert "it is damaged: its sha256 differs" in refusal(capsys, line)


def trained(capsys, *more):
    return run(capsys, f"train parity --n 4 {SMALL} --out trained", *more)


def test_a_model_that_was_deleted_is_written_again(capsys, tmp_path):
    trained(capsys)
    before = (tmp_path / "trained" / MODEL).read_bytes()
    (tmp_path / "trained" / MODEL).unlink()
    assert "trained is finished" in trained(capsys)
    assert (tmp_path / "trained" / MODEL).read_bytes() == before


@pytest.mark.parametrize(
    "change", [{"depth": 1.5}, {"depth": "x"}, {"compute": "x"}, {"rotary_base": None}, {"n": 10**12}]
)
def test_a_checkpoint_of_a_wrong_header(capsys, tmp_path, change):
    trained(capsys)
    path = tmp_path / "trained" / "checkpoint.eqx"
    first, _, rest = path.read_bytes().partition(b"\n")
    document = json.loads(first)
    document["header"]["network"] |= change
    path.write_bytes(json.dumps(document).encode() + b"\n" + rest)
    line = f"train parity --n 4 {SMALL} --out trained"
    assert f"network.{next(iter(change))}" in refusal(capsys, line)


@pytest.mark.parametrize(
    ("name", "code"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)], ids=lambda x: str(x)
)
def test_a_signal_saves_and_stops(tmp_path, name, code):
    """As a preempted job has it, and a terminal that is closed."""
    start = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    start += "signal.signal(signal.SIGHUP, signal.SIG_DFL)\n"
    start += "from mdmjax.cli import main; sys.exit(main())"
    words = f"train parity --n 4 {SMALL} --steps 1000000 --out trained".split()
    process = subprocess.Popen(
        [sys.executable, "-c", start, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    log, end = tmp_path / "trained" / "log.csv", time.monotonic() + 120
    while process.poll() is None and not (log.exists() and log.read_text().count("\n") > 30):
        assert time.monotonic() < end
        time.sleep(0.02)
    process.send_signal(getattr(signal, name))
    _, err = process.communicate(timeout=60)
    assert process.returncode == code
    assert "Traceback" not in err
    assert "the same command goes on" in err
    step = read_header(tmp_path / "trained" / "checkpoint.eqx")["step"]
    assert step >= 25
    assert log.read_text().splitlines()[-1].startswith(f"{step},")
    assert not list(tmp_path.rglob("*.part"))


@pytest.mark.parametrize("after", [0.5, 3.0])
def test_ctrl_c_ends_a_command_at_once(chain, tmp_path, after):
    """While Python works, and while XLA does: no crash, no word, and nobody waits for the end."""
    start = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    start += "from mdmjax.cli import main; open('ready', 'w').close(); sys.exit(main())"
    command = [sys.executable, "-c", start, "decode", str(chain), "--samples", "1000000"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while process.poll() is None and not (tmp_path / "ready").exists():
        time.sleep(0.02)
    time.sleep(after)
    process.send_signal(signal.SIGINT)
    assert (*process.communicate(timeout=20), process.returncode) == ("", "", 130)


def test_parts_of_killed_runs_do_not_stay(capsys, chain, tmp_path):
    (tmp_path / "trained").mkdir()
    for name in ("trained/.checkpoint.eqx.x.part", f"trained/.{MODEL}.y.part", ".traces.npz.z.part"):
        (tmp_path / name).write_bytes(b"half")
    (tmp_path / "plan").mkdir()
    (tmp_path / "plan" / ".plan.x.part").mkdir()
    trained(capsys)
    run(capsys, "decode", chain, "--samples", "1", "--out", "traces.npz")
    run(capsys, "schedule permutation --n 4 --steps 2 --export plan")
    assert not list(tmp_path.rglob("*.part"))


@needs_fifo
@pytest.mark.parametrize(
    "line", ["schedule text texts --window 2 --steps 1", f"train text texts --length 4 {SMALL} --out m"]
)
def test_what_is_no_file_in_a_folder_of_texts(capsys, tmp_path, line):
    folder = tmp_path / "texts"
    folder.mkdir()
    for number in range(12):
        (folder / f"{number}.py").write_text(f"x = {number}\n" * 9)
    whole = json_of(capsys, line.replace("--out m", "--out whole"))
    os.mkfifo(folder / "pipe.py")
    (folder / "zero.txt").symlink_to("/dev/zero")
    (folder / "loop.md").symlink_to("loop.md")
    found = json_of(capsys, line)
    for key in ("entropy", "held_out_loss"):
        assert found.get(key) == whole.get(key)


@needs_fifo
@pytest.mark.parametrize("name", ["log.csv", "checkpoint.eqx", MODEL])
def test_a_pipe_in_the_folder_of_a_training(capsys, tmp_path, name):
    (tmp_path / "trained").mkdir()
    os.mkfifo(tmp_path / "trained" / name)
    assert name in refusal(capsys, f"train parity --n 4 {SMALL} --out trained")


@needs_fifo
@pytest.mark.parametrize(
    "line",
    ["schedule joint {}.npz", "schedule loss-curve {}.csv", "schedule text {}.txt", "law joint {}.npz"],
)
def test_a_pipe_is_no_file(capsys, line):
    os.mkfifo(line.split()[-1].format("pipe"))
    assert ": want " in refusal(capsys, line.format("pipe"))


@pytest.mark.parametrize(
    "line",
    [
        f"train parity --n 4 {SMALL} --out loop",
        "schedule permutation --n 4 --export loop",
        "schedule permutation --n 4 --plot loop.png",
        "law markov --n 3 l2r --plot loop.png",
        "schedule joint loop.npz",
        "schedule text loop.txt",
        "schedule text loop",
        "schedule loss-curve loop.csv",
        "law joint loop.npz",
        "decode loop",
        "law markov --n 4 l2r --model loop",
    ],
)
def test_a_circle_of_links(capsys, line):
    name = next(word for word in line.split() if word.startswith("loop"))
    os.symlink(name, name)
    assert name in refusal(capsys, line)


@pytest.mark.parametrize("line", ["decode {} --out loop.npz", "loss-curve {} --out loop.csv"])
def test_a_circle_of_links_beside_a_model(capsys, chain, line):
    name = line.split()[-1]
    os.symlink(name, name)
    assert name in refusal(capsys, line.format(chain))


@pytest.mark.parametrize("line", ['1,"1\n2,1\n', '1,1"x\n2,"1\n', '1,"1"x\n2,1\n'])
def test_a_quote_that_is_never_closed(capsys, line):
    Path("quote.csv").write_text(f"n_masked,loss\n{line}")
    assert "quote.csv: want comma-separated values" in refusal(capsys, "schedule loss-curve quote.csv")


@pytest.mark.parametrize("dtype", [np.longdouble, np.complex128, np.complex64, "U3", "S3", bool])
def test_tables_of_other_numbers(capsys, dtype):
    np.savez("table.npz", probs=np.array([1, 0]).astype(dtype))
    assert "probs of type" in refusal(capsys, "law joint table.npz l2r")
    np.savez("loss.npz", n_masked=np.array([1, 2]), loss=np.array([1, 1]).astype(dtype))
    assert "loss of type" in refusal(capsys, "schedule loss-curve loss.npz")


# 4. Numbers.


@pytest.mark.parametrize("seed", [0, 2])
@pytest.mark.parametrize("temperature", [0.5, 2])
@pytest.mark.parametrize("decoder", ["l2r", "entropy"])
def test_regret_is_never_negative_at_a_temperature(capsys, decoder, temperature, seed):
    line = f"law noisy-bit --n 2 {decoder} --dirichlet 1 --seed {seed} --temperature {temperature} --regret"
    assert json_of(capsys, line)["regret"] >= -1e-12


@pytest.mark.parametrize("decoder", ["early-commit", "l2r --temperature 0", "draft-verify --temperature 0"])
def test_regret_is_undefined_where_every_policy_has_an_infinite_kl(capsys, decoder):
    line = f"law noisy-bit --n 3 {decoder} --regret"
    found = json_of(capsys, line)
    assert (found["forward_kl"], found["regret"]) == ("inf", None)
    row = next(row for row in run(capsys, line).splitlines() if row.startswith(" regret"))
    assert row.split("|")[1].strip() == "undefined"


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_the_best_policy_of_k_steps_ends_in_k_calls_everywhere(capsys, steps):
    """A truth with two words, and a model that writes every word."""
    probs = np.zeros((2,) * 4)
    probs[0, 0, 1, 1], probs[1, 1, 0, 1] = 0.3, 0.7
    np.savez("two.npz", probs=probs)
    found = json_of(capsys, f"law joint two.npz optimal --steps {steps} --mix 0.3")
    assert sum(found["calls"][: steps + 1]) == pytest.approx(1)


def test_rows_that_are_tiny_are_not_lost(capsys):
    probs = np.array([[0.5, 1e-300], [1e-305, 0.5]])
    np.savez("tiny.npz", probs=probs)
    for decoder in ("l2r", "optimal", "speculative"):
        found = json_of(capsys, f"law joint tiny.npz {decoder} --full --regret")
        np.testing.assert_allclose(found["law"], probs.reshape(-1), rtol=1e-9)
        assert found["forward_kl"] == pytest.approx(0, abs=1e-12)
        assert found["regret"] == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("epsilon", [0.0, -1.0, float("nan")])
def test_a_guarantee_of_no_error_is_refused(capsys, epsilon):
    with pytest.raises(InvalidInputError, match="epsilon is "):
        theorem9_steps(8, 1.0, epsilon)
    assert "--epsilon is " in refusal(capsys, f"schedule pairs --epsilon {epsilon}")


def test_one_step_has_no_order(capsys, chain):
    line = ("decode", chain, "--steps", "1", "--samples", "3")
    found = json_of(capsys, " ".join(map(str, line)))
    assert found["statistics"]["kendall_tau"] == {"mean": None, "stderr": None, "of": 0}
    row = next(row for row in run(capsys, *line).splitlines() if row.startswith(" Kendall"))
    assert [cell.strip() for cell in row.split("|")[1:]] == ["undefined", "undefined"]


# 5. Words.


@pytest.mark.parametrize(
    ("line", "start"),
    [
        ("train parity --learning-rate 0 --out m", "--learning-rate is 0.0: "),
        ("train parity --weight-decay -1 --out m", "--weight-decay is -1.0: "),
        ("train parity --steps 0 --out m", "--steps is 0: "),
        ("law markov --n 40 l2r", "--n, --q is 40, 2: "),
        ("law markov --entropy-noise -1 l2r", "--entropy-noise is -1.0: "),
        ("law block-hmm --block-size 0", "--block-size is 0: "),
        ("schedule block-hmm --blocks 9000000 --block-size 9", "--blocks, --block-size is 9000000, 9: "),
        ("law markov remdm --cap 0.1 --rescale 0.1", "--cap, --rescale, --by-confidence is 2 of them: "),
    ],
)
def test_what_is_wrong_is_named_as_it_is_typed(capsys, line, start):
    assert refusal(capsys, line).startswith(start)


@pytest.mark.parametrize(
    ("line", "place"),
    [
        ("law markov l2r --stesp 3", "mdmjax law markov l2r"),
        ("schedule text --windw 3", "mdmjax schedule text"),
        ("train parity --otu m", "mdmjax train parity"),
        ("decode model threshold --treshold 1", "mdmjax decode threshold"),
        ("loss-curve model --ot x", "mdmjax loss-curve"),
    ],
)
def test_the_help_of_the_command_at_hand_is_pointed_to(capsys, line, place):
    assert refusal(capsys, line).endswith(f"; see `{place} --help`\n")


def test_a_misspelt_decoder_of_a_text_is_no_path(capsys):
    assert "; perhaps entropy; see `mdmjax law text --help`" in refusal(capsys, "law text entrpy")


def test_the_law_itself_is_printed_only_where_it_is_asked_for(capsys):
    line = "law markov --n 10 l2r --json"
    short = run(capsys, line)
    assert len(short) < 5000
    assert json.loads(short).keys() == json.loads(run(capsys, f"{line} --full")).keys() - {"law", "truth"}
