"""Cleaning: known answers for English, other scripts left alive, and invariants."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loreweave.knowledge.structure.clean import clean, singular


@pytest.mark.parametrize(
    ("said", "cleaned"),
    [
        ("Stories about the Second World War", "world war"),  # stories, about, the, second: stop words
        ("Detective novels by women writers", "detective woman writer"),
        ("Witches, heroes & viruses!", "witch hero virus"),
        ("Children’s picture-books", "child picture-book"),
        ("Sci-Fi TV series", "sci-fi tv"),
        ("Zombie movies of the 1980s", "zombie movie 1980s"),
        ("Physics, glass, tennis, cactus", "physics glass tennis cactus"),
        ("Houses, horses, causes, romances", "house horse cause romance"),
        ("C++ and R&B", "c++ r&b"),
        ("cooking and weddings", "cooking wedding"),
        ("the book of books", ""),
        ("😀 !!", ""),
        ("", ""),
    ],
)
def test_english(said: str, cleaned: str) -> None:
    assert clean(pl.Series([said])).to_list() == [cleaned]


@pytest.mark.parametrize("said", ["научная фантастика", "科幻小说", "विज्ञान कथा", "الخيال العلمي", "größe väter", "นิยายวิทยาศาสตร์"])
def test_other_scripts_survive(said: str) -> None:
    assert clean(pl.Series([said])).to_list() == [said]


def test_unicode_forms_and_case_are_one() -> None:
    assert clean(pl.Series(["CAFE\u0301 Noir", "café noir", "ＣＡＦÉ  noir"])).to_list() == ["café noir"] * 3


def test_irregular_plurals() -> None:
    words = pl.Series(["wolves", "mice", "ties", "stories", "shoes", "boxes", "dramas", "gas", "classics", "politics", "1980s", "as"])
    assert singular(words).to_list() == [
        "wolf",
        "mouse",
        "tie",
        "story",
        "shoe",
        "box",
        "drama",
        "gas",
        "classic",
        "politics",
        "1980s",
        "as",
    ]


@given(st.lists(st.text(max_size=30) | st.none(), max_size=8))
def test_one_answer_a_phrase_whatever_its_company(phrases: list[str | None]) -> None:
    together = clean(pl.Series(phrases, dtype=pl.String)).to_list()
    assert together == [clean(pl.Series([phrase], dtype=pl.String))[0] for phrase in phrases]
    assert all(text == text.strip() and "  " not in text for text in together)
