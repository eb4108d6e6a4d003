"""A knowledge store of a million answers: opening, looking up 10,000, claiming, summing up, exporting, size, memory.

    python bench/store.py [--rows 1000000] [--folder DIR]

Every measurement runs in a process of its own, which opens the store first. Answers are about 600 characters, prompts showed 30 items.
Prints a table and one JSON line.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
import platform
import resource
import sqlite3
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from loreweave.knowledge.exchange import export_answers
from loreweave.knowledge.store import KnowledgeStore, Stored

PUT_ROWS = 1000
WORDS = np.array([f"{letter}ord{n}" for letter in "wftls" for n in range(5)])
TARGETS: dict[str, float | None] = {
    "open": 1.0,
    "statuses_10000": 1.0,
    "get_10000": None,
    "claim_10000": None,
    "summary": None,
    "export": 30.0,
    "quick_check": None,
}
"""What is measured → seconds that it may take at a million rows."""


def request_hash(n: int) -> str:
    return hashlib.blake2b(str(n).encode(), digest_size=16).hexdigest()


def fill(path: Path, rows: int) -> float:
    rng = np.random.default_rng(0)
    texts = [" ".join(WORDS[rng.integers(len(WORDS), size=130)]) for _ in range(200)]
    shown = [tuple(map(str, rng.integers(100_000, size=30))) for _ in range(200)]
    started = time.perf_counter()
    with KnowledgeStore.open(path, create=True) as store:
        for start in range(0, rows, PUT_ROWS):
            store.put(
                [
                    Stored(
                        request_hash(n), "interests", "1", "gpt-4o-mini", '{"temperature": 0}', f"user-{n}", None, "0" * 32, shown[n % 200],
                        texts[n % 199], "done", "stop", None, 900, 150, 0.0002, 1.5, 1, (), "gpt-4o-mini-2024-07-18",
                    )
                    for n in range(start, min(start + PUT_ROWS, rows))
                ]
            )  # fmt: skip
    return time.perf_counter() - started


def quick_check(store: KnowledgeStore) -> None:
    with sqlite3.connect(store.path) as database:
        assert database.execute("PRAGMA quick_check").fetchone()[0] == "ok"


def measure(what: str, path: Path, rows: int) -> tuple[float, float]:
    """Seconds, and the largest memory that the process had, in MiB."""
    wanted = [request_hash(int(n)) for n in np.random.default_rng(1).choice(2 * rows, 10_000, replace=2 * rows < 10_000)]
    jobs: dict[str, Callable[[KnowledgeStore], object]] = {
        "open": lambda store: None,
        "statuses_10000": lambda store: store.statuses(wanted),
        "get_10000": lambda store: store.get(wanted),
        "claim_10000": lambda store: store.claim(wanted, "bench", 60.0),
        "summary": lambda store: store.summary(),
        "export": lambda store: export_answers(store, path.with_suffix(".parquet")),
        "quick_check": quick_check,
    }
    started = time.perf_counter()
    with KnowledgeStore.open(path) as store:
        if what != "open":
            started = time.perf_counter()
        jobs[what](store)
        seconds = time.perf_counter() - started
    return seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, help="where to make the store; a temporary folder by default")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        path = Path(folder) / "k.db"
        put_seconds = fill(path, arguments.rows)
        result: dict[str, object] = {"bench": "store", "rows": arguments.rows, "put_rows_a_second": round(arguments.rows / put_seconds)}
        print(f"{'what':<16} {'seconds':>8} {'at most':>8} {'MiB':>8}")
        for what, target in TARGETS.items():
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                seconds, memory = pool.apply(measure, (what, path, arguments.rows))
            print(f"{what:<16} {seconds:>8.3f} {'' if target is None else f'{target:g}':>8} {memory:>8.0f}")
            result |= {f"{what}_seconds": round(seconds, 3), f"{what}_mib": round(memory)}
        result |= {
            "store_mib": round(path.stat().st_size / 2**20),
            "export_mib": round(path.with_suffix(".parquet").stat().st_size / 2**20),
            "sqlite": sqlite3.sqlite_version,
            "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        }
        print(f"store {result['store_mib']} MiB, export {result['export_mib']} MiB, {result['put_rows_a_second']} rows put a second")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
