"""The pages of docs/ are true: their commands give what they show, their tables name all there is."""

import ast
import importlib
import json
import pathlib
import pkgutil
import re
import shlex
import sys

import jax
import pytest
from _pages import blocks, check_python, folded, is_rule

import mdmjax
from mdmjax.cli import COMMANDS, main
from mdmjax.cli.parser import parse
from mdmjax.families import FAMILIES
from mdmjax.studies.named_decoders import DECODERS

ROOT = pathlib.Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = {path.name: path.read_text() for path in sorted(DOCS.glob("*.md"))}
BLOCKS = "block,n_masked,loss\n0,1,1.0\n0,2,1.5\n0,3,2.0\n0,4,4.0\n1,1,1.0\n1,2,1.0\n1,3,1.0\n1,4,1.2\n"
LOSSES = "mask_ratio,loss\n0.05,1.31\n0.2,1.52\n0.4,1.98\n0.6,2.71\n0.8,3.82\n1.0,5.47\n"
HIDDEN = """{"initial": [0.5, 0.5], "transition": [[0.9, 0.1], [0.1, 0.9]],
"emission": [[0.9, 0.1], [0.2, 0.8]], "n": 8}"""
DICE = """{"weights": [0.5, 0.25, 0.25],
"probs": [[0.9, 0.05, 0.05], [0.05, 0.9, 0.05], [0.05, 0.05, 0.9]]}"""
OUTPUTS = "".join(
    json.dumps({"id": "mine", "prompt": prompt, "output": output}) + "\n"
    for prompt, output in (("abc", "cab"), ("abc", "abc"), ("abcd", "dabc"), ("abcd", "aabc"))
)
TRACES = """{"step_map": [0, 1, 2, 3], "id": "a"}
{"step_map": [-1, 0, 0, 1, 1], "id": "b"}
{"step_map": [0, 0, 0], "id": "c", "nfe": 1}
"""
SMALL = "mask_ratio,loss\n0.05,1.71\n0.2,1.89\n0.4,2.27\n0.6,2.87\n0.8,3.86\n1.0,5.47\n"


def shown_commands():
    """Every command line of the pages with the lines shown below it."""
    for page, text in PAGES.items():
        for block in blocks(text, "console"):
            for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
                command, _, output = part.partition("\n")
                if command.startswith("mdmjax "):
                    yield pytest.param(command, output, id=f"{page}: {command}")


def inline_commands():
    """Every whole `mdmjax ...` of the text; a command alone, or with a SOURCE, is none."""
    for page, text in PAGES.items():
        prose = re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)
        for command in re.findall(r"`mdmjax ([a-z-]+ [^`A-Z|]*)`", prose):
            yield pytest.param(command, id=f"{page}: {command}")


def takes_a_model(words):
    """Whether a trained model is needed: only the words of such a command are checked."""
    measured = any(word.startswith("model/") for word in words)
    return (
        measured or words[0] in {"train", "loss-curve", "decode", "likelihood"} or words[1:2] == ["model"]
    )


@pytest.mark.parametrize(("command", "output"), list(shown_commands()))
def test_a_command_gives_what_is_shown(command, output, tmp_path, monkeypatch, capsys):
    words = shlex.split(command, comments=True)[1:]
    assert parse(words, COMMANDS).command.name == words[0]
    if takes_a_model(words):
        return
    (tmp_path / "loss.csv").write_text(LOSSES)
    (tmp_path / "blocks.csv").write_text(BLOCKS)
    (tmp_path / "small.csv").write_text(SMALL)
    (tmp_path / "base.jsonl").write_text(TRACES)
    (tmp_path / "hmm.json").write_text(HIDDEN)
    (tmp_path / "dice.json").write_text(DICE)
    (tmp_path / "outputs.jsonl").write_text(OUTPUTS)
    monkeypatch.chdir(tmp_path)
    assert main(words) == 0
    printed = set(folded(capsys.readouterr().out))
    shown = [line for line in folded(output) if line not in ("", "...") and not is_rule(line)]
    assert [line for line in shown if line not in printed] == []


@pytest.mark.parametrize("command", list(inline_commands()))
def test_a_command_of_the_text_can_be_parsed(command):
    assert parse(shlex.split(command), COMMANDS)


@pytest.mark.parametrize("page", [page for page, text in PAGES.items() if blocks(text, "python")])
def test_python_prints_what_its_comments_say(page, capsys):
    assert check_python(PAGES[page], page, capsys) >= 2


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    for link in re.findall(r"\]\((?!http)([^)#]+)\)", PAGES[page]):
        assert (DOCS / link).exists(), link


@pytest.mark.parametrize("page", PAGES)
def test_names_of_python_exist(page):
    for name in re.findall(r"\bmj\.(\w+)", PAGES[page]):
        assert name in mdmjax.__all__, name
    for module in re.findall(r"`(mdmjax(?!\.report\.)(?:\.\w+)+)`", PAGES[page]):  # schemas are no modules
        assert importlib.util.find_spec(module), module


def table_after(page, heading):
    """The rows of the first table whose heading begins so, as lists of cells."""
    lines = PAGES[page].splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith(f"| {heading}"))
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
    return rows


