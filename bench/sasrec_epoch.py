"""An epoch of SASRec against RecTools' on amazon-games, in one run: same settings, loss, batches, threads and number of targets.

    make bench/.peers/rectools
    python bench/sasrec_epoch.py [--epochs 3] [--threads N] [--dropout 0.2] [--users N]

Needs $LOREWEAVE_DATA; without the peer ours alone is measured. Each side is a process of its own that trains an epoch when it is told to:
first a warm-up each, then in turn, so that a busy machine is busy for both. An epoch is what lies between its first batch and its last
step, in RecTools by a callback of Lightning; reading and preparing the log is in neither. Prints a table and one JSON line.

The two do the same work by other means. Both read the newest 51 items of everybody with two or more and train every position with a next
item, BCE with one uniform negative a target. RecTools fills each history up to 50 places on the left and computes all of them (with an
average of 6.7 items, most are empty), draws a negative for each place, perhaps one the user met, and drops attention weights as well, which
PyTorch's fast attention on the CPU does not do (--dropout 0 takes this out of the comparison); ours lays histories end to end and draws
again what the user met.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

# Nothing heavy up here: a process starts at the peak of the one it was forked from, and ours is measured.

HERE = Path(__file__).parent
PEER = HERE / ".peers" / "rectools" / "bin" / "python"
SETTINGS = {"dim": 64, "blocks": 2, "heads": 1, "max_length": 50, "batch_size": 128, "learning_rate": 0.001, "loss": "bce"}


class Side:
    """A process that trains an epoch for each line it is sent, and answers in lines of JSON."""

    def __init__(self, command: list[str], threads: int) -> None:
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "CUDA_VISIBLE_DEVICES": ""}
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
        self.ready = self.answer()

    def answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{' '.join(self.process.args[:3])} ended early, status {self.process.wait()}")
        return dict(json.loads(line))

    def epoch(self) -> float:
        """Seconds."""
        assert self.process.stdin is not None
        print(file=self.process.stdin, flush=True)
        return float(self.answer()["seconds"])


def ours(folder: Path, epochs: int, threads: int, dropout: float, users: int | None) -> None:
    """Our side: the log to `folder` for the peer, then a fit that waits before each epoch."""
    import numpy as np
    import torch

    from loreweave import progress
    from loreweave.data import k_core, read, split
    from loreweave.learn.sequences import Sequences
    from loreweave.models.sequential.sasrec import SASRec

    class Paced(SASRec):
        """A fit that waits where it would validate."""

        def _network(self, sequences: Any, generator: Any) -> Any:
            network = super()._network(sequences, generator)
            self.targets = int((network.lengths[network.people].clamp_max(network.window) - 1).sum())
            return network

        def _validation(self, *_: Any) -> Any:
            self.done, started = 0, time.perf_counter()

            def wait() -> float:
                nonlocal started
                print(json.dumps({"seconds": time.perf_counter() - started}), flush=True)
                self.done += 1
                if self.done <= epochs and not sys.stdin.readline():
                    raise SystemExit("nobody asks for an epoch any more")
                started = time.perf_counter()
                return 0.0

            return wait

    progress.SILENT_SECONDS = progress.LINE_SECONDS = float("inf")  # a rate that counts the waiting misleads
    torch.set_num_threads(threads)
    dataset = read(Path(os.environ["LOREWEAVE_DATA"]) / "amazon-games")
    if users is not None:
        log = dataset.interactions
        dataset = k_core(dataset.with_interactions(log.take(log.user < users)), 1)
    made = split(dataset, "leave_last_out")
    histories = Sequences.of(made.train)
    order = np.arange(len(histories.items)) - histories.indptr[histories.owner]
    np.savez(folder / "log.npz", user=histories.owner, item=histories.items, order=order)
    told = {"data": dataset.name, "users": dataset.n_users, "items": dataset.n_items, "interactions": len(histories.items)}
    print(json.dumps(told), flush=True)
    model = Paced(**SETTINGS, dropout=dropout, epochs=epochs + 1, patience=epochs + 1)
    sys.stdin.readline()
    model.fit(made.train, valid=made.valid)
    steps = -(-len(model.network.people) // model.config.batch_size)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"targets": model.targets, "steps": steps, "items": model.n_items, "peak_mib": peak, "torch": torch.__version__}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=3, help="measured of each, after one of warm-up")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--dropout", type=float, default=0.2, help="of both")
    parser.add_argument("--users", type=int, help="only the first so many, for a quick look")
    parser.add_argument("--ours", type=Path, help="be our side, handing the log over in this folder (how the benchmark calls itself)")
    arguments = parser.parse_args()
    if arguments.ours:
        ours(arguments.ours, arguments.epochs, arguments.threads, arguments.dropout, arguments.users)
        return
    root = os.environ.get("LOREWEAVE_DATA")
    if not root or not (Path(root) / "amazon-games").is_dir():
        print("skipped: set LOREWEAVE_DATA to the folder that holds the data set amazon-games")
        return
    if not PEER.exists():
        print("the peer is not installed (make bench/.peers/rectools): ours alone")
    with tempfile.TemporaryDirectory() as folder:
        sides = {"loreweave": Side([sys.executable, __file__, *sys.argv[1:], "--ours", folder], arguments.threads)}
        if PEER.exists():
            settings = peer_settings(arguments)
            script = HERE / "peers" / "sasrec_rectools.py"
            command = [str(PEER), str(script), "epochs", str(Path(folder) / "log.npz"), json.dumps(settings)]
            sides["rectools"] = Side(command, arguments.threads)
        for side in sides.values():
            side.epoch()
        runs: dict[str, list[float]] = {name: [] for name in sides}
        for _ in range(arguments.epochs):
            for name, side in sides.items():
                runs[name].append(side.epoch())
        ends = {name: side.answer() for name, side in sides.items()}
        for side in sides.values():
            side.process.wait()
    for what in ("targets", "steps", "torch"):
        if len({end[what] for end in ends.values()}) > 1:
            raise SystemExit(f"not the same work: {what} {', '.join(f'{end[what]} ({name})' for name, end in ends.items())}")
    medians = {name: statistics.median(seconds) for name, seconds in runs.items()}
    print(f"{'an epoch of SASRec':20}{'seconds':>10}{'ratio':>8}{'targets':>10}{'steps':>7}{'peak MiB':>10}")
    for name, end in ends.items():
        ratio = medians[name] / medians["loreweave"]
        print(f"{name:20}{medians[name]:10.2f}{ratio:8.2f}{end['targets']:10}{end['steps']:7}{end['peak_mib']:10.0f}")
    result = {
        "bench": "sasrec_epoch",
        **sides["loreweave"].ready,
        **SETTINGS,
        "dropout": arguments.dropout,
        "targets": {name: end["targets"] for name, end in ends.items()},
        "items_known": {name: end["items"] for name, end in ends.items()},
        "steps": ends["loreweave"]["steps"],
        "seconds": {name: round(median, 3) for name, median in medians.items()},
        "runs": {name: [round(value, 3) for value in seconds] for name, seconds in runs.items()},
        "ratio": round(medians["rectools"] / medians["loreweave"], 2) if "rectools" in medians else None,
        "peak_mib": {name: round(end["peak_mib"]) for name, end in ends.items()},
        "epochs_measured": arguments.epochs,
        "threads": arguments.threads,
        "torch": ends["loreweave"]["torch"],
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
    }
    print(json.dumps(result))


def peer_settings(arguments: argparse.Namespace) -> dict[str, Any]:
    """The same settings by RecTools' names."""
    return {
        "n_factors": SETTINGS["dim"],
        "n_blocks": SETTINGS["blocks"],
        "n_heads": SETTINGS["heads"],
        "session_max_len": SETTINGS["max_length"],
        "batch_size": SETTINGS["batch_size"],
        "lr": SETTINGS["learning_rate"],
        "loss": "BCE",
        "n_negatives": 1,
        "dropout_rate": arguments.dropout,
        "epochs": arguments.epochs + 1,
        "seed": 1,
        "threads": arguments.threads,
    }


if __name__ == "__main__":
    main()
