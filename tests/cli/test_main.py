"""The program as a user's shell runs it: pipes, full disks, poor terminals, faults of the machine."""

import dataclasses
import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from _toy_cli import TOY

from mdmjax.cli import main
from mdmjax.cli.output import progress_bar, track

ROOT = Path(__file__).parents[2]
PROGRAM = [sys.executable, str(ROOT / "tests" / "_toy_cli.py")]
LINES = ["law markov", "law markov --json", "law markov --fail print", "--help", "law --help", "--version"]


def user_environment(**more):
    """As users have it: no PYTHONUNBUFFERED, nothing about encodings."""
    ours = ("PYTHON", "LC_", "LANG", "COLUMNS", "FORCE_COLOR", "NO_COLOR")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(ours)}
    return (
        kept | {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}", "JAX_PLATFORMS": "cpu", "LANG": "C.UTF-8"} | more
    )


def process(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **environment):
    return subprocess.run(
        [*PROGRAM, *line.split()], stdout=stdout, stderr=stderr, text=True, timeout=120,
        env=user_environment(**environment),
    )  # fmt: skip


def shell(script, **environment):
    """A line of shell with `mdmjax` for the program; its exit codes come on stderr."""
    script = script.replace("mdmjax", " ".join(PROGRAM))
    words = ["bash", "-c", script]
    return subprocess.run(
        words, capture_output=True, text=True, timeout=120, env=user_environment(**environment)
    )


def one_line(err):
    return err.startswith("mdmjax: error: ") and err.count("\n") == 1 and err.endswith("\n")


def test_a_report_is_shown_and_is_json(capsys):
    assert main(["law", "markov", "--n", "5"], TOY) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "0.500000" in out
    assert main(["law", "markov", "--n", "5", "--json"], TOY) == 0
    out, err = capsys.readouterr()
    found = json.loads(out, parse_constant=pytest.fail)
    assert found["chosen"]["source"] == {"name": "markov", "n": 5, "flip": 0.1}
    assert (found["schema"], found["units"], found["title"]) == ("mdmjax.toy", "nats", "naïve Σ")
    assert out.count("\n") == 1


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("law markov --n x", "--n is x: want an integer; see `mdmjax law markov --help`"),
        ("law block-hmm --fail refuse", "--block-size, n is 3, 4: want less"),
        ("law block-hmm --fail refuse-without-argument", "block_size is 3: want less"),
        ("law markov --fail control", r"file is \x1b]0;title\x07é: want a file"),
        ("law markov --fail memory", "the memory is full: want a smaller problem"),
        ("law markov --fail recursion", "the input is nested too deeply"),
        ("law markov --fail file", "no/such/file cannot be used: No such file or directory"),
        (
            "lwa --help",
            "command is lwa: want one of law, schedule, decode; perhaps law; see `mdmjax --help`",
        ),
    ],
)
def test_a_mistake_is_one_line(capsys, line, message):
    assert main(line.split(), TOY) == 2
    assert capsys.readouterr() == ("", f"mdmjax: error: {message}\n")


def test_nothing_to_do_is_a_mistake(capsys):
    assert main([]) == 2
    assert one_line(capsys.readouterr().err)


def test_the_exit_code_of_a_command_is_the_program_s(capsys):
    assert main(["law", "markov", "--fail", "code"], TOY) == 3
    assert main(["law", "markov", "--fail", "interrupt"], TOY) == 130
    assert capsys.readouterr() == ("", "")


def test_a_bug_is_a_traceback():
    with pytest.raises(RuntimeError, match="a bug"):
        main(["law", "markov", "--fail", "bug"], TOY)


def test_words_come_from_the_process():
    found = process("law markov --n x")
    assert (found.returncode, found.stdout) == (2, "")
    assert one_line(found.stderr)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
@pytest.mark.parametrize("line", LINES)
def test_a_full_disk_is_one_line(line):
    with open("/dev/full", "w") as full:
        found = process(line, stdout=full)
    assert found.returncode == 2
    assert found.stderr == "mdmjax: error: standard output cannot be used: No space left on device\n"


@pytest.mark.parametrize("line", LINES)
def test_a_closed_output_is_one_line_before_any_work(line):
    found = shell(f"mdmjax {line} >&-; echo $? >&2")
    assert found.stderr == (
        "mdmjax: error: standard output is closed: want a file, a pipe or a terminal to print to\n2\n"
    )


@pytest.mark.parametrize("line", LINES)
def test_a_reader_that_left_is_no_mistake(line):
    reader, writer = os.pipe()
    os.close(reader)
    found = process(line, stdout=writer)
    os.close(writer)
    assert (found.returncode, found.stderr) == (0, "")


@pytest.mark.parametrize("line", ["law markov", "law --help"])
def test_head_is_no_mistake(line):
    found = shell(f"mdmjax {line} | head -3; echo ${{PIPESTATUS[0]}} >&2")
    assert found.stdout.count("\n") == 3
    assert found.stderr == "0\n"


