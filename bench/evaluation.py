"""Full-ranking evaluation of DBbook2014 with a linear model, against the plain way: sort every user's scores.

    python bench/evaluation.py [--k 20] [--repeats 5]

Without $LOREWEAVE_DATA a random log of the same shape (5,576 users, 2,680 items) stands in. Prints a table and one JSON line.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from pathlib import Path

import numpy as np
import polars as pl

from loreweave.data import from_frame, read, split
from loreweave.data.split import Split
from loreweave.evaluate import evaluate
from loreweave.learn.ranking import mask_scores
from loreweave.models import create
from loreweave.models.base import Recommender

USERS, ITEMS, INTERACTIONS = 5_576, 2_680, 65_961


def parts() -> Split:
    folder = os.environ.get("LOREWEAVE_DATA")
    if folder and (Path(folder) / "dbbook2014").is_dir():
        return split(read(Path(folder) / "dbbook2014"), "given")
    rng = np.random.default_rng(1)
    user = np.concatenate([np.repeat(np.arange(USERS), 3), rng.integers(0, USERS, INTERACTIONS - 3 * USERS)])
    item = (rng.beta(0.6, 3.0, INTERACTIONS) * ITEMS).astype(int)
    return split(from_frame(pl.DataFrame({"user": user, "item": item}).unique(maintain_order=True), name="random"), "ratio")


def sorted_ndcg(model: Recommender, made: Split, k: int) -> float:
    """NDCG@k by sorting all scores of every user, in blocks."""
    targets = made.test.matrix(model.n_users, model.n_items)
    users = np.flatnonzero(np.diff(targets.indptr)).astype(np.int32)
    candidates, discount = model.candidate_mask(), 1 / np.log2(np.arange(2, k + 2))
    found = []
    for start in range(0, len(users), 512):
        block = users[start : start + 512]
        masked = mask_scores(model.score_codes(block), model.history[block], candidates)
        best = np.argsort(-masked, axis=1)[:, :k]
        hits = np.take_along_axis(targets[block].toarray(), best, axis=1)
        ideal = np.cumsum(discount)[np.minimum(np.diff(targets[block].indptr), k) - 1]
        found.append(hits @ discount / ideal)
    return float(np.concatenate(found).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--k", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    made = parts()
    model = create("ease").fit(made.refit)
    report, reference = evaluate(model, made.test, ks=[arguments.k]), sorted_ndcg(model, made, arguments.k)  # also the warm-up
    if abs(report.metrics[f"ndcg@{arguments.k}"] - reference) > 1e-6:
        raise SystemExit(f"the two ways disagree: {report.metrics[f'ndcg@{arguments.k}']} and {reference}")
    runs, plain = [], []
    for _ in range(arguments.repeats):  # in turn, so that a busy machine is busy for both
        runs.append(evaluate(model, made.test, ks=[arguments.k]).seconds)
        started = time.perf_counter()
        sorted_ndcg(model, made, arguments.k)
        plain.append(time.perf_counter() - started)
    seconds = {part: statistics.median(run[part] for run in runs) for part in runs[0]}
    seconds["rest"] = seconds["all"] - sum(seconds[part] for part in ("score", "rank", "top"))
    seconds["plain sort, NDCG alone"] = statistics.median(plain)
    print(f"{'evaluation, full ranking':30}{'seconds':>10}")
    for part, value in seconds.items():
        print(f"{part:30}{value:10.3f}")
    result = {
        "bench": "evaluation",
        "data": made.train.name,
        "users": report.counts["users evaluated"],
        "items": model.n_items,
        "k": arguments.k,
        "seconds": {part: round(value, 4) for part, value in seconds.items()},
        "ratio": round(seconds["plain sort, NDCG alone"] / seconds["all"], 2),
        "repeats": arguments.repeats,
        "threads": os.environ.get("OMP_NUM_THREADS", "all"),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
