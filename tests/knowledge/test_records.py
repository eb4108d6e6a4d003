"""Records: what is kept, overridden, refused; the controls; the alignment to codes."""

from __future__ import annotations

import time

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from loreweave.data.dataset import Dataset, Interactions
from loreweave.data.split import Split
from loreweave.data.vocabulary import Vocabulary
from loreweave.errors import DataError
from loreweave.knowledge.records import SCHEMA, Knowledge, Record


def interest(user: str, key: str, **fields: object) -> Record:
    return Record(kind="interest", user=user, interest=key, **fields)


@pytest.fixture
def small() -> Knowledge:
    return Knowledge.from_records(
        [
            interest("ann", "t1", text="dragons", evidence=("b1", "b2"), as_of="f"),
            interest("ann", "t2", text="ships", as_of="f"),
            interest("bob", "t1", text="dragons again", weight=0.5, as_of="f"),
            Record(kind="user_text", user="cat", text="likes quiet books", as_of="f"),
            Record(kind="item_text", item="b1", text="a dragon wakes", as_of="f"),
            Record(kind="item_text", item="b2", text="a ship sinks", as_of="f"),
        ]
    )


def pairs(knowledge: Knowledge) -> set[tuple[str, str]]:
    frame = knowledge.records.filter(pl.col("kind") == "interest")
    return set(zip(frame["user"], frame["interest"], strict=True))


def test_labels_are_the_first_phrase_unless_given(small: Knowledge) -> None:
    assert small.interests.to_dicts() == [
        {"interest": "t1", "label": "dragons", "derived": False},
        {"interest": "t2", "label": "ships", "derived": False},
    ]
    labelled = Knowledge.from_records([interest("ann", "t1")], {"t1": "Dragons", "t9": "never held"})
    assert labelled.labels(pl.Series(["t1", "t7"])) == ["Dragons", "t7"]
    assert labelled.interests.height == 1


def test_evidence_survives_as_a_list(small: Knowledge) -> None:
    assert small.records["evidence"].to_list()[:2] == [["b1", "b2"], []]
    assert dict(small.records.schema) == SCHEMA


def test_interest_matrix_by_hand(small: Knowledge) -> None:
    matrix, columns = small.interest_matrix(Vocabulary(["bob", "eve", "ann"]))
    assert columns.to_list() == ["t1", "t2"]
    assert matrix.toarray().tolist() == [[0.5, 0.0], [0.0, 0.0], [1.0, 1.0]]
    assert matrix.dtype == np.float32
    chosen, columns = small.interest_matrix(Vocabulary(["ann"]), pl.Series(["t9", "t2"]))
    assert chosen.toarray().tolist() == [[0.0, 1.0]]
    only_bob, columns = small.interest_matrix(Vocabulary(["bob"]))
    assert columns.to_list() == ["t1"] and only_bob.shape == (1, 1)


def test_interest_matrix_takes_the_largest_weight_and_leaves_out_what_was_switched_off() -> None:
    knowledge = Knowledge.from_records([interest("1", "a", weight=0.2), interest("1", "a", weight=0.7), interest("2", "a", weight=0.0)])
    matrix, columns = knowledge.interest_matrix(Vocabulary(pl.Series([1, 2])))
    assert columns.to_list() == ["a"]
    assert matrix.toarray() == pytest.approx(np.array([[0.7], [0.0]]))


def test_none_aligns_to_nothing() -> None:
    matrix, columns = Knowledge.none().interest_matrix(Vocabulary(["ann"]))
    assert matrix.shape == (1, 0) and len(columns) == 0 and len(Knowledge.none()) == 0
    assert len(Knowledge.none().shuffled(1)) == 0 and len(Knowledge.none().noised(0.5, 1)) == 0


def test_person_overrides_every_other_source_and_their_last_word_counts(small: Knowledge) -> None:
    said = Knowledge.from_records(
        [interest("ann", "t1", weight=1.0, source="person"), interest("ann", "t1", weight=0.0, source="person")], {"t1": "dragons"}
    )
    assert len(said) == 1
    merged = said.merged(small)
    assert pairs(merged) == {("ann", "t1"), ("ann", "t2"), ("bob", "t1")}
    matrix, columns = merged.interest_matrix(Vocabulary(["ann", "bob"]))
    assert dict(zip(columns, matrix.toarray()[0], strict=True)) == {"t1": 0.0, "t2": 1.0}
    assert merged.records.filter(pl.col("user") == "bob")["weight"].to_list() == [0.5]


def test_only_keeps_one_kind(small: Knowledge) -> None:
    assert small.only("item_text").records["item"].to_list() == ["b1", "b2"]


def test_only_keeps_several_kinds_and_the_interests_where_theirs_is_among_them(small: Knowledge) -> None:
    texts = small.only("item_text", "user_text")
    assert texts.records["kind"].to_list() == ["user_text", "item_text", "item_text"]
    assert texts.interests.is_empty()
    assert small.only("interest", "item_text").interests.equals(small.interests)
    assert len(small.only()) == 0


