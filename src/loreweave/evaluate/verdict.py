"""What the tests allow to be said, in words: for each model that uses knowledge, whether it helped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

ALPHA = 0.05
"""An adjusted p below this is called a difference."""


@dataclass(frozen=True)
class Verdict:
    """`tone` is `good`, `bad` or `open`; `word` a word or two; `text` a sentence with the figures."""

    model: str
    tone: str
    word: str
    text: str


def verdicts(result: Mapping[str, Any]) -> list[Verdict]:
    """One for each model with the tests real − none and real − shuffled, best model first."""
    by_claim = {(model, _control_of(test)): test for test in result["tests"] if (model := _model_of(test)) is not None}
    models = [model for model in dict.fromkeys(model for model, _ in by_claim) if {(model, "none"), (model, "shuffled")} <= set(by_claim)]
    means = {
        model: [
            row["metrics"][result["protocol"]["metric"]] for row in result["results"] if (row["model"], row["knowledge"]) == (model, "real")
        ]
        for model in models
    }
    models.sort(key=lambda model: -sum(means[model]) / len(means[model]))
    return [_verdict(model, by_claim[(model, "none")], by_claim[(model, "shuffled")]) for model in models]


def headline(result: Mapping[str, Any]) -> str:
    """The answer in one line."""
    name, found = result["protocol"]["data"]["name"], verdicts(result)
    if not found:
        return f"{name}: models compared, no verdict on knowledge"
    helped = [verdict.model for verdict in found if verdict.tone == "good"]
    if len(helped) == len(found):
        return f"{name}: the knowledge helped" + (f" all {len(found)} models" if len(found) > 1 else f" {found[0].model}")
    harmed = ", ".join(verdict.model for verdict in found if verdict.tone == "bad")
    if helped:
        return f"{name}: the knowledge helped {len(helped)} of {len(found)} models" + (f" and did harm to {harmed}" if harmed else "")
    if harmed:
        return f"{name}: the knowledge did harm to {harmed}"
    return f"{name}: no gain from the knowledge is shown"


def metric_name(metric: str) -> str:
    """`ndcg@20` to `NDCG@20`."""
    kind, _, k = metric.partition("@")
    known = {"ndcg": "NDCG", "mrr": "MRR", "map": "MAP", "hit_rate": "hit rate"}
    return f"{known.get(kind, kind)}@{k}"


def _verdict(model: str, none: Mapping[str, Any], shuffled: Mapping[str, Any]) -> Verdict:
    figures = (
        f"{metric_name(none['metric'])}, real knowledge against none: {_figures(none)}; against the same knowledge shuffled between users: "
        f"{_figures(shuffled)}."
    )
    over_none, over_shuffled = _sign(none), _sign(shuffled)
    if over_none > 0 and over_shuffled > 0:
        return Verdict(model, "good", "It helped", f"{figures} It matters whose knowledge it is.")
    if over_none < 0:
        return Verdict(model, "bad", "It did harm", figures)
    if over_none > 0:
        better = "; shuffled, it serves better" if over_shuffled < 0 else ""
        return Verdict(model, "open", "Not shown", f"{figures} It is not shown that it matters whose knowledge it is{better}.")
    if over_shuffled > 0:
        return Verdict(model, "open", "Not shown", f"{figures} Real knowledge beats shuffled knowledge, but not going without.")
    return Verdict(model, "open", "Not shown", figures)


def _figures(test: Mapping[str, Any]) -> str:
    sign = 1 if test["expected"] else -1
    low, high = sorted(sign * end for end in test["ci"])
    return f"{sign * test['difference']:+.4f} (95% interval {low:+.4f} to {high:+.4f}, Holm p {_p(test['p_holm'])})"


def _p(value: float) -> str:
    return f"{value:.4f}" if value >= 0.0001 else "< 0.0001"


def _sign(test: Mapping[str, Any]) -> int:
    return 0 if test["p_holm"] >= ALPHA else 1 if test["expected"] else -1


def _sides(test: Mapping[str, Any]) -> tuple[tuple[str, str], tuple[str, str]]:
    better, worse = (test["better"], test["worse"]) if test["expected"] else (test["worse"], test["better"])
    left, right = better.rpartition(" "), worse.rpartition(" ")
    return (left[0], left[2]), (right[0], right[2])


def _model_of(test: Mapping[str, Any]) -> str | None:
    """The model whose real arm is tested against an own control, or None for another claim."""
    (model, arm), (other, control) = _sides(test)
    return model if model == other and arm == "real" and control in ("none", "shuffled") else None


def _control_of(test: Mapping[str, Any]) -> str:
    return _sides(test)[1][1]
