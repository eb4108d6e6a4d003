"""Held-out items that nobody met in training: how often does the text alone bring them up?

    python bench/studies/unmet_items.py [--data amazon-fashion] [--encoder lsa]

Needs $LOREWEAVE_DATA. Leave-last-out, the validation part; test is not looked at. For everybody, all items but their own are ranked by the
largest cosine between an item's text and one of their history's; nothing is trained. Beside the texts that lie with the data stand three
shuffles of them. Prints the hit rate at 10, ties against the ranking, apart for held-out items that somebody met in train and that nobody
did, and one JSON line.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from loreweave import data
from loreweave.files import cache_folder
from loreweave.knowledge.records import Knowledge
from loreweave.knowledge.templates import item_texts
from loreweave.language.encoders import encoder
from loreweave.learn.sequences import Sequences

K = 10
SHUFFLES = (1, 2, 3)


def ranks(vectors: NDArray[np.float32], histories: Sequences, users: NDArray[np.int32], targets: NDArray[np.int32]) -> NDArray[np.int64]:
    """Place of each user's target, int64 [n], from 1."""
    found = np.zeros(len(users), dtype=np.int64)
    for row, (user, target) in enumerate(zip(users, targets, strict=True)):
        own = histories.items[histories.indptr[user] : histories.indptr[user + 1]]
        scores = (vectors @ vectors[own].T).max(axis=1, initial=-1.0)
        scores[own] = -np.inf
        found[row] = np.count_nonzero(scores >= scores[target])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="amazon-fashion")
    parser.add_argument("--encoder", default="lsa")
    arguments = parser.parse_args()
    if "LOREWEAVE_DATA" not in os.environ:
        raise SystemExit("set LOREWEAVE_DATA to the folder that holds the data sets")
    dataset = data.read(Path(os.environ["LOREWEAVE_DATA"]) / arguments.data)
    split = data.split(dataset, "leave_last_out")
    histories = Sequences.of(split.train)
    held_out = split.valid.positives()
    new = split.train.interactions.matrix(dataset.n_users, dataset.n_items)[held_out.user, held_out.item] == 0  # not met by the same person
    users, targets = held_out.user[new], held_out.item[new]
    met = np.isin(targets, split.train.interactions.item)

    def hit_rates(texts: Knowledge) -> dict[str, float]:
        vectors = encoder(arguments.encoder, cache_folder() / "vectors").encode(texts.texts("item_text", dataset.items))
        hit = ranks(vectors, histories, users, targets) <= K
        return {"met": float(hit[met].mean()), "unmet": float(hit[~met].mean())}

    texts = item_texts(dataset)
    rows = {"real": hit_rates(texts), **{f"shuffled, {seed}": hit_rates(texts.shuffled(seed)) for seed in SHUFFLES}}
    print(f"{'texts':12}{'met':>10}{'unmet':>10}")
    for name, row in rows.items():
        print(f"{name:12}{row['met']:10.4f}{row['unmet']:10.4f}")
    counts = {"items": dataset.n_items, "targets met": int(met.sum()), "targets unmet": int((~met).sum())}
    print(json.dumps({"bench": "unmet_items", "data": dataset.name, "encoder": arguments.encoder, **counts, "hit_rate@10": rows}))


if __name__ == "__main__":
    main()
