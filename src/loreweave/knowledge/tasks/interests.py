"""Interests (CIKGRec: Hu et al., AAAI 2025, arXiv 2412.13544, section "User interest generation").

At most five a person, from the last thirty items and what the model knows about them; each with the items it rests on, which is ours.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from loreweave.knowledge.records import Record
from loreweave.knowledge.tasks.answers import TypedAnswer
from loreweave.knowledge.tasks.base import Subject
from loreweave.knowledge.tasks.escape import one_line
from loreweave.knowledge.tasks.problems import duplicate_problems, evidence_problems
from loreweave.knowledge.tasks.prompt import UserConfig, UserTask

MOST = 5
"""Interests of one person."""
LONGEST_PHRASE = 50
"""In characters; a phrase has more than one and at most so many (CIKGRec)."""


class InterestsConfig(UserConfig):
    """Settings of `interests`."""

    phrases: int = Field(MOST, ge=1, le=MOST)
    """Interests asked for, at most."""


class Interest(TypedAnswer):
    """One interest of a person."""

    category: str = Field(max_length=100)
    """A broad field, one or two words."""
    phrase: str = Field(max_length=200)
    """The interest itself, two to five words."""
    evidence: list[int] = Field(max_length=1000)
    """Numbers of the history items that the interest rests on."""


class Interests(TypedAnswer):
    """The interests of a person, the strongest first."""

    interests: list[Interest] = Field(max_length=MOST)


class InterestsTask(UserTask[Interests]):
    """What interests a person: records of kind `interest`, one a phrase, evidence by raw id. The category stays in the stored answer."""

    name = "interests"
    answer_class = Interests
    template = "interests.prompt"
    config_class: ClassVar[type[InterestsConfig]] = InterestsConfig

    def problems(self, subject: Subject, answer: Interests) -> list[str]:
        problems = super().problems(subject, answer)
        if not answer.interests:
            problems.append("empty:no interests")
        if len(answer.interests) > self.config.phrases:
            problems.append(f"too_long:{len(answer.interests)} interests, {self.config.phrases} were asked for")
        for number, interest in enumerate(answer.interests, 1):
            length = len(one_line(interest.phrase))
            if length == 1:
                problems.append(f"empty:interest {number} is a single character")
            if length > LONGEST_PHRASE:
                problems.append(f"too_long:interest {number} has {length} characters, at most {LONGEST_PHRASE} make a phrase")
            problems += evidence_problems(f"interest {number}", interest.evidence, len(subject.shown))
        return problems + duplicate_problems([interest.phrase for interest in answer.interests])

    def records(self, subject: Subject, answer: Interests) -> list[Record]:
        """One record a phrase; its id is the phrase in lower case. A phrase said twice is one record with the evidence of both."""
        rests_on: dict[str, dict[int, None]] = {}
        phrases: dict[str, str] = {}
        for interest in answer.interests:
            phrase = one_line(interest.phrase)
            if phrase:
                phrases.setdefault(phrase.lower(), phrase)
                rests_on.setdefault(phrase.lower(), {}).update(dict.fromkeys(interest.evidence))
        return [
            Record(
                kind="interest",
                user=subject.user,
                interest=interest,
                text=phrase,
                evidence=tuple(subject.shown[number - 1] for number in rests_on[interest] if 1 <= number <= len(subject.shown)),
            )
            for interest, phrase in phrases.items()
        ]
