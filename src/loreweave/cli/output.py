"""What commands print: tables for people, one JSON object for programs, notes on standard error. Ids and titles are untrusted text."""

from __future__ import annotations

import json
import sys
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

LONGEST_NAME = 120
"""Characters of a title or a reason in a table; JSON has all of it."""
PIPE_WIDTH = 160
"""Columns of a table that is not printed to a terminal."""
_DIRECTION = dict.fromkeys([*range(0x202A, 0x202F), *range(0x2066, 0x206A)], "\ufffd")


def clean(text: str) -> str:
    """`text` without what could steer a terminal: control characters, lone surrogates and marks that turn the direction of writing."""
    if text.isascii() and text.isprintable():
        return text
    safe = "".join("\ufffd" if unicodedata.category(letter) in ("Cc", "Cs") else letter for letter in text)
    return safe.translate(_DIRECTION)


def one_line(text: str) -> str:
    """`text` cleaned, its line breaks turned into spaces."""
    return clean(" ".join(text.split()))


def brief(text: str) -> str:
    """`text` for the cell of a table: in one line, cut where it is longer than any name (a catalogue may hold a whole page as a title)."""
    text = one_line(text)
    return text if len(text) <= LONGEST_NAME else text[: LONGEST_NAME - 1] + "…"


def plain(value: Any) -> Any:
    """`value` with numpy and Polars scalars, tuples and paths turned into what JSON has; NaN and infinities become null."""
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, str | bool | int) or value is None:
        return value
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, float):
        return value if abs(value) < float("inf") else None
    if isinstance(value, Iterable):
        return [plain(inner) for inner in value]
    return str(value)


def print_json(value: Mapping[str, Any]) -> None:
    """One object on standard output, in ASCII, so that no terminal, pipe or locale can hurt it."""
    print(json.dumps(plain(value), indent=2))


def note(*lines: str) -> None:
    """Notes on standard error."""
    for line in lines:
        print(f"note: {one_line(line)}", file=sys.stderr)


def console() -> Console:
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else PIPE_WIDTH, highlight=False, markup=False, emoji=False)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, title: str = "", right: Iterable[str] = ()) -> None:
    """A table on standard output; columns named in `right` are aligned to the right."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    numbers = set(right)
    if title:
        print(one_line(title))
    table = Table(box=box.SIMPLE_HEAD)
    for name in columns:
        table.add_column(Text(clean(name)), justify="right" if name in numbers else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(one_line(str(cell))) for cell in row))
    console().print(table)


def print_fields(fields: Mapping[str, Any]) -> None:
    """Name and value, a line each."""
    width = max((len(name) for name in fields), default=0)
    for name, value in fields.items():
        print(f"{name:<{width}}  {one_line(str(value))}")
