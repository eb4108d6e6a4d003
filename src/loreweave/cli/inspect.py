"""`inspect`: what the readers see in a file or folder, before anything is learnt from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from loreweave.cli import options
from loreweave.cli.output import note, one_line, print_json


def inspect(data: options.Data, format: options.Format = None, column: options.Column = None, json: options.Json = False) -> None:
    """Say what is seen in a file or folder: format, files, columns, users, items, time span, what was skipped.

    Examples:

        loreweave inspect ratings.csv

        loreweave inspect log.parquet --column user=customer --column item=sku --json
    """
    from loreweave.data import inspect as look

    seen = look(data, format=format, columns=options.columns(column or ()))
    if json:
        print_json(seen)
        return
    notes = seen.pop("notes", ())
    for name, value in seen.items():
        _print(name.replace("_", " "), value)
    note(*notes)


def _print(name: str, value: Any, indent: str = "") -> None:
    label = indent + name
    if isinstance(value, Mapping) and value:
        print(label)
        for inner, part in value.items():
            _print(one_line(str(inner)), part, indent + "  ")
    elif isinstance(value, list | tuple | Mapping):
        if any(isinstance(part, Mapping) for part in value):
            print(label)
            for part in value:
                print(f"{indent}  - {one_line(', '.join(f'{key} {inner}' for key, inner in part.items()))}")
        else:
            print(f"{label:<20} {one_line(', '.join(str(part) for part in value)) or 'none'}")
    else:
        shown = f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else "none" if value is None else str(value)
        print(f"{label:<20} {one_line(shown)}")
