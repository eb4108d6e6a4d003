"""Descriptions of items (GRASP: Dai et al., arXiv 2511.20177, stage "generation")."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from loreweave.knowledge.tasks.answers import TypedAnswer
from loreweave.knowledge.tasks.base import Subject
from loreweave.knowledge.tasks.problems import length_problems
from loreweave.knowledge.tasks.prompt import ItemConfig, ItemTask


class ItemDescriptionsConfig(ItemConfig):
    """Settings of `item-descriptions`."""

    words: int = Field(100, ge=10, le=500)
    """Asked for, at most."""


class ItemDescription(TypedAnswer):
    """What an item is."""

    description: str = Field(max_length=8000)
    """The description, plain prose."""


class ItemDescriptionsTask(ItemTask[ItemDescription]):
    """What an item is, from its attributes and what the model knows: one `item_text` an item."""

    name = "item-descriptions"
    answer_class = ItemDescription
    template = "item_descriptions.prompt"
    config_class: ClassVar[type[ItemDescriptionsConfig]] = ItemDescriptionsConfig

    def problems(self, subject: Subject, answer: ItemDescription) -> list[str]:
        return super().problems(subject, answer) + length_problems("description", answer.description, self.config.words)
