"""What a language model is asked, what it answers, and the two interfaces that everything which asks is written against."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from loreweave.errors import LoreweaveError

Vectors = NDArray[np.float32]

Finish = Literal["stop", "length", "refusal", "failed"]
"""How an answer ended: by itself, at its token limit, refused by the model or its provider, or never (`Answer.reason` says why)."""


class LanguageModelError(LoreweaveError):
    """What no single request can be blamed for, so that going on makes no sense: no key, no such model, no server, no quota left."""


@dataclass(frozen=True, slots=True)
class Request:
    """One question. Equal requests have equal hashes, whatever asked them.

    Attributes:
        system: what the model is told to be.
        prompt: the question; texts of catalogues and people in it are delimited data.
        schema: JSON schema that the answer must meet; None asks for plain text.
        max_tokens: of the answer.
        temperature: 0 is the likeliest answer.
    """

    system: str
    prompt: str
    schema: Mapping[str, Any] | None = None
    max_tokens: int = 1000
    temperature: float = 0.0

    def hash(self, model: str) -> str:
        """32 hexadecimal digits (BLAKE2b) of the request put to one model: the key of its answer in the store."""
        fields = {name: getattr(self, name) for name in self.__slots__}
        text = json.dumps([model, fields], sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back.

    Attributes:
        text: as the model wrote it; empty where `finish` is `failed`.
        finish: how it ended.
        reason: one line, where `finish` is not `stop`.
        model: as the server names it, which may be more exact than what was asked for.
        tokens_in, tokens_out: as the server counts them for this answer; 0 where it does not say.
        seconds: from the first attempt to the answer.
        attempts: requests sent, at least 1 unless replayed.
    """

    text: str
    finish: Finish
    model: str
    reason: str | None = None
    tokens_in: int = 0
    tokens_out: int = 0
    seconds: float = 0.0
    attempts: int = 1


class LanguageModel(ABC):
    """Something that answers requests.

    Attributes:
        model: its name, part of every request's hash.
        abilities: of `text`, `hidden`, `gradient`, `decode`.
        context: tokens that a prompt and its answer may have together; None: not known.
        together: answers come all at once, long after the last question, so that nobody asks a little more once they are in.
        longest: seconds after which an answer that has not come is taken for lost by processes of other containers or machines.
    """

    abilities: ClassVar[frozenset[str]] = frozenset({"text"})
    model: str
    context: int | None = None
    together: bool = False
    longest: float = 3600.0

    @abstractmethod
    def generate(self, requests: Iterable[Request]) -> Iterator[tuple[int, Answer]]:
        """Answer requests as they can be answered, in any order: (position of the request, from 0; its answer), one for each.

        Requests are taken from the iterable no further ahead than can be worked on at once, so that whoever gives them can stop
        giving them. A request that fails by itself has an answer of finish `failed`. Closing the iterator abandons what is in flight.

        Raises:
            LanguageModelError: going on makes no sense. What was answered before has been given out.
        """

    def count_tokens(self, text: str) -> int:
        """Tokens of a text. Where the tokenizer is not known an estimate, one for every 3.5 UTF-8 bytes, which leans high for English."""
        return -(-len(text.encode()) * 2 // 7)


@runtime_checkable
class TextEncoder(Protocol):
    """Texts to vectors."""

    @property
    def name(self) -> str:
        """Names encoder and model, for caches and manifests: `lsa-256`, `sentence-transformers/all-MiniLM-L6-v2`."""

    def encode(self, texts: Sequence[str]) -> Vectors:
        """float32 [n, d], rows of unit length; a text of which nothing is known has a zero row."""
