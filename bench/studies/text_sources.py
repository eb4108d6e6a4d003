"""What are interests worth that rest on genres, on titles, on film texts by two language models, or on half of a history?

    python bench/studies/text_sources.py [--out runs/sources] [--only ml-latest-small|ml-1m|halves|dbbook2014|book-crossing]

Needs $LOREWEAVE_DATA. Every source gives interests by the same log-odds (`Statistical`), so what differs is what it reads; every arm runs
the same model (cikg-linear, settings chosen on validation for real and none apart) on the same split, and is held against no knowledge
and against its own interests shuffled between people. Films: ml-latest-small and ml-1m, the films that both models wrote about, each text
cut to as many words as the shorter of the two, leave-last-out. Half histories: everybody's films cut in two halves at random, interests
from the one half, tested on the other, against interests that rest on the tested half too: what a source gains by having seen the answer.
Books:
dbbook2014 and book-crossing, the published split, interests from titles beside the recorded ones (which rest on train and validation), and
from titles and triples where there are triples; one seed, since a seed draws the validation part alone there.
What is finished is kept in --out. Prints tables and one JSON line.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from loreweave import data, knowledge
from loreweave.data import Dataset, k_core
from loreweave.evaluate import compare
from loreweave.evaluate.statistics import holm, paired_bootstrap
from loreweave.knowledge import Knowledge, Statistical
from loreweave.knowledge.exchange import read_exchange

MODEL, METRIC = "cikg-linear", "ndcg@20"
WRITERS = ("deepseek-chat", "gpt-3.5-turbo")
FIXED = {"book-crossing": {"triple_weight": 5.0, "l2": 50.0}}
"""Defaults kept where a fit takes ten seconds; the weight of the interests alone is chosen."""
FILMS = ("ml-latest-small", "ml-1m")


class Reading:
    """The statistical source, shown a view of the data in place of the whole."""

    name = "statistical"

    def __init__(self, view: Callable[[Dataset], Dataset], recorded: Knowledge | None = None) -> None:
        self.view, self.recorded = view, recorded

    def infer(self, dataset: Dataset) -> Knowledge:
        found = Statistical().infer(self.view(dataset))
        dated = replace(found, records=found.records.with_columns(as_of=pl.lit(dataset.fingerprint)))
        return dated if self.recorded is None else self.recorded.merged(dated)


def titles_alone(dataset: Dataset) -> Dataset:
    """Without attributes, triples and any text but the title."""
    texts = None if dataset.item_texts is None else dataset.item_texts.select("title")
    return replace(dataset, item_features=None, triples=None, item_texts=texts)


def genres_alone(dataset: Dataset) -> Dataset:
    return replace(dataset, item_texts=None)


def half_of(dataset: Dataset) -> Dataset:
    """A random half of everybody's items, at least one. An interest inferred from it rests on no item of the other half, so its weight is
    learnt on items that did not give rise to it; the price is half of the evidence."""
    log, rng = dataset.interactions, np.random.default_rng(1)
    order = np.lexsort((rng.random(len(log)), log.user))
    user = log.user[order]
    place = np.arange(len(log)) - np.searchsorted(user, user)
    kept = np.zeros(len(log), dtype=bool)
    kept[order] = place < (np.bincount(log.user, minlength=dataset.n_users)[user] + 1) // 2
    return dataset.with_interactions(log.take(kept))


def films(root: Path, log: str) -> tuple[Dataset, dict[str, Callable[[Dataset], Dataset]]]:
    """A MovieLens log on the films that both writers wrote about, and the views of it."""
    texts = (read_exchange(root / "movielens-texts/texts.jsonl", model=name).records for name in WRITERS)
    first, second = (written.select("item", pl.col("text").alias(name)) for name, written in zip(WRITERS, texts, strict=True))
    wide = first.join(second, on="item")
    dataset = data.read(root / log)
    raw = pl.Series("item", dataset.items.ids.cast(pl.String))
    covered = raw.is_in(wide["item"].implode()).to_numpy()
    dataset = k_core(dataset.with_interactions(dataset.interactions.take(covered[dataset.interactions.item])), 1)
    raw = pl.Series("item", dataset.items.ids.cast(pl.String))
    words = wide.with_columns(pl.col(name).str.split(" ") for name in WRITERS)
    words = words.with_columns(least=pl.min_horizontal(pl.col(name).list.len() for name in WRITERS))
    cut = words.select("item", *(pl.col(name).list.head("least").list.join(" ") for name in WRITERS))
    views: dict[str, Callable[[Dataset], Dataset]] = {
        "genres": genres_alone,
        "titles": titles_alone,
        "titles and genres": lambda shown: shown,
    }
    for frame, suffix in ((cut, ""), (wide, ", whole")):
        aligned = raw.to_frame().join(frame, on="item", how="left", maintain_order="left")
        for name in WRITERS if not suffix else WRITERS[:1]:
            texts = aligned.select(text=pl.col(name))
            views[name + suffix] = lambda shown, texts=texts: replace(shown, item_features=None, item_texts=texts)
    views["titles and genres, half of the history"] = half_of
    return dataset, views


def compared(
    dataset: Dataset, source: Any, out: Path, how: str, seeds: tuple[int, ...], fixed: dict[str, float] | None = None, **options: float
) -> tuple[dict[str, Any], dict[str, pl.DataFrame]]:
    """The result of a comparison, and each user's metric by arm, averaged over seeds."""
    result = compare(dataset, [MODEL], out, knowledge=source, how=how, seeds=seeds, settings={MODEL: fixed or {}}, **options)
    cells = [json.loads(path.read_text()) | {"path": path} for path in (out / "cells").glob("*.json")]
    arms = {}
    for arm in ("real", "none", "shuffled"):
        own = [cell for cell in cells if cell["knowledge"] == arm]
        if sorted(cell["seed"] for cell in own) != sorted(seeds):
            raise SystemExit(f"{out} holds cells of another run; give a fresh --out")
        users = [pl.read_parquet(cell["path"].with_suffix(".parquet")).select("user", METRIC) for cell in own]
        arms[arm] = pl.concat(users).group_by("user").agg(pl.col(METRIC).mean()).sort("user")
    return result, arms


