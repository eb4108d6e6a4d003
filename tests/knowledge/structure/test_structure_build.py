"""`structure`: known groups, the truth of a simulated world, drop rules, what a person said, counts that add up."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from phrase_stubs import TOPICS, WordEncoder, knowledge, said
from sklearn.metrics import adjusted_rand_score

from loreweave.data.simulate import World, simulate
from loreweave.errors import ConfigError, DataError
from loreweave.knowledge.records import SCHEMA, Knowledge, Record
from loreweave.knowledge.structure import structure

SPOKEN = {
    "sea": ("ships", "Ships and harbours", "sailors", "harbour tides", "the sailor's ship"),
    "law": ("Judges", "judge and jury", "the verdict", "Lawyers", "jury verdicts"),
    "food": ("recipes", "kitchen recipes", "bakers", "Ovens", "The baker's oven"),
}


def three_groups() -> Knowledge:
    return knowledge(*((f"{topic}-{n}", phrase) for topic, phrases in SPOKEN.items() for n, phrase in enumerate(phrases)))


def test_three_obvious_groups() -> None:
    found, made = structure(three_groups(), WordEncoder(TOPICS), n_users=40, interests=3)
    by_user = found.records.select(pl.col("user").str.split("-").list.first(), "interest").unique()
    assert by_user.height == 3
    assert by_user["interest"].n_unique() == 3
    assert len(found) == 15
    assert found.records["text"].to_list() == three_groups().records["text"].to_list()  # phrases stay as they were said, in order
    assert set(found.interests["label"]) <= {phrase for phrases in SPOKEN.values() for phrase in phrases}
    assert made.clusters["holders"].to_list() == [5, 5, 5]
    assert np.allclose(made.membership.sum(axis=1), 1, atol=1e-5)
    assert made.membership.shape == (15, 3)


def test_the_label_is_the_phrase_nearest_the_centre_as_most_often_written() -> None:
    lines = [("a", "ship harbour"), ("b", "Ships & Harbours"), ("c", "Ships & Harbours"), ("d", "ship"), ("e", "harbour")]
    found, made = structure(knowledge(*lines), WordEncoder(TOPICS), n_users=30, interests=1)
    assert found.interests.rows() == [("ship harbour", "Ships & Harbours", False)]
    assert made.phrases["phrase"].to_list() == ["harbour", "ship", "ship harbour"]


def test_hapaxes_and_what_a_fifth_holds_are_dropped_and_counted() -> None:
    lines = [(f"u{n}", "ships") for n in range(4)] + [("u0", "judges"), ("u1", "oven"), ("u2", "Ovens")]
    found, made = structure(knowledge(*lines), WordEncoder(TOPICS), n_users=20, interests=3)
    assert found.records.select("user", "interest").rows() == [("u1", "oven"), ("u2", "oven")]
    assert found.interests["interest"].to_list() == ["oven"]
    assert made.dropped == {"of interests held by one user only": 1, "of interests held by at least a fifth of all users": 4}
    assert made.clusters.filter(~pl.col("kept"))["interest"].sort().to_list() == ["judge", "ship"]
    assert found.notes == (
        "1 of 7 knowledge records were left out: of interests held by one user only",
        "4 of 7 knowledge records were left out: of interests held by at least a fifth of all users",
    )
    wider, _ = structure(knowledge(*lines), WordEncoder(TOPICS), n_users=21, interests=3)
    assert wider.interests["interest"].sort().to_list() == ["oven", "ship"]  # four of 21 are less than a fifth


def test_what_cannot_be_clustered_is_counted_by_reason() -> None:
    lines = [("a", "ship"), ("b", "ships"), ("c", "the books"), ("c", "x"), ("d", "ship " * 11), ("e", "quilting")]
    records = [*said(*lines), *said(("f", "ship"), weight=0.0)]
    found, made = structure(Knowledge.from_records(records), WordEncoder(TOPICS), n_users=30, interests=5)
    assert found.records["user"].to_list() == ["a", "b"]
    assert made.dropped == {
        "switched off (weight 0)": 1,
        "of fewer than 2 characters once cleaned": 2,
        "of more than 50 characters": 1,
        "of phrases that the encoder knows nothing of": 1,
    }


def test_what_a_person_said_keeps_its_interest_and_overrides() -> None:
    inferred = said(("a", "ship"), ("b", "ships"), ("c", "harbour ships"), ("d", "harbour ships"))
    person = [
        Record(kind="interest", user="a", interest="ship", text="ship", weight=0.0, source="person"),
        Record(kind="interest", user="z", interest="my own words", text="ships", source="person"),
    ]
    other = [Record(kind="user_text", user="q", text="likes the sea", source="stub")]
    before = Knowledge.from_records(inferred).merged(Knowledge.from_records([*person, *other]))
    assert before.records.filter(pl.col("user") == "a").height == 1  # the person's word took the place of the inferred one
    found, made = structure(before, WordEncoder(TOPICS), n_users=30, interests=1)
    rows = {(r["user"], r["interest"], r["weight"], r["source"]) for r in found.records.iter_rows(named=True)}
    label = made.interests["interest"][0]
    assert ("a", "ship", 0.0, "person") in rows
    assert ("z", "my own words", 1.0, "person") in rows
    assert ("b", label, 1.0, "stub") in rows
    assert set(found.records["kind"]) == {"interest", "user_text"}
    assert "my own words" in found.interests["interest"].to_list()


def test_a_person_overrides_the_cluster_of_the_same_name_and_it_is_counted() -> None:
    records = said(("a", "ships"), ("b", "ship"), ("c", "ship"))  # the ids of a and b differ before, and are one after
    person = Record(kind="interest", user="a", interest="ship", text="ship", weight=0.0, source="person")
    found, made = structure(Knowledge.from_records([*records, person]), WordEncoder(TOPICS), n_users=30, interests=1)
    assert made.interests["interest"].to_list() == ["ship"]
    assert found.records.filter(pl.col("user") == "a").select("weight", "source").rows() == [(0.0, "person")]
    assert made.dropped == {"overridden by what a person said": 1}


def test_what_was_switched_off_stays_off_when_the_cluster_is_called_otherwise() -> None:
    inferred = said(("a", "ship"), ("b", "ship"), ("c", "ships"), ("d", "sailor"))
    person = [
        Record(kind="interest", user="a", interest="harbour ship", text="Harbour ships", weight=0.0, source="person"),  # as it was called
        Record(kind="interest", user="b", interest="sailor", text="Sailors", weight=0.0, source="person"),
        Record(kind="interest", user="c", interest="tide ship", text="Tides and ships", source="person"),  # wanted, so both stand
        Record(kind="interest", user="d", interest="oven", text="Ovens", weight=0.0, source="person"),  # like none of the clusters
    ]
    before = Knowledge.from_records([*inferred, *person])
    found, made = structure(before, WordEncoder(TOPICS), n_users=30, interests=1)
    (label,) = made.interests["interest"]
    assert label == "ship"
    held = found.records.filter(pl.col("source") == "stub").select("user", "interest").rows()
    assert held == [("c", "ship"), ("d", "ship")]
    assert made.dropped == {"overridden by what a person said": 2}
    assert found.records.filter(pl.col("source") == "person").height == 4
    assert made.assign(before, WordEncoder(TOPICS)).records.equals(found.records)


def test_a_record_without_a_phrase_says_the_label_of_its_interest() -> None:
    records = pl.DataFrame([Record(kind="interest", user=user, interest="7").model_dump() for user in "ab"], schema=SCHEMA)
    interests = pl.DataFrame({"interest": ["7"], "label": ["Ships"], "derived": [True]})
    found, _ = structure(Knowledge(records, interests), WordEncoder(TOPICS), n_users=30, interests=1)
    assert found.interests.rows() == [("ship", "Ships", True)]
    assert found.records["interest"].to_list() == ["ship", "ship"]
    assert found.records["text"].to_list() == [None, None]


def world_phrases(world: World, seed: int = 0) -> tuple[Knowledge, dict[str, str]]:
    """Every reader says two words of each true interest; the phrase and the interest it is about."""
    rng = np.random.default_rng(seed)
    records, about = [], {}
    for user, interest in world.truth.select("user", "interest").rows():
        phrase = " ".join(sorted(rng.choice(world.interests[interest], 2, replace=False)))
        about[phrase] = interest
        records += said((str(user), phrase))
    return Knowledge.from_records(records), about


class CatalogueEncoder:
    """TF-IDF + SVD of the words of a simulated catalogue: it knows of topics only by what stands side by side in descriptions."""

    name = "catalogue-lsa"

    def __init__(self, world: World) -> None:
        from sklearn.decomposition import TruncatedSVD
        from sklearn.feature_extraction.text import TfidfVectorizer

        texts = world.dataset.item_texts.select(pl.concat_str("title", "text", separator=" ")).to_series().to_list()
        self.words = TfidfVectorizer(max_df=0.2, min_df=2)
        self.svd = TruncatedSVD(40, random_state=0).fit(self.words.fit_transform(texts))

    def encode(self, texts: list[str]) -> np.ndarray:
        vectors = self.svd.transform(self.words.transform(texts))
        length = np.linalg.norm(vectors, axis=1, keepdims=True)
        return (vectors / np.where(length > 0, length, 1.0)).astype(np.float32)


def test_the_interests_of_a_simulated_world_are_found() -> None:
    world = simulate(seed=1, n_items=2000)
    spoken, about = world_phrases(world)
    _, made = structure(spoken, CatalogueEncoder(world), n_users=world.dataset.n_users, interests=24)
    truth = made.phrases["phrase"].replace_strict(about, default=None)
    known = truth.is_not_null()  # cleaning changes a few phrases ("shares": "share")
    assert known.sum() > 0.9 * len(known)
    assert adjusted_rand_score(truth.filter(known), made.phrases["cluster"].filter(known)) > 0.6
    again = structure(spoken, CatalogueEncoder(world), n_users=world.dataset.n_users, interests=24)[1]
    assert again.clusters.equals(made.clusters)


def test_kappa_is_chosen_near_the_truth() -> None:
    world = simulate(seed=1, n_users=300)
    spoken, _ = world_phrases(world)
    found, made = structure(spoken, WordEncoder(world.interests), n_users=world.dataset.n_users)
    chosen = len(made.centres)
    assert made.criterion == "stability"
    assert 18 <= chosen <= 27  # 24 true ones; the grid has 18 and 27
    at = made.curve.filter(pl.col("interests") >= chosen).row(0, named=True)
    assert at["coverage"] == pytest.approx(found.records["user"].n_unique() / world.dataset.n_users)
    assert at["coverage"] > 0.9


def test_kappa_by_score_is_the_best_of_the_grid() -> None:
    def score(arm: Knowledge) -> float:
        return -abs(arm.interests.height - 15)

    world = simulate(seed=2, n_users=150)
    spoken, _ = world_phrases(world)
    _, made = structure(spoken, WordEncoder(world.interests), n_users=150, score=score)
    assert made.criterion == "score"
    by_hand = {k: score(structure(spoken, WordEncoder(world.interests), n_users=150, interests=k)[0]) for k in made.curve["interests"]}
    assert made.curve["score"].to_list() == list(by_hand.values())
    assert len(by_hand) > 2
    assert len(made.centres) == max(by_hand, key=lambda k: (by_hand[k], k))


def test_the_edge_of_the_grid_is_noted() -> None:
    world = simulate(seed=2, n_users=150)
    found, made = structure(world_phrases(world)[0], WordEncoder(world.interests), n_users=150, score=lambda arm: arm.interests.height)
    assert len(made.centres) == made.curve["interests"].max()
    assert f"{len(made.centres)} interests, chosen by score, are the most that were tried; more may be better" in found.notes


@pytest.mark.parametrize("interests", [None, 1, 7])
@pytest.mark.parametrize(
    "lines",
    [[], [("a", "ship")], [("a", "ship"), ("b", "ships"), ("c", "the ship")], [("a", "ship"), ("b", "judge")], [("a", "quilting")]],
    ids=["nothing", "one", "equal", "two", "unknown"],
)
def test_hardly_any_phrases(lines: list[tuple[str, str]], interests: int | None) -> None:
    found, made = structure(knowledge(*lines), WordEncoder(TOPICS), n_users=16, interests=interests)
    assert np.isfinite(made.centres).all()
    assert np.isfinite(made.membership.data).all()
    assert np.isfinite(made.min_similarity)
    assert len(found) + sum(made.dropped.values()) == len(lines)


def test_wrong_arguments() -> None:
    encoder = WordEncoder(TOPICS)
    with pytest.raises(ConfigError, match="at least 1"):
        structure(three_groups(), encoder, n_users=40, interests=0)
    with pytest.raises(ConfigError, match="not both"):
        structure(three_groups(), encoder, n_users=40, interests=3, score=len)
    with pytest.raises(DataError, match="15 users hold interests"):
        structure(three_groups(), encoder, n_users=14)

    class Broken(WordEncoder):
        def encode(self, texts: list[str]) -> np.ndarray:
            return np.full((len(texts), 3), np.nan, dtype=np.float32)

    with pytest.raises(DataError, match="not finite"):
        structure(three_groups(), Broken(TOPICS), n_users=40, interests=3)


WORDS = [word for words in TOPICS.values() for word in words]
phrases = st.lists(st.sampled_from([*WORDS, "the", "quilting", "Ships", "x"]), max_size=9).map(" ".join)


@settings(max_examples=60)
@given(
    lines=st.lists(st.tuples(st.sampled_from("abcdefgh"), phrases, st.sampled_from(["stub", "person"]), st.sampled_from([0.0, 1.0]))),
    n_users=st.integers(8, 40),
    k=st.integers(1, 8),
)
def test_counts_add_up_and_drop_rules_hold(lines: list[tuple[str, str, str, float]], n_users: int, k: int) -> None:
    records = [record for user, text, source, weight in lines for record in said((user, text), source=source, weight=weight)]
    before = Knowledge.from_records(records)
    found, made = structure(before, WordEncoder(TOPICS), n_users=n_users, interests=k)
    assert len(found) + sum(made.dropped.values()) == len(before)
    inferred = pl.col("source") != "person"
    person = [
        frame.records.filter(~inferred).select("user", "interest", "text", "weight").sort("user", "interest") for frame in (before, found)
    ]
    assert person[0].equals(person[1])
    kept = made.clusters.filter("kept")
    assert set(found.records.filter(inferred)["interest"]) <= set(kept["interest"])
    assert ((kept["holders"] >= 2) & (kept["holders"] < n_users / 5)).all()
    assert made.clusters["interest"].n_unique() == len(made.centres) <= k
    assert np.isfinite(made.centres).all()
    assert np.allclose(made.membership.sum(axis=1), 1, atol=1e-5) or not made.phrases.height
