"""`PromptTask`: a task from a template and an answer class; `UserTask` and `ItemTask` know whom to ask about, too.

A subclass names itself, its answer and its template. It may say better what an answer comes to, in words (`said`) or as `records`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import polars as pl
from pydantic import Field

from loreweave.config import Config, build
from loreweave.data.dataset import Dataset
from loreweave.errors import ConfigError
from loreweave.knowledge.histories import ordered
from loreweave.knowledge.records import Record
from loreweave.knowledge.tasks.answers import parse_answer
from loreweave.knowledge.tasks.base import A, KnowledgeTask, Subject
from loreweave.knowledge.tasks.escape import ELLIPSIS, Block, cut_to_bytes, one_line
from loreweave.knowledge.tasks.history import BYTES_PER_TOKEN, blocks_of_users, line_bytes, numbered, users_passed_over
from loreweave.knowledge.tasks.items import item_descriptions, item_lines, longest_of, user_attributes
from loreweave.knowledge.tasks.problems import found_in, texts_in
from loreweave.knowledge.tasks.schema import strict_schema
from loreweave.knowledge.tasks.template import Template
from loreweave.language.base import Request


class PromptConfig(Config):
    """Settings of every task."""

    max_prompt_tokens: int = Field(4000, ge=100)
    """Tokens of system text and prompt together, by the estimate of one for 3.5 bytes; what does not fit is left out and counted."""
    max_tokens: int = Field(1000, ge=1)
    """Of the answer (CIKGRec: 1,000)."""
    temperature: float = Field(0.0, ge=0, le=2)
    """0 is the likeliest answer."""
    language: str = Field("English", min_length=1, max_length=50)
    """Of the answer, as the language calls itself (`Deutsch`, `русский`): an answer in another script than this word, the titles and the
    catalogue's text is a problem of kind `language`."""


class UserConfig(PromptConfig):
    """Settings of tasks that ask about people."""

    max_items: int = Field(30, ge=1)
    """Of the history, the newest (CIKGRec: 30)."""
    attribute_chars: int = Field(120, ge=0, le=2000)
    """Of attributes beside a title; 0: titles alone, as CIKGRec asked."""
    user_attributes: bool = False
    """Tell the model what else is known of the person (age, occupation). It leaves the house with the prompt."""


class ItemConfig(PromptConfig):
    """Settings of tasks that ask about items."""

    attribute_chars: int = Field(400, ge=0, le=2000)
    """Of attributes beside the title."""
    text_chars: int = Field(2000, ge=0, le=20_000)
    """Of the catalogue's text."""


