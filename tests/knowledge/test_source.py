"""Several sources as one: each asked or checked by its own rules, and nobody asked twice."""

from __future__ import annotations

import numpy as np
import pytest

from loreweave.data.dataset import Dataset, Interactions
from loreweave.data.split import Split
from loreweave.data.vocabulary import Vocabulary
from loreweave.errors import DataError, NotAsked
from loreweave.knowledge.records import Knowledge, Record
from loreweave.knowledge.source import KnowledgeSource, Together, known_about, together
from loreweave.knowledge.templates import Templates


def log(*pairs: tuple[int, int]) -> Interactions:
    users, items = np.array(pairs, dtype=np.int32).T
    return Interactions(users, items)


SPLIT = Split(Dataset(Vocabulary(["a", "b"]), Vocabulary(["x", "y", "z"]), log((0, 0), (1, 1))), log((0, 1)), log((1, 2)), "given", 1)


def text(user: str, as_of: str | None = None) -> Knowledge:
    return Knowledge.from_records([Record(kind="user_text", user=user, text=f"about {user}", as_of=as_of)])


class Counting:
    """Says something of user a; counts how often it is asked."""

    name = "counting"

    def __init__(self) -> None:
        self.asked: list[str] = []

    def infer(self, dataset: Dataset) -> Knowledge:
        self.asked.append(dataset.fingerprint)
        return Knowledge.from_records([Record(kind="interest", user="a", interest="sea", text="sea", as_of=dataset.fingerprint)])


class Past(Counting):
    """Was asked about the refit alone, and cannot be asked now."""

    def infer(self, dataset: Dataset) -> Knowledge:
        if dataset.fingerprint != SPLIT.fingerprint:
            raise NotAsked("not about these")
        return super().infer(dataset)


def test_what_parts_say_is_merged_in_their_order() -> None:
    both = Together((text("b", SPLIT.train.fingerprint), Counting()), (text("a"),))
    known, warnings = known_about(both, SPLIT.train, SPLIT)
    assert known.records.select("kind", "user").rows() == [("user_text", "b"), ("interest", "a"), ("user_text", "a")]
    assert known.labels(known.interests["interest"]) == ["sea"]
    assert warnings == ["1 of 1 knowledge records may have seen the test part; they were accepted on request"]


def test_parts_that_were_not_asked_for_by_name_are_refused_without_a_date() -> None:
    with pytest.raises(DataError, match="1 of 1 knowledge records rest on unknown"):
        known_about(Together((text("a"), Counting())), SPLIT.train, SPLIT)
    assert len(known_about(Together((text("a"),)), SPLIT.train, SPLIT, undated=True)[0]) == 1


def test_every_source_keeps_its_own_rules() -> None:
    known, warnings = known_about(Together((Past(), Counting())), SPLIT.train, SPLIT)
    assert len(known) == 2
    (warning,) = warnings
    assert "validation is not unseen" in warning


def test_sources_are_asked_through_infer() -> None:
    first, second = Counting(), Counting()
    seen: list[KnowledgeSource] = []

    def infer(source: KnowledgeSource, part: Dataset) -> Knowledge:
        seen.append(source)
        return source.infer(part)

    known_about(Together((first, second)), SPLIT.train, SPLIT, infer=infer)
    assert seen == [first, second]


def test_one_is_several_too() -> None:
    recorded, source = text("a"), Templates()
    assert together(None) == Together(())
    assert together(recorded).records == (recorded,) and together(recorded).sources == ()
    several = Together((recorded, source), (recorded,))
    assert together(several) is several
    assert several.records == (recorded, recorded) and several.sources == (source,)
    assert known_about(Together(()), SPLIT.train, SPLIT)[0].name == "none"
