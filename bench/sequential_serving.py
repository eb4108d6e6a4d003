"""Serving a sequential model: the best 20 for everybody it was fitted on, and what texts add to a request of somebody new.

    python bench/sequential_serving.py [--requests 200]

Needs `$LOREWEAVE_DATA/ml-1m`. The models are fitted for one epoch: what is timed does not depend on what was learnt. They are saved and
loaded before they are timed. A request is one history of 50 films, with a text about the person for `grasp`.
Prints a table and one JSON line.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import loreweave as lw
from loreweave.data import Dataset
from loreweave.knowledge import templates
from loreweave.knowledge.records import Knowledge, Record
from loreweave.models import Recommender, load

K = 20
HISTORY = 50


def fitted(name: str, train: Dataset, knowledge: Knowledge, folder: Path) -> Recommender:
    """A model after one epoch, saved and loaded."""
    lw.create(name, {"epochs": 1, "batch_size": 32}).fit(train, knowledge).save(folder / name)
    return load(folder / name)


def for_everybody(model: Recommender) -> float:
    """Seconds for the best items of all fitted users."""
    started = time.perf_counter()
    found = model.recommend(k=K)
    assert found.height == K * model.n_users
    return time.perf_counter() - started


def requests(model: Recommender, history: list[Any], text: str | None, count: int) -> float:
    """Median seconds of one request."""
    seconds = []
    for number in range(count):
        said = None if text is None else Knowledge.from_records([Record(kind="user_text", user="new", text=f"{text} {number}")])
        started = time.perf_counter()
        model.recommend_histories({"new": history}, k=K, knowledge=said)
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=200)
    arguments = parser.parse_args()
    place = os.environ.get("LOREWEAVE_DATA")
    if place is None or not (Path(place) / "ml-1m").is_dir():
        print("sequential_serving: skipped, $LOREWEAVE_DATA/ml-1m is not there")
        return
    train = lw.split(lw.read(Path(place) / "ml-1m"), "leave_last_out").refit
    knowledge = templates.item_texts(train).merged(templates.user_texts(train))
    history = train.items.decode(train.interactions.item[:HISTORY]).to_list()
    text = knowledge.only("user_text").records["text"][0]
    seconds: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, said in (("sasrec", None), ("grasp", text)):
            model = fitted(name, train, knowledge, Path(folder))
            for_everybody(model)
            requests(model, history, said, 5)
            everybody = statistics.median(for_everybody(model) for _ in range(3))
            seconds[name] = {"everybody": everybody, "request": requests(model, history, said, arguments.requests)}
    print(f"{'ml-1m':10}{f'top {K} for {train.n_users:,} users, s':>34}{'one request, ms':>18}")
    for name, found in seconds.items():
        print(f"{name:10}{found['everybody']:34.3f}{found['request'] * 1000:18.2f}")
    result = {
        "bench": "sequential_serving",
        "users": train.n_users,
        "items": train.n_items,
        "k": K,
        "seconds": {name: {part: round(value, 5) for part, value in found.items()} for name, found in seconds.items()},
        "added_ms_a_request": round(1000 * (seconds["grasp"]["request"] - seconds["sasrec"]["request"]), 2),
        "threads": os.environ.get("OMP_NUM_THREADS", "all"),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
