"""What asking 2,000 questions costs the whole engine: wall against the ideal and CPU a question, on a sound server and on a bad one.

    python bench/language_requests.py [--requests 2000] [--latency 0.2] [--concurrency 64]

Everything `knowledge run` does between the log and the store: prompts, requests over a socket, parsing, checks, answers on disk. The server
is `loreweave.testing.lm_server` in a process of its own. Ideal is what a client without any cost of its own would take:
requests / concurrency × latency. On the bad server 10% of requests meet a 429, 5% a 500, and 2% a body of damaged JSON: there every
request must be answered or have a reason, and none may be asked again that was answered. Prints a table and one JSON line.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import openai
import polars as pl

from loreweave.data import Dataset, Interactions, Vocabulary
from loreweave.knowledge.engine import run
from loreweave.knowledge.store import KnowledgeStore
from loreweave.knowledge.tasks import create_task
from loreweave.language.remote import Remote, RemoteConfig

BAD = ("--rate-429", "0.1", "--rate-500", "0.05", "--rate-malformed", "0.02")
GENRES = ("Comedy", "Drama", "Horror", "Western", "Musical", "Crime")


def log(count: int) -> Dataset:
    """So many people with 30 films each, of 3,000."""
    rng = np.random.default_rng(1)
    user = np.repeat(np.arange(count, dtype=np.int32), 30)
    item = np.concatenate([rng.choice(3000, 30, replace=False) for _ in range(count)]).astype(np.int32)
    titles = pl.DataFrame({"title": [f"A film numbered {i} (1994)" for i in range(3000)]})
    features = pl.DataFrame({"genre": [GENRES[i % 6] for i in range(3000)], "year": ["1994"] * 3000})
    time = rng.permutation(len(user)).astype(np.int64)
    users = Vocabulary([f"user-{i}" for i in range(count)])
    return Dataset(users, Vocabulary(list(range(3000))), Interactions(user, item, time=time), item_texts=titles, item_features=features)


@contextmanager
def server(latency: float, *options: str) -> Iterator[str]:
    """The test server as a process of its own: the URL without `/v1`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "loreweave.testing.lm_server", "--port", str(port), "--latency", str(latency), *options]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            try:
                stats(url)
                break
            except urllib.error.URLError:
                time.sleep(0.05)
        yield url
    finally:
        process.terminate()
        process.wait(10)


def stats(url: str) -> dict[str, Any]:
    with urllib.request.urlopen(f"{url}/stats") as response:
        return dict(json.load(response))


def measure(name: str, count: int, latency: float, concurrency: int, *options: str) -> dict[str, Any]:
    """One run and what the server says of it."""
    data, task = log(count), create_task("interests")
    with server(latency, *options) as url, tempfile.TemporaryDirectory() as folder:
        model = Remote(RemoteConfig(base_url=f"{url}/v1", model="any", concurrency=concurrency))
        with KnowledgeStore.open(Path(folder) / "k.db", create=True) as store:
            wall, cpu = time.perf_counter(), time.process_time()
            outcome = run(task, data, model, store, lambda tokens_in, tokens_out: None)
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            answers = store.frame()
        seen = stats(url)
    assert answers.height == outcome.asked == count
    assert answers.filter(pl.col("status") != "done")["reason"].null_count() == 0
    attempts = int(answers["attempts"].sum())
    ideal = math.ceil(count / concurrency) * latency if count < concurrency else count / concurrency * latency
    return {
        "run": name,
        "seconds": round(wall, 2),
        "ideal": round(ideal, 2),
        "share_of_ideal": round(ideal / wall, 3),
        "cpu_ms_a_question": round(cpu / count * 1000, 2),
        "cpu_ms_an_attempt": round(cpu / attempts * 1000, 2),
        "answered": outcome.answered,
        "failed_or_excluded_with_reason": count - outcome.answered,
        "sent": attempts,
        "asked_again_after_success": seen["asked_again"],
        "server_answered": seen["answered"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--latency", type=float, default=0.2, help="of the server, in seconds")
    parser.add_argument("--concurrency", type=int, default=64)
    arguments = parser.parse_args()
    settings = (arguments.requests, arguments.latency, arguments.concurrency)
    measure("warm-up", 10, 0.0, 1)  # imports
    rows = [measure("sound", *settings), measure("bad", *settings, *BAD)]
    print(" ".join(f"{key:>{max(len(key), 6)}}" for key in rows[0]))
    for row in rows:
        print(" ".join(f"{row[key]!s:>{max(len(key), 6)}}" for key in row))
    result = {
        "bench": "language_requests",
        "requests": arguments.requests,
        "latency": arguments.latency,
        "concurrency": arguments.concurrency,
        "runs": rows,
        "openai": openai.__version__,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