def test_shuffled_gives_whole_people_to_others_of_the_same_kinds(small: Knowledge) -> None:
    seen = set()
    for seed in range(20):
        other = small.shuffled(seed)
        assert other.name == "shuffled"
        people = other.records["user"].to_list()
        assert people[:3] in (["ann", "ann", "bob"], ["bob", "bob", "ann"])  # interests stay with those who have interests
        assert people[3] == "cat"
        assert sorted(other.records["item"].drop_nulls()) == ["b1", "b2"]
        assert other.records["evidence"].to_list() == small.records["evidence"].to_list()
        seen.add(people[0])
    assert seen == {"ann", "bob"}


def test_noised_at_rate_one_changes_every_value_but_a_persons() -> None:
    knowledge = Knowledge.from_records(
        [
            interest("a", "t1", text="one", evidence=("x",)),
            interest("b", "t2", text="two", evidence=("y",)),
            interest("c", "t3", text="three", source="person"),
        ]
    )
    noised = knowledge.noised(1.0, seed=3)
    assert pairs(noised) == {("a", "t2"), ("b", "t1"), ("c", "t3")}
    row = noised.records.filter(pl.col("user") == "a").to_dicts()[0]
    assert (row["text"], row["evidence"]) == ("two", ["y"])  # evidence follows the value
    assert noised.name == "noised-100"


def test_noise_never_brings_back_what_a_person_switched_off() -> None:
    knowledge = Knowledge.from_records(
        [interest("a", "t1"), interest("a", "t2", weight=0.0, source="person"), interest("b", "t2"), interest("c", "t1")]
    )
    for seed in range(10):
        matrix, columns = knowledge.noised(1.0, seed).interest_matrix(Vocabulary(["a"]))
        assert "t2" not in columns.to_list() and matrix.sum() == 0


@pytest.mark.parametrize("rate", [-0.1, 1.5, float("nan")])
def test_noise_rate_out_of_range_is_refused(small: Knowledge, rate: float) -> None:
    with pytest.raises(DataError, match="between 0 and 1"):
        small.noised(rate, 1)


edges = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 6)), min_size=1, max_size=60, unique=True)


def from_edges(drawn: list[tuple[int, int]]) -> Knowledge:
    return Knowledge.from_records(interest(f"u{u}", f"t{t}", text=f"phrase {t}", evidence=(f"i{u}",)) for u, t in drawn)


@settings(max_examples=60, deadline=None)
@given(edges, st.integers(0, 2**32 - 1))
def test_shuffling_permutes_people(drawn: list[tuple[int, int]], seed: int) -> None:
    knowledge = from_edges(drawn)
    shuffled = knowledge.shuffled(seed)
    moved = dict(zip(knowledge.records["user"], shuffled.records["user"], strict=True))
    assert sorted(moved) == sorted(moved.values())  # one to one
    assert {(moved[user], t) for user, t in pairs(knowledge)} == pairs(shuffled)
    assert shuffled.records.drop("user").equals(knowledge.records.drop("user"))
    assert shuffled.records.equals(knowledge.shuffled(seed).records)


@settings(max_examples=60, deadline=None)
@given(edges, st.sampled_from([0.0, 0.1, 0.3, 0.5, 1.0]), st.integers(0, 2**32 - 1))
def test_noise_replaces_exactly_its_share_by_another_value(drawn: list[tuple[int, int]], rate: float, seed: int) -> None:
    knowledge = from_edges(drawn)
    noised = knowledge.noised(rate, seed)
    changed = (knowledge.records["interest"] != noised.records["interest"]).sum()
    assert changed == (round(rate * len(drawn)) if len({t for _, t in drawn}) > 1 else 0)
    assert noised.records["user"].equals(knowledge.records["user"])
    assert (noised.records["text"] == ("phrase " + noised.records["interest"].str.slice(1))).all()
    assert set(noised.records["interest"]) <= set(knowledge.records["interest"])
    assert noised.records.equals(knowledge.noised(rate, seed).records)


def split_of(train: list[tuple[int, int]], valid: list[tuple[int, int]]) -> Split:
    def log(rows: list[tuple[int, int]]) -> Interactions:
        table = np.array(rows, dtype=np.int32).reshape(-1, 2)
        return Interactions(np.ascontiguousarray(table[:, 0]), np.ascontiguousarray(table[:, 1]))

    dataset = Dataset(Vocabulary(["a", "b"]), Vocabulary(["x", "y", "z"]), log(train))
    return Split(dataset, log(valid), log([(1, 2)]), "given", 1)


def dated(as_of: str | None, **fields: object) -> Knowledge:
    return Knowledge.from_records([interest("a", "t", as_of=as_of, **fields)])


