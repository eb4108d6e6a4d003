"""What GRASP's two settings against wrong texts do, on amazon-fashion without anybody's newest item: how they were chosen.

    python bench/studies/older_items.py [--out runs/older_items]

Needs $LOREWEAVE_DATA. From every history the newest item is taken away, so that the test part of the data is not looked
at; what is left is compared as any data set is: leave-last-out, full ranking, epochs chosen on validation. Rows: the backbone, and GRASP
whose item vectors start at random or from the texts, and whose text maps take full steps or smaller ones; with the right texts and with
half of them other items'. Prints NDCG@10, how far seeds lie apart, the gain over the backbone, and one JSON line. What is finished
is kept in --out and not repeated.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
from pathlib import Path

from loreweave import compare, data
from loreweave.knowledge.templates import Templates

ROWS = {"random start, full steps": ("random", 1.0), "random start": ("random", 0.3), "full steps": ("texts", 1.0), "both": ("texts", 0.3)}
ARMS = ("real", "noised-50")
SEEDS = (1, 2, 3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/older_items"))
    arguments = parser.parse_args()
    if "LOREWEAVE_DATA" not in os.environ:
        raise SystemExit("set LOREWEAVE_DATA to the folder that holds the data sets")
    log = data.split(data.read(Path(os.environ["LOREWEAVE_DATA"]) / "amazon-fashion"), "leave_last_out").refit
    found = compare(
        log,
        {"sasrec": "sasrec", **dict.fromkeys(ROWS, "grasp")},
        arguments.out,
        knowledge=Templates(),
        how="leave_last_out",
        seeds=SEEDS,
        noise=[0.5],
        controls=(),
        settings={row: {"start": start, "text_rate": rate} for row, (start, rate) in ROWS.items()},
        ks=(10,),
        metric="ndcg@10",
        claims=[(f"{row} {arm}", "sasrec none", "ndcg@10") for row in ROWS for arm in ARMS],
    )
    by_arm: dict[str, list[float]] = {}
    for each in found["results"]:
        by_arm.setdefault(f"{each['model']} {each['knowledge']}", []).append(each["metrics"]["ndcg@10"])
    alone = statistics.mean(by_arm["sasrec none"])
    print(f"{'':36}{'N@10':>8}{'seeds':>8}{'gain':>9}")
    for name, values in by_arm.items():
        print(f"{name:36}{statistics.mean(values):8.4f}{statistics.stdev(values):8.4f}{statistics.mean(values) - alone:+9.4f}")
    print(json.dumps({"bench": "older_items", "ndcg@10": by_arm, "tests": found["tests"]}))


if __name__ == "__main__":
    main()