def row_of(source: str, result: dict[str, Any], arms: dict[str, pl.DataFrame]) -> dict[str, Any]:
    tests = {test["worse"] if test["expected"] else test["better"]: test for test in result["tests"]}
    row: dict[str, Any] = {"source": source, **{arm: round(frame[METRIC].mean(), 4) for arm, frame in arms.items()}}
    for control in ("none", "shuffled"):
        test = tests[f"{MODEL} {control}"]
        sign = 1 if test["expected"] else -1
        row[f"real − {control}"] = [round(sign * test["difference"], 4), *sorted(round(sign * end, 4) for end in test["ci"])]
        row[f"p {control}"] = test["p_holm"]
    row["interests"] = result["protocol"]["knowledge"]["interests"]
    return row


def between(pairs: list[tuple[str, str]], arms: dict[str, dict[str, pl.DataFrame]]) -> list[dict[str, Any]]:
    """Paired tests between the real arms of two sources, Holm over these."""
    found = []
    for left, right in pairs:
        joined = arms[left]["real"].join(arms[right]["real"], on="user", suffix="_right")
        difference = (joined[METRIC] - joined[f"{METRIC}_right"]).to_numpy()
        (test,) = paired_bootstrap(difference)
        found.append(
            {"sources": f"{left} − {right}", "difference": round(test.difference, 4), "ci": [round(end, 4) for end in test.ci], "p": test.p}
        )
    for test, adjusted in zip(found, holm([test["p"] for test in found]), strict=True):
        test["p_holm"] = adjusted
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/sources"))
    parser.add_argument("--only", choices=(*FILMS, "halves", "dbbook2014", "book-crossing"))
    arguments = parser.parse_args()
    if "LOREWEAVE_DATA" not in os.environ:
        raise SystemExit("set LOREWEAVE_DATA to the folder that holds the data sets")
    root = Path(os.environ["LOREWEAVE_DATA"])
    told: dict[str, Any] = {"bench": "text_sources", "metric": METRIC}
    for log in FILMS:
        if arguments.only not in (None, log):
            continue
        dataset, views = films(root, log)
        rows, arms = [], {}
        for name, view in views.items():
            result, arms[name] = compared(dataset, Reading(view), arguments.out / f"{log}, {name}", "leave_last_out", (1,))
            rows.append(row_of(name, result, arms[name]))
        pairs = [WRITERS, (WRITERS[0], "genres"), (WRITERS[1], "genres"), ("titles and genres, half of the history", "titles and genres")]
        told[log] = {"rows": rows, "between": between(pairs, arms)}
        show(log, told[log])
    if arguments.only in (None, "halves"):
        whole, _ = films(root, FILMS[0])
        clean, leaky = "the half trained on", "both halves, the tested one too"
        shown: dict[str, Callable[[Dataset], Dataset]] = {clean: lambda half: half, leaky: lambda half: whole}
        rows, arms = [], {}
        for name, view in shown.items():
            result, arms[name] = compared(whole, Reading(view), arguments.out / f"halves, {name}", "ratio", (1, 2, 3), test=0.5)
            rows.append(row_of(name, result, arms[name]))
        told["halves"] = {"rows": rows, "between": between([(leaky, clean)], arms)}
        show("ml-latest-small, halves", told["halves"])
    for name in ("dbbook2014", "book-crossing"):
        if arguments.only not in (None, name):
            continue
        dataset = data.read(root / name)
        recorded = knowledge.read(root / name, dataset)
        sources: dict[str, Any] = {
            "recorded": recorded,
            "titles": Reading(titles_alone),
            "recorded and titles": Reading(titles_alone, recorded),
        }
        if dataset.triples is not None:
            sources |= {
                "titles and triples": Reading(lambda seen: seen),
                "recorded, titles and triples": Reading(lambda seen: seen, recorded),
            }
        rows, arms = [], {}
        for source, given in sources.items():
            result, arms[source] = compared(dataset, given, arguments.out / f"{name}, {source}", "given", (1,), FIXED.get(name))
            rows.append(row_of(source, result, arms[source]))
        pairs = [(source, "recorded") for source in sources if source != "recorded"]
        told[name] = {"rows": rows, "between": between(pairs, arms)}
        show(name, told[name])
    print(json.dumps(told, ensure_ascii=False))


def show(name: str, found: dict[str, Any]) -> None:
    print(f"\n{name}: {METRIC} of {MODEL}")
    for row in found["rows"]:
        print(
            f"{row['source']:40} real {row['real']:.4f}  none {row['none']:.4f}  shuffled {row['shuffled']:.4f}  "
            f"real − none {row['real − none']}  real − shuffled {row['real − shuffled']}  {row['interests']} interests"
        )
    for test in found["between"]:
        print(f"{test['sources']:60} {test['difference']:+.4f} {test['ci']}  Holm p {test['p_holm']:.4f}")


if __name__ == "__main__":
    main()
