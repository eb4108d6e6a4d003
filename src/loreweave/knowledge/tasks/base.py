"""`KnowledgeTask`: what is asked about whom, what an answer must look like, and which records it becomes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, TypeVar

from pydantic import BaseModel

from loreweave.data.dataset import Dataset
from loreweave.knowledge.records import Record
from loreweave.language.base import Request

A = TypeVar("A", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Subject:
    """Somebody or something that a task asks about. Raw ids stay here: a prompt shows numbers in their place.

    Attributes:
        user, item: raw ids as text; either or both.
        fields: what the prompt template is filled with.
        shown: raw ids of the items that the prompt shows, in the order of their numbers (from 1).
        left_out: history items that did not fit.
        cut: characters of the catalogue's text that did not fit.
    """

    user: str | None = None
    item: str | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)
    shown: tuple[str, ...] = ()
    left_out: int = 0
    cut: int = 0


class KnowledgeTask(ABC, Generic[A]):
    """One kind of question. A subclass names an answer type and a template, and says how an answer becomes records.

    Attributes:
        name: as on the command line (`interests`).
        answer_class: what the model must return, as pydantic checks it.
        template: the prompt, a file beside the task; its first line holds its version.
        version: that version.
    """

    name: ClassVar[str]
    answer_class: type[A]
    template: ClassVar[str]
    version: str

    @abstractmethod
    def subjects(self, dataset: Dataset) -> Iterator[Subject]:
        """Everybody the task asks about; histories come from `dataset` alone, so give it the part that may be seen."""

    def passed_over(self, dataset: Dataset) -> dict[str, int]:
        """How many users or items of `dataset` `subjects` has no question about, by the reason in words; empty where there are none."""
        return {}

    @abstractmethod
    def request(self, subject: Subject) -> Request:
        """The question about one subject."""

    @abstractmethod
    def parse(self, text: str) -> A:
        """An answer's text, checked.

        Raises:
            AnswerError: it does not have the form that was asked for; one line that says where.
        """

    @abstractmethod
    def problems(self, subject: Subject, answer: A) -> list[str]:
        """What is wrong with an answer of the right form, for example `evidence:7 was not shown`; empty where nothing is."""

    @abstractmethod
    def records(self, subject: Subject, answer: A) -> list[Record]:
        """What the answer says, as records without provenance (the engine adds source, model, date, hash and cost)."""
