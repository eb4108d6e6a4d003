"""Answers without a model: what the items of a prompt have in common, in the form of any JSON schema.

Everything is a function of the prompt alone: the same question has the same answer, today and on every machine.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from loreweave.knowledge.stop_words import STOP_WORDS

WORD = re.compile(r"[^\W\d_][\w'-]{2,}")
LINE = re.compile(r"^\s*\[(\d+)\]\s*(.+?)\s*$", re.MULTILINE)
BLOCK = re.compile(r"<items>(.*?)</items>", re.DOTALL)
DULL = STOP_WORDS | {"book", "edition", "film", "movie", "novel", "part", "season", "series", "story", "volume"}
"""Words of titles that say nothing about taste."""
MOST_THEMES = 5
MOST_EVIDENCE = 8
"""Items named for a theme, the first of those that share it."""
PHRASE_CHARS = 50
DEPTH = 12
"""Levels of a schema that are filled; one that contains itself ends there."""


@dataclass(frozen=True)
class Item:
    """One line `[number] title | attributes` of a prompt."""

    number: int
    title: str
    attributes: tuple[str, ...]


@dataclass(frozen=True)
class Theme:
    """Something that several items have in common: a broad word, a phrase that names it, and the numbers of the items."""

    category: str
    phrase: str
    items: tuple[int, ...]


def items_of(prompt: str) -> list[Item]:
    """The items that a prompt lists, one a line, within `<items>` where it has that delimiter."""
    blocks = BLOCK.findall(prompt)
    items = []
    for number, line in LINE.findall("\n".join(blocks) if blocks else prompt):
        title, _, rest = line.partition("|")
        values = (value.rpartition(":")[2].strip() for value in re.split(r"[|,;]", rest))
        items.append(Item(int(number), title.strip(), tuple(value for value in values if WORD.search(value))))
    return items


def themes(items: list[Item]) -> list[Theme]:
    """What items have in common, the most common first: attributes, then words of titles; at most five, no two on the same items."""
    holders: dict[str, list[Item]] = {}
    attributes: set[str] = set()
    for item in items:
        shared = {value.lower(): value for value in item.attributes}
        attributes.update(shared)
        words = {word.lower() for word in WORD.findall(item.title)} - DULL
        for word in {**shared, **dict.fromkeys(words)}:
            holders.setdefault(word, []).append(item)
    ranked = sorted(holders, key=lambda word: (-len(holders[word]) - 0.5 * (word in attributes), word))
    if ranked and len(holders[ranked[0]]) > 1:  # what a single item suggests is no interest where several suggest something
        ranked = [word for word in ranked if len(holders[word]) > 1]
    everywhere = Counter(word for item in items for word in _words(item))
    found: list[Theme] = []
    seen: set[tuple[int, ...]] = set()
    for word in ranked:
        numbers = tuple(item.number for item in holders[word])
        if numbers in seen:
            continue
        seen.add(numbers)
        beside = Counter(other for item in holders[word] for other in _words(item) if other != word)
        telling = {other: count * count / everywhere[other] for other, count in beside.items()}  # common here and not everywhere
        company = sorted(telling, key=lambda other: (-telling[other], other))[:2]
        found.append(Theme(word, _cut(" ".join([word, *company])), numbers))
        if len(found) == MOST_THEMES:
            break
    return found


def _cut(phrase: str) -> str:
    return phrase if len(phrase) <= PHRASE_CHARS else phrase[: PHRASE_CHARS + 1].rpartition(" ")[0] or phrase[:PHRASE_CHARS]


def _words(item: Item) -> set[str]:
    return {value.lower() for value in item.attributes} | {word.lower() for word in WORD.findall(item.title)} - DULL


def answer(prompt: str, schema: Mapping[str, Any] | None) -> str:
    """What the "model" says: JSON that meets the schema, or a sentence where there is none."""
    return json.dumps(_Filler(prompt).fill(schema), ensure_ascii=False) if schema is not None else _Filler(prompt).sentence(0)


class _Filler:
    """Fills schemas with what one prompt talks about."""

    def __init__(self, prompt: str) -> None:
        self.items = items_of(prompt)
        self.themes = themes(self.items) or [Theme(word, word, ()) for word in self._plain(prompt)]
        self.seed = int.from_bytes(hashlib.blake2b(prompt.encode("utf-8", "replace"), digest_size=8).digest())
        self.root: Mapping[str, Any] = {}
        blocks = [items_of(f"<items>{block}</items>") for block in BLOCK.findall(prompt)]
        # A prompt with a second list asks whether that goes with the first.
        self.fits = any(_words(a) & _words(b) for a in blocks[0] for b in blocks[1]) if len(blocks) == 2 else None

    @staticmethod
    def _plain(prompt: str) -> list[str]:
        words = list(dict.fromkeys(word.lower() for word in WORD.findall(prompt) if word.lower() not in DULL))
        return words[-3:] or ["nothing"]

    def fill(self, schema: Mapping[str, Any]) -> Any:
        self.root = schema
        return self.value(schema, "", 0, 0)

    def value(self, schema: Mapping[str, Any], name: str, nth: int, depth: int) -> Any:
        """An instance; `nth` counts the elements of the array it stands in, so that they differ."""
        if "$ref" in schema:
            named: Any = self.root
            for part in schema["$ref"].removeprefix("#/").split("/"):
                named = named[part]
            schema = {**named, **{key: value for key, value in schema.items() if key != "$ref"}}
        if "const" in schema:
            return schema["const"]
        if schema.get("enum") == [0, 1] and self.fits is not None:
            return int(self.fits)
        if schema.get("enum"):
            return schema["enum"][(self.seed + nth) % len(schema["enum"])]
        for combined in ("anyOf", "oneOf", "allOf"):
            if schema.get(combined):
                options = [option for option in schema[combined] if option.get("type") != "null"] if depth < DEPTH else []
                return self.value(options[0], name, nth, depth + 1) if options else None
        kind = schema.get("type", "object" if "properties" in schema else "string")
        if isinstance(kind, list):
            kind = next((one for one in kind if one != "null"), "null")
        match kind:
            case "object":
                return self._object(schema, nth, depth)
            case "array":
                return self._array(schema, name, nth, depth)
            case "integer" | "number":
                return self._number(schema, kind == "integer", nth)
            case "boolean":
                return bool((self.seed >> nth % 8) & 1) if self.fits is None else self.fits
            case "null":
                return None
        return self._string(schema, name, nth)

    def _object(self, schema: Mapping[str, Any], nth: int, depth: int) -> dict[str, Any]:
        properties = schema.get("properties", {})
        wanted = properties if depth < DEPTH else {key: properties[key] for key in schema.get("required", ()) if key in properties}
        return {key: self.value(inner, key, nth, depth + 1) for key, inner in wanted.items()}

    def _array(self, schema: Mapping[str, Any], name: str, nth: int, depth: int) -> list[Any]:
        inner = schema.get("items", {"type": "string"})
        least, most = schema.get("minItems", 1 if depth < DEPTH else 0), schema.get("maxItems", MOST_EVIDENCE)
        if inner.get("type") == "integer" and not {"enum", "minimum", "maximum"} & inner.keys() and len(self.items) >= max(least, 1):
            numbers = list(self._theme(nth).items[: max(most, least)])  # of the items that a theme rests on
            spare = [item.number for item in self.items if item.number not in numbers]
            return numbers + spare[: max(least - len(numbers), 0)]
        count = max(least, min(most, len(self.themes), 3)) if depth < DEPTH else least
        return [self.value(inner, name, i, depth + 1) for i in range(count)]

    def _number(self, schema: Mapping[str, Any], whole: bool, nth: int) -> int | float:
        low: float = schema.get("minimum", schema.get("exclusiveMinimum", 0))
        high: float = schema.get("maximum", schema.get("exclusiveMaximum", low + 1))
        if whole:
            first = int(-(-low // 1)) + (schema.get("exclusiveMinimum") == low)
            last = max(int(high // 1) - (schema.get("exclusiveMaximum") == high), first)
            return int(first + (self.seed + nth) % (last - first + 1))
        share = (1 + (self.seed + nth) % 9) / 10
        return float(low + (high - low) * share)

    def _string(self, schema: Mapping[str, Any], name: str, nth: int) -> str:
        low = name.lower()
        theme = self._theme(nth)
        if any(mark in low for mark in ("categor", "factor", "genre", "topic", "label", "name")):
            text = theme.category
        elif any(mark in low for mark in ("phrase", "interest", "keyword", "tag")):
            text = theme.phrase
        elif "title" in low and self.items:
            text = self.items[nth % len(self.items)].title
        else:
            text = self.sentence(nth)
        shortest, longest = schema.get("minLength", 0), schema.get("maxLength")
        while len(text) < shortest:
            text = f"{text} {theme.phrase}"
        return text[:longest].rstrip() if longest and len(text[:longest].rstrip()) >= shortest else text[:longest]

    def sentence(self, nth: int) -> str:
        """Prose that says what the theme and its items are."""
        theme = self._theme(nth)
        others = ", ".join(other.category for other in self.themes if other is not theme)
        share = f", in {len(theme.items)} of {len(self.items)} works" if len(self.items) > 1 else ""
        return f"Speaks to people who look for {theme.phrase}{share}." + (f" Touches on {others} as well." if others else "")

    def _theme(self, nth: int) -> Theme:
        return self.themes[nth % len(self.themes)]
