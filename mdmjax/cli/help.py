"""Help: one page for the program, for a command, and for a command with a source and a decoder."""

from collections.abc import Sequence

from ..studies.table import Column, Part, Table
from .options import METAVARS, PROGRAM, Choice, Command
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
    return [
        f"usage: {PROGRAM} COMMAND [SOURCE] [DECODER] [options]",
        ABOUT,
        _table(("command", "what it does"), [(command.name, command.help) for command in commands]),
        f"`{PROGRAM} COMMAND --help` has sources, decoders and options; `{PROGRAM} --version` the version.",
        *_examples([example for command in commands for example in command.examples[:1]]),
    ]


def _command(line: Line) -> list[Part]:
    command, left = line.command, []
    usage, parts = _usage(command), list[Part]([command.help])
    for slot in command.slots:
        if not (named := line.named(slot)):
            usage.append(_word(slot.name.upper(), slot.default is None))
            for one in slot.choices:
                name = " ".join(_usage(one) + ["(default)"] * (one.name == slot.default))
                left.append((slot.name, name, one.help))
        for choice in named:
            usage += _usage(choice)
            options = _options(f"Of the {slot.name} {choice.name}:", choice)
            parts += [f"{choice.name}: {choice.help}", *options]
    if left:
        parts.append(_table(("", "name", "what it is"), left))
        parts.append(f"`{line.place()} NAME --help` has the options of one of them.")
    parts += [*_options(f"Of {command.name}, anywhere after it:", command), *_examples(command.examples)]
    return [f"usage: {PROGRAM} {' '.join(usage)} [options]", *parts]


def _usage(holder: Command | Choice) -> list[str]:
    words = (one.metavar + " ..." * one.many for one in holder.positionals)
    return [holder.name, *map(_word, words, (one.required for one in holder.positionals))]


def _word(name: str, required: bool) -> str:
    return name if required else f"[{name}]"


def _options(title: str, holder: Command | Choice) -> list[Part]:
    """The words and options that come with a command or a choice, if there are any."""
    rows = [
        (one.metavar, METAVARS[one.kind].lower(), "required" * one.required, one.help)
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
