"""From records to rates, means and examples: everything a report says in figures."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

RESAMPLES = 1000
CONFIDENCE_Z = 1.959964
"""Of the normal distribution, two-sided 95%."""
EXAMPLES = 3
"""Of the worst and of the best records of each task and model."""
ALL, UNKNOWN = "all", "not in the data"

Floats = NDArray[np.float64]


def wilson(successes: Floats, n: Floats, effect: Floats | float = 1.0) -> tuple[Floats, Floats]:
    """95% interval of a share (Wilson, Journal of the American Statistical Association 22(158), 1927); NaN where n is 0.

    Args:
        effect: design effect (`design_effect`): n observations tell as much as n / effect independent ones.
    """
    z2 = CONFIDENCE_Z**2
    with np.errstate(invalid="ignore", divide="ignore"):
        share = successes / n
        n = n / effect
        middle = (share + z2 / (2 * n)) / (1 + z2 / n)
        half = CONFIDENCE_Z / (1 + z2 / n) * np.sqrt(share * (1 - share) / n + z2 / (4 * n**2))
    return np.clip(middle - half, 0, share), np.clip(middle + half, share, 1)


def design_effect(subjects: pl.DataFrame, key: list[str]) -> pl.DataFrame:
    """How many times the variance of a share is what it were if all records were independent, at least 1: frame `key`, `effect`.

    Source: Kish, Survey Sampling (1965), with the variance of a ratio between subjects. Where no record or every one is hallucinated, or
    all are of one subject, nothing can be seen of it, and the records of one subject are taken to be all alike.

    Args:
        subjects: a row a subject of each group: `key`, `n` (judged, at least 1), `hallucinated`.
    """
    n, bad = pl.col("n"), pl.col("hallucinated")
    share = bad.sum() / n.sum()
    squares = (bad - share * n).pow(2).sum() * pl.len() / (pl.len() - 1)
    seen = (share > 0) & (share < 1) & (pl.len() > 1)
    effect = pl.when(seen).then(squares / (share * (1 - share) * n.sum())).otherwise(n.pow(2).sum() / n.sum())
    return subjects.group_by(key).agg(effect=pl.max_horizontal(effect, 1.0))


def quarters(lengths: NDArray[np.int64]) -> tuple[NDArray[np.int64], list[str]]:
    """Rough quarters (equal lengths stay together): the group of each, and labels such as `4–7`. As comparisons group users."""
    edges = np.unique(np.quantile(lengths, [0.25, 0.5, 0.75], method="inverted_cdf"))
    used, group = np.unique(np.searchsorted(edges, lengths, side="left"), return_inverse=True)
    spans = [(int(lengths[group == index].min()), int(lengths[group == index].max())) for index in range(len(used))]
    return group, [f"{low}" if low == high else f"{low}–{high}" for low, high in spans]


def summary(records: pl.DataFrame) -> pl.DataFrame:
    """Hallucination rates (`Checks.summary`).

    Args:
        records: `task`, `model`, `user`, `item`, `by`, `group`, `place` (of the group), `judged`, `hallucinated`.
    """
    whole = records.with_columns(by=pl.lit(ALL), group=pl.lit(ALL), place=pl.lit(-1, records.schema["place"]))
    both = pl.concat([whole, records])
    key = ["task", "model", "by", "place", "group"]
    sums = pl.col("records", "n", "hallucinated").sum()
    each = both.group_by(*key, subject=pl.coalesce("user", "item")).agg(
        records=pl.len().cast(pl.Int64), n=pl.col("judged").sum().cast(pl.Int64), hallucinated=pl.col("hallucinated").sum().cast(pl.Int64)
    )
    effects = design_effect(each.filter(pl.col("n") > 0), key)
    counted = each.group_by(key).agg(sums).join(effects, on=key, how="left", nulls_equal=True).sort("task", "model", "by", "place")
    low, high = wilson(*(counted[name].cast(pl.Float64).to_numpy() for name in ("hallucinated", "n", "effect")))
    rate = pl.when(pl.col("n") > 0).then(pl.col("hallucinated") / pl.col("n"))
    ends = [pl.Series("low", low, nan_to_null=True), pl.Series("high", high, nan_to_null=True)]
    return counted.with_columns(rate=rate).with_columns(ends).drop("place", "effect")


def grounding(records: pl.DataFrame, seed: int) -> pl.DataFrame:
    """Mean AUCs (`Checks.grounding`).

    Args:
        records: `task`, `model`, `against`, `user`, `item`, `auc`, `auc_dealt`.
    """
    judged = records.filter(pl.col("auc").is_not_null())
    key = ["task", "model", "against"]
    means = judged.group_by(key).agg(
        n=pl.len().cast(pl.Int64),
        auc=pl.col("auc").mean(),
        dealt=pl.col("auc_dealt").mean(),
        below=(pl.col("auc") < 0.5).mean(),
        dealt_below=(pl.col("auc_dealt") < 0.5).mean(),
    )
    means = means.sort(key)
    ends = [
        _bootstrap(judged.filter(pl.struct(key).eq(pl.lit(row, dtype=pl.Struct(judged.select(key).schema)))), seed)
        for row in means.select(key).to_dicts()
    ]
    low, high = (pl.Series(name, [end[side] for end in ends], dtype=pl.Float64) for side, name in enumerate(("low", "high")))
    return means.with_columns(low, high).select(*key, "n", "auc", "low", "high", "dealt", "below", "dealt_below")


def counted(records: pl.DataFrame) -> pl.DataFrame:
    """Records with each kind of problem (`Checks.found`).

    Args:
        records: `row`, `task`, `model`, `problems`.
    """
    key = ["task", "model"]
    kinds = records.explode("problems").drop_nulls("problems").with_columns(kind=pl.col("problems").str.split(":").list.first())
    found = kinds.group_by(*key, "kind").agg(records=pl.col("row").n_unique().cast(pl.Int64))
    of = records.group_by(key).agg(of=pl.len().cast(pl.Int64))
    return found.join(of, on=key).sort(*key, "records", "kind", descending=[False, False, True, False])


def examples(records: pl.DataFrame) -> pl.DataFrame:
    """The worst and the best of every task and model, to read (`Checks.examples`); `row` in place of `rests_on`.

    The worst: hallucinated, those with the most problems of that sort first, then the lowest AUC. The best: without any problem, the
    highest AUC. A text is shown once, and so is whoever it is about.
    """
    key = ["task", "model"]
    many = pl.col("problems").list.len()
    worst = (
        records.filter("hallucinated").with_columns(many=many).sort("many", "auc", "row", descending=[True, False, False], nulls_last=True)
    )
    best = records.filter((many == 0) & pl.col("auc").is_not_null()).sort("auc", "row", descending=[True, False])
    parts = [
        part.unique([*key, "said"], keep="first", maintain_order=True)
        .unique([*key, "user", "item"], keep="first", maintain_order=True)
        .group_by(key, maintain_order=True)
        .head(EXAMPLES)
        .with_columns(side=pl.lit(side))
        for side, part in (("worst", worst.drop("many")), ("best", best))
    ]
    shown = pl.concat([part.select(*key, "side", "row", "user", "item", text="said", auc="auc", problems="problems") for part in parts])
    return shown.sort(*key, "side", descending=[False, False, True], maintain_order=True)


def _bootstrap(judged: pl.DataFrame, seed: int) -> tuple[float, float]:
    """95% percentile interval of the mean AUC; a user (an item, where there is none) is drawn with all that is said of them."""
    of = (
        judged.select(subject=pl.coalesce("user", "item"), auc="auc")
        .group_by("subject", maintain_order=True)
        .agg(pl.col("auc").sum(), pl.len())
    )
    total, count, n = of["auc"].to_numpy(), of["len"].to_numpy(), of.height
    rng = np.random.default_rng(seed)
    means = np.empty(RESAMPLES)
    for draw in range(RESAMPLES):
        times = np.bincount(rng.integers(0, n, n), minlength=n)
        means[draw] = (times @ total) / (times @ count)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)
