"""`knowledge status`, `check`, `retry`, `show`, `forget`, `export`, `import`: what a store holds, and moving it in and out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import polars as pl
import typer

from loreweave.cli import inputs, options
from loreweave.cli.output import note, one_line, print_fields, print_json, print_table
from loreweave.errors import ConfigError, DataError, UnknownId

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


def check(
    data: options.Data,
    store: StoreFile,
    format: options.Format = None,
    column: options.Column = None,
    min_value: options.MinValue = None,
    k_core: options.KCore = None,
    file_order: options.FileOrder = False,
    split: options.SplitBy = None,
    seed: options.Seed = 1,
    model: Annotated[str | None, typer.Option("--model", help="Answers of this model alone.")] = None,
    encoder: Annotated[
        str,
        typer.Option("--encoder", help="Of texts: lsa, minilm, a folder, a model on the hub or openai:MODEL. Compare rates within one."),
    ] = "lsa",
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE.html", help="The report; by default beside the store.")] = None,
    json: options.Json = False,
) -> None:
    """Check what a language model said: is it borne out by what it rests on, does it contradict the catalogue, has it the form asked for?

    Example:

        loreweave knowledge check ratings.csv k.db
    """
    from loreweave.evaluate.knowledge_report import headline, write_knowledge_report
    from loreweave.knowledge.checks import check as judge
    from loreweave.knowledge.recorded import records_of, structured, vectors_of
    from loreweave.knowledge.store import KnowledgeStore
    from loreweave.language.encoders import encoder as encoder_of

    with KnowledgeStore.open(store) as answers:
        asked = answers.frame(model=model)
    said = asked.filter(pl.col("status") == "done")
    cut = inputs.choose_split(inputs.Log(data, format, column or (), min_value, k_core, file_order).read(), split, seed, {})
    seen = {part.fingerprint: part for part in (cut.train, cut.refit)}
    ours = said.filter(pl.col("as_of").is_in(list(seen)))
    if ours.is_empty():
        raise DataError.at("holds no answers about this split of these data; give the --split that they were asked with", path=store)
    part = seen[ours["as_of"].value_counts(sort=True)["as_of"][0]]
    checked = ours.filter(pl.col("as_of") == part.fingerprint)
    if left := said.height - checked.height:
        note(f"{left} answers about another part or split are not checked")
    known = records_of(checked)
    silent = asked.filter((pl.col("as_of") == part.fingerprint) & (pl.col("status") != "done"))["status"].value_counts().sort("status")
    told = [*known.notes, *(f"{count} questions {status}, so there is nothing to check of them" for status, count in silent.iter_rows())]
    cache = vectors_of(store)
    found = judge(known, part, encoder_of(encoder, cache), notes=told)
    page = out or store.with_suffix(".html")
    clusters, models = None, checked["model"].n_unique()
    if models > 1:
        note(f"answers of {models} models: how their phrases cluster is shown for one alone, give it by --model")
    else:
        _, clusters = structured(known, part, encoder_of(encoder, cache))
    write_knowledge_report(found, page, clusters)
    if json:
        print_json(
            {"headline": headline(found), "report": str(page), "rates": found.summary.to_dicts(), "grounding": found.grounding.to_dicts()}
        )
        return
    note(*found.notes)
    print(one_line(headline(found)))
    names = found.summary.columns
    rows = [[_short(value) for value in row] for row in found.summary.iter_rows()]
    print_table(names, rows, right=[name for name, dtype in found.summary.schema.items() if dtype.is_numeric()])
    print_fields({"report": page})


def _short(value: object) -> str:
    return "" if value is None else f"{value:.4f}" if isinstance(value, float) else str(value)


def retry(
    store: StoreFile,
    task: Annotated[str | None, typer.Option("--task", help="Of this task alone.")] = None,
    json: options.Json = False,
) -> None:
    """Let `knowledge run` ask again what failed or was excluded."""
    from loreweave.knowledge.store import KnowledgeStore
    from loreweave.knowledge.tasks import task_class

    if task is not None:
        task_class(task)  # a wrong name is told, not taken for a task of which nothing failed
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
