"""The README is true: its Python prints what it says, its commands what it shows, its links lead on."""

import pathlib
import platform
import re
import shlex

import pytest
from _pages import blocks, check_python, folded, is_rule

import mdmjax
from mdmjax.cli import main
from mdmjax.studies.named_decoders import COMPARED

ROOT = pathlib.Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def rows(text):
    """The lines of a table, without those that only rule it."""
    return [line for line in folded(text) if "|" in line]


def run(command, capsys):
    """What a command line of the README prints; what comes before `mdmjax` is where it lies."""
    words = shlex.split(command, comments=True)
    assert words[0].endswith("mdmjax")
    assert main(words[1:]) == 0
    return folded(capsys.readouterr().out)


def test_it_is_short():
    assert len(README.splitlines()) <= 150


def test_python_prints_what_its_comments_say(capsys):
    assert check_python(README, "README.md", capsys) == 5


def test_every_public_name_exists():
    names = set(re.findall(r"\bmj\.(\w+)", README))
    assert len(names) > 10
    assert names <= set(mdmjax.__all__)


def test_loss_curve_command_gives_the_table_shown(tmp_path, monkeypatch, capsys):
    (block,) = [b for b in blocks(README, "console") if "loss.csv" in b]
    make_file, command = re.findall(r"^\$ (.*)$", block, re.MULTILINE)
    (tmp_path / "loss.csv").write_text(shlex.split(make_file)[1].replace("\\n", "\n"))
    monkeypatch.chdir(tmp_path)
    printed = run(command, capsys)
    shown = rows(block)
    assert len(shown) == 5
    assert set(shown) <= set(printed)
    assert "schedule.json" in {path.name for path in (tmp_path / "plan").iterdir()}


def test_the_law_of_the_paper_is_the_one_shown(capsys):
    (block,) = [b for b in blocks(README, "console") if "mdmjax law" in b]
    (command,) = re.findall(r"^\$ (.*)$", block, re.MULTILINE)
    printed = run(command, capsys)
    shown = [line for line in folded(block) if line and line[0] not in "$." and not is_rule(line)]
    assert len(shown) == 8
    assert set(shown) <= set(printed)


def test_the_text_of_make_schedule_is_that_of_its_command(capsys):
    """The numbers are of one version of the standard library; the form is of all."""
    (block,) = [b for b in blocks(README, "") if "standard library" in b]
    makefile = (ROOT / "Makefile").read_text()
    (recipe,) = re.findall(r"^schedule:.*\n\t\$\(BIN\)/(.*)$", makefile, re.MULTILINE)
    printed = run(recipe, capsys)
    (version,) = re.findall(r"Python ([\d.]+\d)$", block, re.MULTILINE)
    heading = rows(block)[0]
    assert heading in printed
    if platform.python_version() == version:
        shown = [line for line in folded(block) if line and not is_rule(line)]
        assert set(shown) <= set(printed)


def test_what_is_said_of_make_test():
    recipes = dict(re.findall(r"^([\w-]+):.*\n\t(.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert '-m "not slow"' in recipes["test"]
    assert "-m" not in recipes["test-all"].split("-m pytest")[1]
    for target in re.findall(r"make ([\w-]+)", README):
        assert target in recipes or target == "make"


def test_the_number_of_decoders():
    assert re.findall(r"compares (\d+) decoders", README) == [str(len(COMPARED))]


@pytest.mark.parametrize("path", sorted(set(re.findall(r"\]\((?!http)([^)#]+)\)", README))))
def test_links_lead_somewhere(path):
    assert (ROOT / path).exists()
