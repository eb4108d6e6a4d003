"""SASRec against RecTools' on MovieLens 1M: NDCG@10 and Recall@10 after the same seconds of training, softmax over all items.

    make bench/.peers/rectools
    python bench/studies/sasrec_quality.py [--minutes 20] [--seed 1] [--out runs/sasrec_quality]

Needs $LOREWEAVE_DATA. Leave-last-out. Each side trains on train for --minutes, the same dim, blocks, heads, positions, batch, dropout and
learning rate, the rest its own default; evaluation and preparation of data do not count, and the epoch under way when time is up is
finished and counts. The epoch with the best NDCG@10 on validation is chosen; ours may stop earlier, after ten evaluations without a gain
(the default). Then each is fitted anew on train and validation for so many epochs, and test is looked at once. Both are judged by
`evaluate`: full ranking, what was met aside, ties against the model; RecTools gives its lists of 20 with scores, and what is in none of
them is a miss (it knows no item that stands in nobody's newest positions + 1; the line of JSON says how many targets that costs it). The
difference is tested on the same users by a paired bootstrap. Also: seconds for the top 20 of all users with our model, saved and loaded.
What is finished is kept in --out and not repeated; a fit of ours is continued. Prints a table and one JSON line.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import polars as pl
import torch

from loreweave import create, data, load
from loreweave.config import Config
from loreweave.data import Dataset, Interactions, Split, k_core
from loreweave.evaluate import evaluate
from loreweave.evaluate.statistics import paired_bootstrap
from loreweave.files import read_json, write_json
from loreweave.learn.sequences import Sequences
from loreweave.models.base import Recommender

BENCH = Path(__file__).parents[1]
PEER = BENCH / ".peers" / "rectools" / "bin" / "python"
METRICS = ("ndcg@10", "recall@10")
TOP, TOP_RUNS = 20, 5


class Listed(Recommender):
    """A peer's lists as a model: the scores of what it lists, −inf for the rest."""

    name = "listed"
    config_class: ClassVar[type[Config]] = Config

    @classmethod
    def of(cls, lists: Path, train: Dataset) -> Listed:
        """The lists in a file, of a peer that was fitted on `train`."""
        model = cls().fit(train)
        with np.load(lists) as told:
            user, item, score = (told[name] for name in ("user", "item", "score"))
        model.scores = np.full((model.n_users, model.n_items), -np.inf, dtype=np.float32)
        model.scores[user, item] = score
        if np.isfinite(model.scores[model.history.nonzero()]).any():
            raise SystemExit(f"{lists} holds items that were met: not the same task")
        return model

    def _fit(self, *given: Any) -> None:
        pass

    def score_codes(self, users: Any) -> Any:
        return self.scores[users]

    def _score_rows(self, history: Any, interests: Any) -> Any:
        raise NotImplementedError

    def _state(self) -> Any:
        raise NotImplementedError

    def _restore(self, state: Any) -> None:
        raise NotImplementedError


def judged(model: Recommender, held_out: Interactions) -> pl.DataFrame:
    """`user` and METRICS."""
    return evaluate(model, held_out, ks=(10,)).per_user.select("user", *METRICS).sort("user")


def means(users: pl.DataFrame) -> dict[str, float]:
    return {name: float(users[name].mean()) for name in METRICS}


