"""Profiles (RLMRec: Ren et al., WWW 2024, arXiv 2310.15950, section "user/item profile generation via reasoning").

What an item's admirers are like, and what a person likes. The model gives its reasoning first, then the profile; only the profile becomes a
record, the reasoning stays in the stored answer.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from loreweave.knowledge.tasks.answers import TypedAnswer
from loreweave.knowledge.tasks.base import Subject
from loreweave.knowledge.tasks.problems import length_problems
from loreweave.knowledge.tasks.prompt import ItemConfig, ItemTask, UserConfig, UserTask


class ItemProfilesConfig(ItemConfig):
    """Settings of `item-profiles`."""

    words: int = Field(100, ge=10, le=500)
    """Of the profile, at most (RLMRec: 100)."""


class UserProfilesConfig(UserConfig):
    """Settings of `user-profiles`."""

    words: int = Field(100, ge=10, le=500)
    """Of the profile, at most (RLMRec: 100)."""


class Profile(TypedAnswer):
    """A profile and how it was arrived at."""

    reasoning: str = Field(max_length=8000)
    """Why, from what was shown, in a sentence or two."""
    profile: str = Field(max_length=8000)
    """The profile, plain prose."""


class ItemProfilesTask(ItemTask[Profile]):
    """Who would like an item: one `item_text` an item."""

    name = "item-profiles"
    answer_class = Profile
    template = "item_profiles.prompt"
    config_class: ClassVar[type[ItemProfilesConfig]] = ItemProfilesConfig

    def said(self, answer: Profile) -> str:
        return answer.profile

    def problems(self, subject: Subject, answer: Profile) -> list[str]:
        return super().problems(subject, answer) + length_problems("profile", answer.profile, self.config.words)


class UserProfilesTask(UserTask[Profile]):
    """What a person likes: one `user_text` a person."""

    name = "user-profiles"
    answer_class = Profile
    template = "user_profiles.prompt"
    config_class: ClassVar[type[UserProfilesConfig]] = UserProfilesConfig

    def said(self, answer: Profile) -> str:
        return answer.profile

    def problems(self, subject: Subject, answer: Profile) -> list[str]:
        return super().problems(subject, answer) + length_problems("profile", answer.profile, self.config.words)
