"""The report on knowledge itself: how much of what a source said is borne out, in one HTML file that needs nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loreweave import __version__
from loreweave.evaluate import markup
from loreweave.evaluate.markup import Markup, facts, figure, interval, joined, legend, listed, safe, section, table
from loreweave.evaluate.plots import COLOURS, SERIES, new_axes, themed
from loreweave.evaluate.structure_report import interests
from loreweave.files import write_text
from loreweave.knowledge.checks import Checks
from loreweave.knowledge.structure import Structure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Row = Mapping[str, Any]
TEXT_CHARS = 400
"""Of a text shown as an example; the rest is folded away."""
STYLE = """
.example + .example { border-top: 1px solid var(--rule); margin-top: 0.8rem; padding-top: 0.8rem; }
.example p { margin: 0.2rem 0; max-width: none; overflow-wrap: anywhere; }
.example summary { font-weight: 400; color: var(--muted); font-size: 0.88rem; }
.chips li.problem { background: var(--bad-wash); color: var(--bad); }
.example .chips { margin: 0.25rem 0; }
h3.side { margin-top: 1.2rem; }
"""
RULES = (
    (
        "hallucinated",
        "ungrounded, or resting on evidence that is not in the person's history or the catalogue, or contradicting the catalogue; the "
        "share is of the records that could have been found so: those with an AUC that counts, with evidence to look up, or about an item "
        "that has attributes to contradict",
    ),
    (
        "AUC",
        "how often the text is closer (cosine) to an item it rests on than to one drawn from those as popular: 1 always, one half for a "
        "text that says nothing about them. It is as good as the encoder: compare only figures of the same one",
    ),
    (
        "ungrounded",
        "an AUC below one half: the text fits what it rests on less well than one that says nothing. It counts what is plainly wrong: of "
        "the same texts dealt out at random only about half fall below (the last column under Groundedness says how many). An interest "
        "whose source names no evidence is held against the whole history and not called ungrounded, since it need not fit all of it",
    ),
    (
        "contradiction",
        "a text about an item names a value of an attribute that the item does not have and no word of its own. Seen by words alone: not "
        "what is said in other words than the catalogue's, nor a wrong value beside a right one; a name in another role, or a year in "
        "which a story is set, may be taken for one",
    ),
    (
        "intervals",
        "95%. Records of one user (of one item, where they are about items) may be wrong together. Shares: Wilson, the number of records "
        "divided by the design effect, how many times the share varies more between users than it would if all records were independent. "
        "AUCs: a bootstrap over users or items",
    ),
)


def write_knowledge_report(checks: Checks, path: Path, structure: Structure | None = None) -> None:
    """Write the page, atomically.

    Args:
        checks: what `loreweave.knowledge.checks.check` found. All text in it is untrusted (phrases, titles, ids) and is escaped.
        structure: the interests that the phrases are clustered into, where there are phrases.

    Raises:
        SavedError: it cannot be written.
    """
    write_text(path, knowledge_page(checks, structure))


def headline(checks: Checks) -> str:
    """The answer in one line."""
    rows = [row for row in _all(checks) if row["n"]]
    if not rows:
        return f"{checks.data}: nothing of the knowledge could be judged"
    n, bad = sum(row["n"] for row in rows), sum(row["hallucinated"] for row in rows)
    if len(rows) == 1:
        return f"{checks.data}: {_percent(bad / n)} of {n:,} records are not borne out"
    low, high = min(row["rate"] for row in rows), max(row["rate"] for row in rows)
    return f"{checks.data}: {_percent(low)} to {_percent(high)} of the records are not borne out, by task and model"


def knowledge_page(checks: Checks, structure: Structure | None = None) -> str:
    """The page as text."""
    about = f"{checks.data} · {checks.records.height:,} records · encoder {checks.encoder} · seed {checks.seed}"
    sections = [
        _answer(checks),
        _figures(checks),
        _rates(checks),
        _grounding(checks),
        _found(checks),
        _truth(checks),
        "" if structure is None else interests(structure),
        _read(checks),
        _told(checks),
    ]
    return markup.page(headline(checks), about, sections, Markup(f"Loreweave {safe(__version__)}."), STYLE)


def _answer(checks: Checks) -> str:
    grounding = {(row["task"], row["model"]): row for row in checks.grounding.iter_rows(named=True)}
    cards = []
    for row in _all(checks):
        name = f"{_cut(row['task'])} by {_cut(row['model'])}"
        auc = grounding.get((row["task"], row["model"]))
        told = (
            ""
            if auc is None
            else f" AUC {auc['auc']:.3f} ({auc['low']:.3f} to {auc['high']:.3f}); the same texts dealt out at random: {_auc(auc['dealt'])}."
        )
        if row["n"] == 0:
            cards.append(_card("open", "Not judged", name, f"None of {row['records']:,} records could be judged one by one.{told}"))
            continue
        text = (
            f"{row['hallucinated']:,} of {row['n']:,} records are not borne out: {_percent(row['rate'])} "
            f"(95% interval {_percent(row['low'])} to {_percent(row['high'])}).{told}"
        )
        if row["rate"] >= 0.5:
            cards.append(_card("bad", "Unsound", name, text))
        elif auc is None:
            cards.append(_card("open", "No AUC", name, text))
        elif auc["dealt"] is None:
            cards.append(_card("open", "No control", name, text))
        elif auc["low"] > max(auc["dealt"], 0.5):
            cards.append(_card("good", "Grounded", name, text))
        else:
            cards.append(_card("bad", "Ungrounded", name, text))
    return f'<section class="verdicts">{"".join(cards)}</section>'


def _card(tone: str, word: str, name: str, text: str) -> Markup:
    return Markup(
        f'<div class="card verdict"><span class="badge {tone}">{word}</span><div><h3>{safe(name)}</h3><p>{safe(text)}</p></div></div>'
    )


def _figures(checks: Checks) -> str:
    aucs, groups = checks.grounding.to_dicts(), [row for row in checks.summary.to_dicts() if row["by"] != "all" and row["n"]]
    shown = []
    if aucs:
        caption = "Mean AUC with its 95% interval; one half (the line) is what a text has that says nothing about what it rests on."
        key = legend([("as recorded", "arm-real"), ("texts dealt out at random", "arm-none")])
        shown.append(figure("Are texts closer to what they rest on?", _auc_plot(aucs), caption, key))
    models = list(dict.fromkeys(row["model"] for row in groups))
    colours = {model: f"series-{number % SERIES}" for number, model in enumerate(models)}
    for task, by in dict.fromkeys((row["task"], row["by"]) for row in groups):
        own = [row for row in groups if (row["task"], row["by"]) == (task, by)]
        key = legend((model, colours[model]) for model in dict.fromkeys(row["model"] for row in own))
        what = "items in the user's history" if by == "history length" else "people who met the item"
        caption = f"Share of the records of {task} that are not borne out, by {by}; 95% Wilson intervals."
        shown.append(figure(f"Not borne out, by {by}: {_cut(task)}", _rate_plot(own, colours, what), caption, key))
    return section("At a glance", "", f'<div class="grid">{"".join(shown)}</div>') if shown else ""


@themed
def _auc_plot(rows: Sequence[Row]) -> tuple[Figure, str]:
    """A line a task and model: mean AUC and interval, and the control."""
    axes_of, axes = new_axes(0.9 + 0.45 * len(rows))
    for place, row in enumerate(rows):
        axes.plot([row["low"], row["high"]], [place, place], color=COLOURS["arm-real"], linewidth=2.4, solid_capstyle="round")
        for key, size, colour in (("dealt", 36, "arm-none"), ("auc", 44, "arm-real")):
            if row[key] is None:
                continue
            axes.scatter([row[key]], [place], s=size, color=COLOURS[colour], zorder=3, edgecolors=COLOURS["card"], linewidths=1)
        box = {"facecolor": COLOURS["card"], "linewidth": 0, "pad": 1}  # keeps the line at one half from crossing the figure
        axes.annotate(
            f"{row['auc']:.3f}", (row["auc"], place), xytext=(0, 10), textcoords="offset points", ha="center", va="center", size=9, bbox=box
        )
    axes.axvline(0.5, color=COLOURS["muted"], linewidth=1)
    axes.set_yticks(range(len(rows)), [f"{_short(row['task'])}\n{_short(row['model'])}" for row in rows], size=9)
    axes.set_ylim(len(rows) - 0.5, -0.75)
    axes.set_xlim(min(0.4, *(row[key] - 0.05 for row in rows for key in ("dealt", "low") if row[key] is not None)), 1.04)
    axes.grid(axis="x")
    axes.set_xlabel("AUC")
    return axes_of, "Mean AUC by task and model"


@themed
def _rate_plot(rows: Sequence[Row], colours: Mapping[str, str], what: str) -> tuple[Figure, str]:
    """Rates by group, models side by side."""
    axes_of, axes = new_axes(2.7)
    models, labels = (list(dict.fromkeys(row[key] for row in rows)) for key in ("model", "group"))
    for number, model in enumerate(models):
        own = [row for row in rows if row["model"] == model]
        shift = (number - (len(models) - 1) / 2) * min(0.22, 0.7 / len(models))
        x = [labels.index(row["group"]) + shift for row in own]
        colour = COLOURS[colours[model]]
        axes.vlines(x, [100 * row["low"] for row in own], [100 * row["high"] for row in own], color=colour, linewidth=2.4)
        axes.scatter(x, [100 * row["rate"] for row in own], s=44, color=colour, zorder=3, edgecolors=COLOURS["card"], linewidths=1)
    axes.set_xticks(range(len(labels)), labels)
    axes.set_xlim(-0.6, len(labels) - 0.4)
    axes.set_ylim(bottom=-0.03 * axes.get_ylim()[1])  # a dot at 0 is drawn whole
    axes.tick_params(axis="y", labelcolor=COLOURS["muted"])
    axes.grid(axis="y")
    axes.set_xlabel(what)
    axes.set_ylabel("not borne out, %")
    return axes_of, "Share not borne out by group"


def _rates(checks: Checks) -> str:
    rows = checks.summary.to_dicts()
    body, starts = [], []
    for number, row in enumerate(rows):
        first = row["by"] == "all"
        if first:
            starts.append(number)
        rate, ends = ("", "") if row["rate"] is None else (_percent(row["rate"]), f"{_percent(row['low'])} to {_percent(row['high'])}")
        group = "all" if first else f"{row['by']} {row['group']}"
        names = [_cut(row["task"]), _cut(row["model"])] if first else ["", ""]
        body.append([*names, group, f"{row['records']:,}", f"{row['n']:,}", f"{row['hallucinated']:,}", rate, ends])
    heads = ["task", "model", "group", "records", "judged", "hallucinated", "rate", "95% interval"]
    note = "How many records say what nothing that is known bears out, of those that could be judged."
    return section("Hallucination rates", note, table(heads, body, text=("model", "group"), starts=starts))


def _grounding(checks: Checks) -> str:
    rows = [
        [
            _cut(row["task"]),
            _cut(row["model"]),
            row["against"],
            f"{row['n']:,}",
            f"{row['auc']:.3f}",
            interval((row["low"], row["high"]), ".3f"),
            _auc(row["dealt"]),
            _percent(row["below"]),
            "" if row["dealt_below"] is None else _percent(row["dealt_below"]),
        ]
        for row in checks.grounding.iter_rows(named=True)
    ]
    if not rows:
        return ""
    heads = ["task", "model", "held against", "records", "AUC", "95% interval", "AUC, dealt out", "under ½", "under ½, dealt out"]
    note = "Closer to the evidence (the history, the item) than to items as popular? Dealt out: the same texts given to others at random."
    return section("Groundedness", note, table(heads, rows, text=("model", "held against")))


def _found(checks: Checks) -> str:
    rows = [
        [_cut(row["task"]), _cut(row["model"]), row["kind"], f"{row['records']:,}", _percent(row["records"] / row["of"])]
        for row in checks.found.iter_rows(named=True)
    ]
    if not rows:
        return section("Problems found", "None.")
    return section("Problems found", "", table(["task", "model", "problem", "records", "share"], rows, text=("model", "problem")))


def _truth(checks: Checks) -> str:
    if checks.truth is None or checks.truth.is_empty():
        return ""
    measures = [name for name in checks.truth.columns if name != "model"]
    rows = [[_cut(row["model"]), *(f"{row[name]:.3f}" for name in measures)] for row in checks.truth.iter_rows(named=True)]
    note = (
        "The world is simulated, so what its people want is known. Outdated: held before, and given up. Unmapped: means nothing there is."
    )
    return section("Interests against the truth", note, table(["model", *measures], rows))


def _read(checks: Checks) -> str:
    rows = checks.examples.to_dicts()
    parts = []
    for task, model in dict.fromkeys((row["task"], row["model"]) for row in rows):
        for side, word in (("worst", "not borne out"), ("best", "well grounded")):
            own = [row for row in rows if (row["task"], row["model"], row["side"]) == (task, model, side)]
            if own:
                parts.append(f'<h3 class="side">{safe(_cut(task))} by {safe(_cut(model))}: {word}</h3>')
                parts.append(f'<div class="card">{"".join(_example(row) for row in own)}</div>')
    note = "The worst are those with the most problems, then the lowest AUC; the best have no problem and the highest AUC."
    return section("To read", note, *parts) if parts else ""


def _example(row: Row) -> str:
    text = row["text"]
    rest = f"<details><summary>the rest</summary><p>{safe(text[TEXT_CHARS:])}</p></details>" if len(text) > TEXT_CHARS else ""
    who = ", ".join(f"{key} {row[key]}" for key in ("user", "item") if row[key] is not None)
    auc = "not judged by AUC" if row["auc"] is None else f"AUC {row['auc']:.2f}"
    titles = "".join(f"<li>{safe(title)}</li>" for title in row["rests_on"] or ())
    problems = "".join(f'<li class="problem">{safe(problem)}</li>' for problem in row["problems"])
    return (
        f'<div class="example"><span class="small">{safe(who)} · {auc}</span>'
        f"<p>{safe(text[:TEXT_CHARS])}{'…' if rest else ''}</p>{rest}"
        + (f'<ul class="chips">{problems}</ul>' if problems else "")
        + (f'<span class="small">rests on</span><ul class="chips">{titles}</ul>' if titles else "")
        + "</div>"
    )


def _told(checks: Checks) -> str:
    notes = listed([*checks.notes, *checks.knowledge.notes]) if checks.notes or checks.knowledge.notes else Markup("<p>None.</p>")
    return section("What the figures mean", "", f'<div class="card">{facts(RULES)}</div>') + section(
        "Left out and counted", "", f'<div class="card facts">{notes}</div>'
    )


def _all(checks: Checks) -> list[dict[str, Any]]:
    return [row for row in checks.summary.to_dicts() if row["by"] == "all"]


def _percent(share: float) -> str:
    return f"{100 * share:.1f}%"


def _auc(value: float | None) -> str:
    return "none to compare with" if value is None else f"{value:.3f}"


def _cut(text: str, limit: int = 60) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def _short(text: str) -> str:
    """A label beside an axis."""
    return _cut(joined(text.split(), " "), 24)
