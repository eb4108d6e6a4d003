"""The report's tables: results, tests, shuffles, deletion, further figures. Each is one function of what `compare` returns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any

from loreweave.evaluate.markup import Markup, interval, joined, section, table
from loreweave.evaluate.protocol import statement
from loreweave.evaluate.sampled import CUTS
from loreweave.evaluate.summary import Side, mean_and_spread
from loreweave.evaluate.verdict import metric_name

Result = Mapping[str, Any]


def results(result: Result) -> str:
    """Recall and NDCG at every k, mean and spread; the best of a column in bold."""
    rows, protocol = result["results"], result["protocol"]
    metrics = [f"{kind}@{k}" for k in protocol["k"] for kind in ("recall", "ndcg")]
    body = [[*cells, f"{_mean(rows, side, 'seconds', 'fit'):,.1f}"] for side, cells in _means(rows, metrics)]
    heads = ["model", "knowledge", *map(metric_name, metrics), "fit, s"]
    several = len(protocol["seeds"]) > 1
    note = "Mean ± standard deviation over seeds; the best of a column in bold." if several else "One seed; the best of a column in bold."
    return section("Results on test", note, table(heads, body, caption=statement(protocol), text=("knowledge",), starts=_starts(body)))


def sampled(result: Result) -> str:
    """Hit rate and NDCG among random items at the cuts of the papers, where they were asked for."""
    protocol = result["protocol"]
    if not (among := protocol["sampled"]):
        return ""
    shown = []
    for kind, least in (("hit_rate", 1), ("ndcg", 2)):  # at 1 they are one
        if metrics := [f"{kind}@{k}" for k in among["k"] if k in CUTS and k >= least]:
            body = [cells for _, cells in _means(result["results"], metrics, "sampled")]
            heads = ["model", "knowledge", *map(metric_name, metrics)]
            shown.append(table(heads, body, caption=statement(protocol, sampled=True), text=("knowledge",), starts=_starts(body)))
    count = among["negatives"]
    note = (
        f"Each held-out item among itself and {count} items drawn at random, the same for every model and arm. Not a full ranking, and not "
        "comparable with the tables above: sampled metrics may order models otherwise (Krichene and Rendle, KDD 2020). They stand here for "
        "comparison with papers that give no others."
    )
    return section(f"Among {count} random items", note, *shown)


def tests(result: Result) -> str:
    """The family named before the run."""
    if not result["tests"]:
        return ""
    rows = [
        [
            test["better"],
            test["worse"],
            metric_name(test["metric"]),
            f"+{test['difference']:.4f}",
            interval(test["ci"]),
            f"{test['p']:.4f}",
            f"{test['p_holm']:.4f}",
        ]
        for test in result["tests"]
    ]
    heads = ["better", "worse", "metric", "difference", "95% interval", "p", "p (Holm)"]
    method = result["protocol"]["tests"]["method"]
    caption = statement(result["protocol"])
    shown = table(heads, rows, caption=caption, text=("worse", "metric"))
    return section("Tests named before the run", f"{method[0].upper()}{method[1:]}.", shown)


def permutations(result: Result) -> str:
    """Shuffled − none over further shuffles."""
    found = result["permutations"]
    if not found:
        return ""
    rows = [
        [
            row["model"],
            len(row["draws"]),
            f"{row['sd']:.4f}",
            *(f"{row[key]:+.4f}" for key in ("mean", "upper95", "largest", "real_minus_none")),
        ]
        for row in found
    ]
    heads = ["model", "shuffles", "standard deviation", "mean", "upper 95% bound", "largest", "real − none"]
    note = (
        "If a gain came from the shape of the knowledge and not from whose it is, knowledge shuffled between users would gain as well. "
        f"{metric_name(found[0]['metric'])} on test, seed {found[0]['seed']}; the bound is one-sided, of the mean over shuffles."
    )
    return section("Shuffled − none, over many shuffles", note, table(heads, rows, caption=statement(result["protocol"])))


def deletion(result: Result) -> str:
    """The deletion test of every model that explains."""
    found = result["deletion"]
    if not found:
        return ""
    rows = [
        [
            row["model"],
            row["users"],
            *(f"{row[key]:.4g}" for key in ("score", "named", "random", "difference")),
            interval(row["ci"], ".3g"),
            f"{row['share']:.0%}",
        ]
        for row in found
    ]
    heads = ["model", "people", "score", "drop, named", "drop, random", "difference", "95% interval", "named weigh more"]
    m = found[0]["named_causes"]
    note = (
        f"How far the score of a person's first recommendation falls when the {m} causes that the explanation names first are taken away, "
        f"against {m} of the same person's causes drawn at random. Scores are on each model's own scale."
    )
    return section("Are the reasons the reasons? The deletion test", note, table(heads, rows, caption=statement(result["protocol"])))


def head_and_tail(result: Result) -> str:
    """Recall and NDCG among popular and other targets, and among active and other people."""
    note = (
        "Means over seeds; descriptive. Popular: recall and NDCG among targets from the most popular fifth of the candidates; other: among "
        "the other targets. Active: the fifth of the people with the longest histories; other: the other people."
    )
    return section("Head and tail", note, _parted(result, "popularity", "popular"), _parted(result, "activity", "active"))


def _parted(result: Result, key: str, head: str) -> Markup:
    groups = {(row["model"], row["knowledge"], row["group"]): row["metrics"] for row in result[key]}
    sides, metrics = list(dict.fromkeys(place[:2] for place in groups)), list(result[key][0]["metrics"])
    columns = [(group, metric) for group in ("head", "tail") for metric in metrics]
    body = []
    for number, side in enumerate(sides):
        values = [f"{groups[*side, group][metric]:.4f}" if (*side, group) in groups else "" for group, metric in columns]
        body.append([*_side(sides, number), *values])
    heads = ["model", "knowledge", *(f"{metric_name(metric)}, {head if group == 'head' else 'other'}" for group, metric in columns)]
    return table(heads, body, caption=statement(result["protocol"]), text=("knowledge",), starts=_starts(body))


def further(result: Result) -> str:
    """The other metrics at the first k, and system-wide figures."""
    rows, k = result["results"], result["protocol"]["k"][0]
    names = [f"precision@{k}", f"hit_rate@{k}", f"mrr@{k}", f"map@{k}"]
    system = [f"coverage@{k}", f"gini@{k}", f"novelty@{k}"]
    sides = list(mean_and_spread(rows, names[0]))
    body = []
    for number, side in enumerate(sides):
        cells = [f"{_mean(rows, side, 'metrics', name):.4f}" for name in names]
        body.append([*_side(sides, number), *cells, *(f"{_mean(rows, side, 'system', name):.3f}" for name in system)])
    heads = ["model", "knowledge", *map(metric_name, names), *map(metric_name, system)]
    note = (
        "Means over seeds; descriptive. Coverage: share of the candidates that anybody is recommended. Gini: 0 where all are recommended "
        "alike. Novelty: mean self-information of what is recommended, in bits."
    )
    shown = table(heads, body, caption=statement(result["protocol"]), text=("knowledge",), starts=_starts(body))
    return section("Further figures", note, shown)


def chosen(result: Result) -> Markup:
    """Settings chosen on validation, a row a model, arm and seed."""
    rows = [
        [
            row["model"],
            row["knowledge"],
            row["seed"],
            "" if row["value"] is None else f"{row['value']:.4f}",
            row["trials"],
            _settings(row["settings"]),
        ]
        for row in result["tuning"]
    ]
    heads = ["model", "knowledge", "seed", f"{metric_name(result['protocol']['metric'])} on validation", "trials", "settings"]
    return table(heads, rows, caption=statement(result["protocol"]), text=("knowledge", "settings"))


def _settings(settings: Mapping[str, Any]) -> str:
    return joined(f"{key} = {value}" for key, value in settings.items()) or "defaults"


def _means(rows: Sequence[Mapping[str, Any]], metrics: Sequence[str], group: str = "metrics") -> list[tuple[Side, list[Any]]]:
    """Each model and arm with the cells of its row: mean and spread of every metric, the best of a column in bold."""
    values = {metric: mean_and_spread(rows, metric, group) for metric in metrics}
    sides = list(values[metrics[0]])
    best = {metric: max(round(mean, 4) for mean, _, _ in each.values()) for metric, each in values.items()}
    found = []
    for number, side in enumerate(sides):
        cells = _side(sides, number)
        for metric in metrics:
            mean, spread, _ = values[metric][side]
            shown = f"<b>{mean:.4f}</b>" if round(mean, 4) == best[metric] else f"{mean:.4f}"
            cells.append(Markup(shown + ("" if spread is None else f' <span class="spread">± {spread:.4f}</span>')))
        found.append((side, cells))
    return found


def _side(sides: Sequence[Side], number: int) -> list[Any]:
    """The first two cells of a row: the model where it is another than above, and the arm."""
    model, arm = sides[number]
    return ["" if number and sides[number - 1][0] == model else model, arm]


def _starts(body: Sequence[Sequence[Any]]) -> list[int]:
    return [number for number, cells in enumerate(body) if cells[0]]


def _mean(rows: Iterable[Mapping[str, Any]], side: Side, group: str, name: str) -> float:
    return fmean(row[group][name] for row in rows if (row["model"], row["knowledge"]) == side)
