"""From the cells of a comparison to what may be said of it: the tests named before the run, groups, permutations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from loreweave.errors import DataError
from loreweave.evaluate.cells import Found
from loreweave.evaluate.groups import history_groups
from loreweave.evaluate.statistics import holm, paired_bootstrap, upper_bound

Side = tuple[str, str]
"""A model and an arm."""


@dataclass(frozen=True)
class Claim:
    """`better` is expected to be above `worse` in `metric`: named before the run, one of a family."""

    better: Side
    worse: Side
    metric: str

    def __str__(self) -> str:
        return f"{' '.join(self.better)} − {' '.join(self.worse)}, {self.metric}"


class PerUser:
    """Every user's value averaged over seeds, by model and arm."""

    def __init__(self, found: Sequence[Found]) -> None:
        self._frames: dict[Side, list[pl.DataFrame]] = {}
        for one in found:
            if one.cell.permutation is None:
                self._frames.setdefault((one.cell.name, one.cell.arm), []).append(one.per_user)

    def paired(self, better: Side, worse: Side, metric: str) -> pl.DataFrame:
        """Frame `user`, `n_history`, `better`, `worse`: a row a user judged in both, sorted by user."""
        left = self._mean(better, metric).rename({metric: "better"})
        right = self._mean(worse, metric).select("user", pl.col(metric).alias("worse"))
        return left.join(right, on="user", how="inner").sort("user")

    def _mean(self, side: Side, metric: str) -> pl.DataFrame:
        if side not in self._frames:
            raise DataError(f"no results of {' '.join(side)} to test; it is not among the models and arms of this comparison")
        frames = [frame.select("user", "n_history", metric) for frame in self._frames[side]]
        return pl.concat(frames).group_by("user").agg(pl.col("n_history").mean(), pl.col(metric).mean())


def paired_tests(values: PerUser, family: Sequence[Claim]) -> list[dict[str, Any]]:
    """A row a claim: `better`, `worse`, `metric`, `difference`, `ci` (95%), `p`, `p_holm` over the family, `users`.

    `better` is the one with the higher mean; `expected` tells whether it is the one the claim named. The test is two-sided.
    """
    frames = [values.paired(claim.better, claim.worse, claim.metric) for claim in family]
    found = _bootstrapped(frames)
    adjusted = holm([test.p for test in found])
    rows = []
    for claim, test, p_holm in zip(family, found, adjusted, strict=True):
        expected = test.difference >= 0
        sides = (claim.better, claim.worse) if expected else (claim.worse, claim.better)
        low, high = test.ci if expected else (-test.ci[1], -test.ci[0])
        rows.append(
            {
                "better": " ".join(sides[0]),
                "worse": " ".join(sides[1]),
                "metric": claim.metric,
                "difference": abs(test.difference),
                "ci": [low, high],
                "p": test.p,
                "p_holm": p_holm,
                "users": test.users,
                "expected": expected,
                "claim": str(claim),
            }
        )
    return rows


def _bootstrapped(frames: Sequence[pl.DataFrame]) -> list[Any]:
    """Tests over the same users share their resamples."""
    by_users: dict[str, list[int]] = {}
    for place, frame in enumerate(frames):
        by_users.setdefault(str(frame["user"].to_list()), []).append(place)
    found: list[Any] = [None] * len(frames)
    for places in by_users.values():
        table = np.column_stack([_difference(frames[place]) for place in places])
        for place, test in zip(places, paired_bootstrap(table), strict=True):
            found[place] = test
    return found


def _difference(frame: pl.DataFrame) -> NDArray[np.float64]:
    return (frame["better"] - frame["worse"]).to_numpy()


def group_gains(values: PerUser, names: Sequence[str], metric: str) -> list[dict[str, Any]]:
    """What real knowledge is worth to users of each history length: `model`, `by`, `group`, `users`, `none`, `real`, `difference`, `ci`."""
    rows = []
    for name in names:
        frame = values.paired((name, "real"), (name, "none"), metric)
        group, labels = history_groups(frame["n_history"].round().cast(pl.Int64).to_numpy())
        for index, label in enumerate(labels):
            part = frame.filter(pl.Series(group == index))
            test = paired_bootstrap(_difference(part))[0]
            rows.append(
                {
                    "model": name,
                    "by": "history length",
                    "group": label,
                    "users": part.height,
                    "metric": metric,
                    "none": float(part["worse"].to_numpy().mean()),
                    "real": float(part["better"].to_numpy().mean()),
                    "difference": test.difference,
                    "ci": list(test.ci),
                }
            )
    return rows


def group_rows(found: Sequence[Found], by: str, metrics: Sequence[str]) -> list[dict[str, Any]]:
    """Head and tail `by` item popularity or user activity, means over seeds: `model`, `knowledge`, `by`, `group`, `users`, `metrics`."""
    parts: dict[tuple[str, str, str], list[Mapping[str, Any]]] = {}
    for one in found:
        if one.cell.permutation is None:
            for group in one.row["groups"]:
                if group["by"] == by:
                    parts.setdefault((one.cell.name, one.cell.arm, group["group"]), []).append(group)
    return [
        {
            "model": name,
            "knowledge": arm,
            "by": by,
            "group": label,
            "users": round(fmean(part["users"] for part in each)),
            "metrics": {metric: fmean(part["metrics"][metric] for part in each) for metric in metrics},
        }
        for (name, arm, label), each in parts.items()
    ]


def permutation_rows(found: Sequence[Found], metric: str) -> list[dict[str, Any]]:
    """Shuffled − none over many shuffles at the first seed: `draws`, their `mean`, `sd`, `largest` and the `upper95` bound of the mean."""
    none = {(one.cell.name, one.cell.seed): one.row["metrics"][metric] for one in found if one.cell.arm == "none"}
    real = {(one.cell.name, one.cell.seed): one.row["metrics"][metric] for one in found if one.cell.arm == "real"}
    draws: dict[tuple[str, int], list[float]] = {}
    for one in found:
        if one.cell.permutation is not None:
            place = (one.cell.name, one.cell.seed)
            draws.setdefault(place, []).append(one.row["metrics"][metric] - none[place])
    return [
        {
            "model": place[0],
            "seed": place[1],
            "metric": metric,
            "real_minus_none": real[place] - none[place],
            "mean": float(np.mean(each)),
            "sd": float(np.std(each, ddof=1)),
            "largest": max(each),
            "upper95": upper_bound(each),
            "draws": each,
        }
        for place, each in draws.items()
    ]


def mean_and_spread(rows: Sequence[Mapping[str, Any]], metric: str, group: str = "metrics") -> dict[Side, tuple[float, float | None, int]]:
    """Mean of a metric over seeds, its standard deviation (None for one seed) and the number of seeds, by model and arm in order.

    `group` is where a row has it: `metrics`, `sampled`.
    """
    values: dict[Side, list[float]] = {}
    for row in rows:
        values.setdefault((row["model"], row["knowledge"]), []).append(row[group][metric])
    return {
        side: (float(np.mean(each)), float(np.std(each, ddof=1)) if len(each) > 1 else None, len(each)) for side, each in values.items()
    }
