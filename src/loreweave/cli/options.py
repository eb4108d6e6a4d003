"""The options that several commands share, each with its help, and how their text is read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from loreweave.config import read_toml
from loreweave.errors import ConfigError

T = TypeVar("T")

DATA, LEARNING, OUTPUT = "Data", "Learning", "Output"
"""Panels of the help page."""
SPLITS = ("given", "leave_last_out", "global_time", "ratio", "cold_items")


def numbers(text: str | Iterable[str], kind: Callable[[str], T], option: str) -> tuple[T, ...]:
    """`"20,50"` or `["20", "50,100"]` to numbers.

    Raises:
        ConfigError: a part is no number, or there is none.
    """
    parts = [part.strip() for piece in ([text] if isinstance(text, str) else text) for part in piece.split(",")]
    try:
        values = tuple(kind(part) for part in parts if part)
    except ValueError:
        raise ConfigError(f"{option}: expected numbers with commas between them, got {','.join(parts)!r}") from None
    if not values:
        raise ConfigError(f"{option}: expected at least one number")
    return values


def cutoffs(text: Iterable[str]) -> tuple[int, ...]:
    """The k of `-k`.

    Raises:
        ConfigError: not a whole number above 0.
    """
    values = numbers(text, int, "-k")
    if min(values) < 1:
        raise ConfigError(f"-k: k must be at least 1, got {min(values)}")
    return tuple(sorted(set(values)))


def seeds(text: str) -> tuple[int, ...]:
    """`"3"` to (1, 2, 3); a list with commas as it stands (`"7,"` is seed 7 alone).

    Raises:
        ConfigError: not numbers, or a count below 1.
    """
    values = numbers(text, int, "--seeds")
    if "," in text:
        if min(values) < 0 or len(set(values)) < len(values):
            raise ConfigError(f"--seeds: expected different seeds from 0 up, got {text!r}")
        return values
    if values[0] < 1:
        raise ConfigError(f"--seeds: expected a count of at least 1, got {text!r}")
    return tuple(range(1, values[0] + 1))


def columns(text: Iterable[str]) -> dict[str, str] | None:
    """`["user=userId"]` to `{"user": "userId"}`.

    Raises:
        ConfigError: no `=`, or a role twice.
    """
    mapping: dict[str, str] = {}
    for assignment in text:
        role, equals, name = assignment.partition("=")
        if not equals or not role.strip() or not name.strip():
            raise ConfigError(f"--column {assignment!r}: write it as role=name, for example user=userId")
        if role.strip() in mapping:
            raise ConfigError(f"--column: the role {role.strip()!r} is given twice")
        mapping[role.strip()] = name.strip()
    return mapping or None


def _read_config(context: typer.Context, path: Path | None) -> Path | None:
    """Lay the file's table named after the command under its options; the other tables are settings of models."""
    if path is None:
        return None
    tables = read_toml(path)
    command = context.info_name or ""
    known = {(parameter.name or "").rstrip("_"): parameter for parameter in context.command.params}
    defaults: dict[str, Any] = {}
    table = tables.get(command, {})
    if not isinstance(table, Mapping):
        raise ConfigError(f"{path}: {command!r} is a table of options: write [{command}] and a line for each")
    for key, value in table.items():
        parameter = known.get(key.replace("-", "_"))
        if parameter is None or parameter.name in ("config", "json"):
            raise ConfigError(f"{path}: [{command}] has no option {key!r}")
        if isinstance(value, list) and not getattr(parameter, "multiple", False):
            value = "".join(f"{part}," for part in value)  # one alone too is a list: `seeds = [7]` is no count
        elif isinstance(value, list):
            value = [str(part) for part in value]
        defaults[str(parameter.name)] = value
    context.default_map = defaults
    return path


