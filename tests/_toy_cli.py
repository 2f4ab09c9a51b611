"""A small command line for the tests: three commands, and every kind of word and option."""

import dataclasses
import os
import signal
import sys
from pathlib import Path
from typing import ClassVar

from mdmjax._errors import InvalidInputError, refuse
from mdmjax.cli import main
from mdmjax.cli.options import Choice, Command, Option, Positional, Slot
from mdmjax.cli.output import show
from mdmjax.studies.report import AbstractReport, six_decimals
from mdmjax.studies.table import Column, Table

MARKOV = Choice(
    "markov",
    "Stationary Markov chain.",
    options=(
        Option("n", int, 8, help="Number of positions."),
        Option("flip", float, 0.1, help="Probability of another symbol."),
    ),
)
BLOCK_HMM = Choice(
    "block-hmm",
    "Blocks of bits with a parity bit (arXiv 2602.00286).",
    options=(
        Option("blocks", int, help="Number of blocks; 2."),
        Option("block-size", int, help="Bits of a block; 8."),
    ),
)
TEXT = Choice(
    "text",
    "Windows of a text.",
    positionals=(Positional("path", help="A file; the standard library without it.", required=False),),
    options=(
        Option("window", int, 5, help="Characters in a window."),
        Option("classes", default=(), metavar="NAME=SET ...", repeated=True, help="Alphabet."),
    ),
)
LOSS_CURVE = Choice(
    "loss-curve",
    "Measured loss.",
    positionals=(Positional("file", metavar="FILE", help="CSV file."),),
    options=(Option("length", int, help="Sequence length."), Option("isotonic", bool, help="Fit first.")),
)

RANDOM = Choice("random", "Uniformly random positions.")
MEAN_FIELD = Choice("mean-field", "Blocks at once.", options=(Option("block", int, help="Block length."),))
ENTROPY = Choice(
    "entropy",
    "Easy first.",
    options=(
        Option("thresholds", float, (7.5, 5.0, 2.5), size=3, help="Three of them."),
        Option("by-confidence", bool, help="Another way."),
    ),
)


@dataclasses.dataclass(frozen=True, eq=False)
class Toy(AbstractReport):
    """The options again, and a table."""

    schema: ClassVar[str] = "mdmjax.toy"

    command: str
    values: dict
    chosen: dict
    title: str = "naïve Σ"

    def tables(self):
        columns = [Column("what", 0, justify="left"), Column("value", 1, six_decimals)]
        return [self.title, Table(columns, [("first", 0.5), ("last", float("inf"))] * 40), "Exact."]


def run(parsed):
    """Show what was parsed, or fail as asked."""
    fail = parsed.values["fail"]
    if fail == "refuse":
        error = InvalidInputError("block_size, n is 3, 4: want less")
        error.argument = "block_size, n"
        raise error
    if fail == "refuse-without-argument":
        raise InvalidInputError("block_size is 3: want less")
    if fail == "control":
        refuse("file", "\x1b]0;title\x07" + "é", "a file")
    if fail == "memory":
        raise MemoryError
    if fail == "recursion":
        raise RecursionError
    if fail == "interrupt":
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.kill(os.getpid(), signal.SIGINT)
    if fail == "bug":
        raise RuntimeError("a bug")
    if fail == "file":
        Path("no/such/file").read_text()
    if fail == "device":
        import jax

        jax.numpy.zeros(3).block_until_ready()
    if fail == "print":
        sys.stdout.write("printed by itself\n")
        return None
    if fail == "code":
        return 3
    chosen = {slot: {"name": one.name} | one.values for slot, one in parsed.chosen.items()}
    return show(Toy(parsed.command.name, parsed.values, chosen), json=parsed.values["json"])


COMMON = (
    Option("json", bool, help="Print one JSON object."),
    Option("fail", help="How to fail."),
    Option("seed", int, 0, help="Seed."),
)

LAW = Command(
    "law",
    "Exact output law of a decoder.",
    run=run,
    slots=(
        Slot("source", (MARKOV, BLOCK_HMM, TEXT)),
        Slot("decoder", (RANDOM, MEAN_FIELD, ENTROPY), default="random"),
    ),
    options=(
        *COMMON,
        Option("counts", metavar="S1,S2,...", help="Tokens of each step."),
        Option("steps", int, help="Number of steps."),
        Option("schedule", default="best", choices=("best", "pyramid"), help="Sizes of the steps."),
        Option("epsilon", float, 1e-8, help="Incoherent: at most this."),
        Option("plot", Path, metavar="FILE", help="Picture."),
        Option("regret", bool, help="Also the regret."),
    ),
    examples=(
        ("mdmjax law markov entropy --n 4", "the law of easy-first decoding"),
        ("mdmjax law text --window 3 --json", "a text, as JSON"),
    ),
)
SCHEDULE = Command(
    "schedule",
    "The best schedules.",
    run=run,
    slots=(Slot("source", (MARKOV, TEXT, LOSS_CURVE)),),
    options=(*COMMON, Option("out", Path, required=True, metavar="DIR", help="Folder.")),
    examples=(("mdmjax schedule markov --out plan", "a plan"),),
)
DECODE = Command(
    "decode",
    "Sequences of a model.",
    run=run,
    positionals=(Positional("model", metavar="DIR", help="Folder of the model."),),
    slots=(Slot("decoder", (RANDOM, MEAN_FIELD, ENTROPY), default="random"),),
    options=(
        *COMMON,
        Option("clip", float, 1.0, help="Largest norm."),
        Option("steps", int, help="Steps."),
    ),
)
TOY = (LAW, SCHEDULE, DECODE)

if __name__ == "__main__":
    sys.exit(main(commands=TOY))
