"""What must stand beside every figure: split, filters, seeds, k, ties, choosing, data fingerprint, versions, warnings."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import loreweave
from loreweave.data.dataset import Dataset
from loreweave.data.split import Split
from loreweave.evaluate import fingerprints
from loreweave.evaluate.cells import Found
from loreweave.evaluate.evaluation import PROTOCOL
from loreweave.evaluate.metrics import parse_metric
from loreweave.evaluate.plan import Plan
from loreweave.evaluate.sampled import sampled_protocol
from loreweave.evaluate.statistics import CONFIDENCE, RESAMPLES
from loreweave.evaluate.summary import Claim
from loreweave.knowledge.records import Knowledge
from loreweave.knowledge.source import Known, together

PACKAGES = ("numpy", "scipy", "polars", "torch")
BY_THE_FIT = "what a fit chooses itself (epochs, weights of a blend), on validation by ndcg@20, `valid_metrics` or (sequences) ndcg@10"
CHOOSING = (
    "settings by {metric} on validation, for real and none apart; all other arms keep those of real. A grid is walked at every seed, "
    f"but by a model that has {BY_THE_FIT}, where the test part is the same at every seed, at the first alone. Then one fit on train + "
    "validation, and test is looked at once a seed"
)
FIXED = f"settings as given; {BY_THE_FIT}, for real and none apart. Then one fit on train + validation, and test is looked at once a seed"


@dataclass(frozen=True, eq=False)
class Round:
    """One seed: its split, what is known while choosing and at the refit, the hash of what cells are fitted and judged on, and what must be
    said of that knowledge."""

    seed: int
    split: Split
    choosing: Knowledge
    refitting: Knowledge
    data: str
    warnings: tuple[str, ...]


def protocol(
    plan: Plan,
    dataset: Dataset,
    knowledge: Known | None,
    rounds: Sequence[Round],
    family: Sequence[Claim],
    found: Sequence[Found],
    warnings: Sequence[str],
) -> dict[str, Any]:
    """Everything a figure needs beside it."""
    first, counts = rounds[0], found[0].row["counts"]
    ks = sorted({parse_metric(name)[1] for name in found[0].row["metrics"]})
    return {
        "data": {"name": dataset.name, "users": dataset.n_users, "items": dataset.n_items, "interactions": len(dataset.interactions)},
        "data_fingerprint": dataset.fingerprint,
        "split": first.split.describe(),
        "splits": [
            {"seed": each.seed, "fingerprint": each.split.fingerprint, "test_fingerprint": each.split.test_fingerprint} for each in rounds
        ],
        "filters": list(dataset.notes),
        "seeds": list(plan.seeds),
        "metric": plan.metric,
        "k": ks,
        **PROTOCOL,
        "sampled": sampled_protocol(ks, plan.negatives) if plan.negatives else None,
        "choosing": (CHOOSING if plan.tune else FIXED).format(metric=plan.metric),
        "counts": counts,
        "knowledge": {
            "sources": _sources(first.refitting),
            "asked": bool(together(knowledge).sources),
            "recorded": bool(together(knowledge).records),
            "records": len(first.refitting),
            "interests": first.refitting.interests.height,
            "fingerprint": fingerprints.of_knowledge(first.refitting),
            "notes": list(first.refitting.notes),
        },
        "tests": {
            "family": [str(claim) for claim in family],
            "method": f"paired bootstrap over users ({RESAMPLES:,} resamples), each user's value averaged over seeds; "
            f"{CONFIDENCE:.0%} percentile interval, two-sided p, Holm's correction over the family; all else is descriptive",
        },
        "versions": {"loreweave": loreweave.__version__, "python": platform.python_version(), **_versions()},
        "machine": {"cpus": os.cpu_count(), "threads": os.environ.get("OMP_NUM_THREADS", "all")},
        "warnings": list(warnings),
    }


def statement(protocol: Mapping[str, Any], *, sampled: bool = False) -> str:
    """What every table states, in one line: split, filters, seeds, k, ranking, ties, data fingerprint, versions.

    `sampled`: for a table of held-out items among random ones, where the comparison has them.
    """
    among = protocol["sampled"] if sampled else None
    ranking = "full ranking" if among is None else f"NOT a full ranking but among {among['negatives']} random items"
    return (
        f"split {protocol['split']['how']} · filters: {_joined(protocol['filters'], '; ') or 'none'} · "
        f"seeds {_joined(protocol['seeds'])} · k {_joined((among or protocol)['k'])} · {ranking}, ties against the model · "
        f"data {protocol['data_fingerprint']} · "
        f"{_joined(f'{name} {version}' for name, version in protocol['versions'].items())}"
    )


def _joined(values: Iterable[Any], by: str = ", ") -> str:
    return by.join(str(value) for value in values)


def _sources(knowledge: Knowledge) -> list[str]:
    """Who said it: `gpt-3.5-turbo-0125`, or the source where no model is named."""
    said = knowledge.records.select("source", "model").unique().sort("source", "model")
    return [f"{source} ({model})" if model else source for source, model in said.iter_rows()]


def _versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