def test_check_by_date() -> None:
    split = split_of([(0, 0), (1, 1)], [(0, 1)])
    assert dated(split.train.fingerprint).check(split) == []
    assert "validation" in dated(split.fingerprint).check(split)[0]
    for unknown in (None, "0" * 16):
        with pytest.raises(DataError, match="1 of 1 knowledge records"):
            dated(unknown).check(split)
        assert "accepted on request" in dated(unknown).check(split, undated=True)[0]
    assert dated(None, source="person").check(split) == []
    assert Knowledge.none().check(split) == []


def test_texts_about_items_without_a_date_are_accepted_and_said() -> None:
    split = split_of([(0, 0), (1, 1)], [(0, 1)])
    undated = Knowledge.from_records([Record(kind="item_text", item=str(n), text="t") for n in range(3)])
    (warning,) = undated.check(split)
    assert warning.startswith("3 texts about items have no date") and "may reflect what people did" in warning
    other = Knowledge.from_records(
        [Record(kind="item_text", item="9", text="t", as_of="0" * 16), Record(kind="user_text", user="1", text="t")]
    )
    with pytest.raises(DataError, match="2 of 5 knowledge records rest on unknown interactions"):
        undated.merged(other).check(split)
    assert len(undated.merged(other).check(split, undated=True)) == 2


def test_check_without_a_validation_part_counts_no_record_twice() -> None:
    split = split_of([(0, 0), (1, 1)], [])
    assert split.train.fingerprint == split.fingerprint
    assert dated(split.fingerprint).check(split) == []


def test_incomplete_records_are_refused() -> None:
    for fields in ({"kind": "interest", "user": "a"}, {"kind": "reason", "user": "a", "text": "x"}, {"kind": "user_text", "text": "x"}):
        with pytest.raises(ValidationError, match="needs"):
            Record(**fields)
    with pytest.raises(ValidationError):
        interest("a", "t", weight=-1.0)
    good = Knowledge.from_records([interest("a", "t"), interest("b", "t")])
    for bad, field in (
        (pl.col("weight") * float("nan"), "weight"),
        (pl.lit(None, pl.String).alias("source"), "source"),
        (pl.lit("taste").alias("kind"), "kind"),
        (pl.lit(None, pl.String).alias("user"), "user"),
    ):
        with pytest.raises(DataError, match=rf"row 1, field '{field}'"):
            Knowledge(good.records.with_columns(bad), good.interests)
    with pytest.raises(DataError, match="without a label"):
        Knowledge(good.records, good.interests.clear())
    with pytest.raises(DataError, match="lack the columns"):
        Knowledge(good.records.drop("as_of"), good.interests)


def test_a_million_records_pass_through_every_control_in_seconds() -> None:
    n, rng = 1_000_000, np.random.default_rng(0)
    columns = {name: pl.lit(None, dtype) for name, dtype in SCHEMA.items()}
    columns |= {"kind": pl.lit("interest"), "source": pl.lit("s"), "weight": pl.lit(1.0, pl.Float32)}
    keys = pl.DataFrame({"user": rng.integers(0, 200_000, n), "interest": rng.integers(0, 500, n)})
    keys = keys.select(pl.all().cast(pl.String))
    records = keys.with_columns(value.alias(name) for name, value in columns.items() if name not in keys.columns)
    interests = pl.DataFrame({"interest": [str(i) for i in range(500)]}).with_columns(label="interest", derived=False)
    started = time.process_time()
    knowledge = Knowledge(records, interests)
    assert len(knowledge.shuffled(1)) == len(knowledge.noised(0.3, 1)) == n
    matrix, _ = knowledge.interest_matrix(records["user"].unique())
    assert matrix.nnz == records.select("user", "interest").n_unique()
    assert time.process_time() - started < 30  # about 3 s; a Python loop over records would take minutes


class TestTexts:
    KEYS = Vocabulary(["b2", "b1", "b3"])

    def test_by_key_in_the_order_of_the_vocabulary(self, small: Knowledge) -> None:
        assert small.texts("item_text", self.KEYS) == ["a ship sinks", "a dragon wakes", ""]
        assert small.texts("user_text", Vocabulary(["ann", "cat"])) == ["", "likes quiet books"]  # an interest's phrase is no text
        assert small.texts("item_text", Vocabulary([])) == []
        assert Knowledge.none().texts("item_text", self.KEYS) == ["", "", ""]

    def test_several_are_joined_in_the_order_of_the_records(self) -> None:
        said = [("b1", "one", 1.0), ("b2", "other", 1.0), ("b1", "two", 0.5), ("b1", "withdrawn", 0.0), ("b9", "unknown", 1.0)]
        knowledge = Knowledge.from_records([Record(kind="item_text", item=key, text=text, weight=weight) for key, text, weight in said])
        assert knowledge.texts("item_text", self.KEYS) == ["other", "one two", ""]

    def test_numbers_name_their_keys(self) -> None:
        knowledge = Knowledge.from_records([Record(kind="user_text", user="7", text="seven")])
        assert knowledge.texts("user_text", Vocabulary([5, 7])) == ["", "seven"]
