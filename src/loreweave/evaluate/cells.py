"""One cell of a comparison: fit on train + validation, look at test once, and keep what was found under a hash of all it depends on."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

import loreweave
from loreweave.data.split import Split
from loreweave.errors import SavedError
from loreweave.evaluate import fingerprints
from loreweave.evaluate.deletion import deletion_test
from loreweave.evaluate.evaluation import evaluate
from loreweave.evaluate.examples import examples
from loreweave.evaluate.sampled import Negatives
from loreweave.files import FORMAT_VERSION, read_frame, read_json, read_manifest, write_frame, write_json
from loreweave.knowledge.records import Knowledge
from loreweave.models import create


@dataclass(frozen=True, eq=False)
class Cell:
    """What is fitted and judged.

    Attributes:
        name: of the row in the results, and of the folder of a kept model.
        model: registered name.
        arm: `real`, `none`, `shuffled`, `noised-30`.
        seed: of the split, the model and the arm.
        permutation: which further shuffle this is, None for the arms of the results.
        settings: all that differs from the model's defaults.
        split, knowledge: what it is fitted on (`split.refit`) and judged on (`split.test`).
        ks: cuts.
        negatives: held-out items are ranked among these as well, or None.
        keep: save the fitted model, with examples and the deletion test.
        origin: of the kept model, for its manifest.
        warnings: what must be said beside its figures, kept with the model too.
    """

    name: str
    model: str
    arm: str
    seed: int
    permutation: int | None
    settings: dict[str, Any]
    split: Split
    knowledge: Knowledge
    ks: Sequence[int]
    negatives: Negatives | None
    keep: bool
    origin: Mapping[str, Any]
    warnings: Sequence[str]

    def key(self, data: str) -> str:
        """The hash; `data` is that of `split.refit` and `split.test`."""
        depends = {
            "version": loreweave.__version__,
            "format": FORMAT_VERSION,
            "data": data,
            "knowledge": fingerprints.of_knowledge(self.knowledge),
            "ks": list(self.ks),
            "negatives": None if self.negatives is None else fingerprints.of_negatives(self.negatives),
            "origin": dict(self.origin) if self.keep else None,
            **{name: getattr(self, name) for name in ("name", "model", "arm", "seed", "permutation", "keep")},
            "config": create(self.model, self.settings).config.model_dump(mode="json"),
        }
        return fingerprints.of_value(depends)


@dataclass(frozen=True, eq=False)
class Found:
    """What a cell gave: `row` is JSON (metrics, sampled, system, groups, counts, seconds, and more), `per_user` as in a `Report`."""

    cell: Cell
    row: dict[str, Any]
    per_user: pl.DataFrame


def run(cell: Cell, key: str, out: Path) -> Found:
    """The cell's result: read where it is finished, else made and written to `out/cells/`, `out/<name>/` for a kept model.

    A fit by epochs leaves a checkpoint an epoch, and goes on from the last one after a kill.
    """
    row_path, users_path, checkpoint = out / "cells" / f"{key}.json", out / "cells" / f"{key}.parquet", out / "checkpoints" / key
    if row_path.is_file():
        row = read_json(row_path)
        if not cell.keep or _is_kept(out / cell.name, row):
            return Found(cell, row, read_frame(users_path))
    model = create(cell.model, cell.settings)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(cell.split.refit, cell.knowledge, checkpoint=checkpoint, resume=True)
        report = evaluate(model, cell.split.test, ks=cell.ks, cold=cell.split.how == "cold_items", negatives=cell.negatives)
    told = {str(warning.message) for warning in caught if issubclass(warning.category, UserWarning | RuntimeWarning)}
    row = {
        "model": cell.name,
        "knowledge": cell.arm,
        "seed": cell.seed,
        "permutation": cell.permutation,
        "settings": cell.settings,
        **{name: value for name, value in report.to_dict().items() if name not in ("protocol", "seconds")},
        "seconds": {"fit": model.seconds_to_fit, "evaluate": report.seconds["all"]},
        "warnings": sorted(told),
        "data_fingerprint": model.data_fingerprint,
    }
    if cell.keep:
        model.metrics, model.origin = report.metrics, {**cell.origin, "warnings": list(cell.warnings)}
        row |= {"deletion": deletion_test(model, seed=cell.seed), "examples": examples(model, cell.split.test, seed=cell.seed)}
        model.save(out / cell.name)
    write_frame(users_path, report.per_user)
    write_json(row_path, row)  # last: its presence says that the cell is finished
    shutil.rmtree(checkpoint, ignore_errors=True)
    return Found(cell, row, report.per_user)


def _is_kept(folder: Path, row: Mapping[str, Any]) -> bool:
    """Whether the saved model is there and is the one this row speaks of."""
    try:
        manifest = read_manifest(folder)
    except SavedError:
        return False
    return bool(manifest.get("metrics") == row["metrics"] and manifest.get("data_fingerprint") == row["data_fingerprint"])
