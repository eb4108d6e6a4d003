"""`ablate`: what each part of a method is worth, from the command line."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from loreweave.cli import inputs, known, options
from loreweave.cli.compare import check_resume, print_protocol, print_sampled, spread
from loreweave.cli.output import note, print_json, print_table


def ablate(
    model: Annotated[str, typer.Argument(metavar="NAME", help="Which recommender: grasp, llm-esr, cikgrec.")],
    data: options.Data,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="FOLDER", rich_help_panel=options.OUTPUT, help="Where all of it goes.  [default: runs/ablate-NAME-DATA]"
        ),
    ] = None,
    seeds: options.Seeds = "3",
    k: options.Cuts = None,
    negatives: options.Negatives = 0,
    metric: options.Metric = "ndcg@20",
    tune: options.Tune = True,
    format: options.Format = None,
    column: options.Column = None,
    min_value: options.MinValue = None,
    k_core: options.KCore = None,
    file_order: options.FileOrder = False,
    split: options.SplitBy = None,
    knowledge: options.KnowledgeFrom = "auto",
    with_: options.With = None,
    undated: options.Undated = False,
    set: options.Set = None,
    config: options.ConfigFile = None,
    resume: options.Taken = False,
    json: options.Json = False,
) -> None:
    """Leave out the parts of a model one by one, or put a control in their place, and hold the whole against each.

    Settings (--set) are those of the whole model; an ablation differs from it in its part, and in what it chooses on validation for itself:
    its number of epochs, and the settings of a grid where the model has one (not with --no-tune).
    A run that was stopped goes on where it left off.

    Examples:

        loreweave ablate grasp data/ml-1m

        loreweave ablate grasp data/ml-1m --knowledge texts.jsonl --undated --with user_templates --set max_length=50
    """
    from loreweave.evaluate.ablation import ablate as run
    from loreweave.models import create

    ks, chosen_seeds = options.cutoffs(k or ["20,50,100"]), options.seeds(seeds)
    chosen = inputs.settings({model: model}, set or (), config)
    kinds = known.kinds_of([create(model, chosen.models.get(model))])
    further = known.further(with_ or (), kinds)
    inputs.check_split(split)
    out = out or Path("runs") / f"ablate-{model}-{data.resolve().stem}"
    check_resume(out, resume)
    log = inputs.Log(data, format, column or (), min_value, k_core, file_order)
    dataset = log.read()
    result = run(
        dataset,
        model,
        out,
        knowledge=known.knowledge(knowledge, further, dataset, data, chosen.knowledge, kinds),
        how=split,
        settings=chosen.models.get(model),
        metric=metric,
        undated=undated,
        seeds=chosen_seeds,
        split_options=chosen.split,
        tune=tune,
        ks=ks,
        negatives=negatives,
        filters=log.filters,
    )
    if json:
        print_json(result)
        return
    print_ablation(result)
    print(f"report: {out / 'report.html'}")


def print_ablation(result: Mapping[str, Any]) -> None:
    """A row for the whole model and for each ablation, what is lost without the part, and what the figures hold under."""
    protocol = result["protocol"]
    metric = protocol["metric"]
    recall = f"recall@{metric.rpartition('@')[2]}"
    right = (metric, recall, f"{recall}, tail items", "loss", "p (Holm)", "fit, s")
    rows = [
        (
            row["name"],
            row["knowledge"],
            spread(row["metrics"][metric], row["spread"]),
            f"{row['metrics'][recall]:.4f}" if recall in row["metrics"] else "",
            f"{row['tail'][recall]:.4f}" if row["tail"] else "",
            *(
                ("", "", "")
                if row["loss"] is None
                else (f"{row['loss']:+.4f}", "{:+.4f} to {:+.4f}".format(*row["ci"]), f"{row['p_holm']:.4f}")
            ),
            f"{row['seconds']:.0f}",
        )
        for row in result["ablation"]
    ]
    print_table(("without a part", "knowledge", *right[:4], "95% interval", *right[4:]), rows, right=right)
    print_sampled(result)
    print_protocol(protocol)
    if result["left_out"]:
        note(f"left out, because they change nothing here: {', '.join(result['left_out'])}")
