"""The report's examples: what a few people would see, and why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from loreweave.evaluate.markup import Markup, safe, section
from loreweave.evaluate.summary import mean_and_spread


def people(result: Mapping[str, Any]) -> str:
    """The best model that uses knowledge (else the best) in full, the others folded away."""
    shown = [entry for entry in result["examples"] if entry["people"]]
    if not shown:
        return ""
    means = mean_and_spread(result["results"], result["protocol"]["metric"])
    real = {model for model, arm in means if arm == "real"}
    shown.sort(key=lambda entry: (entry["model"] not in real, -means[(entry["model"], "real" if entry["model"] in real else "none")][0]))
    first, *others = shown
    folded = "".join(f"<details><summary>{safe(entry['model'])}</summary>{_all(entry['people'])}</details>" for entry in others)
    note = (
        f"Recommendations by {first['model']} for a few people drawn at random, with the causes that weigh most. "
        "What was in truth held out is marked."
    )
    return section("What people would see", note, _all(first["people"]), folded)


def _all(group: list[Mapping[str, Any]]) -> str:
    return "".join(_person(person) for person in group)


def _person(person: Mapping[str, Any]) -> Markup:
    left_out = person["met"] - len(person["history"])
    history = "".join(f"<li>{safe(title)}</li>" for title in person["history"]) + (f"<li>and {left_out} more</li>" if left_out > 0 else "")
    interests = "".join(f'<li class="interest">{safe(label)}</li>' for label in person["interests"])
    held = f'<span class="small">interests</span><ul class="chips">{interests}</ul>' if interests else ""
    items = "".join(_recommended(item) for item in person["items"])
    return Markup(
        f'<div class="card person"><h3>Person {safe(person["user"])}</h3><span class="small">met</span><ul class="chips">{history}</ul>'
        f'{held}<ol class="recommended">{items}</ol></div>'
    )


def _recommended(item: Mapping[str, Any]) -> str:
    mark = ' <span class="badge good">held out</span>' if item["held_out"] else ""
    largest = max((abs(reason["contribution"]) for reason in item["reasons"]), default=0.0) or 1.0
    reasons = "".join(_reason(reason, largest) for reason in item["reasons"])
    return (
        f'<li><div><span class="title">{safe(item["title"])}</span>{mark}<br>'
        f'<span class="small">score {item["score"]:.3g}</span></div><ul class="reasons">{reasons}</ul></li>'
    )


def _reason(reason: Mapping[str, Any], largest: float) -> str:
    kind = "" if reason["kind"] == "item" else f' <span class="kind">{safe(reason["kind"])}</span>'
    width = 100 * abs(reason["contribution"]) / largest
    return (
        f'<li class="{safe(reason["kind"])}"><span class="bar" style="width:{width:.0f}%"></span>'
        f'<span class="amount">{reason["contribution"]:+.2g}</span><span class="why">{safe(reason["text"])}{kind}</span></li>'
    )