class PromptTask(KnowledgeTask[A]):
    """A task from a template and an answer class.

    Attributes:
        config_class: its settings; each is a name in the template.
        config: the settings.
        schema: of the answer, for structured outputs (`strict_schema`).
    """

    config_class: ClassVar[type[PromptConfig]] = PromptConfig

    def __init__(self, config: PromptConfig | None = None, /, **settings: Any) -> None:
        self.config: Any = config if config is not None else build(self.config_class, settings, where=self.name)
        self._template = Template.of(type(self))
        self.version = self._template.version
        self.schema = strict_schema(self.answer_class)

    def request(self, subject: Subject) -> Request:
        """The template filled with the subject's fields and the settings; raw ids are in neither."""
        system, prompt = self._template.render({**self.config.model_dump(), **subject.fields})
        return Request(system, prompt, self.schema, self.config.max_tokens, self.config.temperature)

    def parse(self, text: str) -> A:
        return parse_answer(self.answer_class, text)

    def problems(self, subject: Subject, answer: A) -> list[str]:
        return found_in(answer, subject, self._template.sentences, self.config.language)

    def said(self, answer: A) -> str:
        """What the answer comes to in words: all its texts, unless a subclass says better."""
        return " ".join(text for _, text in texts_in(answer.model_dump()))

    def room(self, **fields: Any) -> int:
        """Bytes that the budget leaves for items and texts, once the instructions and `fields` are in.

        Raises:
            ConfigError: there is no room left.
        """
        system, prompt = self._template.render({**self.config.model_dump(), **fields})
        left = int(self.config.max_prompt_tokens * BYTES_PER_TOKEN) - len((system + prompt).encode())
        if left <= 0:
            needed = -(-len((system + prompt).encode()) * 2 // 7)
            raise ConfigError(f"{self.name}: the instructions alone take {needed} tokens; raise max_prompt_tokens above that")
        return left

    def refuse_if_none_fits(self, line: int, room: int) -> None:
        """See that every line fits into a prompt alone, so that nobody with a history goes unasked.

        Raises:
            ConfigError: the longest does not.
        """
        if line > room:
            needed = self.config.max_prompt_tokens + int((line - room) / BYTES_PER_TOKEN) + 1
            raise ConfigError(f"{self.name}: the longest item does not fit into the prompt; set max_prompt_tokens to {needed} or more")


class UserTask(PromptTask[A]):
    """Asks about everybody with a history. Somebody without one has nothing to be asked about, gets no record, and is served by what the
    recommender does without knowledge.

    Names in the template, besides the settings: `items` (numbered lines), `order` (`newest first`, or `best known first` where the data
    has neither time nor order), `about` (attributes of the person, empty where `user_attributes` is off or nothing is known).
    """

    config_class: ClassVar[type[PromptConfig]] = UserConfig

    def subjects(self, dataset: Dataset) -> Iterator[Subject]:
        """Everybody with a positive interaction in `dataset` with an item that has a name or an attribute, in the order of codes.

        Raises:
            ConfigError: a prompt with a single item is over `max_prompt_tokens`.
            DataError: no item has a name or an attribute.
        """
        lines = item_lines(dataset, self.config.attribute_chars)
        about = user_attributes(dataset, self.config.user_attributes)
        rows, order = ordered(dataset)
        room = self.room(items="", order=order, about=longest_of(about))
        self.refuse_if_none_fits(line_bytes(lines, self.config.max_items), room)
        users, items = dataset.users.ids.cast(pl.String), dataset.items.ids.cast(pl.String)
        for part in blocks_of_users(rows, dataset.n_users):
            block = numbered(part.rename({"user": "group"}), lines, items, self.config.max_items, room)
            told = (users.gather(block["group"]), about.gather(block["group"]), block["items"], block["shown"], block["left_out"])
            columns = (column.to_list() for column in told)
            for user, own, listed, shown, left_out in zip(*columns, strict=True):
                yield Subject(
                    user=user, fields={"items": Block(listed), "order": order, "about": own}, shown=tuple(shown), left_out=left_out
                )

    def passed_over(self, dataset: Dataset) -> dict[str, int]:
        """Users without history, and those with nothing but items that have neither name nor attribute.

        Raises:
            DataError: no item has a name or an attribute.
        """
        return users_passed_over(ordered(dataset)[0], item_lines(dataset, self.config.attribute_chars), dataset.n_users)

    def records(self, subject: Subject, answer: A) -> list[Record]:
        """One `user_text` of what the answer says; none where it says nothing."""
        text = one_line(self.said(answer))
        return [Record(kind="user_text", user=subject.user, text=text)] if text else []


class ItemTask(PromptTask[A]):
    """Asks about every item of the catalogue that has a name or an attribute, met by anybody or not.

    Names in the template, besides the settings: `items` (one numbered line), `text` (the catalogue's text, empty where there is none).
    """

    config_class: ClassVar[type[PromptConfig]] = ItemConfig

    def subjects(self, dataset: Dataset) -> Iterator[Subject]:
        """Items in the order of codes. Interactions are not looked at.

        Raises:
            ConfigError: a prompt without the text is over `max_prompt_tokens`.
            DataError: no item has a name or an attribute.
        """
        lines = item_lines(dataset, self.config.attribute_chars)
        texts, lengths = item_descriptions(dataset, self.config.text_chars)
        room = self.room(items="", text="-")
        self.refuse_if_none_fits(line_bytes(lines, 1), room)
        told = (dataset.items.ids.cast(pl.String), lines, texts.fill_null(""), lengths.fill_null(0))
        columns = (column.to_list() for column in told)
        for item, line, text, length in zip(*columns, strict=True):
            if line is not None:
                first = f"[1] {line}"
                fitting = cut_to_bytes(text, room - len(first.encode()))
                cut = length - len(fitting.removesuffix(ELLIPSIS)) if len(fitting) < length else 0
                yield Subject(item=item, fields={"items": Block(first), "text": fitting}, shown=(item,), cut=cut)

    def passed_over(self, dataset: Dataset) -> dict[str, int]:
        """Items without name or attribute.

        Raises:
            DataError: that is so of every item.
        """
        count = item_lines(dataset, self.config.attribute_chars).null_count()
        return {"items without name or attribute": count} if count else {}

    def records(self, subject: Subject, answer: A) -> list[Record]:
        """One `item_text` of what the answer says; none where it says nothing."""
        text = one_line(self.said(answer))
        return [Record(kind="item_text", item=subject.item, text=text)] if text else []
