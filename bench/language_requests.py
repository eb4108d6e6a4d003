"""What asking 2,000 questions costs: wall against the ideal and CPU a request, on a sound server and on a bad one.

    python bench/language_requests.py [--requests 2000] [--latency 0.2] [--concurrency 64]

The server is `loreweave.testing.lm_server` in a process of its own. Ideal is what a client without any cost of its own would take:
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
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import openai

from loreweave.language import Request
from loreweave.language.remote import Remote, RemoteConfig

SCHEMA = {
    "type": "object",
    "properties": {
        "interests": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"phrase": {"type": "string"}, "evidence": {"type": "array", "items": {"type": "integer"}}},
                "required": ["phrase", "evidence"],
                "additionalProperties": False,
            },
        }
    },
    "required": ["interests"],
    "additionalProperties": False,
}
BAD = ("--rate-429", "0.1", "--rate-500", "0.05", "--rate-malformed", "0.02")
GENRES = ("Comedy", "Drama", "Horror", "Western", "Musical", "Crime")


def questions(count: int) -> Iterator[Request]:
    """Histories of 30 items, as the interests task shows them (about 1,700 bytes)."""
    for user in range(count):
        lines = "\n".join(
            f"[{i + 1}] A film numbered {user * 31 + i * 7} (1994) | genre: {GENRES[(user + i) % 6]}; year: 1994" for i in range(30)
        )
        yield Request("You infer what interests a person.", f"A history:\n<items>\n{lines}\n</items>\nName the interests.", SCHEMA)


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
    with server(latency, *options) as url:
        model = Remote(RemoteConfig(base_url=f"{url}/v1", model="any", concurrency=concurrency))
        asked = list(questions(count))
        finishes: Counter[str] = Counter()
        attempts = 0
        wall, cpu = time.perf_counter(), time.process_time()
        for _, answer in model.generate(iter(asked)):
            finishes[answer.finish] += 1
            attempts += answer.attempts
            assert answer.finish == "stop" or answer.reason
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        seen = stats(url)
    ideal = math.ceil(count / concurrency) * latency if count < concurrency else count / concurrency * latency
    assert finishes.total() == count
    return {
        "run": name,
        "seconds": round(wall, 2),
        "ideal": round(ideal, 2),
        "share_of_ideal": round(ideal / wall, 3),
        "cpu_ms_a_request": round(cpu / attempts * 1000, 2),
        "answered": finishes["stop"],
        "failed_with_reason": count - finishes["stop"],
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
