"""One pydantic model a component: the same settings as a Python object, a TOML table, or `--set key=value`."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from loreweave.errors import ConfigError


class Config(BaseModel):
    """Base of all settings: frozen, unknown keys refused, values checked."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False)


C = TypeVar("C", bound=Config)


def build(kind: type[C], settings: Mapping[str, Any], *, where: str) -> C:
    """A checked config from plain values.

    Raises:
        ConfigError: an unknown key or a bad value, in one line that names it.
    """
    try:
        return kind(**settings)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            raise ConfigError(f"{where}: unknown setting {key!r}; known settings: {', '.join(sorted(kind.model_fields))}") from None
        told = first["msg"].removeprefix("Value error, ")
        raise ConfigError(f"{where}: setting {key!r}: {told} (got {first.get('input')!r})" if key else f"{where}: {told}") from None


def parse_assignments(assignments: Iterable[str]) -> dict[str, Any]:
    """`["a.b=1", "c=x"]` to `{"a": {"b": 1}, "c": "x"}`; values are read as TOML where they are TOML, else as text.

    Raises:
        ConfigError: no `=`, an empty key, or a key that is both a value and a table.
    """
    tree: dict[str, Any] = {}
    for text in assignments:
        key, equals, value = text.partition("=")
        parts = [part.strip() for part in key.split(".")]
        if not equals or not all(parts):
            raise ConfigError(f"--set {text!r}: write it as key=value, for example cikg-linear.l2=50")
        node = tree
        for part in parts[:-1]:
            node = node.setdefault(part, {})
            if not isinstance(node, dict):
                raise ConfigError(f"--set {text!r}: {part!r} already has a value")
        if isinstance(node.get(parts[-1]), dict):
            raise ConfigError(f"--set {text!r}: {parts[-1]!r} is a table, not a value")
        node[parts[-1]] = _toml_value(value.strip())
    return tree


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a TOML file.

    Raises:
        ConfigError: the file is missing or is not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not a TOML file: {error}") from None


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`over` laid on `base`, table by table."""
    merged = dict(base)
    for key, value in over.items():
        if isinstance(value, Mapping) and isinstance(merged.get(key), Mapping):
            value = merge(merged[key], value)
        merged[key] = value
    return merged


def _toml_value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
