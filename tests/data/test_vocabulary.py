"""Vocabulary: codes by first appearance, whatever the type and spread of the ids."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loreweave.data.vocabulary import Vocabulary
from loreweave.errors import DataError


@given(
    st.one_of(
        st.lists(st.text(st.characters(codec="utf-8"), max_size=3)),
        st.lists(st.integers(-5, 5)),
        st.lists(st.integers(-3, 30).map(str)),
        st.lists(st.sampled_from(["1", "01", "+1", "-1", "0", "-0", "00", "", " 1", "1 ", "1.0", "10", "x"])),
        st.lists(st.integers(-(2**63), 2**63 - 1)),
    )
)
def test_factorize_codes_by_first_appearance(values: list[Any]) -> None:
    dtype = pl.Int64 if values and isinstance(values[0], int) else pl.String
    vocabulary, codes = Vocabulary.factorize(pl.Series(values, dtype=dtype))
    distinct = list(dict.fromkeys(values))
    assert vocabulary.ids.to_list() == distinct
    assert codes.dtype == np.int32
    assert codes.tolist() == [distinct.index(value) for value in values]
    assert vocabulary.encode(values).tolist() == codes.tolist()


def test_factorize_refuses_a_missing_id() -> None:
    with pytest.raises(DataError, match="missing at position 1"):
        Vocabulary.factorize(pl.Series(["a", None]))


def test_leading_zeros_make_another_id() -> None:
    vocabulary, codes = Vocabulary.factorize(pl.Series(["1", "01", "1"]))
    assert codes.tolist() == [0, 1, 0]
    assert vocabulary.encode(["01", 1, "2"]).tolist() == [1, 0, -1]
