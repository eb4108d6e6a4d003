"""Defects that a reader of the code found: what was lost, crashed or went unsaid."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from loreweave import knowledge
from loreweave.data import Dataset, Interactions, Vocabulary, from_frame, read, split
from loreweave.data.dataset import Triples
from loreweave.errors import ConfigError, DataError, SavedError
from loreweave.evaluate import evaluate
from loreweave.evaluate.metrics import parse_metric
from loreweave.files import write_json
from loreweave.knowledge import Knowledge, Record
from loreweave.knowledge.features import attribute_rows
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


def test_items_held_out_cold_can_be_found() -> None:
    """Triples join a cold item to what its entity's other items are met with."""
    people = np.repeat(np.arange(40), 2)
    books = np.stack([np.arange(40) % 2, 2 + np.arange(40) % 2], axis=1).ravel()
    triples = Triples(
        np.array([0, 4, 1, 3], np.int32), np.zeros(4, np.int32), np.array([5, 5, 6, 6], np.int32), Vocabulary(range(7)), Vocabulary(["by"])
    )
    data = Dataset(
        Vocabulary(range(40)), Vocabulary(range(5)), Interactions(people.astype(np.int32), books.astype(np.int32)), triples=triples
    )
    cold = Interactions(np.array([0, 2], np.int32), np.array([4, 4], np.int32))
    model = create("cikg-linear", {"triple_weight": 5.0, "l2": 1.0}).fit(data)
    assert evaluate(model, cold, ks=(1,)).metrics["recall@1"] == 0.0
    report = evaluate(model, cold, ks=(1,), cold=True)
    assert report.metrics["recall@1"] == 1.0
    assert report.protocol["candidates"] == 5


def test_a_catalogue_does_not_change_the_fingerprint_of_a_log() -> None:
    bare = small()
    more = Dataset(bare.users, Vocabulary(["x", "y", "z", "never met"]), bare.interactions)
    assert more.fingerprint == bare.fingerprint


def test_ids_that_join_to_the_same_text_have_other_fingerprints() -> None:
    one, other = (
        Dataset(Vocabulary([user]), Vocabulary([item]), Interactions(np.zeros(1, np.int32), np.zeros(1, np.int32)))
        for user, item in (("1", "23"), ("12", "3"))
    )
    assert one.fingerprint != other.fingerprint


def test_nested_columns_of_a_catalogue(tmp_path: Path) -> None:
    (tmp_path / "ratings.csv").write_text("user,item\na,x\nb,y\n")
    (tmp_path / "items.jsonl").write_text('{"item": "x", "genres": [["a"]]}\n{"item": "y", "genres": [["b"]]}\n')
    assert "no category" in " ".join(attribute_rows(read(tmp_path))[1])
    (tmp_path / "items.jsonl").write_text('{"item": "x", "title": ["T"]}\n')
    with pytest.raises(DataError, match=r"items\.jsonl, field 'title'"):
        read(tmp_path)


def test_blank_rows_of_a_split_in_files_are_counted_and_errors_name_the_file(tmp_path: Path) -> None:
    (tmp_path / "x.train.inter").write_text("user_id:token\titem_id:token\na\tp\n\nb\tq\n")
    (tmp_path / "x.test.inter").write_text("user_id:token\titem_id:token\n\na\tq\n")
    assert any("2" in note and "blank" in note for note in read(tmp_path).notes)
    (tmp_path / "x.test.inter").write_text("user_id:token\titem_id:token\n\n\tq\n")
    with pytest.raises(DataError, match=r"x\.test\.inter, row 3"):
        read(tmp_path)


def test_blank_lines_between_json_objects_are_counted(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_text('{"user": "a", "item": "x"}\n\n\n{"user": "b", "item": "y"}\n')
    assert any("2" in note and "blank" in note for note in read(tmp_path / "log.jsonl").notes)


def test_tabs_and_spaces_are_not_mixed(tmp_path: Path) -> None:
    (tmp_path / "sequences.txt").write_text("u 1 2\nv\t3\n")
    with pytest.raises(DataError, match=r"sequences\.txt, row 1"):
        read(tmp_path / "sequences.txt")


def test_a_file_where_a_folder_should_be_is_a_plain_error(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("")
    with pytest.raises(SavedError, match=r"m\.json: cannot be written"):
        write_json(tmp_path / "f/m.json", {})


def test_ties_at_the_validation_item_are_counted() -> None:
    log = pl.DataFrame({"user": ["a"] * 4, "item": list("wxyz"), "time": [1, 2, 2, 3]})
    assert split(from_frame(log), "leave_last_out").counts["users tied at the validation item, file order kept"] == 1


def test_records_after_blank_lines_are_named_by_their_line(tmp_path: Path) -> None:
    (tmp_path / "knowledge.jsonl").write_text('\n\n{"kind": "interest", "user": "a"}\n')
    with pytest.raises(DataError, match="row 3"):
        knowledge.read(tmp_path / "knowledge.jsonl", small())


def test_a_score_without_nothing_is_the_score() -> None:
    quiet = Dataset(Vocabulary(["a", "b", "new"]), Vocabulary(["x", "y", "z"]), small().interactions.take(np.arange(4)))
    model = create("ease").fit(quiet)
    assert model.score_without("new", "y", []) == pytest.approx(model.explain("new", "y").score)
