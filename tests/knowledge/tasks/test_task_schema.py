"""Schemas are what OpenAI's strict structured outputs take."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel, Field

from loreweave.errors import ConfigError
from loreweave.knowledge.tasks import TASKS, create_task
from loreweave.knowledge.tasks.prompt import PromptTask
from loreweave.knowledge.tasks.schema import strict_schema

ALLOWED = {"type", "properties", "required", "additionalProperties", "items", "enum", "anyOf", "description"}


def nodes(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield schema
    for inner in [*schema.get("properties", {}).values(), *schema.get("anyOf", []), *([schema["items"]] if "items" in schema else [])]:
        yield from nodes(inner)


@pytest.mark.parametrize("name", list(TASKS))
def test_every_task(name: str) -> None:
    task = create_task(name)
    assert isinstance(task, PromptTask)
    for node in nodes(task.schema):
        assert set(node) <= ALLOWED
        if node.get("type") == "object":
            assert node["additionalProperties"] is False
            assert node["required"] == list(node["properties"])


@pytest.mark.parametrize("name", list(TASKS))
def test_openais_own_normaliser_changes_nothing(name: str) -> None:
    pydantic_helpers = pytest.importorskip("openai.lib._pydantic")
    task = create_task(name)
    assert isinstance(task, PromptTask)
    normalised = pydantic_helpers._ensure_strict_json_schema(copy.deepcopy(task.schema), path=(), root=task.schema)
    assert normalised == task.schema


def test_known_answer() -> None:
    class Inner(BaseModel):
        """An inner thing."""

        number: int = Field(ge=1, le=5)

    class Outer(BaseModel):
        word: str | None = Field(max_length=5, description="A word.")
        inner: list[Inner] = Field(max_length=2)

    assert strict_schema(Outer) == {
        "type": "object",
        "properties": {
            "word": {"description": "A word.", "anyOf": [{"type": "string"}, {"type": "null"}]},
            "inner": {
                "type": "array",
                "items": {
                    "type": "object",
                    "description": "An inner thing.",
                    "properties": {"number": {"type": "integer"}},
                    "required": ["number"],
                    "additionalProperties": False,
                },
            },
        },
        "required": ["word", "inner"],
        "additionalProperties": False,
    }


class Node(BaseModel):
    children: list[Node]


class Pairs(BaseModel):
    pairs: dict[str, int]


class Couple(BaseModel):
    couple: tuple[int, str]


class Whatever(BaseModel):
    value: Any


@pytest.mark.parametrize(
    ("kind", "problem"),
    [(Node, "contains itself"), (Pairs, "Pairs.pairs: .* dictionary"), (Couple, "Couple.couple: .* prefixItems"), (Whatever, "anything")],
)
def test_what_strict_mode_cannot_say_is_refused(kind: type[BaseModel], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        strict_schema(kind)