def once(path: Path, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What `work` gives, kept in a file and not worked out again."""
    if not path.exists():
        write_json(path, work())
    return dict(read_json(path))


def hand_over(train: Dataset, path: Path) -> None:
    histories = Sequences.of(train)
    order = np.arange(len(histories.items)) - histories.indptr[histories.owner]
    np.savez(path, user=histories.owner, item=histories.items, order=order)


# Ours


def ours_chosen(made: Split, settings: dict[str, Any], budget: float, checkpoint: Path) -> dict[str, Any]:
    """Train until the seconds are spent, going on from the checkpoint again and again: the result is that of one uninterrupted fit."""
    note = checkpoint.with_name("epochs.json")  # how many were wanted when a run was stopped: the checkpoint may have as many already
    wanted = int(once(note, lambda: {"epochs": 1})["epochs"])
    while True:
        write_json(note, {"epochs": wanted})
        model = create("sasrec", {**settings, "epochs": wanted})
        model.fit(made.train, valid=made.valid, checkpoint=checkpoint, resume=True)
        rows: list[dict[str, float]] = model.training
        spent = sum(row["seconds"] for row in rows)
        if spent >= budget or len(rows) < wanted:
            break
        wanted += max(1, int((budget - spent) / max(row["seconds"] for row in rows)))
    return {
        "epochs": model.best_epoch,
        "valid ndcg@10": model.metrics["valid_ndcg@10"],
        "seconds": [row["seconds"] for row in rows],
        "valid by epoch": [round(row["valid"], 5) for row in rows],
        "stopped": "by the budget" if spent >= budget else "by validation",
        "load": os.getloadavg()[2],
    }


def ours_tested(made: Split, settings: dict[str, Any], epochs: int, out: Path) -> dict[str, Any]:
    model = create("sasrec", {**settings, "epochs": epochs}).fit(made.refit, checkpoint=out / "checkpoint-refit", resume=True)
    users = judged(model, made.test)
    users.write_parquet(out / "loreweave.parquet")
    model.save(out / "model")
    return {**means(users), "seconds": [row["seconds"] for row in model.training]}


def top_seconds(folder: Path) -> dict[str, Any]:
    """Seconds to load our model, and for the top 20 of everybody."""
    started = time.perf_counter()
    model = load(folder)
    loaded = time.perf_counter() - started
    runs = []
    for _ in range(TOP_RUNS + 1):
        started = time.perf_counter()
        model.recommend(k=TOP)
        runs.append(time.perf_counter() - started)
    return {"users": model.n_users, "load": round(loaded, 3), "first": round(runs[0], 3), "median": round(statistics.median(runs[1:]), 3)}


# The peer


def asked(task: str, log: Path, settings: dict[str, Any], *further: str) -> dict[str, Any]:
    command = [str(PEER), str(BENCH / "peers" / "sasrec_rectools.py"), task, str(log), json.dumps(settings), *further]
    environment = {**os.environ, "OMP_NUM_THREADS": str(settings["threads"])}
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    return dict(json.loads(done.stdout))


def peer_chosen(made: Split, settings: dict[str, Any], budget: float, folder: Path) -> dict[str, Any]:
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir()
    hand_over(made.train, folder / "log.npz")
    told = asked("select", folder / "log.npz", settings, str(budget), str(folder))
    valid = [means(judged(Listed.of(lists, made.train), made.valid))["ndcg@10"] for lists in sorted(folder.glob("epoch-*.npz"))]
    best = int(np.argmax(valid))
    return {
        "epochs": best + 1,
        "valid ndcg@10": valid[best],
        "seconds": told["seconds"],
        "valid by epoch": [round(value, 5) for value in valid],
        "stopped": "by the budget",
        "load": os.getloadavg()[2],
        "targets": told["targets"],
    }


def peer_tested(made: Split, settings: dict[str, Any], epochs: int, out: Path) -> dict[str, Any]:
    hand_over(made.refit, out / "log-refit.npz")
    told = asked("refit", out / "log-refit.npz", {**settings, "epochs": epochs}, str(out / "lists-refit.npz"))
    users = judged(Listed.of(out / "lists-refit.npz", made.refit), made.test)
    users.write_parquet(out / "rectools.parquet")
    window = np.unique(Sequences.of(made.refit).newest(settings["session_max_len"] + 1).items)  # RecTools knows no other items
    unknown = int((~np.isin(made.test.positives().item, window)).sum())
    return {**means(users), "seconds": told["seconds"], "items known": told["items"], "targets unknown": unknown}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=20, help="of training, for the choice of the number of epochs, each side")
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--blocks", type=int, default=2)
    parser.add_argument("--heads", type=int, default=2)
    parser.add_argument("--positions", type=int, default=200)
    parser.add_argument("--dropout", type=float, default=0.2)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--learning-rate", type=float, default=0.001)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--users", type=int, help="only the first so many, for a quick look")
    parser.add_argument("--out", type=Path, default=Path("runs/sasrec_quality"))
    arguments = parser.parse_args()
    if "LOREWEAVE_DATA" not in os.environ:
        raise SystemExit("set LOREWEAVE_DATA to the folder that holds the data sets")
    if not PEER.exists():
        raise SystemExit("the peer is not installed: make bench/.peers/rectools")
    os.environ["CUDA_VISIBLE_DEVICES"] = ""  # both on the CPU
    out: Path = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    asked_for = {name: value for name, value in vars(arguments).items() if name != "out"}
    if once(out / "settings.json", lambda: asked_for) != asked_for:
        raise SystemExit(f"{out} holds results of other settings (settings.json); give a fresh --out")
    torch.set_num_threads(arguments.threads)

    dataset = data.read(Path(os.environ["LOREWEAVE_DATA"]) / "ml-1m")
    if arguments.users is not None:
        log = dataset.interactions
        dataset = k_core(dataset.with_interactions(log.take(log.user < arguments.users)), 1)
    made = data.split(dataset, "leave_last_out")
    budget = arguments.minutes * 60
    both = {"batch_size": arguments.batch_size, "loss": "softmax"}
    settings = {
        "dim": arguments.dim,
        "blocks": arguments.blocks,
        "heads": arguments.heads,
        "max_length": arguments.positions,
        "dropout": arguments.dropout,
        "learning_rate": arguments.learning_rate,
        "seed": arguments.seed,
    } | both
    theirs = {
        "n_factors": arguments.dim,
        "n_blocks": arguments.blocks,
        "n_heads": arguments.heads,
        "session_max_len": arguments.positions,
        "dropout_rate": arguments.dropout,
        "lr": arguments.learning_rate,
        "seed": arguments.seed,
        "threads": arguments.threads,
    } | both

    chosen = {
        "loreweave": once(out / "loreweave-chosen.json", lambda: ours_chosen(made, settings, budget, out / "checkpoint")),
        "rectools": once(out / "rectools-chosen.json", lambda: peer_chosen(made, theirs, budget, out / "rectools")),
    }
    tested = {
        "loreweave": once(out / "loreweave-tested.json", lambda: ours_tested(made, settings, chosen["loreweave"]["epochs"], out)),
        "rectools": once(out / "rectools-tested.json", lambda: peer_tested(made, theirs, chosen["rectools"]["epochs"], out)),
    }
    top = once(out / "top.json", lambda: top_seconds(out / "model"))
    users = pl.read_parquet(out / "loreweave.parquet").join(pl.read_parquet(out / "rectools.parquet"), on="user", suffix=" of the peer")
    differences = np.stack([(users[name] - users[f"{name} of the peer"]).to_numpy() for name in METRICS], axis=1)
    tests = dict(zip(METRICS, paired_bootstrap(differences), strict=True))

    rows = {}
    for name, found in chosen.items():
        rows[name] = {
            **{metric: round(tested[name][metric], 4) for metric in METRICS},
            "valid ndcg@10": round(found["valid ndcg@10"], 4),
            "epochs": found["epochs"],
            "epochs run": len(found["seconds"]),
            "seconds": round(sum(found["seconds"]), 1),
            "seconds an epoch": round(statistics.median(found["seconds"]), 2),
            "seconds of the refit": round(sum(tested[name]["seconds"]), 1),
            "load average, 15 min": round(found["load"], 2),  # the sides are not trained in turn: were they equally disturbed?
            "stopped": found["stopped"],
        }
    print(f"{'SASRec, ml-1m':24}" + "".join(f"{name:>15}" for name in rows))
    for column in rows["loreweave"]:
        print(f"{column:24}" + "".join(f"{row[column]!s:>15}" for row in rows.values()))
    for name, test in tests.items():
        print(f"ours − RecTools', {name}: {test.difference:+.4f} [{test.ci[0]:+.4f}, {test.ci[1]:+.4f}], p {test.p:.4f}")
    print(f"top {TOP} of {top['users']} users, our model saved and loaded: {top['median']} s")
    result = {
        "bench": "sasrec_quality",
        "data": dataset.name,
        "users": dataset.n_users,
        "items": dataset.n_items,
        "interactions": len(dataset.interactions),
        "budget_seconds": budget,
        "settings": settings,
        **rows,
        "rectools_targets_an_epoch": chosen["rectools"]["targets"],
        "rectools_items_known": tested["rectools"]["items known"],
        "rectools_test_targets_unknown": tested["rectools"]["targets unknown"],
        "difference": {
            name: {"mean": round(test.difference, 4), "ci": [round(end, 4) for end in test.ci], "p": round(test.p, 4), "users": test.users}
            for name, test in tests.items()
        },
        "seconds_top20_all_users": top["median"],
        "seconds_top20_first_call": top["first"],
        "seconds_load": top["load"],
        "threads": arguments.threads,
        "torch": torch.__version__,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
    }
    print(json.dumps(result, ensure_ascii=False))


if __name__ == "__main__":
    main()
