"""The report's figures: matplotlib draws SVG in marker colours, which become the page's own, so that light and dark both read well."""

from __future__ import annotations

import functools
import io
import re
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any, ParamSpec

import numpy as np

from loreweave.evaluate.verdict import metric_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 4.7
"""Inches: drawn for a column of about 500 pixels, still legible at 340."""
FAMILY = ("real", "none", "template", "shuffled", "noised")
SERIES = 6
COLOURS = {"ink": "#010101", "muted": "#020202", "rule": "#030303", "card": "#040404"}
COLOURS |= {f"arm-{arm}": f"#0505{number:02x}" for number, arm in enumerate(FAMILY)}
COLOURS |= {f"series-{number}": f"#0606{number:02x}" for number in range(SERIES)}
"""CSS variable → the colour that stands for it while drawing."""
RC: Any = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.size": 10,
    "font.family": "sans-serif",
    "axes.edgecolor": COLOURS["rule"],
    "axes.labelcolor": COLOURS["muted"],
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "text.color": COLOURS["ink"],
    "xtick.color": COLOURS["rule"],
    "ytick.color": COLOURS["rule"],
    "xtick.labelcolor": COLOURS["muted"],
    "ytick.labelcolor": COLOURS["ink"],
    "ytick.major.size": 0,
    "xtick.major.size": 3,
    "grid.color": COLOURS["rule"],
    "grid.linewidth": 0.8,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
}


P = ParamSpec("P")


def themed(draw: Callable[P, tuple[Figure, str]]) -> Callable[P, str]:
    """The figure that `draw` returns with its title, drawn and written under the page's theme."""

    @functools.wraps(draw)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> str:
        import matplotlib

        with matplotlib.rc_context({**RC, "svg.hashsalt": draw.__name__}):
            return _svg(*draw(*args, **kwargs))

    return drawn


def arm_colour(arm: str) -> str:
    """Name of the CSS variable of an arm."""
    return f"arm-{arm.partition('-')[0]}"


