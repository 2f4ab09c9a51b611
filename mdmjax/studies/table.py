"""Paragraphs and tables that show themselves, as text for a terminal or a file, and as HTML."""

import html
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from .._errors import printable

PLAIN_WIDTH = 120  # columns of a text that is not for a terminal
LEAST_ROOM = 16  # characters below which a column goes, before its text is wrapped or cut (our choice)


def shortened(text: str, room: int) -> str:
    """`text` in at most `room` characters, cut between words."""
    return text if len(text) <= room else f"{text[: room - 3].rpartition(' ')[0]} ...".strip()


@dataclass(frozen=True)
class Column:
    """A column: `key` is a key, an attribute or a place of a row, or a function of it.

    A value that is text is shown as it is, `None` and NaN as "undefined", infinities as "inf" and "-inf",
    the rest by `format`. Right: numbers, never wrapped or cut. Left: text, wrapped where it must be. Where
    there is no room, `optional` columns go, from the right, and a long list (`shorten`) ends in " ...".
    """

    heading: str
    key: str | int | Callable[[Any], Any]
    format: Callable[[Any], str] = str
    justify: Literal["left", "right"] = "right"
    optional: bool = False
    shorten: bool = False

    def cell(self, row: Any) -> str:
        """What is shown of a row."""
        key = self.key
        named = isinstance(key, str) and not isinstance(row, Mapping)
        value = getattr(row, str(key)) if named else key(row) if callable(key) else row[key]
        value = value.tolist() if hasattr(value, "tolist") else value
        if isinstance(value, str):
            return printable(value, keep="")
        if value is None or (isinstance(value, float) and math.isnan(value)):
            return "undefined"
        return str(value) if isinstance(value, float) and math.isinf(value) else self.format(value)

    def texts(self, rows: Sequence[Any]) -> list[str]:
        """The heading and what is below it."""
        return [printable(self.heading, keep=""), *map(self.cell, rows)]

    def least(self, texts: Sequence[str]) -> int:
        """Fewest characters in which these texts can be shown."""
        whole = max(map(len, texts))
        if self.shorten:
            return min(whole, LEAST_ROOM)
        if self.justify == "right":
            return whole
        return max(min(whole, LEAST_ROOM), *(len(word) for text in texts for word in text.split()), 1)


@dataclass(frozen=True)
class Table:
    """Rows under columns; `in_full` is shown where the list of a bold row was shortened or left out."""

    columns: Sequence[Column]
    rows: Sequence[Any]
    title: str = ""
    bold: Callable[[Any], bool] = lambda row: False
    in_full: str = ""

    def layout(self, width: int) -> dict[int, int]:
        """The columns shown in `width` characters (more if numbers need it), and how many each has."""
        texts = [column.texts(self.rows) for column in self.columns]
        least = {n: column.least(texts[n]) for n, column in enumerate(self.columns)}
        for weak in ("optional", "shorten"):
            for n in reversed(range(len(texts))):
                if _sum(least) > width and getattr(self.columns[n], weak):
                    del least[n]
        room, widths = max(0, width - _sum(least)), {}
        for n, own in least.items():  # those on the left grow first
            widths[n] = min(max(map(len, texts[n])), own + room)
            room -= widths[n] - own
        return widths

    def __rich_console__(self, console: Any, options: Any) -> Any:
        from rich.box import ASCII, HEAVY_HEAD
        from rich.table import Table as Grid
        from rich.text import Text

        widths = self.layout(options.max_width)
        plain = options.ascii_only or not console.is_terminal
        grid = Grid(box=ASCII if plain else HEAVY_HEAD, show_edge=False)
        columns, in_full = [], self.in_full
        for n, column in enumerate(self.columns):
            (heading, *cells), width = column.texts(self.rows), widths.get(n, 0)
            if column.shorten:
                told = (cell for cell, row in zip(cells, self.rows, strict=True) if self.bold(row))
                in_full = "" if all(len(cell) <= width for cell in told) else in_full
                cells = [shortened(cell, width) for cell in cells]
            if n in widths:
                grid.add_column(Text(heading), justify=column.justify, width=width, overflow="fold")
                columns.append(cells)
        for row, *cells in zip(self.rows, *columns, strict=True):
            grid.add_row(*map(Text, cells), style="bold" if self.bold(row) else None)
        if self.title:
            yield Text(printable(self.title))
        yield from console.render(grid, options.update(width=max(_sum(widths), options.max_width)))
        if in_full:
            yield Text(printable(f"\n{in_full}"))

    def _repr_html_(self) -> str:
        sides = [f' style="text-align: {column.justify}"' for column in self.columns]
        lines = [_tag("caption", self.title)] if self.title else []
        for n, cells in enumerate(zip(*(column.texts(self.rows) for column in self.columns), strict=True)):
            style = ' style="font-weight: bold"' if n and self.bold(self.rows[n - 1]) else ""
            tagged = (_tag("td" if n else "th", *pair) for pair in zip(cells, sides, strict=True))
            lines.append(f"<tr{style}>{''.join(tagged)}</tr>")
        return f"<table>{''.join(lines)}</table>"


Part = str | Table


def as_text(parts: Sequence[Part], stream: Any = None) -> str:
    """The parts, with blank lines, for the terminal that `stream` is; else plain and `PLAIN_WIDTH` wide."""
    from io import StringIO

    from rich.console import Console

    terminal = stream is not None and stream.isatty()
    file, width = stream or StringIO(), None if terminal else PLAIN_WIDTH
    console = Console(file=file, width=width, force_terminal=terminal, force_jupyter=False, highlight=False)
    with console.capture() as captured:  # rich would exit by itself where the reader of a pipe left
        for part in rendered(parts):
            console.print(part, crop=False)
    return captured.get()


def rendered(parts: Sequence[Part]) -> list[Any]:
    """The parts as rich takes them, with a blank line between."""
    from rich.text import Text

    shown = (Text(printable(part)) if isinstance(part, str) else part for part in parts)
    return [line for part in shown for line in (Text(), part)][1:]


def as_html(parts: Sequence[Part]) -> str:
    """The parts for a notebook, escaped, with every column and every list in full."""
    return "".join(_tag("p", part) if isinstance(part, str) else part._repr_html_() for part in parts)


def _sum(widths: Mapping[int, int]) -> int:
    """Characters of a line: each column has two of padding, and a bar before the next."""
    return sum(width + 3 for width in widths.values()) - 1


def _tag(name: str, text: str, attributes: str = "") -> str:
    return f"<{name}{attributes}>{html.escape(printable(text)).replace(chr(10), '<br>')}</{name}>"
