"""Ten million rows of a CSV (user, item, rating, timestamp) to a Dataset: seconds and peak memory of the whole process.

The floor is the bare scan: polars reads the same file into typed columns and stops there. Each run is a process of its own;
the median of the runs is given. Run: `python bench/read_csv.py` (about a minute; needs 300 MB in the temporary folder).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import polars as pl

READ = "from loreweave import data; n = len(data.read(path).interactions)"
FLOOR = """import polars as pl
n = pl.read_csv(path, schema_overrides={"user": pl.String, "item": pl.String, "rating": pl.Float32, "timestamp": pl.Int64}).height"""
TIMED = """import json, resource, sys, time
path = sys.argv[1]
started = time.perf_counter()
{body}
seconds = time.perf_counter() - started
print(json.dumps({{"rows": n, "seconds": seconds, "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}}))"""


def make(path: Path, rows: int, users: int, items: int, prefix: str, seed: int = 1) -> None:
    """A log with uniform users and items by a power law; ids are whole numbers in text, with `prefix` before them."""
    rng = np.random.default_rng(seed)
    pl.DataFrame(
        {
            "user": rng.integers(0, users, rows),
            "item": (rng.pareto(1.2, rows) * 200).astype(np.int64) % items,
            "rating": (rng.integers(1, 11, rows) / 2).astype(np.float32),
            "timestamp": rng.integers(1_200_000_000, 1_700_000_000, rows),
        }
    ).with_columns((pl.lit(prefix) + pl.col(name).cast(pl.String)).alias(name) for name in ("user", "item")).write_csv(path)


def measure(body: str, path: Path, repeats: int) -> dict[str, float]:
    """Median seconds (imports included) and the largest peak of `repeats` fresh processes."""
    runs = []
    for _ in range(repeats):
        done = subprocess.run([sys.executable, "-c", TIMED.format(body=body), str(path)], check=True, capture_output=True, text=True)
        runs.append(json.loads(done.stdout))
    return {
        "rows": runs[0]["rows"],
        "seconds": statistics.median(run["seconds"] for run in runs),
        "peak_mib": max(run["peak_mib"] for run in runs),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--users", type=int, default=500_000)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument(
        "--make", type=Path, help="write the file there and stop (how the benchmark calls itself: its own memory stays small)"
    )
    parser.add_argument("--prefix", default="", help="put before every id, for example A1B2C3D4E5: ids too long to be kept inline")
    options = parser.parse_args()
    if options.make:
        make(options.make, options.rows, options.users, options.items, options.prefix)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ratings.csv"
        # In a process of its own: on Linux a child's peak starts at the size of the parent it was forked from.
        subprocess.run([sys.executable, __file__, *sys.argv[1:], "--make", str(path)], check=True)
        size = path.stat().st_size
        measure(FLOOR, path, 1)  # the file is in the page cache from here on
        floor, read = measure(FLOOR, path, options.repeats), measure(READ, path, options.repeats)
    ratio = read["seconds"] / floor["seconds"]
    result = {"bench": "read_csv", "bytes": size, "cores": len(os.sched_getaffinity(0)), "read": read, "floor": floor, "ratio": ratio}
    print(json.dumps(result))
    print(f"{'':24}{'seconds':>9}{'peak MiB':>10}{'rows/s':>14}")
    for name, run in (("loreweave.data.read", read), ("polars, bare scan", floor)):
        print(f"{name:24}{run['seconds']:>9.2f}{run['peak_mib']:>10.0f}{run['rows'] / run['seconds']:>14,.0f}")
    print(f"{'ratio':24}{ratio:>9.2f}")


if __name__ == "__main__":
    main()
