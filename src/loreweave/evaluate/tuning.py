"""Choose settings on validation: walk the model's own grid, keep the best, and say what every trial gave."""

from __future__ import annotations

import itertools
import json
import math
import os
import shutil
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import loreweave
from loreweave.data.dataset import Dataset
from loreweave.data.split import Split
from loreweave.errors import ConfigError, DataError, SavedError, require
from loreweave.evaluate import fingerprints
from loreweave.evaluate.evaluation import mean_metric
from loreweave.evaluate.metrics import parse_metric
from loreweave.knowledge.records import Knowledge
from loreweave.knowledge.source import Known, Together, known_about
from loreweave.models import create, model_class
from loreweave.progress import track

TRIALS_FILE = "trials.jsonl"


@dataclass(frozen=True)
class Tuned:
    """What validation chose.

    Attributes:
        settings: all that is to be set for the refit: what the caller fixed, the winner of the grid, and `chosen`.
        value: the winner's metric on validation; None where there was nothing to choose.
        trials: a row each: `settings` (the point of the grid), `value`, `seconds`, `chosen`.
        point: the winner of the grid alone.
        chosen: what the winner's own fit chose (`Recommender.chosen_settings`: the number of epochs).
    """

    settings: dict[str, Any]
    value: float | None
    trials: list[dict[str, Any]]
    point: dict[str, Any]
    chosen: dict[str, Any]


def tune(
    model: str,
    split: Split,
    knowledge: Known | None = None,
    *,
    settings: Mapping[str, Any] | None = None,
    metric: str = "ndcg@20",
    grid: Mapping[str, Sequence[Any]] | None = None,
    trials: int | None = None,
    folder: Path | None = None,
) -> Tuned:
    """Fit on `split.train` at every point of the grid, and keep the point that is best on `split.valid`; of equal ones the first.

    `split.test` is not looked at. A model trained by epochs is stopped on validation in every trial, and its number of epochs joins the
    settings.

    Args:
        model: a registered name.
        knowledge: records that were checked against the split, or a source, which is asked on `split.train`, or several together, whose
            records are checked here. Records of other kinds than the model learns from are left aside. Without any the settings that mean
            nothing then (`Recommender.knowledge_settings`) stay at their defaults.
        settings: fixed by the caller; they leave the grid.
        metric: on validation, for example `recall@50`.
        grid: setting → values, instead of the model's own.
        trials: at most so many points, chosen by the tree-structured Parzen estimator (extra `tune`), where the grid has more.
        folder: finished trials are kept here, and not repeated when the same is asked again.

    Raises:
        ConfigError: no such model, setting or metric.
        DataError: the split has no validation part, or records among several sources may have seen the test part.
        MissingExtra: `trials` is less than the grid has, and optuna is not installed.
    """
    parse_metric(metric)
    fixed = dict(settings or {})
    if len(split.valid) == 0:
        raise DataError("the split has no validation part to choose settings on; split with more data, or fit without tuning")
    if isinstance(knowledge, Together):
        knowledge, told = known_about(knowledge, split.train, split)
        for text in told:
            warnings.warn(text, stacklevel=2)
    elif not isinstance(knowledge, Knowledge):
        knowledge = Knowledge.none() if knowledge is None else knowledge.infer(split.train)
    unfitted = create(model, fixed)
    knowledge = knowledge.only(*unfitted.knowledge_kinds)
    walked = walked_grid(model, split.train, knowledge, fixed, grid)
    context = {
        "version": loreweave.__version__,
        "model": model,
        "config": unfitted.config.model_dump(mode="json"),
        "metric": metric,
        "train": fingerprints.of_dataset(split.train),
        "valid": fingerprints.of_interactions(split.valid),
        "knowledge": fingerprints.of_knowledge(knowledge),
    }
    store = _Store(folder, fingerprints.of_value(context))

    def value_at(point: dict[str, Any]) -> float:
        if (found := store.find(point)) is None:
            started = time.perf_counter()
            fitted = create(model, {**fixed, **point})
            checkpoint = store.checkpoint(point)
            fitted.fit(split.train, knowledge, split.valid, checkpoint=checkpoint, resume=True)
            value = mean_metric(fitted, split.valid, metric)
            if not math.isfinite(value):
                raise DataError(f"{model}: {metric} on validation is {value} at {point}")
            seconds = fitted.seconds_before + time.perf_counter() - started
            found = {"settings": point, "value": value, "seconds": seconds, "chosen": fitted.chosen_settings()}
            store.add(found)
            if checkpoint is not None:
                shutil.rmtree(checkpoint, ignore_errors=True)
        done.append(found)
        return float(found["value"])

    done: list[dict[str, Any]] = []
    points = math.prod(len(values) for values in walked.values())
    if trials is not None and trials < points:
        _search(walked, trials, value_at)
    else:
        for point in track(list(_points(walked)), f"tuning {model}"):
            value_at(point)
    best = max(done, key=lambda trial: trial["value"])  # max keeps the first of equals
    return Tuned({**fixed, **best["settings"], **best["chosen"]}, best["value"], done, best["settings"], best["chosen"])