def series_colours(rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Name of the CSS variable of every model; one that uses knowledge comes before one that does not."""
    models = sorted(dict.fromkeys(row["model"] for row in rows), key=lambda model: not any(_is_real(row, model) for row in rows))
    return {model: f"series-{number % SERIES}" for number, model in enumerate(models)}


def _is_real(row: Mapping[str, Any], model: str) -> bool:
    return bool(row["model"] == model and row["knowledge"] == "real")


@themed
def by_arm(rows: Sequence[Mapping[str, Any]], metric: str) -> tuple[Figure, str]:
    """One line for each model and arm: every seed a faint dot, their mean a full one with its value."""
    groups: dict[str, dict[str, list[float]]] = {}
    for row in rows:
        groups.setdefault(row["model"], {}).setdefault(row["knowledge"], []).append(row["metrics"][metric])
    lines = sum(len(arms) for arms in groups.values())
    figure, axes = new_axes(0.6 + 0.24 * lines + 0.12 * len(groups))
    place, ticks = 0.0, []
    for model, arms in groups.items():
        middle = place + (len(arms) - 1) / 2
        ticks.append((middle, model))
        for arm, values in arms.items():
            colour = COLOURS[arm_colour(arm)]
            axes.plot([min(values), max(values)], [place, place], color=colour, linewidth=2, alpha=0.35, solid_capstyle="round")
            axes.scatter(values, [place] * len(values), s=18, color=colour, alpha=0.35, linewidths=0)
            axes.scatter([np.mean(values)], [place], s=44, color=colour, zorder=3, edgecolors=COLOURS["card"], linewidths=1)
            axes.annotate(f"{np.mean(values):.4f}", (max(values), place), xytext=(7, 0), textcoords="offset points", va="center", size=9)
            place += 1
        place += 0.5
    axes.set_yticks([y for y, _ in ticks], [label for _, label in ticks])
    axes.set_ylim(place - 0.5, -0.6)
    axes.margins(x=0.16)
    axes.grid(axis="x")
    axes.set_xlabel(metric_name(metric))
    return figure, f"{metric_name(metric)} of every model and arm"


@themed
def differences(tests: Sequence[Mapping[str, Any]]) -> tuple[Figure, str]:
    """Every test named before the run: its difference and 95% interval against the line of no difference."""
    figure, axes = new_axes(0.7 + 0.5 * len(tests))
    metrics = {test["metric"] for test in tests}
    for place, test in enumerate(tests):
        sign = 1 if test["expected"] else -1
        value, ends = sign * test["difference"], sorted(sign * end for end in test["ci"])
        colour = COLOURS[arm_colour((test["worse"] if test["expected"] else test["better"]).rpartition(" ")[2])]
        axes.plot(ends, [place, place], color=colour, linewidth=2.4, solid_capstyle="round")
        axes.scatter([value], [place], s=44, color=colour, zorder=3, edgecolors=COLOURS["card"], linewidths=1)
        box = {"facecolor": COLOURS["card"], "linewidth": 0, "pad": 1}  # keeps the zero line from crossing the figure
        axes.annotate(
            f"{value:+.4f}", (value, place), xytext=(0, 9), textcoords="offset points", ha="center", va="center", size=9, bbox=box
        )
    axes.axvline(0, color=COLOURS["muted"], linewidth=1)
    axes.locator_params(axis="x", nbins=5)
    labels = [_test_label(test) + (f", {metric_name(test['metric'])}" if len(metrics) > 1 else "") for test in tests]
    axes.set_yticks(range(len(tests)), labels, size=9)
    axes.set_ylim(len(tests) - 0.5, -0.75)
    axes.margins(x=0.12)
    axes.grid(axis="x")
    axes.set_xlabel(f"difference in {metric_name(metrics.pop())}" if len(metrics) == 1 else "difference")
    return figure, "Paired differences with 95% intervals"


@themed
def group_gains(groups: Sequence[Mapping[str, Any]], colours: Mapping[str, str]) -> tuple[Figure, str]:
    """Gain of real over none in each group by history length, with 95% intervals; the models side by side in their `colours`."""
    models = list(dict.fromkeys(row["model"] for row in groups))
    labels = list(dict.fromkeys(row["group"] for row in groups))
    figure, axes = new_axes(2.7)
    for number, model in enumerate(models):
        own = [row for row in groups if row["model"] == model]
        shift = (number - (len(models) - 1) / 2) * min(0.22, 0.7 / len(models))
        x = np.array([labels.index(row["group"]) for row in own]) + shift
        y = np.array([row["difference"] for row in own])
        colour = COLOURS[colours[model]]
        low, high = np.array([row["ci"] for row in own]).T
        axes.vlines(x, low, high, color=colour, linewidth=2.4)
        axes.scatter(x, y, s=44, color=colour, zorder=3, edgecolors=COLOURS["card"], linewidths=1)
    axes.axhline(0, color=COLOURS["muted"], linewidth=1)
    axes.set_xticks(range(len(labels)), labels)
    axes.set_xlim(-0.6, len(labels) - 0.4)
    axes.tick_params(axis="y", labelcolor=COLOURS["muted"])
    axes.grid(axis="y")
    axes.set_xlabel("items in the user's history")
    axes.set_ylabel(f"{metric_name(groups[0]['metric'])}, real − none")
    return figure, "Gain of real knowledge by history length"


@themed
def recall_by_k(rows: Sequence[Mapping[str, Any]], ks: Sequence[int], colours: Mapping[str, str]) -> tuple[Figure, str]:
    """Recall against k: the arm `real` of every model (`none` where it has no other), means over seeds."""
    models = list(dict.fromkeys(row["model"] for row in rows))
    figure, axes = new_axes(2.7)
    ends = []
    for model in models:
        own = [row for row in rows if row["model"] == model]
        arm = "real" if any(row["knowledge"] == "real" for row in own) else "none"
        values = [float(np.mean([row["metrics"][f"recall@{k}"] for row in own if row["knowledge"] == arm])) for k in ks]
        colour = COLOURS[colours[model]]
        axes.plot(range(len(ks)), values, color=colour, linewidth=2, marker="o", markersize=5.5, markeredgecolor=COLOURS["card"])
        ends.append((values[-1], model, colour))
    ends.sort()
    for (value, model, colour), place in zip(ends, _apart([value for value, *_ in ends], *axes.get_ylim()), strict=True):
        axes.annotate(
            model,
            (len(ks) - 1, value),
            xytext=(len(ks) - 1 + 0.09, place),
            textcoords="data",
            va="center",
            size=9,
            color=COLOURS["ink"],
            arrowprops={"arrowstyle": "-", "color": colour, "linewidth": 0.8, "shrinkA": 1, "shrinkB": 4, "relpos": (0, 0.5)},
        )
    axes.set_xticks(range(len(ks)), [str(k) for k in ks])
    axes.set_xlim(-0.2, (len(ks) - 1) * 1.0 + 0.9)
    axes.tick_params(axis="y", labelcolor=COLOURS["muted"])
    axes.grid(axis="y")
    axes.set_xlabel("k")
    axes.set_ylabel("recall@k")
    return figure, "Recall by k"


def _apart(values: Sequence[float], low: float, high: float) -> list[float]:
    """Heights of the labels of rising `values`: a line apart, none above the axes while there is room below."""
    gap, places = (high - low) * 0.075, list(values)
    for place in range(1, len(places)):
        places[place] = max(places[place], places[place - 1] + gap)
    ceiling = high
    for place in reversed(range(len(places))):
        places[place] = min(places[place], ceiling)
        ceiling = places[place] - gap
    return places


def _test_label(test: Mapping[str, Any]) -> str:
    better, worse = (test["better"], test["worse"]) if test["expected"] else (test["worse"], test["better"])
    (model, _, arm), (other, _, control) = better.rpartition(" "), worse.rpartition(" ")
    return f"{model}\n{arm} − {control}" if model == other else f"{better}\n− {worse}"


def new_axes(height: float) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    return figure, figure.add_subplot()


def _svg(figure: Figure, title: str) -> str:
    """The figure as an element of the page: the page's colours and font, no ids that could clash, no reference to anything outside."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    used = set(re.findall(r"#([\w-]+)", text))
    text = re.sub(r' id="([^"]*)"', lambda found: found[0] if found[1] in used else "", text)
    text = re.sub(r'^<svg [^>]*?viewBox="([^"]+)"[^>]*>', rf'<svg viewBox="\1" role="img" aria-label="{escape(title)}">', text)
    for variable, colour in COLOURS.items():
        text = text.replace(colour, f"var(--{variable})")
    return text
