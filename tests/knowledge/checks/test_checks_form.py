"""Problems of form: whose they are, and those found where nobody looked."""

from __future__ import annotations

import polars as pl
import pytest
from check_stubs import Words, screen
from hypothesis import given, settings
from hypothesis import strategies as st

from loreweave.knowledge.checks import check
from loreweave.knowledge.records import Knowledge, Record
from loreweave.knowledge.tasks import Subject
from loreweave.knowledge.tasks.interests import Interest, Interests, InterestsTask


def problems(*records: Record) -> list[list[str]]:
    found = check(Knowledge.from_records(records), screen(), Words()).records["problems"].to_list()
    return [[problem for problem in each if not problem.startswith("ungrounded")] for each in found]


def interest(text: str, evidence: tuple[str, ...] = (), **more: object) -> Record:
    return Record(kind="interest", user="ann", interest=text.lower(), text=text, evidence=evidence, **more)  # type: ignore[arg-type]


def test_evidence_is_held_against_catalogue_and_history() -> None:
    found = problems(
        interest("Sharks", ("film 1",)),
        interest("Jokes", ("film 2", "film 1")),
        interest("Trucks", ("film 99", "film 6")),
        interest("Nothing", ()),
    )
    assert found == [
        [],
        ["evidence:1 of 2 items are not in the history"],
        ["evidence:1 of 2 items are not in the catalogue"],
        ["evidence:rests on no item"],
    ]


def test_a_source_that_names_evidence_for_nobody_was_not_asked_for_any() -> None:
    found = check(Knowledge.from_records([interest("Sharks"), interest("Spielberg")]), screen(), Words())
    assert found.records["against"].to_list() == ["history", "history"]
    assert found.found.filter(pl.col("kind") == "evidence").is_empty()
    assert found.records["auc"].null_count() == 0 and not found.records["judged"].any()  # an interest need not fit a whole history
    assert (
        "2 of 2 records: interests whose source names no evidence: held against the whole history, and not called ungrounded" in found.notes
    )


def test_labels_derived_from_titles_are_not_what_a_source_said() -> None:
    records = Knowledge.from_records([Record(kind="interest", user="ann", interest="7"), interest("Sharks")])
    labels = records.interests.with_columns(
        label=pl.when(pl.col("interest") == "7").then(pl.lit("Jaws; Duel")).otherwise("label"), derived=pl.col("interest") == "7"
    )
    found = check(Knowledge(records.records, labels), screen(), Words())
    assert found.records["problems"].to_list() == [[], []]
    assert found.records["against"].to_list() == [None, "history"] and found.records["auc"][0] is None
    assert "1 of 2 records: interests whose own phrases are not known, only labels derived from titles" in found.notes


def answered() -> list[Record]:
    return records_of(("Sharks at sea", [1]), ("Lorries on roads", [2, 7]), ("Steven Spielberg films", []))


def test_a_problem_of_one_interest_is_not_that_of_the_others() -> None:
    records = answered()
    assert all(len(record.checks) == 2 for record in records)  # the engine writes an answer's problems on all its records
    assert problems(*records) == [[], ["evidence:rests on 7, which was not shown"], ["evidence:rests on no item"]]
    checked = check(Knowledge.from_records(records), screen(), Words())
    again = check(checked.marked(), screen(), Words())
    assert again.records["problems"].to_list() == checked.records["problems"].to_list()
    last = Knowledge.from_frame(checked.marked().records[1:])  # the places are gone, the problems stay with whom they are about
    assert check(last, screen(), Words()).records["hallucinated"].to_list() == [True, True]


def records_of(*said: tuple[str, list[int]]) -> list[Record]:
    """As they come from an answer about ann, who was shown two films."""
    task, subject = InterestsTask(), Subject(user="ann", shown=("film 1", "film 6"))
    answer = Interests(interests=[Interest(category="c", phrase=phrase, evidence=numbers) for phrase, numbers in said])
    update = {"checks": tuple(task.problems(subject, answer)), "prompt_version": "interests/1", "input_hash": "h", "model": "m"}
    return [record.model_copy(update=update) for record in task.records(subject, answer)]


def evidence_of(records: list[Record]) -> list[list[str]]:
    return [[problem for problem in each if problem.startswith("evidence")] for each in problems(*records)]


