"""Groundedness: AUCs worked out by hand, phrases dealt out anew, and who counts as a stranger."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from check_stubs import SCREEN, Words, screen
from hypothesis import given
from hypothesis import strategies as st

from loreweave.data.dataset import Dataset, Interactions
from loreweave.data.simulate import World, simulate
from loreweave.data.vocabulary import Vocabulary
from loreweave.knowledge.checks import check
from loreweave.knowledge.checks.grounding import LEAST_STRATUM, STRATA, RestsOn, aucs, dealt_out, strata
from loreweave.knowledge.records import Knowledge, Record
from loreweave.knowledge.statistical import Statistical


@pytest.fixture(scope="module")
def world() -> World:
    return simulate(1, n_users=300)


def test_phrases_of_others_are_at_one_half_and_own_ones_clearly_above(world: World) -> None:
    said = Statistical().infer(world.dataset).records
    dealt = said["text"].shuffle(seed=2)
    other = pl.Series(np.random.default_rng(3).random(said.height) < 0.5)
    mixed = said.with_columns(
        text=said["text"].zip_with(~other, dealt),
        interest=said["text"].zip_with(~other, dealt),
        model=pl.Series(["own"]).new_from_index(0, said.height).zip_with(~other, pl.Series(["other"]).new_from_index(0, said.height)),
    )
    found = check(Knowledge.from_frame(mixed), world.dataset, Words())
    means = {row["model"]: row for row in found.grounding.iter_rows(named=True)}
    assert means["own"]["auc"] > 0.9 and means["own"]["low"] > 0.9
    assert means["other"]["auc"] == pytest.approx(0.5, abs=0.05)
    assert means["own"]["dealt"] == pytest.approx(0.5, abs=0.05)  # the control finds the same without anybody shuffling
    assert means["own"]["below"] < 0.05 < 0.2 < means["other"]["below"]
    assert means["own"]["low"] <= means["own"]["auc"] <= means["own"]["high"]


@pytest.mark.parametrize(
    ("text", "auc"),
    [
        ("steven", 1.0),  # a word that the evidence has and none of the five strangers
        ("woody", 0.3),  # two strangers (Annie Hall, Bananas) are closer, three tie with the evidence: 3/5 · ½
        ("kubrick", 0.5),  # all tie
        ("zebra", None),  # no word that is known
    ],
)
def test_an_auc_by_hand(text: str, auc: float | None) -> None:
    data = screen([("ann", "Jaws"), ("ann", "Duel"), ("ann", "Empire of the Sun")])
    words = Words([*dict.fromkeys(word for title in SCREEN for word in title.lower().split()), "steven", "woody", "alfred", "kubrick"])
    record = Record(kind="interest", user="ann", interest="i", text=text, evidence=("film 1", "film 6"), source="s")
    found = check(Knowledge.from_records([record]), data, words).records["auc"][0]
    assert found == (auc if auc in (None, 0.5, 1.0) else pytest.approx(auc, abs=0.15))  # of 50 draws


def test_what_the_user_met_is_no_stranger() -> None:
    met = [("ann", title) for title in ("Jaws", "Duel", "Annie Hall", "Bananas")]
    record = Record(kind="interest", user="ann", interest="i", text="spielberg woody woody woody", evidence=("film 1",), source="s")
    known = ["spielberg", "woody", "alfred", "akira"]
    # Annie Hall and Bananas are closer than the evidence, but ann met them; Empire of the Sun ties, the others are further away
    found = check(Knowledge.from_records([record]), screen(met), Words(known)).records["auc"][0]
    assert found == pytest.approx(1 - 0.5 / 4, abs=0.1)


def test_a_long_history_leaves_as_many_pairs() -> None:
    n_users, n_items, evidence = 200, 400, 7
    values = np.arange(n_items) % 10 / 10  # a text is as close to an item as its last digit says
    items = np.stack([values, np.sqrt(1 - values**2)], axis=1).astype(np.float32)
    strangers = [item for start in range(0, n_items, 40) for item in (start + 2, start + 14, start + 26, start + 38)]  # 4 of 40
    met = np.setdiff1d(np.arange(n_items), strangers).astype(np.int32)
    users = np.repeat(np.arange(n_users, dtype=np.int32), len(met))
    data = Dataset(
        Vocabulary([str(user) for user in range(n_users)]),
        Vocabulary([str(item) for item in range(n_items)]),
        Interactions(users, np.tile(met, n_users)),
        "long",
    )
    one = np.ones(n_users, dtype=np.int64)
    resting = RestsOn(np.array([evidence], dtype=np.int32), 0 * one, one, np.arange(n_users, dtype=np.int32))
    groups = strata(np.zeros(n_items, dtype=np.int64), np.ones(n_items, dtype=np.bool_))
    text = np.array([[1, 0]], dtype=np.float32)
    own, _, few = aucs(text, 0 * one, 0 * one, items, resting, groups, data, 1)
    assert few == 0 and own.mean() == pytest.approx(0.75, abs=0.02)  # closer than those of 2, 4 and 6, not than that of 8
    assert own.std() < 0.08 and own.min() > 0.5  # √(¾ · ¼ / 50) is 0.06
    history = RestsOn(met, 0 * one, len(met) * one, np.arange(n_users, dtype=np.int32))
    assert aucs(text, 0 * one, 0 * one, items, history, groups, data, 1)[0].std() < 0.08


def test_who_met_all_items_as_popular_is_not_judged() -> None:
    said = Record(kind="user_text", user="ann", text="steven spielberg")
    found = check(Knowledge.from_records([said]), screen([("ann", title) for title in SCREEN]), Words())
    assert found.records["auc"][0] is None and not found.records["judged"][0]
    assert "1 of 1 records: of persons who met nearly all items as popular: fewer than 25 pairs to judge by, so no AUC" in found.notes


def test_texts_are_encoded_once_each(world: World) -> None:
    words = Words()
    knowledge = Statistical().infer(world.dataset)
    check(knowledge, world.dataset, words)
    assert len(words.asked) == len(set(words.asked))
    assert len(words.asked) < len(knowledge) + world.dataset.n_items


def test_same_seed_same_figures(world: World) -> None:
    knowledge = Statistical().infer(world.dataset)
    first, again, other = (check(knowledge, world.dataset, Words(), seed=seed) for seed in (5, 5, 6))
    assert first.records.equals(again.records) and first.grounding.equals(again.grounding)
    assert not first.records["auc_dealt"].equals(other.records["auc_dealt"])


@given(st.lists(st.integers(0, 50), min_size=1, max_size=400), st.data())
def test_strata_are_of_equal_size_and_in_order(met: list[int], data: st.DataObject) -> None:
    popularity = np.array(met)
    known = np.array(data.draw(st.lists(st.booleans(), min_size=len(met), max_size=len(met))))
    found = strata(popularity, known)
    assert sorted(found.order.tolist()) == np.flatnonzero(known).tolist()
    assert found.size.sum() == known.sum() and found.size.max() - found.size.min() <= 1
    assert len(found.size) == 1 or (len(found.size) <= STRATA and found.size.min() >= LEAST_STRATUM)
    assert (found.of[~known] == -1).all() and (np.diff(popularity[found.order]) >= 0).all()
    for group in range(len(found.size)):
        members = found.order[found.first[group] : found.first[group] + found.size[group]]
        assert (found.of[members] == group).all()


@given(st.lists(st.integers(1, 4), min_size=1, max_size=60), st.integers(0, 9))
def test_texts_are_dealt_within_their_group_and_never_back(groups: list[int], seed: int) -> None:
    group = np.array(groups)
    dealt = dealt_out(group, seed)
    assert sorted(dealt.tolist()) == list(range(len(group)))
    assert (group[dealt] == group).all()
    alone = np.bincount(group)[group] == 1
    assert ((dealt == np.arange(len(group))) == alone).all()
