"""Facts about items (KAR: Xi et al., RecSys 2024, arXiv 2306.10933: item factual knowledge by factors)."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from loreweave.knowledge.tasks.answers import TypedAnswer
from loreweave.knowledge.tasks.base import Subject
from loreweave.knowledge.tasks.problems import factor_problems
from loreweave.knowledge.tasks.prompt import ItemConfig, ItemTask


class FactsConfig(ItemConfig):
    """Settings of `facts`."""

    factors: int = Field(6, ge=1, le=20)
    """Asked for, at most."""


class Fact(TypedAnswer):
    """What is known of an item in one respect."""

    factor: str = Field(max_length=200)
    """What the fact is about: genre, author, theme, style, era."""
    fact: str = Field(max_length=2000)
    """The fact."""


class Facts(TypedAnswer):
    """What is known of an item, the most telling factor first."""

    facts: list[Fact] = Field(max_length=20)


class FactsTask(ItemTask[Facts]):
    """What the model knows of an item, factor by factor: one `item_text` an item, `genre: …. theme: ….`."""

    name = "facts"
    answer_class = Facts
    template = "facts.prompt"
    config_class: ClassVar[type[FactsConfig]] = FactsConfig

    def said(self, answer: Facts) -> str:
        return " ".join(f"{one.factor}: {one.fact.rstrip('. ')}." for one in answer.facts)

    def problems(self, subject: Subject, answer: Facts) -> list[str]:
        factors = [one.factor for one in answer.facts]
        return super().problems(subject, answer) + factor_problems(factors, self.config.factors)