def test_a_phrase_of_one_character_moves_no_problem() -> None:
    said = records_of(("Sharks at sea", [1]), ("Lorries on roads", [2]), ("x", [1]), ("Woody Allen films", []))
    assert evidence_of(said) == [[], [], [], ["evidence:rests on no item"]]
    assert [any("single character" in problem for problem in each) for each in problems(*said)] == [False, False, True, False]


def test_a_blank_phrase_moves_the_numbers_by_one() -> None:
    said = records_of(("Sharks at sea", [1]), (" ", [9]), ("Lorries on roads", [2]), ("Woody Allen films", [7]))
    assert evidence_of(said) == [[], [], ["evidence:rests on 7, which was not shown", "evidence:rests on no item"]]


def test_after_a_phrase_said_twice_a_problem_is_on_those_that_it_may_be_about() -> None:
    wrong = ["evidence:rests on 7, which was not shown"]
    said = records_of(("Sharks", [1, 7]), ("Lorries", [2]), ("lorries", [1]), ("Deserts", [1]), ("Camels", [2]))
    assert evidence_of(said) == [wrong, [], [], []]  # before the phrase that was said twice
    last = records_of(("Sharks", [1]), ("Lorries", [2]), ("lorries", [1]), ("Deserts", [1]), ("Camels", [2, 7]))
    assert evidence_of(last) == [[], wrong, [], wrong]  # the fifth is Lorries again or the record before
    none = records_of(("Sharks", [1]), ("Lorries", [2]), ("lorries", []), ("Deserts", []), ("Camels", [2]))
    assert evidence_of(none) == [[], [], ["evidence:rests on no item"], []]  # Lorries rest on what was said first


@settings(max_examples=25)
@given(st.lists(st.tuples(st.sampled_from(["", "x", "sharks", "lorries", "camels", "Don't"]), st.sampled_from([1, 2, 7])), max_size=5))
def test_whoever_rests_on_what_was_not_shown_is_found(said: list[tuple[str, int]]) -> None:
    records = records_of(*((phrase, [1, number]) for phrase, number in said))
    if not records:
        return
    wrong = {phrase.lower() for phrase, number in said if number == 7}
    found = {record.interest for record, own in zip(records, evidence_of(records), strict=True) if own}
    assert found >= wrong - {""}
    phrases = [phrase for phrase, _ in said if phrase]
    if len(set(phrases)) == len(phrases):
        assert found == wrong - {""}


def test_records_of_no_known_answer_share_its_problems() -> None:
    checks = ("evidence:interest 3 rests on 7, which was not shown",)
    records = [interest(text, ("film 1",), checks=checks, prompt_version="interests/1") for text in ("One", "Two")]
    assert problems(*records) == [list(checks), list(checks)]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("I am sorry, as an AI language model I cannot say.", "refusal"),
        ("Фильм об акуле, которая ест людей у берега моря.", "language"),
        ("Jaws", "echo"),
        ("   ", "empty"),
        ("The one called film 1 is about a shark.", "leak"),
        ("A shark eats bathers off a quiet beach.", None),
    ],
)
def test_records_of_a_file_are_looked_at_anew(text: str, kind: str | None) -> None:
    (found,) = problems(Record(kind="item_text", item="film 1", text=text, source="published"))
    assert {problem.partition(":")[0] for problem in found} == ({kind} - {None})
    seen = Record(kind="item_text", item="film 1", text=text, source="language model", prompt_version="item-descriptions/1")
    assert problems(seen) == [[]]  # it was looked at when it came, with its prompt


def test_a_phrase_of_a_file_may_be_too_long() -> None:
    ((found,),) = problems(interest("sharks " * 9))
    assert found == "too_long:63 characters, at most 50 make a phrase"


def test_one_text_about_several() -> None:
    same = [
        Record(kind="item_text", item=f"film {number}", text=text)
        for number, text in enumerate(("A film.", "a  FILM.", "Another film."), 1)
    ]
    assert problems(*same) == [["duplicate:the same text for 2 of them"], ["duplicate:the same text for 2 of them"], []]
    twice = [interest("Sharks"), interest("sharks"), interest("Duels")]
    assert problems(*twice) == [["duplicate:said 2 times of one person"]] * 2 + [[]]
    shared = [interest("Sharks"), Record(kind="interest", user="bob", interest="sharks", text="Sharks")]
    assert problems(*shared) == [[], []]  # interests are there to be shared
