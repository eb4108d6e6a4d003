"""`compare`: the honest comparison, from the command line."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from loreweave.cli import inputs, known, options
from loreweave.cli.output import note, print_fields, print_json, print_table
from loreweave.errors import ConfigError


def compare(
    data: options.Data,
    out: Annotated[
        Path,
        typer.Option(
            "--out", metavar="FOLDER", rich_help_panel=options.OUTPUT, help="Where the report, the results and the fitted models go."
        ),
    ],
    models: Annotated[
        str,
        typer.Option("--models", "-m", help="Which recommenders, with commas between them; NAME=MODEL to run one under several settings."),
    ] = "popular,ease,cikg-linear",
    seeds: options.Seeds = "3",
    k: options.Cuts = None,
    noise: Annotated[
        str | None,
        typer.Option("--noise", rich_help_panel=options.LEARNING, help="Further arms with this share of wrong records: 0.1,0.3."),
    ] = None,
    controls: Annotated[
        str,
        typer.Option("--controls", rich_help_panel=options.LEARNING, help="What real knowledge is held against: none, shuffled, template."),
    ] = "none,shuffled",
    permutations: Annotated[
        int,
        typer.Option(
            "--permutations", min=0, rich_help_panel=options.LEARNING, help="Further shuffles, to bound what wrong knowledge does."
        ),
    ] = 0,
    negatives: options.Negatives = 0,
    metric: options.Metric = "ndcg@20",
    claim: Annotated[
        list[str] | None,
        typer.Option(
            "--claim",
            metavar="TEST",
            rich_help_panel=options.LEARNING,
            help='A further test, named before the run: "cikg-linear real > ease none: recall@20"; repeat it.',
        ),
    ] = None,
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
    """Compare models with real, no and shuffled knowledge over several seeds, with paired tests and a report.

    Settings are chosen on validation; each model is then fitted on train and validation, and test is looked at once a seed.

    Examples:

        loreweave compare ratings.csv --models popular,ease,cikg-linear --seeds 3 --out runs/mine

        loreweave compare data/dbbook2014 --models cikg-linear --noise 0.1,0.3 --seeds 1,2 --out runs/noise --json

        loreweave compare ratings.csv --models cikgrec,without=cikgrec --set without.uir=false --controls "" --out runs/ablation
    """
    from loreweave.evaluate import compare as run
    from loreweave.models import create

    names = model_names(models)
    ks, chosen_seeds = options.cutoffs(k or ["20,50,100"]), options.seeds(seeds)
    rates = options.numbers(noise, float, "--noise") if noise else ()
    claims = [read_claim(text) for text in claim or ()]
    chosen = inputs.settings(names, set or (), config)
    kinds = known.kinds_of(create(model, chosen.models.get(name)) for name, model in names.items())
    further = known.further(with_ or (), kinds)
    check_resume(out, resume)
    log = inputs.Log(data, format, column or (), min_value, k_core, file_order)
    dataset = log.read()
    inputs.check_split(split)
    result = run(
        dataset,
        names,
        out,
        knowledge=known.knowledge(knowledge, further, dataset, data, chosen.knowledge, kinds),
        how=split,
        seeds=chosen_seeds,
        noise=rates,
        controls=[arm.strip() for arm in controls.split(",") if arm.strip()],
        settings=chosen.models,
        tune=tune,
        ks=ks,
        metric=metric,
        undated=undated,
        permutations=permutations,
        negatives=negatives,
        claims=claims,
        filters=log.filters,
        **chosen.split,
    )
    if json:
        print_json(result)
        return
    print_comparison(result)
    print(f"report: {out / 'report.html'}")


def check_resume(out: Path, resume: bool) -> None:
    """
    Raises:
        ConfigError: `--resume`, and nothing to go on with.
    """
    if resume and not (out / "manifest.json").is_file():
        raise ConfigError(f"--resume: {out} holds no comparison to go on with; leave --resume out to begin one")


def model_names(text: str) -> dict[str, str]:
    """`"ease,plain=cikgrec"` to `{"ease": "ease", "plain": "cikgrec"}`.

    Raises:
        ConfigError: no model, a name twice, or a model that does not exist.
    """
    from loreweave.models import model_class

    pairs = [part.partition("=") for part in text.split(",") if part.strip()]
    names = {name.strip(): (model if equals else name).strip() for name, equals, model in pairs}
    if not names or len(names) < len(pairs):
        raise ConfigError(f"--models: expected different models with commas between them, got {text!r}")
    for model in names.values():
        model_class(model)
    return names


def read_claim(text: str) -> tuple[str, str, str]:
    """`"cikg-linear real > ease none: recall@20"` to its three parts.

    Raises:
        ConfigError: not of that form.
    """
    sides, colon, metric = text.rpartition(":")
    better, above, worse = sides.partition(">")
    if not colon or not above:
        raise ConfigError(
            f'--claim {text!r}: write it as "MODEL ARM > MODEL ARM: METRIC", for example "cikg-linear real > ease none: recall@20"'
        )
    return better.strip(), worse.strip(), metric.strip()


def print_comparison(result: Mapping[str, Any]) -> None:
    """Means over seeds, a row a model and arm; the paired tests; what they hold under."""
    from loreweave.evaluate.summary import mean_and_spread

    results, protocol = result["results"], result["protocol"]
    least, most = min(protocol["k"]), max(protocol["k"])
    metrics = list(dict.fromkeys((f"recall@{least}", f"ndcg@{least}", f"recall@{most}")))  # as many as fit; JSON and the report have all
    means = {name: mean_and_spread(results, name) for name in metrics}
    rows = []
    for model, arm in means[metrics[0]]:
        cells = [spread(*means[name][model, arm]) for name in metrics]
        seconds = [row["seconds"]["fit"] for row in results if (row["model"], row["knowledge"]) == (model, arm)]
        rows.append((model, arm, *cells, f"{sum(seconds) / len(seconds):.2f}"))
    print_table(("model", "knowledge", *metrics, "fit, s"), rows, right=(*metrics, "fit, s"))
    print_sampled(result)
    tests = [
        (
            f"{test['better']} − {test['worse']}",
            test["metric"],
            f"{test['difference']:.4f}",
            f"{test['ci'][0]:.4f} to {test['ci'][1]:.4f}",
            f"{test['p_holm']:.4f}",
        )
        for test in result["tests"]
    ]
    if tests:
        print_table(
            ("paired test, named before the run", "metric", "difference", "95% interval", "p (Holm)"),
            tests,
            right=("difference", "p (Holm)"),
        )
    shuffles = [
        (row["model"], len(row["draws"]), f"{row['mean']:+.4f}", f"{row['upper95']:+.4f}", f"{row['real_minus_none']:+.4f}")
        for row in result["permutations"]
    ]
    if shuffles:
        columns = ("shuffled − none", "draws", "mean", "upper 95%", "real − none")
        print_table(columns, shuffles, right=columns[1:])
    print_protocol(protocol)


def print_protocol(protocol: Mapping[str, Any]) -> None:
    """What a comparison's figures hold under; its warnings on standard error."""
    from loreweave.evaluate.protocol import statement

    data, split = protocol["data"], protocol["split"]
    print_fields(
        {
            "data": f"{data['name']}, {data['interactions']:,} interactions, fingerprint {protocol['data_fingerprint']}",
            "split": f"{split['how']}: {split['train']:,} train, {split['valid']:,} validation, {split['test']:,} test",
            "protocol": statement(protocol),
        }
    )
    note(*protocol["warnings"])


def print_sampled(result: Mapping[str, Any]) -> None:
    """Hit rate and NDCG at 10 among random items, in a table of their own."""
    from loreweave.evaluate.summary import mean_and_spread

    if not (among := result["protocol"]["sampled"]):
        return
    k = max(cut for cut in among["k"] if cut <= 10)
    hits, gains = (mean_and_spread(result["results"], f"{name}@{k}", "sampled") for name in ("hit_rate", "ndcg"))
    rows = [(*side, spread(*hits[side]), spread(*gains[side])) for side in hits]
    title = f"among {among['negatives']} random items: not a full ranking, for comparison with papers that give no other"
    print_table(("model", "knowledge", f"H@{k}", f"N@{k}"), rows, title=title, right=(f"H@{k}", f"N@{k}"))


def spread(mean: float, deviation: float | None, seeds: int = 1) -> str:
    """A mean over seeds and their standard deviation as a table has it."""
    return f"{mean:.4f}" + ("" if deviation is None else f" ± {deviation:.4f}")
