"""A fitted model as a folder: `manifest.json`, `model.safetensors`, the vocabularies as Parquet, and what the model adds itself."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import polars as pl
from scipy import sparse

from loreweave.config import build
from loreweave.data.vocabulary import Vocabulary
from loreweave.errors import ConfigError, DataError, SavedError
from loreweave.files import (
    check_replaceable,
    folder_written_atomically,
    read_arrays,
    read_frame,
    read_saved,
    write_arrays,
    write_frame,
    write_manifest,
)

if TYPE_CHECKING:
    from loreweave.models.base import Recommender

R = TypeVar("R", bound="Recommender")


def save(model: Recommender, folder: Path) -> None:
    """As `Recommender.save`."""
    check_replaceable(folder, "model")
    with folder_written_atomically(folder) as temporary:
        arrays = {f"state.{name}": array for name, array in model._state().items()}
        for name in ("history", "interests"):
            matrix = getattr(model, name)
            arrays |= {
                f"{name}.indptr": matrix.indptr.astype("int64"),
                f"{name}.indices": matrix.indices.astype("int32"),
                f"{name}.data": matrix.data,
            }
        write_arrays(temporary / "model.safetensors", arrays)
        write_frame(temporary / "users.parquet", pl.DataFrame({"id": model.users.ids}))
        write_frame(temporary / "items.parquet", pl.DataFrame({"id": model.items.ids, "title": model.titles}))
        labels = pl.Series(model.interest_labels, dtype=pl.String)
        write_frame(temporary / "interests.parquet", pl.DataFrame({"id": model.interest_ids, "label": labels}))
        model._save_parts(temporary)
        write_manifest(
            temporary,
            {
                "model": model.name,
                "config": model.config.model_dump(mode="json"),
                "data_fingerprint": model.data_fingerprint,
                "seconds_to_fit": model.seconds_to_fit,
                "metrics": model.metrics,
                "origin": model.origin,
            },
        )


def load(kind: type[R], folder: Path) -> R:
    """As `Recommender.load`."""
    manifest = read_saved(folder, "model")
    if manifest["model"] != kind.name:
        raise SavedError(f"{folder}: holds {manifest['model']!r}, not {kind.name!r}")
    try:
        model = kind(build(kind.config_class, manifest["config"], where=f"{folder}/manifest.json"))
        arrays = read_arrays(folder / "model.safetensors")
        model.users = Vocabulary(read_frame(folder / "users.parquet")["id"])
        items = read_frame(folder / "items.parquet")
        model.items, model.titles = Vocabulary(items["id"]), items["title"]
        interests = read_frame(folder / "interests.parquet")
        model.interest_ids, model.interest_labels = interests["id"].rename("interest"), interests["label"].to_list()
        for name, width in (("history", len(model.items)), ("interests", len(model.interest_ids))):
            parts = (arrays.pop(f"{name}.data"), arrays.pop(f"{name}.indices"), arrays.pop(f"{name}.indptr"))
            setattr(model, name, sparse.csr_array(parts, shape=(len(model.users), width)))
        model.data_fingerprint, model.seconds_to_fit = manifest["data_fingerprint"], manifest["seconds_to_fit"]
        model.metrics, model.origin = dict(manifest["metrics"]), dict(manifest["origin"])
        model._load_parts(folder)
        model._restore({name.removeprefix("state."): array for name, array in arrays.items()})
    except (LookupError, ValueError, TypeError, AttributeError, pl.exceptions.PolarsError, ConfigError, DataError) as error:
        raise SavedError(f"{folder}: damaged or of another version ({type(error).__name__}: {error}); fit again") from error
    return model
