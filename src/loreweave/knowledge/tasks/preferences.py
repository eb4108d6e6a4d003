"""Preferences (KAR: Xi et al., "Towards Open-World Recommendation with Knowledge Augmentation from Large Language Models", RecSys 2024,
arXiv 2306.10933: preference reasoning by factors)."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from loreweave.knowledge.tasks.answers import TypedAnswer
from loreweave.knowledge.tasks.base import Subject
from loreweave.knowledge.tasks.problems import factor_problems
from loreweave.knowledge.tasks.prompt import UserConfig, UserTask


class PreferencesConfig(UserConfig):
    """Settings of `preferences`."""

    user_attributes: bool = True
    """Tell the model what else is known of the person, as KAR does."""
    factors: int = Field(6, ge=1, le=20)
    """Asked for, at most."""


class Preference(TypedAnswer):
    """What a person prefers in one respect."""

    factor: str = Field(max_length=200)
    """What the preference is about: genre, author, mood, era, price."""
    preference: str = Field(max_length=2000)
    """What the person prefers in it, and what in the history shows it."""


class Preferences(TypedAnswer):
    """What a person prefers, the most telling factor first."""

    preferences: list[Preference] = Field(max_length=20)


class PreferencesTask(UserTask[Preferences]):
    """What a person prefers, factor by factor: one `user_text` a person, `genre: …. era: ….`."""

    name = "preferences"
    answer_class = Preferences
    template = "preferences.prompt"
    config_class: ClassVar[type[PreferencesConfig]] = PreferencesConfig

    def said(self, answer: Preferences) -> str:
        return " ".join(f"{one.factor}: {one.preference.rstrip('. ')}." for one in answer.preferences)

    def problems(self, subject: Subject, answer: Preferences) -> list[str]:
        factors = [one.factor for one in answer.preferences]
        return super().problems(subject, answer) + factor_problems(factors, self.config.factors)
