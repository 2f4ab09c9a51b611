"""The README is true: its Python runs and prints what it says, its commands give what it shows."""

import pathlib
import re
import shlex

import pytest

from mdmjax.cli import main

README = (pathlib.Path(__file__).parent.parent / "README.md").read_text()


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def numbers(text):
    return [float(number) for number in re.findall(r"\d+\.?\d*", text.replace("...", ""))]


def test_python_prints_what_its_comments_say(capsys):
    code = "".join(blocks("python"))
    exec(compile(code, "README.md", "exec"), {})
    printed = capsys.readouterr().out.splitlines()
    promised = re.findall(r"print\(.*?\) +# (.*)", code)
    assert len(printed) == len(promised) == 7
    for line, comment in zip(printed, promised, strict=True):
        values = comment.split(": ")[-1]
        for number, wanted in zip(numbers(line), numbers(values), strict=True):
            assert abs(number - wanted) < 1e-3


def test_loss_curve_command_gives_the_table_shown(tmp_path, monkeypatch, capsys):
    (block,) = [b for b in blocks("console") if "loss.csv" in b]
    make_file, command = re.findall(r"\$ (.*)", block)
    (tmp_path / "loss.csv").write_text(shlex.split(make_file)[1].replace("\\n", "\n"))
    monkeypatch.chdir(tmp_path)
    assert main(shlex.split(command)[1:]) == 0
    printed = {" ".join(line.split()) for line in capsys.readouterr().out.splitlines()}
    for line in re.findall(r"^ \w.*\|.*$", block, re.MULTILINE):
        assert " ".join(line.split()) in printed
    files = re.findall(r"^\| `(\w+\.\w+)` \|", README, re.MULTILINE)
    assert sorted(files) == sorted(path.name for path in (tmp_path / "plan").iterdir())


def test_the_law_of_the_paper_is_the_one_shown(capsys):
    (block,) = [b for b in blocks("console") if "mdmjax law" in b]
    (command,) = re.findall(r"\$ \S+mdmjax ([\w -]+?) +#", block)
    assert main(command.split()) == 0
    printed = {" ".join(line.split()) for line in capsys.readouterr().out.splitlines()}
    shown = re.findall(r"^ \w.*\|.*$", block, re.MULTILINE)
    assert len(shown) == 6
    for line in shown:
        assert " ".join(line.split()) in printed


@pytest.mark.parametrize("path", re.findall(r"\]\((?!http)([^)]+)\)", README))
def test_links_lead_somewhere(path):
    assert (pathlib.Path(__file__).parent.parent / path).exists()


def test_every_command_and_source_is_named_right(capsys):
    for words in (["schedule", "--help"], ["law", "markov", "--help"]):
        with pytest.raises(SystemExit):
            main(words)
    listed = capsys.readouterr().out
    for source in re.findall(r"^\| `([a-z-]+)[ `]", README, re.MULTILINE):
        assert source in listed
