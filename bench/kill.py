"""Kill -9 while answers are being stored: nothing that was finished is lost or asked again.

    python bench/kill.py [--requests 20000] [--kills 5] [--workers 2] [--seed 0]

Worker processes do what the engine does (look up, claim, ask, put one answer) against a model that answers in a millisecond. They write
down what they ask and what they have finished, are killed at random moments and started again; the last ones work to the end. Prints a
table and one JSON line; exits with 1 where anything was lost or repeated.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import sqlite3
import sys
import tempfile
import time
import uuid
from collections import Counter
from pathlib import Path

import numpy as np

from loreweave.knowledge.store import KnowledgeStore, Stored

CHUNK = 100
ANSWER_SECONDS = 0.001


def work(path: Path, log: Path, requests: int) -> None:
    """One worker. A line of the log is written by one call to the operating system, so that it outlives the kill."""
    owner = uuid.uuid4().hex
    lines = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    with KnowledgeStore.open(path, create=True) as store:
        hashes = [f"{n:032x}" for n in range(requests)]
        for start in range(0, requests, CHUNK):
            chunk = hashes[start : start + CHUNK]
            known = store.statuses(chunk)
            for key in sorted(store.claim([key for key in chunk if key not in known], owner, 3600.0)):
                os.write(lines, f"ask {key}\n".encode())
                time.sleep(ANSWER_SECONDS)
                answer = f"answer to {key}"
                row = Stored(key, "interests", "1", "m", "{}", key, None, None, ("1", "2"), answer, "done", "stop", price=0.001)
                store.put([row])
                os.write(lines, f"end {key}\n".encode())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    rng = np.random.default_rng(arguments.seed)
    spawn = multiprocessing.get_context("spawn")
    repeated_after_kill = lost_after_kill = 0
    print(f"{'kill':>4} {'after s':>8} {'finished':>9} {'lost':>5}")
    with tempfile.TemporaryDirectory() as folder:
        path, log = Path(folder) / "k.db", Path(folder) / "log"
        log.touch()
        for kill in range(arguments.kills + 1):
            before = done(path)
            offset = log.stat().st_size
            finished = len(ended(log.read_text()))
            workers = [spawn.Process(target=work, args=(path, log, arguments.requests)) for _ in range(arguments.workers)]
            for worker in workers:
                worker.start()
            killing, after = kill < arguments.kills, 0.0
            if killing:
                while len(ended(log.read_text())) == finished and any(worker.is_alive() for worker in workers):
                    time.sleep(0.01)  # until they are at work
                after = rng.uniform(0.0, 1.0)
                time.sleep(after)
                for worker in workers:
                    worker.kill()  # SIGKILL
            for worker in workers:
                worker.join()
            # A put that had returned was logged after that; what was in the store when this round began must not be asked in it.
            text = log.read_text()
            lost = len(ended(text) - done(path))
            lost_after_kill += lost
            asked = [line[4:] for line in text[offset:].splitlines() if line.startswith("ask ")]
            repeated_after_kill += sum(key in before for key in asked)
            print(f"{kill + 1 if killing else 'end':>4} {after:>8.3f} {len(done(path)):>9} {lost:>5}")
        asked_times = Counter(line[4:] for line in log.read_text().splitlines() if line.startswith("ask "))
        with sqlite3.connect(path) as database:
            integrity = database.execute("PRAGMA integrity_check").fetchone()[0]
        result = {
            "bench": "kill",
            "requests": arguments.requests,
            "kills": arguments.kills,
            "workers": arguments.workers,
            "done": len(done(path)),
            "finished_repeated": repeated_after_kill,
            "finished_lost": lost_after_kill,
            "in_flight_asked_again": sum(times - 1 for times in asked_times.values()),
            "integrity_check": integrity,
            "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        }
    print(json.dumps(result))
    sound = result["done"] == arguments.requests and not repeated_after_kill and not lost_after_kill and integrity == "ok"
    return 0 if sound else 1


def ended(text: str) -> set[str]:
    return {line[4:] for line in text.splitlines() if line.startswith("end ")}


def done(path: Path) -> set[str]:
    if not path.exists():
        return set()
    with KnowledgeStore.open(path) as store:
        return set(store.frame(status="done")["hash"])


if __name__ == "__main__":
    sys.exit(main())
