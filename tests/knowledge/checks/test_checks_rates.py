"""Rates, intervals and counts, and what `check` does with the odd record."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from check_stubs import SCREEN, Words, screen
from hypothesis import given, settings
from hypothesis import strategies as st

from loreweave.data import movielens
from loreweave.data.simulate import simulate
from loreweave.errors import DataError
from loreweave.evaluate.groups import history_groups
from loreweave.knowledge.checks import Checks, check
from loreweave.knowledge.checks.rates import quarters, summary, wilson
from loreweave.knowledge.exchange import read_exchange
from loreweave.knowledge.records import Knowledge, Record
from loreweave.knowledge.simulated import score
from loreweave.language.base import Vectors
from loreweave.language.encoders import encoder


def test_wilson_by_the_book() -> None:
    low, high = wilson(np.array([0.0, 5, 10, 1]), np.array([10.0, 10, 10, 0]))
    assert low[:3] == pytest.approx([0, 0.2366, 0.7225], abs=1e-4)
    assert high[:3] == pytest.approx([0.2775, 0.7634, 1], abs=1e-4)
    assert np.isnan(low[3]) and np.isnan(high[3])


def test_the_interval_of_records_that_are_wrong_together_covers() -> None:
    rng = np.random.default_rng(1)
    worlds, people, each, share = 300, 200, 5, 0.1
    wrong = np.repeat(rng.random((worlds, people)) < share, each)
    records = pl.DataFrame(
        {
            "task": "t",
            "model": np.repeat(np.arange(worlds), people * each).astype(str),
            "user": np.tile(np.repeat(np.arange(people), each), worlds).astype(str),
            "item": pl.Series([None], dtype=pl.String).new_from_index(0, len(wrong)),
            "judged": True,
            "hallucinated": wrong,
            "by": "b",
            "group": "g",
            "place": 0,
        }
    )
    found = summary(records).filter(pl.col("by") == "all")
    assert ((found["low"] <= share) & (share <= found["high"])).mean() > 0.92  # as if independent: 0.6
    independent = summary(records.with_columns(user=pl.int_range(pl.len()).cast(pl.String)))
    low, high = wilson(independent["hallucinated"].to_numpy().astype(float), independent["n"].to_numpy().astype(float))
    assert independent["low"].to_numpy() == pytest.approx(low, rel=2e-3)
    assert independent["high"].to_numpy() == pytest.approx(high, rel=2e-3)
    none = summary(records.head(people * each).with_columns(hallucinated=pl.lit(False)))
    assert none["high"][0] == pytest.approx(wilson(np.zeros(1), np.array([float(people)]))[1][0])  # no more than the people are known


@given(st.lists(st.integers(0, 40), min_size=1, max_size=80))
def test_quarters_are_those_of_comparisons(lengths: list[int]) -> None:
    group, labels = quarters(np.array(lengths))
    expected, expected_labels = history_groups(np.array(lengths))
    assert group.tolist() == expected.tolist() and labels == expected_labels


TEXTS = st.sampled_from(["sharks", "A comedy.", "Woody Allen", "I am sorry.", "", "zzz", "Jaws", "Steven Spielberg thriller"])
USERS = st.sampled_from(["ann", "bob", "stranger"])
ITEMS = st.sampled_from(["film 1", "film 2", "film 6", "film 99"])
MODELS = st.sampled_from(["a", "b", None])
RECORDS = st.one_of(
    st.builds(
        lambda user, text, evidence, model, source: Record(
            kind="interest", user=user, interest=text, text=text, evidence=tuple(evidence), model=model, source=source
        ),
        *(USERS, TEXTS, st.lists(ITEMS, max_size=3), MODELS, st.sampled_from(["language model", "person"])),
    ),
    st.builds(lambda item, text, model: Record(kind="item_text", item=item, text=text, model=model), ITEMS, TEXTS, MODELS),
    st.builds(lambda user, text, model: Record(kind="user_text", user=user, text=text, model=model), USERS, TEXTS, MODELS),
    st.builds(
        lambda user, item, text: Record(kind="reason", user=user, item=item, text=f'{{"thought":"t","reason":"{text}","verdict":1}}'),
        *(USERS, ITEMS, TEXTS),
    ),
)


@settings(max_examples=25)
@given(st.lists(RECORDS, min_size=1, max_size=12))
def test_rates_are_shares_and_counts_add_up(records: list[Record]) -> None:
    knowledge = Knowledge.from_records(records)
    inferred = knowledge.records.filter(pl.col("source") != "person").height
    if not inferred:
        with pytest.raises(DataError, match="nothing to check"):
            check(knowledge, screen(), Words())
        return
    found = check(knowledge, screen(), Words())
    _sound(found, inferred)
    marked = found.marked()
    person = pl.col("source") == "person"
    assert marked.records.drop("checks").equals(knowledge.records.drop("checks"))
    assert marked.records.filter(person).equals(knowledge.records.filter(person))
    again = check(marked, screen(), Words())
    assert again.records["hallucinated"].equals(found.records["hallucinated"])


def _sound(found: Checks, inferred: int) -> None:
    assert found.records.height == inferred
    summary, records = found.summary, found.records
    assert summary.filter(pl.col("by") == "all")["records"].sum() == inferred
    assert summary.filter(pl.col("by") != "all")["records"].sum() == inferred
    key = ["task", "model"]
    whole = summary.filter(pl.col("by") == "all").select(*key, "records", "n", "hallucinated").sort(key)
    parts = summary.filter(pl.col("by") != "all").group_by(key).agg(pl.col("records", "n", "hallucinated").sum()).sort(key)
    assert whole.equals(parts)
    assert (summary["hallucinated"] <= summary["n"]).all() and (summary["n"] <= summary["records"]).all()
    assert (summary["rate"].is_null() == (summary["n"] == 0)).all()
    judged = summary.drop_nulls("rate")
    assert ((judged["low"] >= 0) & (judged["low"] <= judged["rate"]) & (judged["rate"] <= judged["high"]) & (judged["high"] <= 1)).all()
    for name in ("auc", "auc_dealt"):
        assert records[name].drop_nulls().is_between(0, 1).all()
    fair = (records["kind"] != "interest") | (records["against"] != "history").fill_null(True)
    assert (records["ungrounded"] == ((records["auc"] < 0.5).fill_null(False) & fair)).all()
    assert (records["hallucinated"] <= records["judged"]).all()
    assert records["problems"].list.len().eq(records["problems"].list.n_unique()).all()


def test_strangers_are_counted_and_not_judged() -> None:
    said = [
        Record(kind="user_text", user="nobody", text="Likes sharks."),
        Record(kind="user_text", user="ann", text="Likes Jaws and Duel."),
    ]
    found = check(Knowledge.from_records(said), screen(), Words())
    assert found.records["judged"].to_list() == [False, True]
    assert found.summary["group"].to_list() == ["all", "2", "not in the data"]
    assert "1 of 2 records: about a user or an item that is not in the data" in found.notes
    assert "1 of 2 records: not judged at all" in found.notes


def test_a_catalogue_that_says_nothing_judges_nothing() -> None:
    data = screen()
    bare = type(data)(data.users, data.items, data.interactions, "bare")
    found = check(Knowledge.from_records([Record(kind="user_text", user="ann", text="Likes sharks.")]), bare, Words())
    assert found.summary["n"].to_list() == [0, 0] and found.grounding.is_empty()
    assert "the catalogue says nothing of any item, so that no text can be held against it" in found.notes


def test_what_could_have_been_found_wrong_is_judged() -> None:
    data = screen([("ann", "Jaws"), ("ann", "Duel"), ("bob", "Bananas")])
    bare = type(data)(data.users, data.items, data.interactions, "bare")
    said = [
        Record(kind="interest", user=user, interest=f"{user} {item}", text=f"{user} {item}", evidence=(item,))
        for user, item in [
            ("ann", "film 1"),
            ("ann", "film 6"),
            ("bob", "film 4"),
            ("bob", "film 1"),
            ("nobody", "film 1"),
            ("nobody", "x"),
        ]
    ]
    found = check(Knowledge.from_records(said), bare, Words())
    assert found.records["judged"].to_list() == [True, True, True, True, False, False]
    assert found.summary.select("n", "hallucinated").row(0) == (4, 1)
    texts = {"film 1": "A thriller.", "film 2": "A war.", "film 99": "A comedy.", "film 4": " "}
    described = Knowledge.from_records(Record(kind="item_text", item=item, text=text) for item, text in texts.items())
    found = check(described, data, Words(["zebra"]))
    assert found.records["auc"].null_count() == 4  # the encoder knows no word, and nothing fails
    assert found.records["judged"].to_list() == [True, True, False, False]
    assert found.summary.select("n", "hallucinated").row(0) == (2, 1)


def test_what_the_caller_left_out_stands_in_the_notes() -> None:
    said = [Record(kind="user_text", user="ann", text="Likes sharks.")]
    assert check(Knowledge.from_records(said), screen(), Words(), notes=["3 answers failed"]).notes[0] == "3 answers failed"


def test_an_encoder_that_loses_texts_is_named() -> None:
    class Losing(Words):
        name = "losing"

        def encode(self, texts: list[str]) -> Vectors:  # type: ignore[override]
            return super().encode(texts)[1:]

    with pytest.raises(DataError, match=r"encoder losing: \d+ texts came back as an array of shape"):
        check(Knowledge.from_records([Record(kind="user_text", user="ann", text="Likes sharks.")]), screen(), Losing())


def test_simulated_interests_are_scored_against_the_truth() -> None:
    world = simulate(1, n_users=120)
    right, wrong = world.survey(as_of=world.dataset.fingerprint, error=0.0), world.survey(as_of=world.dataset.fingerprint, error=0.5)
    frames = [part.records.with_columns(model=pl.lit(name)) for name, part in (("right", right), ("wrong", wrong))]
    found = check(Knowledge.from_frame(pl.concat(frames)), world.dataset, Words(), world=world)
    assert found.truth is not None
    rows = {row.pop("model"): row for row in found.truth.to_dicts()}
    assert rows["right"] == pytest.approx(score(world, right)) and rows["right"]["precision"] == 1.0
    assert rows["wrong"] == pytest.approx(score(world, wrong))


def test_examples_are_the_worst_and_the_best() -> None:
    texts = {
        "film 1": "Jaws is a horror thriller by Steven Spielberg.",
        "film 3": "A comedy by Woody Allen.",
        "film 5": "The Birds, horror.",
    }
    found = check(Knowledge.from_records(Record(kind="item_text", item=item, text=text) for item, text in texts.items()), screen(), Words())
    shown = found.examples
    assert shown.filter(pl.col("side") == "worst")["item"].to_list() == ["film 3"]
    assert shown.filter(pl.col("side") == "worst")["rests_on"].to_list() == [["Vertigo"]]
    assert set(shown.filter(pl.col("side") == "best")["item"]) <= {"film 1", "film 5"}
    assert list(SCREEN)[2] == "Vertigo"


@pytest.mark.data
@pytest.mark.skipif("LOREWEAVE_DATA" not in os.environ, reason="LOREWEAVE_DATA is not set: the folder of real data sets")
def test_texts_about_films_are_grounded_and_shuffled_ones_are_not(data_root: Path) -> None:
    data = movielens.read(data_root / "ml-latest-small").dataset
    films = data.items.ids.filter(data.items.ids.cast(pl.Int64) < 3953).sample(300, seed=1)
    small = data.items.encode(films)
    keep = np.isin(data.interactions.item, small)
    code = np.full(data.n_items, -1, dtype=np.int32)
    code[small] = np.arange(len(small), dtype=np.int32)
    log = data.interactions.take(keep)
    log = type(log)(log.user, code[log.item], log.value, log.time)
    rows = pl.Series(small.astype(np.int64))
    assert data.item_texts is not None and data.item_features is not None
    part = type(data)(data.users, type(data.items)(films), log, "films", data.item_texts[rows], None, data.item_features[rows])
    parts = []
    for model in ("deepseek-chat", "gpt-3.5-turbo"):
        said = read_exchange(data_root / "movielens-texts/texts.jsonl", model=model).records
        said = said.filter(said["item"].is_in(films.implode()))
        parts += [said, said.with_columns(text=said["text"].shuffle(seed=1), model=pl.lit(f"{model} shuffled"))]
    found = check(Knowledge.from_frame(pl.concat(parts)), part, encoder("lsa-128"))
    auc = {row["model"]: row["auc"] for row in found.grounding.iter_rows(named=True)}
    rate = {row["model"]: row["rate"] for row in found.summary.filter(pl.col("by") == "all").iter_rows(named=True)}
    for model in ("deepseek-chat", "gpt-3.5-turbo"):
        assert auc[model] > 0.9
        assert auc[f"{model} shuffled"] == pytest.approx(0.5, abs=0.07)
        assert rate[model] < 0.1 < 0.5 < rate[f"{model} shuffled"]
