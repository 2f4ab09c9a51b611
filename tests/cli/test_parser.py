"""The grammar of the command line, and one line for every mistake."""

import math
from pathlib import Path

import pytest
from _toy_cli import COMMON, ENTROPY, LAW, MARKOV, RANDOM, TOY
from hypothesis import given
from hypothesis import strategies as st

from mdmjax._errors import InvalidInputError, refuse
from mdmjax.cli.options import Choice, Command, Option, Positional, Slot
from mdmjax.cli.parser import as_typed, parse


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def parsed(line):
    found = parse(line.split(), TOY)
    chosen = {slot: {"name": one.name} | one.values for slot, one in found.chosen.items()}
    return found.command.name, chosen, found.values


def told(line):
    """What was given or chosen, as one dictionary, without what is as declared."""
    command, chosen, values = parsed(line)
    merged = {"command": command} | {slot: one["name"] for slot, one in chosen.items()}
    for one in (values, *chosen.values()):
        merged |= {key: value for key, value in one.items() if key not in {"name"} | merged.keys()}
    default = {option.key: option.default for one in TOY for option in one.every_option()}
    return {key: value for key, value in merged.items() if value not in (None, False, default.get(key, ""))}


def head(command, source=None, decoder=None, **values):
    named = {"command": command, "source": source, "decoder": decoder}
    return {key: value for key, value in named.items() if value} | values


GRAMMAR = [
    ("law markov", head("law", "markov", "random")),
    ("law markov entropy", head("law", "markov", "entropy")),
    ("law markov --n 5 random --counts 1,2,2", head("law", "markov", "random", n=5, counts="1,2,2")),
    (
        "law block-hmm --blocks 2 mean-field --block 4 --regret",
        head("law", "block-hmm", "mean-field", blocks=2, block=4, regret=True),
    ),
    ("law --regret --block 4 --blocks 2 block-hmm mean-field", head("law", "block-hmm", "mean-field",
     regret=True, block=4, blocks=2)),
    ("law --n=5 --flip=-0.25 markov", head("law", "markov", "random", n=5, flip=-0.25)),
    ("law markov --flip -0.1", head("law", "markov", "random", flip=-0.1)),
    ("law markov --epsilon -1 --seed -3", head("law", "markov", "random", epsilon=-1.0, seed=-3)),
    ("law markov --epsilon -1e-3", head("law", "markov", "random", epsilon=-0.001)),
    ("law markov --epsilon -inf", head("law", "markov", "random", epsilon=-math.inf)),
    ("law markov --counts -1,2", head("law", "markov", "random", counts="-1,2")),
    ("decode run --clip -1", head("decode", None, "random", model=Path("run"), clip=-1.0)),
    ("decode run random --steps 3", head("decode", None, "random", model=Path("run"), steps=3)),
    ("decode --steps 3 run", head("decode", None, "random", model=Path("run"), steps=3)),
    ("decode random", head("decode", None, "random", model=Path("random"))),
    ("law text", head("law", "text", "random")),
    ("law text entropy", head("law", "text", "entropy")),
    ("law text a --window 3 mean-field", head("law", "text", "mean-field", path=Path("a"), window=3)),
    ("law text a.txt entropy", head("law", "text", "entropy", path=Path("a.txt"))),
    ("law text --window 3 entropy", head("law", "text", "entropy", window=3)),
    ("law text ./entropy", head("law", "text", "random", path=Path("entropy"))),
    ("law text - entropy", head("law", "text", "entropy", path=Path("-"))),
    ("schedule text --out d", head("schedule", "text", out=Path("d"))),
    (
        "schedule loss-curve l.csv --length 8 --out d",
        head("schedule", "loss-curve", file=Path("l.csv"), length=8, out=Path("d")),
    ),
    ("schedule --length 8 --out d loss-curve --isotonic l.csv", head("schedule", "loss-curve",
     file=Path("l.csv"), length=8, isotonic=True, out=Path("d"))),
    (
        "law text --classes vowel=aeiou digit=0-9 --window 3",
        head("law", "text", "random", classes=("vowel=aeiou", "digit=0-9"), window=3),
    ),
    ("law text --classes a=b c=d entropy", head("law", "text", "entropy", classes=("a=b", "c=d"))),
    ("law text --classes=a=b x.txt", head("law", "text", "random", classes=("a=b",), path=Path("x.txt"))),
    (
        "law markov entropy --thresholds 3 -2 1.5",
        head("law", "markov", "entropy", thresholds=(3.0, -2.0, 1.5)),
    ),
    ("law --thresholds 3 2 1 markov entropy", head("law", "markov", "entropy", thresholds=(3.0, 2.0, 1.0))),
    ("law markov entropy --by-confidence", head("law", "markov", "entropy", by_confidence=True)),
    ("law block-hmm --block-size 4", head("law", "block-hmm", "random", block_size=4)),
    ("law markov --schedule pyramid", head("law", "markov", "random", schedule="pyramid")),
    ("law markov --n 3 --n 4", head("law", "markov", "random", n=4)),
    ("law text --classes a=b --classes c=d", head("law", "text", "random", classes=("a=b", "c=d"))),
    ("law text -- --odd", head("law", "text", "random", path=Path("--odd"))),
    ("law markov --plot=--odd.png", head("law", "markov", "random", plot=Path("--odd.png"))),
]  # fmt: skip