Data = Annotated[
    Path, typer.Argument(metavar="DATA", help="A file or a folder with the log; `loreweave inspect DATA` says what is seen in it.")
]
Model = Annotated[
    Path, typer.Argument(metavar="MODEL", help="A folder that `fit` or `compare` wrote, for example runs/dbbook/cikg-linear.")
]
Format = Annotated[
    str | None,
    typer.Option("--format", rich_help_panel=DATA, help="Name the format where it is not to be detected: see `loreweave inspect`."),
]
Column = Annotated[
    list[str] | None,
    typer.Option(
        "--column", metavar="ROLE=NAME", rich_help_panel=DATA, help="Which column holds the user, item, value or time; repeat it."
    ),
]
MinValue = Annotated[
    float | None, typer.Option("--min-value", rich_help_panel=DATA, help="Keep interactions of at least this value (a rating of 4, say).")
]
KCore = Annotated[
    int | None,
    typer.Option(
        "--k-core", min=1, rich_help_panel=DATA, help="Drop users and items with fewer interactions than this, until none is left."
    ),
]
FileOrder = Annotated[
    bool,
    typer.Option(
        "--file-order",
        rich_help_panel=DATA,
        help="The rows lie in the order in which they happened, though no column says so (a log with neither time nor order).",
    ),
]
SplitBy = Annotated[
    str | None,
    typer.Option(
        "--split",
        metavar="HOW",
        rich_help_panel=DATA,
        help=f"How to hold a test part out: {', '.join(SPLITS)}. By default the split that came with the data, else each user's last "
        "items, else a random fifth.",
    ),
]
Seeds = Annotated[str, typer.Option("--seeds", rich_help_panel=LEARNING, help="How many seeds (3: seeds 1, 2, 3), or a list with commas.")]
Cuts = Annotated[
    list[str] | None,
    typer.Option("-k", rich_help_panel=OUTPUT, help="Cut-offs, with commas or repeated.  [default: 20,50,100]"),
]
Negatives = Annotated[
    int,
    typer.Option("--negatives", min=0, rich_help_panel=OUTPUT, help="Rank held-out items also among so many random ones (papers: 100)."),
]
Metric = Annotated[
    str, typer.Option("--metric", rich_help_panel=LEARNING, help="What settings are chosen by, and what the tests are about.")
]
Tune = Annotated[
    bool, typer.Option("--tune/--no-tune", rich_help_panel=LEARNING, help="Choose settings on validation, or take the defaults.")
]
Seed = Annotated[int, typer.Option("--seed", min=0, rich_help_panel=LEARNING, help="Of the split's draws and the model's.")]
KnowledgeFrom = Annotated[
    str,
    typer.Option(
        "--knowledge",
        metavar="SOURCE",
        rich_help_panel=LEARNING,
        help="Where the knowledge comes from: beside (what lies with the data), a folder, a table of records or texts (--set "
        "knowledge.model), a store (.db) that `knowledge run` wrote (--set knowledge.model, knowledge.encoder, knowledge.interests), "
        "statistical (interests over texts, attributes and triples, no language model), none, or auto: of what the models learn from, what "
        "lies beside the data, else interests by statistics and texts about items by template.",
    ),
]
With = Annotated[
    list[str] | None,
    typer.Option(
        "--with",
        metavar="NAME",
        rich_help_panel=LEARNING,
        help="Further knowledge, with commas or repeated: user_profiles (a table of texts about users beside the data, whose date is not "
        "known, so that they may have seen the test part), user_templates (texts about users by template), user_templates_early (the same "
        "of the older half of each history).",
    ),
]
Undated = Annotated[
    bool,
    typer.Option(
        "--undated", rich_help_panel=LEARNING, help="Accept recorded knowledge that may have seen the test part; the report says so."
    ),
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", rich_help_panel=LEARNING, help="A setting, for example cikg-linear.l2=50; repeat it."),
]
ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE.toml",
        is_eager=True,
        callback=_read_config,
        rich_help_panel=LEARNING,
        help="Settings from a file: a table a model, and one named after the command for its options. --set and options come before it.",
    ),
]
Taken = Annotated[
    bool,
    typer.Option(
        "--resume",
        rich_help_panel=LEARNING,
        help="Insist that --out holds a comparison to go on with. What is finished there under the same data and settings is never done "
        "again.",
    ),
]
Resume = Annotated[bool, typer.Option("--resume", rich_help_panel=LEARNING, help="Go on where a run that was stopped left off.")]
Json = Annotated[
    bool, typer.Option("--json", rich_help_panel=OUTPUT, help="Print one JSON object; notes and progress stay on standard error.")
]
