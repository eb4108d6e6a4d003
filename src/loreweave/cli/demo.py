"""`demo`: the whole job on a simulated world whose truth is known; no data, no language model, no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from loreweave.cli import options
from loreweave.cli.compare import print_comparison
from loreweave.cli.output import print_json

MODELS = ("popular", "ease", "cikg-linear")


def demo(
    out: Annotated[
        Path, typer.Option("--out", metavar="FOLDER", rich_help_panel=options.OUTPUT, help="Where the report and the models go.")
    ] = Path("runs/demo"),
    seeds: Annotated[str, typer.Option("--seeds", rich_help_panel=options.LEARNING, help="How many seeds, or a list with commas.")] = "3",
    json: options.Json = False,
) -> None:
    """Run the whole job on a simulated world: compare, recommend with reasons, report.

    Readers answered a survey about their interests; the comparison shows what that knowledge is worth, against none and against
    the same answers given to the wrong readers.

    Example:

        loreweave demo --out runs/demo
    """
    from loreweave import data, evaluate, models
    from loreweave.cli.recommend import Person, listed, print_recommended

    world = data.simulate(seed=1)
    split = data.split(world.dataset, seed=1)
    survey = world.survey(as_of=split.fingerprint, seed=1)
    result = evaluate.compare(world.dataset, MODELS, out, knowledge=survey, seeds=options.seeds(seeds))
    fitted = models.load(out / "cikg-linear")
    reader = fitted.users.ids[0]
    items = listed(fitted, Person(fitted, reader), k=5, reasons=3)
    report = out / "report.html"
    if json:
        print_json({**result, "user": reader, "items": items, "report": report})
        return
    print_comparison(result)
    print_recommended(fitted, items, f"{fitted.name} for reader {reader}")
    print(f"report: {report}")