@pytest.mark.parametrize(("line", "expected"), GRAMMAR, ids=[line for line, _ in GRAMMAR])
def test_grammar(line, expected):
    assert told(line) == expected


def test_every_value_is_there_with_its_default():
    command, chosen, values = parsed("law markov entropy")
    assert command == "law"
    assert chosen == {
        "source": {"name": "markov", "n": 8, "flip": 0.1},
        "decoder": {"name": "entropy", "thresholds": (7.5, 5.0, 2.5), "by_confidence": False},
    }
    assert values == {
        "json": False,
        "fail": None,
        "seed": 0,
        "counts": None,
        "steps": None,
        "schedule": "best",
        "epsilon": 1e-8,
        "plot": None,
        "regret": False,
    }
    assert parsed("law text")[1]["source"] == {"name": "text", "path": None, "window": 5, "classes": ()}


def test_what_could_be_a_path_is_no_misspelt_decoder():
    for word in ("entrpy.txt", "./entrpy", "prose"):
        assert told(f"law text {word}") == head("law", "text", "random", path=Path(word))
    Path("entrpy").write_text("abc")
    assert told("law text entrpy") == head("law", "text", "random", path=Path("entrpy"))
    assert told("law text entrpy2 entropy") == head("law", "text", "entropy", path=Path("entrpy2"))


def test_a_file_with_the_name_of_a_decoder_is_a_file():
    Path("entropy").write_text("abc")
    assert told("law text entropy") == head("law", "text", "random", path=Path("entropy"))
    assert told("law text entropy entropy") == head("law", "text", "entropy", path=Path("entropy"))


@given(
    st.permutations(["--n 5", "--flip -1", "--regret", "--steps=3", "--thresholds 1 2 3", "--json"]),
    st.data(),
)
def test_options_stand_anywhere(options, data):
    """Two words among six options: every order says the same."""
    first, second = sorted(data.draw(st.tuples(st.integers(0, 6), st.integers(0, 6))))
    words = [*options[:first], "markov", *options[first:second], "entropy", *options[second:]]
    expected = head(
        "law",
        "markov",
        "entropy",
        n=5,
        flip=-1.0,
        regret=True,
        steps=3,
        thresholds=(1.0, 2.0, 3.0),
        json=True,
    )
    assert told(" ".join(["law", *words])) == expected