def test_the_table_of_sources_has_every_family_with_every_parameter():
    rows = {re.findall(r"`([\w-]+)", row[0])[0]: row for row in table_after("schedules.md", "source")}
    assert set(FAMILIES) < set(rows)
    for name, family in FAMILIES.items():
        told = set(re.findall(r"--([\w-]+)", " ".join(rows[name])))
        assert told == {p.name.replace("_", "-") for p in family.parameters}, name
        assert ("closed form" in rows[name][2]) == (family.curve is not None), name
    (schedule,) = [command for command in COMMANDS if command.name == "schedule"]
    assert set(rows) == {choice.name for choice in schedule.choices()}


def test_the_table_of_decoders_has_every_one_with_its_options():
    rows = {re.findall(r"`([\w-]+)`", row[0])[0]: row for row in table_after("laws.md", "decoder")}
    assert list(rows) == list(DECODERS)
    for name, decoder in DECODERS.items():
        told = re.findall(r"`--([\w-]+)", rows[name][2])
        assert told == [knob.name.replace("_", "-") for knob in decoder.knobs], name


def keys_of(document):
    """Every key of a JSON document, at every depth; those of a mapping by names are left out."""
    found = set()
    if isinstance(document, dict):
        for key, value in document.items():
            found |= {key} | keys_of(value)
    elif isinstance(document, list) and document:
        found |= keys_of(document[0])
    return found


JSON_COMMANDS = {
    "mdmjax.report.schedule": "schedule permutation --n 4",
    "mdmjax.report.assigned": "schedule loss-curve loss.csv --with small.csv:0.5 --length 8 --budget 2",
    "mdmjax.report.law": "law markov random --n 3 --steps 2 --regret",
    "mdmjax.report.comparison": "law noisy-bit --n 2",
    "mdmjax.report.trace": "trace base.jsonl",
    "mdmjax.report.certificate": "certify permutation --n 12 --epsilon 0.5 --samples 20",
}


@pytest.mark.parametrize("schema", JSON_COMMANDS)
def test_the_page_of_json_has_every_key(schema, capsys, tmp_path, monkeypatch):
    (tmp_path / "loss.csv").write_text(LOSSES)
    (tmp_path / "small.csv").write_text(SMALL)
    (tmp_path / "base.jsonl").write_text(TRACES)
    monkeypatch.chdir(tmp_path)
    assert main([*JSON_COMMANDS[schema].split(), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == schema
    page = PAGES["json.md"]
    assert f"`{schema}`" in page
    told = set(re.findall(r"`(\w+)`", page))
    by_name = {str(k) for k in range(1, 9)} | set(document.get("baselines", {}))
    by_name |= {"alone_0", "alone_1"}
    assert keys_of(document) - by_name - told == set()


def test_the_page_of_json_has_every_report():
    import mdmjax.studies as studies
    from mdmjax.studies.report import AbstractReport

    for module in pkgutil.iter_modules(studies.__path__):
        importlib.import_module(f"mdmjax.studies.{module.name}")
    for report in AbstractReport.__subclasses__():
        if report.__module__.startswith("mdmjax"):
            assert f"`{report.schema}`" in PAGES["json.md"]


WALK = re.compile(r"^\d+\. `([\w/]+\.py)`, `([\w.]+)`: .*$", re.MULTILINE)


def calls_of(words):
    """The functions of the package in the order in which a command first calls them, with their files."""
    package = pathlib.Path(mdmjax.__file__).parent
    for module in pkgutil.walk_packages(mdmjax.__path__, "mdmjax."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    found = {}

    def note(frame, event, argument):
        path = frame.f_code.co_filename
        if event == "call" and path.startswith(str(package)) and frame.f_code.co_name != "<module>":
            found[str(pathlib.Path(path).relative_to(package)), frame.f_code.co_qualname] = None

    jax.clear_caches()  # a program that is compiled already calls nothing
    sys.setprofile(note)
    try:
        assert main(words) == 0
    finally:
        sys.setprofile(None)
    return list(found)


def test_the_walk_is_the_one_that_the_program_takes(capsys):
    page = PAGES["architecture.md"]
    (command,) = re.findall(r"^What `mdmjax (.*?)` does", page, re.MULTILINE)
    stops, called = WALK.findall(page), calls_of(shlex.split(command))
    capsys.readouterr()
    assert len(stops) == len(re.findall(r"^\d+\. ", page, re.MULTILINE)) <= 25
    assert len({file for file, _ in stops}) == len(stops)
    assert set(stops) <= set(called)
    assert sorted(stops, key=called.index) == stops
    (passed,) = re.findall(r"^Passed on the way.*?:\s(.*?)\.$", page, re.MULTILINE | re.DOTALL)
    named = set(re.findall(r"`([\w/]+\.py)`", passed))
    assert named == {file for file, _ in called} - {file for file, _ in stops}


def test_the_rooms_are_those_of_the_test_of_layers():
    tree = ast.parse((ROOT / "tests" / "test_layers.py").read_text())
    (pure,) = [n.value for n in tree.body if isinstance(n, ast.Assign) and n.targets[0].id == "PURE"]
    rooms = [*ast.literal_eval(pure), "files", "studies", "sweeps", "cli"]
    told = [re.findall(r"`(\w+)`", row[0])[0] for row in table_after("architecture.md", "room")]
    assert told == rooms
