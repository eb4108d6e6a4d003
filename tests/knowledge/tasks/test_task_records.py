"""What each task makes of an answer: its records, and what it finds wrong."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loreweave.data.dataset import Dataset, Interactions
from loreweave.data.vocabulary import Vocabulary
from loreweave.knowledge.records import Knowledge, Record
from loreweave.knowledge.tasks import TASKS, create_task
from loreweave.knowledge.tasks.base import Subject
from loreweave.knowledge.tasks.escape import Block
from loreweave.knowledge.tasks.problems import PROBLEMS, texts_in
from loreweave.knowledge.tasks.reasons import Reason
from loreweave.knowledge.tasks.template import words

FILMS = Block("[1] Dune | genre: sf\n[2] Star Wars: Episode IV - A New Hope | genre: sf\n[3] I Can't Sleep | genre: drama")
ASKED = Subject(user="user-77", fields={"items": FILMS, "order": "newest first", "about": ""}, shown=("film-10", "film-20", "film-30"))


def interest(phrase: str = "desert planets", evidence: object = (1,), category: str = "worlds") -> dict[str, Any]:
    return {"category": category, "phrase": phrase, "evidence": evidence}


def answered(name: str, value: dict[str, Any], subject: Subject = ASKED) -> tuple[list[str], list[Record]]:
    """Problems and records of an answer."""
    task = create_task(name)
    answer = task.parse(json.dumps(value))
    return task.problems(subject, answer), task.records(subject, answer)


def test_interests_become_records_with_evidence_by_raw_id() -> None:
    problems, records = answered("interests", {"interests": [interest("Desert  Planets", [1, 2, 1]), interest("slow cinema", [3])]})
    assert problems == []
    assert records == [
        Record(kind="interest", user="user-77", interest="desert planets", text="Desert Planets", evidence=("film-10", "film-20")),
        Record(kind="interest", user="user-77", interest="slow cinema", text="slow cinema", evidence=("film-30",)),
    ]


def test_evidence_that_was_not_shown_is_dropped_and_reported() -> None:
    problems, records = answered("interests", {"interests": [interest(evidence=[4, 2, 0, -1])]})
    assert problems == [f"evidence:interest 1 rests on {number}, which was not shown" for number in (4, 0, -1)]
    assert records[0].evidence == ("film-20",)


def test_a_phrase_said_twice_is_one_record_with_the_evidence_of_both() -> None:
    problems, records = answered("interests", {"interests": [interest("Space opera", [1]), interest("space  opera", [2])]})
    assert problems == ["duplicate:'space opera' 2 times"]
    assert [(record.interest, record.text, record.evidence) for record in records] == [
        ("space opera", "Space opera", ("film-10", "film-20"))
    ]


@pytest.mark.parametrize(
    ("found", "problem"),
    [
        ([], "empty:no interests"),
        ([interest(" \n")], "empty:interests.1.phrase"),
        ([interest("x")], "empty:interest 1 is a single character"),
        ([interest("deserts " * 7)], "too_long:interest 1 has 55 characters, at most 50 make a phrase"),
        ([interest(evidence=[])], "evidence:interest 1 rests on no item"),
        ([interest("I cannot infer this")], "refusal:i cannot"),
        ([interest("as an AI model")], "refusal:as an ai"),
        ([interest("научная фантастика")], "language:17 of 23 letters are cyrillic, asked for English"),
        ([interest("Dune")], "echo:interests.1.phrase is a title"),
        ([interest("Star Wars Episode IV Hope")], "echo:interests.1.phrase is a title"),
        (
            [interest("Use the list and what you know about these works")],
            "echo:the instruction 'use the list and what you know about these works'",
        ),
        ([interest("films like film-10")], "leak:the raw id of an item"),
        ([interest("what user-77 likes")], "leak:the raw id of a user"),
    ],
)
def test_problems(found: list[dict[str, Any]], problem: str) -> None:
    assert answered("interests", {"interests": found})[0] == [problem]


@pytest.mark.parametrize("phrase", ["Star Wars films", "can't sleep dramas", "sf", "genre films", "l'été", "naïve heroes"])
def test_sound_phrases(phrase: str) -> None:
    assert answered("interests", {"interests": [interest(phrase)]})[0] == []


def test_the_script_of_the_titles_and_of_the_language_is_expected() -> None:
    task = create_task("interests", language="русский")
    answer = task.parse(json.dumps({"interests": [interest("научная фантастика", category="фантастика")]}))
    assert task.problems(ASKED, answer) == []
    japanese = Subject(user="u", fields={"items": Block("[1] 七人の侍")}, shown=("i",))
    assert answered("interests", {"interests": [interest("サムライ映画")]}, japanese)[0] == []


RUSSIAN = Block("[1] Солярис | genre: sf\n[2] untitled | genre: sf")


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("interests", {"interests": [interest("space opera", category="books")]}),
        ("user-descriptions", {"description": "Loves space."}),
        ("reasons", {"thought": "Loves space.", "reason": "It is space.", "verdict": 1}),
        ("item-descriptions", {"description": "Full of space."}),
    ],
)
def test_field_names_and_orders_make_no_script_expected(name: str, answer: dict[str, Any]) -> None:
    fields = {"items": RUSSIAN, "order": "newest first", "about": "age: 30", "candidate": Block("[0] Сталкер")}
    subject = Subject(user="u", item="i", fields=fields, shown=("j", "k"))
    task = create_task(name, language="русский")
    letters = sum(character.isalpha() for character in "".join(said for _, said in texts_in(answer)))
    assert task.problems(subject, task.parse(json.dumps(answer))) == [
        f"language:{letters} of {letters} letters are latin, asked for русский"
    ]
    for known in ({"candidate": Block("[0] Stalker")}, {"text": "A novel."}):
        told = Subject(user="u", item="i", fields=fields | known, shown=("j", "k"))
        assert task.problems(told, task.parse(json.dumps(answer))) == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("हिन्दी फ़िल्में पसंद", ["हिन्दी", "फ़िल्में", "पसंद"]),
        ("தமிழ், திரைப்படங்கள்!", ["தமிழ்", "திரைப்படங்கள்"]),
        ("می\u200cخواهم ببینم", ["می\u200cخواهم", "ببینم"]),
        ("E\u0301te\u0301 d'or", ["e\u0301te\u0301", "d", "or"]),
        ("Star_Wars: IV (1977) – ❤️ \u0301x", ["star_wars", "iv", "1977", "x"]),
        ("", []),
    ],
)
def test_words_hold_their_combining_marks(text: str, found: list[str]) -> None:
    assert words(text) == found


@given(st.text(alphabet=st.characters(max_codepoint=0x2FF, exclude_characters="İǰ")))
def test_where_nothing_combines_words_are_those_of_re(text: str) -> None:
    assert words(text) == re.findall(r"\w+", text.casefold())


def test_fewer_interests_may_be_asked_for() -> None:
    task = create_task("interests", phrases=1)
    answer = task.parse(json.dumps({"interests": [interest(), interest("slow cinema")]}))
    assert task.problems(ASKED, answer) == ["too_long:2 interests, 1 were asked for"]


ITEM = Subject(item="film-10", fields={"items": Block("[1] Dune | genre: sf"), "text": "Sand and spice."}, shown=("film-10",))
PAIR = Subject(user="user-77", item="film-99", fields={"items": FILMS, "candidate": Block("[0] Solaris")}, shown=ASKED.shown)


@pytest.mark.parametrize(
    ("name", "subject", "value", "record"),
    [
        ("item-descriptions", ITEM, {"description": "A desert\nepic."}, Record(kind="item_text", item="film-10", text="A desert epic.")),
        ("user-descriptions", ASKED, {"description": "Loves sand."}, Record(kind="user_text", user="user-77", text="Loves sand.")),
        (
            "item-profiles",
            ITEM,
            {"reasoning": "It is long.", "profile": "Patient readers."},
            Record(kind="item_text", item="film-10", text="Patient readers."),
        ),
        (
            "user-profiles",
            ASKED,
            {"reasoning": "Much sand.", "profile": "Likes epics."},
            Record(kind="user_text", user="user-77", text="Likes epics."),
        ),
        (
            "preferences",
            ASKED,
            {"preferences": [{"factor": "genre", "preference": "epic sf."}, {"factor": "era", "preference": "the 1980s"}]},
            Record(kind="user_text", user="user-77", text="genre: epic sf. era: the 1980s."),
        ),
        (
            "facts",
            ITEM,
            {"facts": [{"factor": "genre", "fact": "epic sf"}, {"factor": "theme", "fact": "ecology."}]},
            Record(kind="item_text", item="film-10", text="genre: epic sf. theme: ecology."),
        ),
        (
            "reasons",
            PAIR,
            {"thought": "Slow\nfilms.", "reason": "You like epics.", "verdict": 1},
            Record(kind="reason", user="user-77", item="film-99", text='{"thought":"Slow films.","reason":"You like epics.","verdict":1}'),
        ),
    ],
)
def test_texts(name: str, subject: Subject, value: dict[str, Any], record: Record) -> None:
    assert answered(name, value, subject) == ([], [record])


def test_a_reason_can_be_taken_apart_again() -> None:
    _, (record,) = answered("reasons", {"thought": "t", "reason": "r", "verdict": 0}, PAIR)
    assert Reason.model_validate_json(record.text or "") == Reason(thought="t", reason="r", verdict=0)


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("user-descriptions", {"description": "sand " * 151}, "too_long:description has 151 words, 100 were asked for"),
        ("user-profiles", {"reasoning": "r", "profile": "I'm sorry, too little."}, "refusal:i'm sorry"),
        ("preferences", {"preferences": []}, "empty:no factors"),
        (
            "preferences",
            {"preferences": [{"factor": "Genre", "preference": "sf"}, {"factor": "genre", "preference": "drama"}]},
            "duplicate:'genre' 2 times",
        ),
        ("facts", {"facts": [{"factor": f"f{i}", "fact": "x"} for i in range(7)]}, "too_long:7 factors, 6 were asked for"),
        ("reasons", {"thought": "t", "reason": "r " * 91, "verdict": 1}, "too_long:reason has 91 words, 60 were asked for"),
    ],
)
def test_problems_of_texts(name: str, value: dict[str, Any], problem: str) -> None:
    assert answered(name, value, PAIR)[0] == [problem]


def test_what_says_nothing_is_no_record() -> None:
    for name, value in (("user-descriptions", {"description": " "}), ("reasons", {"thought": "t", "reason": "", "verdict": 0})):
        problems, records = answered(name, value, PAIR)
        assert (len(problems), records) == (1, [])
        assert problems[0].startswith("empty:")


@given(st.lists(st.tuples(st.text(max_size=30), st.lists(st.integers(-3, 9), max_size=4)), max_size=5))
def test_no_answer_reaches_anybody_else(found: list[tuple[str, list[int]]]) -> None:
    problems, records = answered("interests", {"interests": [interest(phrase, evidence) for phrase, evidence in found]})
    assert {record.user for record in records} <= {"user-77"}
    assert {item for record in records for item in record.evidence} <= set(ASKED.shown)
    assert len({record.interest for record in records}) == len(records)
    assert {problem.split(":")[0] for problem in problems} <= set(PROBLEMS)
    assert len(Knowledge.from_records(records)) == len(records)


def test_records_need_neither_fields_nor_settings(library: Callable[..., Dataset]) -> None:
    """Stored answers are read again with the subject's ids alone."""
    for name in TASKS:
        subject = next(iter(create_task(name).subjects(library())))
        task = create_task(name)
        bare = Subject(subject.user, subject.item, shown=subject.shown)
        value = {field: _value(node) for field, node in task.answer_class.model_json_schema()["properties"].items()}
        answer = task.parse(json.dumps(value))
        assert task.records(bare, answer) == task.records(subject, answer)