SOURCES, DECODERS = "markov, block-hmm, text", "random, mean-field, entropy"
OF_MARKOV = "an option of `mdmjax law markov`"
MISTAKES = [
    ("", "", "command is not given: want one of law, schedule, decode"),
    ("lwa markov", "", "command is lwa: want one of law, schedule, decode; perhaps law"),
    ("--json law", "", "command is --json: want one of law, schedule, decode"),
    ("law", "law", f"source is not given: want one of {SOURCES}"),
    ("law markv", "law", f"source is markv: want one of {SOURCES}; perhaps markov"),
    ("law markov entrpy", "law markov", f"decoder is entrpy: want one of {DECODERS}; perhaps entropy"),
    ("law entropy", "law entropy", f"source is entropy: want one of {SOURCES}"),
    ("law markov random extra", "law markov random", "argument is extra: want no more words"),
    (
        "law markov random steps 3",
        "law markov random",
        "argument is steps: want no more words; perhaps --steps",
    ),
    ("law text entrpy", "law text", "PATH is entrpy: want a path that exists; perhaps entropy"),
    ("law text a.txt b.txt", "law text", f"decoder is b.txt: want one of {DECODERS}"),
    ("law markov --steps x", "law markov", "--steps is x: want an integer"),
    ("law markov --steps=x", "law markov", "--steps is x: want an integer"),
    ("law markov --steps 1.5 entropy", "law markov entropy", "--steps is 1.5: want an integer"),
    ("law markov --flip x", "law markov", "--flip is x: want a number"),
    ("law markov --n", "law markov", "--n is without a value: want an integer"),
    ("law markov --n --json", "law markov", "--n is without a value: want an integer"),
    ("law markov --n=", "law markov", "--n is '': want an integer"),
    ("law markov --plot=", "law markov", "--plot is '': want a path"),
    ("law markov --json=yes", "law markov", "--json is yes: want no value"),
    ("law text --classes", "law text", "--classes is without a value: want a text"),
    ("law markov entropy --thresholds 1 2", "law markov entropy", "--thresholds is 1 2: want 3 numbers"),
    ("law markov entropy --thresholds=1", "law markov entropy", "--thresholds is 1: want 3 numbers"),
    ("law markov entropy --thresholds 1 2 x", "law markov entropy", "--thresholds is x: want a number"),
    (
        "law markov --schedule pyramd",
        "law markov",
        "--schedule is pyramd: want one of best, pyramid; perhaps pyramid",
    ),
    ("law markov --fip 3", "law markov", f"option is --fip: want {OF_MARKOV}; perhaps --flip"),
    ("law markov --fip=3", "law markov", f"option is --fip: want {OF_MARKOV}; perhaps --flip"),
    ("law markov --hepl", "law markov", f"option is --hepl: want {OF_MARKOV}; perhaps --help"),
    ("law markov -n 3", "law markov", f"option is -n: want {OF_MARKOV}; perhaps --n"),
    ("law markov --step 3", "law markov", f"option is --step: want {OF_MARKOV}; perhaps --steps"),
    ("law markov --zzzz", "law markov", f"option is --zzzz: want {OF_MARKOV}"),
    ("law markov --outdir d", "law markov", f"option is --outdir: want {OF_MARKOV}"),
    ("law markov --x 3", "law markov", f"option is --x: want {OF_MARKOV}"),
    ("law markov -help", "law markov", f"option is -help: want {OF_MARKOV}; perhaps --help"),
    (
        "law markov random --block 3",
        "law markov random",
        "--block is an option of mean-field: want one of `mdmjax law markov random`",
    ),
    (
        "law block-hmm --n 3",
        "law block-hmm",
        "--n is an option of markov: want one of `mdmjax law block-hmm`",
    ),
    ("schedule markov", "schedule markov", "--out is not given: want a path"),
    ("schedule loss-curve --out d", "schedule loss-curve", "FILE is not given: want a path"),
    ("decode", "decode", "DIR is not given: want a path"),
    ("decode run markov", "decode", f"decoder is markov: want one of {DECODERS}"),
    ("law -1", "law", f"source is -1: want one of {SOURCES}"),
    ("law markov -- --json", "law markov", f"decoder is --json: want one of {DECODERS}"),
]


def mistake(words):
    with pytest.raises(InvalidInputError) as caught:
        parse(words, TOY)
    return str(caught.value)


@pytest.mark.parametrize(("line", "place", "message"), MISTAKES, ids=[line for line, *_ in MISTAKES])
def test_a_mistake_is_one_line(line, place, message):
    """The line says what is wrong, what was perhaps meant, and where the nearest help is."""
    assert mistake(line.split()) == f"{message}; see `{' '.join(['mdmjax', *place.split()])} --help`"


@pytest.mark.parametrize("word", ["\x1b]0;title\x07", "a\nb", "\u202e", "\udcff", "\x00"])
def test_control_characters_of_a_word_are_escaped(word):
    for words in (["law", "markov", "--n", word], [word], ["law", word], ["law", "markov", f"--{word}"]):
        found = mistake(words)
        assert word not in found
        assert " ".join(word.split()).encode("unicode_escape").decode() in found
        assert found.isprintable()


