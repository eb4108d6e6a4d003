"""Texts about users that lie beside the data, loaded on request."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from loreweave.data.dataset import Dataset, Interactions
from loreweave.data.vocabulary import Vocabulary
from loreweave.errors import DataError
from loreweave.knowledge.requested import profiles_file, user_profiles

DATASET = Dataset(Vocabulary(["ann", "bob"]), Vocabulary(["x"]), Interactions(np.array([0], np.int32), np.array([0], np.int32)))


def test_they_have_no_date_and_strangers_are_counted(tmp_path: Path) -> None:
    rows = [{"user": "ann", "model": "m", "profile": "Likes the sea."}, {"user": "eve", "model": "m", "profile": "Likes tea."}]
    (tmp_path / "user_profiles.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    known = user_profiles(tmp_path, DATASET)
    assert known.records.select("kind", "user", "text", "as_of", "source", "model").rows() == [
        ("user_text", "ann", "Likes the sea.", None, "published", "m")
    ]
    assert known.notes == (
        "user_profiles.jsonl: read as user-profiles: 2 rows, 2 user_text records",
        "1 knowledge records of 1 users unknown to the data were left out",
    )


def test_a_csv_table_with_quotes(tmp_path: Path) -> None:
    (tmp_path / "user_profiles.csv").write_text('user,profile\nann,"Likes sea, and ""tea"""\nbob,\n')
    assert user_profiles(tmp_path, DATASET).records.select("user", "text").rows() == [("ann", 'Likes sea, and "tea"')]


def test_a_missing_or_wrong_table(tmp_path: Path) -> None:
    assert profiles_file(tmp_path) is None
    with pytest.raises(DataError, match=r"there is no user_profiles\.jsonl here"):
        user_profiles(tmp_path, DATASET)
    (tmp_path / "user_profiles.jsonl").write_text('{"user": "ann", "text": "x"}\n')
    with pytest.raises(DataError, match=r"field 'profile': missing; the format user-profiles has user, profile"):
        user_profiles(tmp_path, DATASET)


@pytest.mark.data
def test_amazon_fashion(data_root: Path) -> None:
    from loreweave.data import read

    known = user_profiles(data_root / "amazon-fashion", read(data_root / "amazon-fashion"))
    assert len(known) == known.records["user"].n_unique() == 848
    assert known.records["model"].unique().to_list() == ["mixtral-8x7b"]
