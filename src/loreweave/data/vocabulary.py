"""Raw ids in and out, int32 codes inside."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from loreweave.errors import DataError, UnknownId

Codes = NDArray[np.int32]
SPREAD = 16
"""Whole-number ids that span up to this many times their count are coded through a table, wider ones through a join."""


class Vocabulary:
    """A bijection between raw ids and the codes 0..n-1.

    Raw ids keep the type they came with: text (`pl.String`; what text files give, so that leading zeros survive) or integers
    (`pl.Int64`; what Parquet files and frames may give).

    Args:
        ids: distinct raw ids, in code order.

    Raises:
        DataError: an id is missing or occurs twice.
    """

    def __init__(self, ids: pl.Series | Iterable[Any]) -> None:
        series = ids if isinstance(ids, pl.Series) else pl.Series(list(ids), strict=True)
        if series.dtype == pl.Null:
            series = series.cast(pl.String)
        series = series.cast(pl.Int64) if series.dtype.is_integer() else series.cast(pl.String)
        series = series.rename("id").rechunk()
        if series.null_count():
            raise DataError(f"an id is missing at position {int(series.is_null().arg_max() or 0)}")
        if series.n_unique() != len(series):
            raise DataError(f"the id {series.filter(series.is_duplicated())[0]!r} occurs twice")
        self.ids = series
        self._frame = pl.DataFrame({"id": series, "code": pl.Series(np.arange(len(series), dtype=np.int32))})

    @classmethod
    def factorize(cls, values: pl.Series) -> tuple[Vocabulary, Codes]:
        """The vocabulary of a column, in order of first appearance, and the column as codes (int32 [n]).

        Raises:
            DataError: a value is missing.
        """
        if values.null_count():
            raise DataError(f"an id is missing at position {values.is_null().arg_max()}")
        if values.dtype.is_integer():
            coded = _through_table(values.cast(pl.Int64))
            if coded is not None:
                return coded
            vocabulary = cls(values.unique(maintain_order=True))
            return vocabulary, vocabulary.encode(values)
        return _digits(values.cast(pl.String)) or _texts(values.cast(pl.String))

    def __len__(self) -> int:
        return len(self.ids)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Vocabulary) and self.ids.dtype == other.ids.dtype and self.ids.equals(other.ids)

    def __hash__(self) -> int:
        return hash((len(self), self.ids.dtype))

    def __repr__(self) -> str:
        return f"Vocabulary({len(self)} ids, {self.ids.dtype})"

    def encode(self, values: pl.Series | Sequence[Any] | NDArray[Any]) -> Codes:
        """Codes of raw ids, int32 [n]; -1 where an id is unknown. Text is matched with integer ids by its digits, and back."""
        series = values if isinstance(values, pl.Series) else pl.Series(values=list(values), strict=False)
        if series.dtype.is_float() and self.ids.dtype == pl.Int64:  # 1.7 is nobody, 2.0 is 2
            series = series.set(series != series.floor(), None)
        series = series.cast(self.ids.dtype, strict=False).rename("id")
        joined = series.to_frame().join(self._frame, on="id", how="left", maintain_order="left")
        return np.ascontiguousarray(joined["code"].fill_null(-1).to_numpy(), dtype=np.int32)

    def code(self, value: Any) -> int:
        """The code of one raw id.

        Raises:
            UnknownId: it has none.
        """
        code = int(self.encode([value])[0])
        if code < 0:
            raise UnknownId(f"unknown id {value!r}")
        return code

    def decode(self, codes: Sequence[int] | NDArray[Any]) -> pl.Series:
        """Raw ids of codes, in order."""
        return self.ids.gather(pl.Series(np.asarray(codes, dtype=np.int64)))

    def subset(self, codes: NDArray[Any]) -> Vocabulary:
        """The vocabulary of some codes, renumbered in the order given."""
        return Vocabulary(self.decode(codes))


def _digits(values: pl.Series) -> tuple[Vocabulary, Codes] | None:
    """Texts that are whole numbers as `str` would write them, coded as numbers; None where any is not. Twice as fast as `_texts`.

    Another way to write a number (`007`, `+7`) is longer than the number's own digits, so one sum of lengths tells that there is none.
    """
    if len(values) == 0 or values[:1].cast(pl.Int64, strict=False).null_count():
        return None
    numbers = values.cast(pl.Int64, strict=False)
    coded = None if numbers.null_count() else _through_table(numbers)
    if coded is None:
        return None
    ids = coded[0].ids.cast(pl.String)
    shortest = np.bincount(coded[1]) @ ids.str.len_bytes().to_numpy().astype(np.int64)
    return (Vocabulary(ids), coded[1]) if shortest == values.str.len_bytes().cast(pl.Int64).sum() else None


def _through_table(numbers: pl.Series) -> tuple[Vocabulary, Codes] | None:
    """Int64 values coded through a table over their span; None where the span is too wide for one."""
    low, high = numbers.min(), numbers.max()
    if not isinstance(low, int) or not isinstance(high, int) or high - low > SPREAD * len(numbers):
        return None
    return _coded(numbers, numbers.to_numpy() - low if low else numbers.to_numpy())


def _texts(values: pl.Series) -> tuple[Vocabulary, Codes]:
    """Texts coded through a dictionary, several times cheaper than a join on them."""
    return _coded(values, values.cast(pl.Categorical).to_physical().to_numpy())


def _coded(values: pl.Series, positions: NDArray[Any]) -> tuple[Vocabulary, Codes]:
    """The vocabulary by first appearance, given for each value a position (from 0) that it shares with its equals alone."""
    first = pl.Series(positions).arg_unique().sort()
    table = np.empty(int(positions.max(initial=0)) + 1, dtype=np.int32)
    table[positions[first.to_numpy()]] = np.arange(len(first), dtype=np.int32)
    return Vocabulary(values.gather(first)), table[positions]