def _value(node: dict[str, Any]) -> object:
    if node.get("type") == "array":
        return []
    return 1 if "enum" in node else "some text"


def events(n_items: int = 40, n_users: int = 3, length: int = 5) -> Dataset:
    """User u met the items 5u to 5u + 4, in that order."""
    user = np.repeat(np.arange(n_users), length)
    item = np.arange(n_users * length)
    log = Interactions(user, item, time=item)
    titles = pl.DataFrame({"title": [f"title {i}" for i in range(n_items)]})
    return Dataset(Vocabulary([f"u{i}" for i in range(n_users)]), Vocabulary([f"i{i}" for i in range(n_items)]), log, item_texts=titles)


def test_reasons_are_asked_for_from_what_came_before() -> None:
    subjects = list(create_task("reasons", positives=2, negatives=1, max_items=2).subjects(events()))
    positives, negatives = subjects[::2], subjects[1::2]
    assert [(subject.user, subject.item, subject.shown, subject.left_out) for subject in positives] == [
        *[("u0", "i4", ("i3", "i2"), 2), ("u0", "i3", ("i2", "i1"), 1)],
        *[("u1", "i9", ("i8", "i7"), 2), ("u1", "i8", ("i7", "i6"), 1)],
        *[("u2", "i14", ("i13", "i12"), 2), ("u2", "i13", ("i12", "i11"), 1)],
    ]
    assert positives[0].fields["candidate"] == "[0] title 4"
    for beside, drawn in zip(positives, negatives, strict=True):
        assert (drawn.user, drawn.shown, drawn.fields["items"]) == (beside.user, beside.shown, beside.fields["items"])
        met = {f"i{5 * int((drawn.user or '')[1:]) + place}" for place in range(5)}
        assert drawn.item not in met
    again = list(create_task("reasons", positives=2, negatives=1, max_items=2).subjects(events()))
    assert again == subjects, "the same seed draws the same items"
    other = list(create_task("reasons", positives=2, negatives=1, max_items=2, seed=1).subjects(events()))
    assert [subject.item for subject in other] != [subject.item for subject in subjects]


def test_negatives_are_unmet_and_fewer_where_hardly_anything_is() -> None:
    subjects = list(create_task("reasons", negatives=3).subjects(events(n_items=6, n_users=1)))
    assert [subject.item for subject in subjects] == ["i4", "i5"]


def test_without_an_order_the_history_is_everything_else(library: Callable[..., Dataset]) -> None:
    subjects = list(create_task("reasons", negatives=0).subjects(library(time=None)))
    assert [(subject.user, subject.item, subject.shown) for subject in subjects] == [
        ("user-marker-one", "item-marker-b", ("item-marker-a", "item-marker-c"))
    ], "b is the best known; the second person has nothing else"
