"""`knowledge status`, `retry`, `show`, `forget`, `export`, `import`: what a store holds, and moving it in and out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from loreweave.cli import options
from loreweave.cli.output import note, print_fields, print_json, print_table
from loreweave.errors import ConfigError, UnknownId

StoreFile = Annotated[Path, typer.Argument(metavar="FILE.db", help="A store that `knowledge run` wrote.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def status(store: StoreFile, json: options.Json = False) -> None:
    """What a store holds: answers by task, model and outcome, what they cost, and why some failed."""
    from loreweave.knowledge.store import KnowledgeStore

    with KnowledgeStore.open(store) as answers:
        found = answers.summary()
    if json:
        print_json({"store": str(store), "answers": found.to_dicts()})
        return
    rows = [
        (
            f"{row['task']} {row['version']}",
            row["model"],
            row["as_of"],
            row["status"],
            f"{row['rows']:,}",
            f"{row['tokens_in'] + row['tokens_out']:,}",
            "unknown" if row["price"] is None else f"{row['price']:.4f}" + (" and more" if row["unpriced"] else ""),
            row["reason"] or "",
        )
        for row in found.iter_rows(named=True)
    ]
    print_table(
        ("task", "model", "rests on", "status", "answers", "tokens", "USD", "first reason"), rows, right=("answers", "tokens", "USD")
    )


def retry(
    store: StoreFile,
    task: Annotated[str | None, typer.Option("--task", help="Of this task alone.")] = None,
    json: options.Json = False,
) -> None:
    """Let `knowledge run` ask again what failed or was excluded."""
    from loreweave.knowledge.store import KnowledgeStore

    with KnowledgeStore.open(store) as answers:
        count = answers.requeue(task=task)
    if json:
        print_json({"store": str(store), "to_ask_again": count})
        return
    print_fields({"to ask again": f"{count:,}", "now": "give the same `loreweave knowledge run` again" if count else "nothing to do"})


def show(
    store: StoreFile,
    user: Annotated[str, typer.Argument(metavar="USER", help="A raw user id.")],
    json: options.Json = False,
) -> None:
    """Everything a store holds about one user."""
    from loreweave.knowledge.store import KnowledgeStore

    with KnowledgeStore.open(store) as answers:
        found = answers.frame(user=user)
    if found.is_empty():
        raise UnknownId(f"{store} holds nothing about {user!r}")
    if json:
        print_json({"user": user, "answers": found.to_dicts()})
        return
    rows = [
        (row["task"], row["model"], row["status"], row["item"] or "", row["text"] or row["reason"] or "", ", ".join(row["checks"]))
        for row in found.iter_rows(named=True)
    ]
    print_table(("task", "model", "status", "item", "answer", "problems"), rows)


def forget(store: StoreFile, user: Annotated[str, typer.Argument(metavar="USER", help="A raw user id.")], yes: Yes = False) -> None:
    """Remove everything a store holds about one user, from the file's free pages too. Models fitted before keep what they learnt."""
    from loreweave.knowledge.store import KnowledgeStore

    if not yes:
        typer.confirm(f"remove everything about {user!r} from {store}?", abort=True, err=True)
    with KnowledgeStore.open(store) as answers:
        count = answers.forget(user)
    if not count:
        raise UnknownId(f"{store} holds nothing about {user!r}")
    print_fields({"forgotten": user, "answers removed": f"{count:,}"})


def export(
    store: StoreFile,
    out: Annotated[Path, typer.Argument(metavar="OUT", help="A .jsonl or .parquet file.")],
    records: Annotated[
        bool, typer.Option("--records", help="Records as models take them (interests as phrases), in place of the answers as stored.")
    ] = False,
    model: Annotated[str | None, typer.Option("--model", help="Answers of this model alone.")] = None,
    json: options.Json = False,
) -> None:
    """Write a store's answers, or the records they become, to a file that `knowledge import` and `--knowledge` read.

    Example:

        loreweave knowledge export k.db records.parquet --records --model gpt-4o-mini
    """
    from loreweave.knowledge.exchange import export_answers, export_records
    from loreweave.knowledge.recorded import records_of
    from loreweave.knowledge.store import KnowledgeStore

    if out.suffix not in (".jsonl", ".parquet"):
        raise ConfigError(f"{out}: name a .jsonl or a .parquet file")
    if model is not None and not records:
        raise ConfigError("--model goes with --records; answers are exported whole")
    with KnowledgeStore.open(store) as answers:
        if records:
            known = records_of(answers.frame(status="done", model=model))
            note(*known.notes)
            count = export_records(known, out)
        else:
            count = export_answers(answers, out)
    if json:
        print_json({"file": str(out), "rows": count})
        return
    print_fields({"written": out, "rows": f"{count:,}"})


def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What another program wrote.")],
    out: Annotated[Path, typer.Option("--out", metavar="WHERE", help="A store (.db) for exported answers, else a folder of knowledge.")],
    format: Annotated[str | None, typer.Option("--format", help="Name the format where it is not to be detected.")] = None,
    model: Annotated[str | None, typer.Option("--model", help="Whose texts, where a file has several models'.")] = None,
    json: options.Json = False,
) -> None:
    """Read published or exported knowledge: records, CIKGRec's interests, RLMRec, CoLaKG, XRec, Agent4Rec, texts of films and profiles.

    A folder of knowledge is then given as `--knowledge FOLDER`; what is undated loads with `--undated` alone.

    Example:

        loreweave knowledge import texts.jsonl --model deepseek-chat --out knowledge/deepseek
    """
    from loreweave.knowledge import save
    from loreweave.knowledge.exchange import import_answers, read_exchange
    from loreweave.knowledge.store import KnowledgeStore

    if out.suffix == ".db":
        with KnowledgeStore.open(out, create=True) as answers:
            taken, known = import_answers(answers, file)
        told = {"store": str(out), "answers": taken, "there already": known}
    else:
        found = read_exchange(file, format, model=model)
        note(*found.notes)
        save(found, out)
        told = {"folder": str(out), "records": len(found)}
    if json:
        print_json(told)
        return
    print_fields(told)
