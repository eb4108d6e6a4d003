"""Vectors of texts: each distinct text once, and `Cached`, which keeps them in Parquet so that a second run encodes nothing."""

from __future__ import annotations

import contextlib
import hashlib
import io
import re
import threading
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from loreweave.errors import ConfigError, SavedError
from loreweave.files import write_atomically
from loreweave.language.base import LanguageModelError, TextEncoder, Vectors

BLOCK = 4096
"""Texts encoded between two writes: what a crash costs at most."""
MANY_PARTS = 16
"""Parts that are not yet large; more of them become one."""
LARGE_PART = 256 * 2**20
"""Bytes from which on a part is left as it is."""
LEAST_LENGTH = 1e-4
"""Of a vector, beside others of length about 1: a shorter one is rounding error, not a direction."""

_writing = threading.Lock()
"""Threads of one process that write the same part would share its temporary file."""


def distinct(texts: Iterable[str]) -> tuple[list[str], NDArray[np.int64]]:
    """The distinct texts that are not blank, longest first (so that a batch pads little), and where each text is among them.

    A lone surrogate (half a character, as a cut JSON string leaves) becomes a question mark: no tokenizer takes it.

    Returns:
        The texts, and int64 [n] of positions, -1 for a blank text.
    """
    clean = [text if text.isascii() else text.encode("utf-8", "replace").decode() for text in texts]
    once = sorted((text for text in dict.fromkeys(clean) if text and not text.isspace()), key=len, reverse=True)
    position = dict(zip(once, range(len(once)), strict=True))
    return once, np.fromiter((position.get(text, -1) for text in clean), np.int64, len(clean))


def spread(vectors: Vectors, where: NDArray[np.int64]) -> Vectors:
    """Vectors of distinct texts to float32 [n, d]: row i is `vectors[where[i]]`, zero where that is -1."""
    rows = np.zeros((len(where), vectors.shape[1]), dtype=np.float32)
    known = where >= 0
    rows[known] = vectors[where[known]]
    return rows


def unit(vectors: NDArray[np.floating]) -> Vectors:
    """Rows brought to unit length, float32; rows shorter than `LEAST_LENGTH` become zero.

    Raises:
        LanguageModelError: a value is not finite.
    """
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    if not np.isfinite(length).all():
        raise LanguageModelError(f"{int((~np.isfinite(length)).sum())} of {len(vectors)} text vectors are not finite; use another encoder")
    return np.where(length < LEAST_LENGTH, 0, vectors / np.maximum(length, LEAST_LENGTH)).astype(np.float32)


