"""What the schedule of the mask rate and the strength of the contrast do to CIKGRec: losses, the shape of the views, and validation.

    python bench/studies/cikgrec_losses.py [--seeds 1,2,3] [--part masks|contrast] [--out runs/losses.jsonl]

On DBbook2014 ($LOREWEAVE_DATA), real interests, default settings but for what a row names, train part only; the epoch is chosen by
NDCG@20 on validation and nothing looks at test. Alignment is the mean squared distance of a node's two views (less is closer), uniformity
the log of the mean of exp(−2·distance²) over pairs of nodes of a view (less is more spread out): Wang & Isola, ICML 2020, both on the unit
sphere and without noise. What is finished is kept in --out and not fitted again. Prints a table and one JSON line.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from loreweave import create, data, knowledge
from loreweave.data import Split
from loreweave.evaluate import evaluate
from loreweave.knowledge import Knowledge
from loreweave.learn.propagate import propagate
from loreweave.models.graph.cikgrec import CIKGRec
from loreweave.models.graph.graph import Kind

PARTS: dict[str, dict[str, dict[str, Any]]] = {
    "masks": {
        "no reconstruction": {"uir": False},
        "exponential .05 to .75 in 150 epochs": {},
        "exponential .05 to .75 in 15": {"schedule_epochs": 15},
        "linear .05 to .75 in 15": {"mask_schedule": "linear", "schedule_epochs": 15},
        "constant .05": {"mask_schedule": "constant", "mask_max": 0.05},
        "constant .25": {"mask_schedule": "constant", "mask_max": 0.25},
        "constant .75": {"mask_schedule": "constant"},
        "constant .25, ten times the weight": {"mask_schedule": "constant", "mask_max": 0.25, "uir_weight": 0.3},
    },
    "contrast": {
        "no contrast": {"contrast": False},
        "weight .01, temperature .2, noise .1": {},
        "weight .003": {"contrast_weight": 0.003},
        "weight .03": {"contrast_weight": 0.03},
        "weight .1": {"contrast_weight": 0.1},
        "weight .3": {"contrast_weight": 0.3},
        "temperature .1": {"contrast_temperature": 0.1},
        "temperature .5": {"contrast_temperature": 0.5},
        "noise 0": {"contrast_noise": 0.0},
        "noise .3": {"contrast_noise": 0.3},
    },
}
VIEWS: tuple[tuple[Kind, ...], ...] = ((), ("interests",), ("triples",))
PAIRS = 200_000
"""Pairs of nodes that uniformity is estimated on."""


def measured(settings: dict[str, Any], seed: int, split: Split, known: Knowledge) -> dict[str, Any]:
    """Losses by epoch, and what validation and the views say of the epoch that was kept."""
    model = create("cikgrec", {**settings, "seed": seed})
    assert isinstance(model, CIKGRec)
    model.fit(split.train, known, valid=split.valid)
    history = model.training
    weight = model.config.uir_weight
    return {
        "epochs": model.best_epoch,
        **{name: value for name, value in evaluate(model, split.valid, ks=(20, 50)).metrics.items() if name in ("ndcg@20", "recall@50")},
        "reconstruction": [round(row["reconstruction"] / weight, 4) for row in history if "reconstruction" in row],
        **views(model),
    }


def views(model: CIKGRec) -> dict[str, float]:
    """Alignment of the users' and items' two views, and the uniformity of each, without noise."""
    graph, layers = model.graph, model.config.layers
    with torch.no_grad():
        plain, with_interests, with_triples = (
            propagate(graph.edges(kinds).normalised(), model.nodes[graph.range_of(kinds)], layers) for kinds in VIEWS
        )
    with_history = torch.from_numpy(graph.history.sum(axis=1) > 0)
    met = torch.from_numpy(graph.history.sum(axis=0) > 0)
    users = [plain[: graph.n_users], with_interests[graph.users]]
    items = [plain[graph.n_users :], with_triples[graph.n_users : graph.n_users + graph.n_items]]
    found = {}
    for name, both, kept in (("users", users, with_history), ("items", items, met)):
        first, second = (F.normalize(view[kept], dim=1) for view in both)
        found[f"alignment of {name}"] = float((first - second).square().sum(dim=1).mean())
        found[f"uniformity of {name}"] = (uniformity(first) + uniformity(second)) / 2
    return found


def uniformity(view: Tensor) -> float:
    drawn = torch.randint(len(view), (2, PAIRS), generator=torch.Generator().manual_seed(1))
    left, right = drawn[:, drawn[0] != drawn[1]]
    return float((-2 * (view[left] - view[right]).square().sum(dim=1)).exp().mean().log())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", default="1,2,3")
    parser.add_argument("--part", choices=tuple(PARTS))
    parser.add_argument("--out", type=Path, default=Path("runs/losses.jsonl"))
    arguments = parser.parse_args()
    if "LOREWEAVE_DATA" not in os.environ:
        raise SystemExit("set LOREWEAVE_DATA to the folder that holds the data sets")
    folder = Path(os.environ["LOREWEAVE_DATA"]) / "dbbook2014"
    dataset = data.read(folder)
    known = knowledge.read(folder, dataset)
    seeds = [int(seed) for seed in arguments.seeds.split(",")]
    splits = {seed: data.split(dataset, "given", seed=seed) for seed in seeds}
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    done = [json.loads(line) for line in arguments.out.read_text().splitlines()] if arguments.out.exists() else []
    finished = {(row["settings"], row["seed"]): row for row in done}
    rows = []
    for part, variants in PARTS.items():
        if arguments.part in (None, part):
            print(f"\n{part:40} {'N@20':>14} {'R@50':>14} epochs  reconstruction  alignment u, i   uniformity u, i")
            for name, settings in variants.items():
                found = []
                for seed in seeds:
                    key = (json.dumps(settings, sort_keys=True), seed)
                    if key not in finished:
                        finished[key] = {"settings": key[0], "seed": seed, **measured(settings, seed, splits[seed], known)}
                        with arguments.out.open("a") as stream:
                            stream.write(json.dumps(finished[key]) + "\n")
                    found.append(finished[key])
                rows.append(summary(part, name, found))
                show(rows[-1])
    print(json.dumps({"bench": "cikgrec_losses", "seeds": seeds, "rows": rows}))


def summary(part: str, name: str, found: list[dict[str, Any]]) -> dict[str, Any]:
    """Means over seeds, spread of what validation says, and reconstruction loss in the first, middle and last epoch of the first seed."""
    loss = found[0]["reconstruction"]
    row: dict[str, Any] = {"part": part, "name": name, "epochs": [each["epochs"] for each in found]}
    for metric in ("ndcg@20", "recall@50"):
        values = [each[metric] for each in found]
        row[metric] = round(statistics.mean(values), 4)
        row[f"{metric} spread"] = round(statistics.stdev(values), 4) if len(values) > 1 else 0.0
    for told in ("alignment of users", "alignment of items", "uniformity of users", "uniformity of items"):
        row[told] = round(statistics.mean(each[told] for each in found), 3)
    return row | {"reconstruction": [loss[0], loss[len(loss) // 2], loss[-1]] if loss else []}


def show(row: dict[str, Any]) -> None:
    metrics = "  ".join(f"{row[name]:.4f} ±{row[f'{name} spread']:.4f}" for name in ("ndcg@20", "recall@50"))
    shape = "  ".join(f"{row[f'{what} of users']:6.3f} {row[f'{what} of items']:6.3f}" for what in ("alignment", "uniformity"))
    print(f"{row['name']:40} {metrics} {row['epochs']}  {row['reconstruction']}  {shape}", flush=True)


if __name__ == "__main__":
    main()
