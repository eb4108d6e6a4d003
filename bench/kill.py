"""Kill -9 while answers are being stored: nothing that was finished is lost or asked again.

    python bench/kill.py [--requests 10000] [--kills 5] [--workers 2] [--seed 0]

Worker processes run the engine on one store, with a model that answers in a millisecond and writes down what it is asked and which answers
the engine has stored. They are killed at random moments and started again; the last ones work to the end. Prints a table and one JSON line;
exits with 1 where anything was lost or repeated.
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
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from language_requests import log as readers

from loreweave.knowledge.engine import run
from loreweave.knowledge.store import KnowledgeStore
from loreweave.knowledge.tasks import create_task
from loreweave.language.base import Answer, LanguageModel, Request

ANSWER_SECONDS = 0.001
ANSWER = '{"interests": [{"category": "books", "phrase": "sea stories", "evidence": [1, 2]}]}'


class Logged(LanguageModel):
    """Answers in a millisecond. A line of the log is written by one call to the operating system, so that it outlives the kill."""

    model = "logged"

    def __init__(self, log: Path) -> None:
        self._lines = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def generate(self, requests: Iterable[Request]) -> Iterator[tuple[int, Answer]]:
        for position, request in enumerate(requests):
            key = request.hash(self.model)
            os.write(self._lines, f"ask {key}\n".encode())
            time.sleep(ANSWER_SECONDS)
            yield position, Answer(ANSWER, "stop", self.model, tokens_in=900, tokens_out=30)
            os.write(self._lines, f"end {key}\n".encode())  # the engine has stored it: it comes back for more


def work(path: Path, log: Path, requests: int) -> None:
    """One worker: the engine, on a store that it shares."""
    with KnowledgeStore.open(path, create=True) as store:
        run(create_task("interests"), readers(requests), Logged(log), store, lambda tokens_in, tokens_out: 0.001)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=10_000)
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
        return set(store.frame(status="done")["request"])


if __name__ == "__main__":
    sys.exit(main())
