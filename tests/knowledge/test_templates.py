"""Template texts, word by word."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from loreweave.data.dataset import Dataset, Interactions, Triples
from loreweave.data.vocabulary import Vocabulary
from loreweave.errors import DataError
from loreweave.knowledge.source import KnowledgeSource
from loreweave.knowledge.templates import Templates, item_texts, user_texts

TEXTS = pl.DataFrame({"title": ["Dune", "Emma", "Solaris", None], "text": ["Sand and spice", "A match is made!", None, " "]})
GENRES = pl.DataFrame({"genre": ["sf|epic", "comedy", "sf", None]})


def library(time: list[int] | None) -> Dataset:
    log = Interactions(
        np.array([0, 0, 0, 1, 1, 2], np.int32),
        np.array([0, 1, 2, 1, 1, 3], np.int32),
        value=np.array([1, 1, 1, 1, 1, 0], np.float32),
        time=None if time is None else np.array(time, np.int64),
    )
    triples = Triples(
        np.array([0], np.int32),
        np.array([0], np.int32),
        np.array([4], np.int32),
        Vocabulary(["i0", "i1", "i2", "i3", "http://dbpedia.org/resource/Frank_Herbert"]),
        Vocabulary(["http://dbpedia.org/ontology/author"]),
    )
    return Dataset(
        Vocabulary([6, 7, 8]),
        Vocabulary(["i0", "i1", "i2", "i3"]),
        log,
        item_texts=TEXTS,
        item_features=GENRES,
        user_features=pl.DataFrame({"age": [24, None, 30], "home_town": ["Ulm", None, None]}),
        triples=triples,
    )


def test_item_texts() -> None:
    knowledge = item_texts(library(None))
    assert knowledge.records.select("item", "text").rows() == [
        ("i0", "Dune. Sand and spice. genre: sf, epic. author: Frank Herbert."),
        ("i1", "Emma. A match is made! genre: comedy."),
        ("i2", "Solaris. genre: sf."),
    ]
    assert set(knowledge.records["kind"]) == {"item_text"}
    assert knowledge.notes == ("1 of 4 items have no text: no title, description, attribute or triple tells anything of them",)


def test_an_item_of_which_only_the_id_is_told_has_no_text() -> None:
    ids = ["http://dbpedia.org/resource/Snow_Crash", "17", "18", "19"]
    log = Interactions(np.array([0, 0], np.int32), np.array([0, 1], np.int32))
    bare = Dataset(Vocabulary(["u"]), Vocabulary(ids), log)
    assert item_texts(bare).records.select("item", "text").rows() == [(ids[0], "Snow Crash.")]  # a resource's id is a name
    features = pl.DataFrame({"genre": [None, None, "sf", None]})
    titles = pl.DataFrame({"title": [None, "17", None, " "]})
    some = Dataset(Vocabulary(["u"]), Vocabulary(ids), log, item_texts=titles, item_features=features)
    assert item_texts(some).records["text"].to_list() == ["Snow Crash.", "17.", "18. genre: sf."]  # 17 is the title of 17


def test_templates_are_a_source() -> None:
    dataset = library([3, 1, 2, 5, 4, 9])
    assert isinstance(Templates(), KnowledgeSource) and Templates().name == "templates"
    assert Templates().infer(dataset).records.equals(item_texts(dataset).records)
    both = Templates(users=True).infer(dataset)
    assert both.records["kind"].value_counts().sort("kind").rows() == [("item_text", 3), ("user_text", 2)]
    assert both.notes == item_texts(dataset).notes
    assert Templates(users=True, items=False).infer(dataset).records.equals(user_texts(dataset).records)


def test_user_texts_by_time() -> None:
    dataset = library([3, 1, 2, 5, 4, 9])
    knowledge = user_texts(dataset)
    # sf: two of three items, one in four of the five interactions elsewhere; a negative (value 0) is no history
    assert knowledge.records.select("user", "text").rows() == [
        ("6", "3 items. Most recent: Dune; Solaris; Emma. Often: genre: sf. age: 24; home town: Ulm."),
        ("7", "1 items. Most recent: Emma."),
    ]
    assert knowledge.records["as_of"].unique().to_list() == [dataset.fingerprint]


def test_user_texts_without_a_clock_name_the_best_known() -> None:
    assert user_texts(library(None)).records["text"][0].startswith("3 items. Best known: Emma; ")


def test_texts_of_the_older_half_know_nothing_of_the_newer() -> None:
    data = library([5, 3, 1, 1, 2, 9])  # i2, i1, i0 in time; the second user met i1 twice
    whole, early = (Templates(users=True, items=False, early=early).infer(data) for early in (False, True))
    told = dict(early.records.select("user", "text").iter_rows())
    assert told["6"].startswith("2 items. Most recent: Emma; Solaris.")
    assert told["7"].startswith("1 items. Most recent: Emma.")
    assert "Dune" in dict(whole.records.select("user", "text").iter_rows())["6"]
    assert set(early.records["as_of"]) == {data.fingerprint}
    assert Templates(users=True, early=True).infer(data).records["kind"].unique().sort().to_list() == ["item_text", "user_text"]


def test_without_an_order_there_is_no_older_half() -> None:
    with pytest.raises(DataError, match="neither"):
        Templates(users=True, early=True).infer(library(None))
