"""The KGAT layout: `train.txt`, `test.txt` (a user, then items), `kg_final.txt` (head, relation, tail), `*_list.txt` (whose number)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from loreweave.data.assemble import align, drop_repeats
from loreweave.data.columns import ALIASES, plain
from loreweave.data.dataset import Dataset, Interactions
from loreweave.data.graph import build_triples
from loreweave.data.lines import numbers, read_pairs, read_tokens
from loreweave.data.table import Reading, read_lines
from loreweave.data.vocabulary import Vocabulary
from loreweave.errors import DataError

PARTS = {"train": "train.txt", "valid": "valid.txt", "test": "test.txt"}
LIST_LINE = r"^(\S+)[ \t]+(\d+)(?:[ \t](.*))?$"
"""Raw id, number, and perhaps a name, which may hold spaces and commas."""
NO_NAME = ("None", "")


@dataclass(frozen=True, eq=False)
class Numbering:
    """A `*_list.txt`, or where there is none the numbers in use: frame `number` (Int64), `id` (String), `name` (String, may be null)."""

    path: Path
    frame: pl.DataFrame

    def ids(self, used: pl.DataFrame, column: str, path: Path) -> pl.Series:
        """Raw ids of a column of numbers.

        Raises:
            DataError: a number is not in the list.
        """
        found = used.select("row", number=column).join(self.frame, on="number", how="left", maintain_order="left")
        if found["id"].null_count():
            row, number, *_ = found.row(found["id"].is_null().arg_max() or 0)
            raise DataError.at(f"{number} is not in {self.path.name}", path=path, row=row, field=column)
        return found["id"]


def read(path: Path, columns: Mapping[str, str] | None = None) -> Reading:
    """A folder of the KGAT layout; all files but `train.txt` are optional.

    The raw id of a user, item, entity or relation is its `org_id` where its list is there, else its number as text; codes follow the
    numbers. What `test.txt` says is in the log too, with `part` = `test`: `split` gives it back. The layout knows no time.

    Raises:
        DataError: a line that is not numbers, a number that its list lacks, an id or a number twice in a list.
    """
    folder = path if path.is_dir() else path.parent
    if columns:
        raise DataError.at("the KGAT layout has no columns to map", path=folder)
    pieces: list[tuple[Path, str, pl.DataFrame]] = []
    idle: list[tuple[Path, pl.DataFrame]] = []
    files: dict[str, int] = {}
    notes: tuple[str, ...] = ()
    for part, name in PARTS.items():
        file = folder / name
        if part != "train" and not file.is_file():
            continue
        pairs = read_pairs(file)
        pieces.append((file, part, numbers(file, pairs.frame, ("user", "item"))))
        idle.append((file, numbers(file, pairs.empty, ("user",))))
        files[name] = pairs.lines
        notes += pairs.notes
    if not any(frame.height for _, _, frame in pieces):
        raise DataError.at("there are no interactions, only users", path=folder / "train.txt")
    everybody = [frame["user"] for _, _, frame in pieces] + [frame["user"] for _, frame in idle]
    users = _numbering(folder / "user_list.txt", pl.concat(everybody), files)
    items = _numbering(folder / "item_list.txt", pl.concat([frame["item"] for _, _, frame in pieces]), files)
    for file, frame in idle:
        users.ids(frame, "user", file)
    user_ids, item_ids = Vocabulary(users.frame["id"]), Vocabulary(items.frame["id"])
    interactions = Interactions(
        user_ids.encode(pl.concat([users.ids(frame, "user", file) for file, _, frame in pieces])),
        item_ids.encode(pl.concat([items.ids(frame, "item", file) for file, _, frame in pieces])),
        extra=pl.DataFrame({"part": pl.concat([pl.repeat(part, frame.height, dtype=pl.String, eager=True) for _, part, frame in pieces])}),
    )
    interactions, repeats = drop_repeats(interactions, folder.resolve().name)
    titles = items.frame["name"].rename("title")
    dataset = Dataset(
        user_ids,
        item_ids,
        interactions,
        folder.resolve().name,
        item_texts=None if titles.null_count() == len(titles) else titles.to_frame(),
        notes=notes + repeats,
    )
    if (folder / "kg_final.txt").is_file():
        dataset = _with_triples(dataset, folder, items, files)
    return Reading(dataset, files, {})


def _with_triples(dataset: Dataset, folder: Path, items: Numbering, files: dict[str, int]) -> Dataset:
    """The triples of `kg_final.txt`; entity numbers start with those of the items."""
    path = folder / "kg_final.txt"
    frame = read_numbers(path, ("head", "relation", "tail"))
    files[path.name] = frame.height
    relations = _numbering(folder / "relation_list.txt", frame["relation"], files)
    used = pl.concat([frame["head"], frame["tail"]])
    entities = _numbering(folder / "entity_list.txt", used, files)
    head, tail = (entities.ids(frame, name, path) for name in ("head", "tail"))
    own = items.frame.select("number").join(entities.frame, on="number", how="left", maintain_order="left")
    triples, notes = build_triples(dataset.items, own["id"], head, relations.ids(frame, "relation", path), tail, path.name)
    names = align(triples.entities, entities.frame.select("id", "name"))["name"]
    if dataset.item_texts is not None:
        titles = pl.concat([dataset.item_texts["title"], pl.repeat(None, len(names) - dataset.n_items, dtype=pl.String, eager=True)])
        names = titles.zip_with(titles.is_not_null(), names)
    named = None if names.null_count() == len(names) else names.rename("name")
    return replace(dataset, triples=replace(triples, entity_names=named), notes=dataset.notes + notes)


def read_numbers(path: Path, names: Sequence[str]) -> pl.DataFrame:
    """A file of lines that are as many whole numbers as there are `names`: `row` and those columns, Int64.

    Raises:
        DataError: a line with more or fewer fields, or something that is no whole number.
    """
    tokens, _ = read_tokens(path)
    wrong = tokens.filter(pl.col("tokens").list.len() != len(names))
    if wrong.height:
        row, fields = wrong.row(0)
        raise DataError.at(f"has {len(fields)} fields, {len(names)} are needed ({', '.join(names)})", path=path, row=row)
    fields = {name: pl.col("tokens").list.get(place) for place, name in enumerate(names)}
    return numbers(path, tokens.select("row", **fields), names)


def raw_ids(path: Path, used: pl.Series) -> pl.Series:
    """Raw ids of numbers by the list at `path`, or the numbers as text where there is no such file; null where the list lacks one.

    Raises:
        DataError: a line that is no raw id and number, an id or a number twice.
    """
    listed = _numbering(path, used, {}).frame
    return used.rename("number").to_frame().join(listed, on="number", how="left", maintain_order="left")["id"]


def _numbering(path: Path, used: pl.Series, files: dict[str, int]) -> Numbering:
    """The list at `path`, sorted by number; where there is none, the numbers in use stand for themselves."""
    if not path.is_file():
        used = used.unique().sort()
        return Numbering(
            path, pl.DataFrame({"number": used, "id": used.cast(pl.String), "name": pl.Series([None] * len(used), dtype=pl.String)})
        )
    lines = read_lines(path)
    rows = pl.DataFrame({"row": range(1, len(lines) + 1), "line": lines}).filter(pl.col("line").str.strip_chars() != "")
    if rows.is_empty():
        raise DataError.at("the file is empty", path=path)
    header = rows["line"][0].split()
    if header[:1] == ["org_id"]:
        rows = rows[1:]
    groups = rows.select("row", pl.col("line").str.extract_groups(LIST_LINE).struct.rename_fields(["id", "number", "name"])).unnest("line")
    groups = groups.with_columns(pl.col("number").cast(pl.Int64, strict=False))
    if groups["number"].null_count():
        row = groups["row"][groups["number"].is_null().arg_max() or 0]
        raise DataError.at("a line of this list is a raw id, a number and perhaps a name", path=path, row=row)
    for column in ("id", "number"):
        twice = ~groups[column].is_first_distinct()
        if twice.any():
            position = twice.arg_max() or 0
            raise DataError.at(f"{groups[column][position]!r} occurs twice", path=path, row=groups["row"][position], field=column)
    files[path.name] = groups.height
    if len(header) < 3 or plain(header[2]) not in ALIASES["title"]:
        groups = groups.with_columns(name=pl.lit(None, dtype=pl.String))
    name = pl.when(pl.col("name").str.strip_chars().is_in(NO_NAME)).then(None).otherwise(pl.col("name"))
    return Numbering(path, groups.select("number", "id", name=name).sort("number"))
