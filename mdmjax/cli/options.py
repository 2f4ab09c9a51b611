"""What a command line is made of: frozen records that import nothing heavy."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROGRAM = "mdmjax"

WANTED = {int: "an integer", float: "a number", str: "a text", Path: "a path", bool: "no value"}
METAVARS = {int: "INT", float: "FLOAT", str: "TEXT", Path: "PATH", bool: ""}


@dataclass(frozen=True)
class Option:
    """`--name value`; a flag if `kind` is bool; a tuple of values if of a `size` or `repeated`."""

    name: str
    kind: type = str
    default: Any = None
    help: str = ""
    metavar: str | None = None
    choices: tuple[str, ...] = ()
    repeated: bool = False
    size: int | None = None
    required: bool = False

    @property
    def key(self) -> str:
        """Its name among the parsed values."""
        return self.name.replace("-", "_")

    @property
    def follows(self) -> str:
        """What follows it, as `INT`, `NAME=SET ...`, or `FLOAT FLOAT FLOAT`."""
        word = "|".join(self.choices) or METAVARS[self.kind]
        return self.metavar or " ".join([word] * (self.size or 1)) + " ..." * self.repeated

    @property
    def wanted(self) -> str:
        """What its value must be, in words."""
        if self.choices:
            return f"one of {', '.join(self.choices)}"
        return f"{self.size} {WANTED[self.kind].split()[-1]}s" if self.size else WANTED[self.kind]


@dataclass(frozen=True)
class Positional:
    """A value known by its place, a path if of no other kind; all the words that are left if `many`.

    `name` is its key among the values, `metavar` what is shown.
    """

    name: str
    help: str = ""
    metavar: str = "PATH"
    required: bool = True
    kind: type = Path
    many: bool = False


@dataclass(frozen=True)
class Choice:
    """One source, or one decoder, with options of its own."""

    name: str
    help: str = ""
    options: tuple[Option, ...] = ()
    positionals: tuple[Positional, ...] = ()


@dataclass(frozen=True)
class Slot:
    """A word that names one of several choices; without `default` it must be given."""

    name: str
    choices: tuple[Choice, ...]
    default: str | None = None


@dataclass(frozen=True)
class Command:
    """`mdmjax NAME POSITIONALS SLOTS`, options anywhere after the name; `run` may return an exit code."""

    name: str
    help: str
    run: Callable[..., int | None]
    slots: tuple[Slot, ...] = ()
    options: tuple[Option, ...] = ()
    positionals: tuple[Positional, ...] = ()
    examples: tuple[tuple[str, str], ...] = ()

    def __post_init__(self):
        """Names tell options, and choices, apart; an option takes as many words whoever has it."""
        _check_unique([choice.name for choice in self.choices()], f"choices of {self.name}")
        for holders in itertools.product([self], *(slot.choices for slot in self.slots)):
            keys = [option.key for holder in holders for option in holder.options]
            keys += [positional.name for holder in holders for positional in holder.positionals]
            _check_unique(keys, f"options of {' '.join(holder.name for holder in holders)}")
        shapes = {(o.name, o.kind is bool, o.repeated, o.size) for o in self.every_option()}
        _check_unique([name for name, *_ in shapes], f"options of {self.name} with other numbers of values")

    def choices(self) -> list[Choice]:
        """The choices of all its slots."""
        return [choice for slot in self.slots for choice in slot.choices]

    def every_option(self) -> list[Option]:
        """Its own options, and those of all its choices."""
        return [option for holder in (self, *self.choices()) for option in holder.options]


@dataclass(frozen=True)
class Chosen:
    """A choice that was made, and the values of its options and positionals."""

    name: str
    values: dict[str, Any]
    choice: Choice


@dataclass(frozen=True)
class Parsed:
    """What a command is run with: its own values, and the choice of each slot. Keys have underscores."""

    command: Command
    values: dict[str, Any]
    chosen: dict[str, Chosen]


def _check_unique(names: list[str], what: str) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"{what}: {', '.join(twice)} is there twice")
