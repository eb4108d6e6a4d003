"""Defects that a reader of the code found: what was lost, crashed or went unsaid."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from loreweave import knowledge
from loreweave.data import Dataset, Interactions, Vocabulary, from_frame, read, split
from loreweave.errors import ConfigError, DataError, SavedError
from loreweave.evaluate.metrics import parse_metric
from loreweave.knowledge import Knowledge, Record
from loreweave.models import create


def small() -> Dataset:
    people, books = np.array([0, 0, 1, 1, 2, 2], np.int32), np.array([0, 1, 1, 2, 0, 2], np.int32)
    return Dataset(Vocabulary(["a", "b", "c"]), Vocabulary(["x", "y", "z"]), Interactions(people, books))


def test_knowledge_does_not_take_the_place_of_a_model(tmp_path: Path) -> None:
    create("popular").fit(small()).save(tmp_path / "model")
    told = Knowledge.from_records([Record(kind="interest", user="a", interest="1", text="sea")])
    with pytest.raises(SavedError, match="not a knowledge"):
        knowledge.save(told, tmp_path / "model")
    assert (tmp_path / "model/model.safetensors").is_file()


def test_a_checkpoint_does_not_take_the_place_of_a_model(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    create("popular").fit(small()).save(tmp_path / "model")
    with pytest.raises(SavedError, match="not a checkpoint"):
        create("lightgcn", {"epochs": 1, "dim": 4}).fit(small(), checkpoint=tmp_path / "model")
    assert (tmp_path / "model/model.safetensors").is_file()


@pytest.mark.parametrize("content", ["\ufeff\n", "\u00a0\n", "\x1c\n"])
def test_a_blank_list_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "train.txt").write_text("0 1 2\n1 2\n")
    (tmp_path / "user_list.txt").write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=r"user_list\.txt"):
        read(tmp_path)


@pytest.mark.parametrize("name", ["ndcg@²", "ndcg@0", "ndcg@1000000000000", "ndcg@", "best@10"])
def test_a_metric_that_is_none(name: str) -> None:
    with pytest.raises(ConfigError, match="no metric"):
        parse_metric(name)


@pytest.mark.parametrize("seed", [-1, 2**70])
def test_a_seed_out_of_range_is_refused(seed: int) -> None:
    with pytest.raises(ConfigError, match="seed"):
        create("ials", {"seed": seed})


def test_deep_nesting_in_a_file_of_records_is_refused(tmp_path: Path) -> None:
    (tmp_path / "knowledge.jsonl").write_text("[" * 100_000 + "\n")
    with pytest.raises(DataError, match="row 1"):
        knowledge.read(tmp_path / "knowledge.jsonl", small())


def test_a_fraction_is_nobodys_id() -> None:
    assert Vocabulary(pl.Series([1, 2])).encode([1.7, 2.0, 1.0]).tolist() == [-1, 1, 0]


def test_what_was_disliked_before_may_be_liked_in_test() -> None:
    log = pl.DataFrame(
        {
            "user": ["a", "a", "a", "b"],
            "item": ["x", "y", "x", "y"],
            "rating": [0.0, 1.0, 1.0, 1.0],
            "part": ["train", "train", "test", "train"],
        }
    )
    cut = split(from_frame(log), "given")
    assert len(cut.test) == 1
    assert cut.counts["test rows of items already in train, left out"] == 0
