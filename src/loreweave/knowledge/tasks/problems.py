"""What can be wrong with an answer of the right form, as far as it shows without looking anything up.

Every problem is a text `kind:detail`, its kind one of `PROBLEMS`.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from functools import lru_cache
from typing import Any

from pydantic import BaseModel

from loreweave.knowledge.stop_words import STOP_WORDS
from loreweave.knowledge.tasks.base import Subject
from loreweave.knowledge.tasks.escape import one_line
from loreweave.knowledge.tasks.items import UNTITLED
from loreweave.knowledge.tasks.template import words

PROBLEMS = ("empty", "too_long", "duplicate", "evidence", "refusal", "language", "echo", "leak")
"""Kinds of problem. `empty`: says nothing. `too_long`: longer than was asked for. `duplicate`: says one thing twice. `evidence`: rests on
nothing, or on a number that no item had. `refusal`: the model speaks of itself instead of answering. `language`: another script than was
asked for. `echo`: the instructions or a title given back. `leak`: a raw id that was in no prompt."""

FOREIGN_SHARE = 0.2
"""Of the letters of an answer may belong to a script that neither the language asked for nor the titles and texts shown are written in."""
SHORTEST_ID = 5
"""A raw id of fewer characters may be a number or a word that is meant."""
REFUSALS = re.compile(
    r"\bas an? (?:ai|artificial intelligence|(?:large )?language model)\b|\bi(?:['’]m| am) (?:sorry|unable|not able)\b"
    r"|\bi (?:cannot|can['’]?t|can not|do not have (?:enough|access)|don['’]t have (?:enough|access))\b"
    r"|\b(?:unable|impossible|not possible) to (?:determine|infer|say|tell)\b"
)


def found_in(answer: BaseModel, subject: Subject, instructions: Collection[str], language: str) -> list[str]:
    """Problems that any answer may have: empty, refusal, language, echo, leak.

    Args:
        instructions: sentences of the template (`Template.sentences`).
        language: that was asked for, as it calls itself.
    """
    texts = list(texts_in(answer.model_dump()))
    data = [line for value in subject.fields.values() if isinstance(value, str) for line in value.split("\n")]
    everything, told = "\n".join(text for _, text in texts), "\n".join(data).casefold()
    problems = [f"empty:{place}" for place, text in texts if not one_line(text)]
    problems += [f"refusal:{match}" for match in _refusals(everything) if match not in told]
    named = [title for line in data if (title := title_of(line))]
    # Names of fields and orders in words are the template's, in whatever language that is; they say nothing about the answer's.
    texts_shown = (str(subject.fields.get("text", "")), *(title for title in named if title != UNTITLED))
    problems += _foreign(everything, language, "\n".join(texts_shown))
    wording = " ".join(words(everything))
    problems += [f"echo:the instruction {sentence[:60]!r}" for sentence in sorted(instructions) if f" {sentence} " in f" {wording} "]
    titles = {_telling(title) for title in named}
    in_titles = frozenset[str]().union(*titles)
    problems += [
        f"echo:{place} is a title" for place, text in texts if _may_be(_telling(text), in_titles) and _same(_telling(text), titles)
    ]
    hidden = [("user", subject.user), ("item", subject.item), *(("item", item) for item in subject.shown)]
    leaked = {kind for kind, raw in hidden if raw is not None and _occurs(raw, everything) and raw.casefold() not in told}
    return problems + [f"leak:the raw id of {'a user' if kind == 'user' else 'an item'}" for kind in sorted(leaked)]


def evidence_problems(place: str, evidence: Sequence[int], n_shown: int) -> list[str]:
    """Numbers that no item had, and an answer that rests on none."""
    wrong = [f"evidence:{place} rests on {str(number)[:20]}, which was not shown" for number in evidence if not 1 <= number <= n_shown]
    return wrong if evidence else [f"evidence:{place} rests on no item"]


def duplicate_problems(phrases: Sequence[str]) -> list[str]:
    """Phrases that occur more than once, letter case and white space aside."""
    counts = Counter(one_line(phrase).casefold() for phrase in phrases)
    return [f"duplicate:{phrase!r} {count} times" for phrase, count in counts.items() if count > 1]


def factor_problems(factors: Sequence[str], asked: int) -> list[str]:
    """Of an answer by factors: none, more than were asked for, one of them twice."""
    problems = duplicate_problems(factors)
    if not factors:
        problems.append("empty:no factors")
    if len(factors) > asked:
        problems.append(f"too_long:{len(factors)} factors, {asked} were asked for")
    return problems


def length_problems(place: str, text: str, asked: int) -> list[str]:
    """A text of more than one and a half times as many words as were asked for."""
    count = len(words(text))
    return [f"too_long:{place} has {count} words, {asked} were asked for"] if 2 * count > 3 * asked else []


def texts_in(value: Any, place: str = "") -> Iterator[tuple[str, str]]:
    """Every text in a dumped answer with its place, lists counted from 1: `interests.1.phrase`."""
    if isinstance(value, str):
        yield place, value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from texts_in(inner, f"{place}.{key}" if place else str(key))
    elif isinstance(value, list | tuple):
        for number, inner in enumerate(value, 1):
            yield from texts_in(inner, f"{place}.{number}")


@lru_cache(maxsize=65_536)
def title_of(line: str) -> str:
    """The title in a numbered line of a prompt, without number and attributes; empty where it is no such line."""
    match = re.match(r"\[\d+\] (.*?)(?: \| |$)", line)
    return match[1] if match else ""


def _refusals(text: str) -> list[str]:
    return sorted(set(REFUSALS.findall(one_line(text).casefold())))


def _foreign(text: str, language: str, shown: str) -> list[str]:
    scripts = Counter(script for script in map(_script, text) if script)
    total = sum(scripts.values())
    expected = {_script(character) for character in set(language + shown)}
    foreign = {script: count for script, count in scripts.items() if script not in expected}
    if not total or sum(foreign.values()) <= FOREIGN_SHARE * total:
        return []
    main = max(foreign, key=lambda script: foreign[script])
    return [f"language:{sum(foreign.values())} of {total} letters are {main.lower()}, asked for {language}"]


@lru_cache(maxsize=20_000)
def _script(character: str) -> str:
    """The script of a letter by the first word of its Unicode name (`LATIN`); what Japanese mixes counts as one. Empty: no letter."""
    if not character.isalpha():
        return ""
    first = unicodedata.name(character, "").split(" ")[0]
    return "CJK" if first in ("HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA", "HALFWIDTH", "IDEOGRAPHIC") else first


@lru_cache(maxsize=65_536)
def _telling(text: str) -> frozenset[str]:
    return frozenset(word for word in words(text) if word not in STOP_WORDS and not word.isdigit() and len(word) > 1)


def _may_be(said: frozenset[str], in_titles: frozenset[str]) -> bool:
    """Whether more than half of the telling words of a text are of any title: else it is none of them. Sooner told than `_same`."""
    return 2 * len(said & in_titles) > len(said)


def _same(said: frozenset[str], titles: Collection[frozenset[str]]) -> bool:
    """More than half of the telling words of a text are one title's, and more than half of that title's are in the text: a phrase may
    name a series (`Star Wars films`) and a description its subject, but neither may be a title given back."""
    return any(2 * len(said & title) > len(said) and 2 * len(said & title) > len(title) for title in titles)


def _occurs(raw: str, text: str) -> bool:
    return len(raw) >= SHORTEST_ID and raw in text and re.search(rf"(?<!\w){re.escape(raw)}(?!\w)", text) is not None