class Cached:
    """An encoder whose vectors are kept in a folder, by BLAKE2b of its name and the text.

    Each encoder has a sub-folder of Parquet parts (`key` Binary, `vector` Array(Float32, d)). A part is named by the hash of its bytes,
    written whole and never changed: several processes may share the folder, and the worst that happens is that a text is encoded twice.
    A part that is not what its name says is set aside (`.damaged`), counted and warned about, and its texts are encoded again.

    TF-IDF with SVD is not cached: encoding a text costs about what looking it up does, and its vectors hold for one fit only.

    Attributes:
        hits: distinct texts found, over all calls.
        encoded: distinct texts encoded.
        damaged: parts set aside.

    Raises:
        ConfigError: the encoder is LSA.
    """

    def __init__(self, encoder: TextEncoder, folder: Path | str) -> None:
        if encoder.name.startswith("lsa-"):
            raise ConfigError("lsa vectors are not cached: encoding a text costs what looking it up does; use it without the cache")
        self.encoder = encoder
        slug = re.sub(r"[^\w.-]+", "-", encoder.name)[:80]
        self.folder = Path(folder) / f"{slug}-{hashlib.blake2b(encoder.name.encode(), digest_size=4).hexdigest()}"
        self.hits = self.encoded = self.damaged = 0
        self._keys: dict[str, pl.DataFrame] = {}
        """Name of a part → its keys, with their rows: parts never change."""

    @property
    def name(self) -> str:
        """That of the encoder: the cache changes no vector."""
        return self.encoder.name

    def encode(self, texts: Sequence[str]) -> Vectors:
        """As the encoder does it. What is new is written in blocks of `BLOCK` as it is encoded.

        Raises:
            SavedError: the folder cannot be written, or holds vectors of another dimension under this encoder's name.
        """
        once, where = distinct(texts)
        if not once:
            return self.encoder.encode(texts)
        name = self.name.encode() + b"\0"
        keys = pl.Series("key", [hashlib.blake2b(name + text.encode(), digest_size=16).digest() for text in once], pl.Binary)
        rows, found = self._find(keys)
        missing = np.flatnonzero(np.isin(np.arange(len(once)), rows, invert=True))
        blocks = [found]
        for start in range(0, len(missing), BLOCK):
            block = missing[start : start + BLOCK]
            blocks.append(self.encoder.encode([once[row] for row in block.tolist()]))
            self._write(keys.gather(block), blocks[-1])
        if len({block.shape[1] for block in blocks if len(block)}) > 1:
            sizes = " and of ".join(str(size) for size in sorted({block.shape[1] for block in blocks if len(block)}))
            raise SavedError(f"{self.folder}: vectors of {sizes} dimensions under the name {self.name!r}; remove the folder to encode anew")
        self.hits += len(rows)
        self.encoded += len(missing)
        if len(missing):
            self._compact()
        vectors = np.empty((len(once), max(block.shape[1] for block in blocks)), dtype=np.float32)
        vectors[np.concatenate([rows, missing])] = np.concatenate([block for block in blocks if len(block)])
        return spread(vectors, where)

    def _find(self, keys: pl.Series) -> tuple[NDArray[np.int64], Vectors]:
        """Rows of `keys` that are in the cache, and their vectors."""
        wanted = keys.to_frame().with_row_index("row")
        rows, found = [np.empty(0, np.int64)], [np.empty((0, 0), np.float32)]
        for path in sorted(self.folder.glob("part-*.parquet")):
            part = None
            if path.name not in self._keys:
                part = self._read(path)
                if part is None:
                    continue
                self._keys[path.name] = part.select("key").with_row_index("at")
            hit = wanted.join(self._keys[path.name], on="key").unique("row")
            if hit.is_empty():
                continue
            part = self._read(path) if part is None else part
            if part is None:
                continue
            rows.append(hit["row"].to_numpy().astype(np.int64))
            found.append(part["vector"].gather(hit["at"]).to_numpy())
            wanted = wanted.join(hit, on="row", how="anti")
        if len({block.shape[1] for block in found[1:]}) > 1:
            raise SavedError(f"{self.folder}: holds vectors of several dimensions under one name; remove the folder to encode anew")
        return np.concatenate(rows), np.concatenate(found[1:]) if found[1:] else found[0]

    def _read(self, path: Path) -> pl.DataFrame | None:
        """A part, or None where another process has merged it away or it is damaged."""
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return None  # what it held is in a newer part; at worst some texts are encoded twice
        except OSError as error:
            raise SavedError(f"{path}: cannot be read: {error.strerror}") from None
        if path.name == _part_name(content):
            return pl.read_parquet(io.BytesIO(content))
        self.damaged += 1
        warnings.warn(f"{path}: damaged, set aside as {path.name}.damaged; its texts are encoded again", stacklevel=4)
        with contextlib.suppress(FileNotFoundError):  # another process was faster
            path.rename(path.with_name(f"{path.name}.damaged"))
        return None

    def _write(self, keys: pl.Series, vectors: Vectors) -> str:
        part = pl.DataFrame({"key": keys, "vector": pl.Series(vectors, dtype=pl.Array(pl.Float32, vectors.shape[1]))})
        content = io.BytesIO()
        part.write_parquet(content, compression="uncompressed")  # vectors hardly compress
        name = _part_name(content.getvalue())
        with _writing:
            write_atomically(self.folder / name, lambda temporary: _write_bytes(temporary, content.getvalue()))
        self._keys[name] = part.select("key").with_row_index("at")
        return name

    def _compact(self) -> None:
        """Merge small parts into one where there are many: the new part is in place before the old ones go, so nothing is ever missing."""
        try:
            small = [path for path in sorted(self.folder.glob("part-*.parquet")) if path.stat().st_size < LARGE_PART]
        except FileNotFoundError:
            return  # another process is merging them
        if len(small) <= MANY_PARTS:
            return
        parts = [part for path in small if (part := self._read(path)) is not None]
        if len(parts) < len(small):
            return  # another process is merging them
        whole = pl.concat(parts).unique("key", maintain_order=True)
        name = self._write(whole["key"], whole["vector"].to_numpy())
        for path in small:
            if path.name != name:
                path.unlink(missing_ok=True)
                self._keys.pop(path.name, None)


def _part_name(content: bytes) -> str:
    return f"part-{hashlib.blake2b(content, digest_size=16).hexdigest()}.parquet"


def _write_bytes(path: Path, content: bytes) -> None:
    path.write_bytes(content)
