"""`fit`, `tune`, `evaluate`: one model on one log, with the test part kept out until it is asked for."""

from __future__ import annotations

import contextlib
import shutil
import statistics
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from loreweave.cli import inputs, known, options
from loreweave.cli.output import note, print_fields, print_json, print_table
from loreweave.errors import ConfigError, DataError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from loreweave.data import Dataset, Split
    from loreweave.knowledge.source import Known
    from loreweave.models import Recommender

STAGES = ("choose", "refit")
"""Of a fit that chooses its number of epochs on validation first."""
VALIDATION_KS = (10, 20)
"""Cuts of the metrics on validation."""

ModelName = Annotated[
    str,
    typer.Option(
        "--model",
        "-m",
        help="Which recommender: popular, item-knn, rp3beta, ials, ease, cikg-linear, lightgcn, cikgrec, blend; of sequences: markov, "
        "item-knn-seq, gru4rec, sasrec, bert4rec, grasp, llm-esr, llm-init.",
    ),
]


def fit(
    data: options.Data,
    model: ModelName,
    out: Annotated[Path, typer.Option("--out", metavar="FOLDER", rich_help_panel=options.OUTPUT, help="Where the fitted model is saved.")],
    format: options.Format = None,
    column: options.Column = None,
    min_value: options.MinValue = None,
    k_core: options.KCore = None,
    file_order: options.FileOrder = False,
    split: options.SplitBy = None,
    all_data: Annotated[
        bool, typer.Option("--all-data", rich_help_panel=options.DATA, help="Learn from everything; no test part is kept out.")
    ] = False,
    seed: options.Seed = 1,
    knowledge: options.KnowledgeFrom = "auto",
    with_: options.With = None,
    undated: options.Undated = False,
    set: options.Set = None,
    config: options.ConfigFile = None,
    resume: options.Resume = False,
    json: options.Json = False,
) -> None:
    """Fit one model and save it. The test part of the split is kept out, so that `evaluate` can judge what was saved.

    Examples:

        loreweave fit ratings.csv --model cikg-linear --out models/books

        loreweave fit ratings.csv --model lightgcn --set epochs=20 --set l2=1e-5 --out models/graph --resume
    """
    from loreweave.files import check_all_replaceable, check_replaceable
    from loreweave.models import create

    given = inputs.settings({model: model}, set or (), config)
    chosen = given.models.get(model, {})
    kind = create(model, chosen)  # a wrong setting or place is told before anything is read
    choice, stored = known.taken_by(kind, knowledge, given.knowledge)
    names = known.further(with_ or (), kind.knowledge_kinds)
    out = out.absolute()
    check_replaceable(out, "model")
    for name in STAGES:
        check_all_replaceable(_checkpoint(out, name), "checkpoint")  # a blend's is a folder of them, one a part
    log = inputs.Log(data, format, column or (), min_value, k_core, file_order)
    dataset = log.read()
    parts = inputs.choose_split(dataset, split, seed, given.split)
    source = known.knowledge(choice, names, dataset, data, stored, kind.knowledge_kinds)
    whole = dataset if all_data else parts.refit
    fitted, metrics, warnings = _fit(model, {**_seeded(model, seed), **chosen}, parts, whole, source, undated, out, resume)
    part = "all" if all_data else "refit"
    fitted.origin = {"filters": log.filters, "split": parts.describe(), "part": part, "data": dataset.name, "warnings": warnings}
    fitted.save(out)
    _remove_checkpoints(out)
    told = {
        "model": model,
        "folder": str(out),
        "learnt_from": {
            "users": whole.n_users,
            "items": whole.n_items,
            "interactions": len(whole.interactions),
            "part": fitted.origin["part"],
        },
        "interests": len(fitted.interest_ids),
        "settings": fitted.config.model_dump(mode="json"),
        "seconds": _seconds(fitted),
        "metrics": metrics,
        "data_fingerprint": fitted.data_fingerprint,
    }
    if json:
        print_json({**told, "origin": fitted.origin, "notes": dataset.notes})
        return
    told["learnt_from"] = (
        f"{whole.n_users:,} users, {whole.n_items:,} items, {len(whole.interactions):,} interactions ({fitted.origin['part']})"
    )
    told["settings"] = ", ".join(f"{key}={value}" for key, value in told["settings"].items()) or "none"
    told["seconds"] = ", ".join(f"{value:.2f} ({part})" for part, value in told["seconds"].items())
    told["metrics"] = ", ".join(f"{name} {value:.4f}" for name, value in metrics.items()) or "none: nothing was chosen on validation"
    print_fields({key.replace("_", " "): value for key, value in told.items()})


