"""Features of items: what counts as one, what it is called, and which of two of the same items stays."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from loreweave.data.dataset import Dataset, Interactions, Triples
from loreweave.data.vocabulary import Vocabulary
from loreweave.knowledge.features import attribute_rows, item_features, plain, triple_rows, word_rows


def catalogue(**parts: object) -> Dataset:
    return Dataset(Vocabulary(["u"]), Vocabulary(["a", "b", "c"]), Interactions(np.array([0]), np.array([0])), **parts)


def said(rows: pl.DataFrame) -> list[tuple[int, str, str]]:
    return rows.select("item", "field", "value").rows()


@pytest.mark.parametrize(
    ("raw", "read"),
    [
        ("http://dbpedia.org/ontology/coverArtist", "cover artist"),
        ("http://dbpedia.org/resource/Category:American_novels", "American novels"),
        ("http://dbpedia.org/class/yago/WikicatNovelsByAnneRice", "Novels By Anne Rice"),
        ("http://dbpedia.org/class/yago/Novel106367879", "Novel"),
        ("http://www.w3.org/1999/02/22-rdf-syntax-ns#type", "is"),
        ("book.written_work.date_of_first_publication", "date of first publication"),
        ("written by", "written by"),
        ("release_year", "release year"),
        ("1984", "1984"),
    ],
)
def test_readable_names(raw: str, read: str) -> None:
    assert plain(raw) == read


def test_attributes_are_split_and_measures_left_out_with_a_note() -> None:
    features = pl.DataFrame(
        {"genres": ["Drama| War", None, "War"], "tags": [["x", "y"], [], None], "year": [1990, 1990, None], "price": [1.5, 2.0, 1.5]}
    )
    rows, notes = attribute_rows(catalogue(item_features=features))
    assert said(rows) == [
        (0, "genres", "Drama"),
        (0, "genres", "War"),
        (2, "genres", "War"),
        (0, "tags", "x"),
        (0, "tags", "y"),
        (0, "year", "1990"),
        (1, "year", "1990"),
    ]
    assert len(notes) == 1 and "'price'" in notes[0]


def test_triples_are_read_from_both_ends() -> None:
    triples = Triples(
        np.array([0, 3], np.int32),
        np.array([0, 0], np.int32),
        np.array([3, 1], np.int32),
        Vocabulary(["a", "b", "c", "http://x.org/resource/Ann_Lee"]),
        Vocabulary(["http://x.org/ontology/author"]),
    )
    assert said(triple_rows(catalogue(triples=triples))) == [(0, "author", "Ann Lee"), (1, "author of", "Ann Lee")]


def test_words_and_bigrams_without_stop_words() -> None:
    texts = pl.DataFrame({"title": ["The Red Dragon's Egg (2002)", None, "Of Red Dragons"], "text": ["Red dragon of the north", "", None]})
    bigrams, words = word_rows(catalogue(item_texts=texts))
    assert {value for item, _, value in said(words) if item == 0} == {"red", "dragon", "egg", "north"}
    assert {value for item, _, value in said(bigrams) if item == 0} == {"red dragon", "dragon egg"}  # "dragon … north" has words between
    assert {value for item, _, value in said(words) if item == 2} == {"red", "dragons"}
    assert all(item != 1 for item, _, _ in said(words))


def test_a_missing_title_is_not_read_from_the_raw_id() -> None:
    dataset = Dataset(
        Vocabulary(["u"]),
        Vocabulary(["wolf", "fox"]),
        Interactions(np.array([0]), np.array([0])),
        item_texts=pl.DataFrame({"title": [None, "Bear"]}, schema={"title": pl.String}),
    )
    assert said(word_rows(dataset)[1]) == [(1, "word", "bear")]


def test_features_of_the_same_items_are_one_and_lonely_ones_none() -> None:
    texts = pl.DataFrame({"title": ["Space Opera", "Space Opera", "Kitchen"]})
    features = pl.DataFrame({"genre": ["sf", "sf", "food"]})
    found = item_features(catalogue(item_texts=texts, item_features=features))
    assert found.names["label"].to_list() == ["genre: sf"]  # not "words: space opera", "word: space" or "word: opera"
    assert found.matrix.toarray().tolist() == [[1.0], [1.0], [0.0]]
    assert found.notes == ("3 features of exactly the same items as another were left out",)
    bare = item_features(catalogue())
    assert bare.matrix.shape == (3, 0)