def walked_grid(
    model: str, train: Dataset, knowledge: Knowledge, fixed: Mapping[str, Any], grid: Mapping[str, Sequence[Any]] | None = None
) -> dict[str, list[Any]]:
    """The part of a grid that is left to walk.

    Raises:
        ConfigError: a setting that the model does not have, or one without values.
    """
    kind = model_class(model)
    whole = kind.grid if grid is None else grid
    unknown = set(whole) - set(kind.config_class.model_fields)
    if unknown or not all(whole.values()):
        wrong = sorted(unknown) or [name for name, values in whole.items() if not values]
        raise ConfigError(f"{model}: the grid's {wrong[0]!r} is no setting of the model, or has no values")
    idle = kind.idle_settings(train, knowledge)
    return {name: list(values) for name, values in whole.items() if name not in fixed and name not in idle}


def _points(grid: Mapping[str, Sequence[Any]]) -> Iterator[dict[str, Any]]:
    for values in itertools.product(*grid.values()):
        yield dict(zip(grid, values, strict=True))


def _search(grid: Mapping[str, Sequence[Any]], trials: int, value_at: Any) -> None:
    """Optuna's TPE over places in the grid, from a fixed seed; asked again, it asks the same, and finished trials are looked up."""
    optuna = require("optuna", "tune")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=1))

    def objective(trial: Any) -> float:
        return float(value_at({name: values[trial.suggest_int(name, 0, len(values) - 1)] for name, values in grid.items()}))

    for _ in track(range(trials), "tuning"):
        study.optimize(objective, n_trials=1)


class _Store:
    """Finished trials of one context, a line each: appended and synced, a line torn by a kill is passed over."""

    def __init__(self, folder: Path | None, context: str) -> None:
        self.folder, self.context = folder, context
        self.found: dict[str, dict[str, Any]] = {}
        if folder is None:
            return
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lines = self.path.read_text(encoding="utf-8").splitlines() if self.path.is_file() else []
        except OSError as error:
            raise SavedError(f"{folder}: cannot be used for tuning: {error.strerror}") from None
        for line in lines:
            try:
                row = json.loads(line)
                self.found[row["key"]] = row["trial"]
            except (ValueError, KeyError, TypeError):
                continue

    @property
    def path(self) -> Path:
        assert self.folder is not None
        return self.folder / TRIALS_FILE

    def key(self, point: Mapping[str, Any]) -> str:
        return fingerprints.of_value([self.context, point])

    def checkpoint(self, point: Mapping[str, Any]) -> Path | None:
        return None if self.folder is None else self.folder / "checkpoints" / self.key(point)

    def find(self, point: Mapping[str, Any]) -> dict[str, Any] | None:
        return self.found.get(self.key(point))

    def add(self, trial: dict[str, Any]) -> None:
        key = self.key(trial["settings"])
        self.found[key] = trial
        if self.folder is None:
            return
        try:
            with self.path.open("a", encoding="utf-8") as stream:
                stream.write("\n" + json.dumps({"key": key, "trial": trial}) + "\n")  # the first break ends a torn line
                stream.flush()
                os.fsync(stream.fileno())
        except OSError as error:
            raise SavedError(f"{self.path}: cannot be written: {error.strerror}") from None
