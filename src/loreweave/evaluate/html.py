"""The report: one HTML file that needs nothing else, says first whether the knowledge helped, and then everything that answer rests on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from loreweave.evaluate import html_tables, markup, plots
from loreweave.evaluate.html_people import people
from loreweave.evaluate.markup import Markup, facts, figure, joined, legend, listed, safe, section
from loreweave.evaluate.verdict import Verdict, headline, metric_name, verdicts
from loreweave.files import write_text

Result = Mapping[str, Any]
AMONG = ("ranking", "averaged", "caution")
"""What is said of the protocol of the sequential papers."""


def write_report(result: Result, path: Path) -> None:
    """Write the page, atomically.

    Args:
        result: what `compare` returns. All text in it is untrusted (titles, ids) and is escaped.

    Raises:
        SavedError: it cannot be written.
    """
    write_text(path, page(result))


def page(result: Result) -> str:
    """The page as text: no script, and nothing is loaded from elsewhere."""
    protocol, data = result["protocol"], result["protocol"]["data"]
    about = (
        f"{data['name']} · {data['users']:,} users · {data['items']:,} items · {data['interactions']:,} interactions · "
        f"split {protocol['split']['how']} · data {protocol['data_fingerprint']}"
    )
    sections = [
        _answer(result),
        _figures(result),
        html_tables.results(result),
        html_tables.tests(result),
        html_tables.permutations(result),
        html_tables.deletion(result),
        people(result),
        html_tables.head_and_tail(result),
        html_tables.sampled(result),
        html_tables.further(result),
        _protocol(result),
    ]
    footer = Markup(
        f"Loreweave {safe(protocol['versions']['loreweave'])}. The figures are in <code>results.json</code> beside this page, "
        "the values of every user in <code>cells/</code>."
    )
    return markup.page(headline(result), about, sections, footer)


def _answer(result: Result) -> str:
    cards = [_verdict(verdict) for verdict in verdicts(result)]
    if warnings := result["protocol"]["warnings"]:
        cards.append(
            Markup(
                f'<div class="card warnings"><h3>Read with care</h3>{listed(f"{text[:1].upper()}{text[1:]}." for text in warnings)}</div>'
            )
        )
    return f'<section class="verdicts">{"".join(cards)}</section>' if cards else ""


def _verdict(verdict: Verdict) -> Markup:
    return Markup(
        f'<div class="card verdict"><span class="badge {verdict.tone}">{safe(verdict.word)}</span>'
        f"<div><h3>{safe(verdict.model)}</h3><p>{safe(verdict.text)}</p></div></div>"
    )


def _figures(result: Result) -> str:
    rows, ks, name = result["results"], result["protocol"]["k"], metric_name(result["protocol"]["metric"])
    colours = plots.series_colours(rows)
    arms = sorted(dict.fromkeys(row["knowledge"] for row in rows), key=lambda arm: plots.FAMILY.index(arm.partition("-")[0]))
    key = legend((arm, plots.arm_colour(arm)) for arm in arms) if len(arms) > 1 else ""
    caption = "On test. Each seed a faint dot, their mean a full one."
    shown = [figure(f"{name} of every model and arm", plots.by_arm(rows, result["protocol"]["metric"]), caption, key)]
    if result["tests"]:
        caption = "Paired over users, 95% bootstrap intervals; the tests named before the run."
        shown.append(figure("What real knowledge adds", plots.differences(result["tests"]), caption))
    if result["groups"]:
        key = legend((model, colours[model]) for model in dict.fromkeys(row["model"] for row in result["groups"]))
        caption = f"{name}, real − none, in quarters of users by how many items they met; 95% bootstrap intervals; descriptive."
        shown.append(figure("Who gains, by length of history", plots.group_gains(result["groups"], colours), caption, key))
    if len(ks) > 1:
        caption = "The arm real, or none for a model that uses no knowledge; means over seeds."
        shown.append(figure("Recall by length of the list", plots.recall_by_k(rows, ks, colours), caption))
    return section("At a glance", "", f'<div class="grid">{"".join(shown)}</div>')


def _protocol(result: Result) -> str:
    protocol = result["protocol"]
    split, knowledge, among = protocol["split"], protocol["knowledge"], protocol["sampled"]
    options = joined(f"{key} {value}" for key, value in split["settings"].items())
    sizes = f"{split['train']:,} train, {split['valid']:,} validation, {split['test']:,} test interactions (seed {split['seed']})"
    asked = "asked on train while choosing, on train + validation at the refit" if knowledge["asked"] else "recorded"
    asked = f"recorded in part, in part {asked}" if knowledge["asked"] and knowledge["recorded"] else asked
    told = [
        ("split", f"{split['how']}{f' ({options})' if options else ''}: {sizes}"),
        ("split counts", joined((f"{value:,} {key}" for key, value in split["counts"].items() if value), "; ") or "nothing left out"),
        ("filters and reading", joined(protocol["filters"], "; ") or "nothing left out"),
        ("seeds", joined(protocol["seeds"])),
        ("k", joined(protocol["k"])),
        *((name, protocol[name]) for name in ("ranking", "ties", "targets")),
        ("NDCG", protocol["ndcg"]),
        *([(f"among {among['negatives']} random items", joined((among[key] for key in AMONG), "; "))] if among else []),
        ("choosing", protocol["choosing"]),
        ("counts", joined(f"{value:,} {key}" for key, value in protocol["counts"].items())),
        (
            "knowledge",
            f"{knowledge['records']:,} records, {knowledge['interests']:,} interests, by {joined(knowledge['sources']) or 'nobody'}; "
            f"{asked}; fingerprint {knowledge['fingerprint']}",
        ),
        ("knowledge notes", joined(knowledge["notes"], "; ") or "none"),
        ("tests", protocol["tests"]["method"]),
        ("family", joined(protocol["tests"]["family"], "; ") or "none"),
        ("data fingerprint", protocol["data_fingerprint"]),
        ("test fingerprints", joined(dict.fromkeys(each["test_fingerprint"] for each in protocol["splits"]))),
        ("versions", joined(f"{name} {version}" for name, version in protocol["versions"].items())),
        ("machine", f"{protocol['machine']['cpus']} processors, threads: {protocol['machine']['threads']}"),
    ]
    settings = f"<details><summary>Settings chosen on validation</summary>{html_tables.chosen(result)}</details>"
    return section("Protocol", "", f'<div class="card">{facts(told)}</div>', settings)
