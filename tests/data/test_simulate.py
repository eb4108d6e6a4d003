"""The simulated world: its truth is in its log, its texts use its words, and a seed gives one world."""

from __future__ import annotations

import time

import numpy as np
import polars as pl
import pytest

from loreweave.data.lexicon import INTERESTS
from loreweave.data.simulate import World, simulate
from loreweave.errors import ConfigError


@pytest.fixture(scope="module")
def world() -> World:
    return simulate(1)


def held_share(world: World, frame: pl.DataFrame, late: bool) -> float:
    """Share of the first or last third of everybody's picks whose title or text has a word of an interest in `frame`."""
    dataset = world.dataset
    words = pl.DataFrame([(w, name) for name, told in world.interests.items() for w in told], schema=["word", "interest"], orient="row")
    texts = dataset.item_texts.with_row_index("item").select(
        pl.col("item").cast(pl.Int32), word=(pl.col("title") + " " + pl.col("text")).str.to_lowercase().str.extract_all(r"[a-z-]+")
    )
    about = texts.explode("word").join(words, on="word").select("item", "interest").unique()
    log = pl.DataFrame({"user": dataset.interactions.user, "item": dataset.interactions.item, "time": dataset.interactions.time})
    log = log.with_columns(place=pl.int_range(pl.len()).over("user", order_by="time") / pl.len().over("user"))
    log = log.filter(pl.col("place") >= 2 / 3 if late else pl.col("place") < 1 / 3).with_row_index("pick")
    log = log.with_columns(user=dataset.users.decode(log["user"].to_numpy())).join(frame.select("user").unique(), on="user")
    hits = log.join(about, on="item").join(frame, on=["user", "interest"])
    return hits["pick"].n_unique() / log.height


def test_a_seed_gives_one_world(world: World) -> None:
    again = simulate(1)
    assert again.dataset.fingerprint == world.dataset.fingerprint
    assert np.array_equal(again.dataset.interactions.time, world.dataset.interactions.time)
    assert again.dataset.item_texts.equals(world.dataset.item_texts) and again.truth.equals(world.truth)
    assert simulate(2).dataset.fingerprint != world.dataset.fingerprint


def test_truth(world: World) -> None:
    held = world.truth.group_by("user").agg(pl.len(), pl.col("weight").sum(), pl.col("interest").n_unique().alias("distinct"))
    assert held.height == 600
    assert held["len"].is_between(1, 4).all() and (held["len"] == held["distinct"]).all()
    assert held["weight"].to_numpy() == pytest.approx(np.ones(600), abs=1e-5)
    assert set(world.truth["interest"]) <= set(world.interests) == set(INTERESTS)
    drifted = world.former["user"].n_unique()
    assert 0.2 < drifted / 600 < 0.4 and world.former.height == drifted
    assert world.former.join(world.truth, on=["user", "interest"]).is_empty()


def test_readers_pick_what_they_hold_and_drift(world: World) -> None:
    assert held_share(world, world.truth, late=True) > 0.7
    assert held_share(world, world.former, late=False) > held_share(world, world.former, late=True) + 0.2
    late = world.truth.join(world.former.select("user").unique(), on="user")
    assert held_share(world, late, late=True) > held_share(world, late, late=False) + 0.15


def test_log(world: World) -> None:
    log = world.dataset.interactions
    assert world.dataset.matrix.nnz == len(log)  # nobody meets a book twice
    length = np.bincount(log.user, minlength=600)
    assert length.min() >= 3 and 8 < length.mean() < 10 and length.max() > 20
    met = np.sort(np.bincount(log.item, minlength=400))[::-1]
    assert met[:40].sum() > 0.3 * len(log)  # a tenth of the books, a third of the picks
    assert log.time.min() >= 1_609_459_200 and log.time.max() < 1_609_459_200 + 2 * 365 * 86_400
    assert (np.lexsort((log.time, log.user)) == np.arange(len(log))).all()


def test_texts(world: World) -> None:
    texts = world.dataset.item_texts
    assert texts["title"].n_unique() == 400
    for name in ("title", "text"):
        assert not texts[name].str.contains(r"[{}]").any()
        assert not texts[name].str.contains(r"(?i)\ba [aeio]\w").any()
        assert texts[name].null_count() == 0
    assert len(set().union(*INTERESTS.values())) == sum(map(len, INTERESTS.values())) == 24 * 12  # a word belongs to one interest


def test_catalogue(world: World) -> None:
    dataset, triples = world.dataset, world.dataset.triples
    written = triples.relation == 0
    assert triples.relations.ids.to_list() == ["written by", "about", "set in"]
    named = [triples.name(int(code)) for code in triples.tail[written]]
    assert named == dataset.item_features["author"].to_list()
    assert set(named) <= set(world.authors["author"]) and world.authors["author"].n_unique() == world.authors.height
    assert 0.4 < (triples.relation == 1).sum() / 400 < 0.6
    assert triples.entities.ids[:400].equals(dataset.items.ids)


def test_settings_are_checked() -> None:
    with pytest.raises(ConfigError, match="unknown setting 'n_books'"):
        simulate(1, n_books=5)
    with pytest.raises(ConfigError, match="n_items"):
        simulate(1, n_items=3)


def test_a_large_world_takes_seconds() -> None:
    started = time.process_time()
    world = simulate(1, n_users=20_000, n_items=5_000)
    assert time.process_time() - started < 30  # about 2 s; a Python loop over readers would take minutes
    assert world.dataset.n_users == 20_000 and len(world.dataset.interactions) > 160_000
    assert world.authors["author"].n_unique() == world.authors.height == 1_000