def _fit(
    name: str,
    settings: Mapping[str, Any],
    split: Split,
    whole: Dataset,
    source: Known,
    undated: bool,
    out: Path,
    resume: bool,
) -> tuple[Recommender, dict[str, float], list[str]]:
    """Fit on `whole`; a model that chooses settings on validation (its number of epochs) first chooses them on the split's train.

    Returns:
        The model; what the one that chose scores on validation: `recall@10`, `ndcg@20`, …, nothing where nothing is chosen; and what must
        be said beside every figure.
    """
    from loreweave.evaluate import evaluate as judge
    from loreweave.models import Recommender, create

    first = create(name, settings)
    chosen: dict[str, Any] = {}
    metrics: dict[str, float] = {}
    of_choice: list[str] = []
    if type(first).chosen_settings is not Recommender.chosen_settings:
        told, of_choice = known.known_at(source, split.train, split, undated=undated, kinds=first.knowledge_kinds)
        first.fit(split.train, told, split.valid, checkpoint=_checkpoint(out, "choose"), resume=resume)
        chosen = first.chosen_settings()
        metrics = judge(first, split.valid, ks=VALIDATION_KS).metrics if len(split.valid) else {}
        note(f"chosen on validation: {', '.join(f'{key}={value}' for key, value in chosen.items())}")
    model = create(name, {**settings, **chosen})
    told, of_refit = known.known_at(source, whole, split, undated=undated, kinds=model.knowledge_kinds)
    model.fit(whole, told, None, checkpoint=_checkpoint(out, "refit"), resume=resume)
    return model, metrics, list(dict.fromkeys([*of_choice, *of_refit]))


def _seconds(fitted: Recommender) -> dict[str, float]:
    """`fit`, and `epoch`, the median, of a model trained by epochs."""
    epochs = [row["seconds"] for row in fitted.training]
    return {"fit": fitted.seconds_to_fit or 0.0, **({"epoch": statistics.median(epochs)} if epochs else {})}


def _seeded(name: str, seed: int) -> dict[str, Any]:
    from loreweave.models import model_class

    return {"seed": seed} if "seed" in model_class(name).config_class.model_fields else {}


def _checkpoint(out: Path, stage: str) -> Path:
    """Beside the model's folder, which is replaced as a whole when the fit is done."""
    return out.with_name(f"{out.name}.checkpoints") / stage


def _remove_checkpoints(out: Path) -> None:
    """Those of the two stages, and the folder that held them where nothing else is in it."""
    for stage in STAGES:
        shutil.rmtree(_checkpoint(out, stage), ignore_errors=True)
    with contextlib.suppress(OSError):
        _checkpoint(out, "").rmdir()


def tune(
    data: options.Data,
    model: ModelName,
    metric: Annotated[str, typer.Option("--metric", rich_help_panel=options.LEARNING, help="What is maximised on validation.")] = "ndcg@20",
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE.toml", rich_help_panel=options.OUTPUT, help="Write the settings found, for --config."),
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option("--folder", rich_help_panel=options.OUTPUT, help="Keep finished trials here; asked again, they are not repeated."),
    ] = None,
    trials: Annotated[
        int | None,
        typer.Option("--trials", min=1, rich_help_panel=options.LEARNING, help="At most so many points of the grid (extra `tune`)."),
    ] = None,
    format: options.Format = None,
    column: options.Column = None,
    min_value: options.MinValue = None,
    k_core: options.KCore = None,
    file_order: options.FileOrder = False,
    split: options.SplitBy = None,
    seed: options.Seed = 1,
    knowledge: options.KnowledgeFrom = "auto",
    with_: options.With = None,
    undated: options.Undated = False,
    set: options.Set = None,
    config: options.ConfigFile = None,
    json: options.Json = False,
) -> None:
    """Walk a model's own grid on validation; the test part is not looked at. Settings given by --set are held fixed.

    Example:

        loreweave tune ratings.csv --model cikg-linear --out tuned.toml
    """
    from loreweave import evaluate as evaluation
    from loreweave.models import create

    given = inputs.settings({model: model}, set or (), config)
    settings = given.models.get(model, {})
    kind = create(model, settings)
    choice, stored = known.taken_by(kind, knowledge, given.knowledge)
    names = known.further(with_ or (), kind.knowledge_kinds)
    if out is not None and out.suffix != ".toml":
        raise ConfigError(f"--out {out}: name a .toml file")
    log = inputs.Log(data, format, column or (), min_value, k_core, file_order)
    dataset = log.read()
    parts = inputs.choose_split(dataset, split, seed, given.split)
    source = known.knowledge(choice, names, dataset, data, stored, kind.knowledge_kinds)
    told, _ = known.known_at(source, parts.train, parts, undated=undated, kinds=kind.knowledge_kinds)
    found = evaluation.tune(model, parts, told, settings={**_seeded(model, seed), **settings}, metric=metric, trials=trials, folder=folder)
    if out is not None:
        _write_toml(out, model, found.settings)
    if json:
        print_json(
            {
                "model": model,
                "metric": metric,
                "settings": found.settings,
                "value": found.value,
                "trials": found.trials,
                "split": parts.describe(),
            }
        )
        return
    _print_trials(found.trials)
    print(f"best: {', '.join(f'{key}={value}' for key, value in found.settings.items())}  ({metric} {found.value:.4f} on validation)")


