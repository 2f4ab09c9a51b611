"""Help: a page for everything that has one, plain where it must be, and quick."""

import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from _toy_cli import TOY

from mdmjax._errors import InvalidInputError
from mdmjax.cli.help import page
from mdmjax.cli.parser import asks_for_help
from mdmjax.studies.table import as_text

PAGES = [
    "--help",
    "-h",
    "law --help",
    "law -h markov",
    "law markov entropy --help",
    "law text --help --nonsense 3",
    "law entropy --help",
    "schedule loss-curve --help",
    "decode --help",
    "decode run mean-field --help",
]


def shown(line, stream=None):
    assert asks_for_help(line.split())
    return as_text(page(line.split(), TOY), stream)


def squeezed(text):
    return " ".join(text.split())


@pytest.mark.parametrize("line", PAGES)
def test_a_page_is_plain_ascii_of_120_columns(line):
    out = shown(line)
    assert out.startswith("usage: mdmjax ")
    assert out.isascii()
    assert "\x1b" not in out
    assert max(map(len, out.splitlines())) <= 120


@pytest.mark.parametrize(
    ("line", "usage"),
    [
        ("--help", "mdmjax COMMAND [SOURCE] [DECODER] [options]"),
        ("law --help", "mdmjax law SOURCE [DECODER] [options]"),
        ("law markov --help", "mdmjax law markov [DECODER] [options]"),
        ("law text --help", "mdmjax law text [PATH] [DECODER] [options]"),
        ("law --n 3 text entropy --help", "mdmjax law text [PATH] entropy [options]"),
        ("law entropy --help", "mdmjax law SOURCE entropy [options]"),
        ("schedule loss-curve --help", "mdmjax schedule loss-curve FILE [options]"),
        ("decode --help", "mdmjax decode DIR [DECODER] [options]"),
        ("decode mean-field --help", "mdmjax decode DIR mean-field [options]"),
    ],
)
def test_usage(line, usage):
    assert shown(line).splitlines()[0] == f"usage: {usage}"


def test_the_first_page_has_every_command_with_an_example():
    out = squeezed(shown("--help"))
    for command in TOY:
        assert f"{command.name} | {command.help}" in out
        for example in command.examples[:1]:
            assert " ".join(example) in out


def test_the_page_of_a_command_has_its_choices_options_and_examples():
    law = TOY[0]
    out = squeezed(shown("law --help"))
    for slot in law.slots:
        for choice in slot.choices:
            assert f"{slot.name} | {choice.name}" in out
            assert choice.help in out
            for option in choice.options:
                assert f"--{option.name} " not in out.replace("--window 3 --json", "").replace("--n 4", "")
    assert "text [PATH]" in out
    assert "random (default) |" in out
    for option in law.options:
        assert f"--{option.name} | {option.follows}".strip() in out
        assert option.help in out
    for example in law.examples:
        assert " ".join(example) in out
    assert "--epsilon | FLOAT | 1e-08 | Incoherent: at most this." in out
    assert "--schedule | best|pyramid | best |" in out


def test_the_page_of_a_choice_has_its_options_and_the_command_s():
    out = squeezed(shown("law text entropy --help"))
    assert "PATH | path | | A file; the standard library without it." in out
    assert "--window | INT | 5 | Characters in a window." in out
    assert "--classes | NAME=SET ... | | Alphabet." in out
    assert "--thresholds | FLOAT FLOAT FLOAT | 7.5 5 2.5 | Three of them." in out
    assert "--steps | INT | | Number of steps." in out
    assert "--blocks" not in out
    assert "mean-field" not in out
    assert "--out | DIR | required | Folder." in squeezed(shown("schedule --help"))
    assert "FILE | path | required | CSV file." in squeezed(shown("schedule loss-curve --help"))


def test_help_of_an_unknown_command_is_a_mistake():
    with pytest.raises(InvalidInputError, match="command is lwa: .*perhaps law; see `mdmjax --help`"):
        page(["lwa", "--help"], TOY)


@pytest.mark.parametrize("width", range(40, 201, 10))
@pytest.mark.parametrize("line", ["--help", "law --help", "law text entropy --help"])
def test_a_page_fits_a_terminal_and_no_name_is_cut(monkeypatch, line, width):
    monkeypatch.setenv("COLUMNS", str(width))
    stream = io.StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: True, raising=False)
    out = re.sub(r"\x1b\[[\d;]*m", "", shown(line, stream))
    assert max(map(len, out.splitlines())) <= max(width, 68)
    for name in (
        ("law", "schedule", "decode") if line == "--help" else ("--schedule", "--epsilon", "--regret")
    ):
        assert re.search(rf"^ *{name}\b", out, re.MULTILINE)


CODE = (
    "import sys; from _toy_cli import TOY; from mdmjax.cli import main\n"
    "assert main(sys.argv[1:], TOY) == 0\n"
    "heavy = {'jax', 'numpy', 'scipy', 'equinox', 'matplotlib', 'optax'} & set(sys.modules)\n"
    "assert not heavy, heavy\n"
)


@pytest.mark.parametrize("line", ["--help", "law --help", "law text entropy --help", "--version"])
def test_help_imports_nothing_heavy(line):
    tests = str(Path(__file__).parents[1])
    words, env = [sys.executable, "-c", CODE, *line.split()], os.environ | {"PYTHONPATH": tests}
    found = subprocess.run(words, capture_output=True, text=True, env=env)
    assert (found.returncode, found.stderr) == (0, "")
    assert re.match(r"usage: mdmjax |mdmjax \d+\.\d+", found.stdout)


def test_the_version_is_the_package_s():
    from importlib.metadata import version

    assert as_text(page(["--version"], TOY)) == f"mdmjax {version('mdmjax')}\n"
    assert not asks_for_help(["law", "--version"])
