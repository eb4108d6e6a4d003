"""What phrases were clustered into, as a section of the report on knowledge: why so many interests, which, and what was dropped."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from loreweave.evaluate.markup import Markup, figure, legend, listed, section, table
from loreweave.evaluate.plots import COLOURS, new_axes, themed
from loreweave.knowledge.structure import Structure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN = 8
"""Interests in the table, those of most holders."""
BY = {
    "given": "as given",
    "stability": "chosen by stability: of those that leave people covered, the largest number whose clusterings of two halves of the "
    "phrases agree as well as any, to a standard error",
    "score": "chosen by the score",
}


def interests(structure: Structure) -> Markup:
    """The section. Labels are untrusted and escaped."""
    kept = structure.interests
    tried = len(structure.centres)
    note = f"{tried} clusters of {structure.phrases.height:,} phrases, {BY[structure.criterion]}; {kept.height} were kept."
    parts = []
    if structure.curve.height > 1:
        colours = [("agreement of two halves", "series-0"), ("people with an interest", "series-1")]
        if structure.curve["score"].null_count() == 0:
            colours.append(("score", "series-2"))
        caption = (
            "Agreement: adjusted Rand index of the clusterings of two disjoint halves, mean of five pairs and its standard error. "
            "People with an interest: their share of all, once interests of one person or of a fifth of all are dropped. "
            "The line is the number chosen."
        )
        parts.append(figure("How many interests?", _curve(structure.curve, tried), caption, legend(colours)))
    dropped = [f"{count:,} records {reason}" for reason, count in structure.dropped.items() if count]
    if dropped:
        parts.append(Markup(f'<div class="card facts"><h3>Dropped</h3>{listed(dropped)}</div>'))
    largest = structure.clusters.filter("kept").sort("holders", "label", descending=[True, False]).head(SHOWN)
    rows = [
        [label, f"{holders:,}", f"{100 * holders / structure.n_users:.1f}%"]
        for label, holders in largest.select("label", "holders").iter_rows()
    ]
    if rows:
        parts.insert(1, table(["interest", "people", "share"], rows, caption=f"The {len(rows)} that most people hold."))
    return section("From phrases to interests", note, f'<div class="grid">{"".join(parts)}</div>' if parts else "")


@themed
def _curve(curve: pl.DataFrame, chosen: int) -> tuple[Figure, str]:
    """Stability with its standard error, coverage and the caller's score over κ, on a logarithmic axis."""
    drawn, axes = new_axes(2.7)
    x = curve["interests"].to_list()
    axes.errorbar(
        x, curve["stability"].to_list(), yerr=curve["se"].to_list(), color=COLOURS["series-0"], marker="o", markersize=5, linewidth=1.6
    )
    axes.plot(x, curve["coverage"].to_list(), color=COLOURS["series-1"], marker="o", markersize=5, linewidth=1.6)
    if curve["score"].null_count() == 0:
        axes.plot(x, curve["score"].to_list(), color=COLOURS["series-2"], marker="o", markersize=5, linewidth=1.6)
    axes.axvline(chosen, color=COLOURS["muted"], linewidth=1)
    axes.set_xscale("log")
    axes.set_xticks(x, [str(k) for k in x])
    axes.minorticks_off()
    axes.set_ylim(bottom=0)
    axes.tick_params(axis="y", labelcolor=COLOURS["muted"])
    axes.grid(axis="y")
    axes.set_xlabel("clusters")
    return drawn, "Stability and coverage by number of clusters"
