"""The report's tables: results, tests, shuffles, deletion, further figures. Each is one function of what `compare` returns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from statistics import fmean
from typing import Any

from loreweave.evaluate.markup import Markup, interval, joined, section, table
from loreweave.evaluate.protocol import statement
from loreweave.evaluate.summary import mean_and_spread
from loreweave.evaluate.verdict import metric_name

Result = Mapping[str, Any]


def results(result: Result) -> str:
    """Recall and NDCG at every k, mean and spread; the best of a column in bold."""
    rows, protocol = result["results"], result["protocol"]
    metrics = [f"{kind}@{k}" for k in protocol["k"] for kind in ("recall", "ndcg")]
    values = {metric: mean_and_spread(rows, metric) for metric in metrics}
    sides = list(values[metrics[0]])
    best = {metric: max(round(mean, 4) for mean, _, _ in each.values()) for metric, each in values.items()}
    body = []
    for number, side in enumerate(sides):
        model, arm = side
        cells: list[Any] = ["" if number and sides[number - 1][0] == model else model, arm]
        for metric in metrics:
            mean, spread, _ = values[metric][side]
            shown = f"<b>{mean:.4f}</b>" if round(mean, 4) == best[metric] else f"{mean:.4f}"
            cells.append(Markup(shown + ("" if spread is None else f' <span class="spread">± {spread:.4f}</span>')))
        body.append([*cells, f"{_mean(rows, side, 'seconds', 'fit'):,.1f}"])
    starts = [number for number, cells in enumerate(body) if cells[0]]
    heads = ["model", "knowledge", *map(metric_name, metrics), "fit, s"]
    several = len(protocol["seeds"]) > 1
    note = "Mean ± standard deviation over seeds; the best of a column in bold." if several else "One seed; the best of a column in bold."
    return section("Results on test", note, table(heads, body, caption=statement(protocol), text=("knowledge",), starts=starts))


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


def further(result: Result) -> str:
    """The other metrics at the first k, recall among head and tail targets, and system-wide figures."""
    rows, k = result["results"], result["protocol"]["k"][0]
    names = [f"precision@{k}", f"hit_rate@{k}", f"mrr@{k}", f"map@{k}"]
    system = [f"coverage@{k}", f"gini@{k}", f"novelty@{k}"]
    popularity = {(row["model"], row["knowledge"], row["group"]): row for row in result["popularity"]}
    body, before = [], None
    starts = []
    for number, side in enumerate(mean_and_spread(rows, names[0])):
        if side[0] != before:
            starts.append(number)
        cells = ["" if side[0] == before else side[0], side[1]]
        cells += [f"{_mean(rows, side, 'metrics', name):.4f}" for name in names]
        cells += [f"{popularity[(*side, group)]['value']:.4f}" for group in ("head", "tail")]
        cells += [f"{_mean(rows, side, 'system', name):.3f}" for name in system]
        body.append(cells)
        before = side[0]
    recall = next(iter(popularity.values()))["metric"]
    heads = ["model", "knowledge", *map(metric_name, names), f"{recall}, head", f"{recall}, tail", *map(metric_name, system)]
    note = (
        "Means over seeds; descriptive. Head: recall among targets from the most popular fifth of the candidates; tail: among the others. "
        "Coverage: share of the candidates that anybody is recommended. Gini: 0 where all are recommended alike. Novelty: mean "
        "self-information of what is recommended, in bits."
    )
    shown = table(heads, body, caption=statement(result["protocol"]), text=("knowledge",), starts=starts)
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


def _mean(rows: Iterable[Mapping[str, Any]], side: tuple[str, str], group: str, name: str) -> float:
    return fmean(row[group][name] for row in rows if (row["model"], row["knowledge"]) == side)
