"""Descriptions of users (GRASP: Dai et al., arXiv 2511.20177, stage "generation")."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from loreweave.knowledge.tasks.answers import TypedAnswer
from loreweave.knowledge.tasks.base import Subject
from loreweave.knowledge.tasks.problems import length_problems
from loreweave.knowledge.tasks.prompt import UserConfig, UserTask


class UserDescriptionsConfig(UserConfig):
    """Settings of `user-descriptions`."""

    user_attributes: bool = True
    """Tell the model what else is known of the person: GRASP describes a user from profile and history."""
    words: int = Field(100, ge=10, le=500)
    """Asked for, at most."""


class UserDescription(TypedAnswer):
    """Who somebody is as a chooser."""

    description: str = Field(max_length=8000)
    """The description, plain prose."""


class UserDescriptionsTask(UserTask[UserDescription]):
    """What a person is like as a chooser, from profile and history: one `user_text` a person."""

    name = "user-descriptions"
    answer_class = UserDescription
    template = "user_descriptions.prompt"
    config_class: ClassVar[type[UserDescriptionsConfig]] = UserDescriptionsConfig

    def problems(self, subject: Subject, answer: UserDescription) -> list[str]:
        return super().problems(subject, answer) + length_problems("description", answer.description, self.config.words)
