"""`Structure`: the interests that phrases were clustered into; it puts new users' phrases to them without clustering again."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
from scipy import sparse

from loreweave.errors import ConfigError, SavedError
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
from loreweave.knowledge.records import INTERESTS, Knowledge
from loreweave.knowledge.structure.choose import CURVE
from loreweave.knowledge.structure.phrases import UNKNOWN, encoded, put, spoken, told, turned_down
from loreweave.language.base import TextEncoder, Vectors

CLUSTERS: dict[str, pl.DataType] = {
    "interest": pl.String(),
    "label": pl.String(),
    "derived": pl.Boolean(),
    "holders": pl.Int64(),
    "kept": pl.Boolean(),
}
"""Columns of the clusters frame."""

Criterion = Literal["given", "stability", "score"]


@dataclass(frozen=True, eq=False)
class Structure:
    """Interests as clusters of phrases.

    Attributes:
        encoder: name of the text encoder.
        centres: float32 [k, d], unit length; those of dropped clusters are kept, so that what belongs to them is not put to others.
        clusters: one row a centre, frame of `CLUSTERS`: `interest` is the cleaned phrase nearest the centre (so the id of an interest is
            the same wherever the same phrase stands for it), `label` that phrase as most often written, `holders` the users who hold it,
            `kept` whether the drop rules left it.
        phrases: frame `phrase` (cleaned), `cluster` (Int32, row of `clusters`): what was clustered.
        membership: float32 CSR [n_phrases, k]: share of each phrase in its few nearest clusters; rows sum to 1.
        min_similarity: cosine to the nearest centre below which a phrase not seen before is put to no interest: 95% of those that were
            clustered, users counted, lie closer to theirs.
        n_users: users there were, the base of the drop rules.
        dropped: reason → records.
        criterion: what κ was chosen by.
        curve: frame of `choose.CURVE`; empty where κ was given.
        seed: of everything drawn.
    """

    encoder: str
    centres: Vectors
    clusters: pl.DataFrame
    phrases: pl.DataFrame
    membership: sparse.csr_array[np.float32]
    min_similarity: float
    n_users: int
    dropped: dict[str, int] = field(default_factory=dict)
    criterion: Criterion = "given"
    curve: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=CURVE))
    seed: int = 1

    @property
    def interests(self) -> pl.DataFrame:
        """The interests that were kept: frame of `records.INTERESTS`."""
        return self.clusters.filter("kept").select(list(INTERESTS))

    def nearest(self, phrases: pl.Series, encoder: TextEncoder) -> pl.DataFrame:
        """The cluster of each cleaned phrase: its own where the phrase was clustered, else that of the nearest centre.

        Returns:
            Frame `phrase`, `cluster` (Int32), `similarity` (Float32, cosine), in the order of `phrases`; both null where the encoder knows
            nothing of the phrase, and `similarity` null where the phrase was clustered.

        Raises:
            ConfigError: another encoder than the centres were made with.
        """
        if encoder.name != self.encoder:
            raise ConfigError(f"these interests were made with the encoder {self.encoder}, not {encoder.name}; give that one")
        new = phrases.cast(pl.String).unique(maintain_order=True)
        new = new.filter(~new.is_in(self.phrases["phrase"].implode()))
        return put(phrases, self.phrases, self.centres, new, encoded(new, encoder) if len(self.centres) else self.centres)

    def assign(self, knowledge: Knowledge, encoder: TextEncoder) -> Knowledge:
        """The interest records of `knowledge`, each put to one of these interests; nothing is clustered anew.

        Phrases are cleaned as they were for clustering. A record is dropped, and counted in the notes, where its phrase does not survive
        cleaning, is nearer to a cluster that was dropped, or is less than `min_similarity` like any. Records of other kinds, and whatever a
        `person` said, stay as they are; what the person gave less weight is not inferred again under another name.

        Raises:
            ConfigError: another encoder than the centres were made with.
        """
        said = spoken(knowledge)
        phrases = self.nearest(said.records["phrase"].unique(maintain_order=True), encoder)
        clusters = self.clusters.with_row_index("cluster").select(pl.col("cluster").cast(pl.Int32), "kept", to="interest")
        found = phrases.join(clusters, on="cluster", how="left", maintain_order="left")
        records = said.records.join(found, on="phrase", how="left", maintain_order="left")
        out = {
            UNKNOWN: pl.col("cluster").is_null(),
            f"less than {self.min_similarity:.3f} like any interest": pl.col("similarity").fill_null(1.0) < self.min_similarity,
            "of interests that the drop rules took away": ~pl.col("kept"),
        }
        dropped = dict(said.dropped)
        for reason, condition in out.items():
            dropped[reason] = int(records.select(condition.sum()).item())
            records = records.filter(~condition)
        kept = self.clusters.select(pl.when("kept").then("interest")).to_series()
        turned = turned_down(said, self.nearest(said.corrected["phrase"], encoder), kept, self.min_similarity)
        return told(knowledge, said, records.with_columns(interest="to"), self.interests, turned, dropped)[0]

    def save(self, folder: Path | str) -> None:
        """Write `manifest.json`, `arrays.safetensors`, `clusters.parquet`, `phrases.parquet`, `curve.parquet`; replaces an older structure.

        Raises:
            SavedError: the place cannot be written, or holds something else.
        """
        check_replaceable(Path(folder), "structure")
        shares = {"data": self.membership.data, "indices": self.membership.indices, "indptr": self.membership.indptr}
        with folder_written_atomically(Path(folder)) as temporary:
            write_arrays(temporary / "arrays.safetensors", {"centres": self.centres, **shares})
            for name in ("clusters", "phrases", "curve"):
                write_frame(temporary / f"{name}.parquet", getattr(self, name))
            told_once = ("encoder", "min_similarity", "n_users", "dropped", "criterion", "seed")
            write_manifest(temporary, {"structure": {name: getattr(self, name) for name in told_once}})

    @classmethod
    def load(cls, folder: Path | str) -> Structure:
        """Read what `save` wrote.

        Raises:
            SavedError: no saved structure, damaged, or of another format version.
        """
        folder = Path(folder)
        manifest = read_saved(folder, "structure")
        try:
            arrays = read_arrays(folder / "arrays.safetensors")
            clusters, phrases, searched = (read_frame(folder / f"{name}.parquet") for name in ("clusters", "phrases", "curve"))
            shape = (phrases.height, len(arrays["centres"]))
            membership = sparse.csr_array((arrays["data"], arrays["indices"], arrays["indptr"]), shape=shape)
            return cls(
                centres=arrays["centres"],
                clusters=clusters,
                phrases=phrases,
                membership=membership,
                curve=searched,
                **manifest["structure"],
            )
        except (KeyError, TypeError, ValueError) as error:
            raise SavedError(f"{folder}: damaged ({error}); save it again") from None
