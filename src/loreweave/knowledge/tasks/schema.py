"""JSON schema of an answer, in the part of the language that every server understands."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from loreweave.errors import ConfigError

_KEPT = ("type", "description", "enum", "anyOf", "items", "properties")
_CHECKED_HERE: frozenset[str] = frozenset(
    """
    title default examples format pattern minLength maxLength minItems maxItems uniqueItems minimum maximum exclusiveMinimum
    exclusiveMaximum multipleOf additionalProperties required $defs const
    """.split()  # noqa: SIM905 - a list literal would be four times as long
)


def strict_schema(kind: type[BaseModel]) -> dict[str, Any]:
    """The schema of an answer class as OpenAI's strict structured outputs take it, without references.

    Every object forbids further properties and requires all it has. Limits (lengths, counts, ranges, patterns) are left out, since
    strict mode refuses some of them and servers differ about the others; pydantic holds the answer to them afterwards.

    Raises:
        ConfigError: a type that strict mode cannot say: a dictionary, a tuple, a type that contains itself.
    """
    whole = kind.model_json_schema()
    return _strict(whole, whole.get("$defs", {}), (kind.__name__,))


def _strict(schema: dict[str, Any], named: dict[str, Any], place: tuple[str, ...]) -> dict[str, Any]:
    where = ".".join(place)
    if len(place) > 20:
        raise ConfigError(f"answer class {place[0]}: nested too deeply, or contains itself; spell the levels out")
    reference = schema.get("$ref")
    if reference is not None:
        beside = {key: value for key, value in schema.items() if key != "$ref"}
        return _strict(named[reference.rsplit("/", 1)[-1]] | beside, named, (*place, "") if len(place) > 1 else place)
    strange = set(schema) - set(_KEPT) - _CHECKED_HERE
    if strange:
        raise ConfigError(f"answer class {where}: structured outputs cannot say {', '.join(sorted(strange))}; use lists and classes")
    if not {"type", "enum", "const", "anyOf"} & set(schema):
        raise ConfigError(f"answer class {where}: structured outputs need a type, and this may be anything")
    strict: dict[str, Any] = {key: schema[key] for key in ("type", "description", "enum") if key in schema}
    if "const" in schema:
        strict["enum"] = [schema["const"]]
    if "anyOf" in schema:
        strict["anyOf"] = [_strict(option, named, (*place, str(i))) for i, option in enumerate(schema["anyOf"])]
    if "items" in schema:
        strict["items"] = _strict(schema["items"], named, (*place, "items"))
    if schema.get("type") == "object":
        if schema.get("additionalProperties"):
            raise ConfigError(f"answer class {where}: structured outputs cannot say a dictionary; use a list of a class with two fields")
        strict["properties"] = {name: _strict(field, named, (*place, name)) for name, field in schema.get("properties", {}).items()}
        strict["required"] = list(strict["properties"])
        strict["additionalProperties"] = False
    return strict
