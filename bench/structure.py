"""Seconds from interest phrases to clustered interests: 100,000 users with five phrases each.

    python bench/structure.py [--users 100000] [--phrases 100000] [--interests 1000] [--dimensions 384] [--choose] [--peer]

Phrases and their vectors are synthetic: a mixture of 1,500 topics on the sphere, phrases taken up by users with Zipf-like frequencies.
Encoding is not measured (the vectors are looked up). `--choose` also times the search for κ, `--peer` scikit-learn's MiniBatchKMeans on the
same vectors. Prints a table and one JSON line.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from loreweave.knowledge.records import Knowledge, records_frame
from loreweave.knowledge.structure import structure
from loreweave.knowledge.structure.cluster import nearest

T = TypeVar("T")
TOPICS = 1500


class Looked:
    """Vectors by the number in the phrase."""

    name = "mixture"

    def __init__(self, vectors: NDArray[np.float32]) -> None:
        self.vectors = vectors

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        rows = pl.Series(texts).str.extract(r"(\d+)$").cast(pl.Int64).to_numpy()
        return self.vectors[rows]


def mixture(n: int, d: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Phrases about as near to their topic as sentence vectors of short phrases are: cosine 0.7."""
    topics = rng.standard_normal((TOPICS, d), dtype=np.float32)
    topics /= np.linalg.norm(topics, axis=1, keepdims=True)
    vectors = rng.standard_normal((n, d), dtype=np.float32) / np.float32(np.sqrt(d))
    vectors += topics[rng.integers(TOPICS, size=n)]
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def spoken(n_users: int, each: int, n_phrases: int, rng: np.random.Generator) -> Knowledge:
    share = 1.0 / (np.arange(n_phrases) + 50)
    phrase = rng.choice(n_phrases, n_users * each, p=share / share.sum())
    phrase[:n_phrases] = np.arange(n_phrases)[: len(phrase)]  # everything is said at least once
    user = rng.permutation(np.repeat(np.arange(n_users), each))
    text = pl.select(pl.lit("interest in matter ") + pl.Series(phrase).cast(pl.String)).to_series()
    columns = {"user": pl.Series(user).cast(pl.String), "interest": text, "text": text}
    return Knowledge.from_frame(records_frame(columns, kind="interest", source="bench"))


def timed(call: Callable[[], T]) -> tuple[T, float]:
    started = time.perf_counter()
    value = call()
    return value, time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--each", type=int, default=5, help="phrases a user")
    parser.add_argument("--phrases", type=int, default=100_000, help="distinct")
    parser.add_argument("--interests", type=int, default=1000)
    parser.add_argument("--dimensions", type=int, default=384)
    parser.add_argument("--choose", action="store_true")
    parser.add_argument("--peer", action="store_true")
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    vectors = mixture(arguments.phrases + 10_000, arguments.dimensions, rng)
    encoder, knowledge = Looked(vectors), spoken(arguments.users, arguments.each, arguments.phrases, rng)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    (found, made), seconds = timed(lambda: structure(knowledge, encoder, n_users=arguments.users, interests=arguments.interests))
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    new = pl.select(pl.lit("new matter ") + pl.int_range(arguments.phrases, len(vectors)).cast(pl.String)).to_series()
    _, assigning = timed(lambda: made.nearest(new, encoder))
    used = vectors[: arguments.phrases]
    text = pl.select(pl.lit("interest matter ") + pl.int_range(arguments.phrases).cast(pl.String)).to_series()  # as cleaning leaves it
    said = knowledge.records["text"].str.replace(" in ", " ").value_counts()
    holders = text.to_frame("text").join(said, on="text", how="left", maintain_order="left")["count"].fill_null(0).to_numpy()
    cosine = float(np.average(nearest(used, made.centres)[1][:, 0], weights=holders))
    rows: list[tuple[str, float]] = [("structure, kappa given", seconds), ("10,000 new phrases assigned", assigning)]
    peer: dict[str, float] = {}
    if arguments.choose:
        (_, chosen), search = timed(lambda: structure(knowledge, encoder, n_users=arguments.users))
        rows.append(("structure, kappa chosen", search))
        print(chosen.curve)
    if arguments.peer:
        from sklearn.cluster import MiniBatchKMeans

        method = MiniBatchKMeans(arguments.interests, batch_size=4096, n_init=1, max_iter=3, random_state=0)
        fitted, peer_seconds = timed(lambda: method.fit(used, sample_weight=holders))
        centres = fitted.cluster_centers_ / np.linalg.norm(fitted.cluster_centers_, axis=1, keepdims=True)
        peer = {
            "peer_seconds": round(peer_seconds, 2),
            "peer_mean_cosine": round(float(np.average(nearest(used, centres)[1][:, 0], weights=holders)), 4),
        }
        rows.append(("MiniBatchKMeans, three passes", peer_seconds))
    for name, value in rows:
        print(f"{name:32} {value:8.2f} s")
    result = {
        "bench": "structure",
        "users": arguments.users,
        "records": len(knowledge),
        "phrases": made.phrases.height,
        "dimensions": arguments.dimensions,
        "interests": len(made.centres),
        "kept": found.interests.height,
        "seconds": round(seconds, 2),
        "mean_cosine": round(cosine, 4),
        **peer,
        "seconds_chosen": round(rows[2][1], 2) if arguments.choose else None,
        "kappa_chosen": len(chosen.centres) if arguments.choose else None,
        "peak_memory_mb": round(memory / 1024),
        "of_which_before": round(before / 1024),
        "threads": os.environ.get("OMP_NUM_THREADS", "default"),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