def test_an_output_for_reading_only_is_one_line(tmp_path):
    (tmp_path / "file").touch()
    found = shell(f"mdmjax law markov 1<{tmp_path / 'file'}; echo $? >&2")
    assert found.stderr == "mdmjax: error: standard output cannot be used: Bad file descriptor\n2\n"


@pytest.mark.parametrize("where", [">&-", "2>&-", "2>/dev/full"])
def test_no_place_to_complain_still_has_its_exit_code(where):
    found = shell(f"mdmjax law markov --n x {where}; echo rc $?")
    assert "rc 2" in found.stdout
    assert "Traceback" not in found.stdout + found.stderr


ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii"}


@pytest.mark.parametrize("line", LINES)
def test_a_poor_terminal_gets_ascii(line):
    found = process(line, **ASCII)
    assert (found.returncode, found.stderr) == (0, "")
    assert found.stdout.isascii()
    if line == "law markov":
        assert found.stdout.startswith("na\\xefve \\u03a3")
    if line == "law markov --json":
        assert json.loads(found.stdout)["title"] == "naïve Σ"


def test_a_poor_terminal_gets_mistakes_too():
    found = process("law markov --fail control", **ASCII)
    assert found.returncode == 2
    assert found.stderr == "mdmjax: error: file is \\x1b]0;title\\x07\\xe9: want a file\n"


@pytest.mark.parametrize("platforms", ["cuda", "no-such-platform"])
def test_a_platform_that_is_not_there_is_one_line(platforms):
    if platforms == "cuda" and os.path.exists("/proc/driver/nvidia"):
        pytest.skip("there is one here")
    found = process("law markov --fail device", JAX_PLATFORMS=platforms)
    assert found.returncode == 2
    assert one_line(found.stderr)
    assert f"JAX_PLATFORMS is {platforms}: want a platform that JAX finds here, such as cpu" in found.stderr
    assert process("law --help", JAX_PLATFORMS=platforms).returncode == 0
    assert "--n is x" in process("law markov --n x", JAX_PLATFORMS=platforms).stderr


def test_a_device_that_is_full_is_one_line(capsys, monkeypatch):
    import jax

    def run(parsed):
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 3 bytes.\nmore")

    assert main(["law", "markov"], [dataclasses.replace(TOY[0], run=run)]) == 2
    assert (
        capsys.readouterr().err
        == "mdmjax: error: the memory of the device is full: want a smaller problem\n"
    )


def test_exact_work_is_in_float64():
    code = (
        "import sys, dataclasses, jax; from _toy_cli import TOY; from mdmjax.cli import main\n"
        "def run(parsed): assert jax.numpy.zeros(1).dtype == 'float64'\n"
        "sys.exit(main(['law', 'markov'], [dataclasses.replace(TOY[0], run=run)]))"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=user_environment()
    )
    assert (found.returncode, found.stderr) == (0, "")


def test_ctrl_c_is_130_without_a_word():
    found = process("law markov --fail interrupt")
    assert (found.returncode, found.stdout, found.stderr) == (128 + signal.SIGINT, "", "")


def test_progress_is_only_for_a_terminal(capsys, monkeypatch):
    assert list(track(["a", "b"], "reading")) == ["a", "b"]
    with progress_bar("training", 3) as move:
        move(1, "loss 2")
    assert capsys.readouterr() == ("", "")
    monkeypatch.setattr(sys, "stderr", None)
    assert list(track(["a", "b"], "reading")) == ["a", "b"]


def test_progress_in_a_terminal_is_on_stderr_and_goes_away(capsys, monkeypatch):
    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    assert list(track(["a", "b"], "read[i]ng")) == ["a", "b"]
    with progress_bar("training", 3) as move:
        move(2, "loss 0.5")
    assert capsys.readouterr().out == ""
    shown = terminal.getvalue()
    assert "read[i]ng" in shown
    assert "2/2" in shown
    assert "loss 0.5" in shown
    assert shown.endswith("\x1b[2K")


def test_compiled_programs_are_kept(tmp_path):
    """A second run reads what the first has written, and writes nothing."""
    folder = tmp_path / "programs"
    line = ["law", "noisy-bit", "--n", "3", "l2r", "--compilation-cache", str(folder)]
    outputs, kept = [], []
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-m", "mdmjax", *line], stdout=subprocess.PIPE, text=True, check=True,
            timeout=120, env=user_environment(),
        )  # fmt: skip
        outputs.append(done.stdout)
        kept.append({path.name: path.read_bytes() for path in folder.iterdir() if "atime" not in path.name})
    assert kept[0]
    assert kept[0] == kept[1]
    assert outputs[0] == outputs[1]
    assert main(["law", "noisy-bit", "--n", "3", "--compilation-cache", str(tmp_path / "no" / "x")]) == 2
