"""Help: one page for the program, for a command, and for a command with a source and a decoder."""

from collections.abc import Sequence

from ..studies.table import Column, Part, Table
from .options import PROGRAM, WANTED, Choice, Command
from .parser import HELP, Line, command_of

ABOUT = "Exact numbers and optimal unmasking schedules for masked diffusion models."


def page(words: Sequence[str], commands: Sequence[Command]) -> list[Part]:
    """What is asked for: the version, or the page of what the words name."""
    if words == ["--version"]:
        from importlib.metadata import version

        return [f"{PROGRAM} {version(PROGRAM)}"]
    words = [word for word in words if word not in HELP]
    return _command(Line(command_of(words, commands), words[1:])) if words else _program(commands)


def _program(commands: Sequence[Command]) -> list[Part]:
    examples = [example for command in commands for example in command.examples[:1]]
    return [
        f"usage: {PROGRAM} COMMAND [SOURCE] [DECODER] [options]",
        ABOUT,
        _table(("command", "what it does"), [(command.name, command.help) for command in commands]),
        f"`{PROGRAM} COMMAND --help` has sources, decoders and options; `{PROGRAM} --version` the version.",
        *_examples(examples),
    ]


def _command(line: Line) -> list[Part]:
    command = line.command
    usage, left = [PROGRAM, command.name, *(one.usage for one in command.positionals)], []
    parts: list[Part] = [command.help]
    for slot in command.slots:
        for choice in line.named(slot):
            usage.append(_usage(choice))
            parts.append(f"{choice.name}: {choice.help}")
            parts += _options(f"Of the {slot.name} {choice.name}:", choice)
        if not line.named(slot):
            usage.append(slot.usage)
            left.append(slot)
    if left:
        rows = [(slot.name, _usage(one, slot.default), one.help) for slot in left for one in slot.choices]
        parts.append(_table(("", "name", "what it is"), rows))
        parts.append(f"`{line.place()} NAME --help` has the options of one of them.")
    parts += [*_options(f"Of {command.name}, anywhere after it:", command), *_examples(command.examples)]
    return [f"usage: {' '.join(usage)} [options]", *parts]


def _usage(choice: Choice, default: str | None = None) -> str:
    words = [choice.name, *(one.usage for one in choice.positionals)]
    return " ".join([*words, "(default)"] if choice.name == default else words)


def _options(title: str, holder: Command | Choice) -> list[Part]:
    """The words and options that come with a command or a choice, if there are any."""
    rows = [
        (one.metavar, WANTED[one.kind].split()[-1], "required" if one.required else "", one.help)
        for one in holder.positionals
    ] + [
        (f"--{one.name}", one.follows, "required" if one.required else _shown(one.default), one.help)
        for one in holder.options
    ]
    return [_table(("option", "value", "default", "what it does"), rows, title)] if rows else []


def _shown(default: object) -> str:
    if isinstance(default, tuple):
        return " ".join(map(_shown, default))
    if isinstance(default, float):
        return f"{default:g}"
    return "" if default is None or isinstance(default, bool) else str(default)


def _table(headings: Sequence[str], rows: Sequence[tuple[str, ...]], title: str = "") -> Table:
    return Table([Column(heading, n, justify="left") for n, heading in enumerate(headings)], rows, title)


def _examples(examples: Sequence[tuple[str, str]]) -> list[Part]:
    lines = "\n".join(f"  {line}\n      {what}" for line, what in examples)
    return [f"Examples:\n{lines}"] if examples else []
