"""What can be asked of a language model about users and items. One explicit table says which tasks there are."""

from __future__ import annotations

import importlib
from typing import Any

from loreweave.errors import ConfigError
from loreweave.knowledge.tasks.base import KnowledgeTask, Subject

__all__ = ["TASKS", "KnowledgeTask", "Subject", "create_task", "task_class"]

TASKS: dict[str, str] = {
    "interests": "loreweave.knowledge.tasks.interests:InterestsTask",
    "item-descriptions": "loreweave.knowledge.tasks.item_descriptions:ItemDescriptionsTask",
    "user-descriptions": "loreweave.knowledge.tasks.user_descriptions:UserDescriptionsTask",
    "item-profiles": "loreweave.knowledge.tasks.profiles:ItemProfilesTask",
    "user-profiles": "loreweave.knowledge.tasks.profiles:UserProfilesTask",
    "preferences": "loreweave.knowledge.tasks.preferences:PreferencesTask",
    "facts": "loreweave.knowledge.tasks.facts:FactsTask",
    "reasons": "loreweave.knowledge.tasks.reasons:ReasonsTask",
}
"""Name → module:class. A program enters its own task here, so that its stored answers can be read again by name."""


def task_class(name: str) -> type[KnowledgeTask[Any]]:
    """The class of a task.

    Raises:
        ConfigError: no task has this name.
    """
    if name not in TASKS:
        raise ConfigError(f"no task is called {name!r}; there are: {', '.join(TASKS)}")
    module, _, attribute = TASKS[name].partition(":")
    loaded: type[KnowledgeTask[Any]] = getattr(importlib.import_module(module), attribute)
    return loaded


def create_task(name: str, /, **settings: Any) -> KnowledgeTask[Any]:
    """A task from its name and settings.

    Raises:
        ConfigError: unknown task, unknown setting, or a bad value.
    """
    return task_class(name)(**settings)
