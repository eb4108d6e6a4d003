"""Seconds an epoch of CIKGRec in the paper's settings (BPR, batch 1024, L 3, UIR + CL + TransE), and where they go.

    python bench/cikgrec_epoch.py [--epochs 3] [--threads N] [--profile profile.txt]

On DBbook2014 where $LOREWEAVE_DATA holds it, else on a random graph of its size (same number of nodes and edges of each kind, Zipf-like
degrees): the time depends on little else. Prints a table of the costliest operations and one JSON line.
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
import torch

from loreweave.data.dataset import Dataset, Interactions, Triples
from loreweave.data.vocabulary import Vocabulary
from loreweave.knowledge.records import Knowledge, Record
from loreweave.models.graph.cikgrec import PAPER, CIKGRecConfig, CIKGRecNetwork
from loreweave.models.graph.graph import InterestGraph


def load() -> tuple[Dataset, Knowledge]:
    """DBbook2014's training part and its interests, or a random world of its size."""
    root = os.environ.get("LOREWEAVE_DATA")
    if root and (Path(root) / "dbbook2014").is_dir():
        from loreweave.data import read, split
        from loreweave.knowledge import read as read_knowledge

        dataset = read(Path(root) / "dbbook2014")
        return split(dataset, "given").refit, read_knowledge(Path(root) / "dbbook2014", dataset)
    rng = np.random.default_rng(0)
    n_users, n_items, n_entities, n_interests = 5576, 2680, 8908, 381

    def zipf(n: int, size: int) -> np.ndarray:
        share = 1.0 / (np.arange(n) + 10)
        return rng.permutation(n)[rng.choice(n, size, p=share / share.sum())]

    log = np.unique(np.stack([rng.integers(n_users, size=54_000), zipf(n_items, 54_000)]), axis=1)[:, :]
    log = log[:, rng.permutation(log.shape[1])[:50_745]].astype(np.int32)
    facts = np.stack([rng.integers(n_items, size=134_223), rng.integers(13, size=134_223), zipf(n_entities, 134_223)]).astype(np.int32)
    held = np.unique(np.stack([rng.integers(n_users, size=6_962), zipf(n_interests, 6_962)]), axis=1).T
    names = [Vocabulary(pl.Series(np.arange(n))) for n in (n_users, n_items, n_entities, 13)]
    data = Dataset(names[0], names[1], Interactions(*log), "random", triples=Triples(*facts, names[2], names[3]))
    return data, Knowledge.from_records(
        Record(kind="interest", user=str(u), interest=str(t), text=str(t), source="random") for u, t in held.tolist()
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=3, help="measured, after one of warm-up")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--profile", type=Path, help="write the table of operations here as well")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    data, knowledge = load()
    held, _ = knowledge.interest_matrix(data.users)
    generator = torch.Generator().manual_seed(1)
    config = CIKGRecConfig(**PAPER["dbbook2014"])
    network = CIKGRecNetwork(InterestGraph.of(data.matrix, held, data.triples), config, generator, data.triples)
    network.train()
    optimizer = network.optimizers["main"]

    def steps(limit: int | None = None) -> int:
        batches = torch.split(torch.randperm(len(network.user), generator=generator), config.batch_size)[:limit]
        for rows in batches:
            losses = network.losses(rows, 75)
            optimizer.zero_grad(set_to_none=True)
            torch.stack(list(losses.values())).sum().backward()
            optimizer.step()
        return len(batches)

    seconds, after = [], []
    for epoch in range(arguments.epochs + 1):
        started = time.perf_counter()
        count = steps(5 if epoch == 0 else None)
        between = time.perf_counter()
        network.after_epoch(epoch)
        if epoch:
            seconds.append(time.perf_counter() - started)
            after.append(time.perf_counter() - between)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        steps(5)
    table = profile.key_averages().table(sort_by="self_cpu_time_total", row_limit=25, max_name_column_width=40)
    print(table)
    if arguments.profile:
        arguments.profile.write_text(table, encoding="utf-8")
    result = {
        "bench": "cikgrec_epoch",
        "data": data.name,
        "interactions": int(data.matrix.nnz),
        "nodes": network.graph.n,
        "edges": len(network.edges.col),
        "steps": count,
        "seconds_an_epoch": round(statistics.median(seconds), 3),
        "of_which_transe": round(statistics.median(after), 3),
        "epochs_measured": arguments.epochs,
        "threads": arguments.threads,
        "torch": torch.__version__,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
