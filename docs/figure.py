"""The README's picture from a comparison's results: python docs/figure.py runs/dbbook/results.json docs/_static/dbbook.png"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt

METRIC = "ndcg@20"
COLOURS = {"none": "#8a8f98", "shuffled": "#c98a2b", "real": "#2c6fbb"}


def main(results: Path, picture: Path) -> None:
    """One line a model and arm: a dot a seed, a bar to their mean."""
    told = json.loads(results.read_text(encoding="utf-8"))
    values: dict[tuple[str, str], list[float]] = {}
    for row in told["results"]:
        if row["knowledge"] in COLOURS:
            values.setdefault((row["model"], row["knowledge"]), []).append(row["metrics"][METRIC])
    order = list(COLOURS)
    models = list(dict.fromkeys(model for model, _ in values))
    lines = sorted(values, key=lambda line: (models.index(line[0]), order.index(line[1])), reverse=True)
    figure, axes = plt.subplots(figsize=(7.2, 0.42 * len(lines) + 1.1), dpi=160)
    for place, line in enumerate(lines):
        mean, colour = sum(values[line]) / len(values[line]), COLOURS[line[1]]
        axes.barh(place, mean, color=colour, height=0.62, alpha=0.9)
        axes.plot(values[line], [place] * len(values[line]), ".", color="black", markersize=4)
        axes.annotate(f"{mean:.4f}", (mean, place), textcoords="offset points", xytext=(8, 0), va="center", fontsize=8)
    axes.set_yticks(range(len(lines)), [f"{model}, {arm}" for model, arm in lines], fontsize=9)
    axes.set_xlim(0, 1.12 * max(max(each) for each in values.values()))
    seeds = told["protocol"]["seeds"]
    axes.set_xlabel(
        f"NDCG@20 on the test part of {told['protocol']['data']['name']} (dots: seeds {', '.join(map(str, seeds))})", fontsize=9
    )
    axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(picture, facecolor="white")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
