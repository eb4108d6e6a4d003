"""Contradictions with the catalogue: planted ones are found, and what only looks like one is not."""

from __future__ import annotations

from dataclasses import replace

import polars as pl
import pytest
from check_stubs import SCREEN, screen

from loreweave.knowledge.checks.contradiction import contradictions, values_of
from loreweave.knowledge.templates import item_texts


def found(title: str, text: str, **features: list[str]) -> list[str]:
    data = screen()
    if features and data.item_features is not None:
        data = replace(data, item_features=data.item_features.with_columns(**{name: pl.Series(said) for name, said in features.items()}))
    texts = pl.DataFrame({"row": [0], "item": pl.Series([list(SCREEN).index(title)], dtype=pl.Int32), "text": [text]})
    said = item_texts(data).records
    entries = pl.DataFrame({"item": data.items.encode(said["item"]), "text": said["text"]})
    return contradictions(texts, entries, values_of(data))["problem"].to_list()


@pytest.mark.parametrize(
    ("title", "text", "problems"),
    [
        ("Vertigo", "A film by Woody Allen.", ["contradiction:director: says Woody Allen, the catalogue Alfred Hitchcock"]),
        ("Vertigo", "A light comedy.", ["contradiction:genre: says comedy, the catalogue thriller"]),
        ("Vertigo", "It came out in 1977.", ["contradiction:year: says 1977, the catalogue 1958"]),
        (
            "Ran",
            "A COMEDY by Woody Allen",
            [
                "contradiction:director: says Woody Allen, the catalogue Akira Kurosawa",
                "contradiction:genre: says comedy, the catalogue drama, war",
            ],
        ),
        ("Vertigo", "Alfred Hitchcock's answer to Steven Spielberg.", []),  # the right value stands beside the wrong one
        ("Vertigo", "Hitchcock at his best, better than Woody Allen.", []),  # a hint is enough
        ("Vertigo", "A thrilling war of nerves.", []),  # thrilling hints at thriller
        ("Vertigo", "A wary, warm and dramatic man.", []),  # no whole word is a value
        ("Vertigo", "A detective is afraid of heights.", []),
        ("Annie Hall", "Woody, in 1977, made no thrillers.", []),
        ("Vertigo", "", []),
    ],
)
def test_by_word(title: str, text: str, problems: list[str]) -> None:
    assert found(title, text) == problems


def test_the_longer_of_two_values_is_named() -> None:
    kinds = ["fiction", "science fiction", "essay", "fiction", "essay", "essay", "fiction", "science fiction"]
    assert found("Duel", "Pure science fiction.", kind=kinds) == ["contradiction:kind: says science fiction, the catalogue essay"]
    assert found("Jaws", "A work of science fiction.", kind=kinds) == []  # `fiction` hints


def test_what_the_catalogue_says_of_the_item_elsewhere_is_no_contradiction() -> None:
    others = ["a"] * 6 + ["Ran", "b"]
    assert found("Ran", "Ran is b.", place=others, empty=[""] * 8) == []  # too short to tell
    writers = [
        "Peter Benchley",
        "Woody Allen",
        "Alec Coppel",
        "Mickey Rose",
        "Evan Hunter",
        "Richard Matheson",
        "Masato Ide",
        "Tom Stoppard",
    ]
    assert found("Bananas", "Written with Mickey Rose.", writer=writers) == []
    # Woody Allen directs and writes, so naming him does not say in which field; before, it was one
    assert found("Vertigo", "A film with Woody Allen.", writer=writers) == []


def test_a_rare_value_is_a_name_and_must_be_written_like_one() -> None:
    data = screen()
    many = replace(
        data,
        items=type(data.items)([f"i{number}" for number in range(1000)]),
        item_texts=pl.DataFrame({"title": [f"t{number}" for number in range(1000)]}),
        item_features=pl.DataFrame({"actor": ["The Edge", *["Tom Hanks"] * 500, *["Meg Ryan"] * 499]}),
    )
    entries = pl.DataFrame({"item": pl.Series(range(1000), dtype=pl.Int32), "text": many.titles})
    texts = pl.DataFrame(
        {"row": [0, 1], "item": pl.Series([1, 2], dtype=pl.Int32), "text": ["It keeps you on the edge of your seat.", "With The Edge."]}
    )
    assert contradictions(texts, entries, values_of(many))["row"].to_list() == [1]


def test_lists_that_nobody_keeps_complete_accuse_of_nothing() -> None:
    words = ["alpha|beta|gamma|delta|kappa", "omega|sigma|theta|iota|zeta"] * 4
    assert found("Jaws", "It speaks of omega.", tag=words) == []
    assert found("Jaws", "It speaks of omega.", tag=["alpha", "omega"] * 4) == ["contradiction:tag: says omega, the catalogue alpha"]