def evaluate(
    model: options.Model,
    data: options.Data,
    k: Annotated[list[str] | None, typer.Option("-k", rich_help_panel=options.OUTPUT, help="Cut-offs, with commas or repeated.")] = None,
    negatives: options.Negatives = 0,
    format: options.Format = None,
    column: options.Column = None,
    json: options.Json = False,
) -> None:
    """Judge a saved model on the test part of the split it was fitted for: full ranking, ties against the model.

    Example:

        loreweave evaluate models/books ratings.csv -k 10,20
    """
    from loreweave.evaluate import draw_negatives
    from loreweave.evaluate import evaluate as judge
    from loreweave.models import load

    ks = options.cutoffs(k or ["20,50,100"])
    fitted = load(model)
    parts = _split_of(fitted, model, inputs.Log(data, format, column or ()))
    cold = parts.how == "cold_items"
    drawn = draw_negatives(fitted.history, parts.test, negatives, seed=parts.seed, cold=cold) if negatives else None
    report = judge(fitted, parts.test, ks=ks, cold=cold, negatives=drawn)
    note(*(warnings := fitted.origin.get("warnings", [])))
    if json:
        own = {"split": parts.describe(), "data_fingerprint": fitted.data_fingerprint, "warnings": warnings}
        print_json({"model": fitted.name, **report.to_dict(), **own})
        return
    _print_cuts({**report.metrics, **report.system}, ks, f"{fitted.name} on the test part")
    if among := report.protocol["sampled"]:
        _print_cuts(report.sampled, among["k"], f"among {negatives} random items: not a full ranking")
    split = parts.describe()
    told = {
        "split": f"{split['how']}: {split['train'] + split['valid']:,} learnt from, {split['test']:,} test",
        "data": fitted.data_fingerprint,
    }
    print_fields({**told, **{name: f"{count:,}" for name, count in report.counts.items()}, "ties": report.protocol["ties"]})


def _print_cuts(values: Mapping[str, float], ks: Sequence[int], title: str) -> None:
    """A row a metric, a column a cut."""
    names = dict.fromkeys(name.split("@")[0] for name in values)
    rows = [(name, *(f"{values[f'{name}@{cut}']:.4f}" if f"{name}@{cut}" in values else "" for cut in ks)) for name in names]
    print_table(("metric", *(f"@{cut}" for cut in ks)), rows, title=title, right=[f"@{cut}" for cut in ks])


def _split_of(fitted: Recommender, folder: Path, log: inputs.Log) -> Split:
    """The split that the model was fitted for, made again and seen to be the same.

    Raises:
        DataError: the model learnt from everything, its manifest does not say, or these are other data.
    """
    origin = fitted.origin
    if origin.get("part") == "all":
        raise DataError(f"{folder}: was fitted with --all-data, so no test part is unseen by it; fit it again without")
    if "split" not in origin:
        raise DataError(f"{folder}: its manifest does not say which split it was fitted for; fit it with `loreweave fit` or `compare`")
    filters, made = origin.get("filters", {}), origin["split"]
    log = inputs.Log(log.path, log.format, log.column, filters.get("min_value"), filters.get("k_core"), filters.get("file_order", False))
    parts = inputs.choose_split(log.read(), made["how"], made["seed"], made["settings"])
    if fitted.data_fingerprint not in (parts.fingerprint, parts.train.fingerprint):
        raise DataError(
            f"{folder}: was fitted on other interactions (fingerprint {fitted.data_fingerprint}) than the training part of {log.path} "
            f"({parts.fingerprint}); its test part may hold what the model has seen"
        )
    return parts


def _print_trials(trials: list[dict[str, Any]]) -> None:
    rows = [{**trial.get("settings", {}), **{key: value for key, value in trial.items() if key != "settings"}} for trial in trials]
    names = list(dict.fromkeys(key for row in rows for key in row))
    shown = [
        [f"{value:.4f}" if isinstance(value := row.get(name, ""), float) and name == "value" else value for name in names] for row in rows
    ]
    print_table(names, shown, right=names)


def _write_toml(path: Path, model: str, settings: Mapping[str, Any]) -> None:
    """One table of a model's settings."""
    from loreweave.files import write_atomically

    text = "".join(f"{key} = {_toml(value)}\n" for key, value in settings.items() if value is not None)

    def write(temporary: Path) -> None:
        temporary.write_text(f"[{model}]\n{text}", encoding="utf-8")

    write_atomically(path, write)


def _toml(value: Any) -> str:
    """A value in TOML's notation, which is JSON's but for tables and for what is missing."""
    import json

    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {_toml(item)}" for key, item in value.items() if item is not None) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    return json.dumps(value)
