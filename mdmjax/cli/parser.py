"""From words to values: options anywhere, one line for every mistake.

No option may be abbreviated; where an option is given twice, the last counts.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from .._errors import InvalidInputError, perhaps, refuse, shown
from .options import PROGRAM, WANTED, Choice, Chosen, Command, Option, Parsed, Positional, Slot

HELP = ("--help", "-h")


@dataclass(frozen=True)
class Line:
    """The words after a command, and what can be said of them before they are understood."""

    command: Command
    words: Sequence[str]

    def named(self, slot: Slot) -> list[Choice]:
        """The choice of a slot that the words name, if they do."""
        choices = {choice.name: choice for choice in slot.choices}
        return [choices[word] for word in self.words if word in choices][:1]

    def options(self) -> list[str]:
        """Options of the command and of what is named; of every choice of a slot where none is."""
        choices = [choice for slot in self.command.slots for choice in self.named(slot) or slot.choices]
        return [f"--{option.name}" for holder in (self.command, *choices) for option in holder.options]

    def place(self) -> str:
        """The command with what is named, as its help is asked for."""
        named = [choice.name for slot in self.command.slots for choice in self.named(slot)]
        return " ".join([PROGRAM, self.command.name, *named])

    def refuse(self, argument: str, value: str, wanted: str, near: Iterable[str] = ()) -> NoReturn:
        """One line, with what of `near` was perhaps meant, and where the help is."""
        _refuse(argument, value, wanted, near, self.place())


def command_of(words: Sequence[str], commands: Sequence[Command]) -> Command:
    """The command that the first word names."""
    named = {command.name: command for command in commands}
    word = words[0] if words else "not given"
    if word not in named:
        _refuse("command", word, f"one of {', '.join(named)}", named, PROGRAM)
    return named[word]


def asks_for_help(words: Sequence[str]) -> bool:
    """Whether help, or the version, is asked for instead of work."""
    return words == ["--version"] or any(word in HELP for word in words)


def parse(words: Sequence[str], commands: Sequence[Command]) -> Parsed:
    """What the words say, with every value converted; else an `InvalidInputError` of one line."""
    command = command_of(words, commands)
    line = Line(command, words[1:])
    given, plain = _split(line, deque(words[1:]))
    placed = _placed(line, command.positionals, plain)
    chosen = {slot.name: _chosen(line, slot, plain, given) for slot in command.slots}
    if plain:
        line.refuse("argument", plain[0], "no more words", line.options())
    holders = (command, *(one.choice for one in chosen.values()))
    for name in given.keys() - {option.name for holder in holders for option in holder.options}:
        owners = [choice.name for choice in command.choices() if name in {o.name for o in choice.options}]
        line.refuse(f"--{name}", f"an option of {', '.join(owners)}", f"one of `{line.place()}`")
    return Parsed(command, placed | _values(line, command.options, given), chosen)


def as_typed(error: InvalidInputError, parsed: Parsed) -> str:
    """The message of the library with its arguments as typed: `--block-size is ...`."""
    argument, message = error.argument, str(error)
    if not argument or not message.startswith(f"{argument} is "):
        return message
    holders = (parsed.command, *(chosen.choice for chosen in parsed.chosen.values()))
    typed = {option.key: f"--{option.name}" for holder in holders for option in holder.options}
    if "length" in typed:
        typed.setdefault("n", typed["length"])
    names = [typed.get(name.replace("-", "_"), name) for name in argument.split(", ")]
    return ", ".join(names) + message.removeprefix(argument)


def _refuse(argument: str, value: str, wanted: str, near: Iterable[str], place: str) -> NoReturn:
    refuse(
        argument,
        shown(value) or "''",
        wanted,
        "; ".join(filter(None, (perhaps(value, near), f"see `{place} --help`"))),
    )


def _split(line: Line, words: deque[str]) -> tuple[dict[str, list[str]], deque[str]]:
    """The words of each option, and the others. A `repeated` one ends at an option or a choice's name."""
    options = {option.name: option for option in line.command.every_option()}
    names = {choice.name for choice in line.command.choices()}
    given, plain = {}, deque()
    while words:
        word = words.popleft()
        if word == "--":
            return given, plain + words
        if not word.startswith("-") or word == "-" or _is_number(word):
            plain.append(word)
            continue
        name, equals, value = word.removeprefix("--").partition("=")
        if name not in options or not word.startswith("--"):
            near = [*line.options(), *HELP]
            line.refuse("option", word.partition("=")[0], f"an option of `{line.place()}`", near)
        option = options[name]
        most = 0 if option.kind is bool or equals else len(words) if option.repeated else option.size or 1
        found = [value] if equals else []
        while words and len(found) < most:
            if words[0].startswith("--") or (option.repeated and words[0] in names):
                break
            found.append(words.popleft())
        given[name] = given.get(name, []) + found if option.repeated else found
    return given, plain


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _chosen(line: Line, slot: Slot, plain: deque[str], given: dict[str, list[str]]) -> Chosen:
    """The choice that the next word names, with its values."""
    choices = {choice.name: choice for choice in slot.choices}
    name = plain.popleft() if plain else slot.default or "not given"
    if name not in choices:
        line.refuse(slot.name, name, f"one of {', '.join(choices)}", choices)
    placed = _placed(line, choices[name].positionals, plain)
    return Chosen(name, placed | _values(line, choices[name].options, given), choices[name])


def _placed(line: Line, positionals: Sequence[Positional], plain: deque[str]) -> dict[str, Any]:
    """The values of positionals. One that may be left out is, before a choice's name that is no file.

    A word in its place that is nearly the name of a choice still to come, and no file, was meant as that.
    """
    values, names = {}, {choice.name for choice in line.command.choices()}
    near = [choice.name for slot in line.command.slots if not line.named(slot) for choice in slot.choices]
    for one in positionals:
        if one.many:
            values[one.name] = tuple(
                _read(line, one.metavar, one.kind, plain.popleft()) for _ in list(plain)
            )
            continue
        missing = not plain or (not one.required and plain[0] in names and not Path(plain[0]).exists())
        if missing and one.required:
            line.refuse(one.metavar, "not given", WANTED[Path])
        misspelt = plain and not set(plain[0]) & {"/", "\\", "."} and perhaps(plain[0], near)
        if misspelt and not one.required and not Path(plain[0]).exists():
            line.refuse(one.metavar, plain[0], "a path that exists", near)
        values[one.name] = None if missing else _read(line, one.metavar, one.kind, plain.popleft())
    return values


def _values(line: Line, options: Sequence[Option], given: dict[str, list[str]]) -> dict[str, Any]:
    """The value of every option, by its key."""
    return {option.key: _value(line, option, given.get(option.name)) for option in options}


def _value(line: Line, option: Option, words: list[str] | None) -> Any:
    name = f"--{option.name}"
    if words is None:
        if option.required:
            line.refuse(name, "not given", option.wanted)
        return bool(option.default) if option.kind is bool else option.default
    if option.kind is bool and not words:
        return True
    if option.kind is bool or len(words) < (option.size or 1):
        line.refuse(name, " ".join(words) or "without a value", option.wanted)
    for word in words:
        if option.choices and word not in option.choices:
            line.refuse(name, word, option.wanted, option.choices)
    values = tuple(_read(line, name, option.kind, word) for word in words)
    return values if option.repeated or option.size else values[0]


def _read(line: Line, argument: str, kind: type, word: str) -> Any:
    try:
        if kind is Path and not word:
            raise ValueError
        return kind(word)
    except ValueError:
        line.refuse(argument, word, WANTED[kind])