@pytest.mark.parametrize("place", [["law", "markov", "--n"], ["law", "markov"], ["law"], []])
def test_a_long_word_is_cut(place):
    found = mistake([*place, "9" * 5000 + "x" * 10**5])
    cut = f"{'9' * 28}...{'x' * 28}"
    assert f" is {cut}: want" in found
    assert len(found) < 250
    assert f" is {'x' * 60}: want" in mistake([*place, "x" * 60])


WORDS = [
    "law",
    "markov",
    "text",
    "entropy",
    "--n",
    "3",
    "--json",
    "--",
    "-",
    "--classes",
    "--thresholds",
    "-x",
    "=",
    "--=",
    "--n=1",
    "--seed=",
    "-h3",
]


@given(st.lists(st.sampled_from([*WORDS, ""]), max_size=7))
def test_any_words_are_parsed_or_refused_in_one_line(words):
    try:
        found = parse(words, TOY)
    except InvalidInputError as error:
        refused = str(error)
    else:
        refused = "; see `mdmjax"
        assert found.chosen.keys() == {slot.name for slot in found.command.slots}
    assert "\n" not in refused
    assert "; see `mdmjax" in refused


def raised(message, argument):
    error = InvalidInputError(message)
    error.argument = argument
    return error


@pytest.mark.parametrize(
    ("argument", "message", "typed"),
    [
        ("block_size", "block_size is 3: want less", "--block-size is 3: want less"),
        ("blocks, block_size", "blocks, block_size is 3, 4: x", "--blocks, --block-size is 3, 4: x"),
        ("by-confidence", "by-confidence is x: want y", "--by-confidence is x: want y"),
        ("n", "n is 3: want more than n = 4", "n is 3: want more than n = 4"),  # block-hmm has no --n
        ("decoder", "decoder is x: want y", "decoder is x: want y"),
        ("", "something else", "something else"),
        ("blocks", "something else", "something else"),
    ],
)  # fmt: skip
def test_the_library_s_arguments_are_named_as_typed(argument, message, typed):
    found = parse(["law", "block-hmm", "entropy"], TOY)
    assert as_typed(raised(message, argument), found) == typed


def test_a_long_value_of_the_library_is_cut():
    with pytest.raises(InvalidInputError) as caught:
        refuse("block_size", "9" * 10**5, "less")
    typed = as_typed(caught.value, parse(["law", "block-hmm"], TOY))
    assert typed == f"--block-size is {'9' * 148}...{'9' * 148}: want less"


def test_an_error_without_an_argument_stays_as_it_is():
    found = parse(["law", "block-hmm", "entropy"], TOY)
    assert as_typed(InvalidInputError("block_size is 3: want less"), found) == "block_size is 3: want less"


def declare(*slots, **more):
    return Command("c", "help", run=print, slots=slots, **more)


@pytest.mark.parametrize(
    ("build", "what"),
    [
        (lambda: declare(Slot("a", (MARKOV, MARKOV))), "choices of c: markov"),
        (lambda: declare(Slot("a", (MARKOV,)), Slot("b", (MARKOV,))), "choices of c: markov"),
        (lambda: declare(options=(*COMMON, COMMON[0])), "options of c: json"),
        (lambda: declare(Slot("a", (MARKOV,)), options=(Option("n", int),)), "options of c markov: n"),
        (
            lambda: declare(Slot("a", (MARKOV,)), Slot("b", (Choice("z", options=(Option("n"),)),))),
            "options of c markov z: n",
        ),
        (
            lambda: declare(options=(Option("a-b"),), positionals=(Positional("a_b"),)),
            "options of c: a_b",
        ),
        (
            lambda: declare(Slot("a", (MARKOV, Choice("z", options=(Option("n", size=2),))))),
            "options of c with other numbers of values: n",
        ),
    ],
)
def test_a_declaration_that_would_be_ambiguous_is_refused(build, what):
    with pytest.raises(ValueError, match=f"{what} is there twice"):
        build()


def test_sources_may_share_an_option():
    other = Choice("other", options=(Option("n", float, 2.0),))
    command = declare(Slot("source", (MARKOV, other)), Slot("decoder", (RANDOM, ENTROPY), default="random"))
    assert parse(["c", "markov", "--n", "3"], [command]).chosen["source"].values["n"] == 3
    assert parse(["c", "other", "--n", "3.5"], [command]).chosen["source"].values["n"] == 3.5
    assert parse(["c", "other"], [command]).chosen["source"].choice == other
    assert LAW.every_option()
