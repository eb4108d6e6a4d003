"""`compare`: the honest comparison, from the command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from loreweave.cli import inputs, options
from loreweave.cli.output import print_json, print_table
from loreweave.errors import ConfigError

SHOWN_METRICS = ("recall", "ndcg")
"""In the terminal; JSON and the report have all."""


def compare(
    data: options.Data,
    out: Annotated[
        Path,
        typer.Option(
            "--out", metavar="FOLDER", rich_help_panel=options.OUTPUT, help="Where the report, the results and the fitted models go."
        ),
    ],
    models: Annotated[
        str, typer.Option("--models", "-m", help="Which recommenders, with commas between them.")
    ] = "popular,ease,cikg-linear",
    seeds: Annotated[
        str, typer.Option("--seeds", rich_help_panel=options.LEARNING, help="How many seeds (3: seeds 1, 2, 3), or a list with commas.")
    ] = "3",
    k: Annotated[
        list[str] | None, typer.Option("-k", rich_help_panel=options.OUTPUT, help="Cut-offs, with commas or repeated: 20,50,100.")
    ] = None,
    noise: Annotated[
        str | None,
        typer.Option("--noise", rich_help_panel=options.LEARNING, help="Further arms with this share of wrong records: 0.1,0.3."),
    ] = None,
    tune: Annotated[
        bool,
        typer.Option("--tune/--no-tune", rich_help_panel=options.LEARNING, help="Choose settings on validation, or take the defaults."),
    ] = True,
    format: options.Format = None,
    column: options.Column = None,
    min_value: options.MinValue = None,
    k_core: options.KCore = None,
    split: options.SplitBy = None,
    knowledge: options.KnowledgeFrom = "auto",
    undated: options.Undated = False,
    set: options.Set = None,
    config: options.ConfigFile = None,
    resume: options.Resume = False,
    json: options.Json = False,
) -> None:
    """Compare models with real, no and shuffled knowledge over several seeds, with paired tests and a report.

    Settings are chosen on validation; each model is then fitted on train and validation, and test is looked at once a seed.

    Examples:

        loreweave compare ratings.csv --models popular,ease,cikg-linear --seeds 3 --out runs/mine

        loreweave compare data/dbbook2014 --models cikg-linear --noise 0.1,0.3 --seeds 1,2 --out runs/noise --json
    """
    from loreweave.evaluate import compare as run

    names = [name.strip() for name in models.split(",") if name.strip()]
    check_models(names)
    ks, chosen_seeds = options.cutoffs(k or ["20,50,100"]), options.seeds(seeds)
    rates = options.numbers(noise, float, "--noise") if noise else ()
    if any(not 0 < rate <= 1 for rate in rates):
        raise ConfigError(f"--noise: a rate lies above 0 and at most at 1, got {noise}")
    settings, cut = inputs.settings(names, set or (), config)
    log = inputs.Log(data, format, column or (), min_value, k_core)
    dataset = log.read()
    source = inputs.knowledge(knowledge, dataset, data)
    result = run(
        dataset,
        names,
        out,
        knowledge=source,
        how=split,
        seeds=chosen_seeds,
        noise=rates,
        settings=settings,
        tune=tune,
        ks=ks,
        undated=undated,
        resume=resume,
        **cut,
    )
    if json:
        print_json(result)
        return
    print_comparison(result)
    print(f"report: {out / 'report.html'}")


def check_models(names: Sequence[str]) -> None:
    """
    Raises:
        ConfigError: no model, one twice, or one that does not exist.
    """
    from loreweave.models import model_class

    if not names or len(set(names)) < len(names):
        raise ConfigError(f"--models: expected different models with commas between them, got {','.join(names)!r}")
    for name in names:
        model_class(name)


def print_comparison(result: Mapping[str, Any]) -> None:
    """Means over seeds, a row a model and arm; then the paired tests and what they hold under."""
    from statistics import fmean, stdev

    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for row in result["results"]:
        groups.setdefault((row["model"], row["knowledge"]), []).append(row)
    first = result["results"][0]["metrics"] if result["results"] else {}
    metrics = [name for name in first if name.split("@")[0] in SHOWN_METRICS]
    rows = []
    for (model, arm), runs in groups.items():
        values = [[run["metrics"][name] for run in runs] for name in metrics]
        cells = [f"{fmean(each):.4f}" + (f" ± {stdev(each):.4f}" if len(each) > 1 else "") for each in values]
        rows.append((model, arm, len(runs), *cells, f"{fmean(run['seconds']['fit'] for run in runs):.2f}"))
    print_table(("model", "knowledge", "seeds", *metrics, "fit, s"), rows, right=("seeds", *metrics, "fit, s"))
    tests = [
        (
            f"{test['better']} − {test['worse']}",
            test["metric"],
            f"{test['difference']:+.4f}",
            f"[{test['ci'][0]:+.4f}, {test['ci'][1]:+.4f}]",
            f"{test['p']:.4f}",
        )
        for test in result["tests"]
    ]
    if tests:
        print_table(("paired test", "metric", "difference", "95% interval", "p (Holm)"), tests, right=("difference", "p (Holm)"))
