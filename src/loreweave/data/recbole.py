"""RecBole's atomic files: tab-separated, headers like `user_id:token`; `.inter`, and beside it `.item`, `.user`, `.kg` and `.link`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl

from loreweave.data import columns as col
from loreweave.data.assemble import assemble
from loreweave.data.dataset import Dataset
from loreweave.data.graph import build_triples
from loreweave.data.table import Reading, Table, read_delimited
from loreweave.errors import DataError

KINDS = ("token", "token_seq", "float", "float_seq")
SPLIT = ("train", "valid", "test")


def read(path: Path, columns: Mapping[str, str] | None = None) -> Reading:
    """A folder of atomic files, or one `.inter` with what lies beside it under the same name.

    `token` becomes text, `token_seq` a list of texts (a title or a description: text), `float` a float64, `float_seq` a list of them.
    `name.train.inter`, `name.valid.inter`, `name.test.inter` (RecBole's benchmark files) are read as a split that came with the data.

    Raises:
        DataError: no `.inter`, several data sets in one folder, an unknown type in a header, or a field that cannot be used.
    """
    folder, name = _find(path)
    split = [(part, folder / f"{name}.{part}.inter") for part in SPLIT if (folder / f"{name}.{part}.inter").is_file()]
    if path.is_file() or not split:
        log_path = path if path.is_file() else folder / f"{name}.inter"
        log = _typed(log_path)
        files = {log_path.name: len(log)}
    else:
        parts = [(part, _typed(file)) for part, file in split]
        frames = [table.frame.with_columns(part=pl.lit(part)) for part, table in parts]
        rows = pl.concat([table.row_numbers for _, table in parts])
        for _, table in parts:
            _refuse_missing_ids(table, columns)
        try:
            log = Table(str(folder / f"{name}.*.inter"), pl.concat(frames), rows=rows, blank=sum(table.blank for _, table in parts))
        except pl.exceptions.PolarsError:
            raise DataError.at("the parts of the split have different columns", path=folder) from None
        files = {file.name: len(table) for (_, file), (_, table) in zip(split, parts, strict=True)}
    roles = col.find_log_roles(log.place, log.frame.columns, columns)
    beside = {kind: folder / f"{name}.{kind}" for kind in ("item", "user", "kg", "link")}
    tables = {kind: _typed(file) for kind, file in beside.items() if file.is_file()}
    dataset = assemble(log, roles, name=name, items=tables.get("item"), users=tables.get("user"), columns=columns)
    if "kg" in tables:
        dataset = with_triples(dataset, tables["kg"], tables.get("link"))
    files |= {beside[kind].name: len(table) for kind, table in tables.items()}
    return Reading(dataset, files, {column: role for role, column in roles.items()})


def with_triples(dataset: Dataset, graph: Table, link: Table | None) -> Dataset:
    """The dataset with the triples of a `.kg` file. An item that `.link` ties to an entity is that entity; its code is the item's.

    Links of items that occur nowhere else are left out and counted, as are later links of an item or an entity that has one.

    Raises:
        DataError: fewer than three columns in the `.kg` or two in the `.link`, or an id is missing.
    """
    head, relation, tail = (col.ids(graph, name).cast(pl.String) for name in _first(graph, 3, ("head", "relation", "tail")))
    entity = pl.Series("entity", [None] * dataset.n_items, dtype=pl.String)
    notes = graph.notes()
    if link is not None:
        item, linked = (col.ids(link, name).cast(pl.String) for name in _first(link, 2, ("item", "entity")))
        code = dataset.items.encode(item)
        table = pl.DataFrame({"code": code, "entity": linked})
        known = table.filter(pl.col("code") >= 0)
        first = known.unique("code", keep="first", maintain_order=True).unique("entity", keep="first", maintain_order=True)
        aligned = pl.DataFrame({"code": np.arange(dataset.n_items, dtype=np.int32)}).join(
            first, on="code", how="left", maintain_order="left"
        )
        entity = aligned["entity"]
        notes += link.notes()
        if known.height < table.height:
            notes += (f"{link.file}: {table.height - known.height} links of items that occur nowhere else; left out",)
        if first.height < known.height:
            notes += (f"{link.file}: {known.height - first.height} links repeat an item or an entity; the first was kept",)
    triples, more = build_triples(dataset.items, entity, head, relation, tail, graph.file)
    return replace(dataset, triples=triples, notes=dataset.notes + notes + more)


def _typed(path: Path) -> Table:
    """A table whose header names a type for each column; the columns typed so, the types taken off the names."""
    table = read_delimited(path, "\t", lambda names: {name: pl.Float64() for name in names if name.endswith(":float")}, quote=None)
    kinds: dict[str, str] = {}
    for header in table.frame.columns:
        name, _, kind = header.partition(":")
        if kind not in KINDS or name in kinds:
            problem = f"{header!r} is no header of an atomic file; write each as name:type, type one of {', '.join(KINDS)}"
            raise DataError.at(problem, path=path, row=1)
        kinds[name] = kind
    table = replace(table, frame=table.frame.rename(dict(zip(table.frame.columns, kinds, strict=True))))
    for name, kind in kinds.items():
        column = table.frame[name]
        if kind == "float" and column.dtype == pl.String:
            parsed = column.str.strip_chars().cast(pl.Float64, strict=False)
            table.refuse(parsed.is_null() & column.is_not_null(), name, lambda value: f"not a number: {value!r}")
            column = parsed
        elif kind.endswith("_seq") and not _is_prose(name):
            column = column.str.split(" ").list.eval(pl.element().filter(pl.element() != ""))
            if kind == "float_seq":
                numbers = column.cast(pl.List(pl.Float64), strict=False)
                table.refuse(numbers.list.eval(pl.element().is_null()).list.any(), name, lambda value: f"not numbers: {value!r}")
                column = numbers
        table = replace(table, frame=table.frame.with_columns(column.alias(name)))
    return table


def _is_prose(name: str) -> bool:
    return col.plain(name) in (*col.ALIASES["title"], *col.TEXTS)


def _refuse_missing_ids(table: Table, columns: Mapping[str, str] | None) -> None:
    """Once the parts of a split stand in one table, an error can no longer name the file."""
    roles = col.find_log_roles(table.place, table.frame.columns, columns)
    for role in ("user", "item"):
        col.ids(table, roles[role])


def _first(table: Table, n: int, what: tuple[str, ...]) -> list[str]:
    if table.frame.width < n:
        raise DataError.at(f"has {table.frame.width} columns, {n} are needed ({', '.join(what)})", path=table.place, row=1)
    return table.frame.columns[:n]


def _find(path: Path) -> tuple[Path, str]:
    if path.is_file():
        return path.parent, _base(path.name)
    names = sorted({_base(file.name) for file in path.glob("*.inter")})
    if len(names) != 1:
        found = f"several data sets: {', '.join(names)}; give one of the .inter files" if names else "there is no .inter file"
        raise DataError.at(found, path=path)
    return path, names[0]


def _base(name: str) -> str:
    stem = name.removesuffix(".inter")
    return stem.rsplit(".", 1)[0] if stem.rsplit(".", 1)[-1] in SPLIT else stem
