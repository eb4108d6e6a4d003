"""What the test server is set to do, and what it remembers: counts, faults to come, files and batches."""

from __future__ import annotations

import hashlib
import json
import threading
from collections import Counter
from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field

from loreweave.config import Config

Fault = Literal["429", "500", "malformed", "truncated", "reset", "invalid", "refusal", "drip"]
FAULTS: tuple[Fault, ...] = ("429", "500", "malformed", "truncated", "reset", "invalid", "refusal", "drip")


class LmServerConfig(Config):
    """What the test server does."""

    latency: float = Field(0.0, ge=0)
    """Seconds before an answer."""
    rate_429: float = Field(0.0, ge=0, le=1)
    """Share of requests refused with 429."""
    rate_500: float = Field(0.0, ge=0, le=1)
    """Share of requests met with 500."""
    rate_malformed: float = Field(0.0, ge=0, le=1)
    """Share of bodies that are cut JSON in a complete HTTP answer."""
    rate_truncated: float = Field(0.0, ge=0, le=1)
    """Share of bodies, or streams, that break off with the connection."""
    rate_reset: float = Field(0.0, ge=0, le=1)
    """Share of requests whose connection is closed without an answer."""
    rate_invalid: float = Field(0.0, ge=0, le=1)
    """Share of answers that are not of the schema that was asked for."""
    rate_refusal: float = Field(0.0, ge=0, le=1)
    """Share of requests that the "model" refuses."""
    rate_drip: float = Field(0.0, ge=0, le=1)
    """Share of bodies sent in small pieces over `drip` seconds."""
    drip: float = Field(1.0, ge=0)
    """Seconds that a dripping body takes."""
    retry_after: str = "0.5"
    """`Retry-After` of a 429: seconds, or `date+N` for a date N seconds ahead; empty: none."""
    model: str | None = None
    """The only model there is; others are not found (404). Without it any name will do."""
    key_env: str | None = None
    """Environment variable that holds the key to ask for (401 without it)."""
    context: int | None = Field(None, gt=0)
    """Tokens of a prompt and its answer, estimated; longer ones are refused as OpenAI does."""
    quota: int | None = Field(None, ge=0)
    """Answers until the quota is exhausted (429, insufficient_quota)."""
    no_schema: bool = False
    """Refuse `response_format` of type json_schema."""
    no_json: bool = False
    """Refuse `response_format` of type json_object, too."""
    batch_seconds: float = Field(0.0, ge=0)
    """From the creation of a batch to its end."""
    seed: int = 1
    """Of the faults."""


class State:
    """The server's memory. Prompts are kept as hashes.

    Attributes:
        files: id → content.
        batches: id → the object that the API shows.
    """

    def __init__(self, config: LmServerConfig) -> None:
        self.config = config
        self.files: dict[str, bytes] = {}
        self.batches: dict[str, dict[str, Any]] = {}
        self.answered = 0
        self._lock = threading.Lock()
        self._requests: Counter[str] = Counter()
        self._finished: Counter[str] = Counter()
        self._faults: Counter[str] = Counter()
        self._status: Counter[int] = Counter()
        self._asked_again = 0
        self._texts_encoded = 0

    def arrived(self, prompt: str) -> int:
        """Count a request; its number among those with this prompt (a hash), from 1."""
        with self._lock:
            self._requests[prompt] += 1
            self._asked_again += self._finished[prompt] > 0
            return self._requests[prompt]

    def left(self, prompt: str, status: int, *, finished: bool) -> None:
        """Count what became of it; `finished`: a whole, valid answer was sent."""
        with self._lock:
            self._status[status] += 1
            self._finished[prompt] += finished
            self.answered += finished

    def encoded(self, count: int) -> None:
        """Count texts turned to vectors."""
        with self._lock:
            self._texts_encoded += count

    def fault(self, prompt: str, attempt: int) -> Fault | None:
        """What goes wrong with an attempt at a prompt, if anything."""
        digest = hashlib.blake2b(f"{self.config.seed} {prompt} {attempt}".encode(), digest_size=8).digest()
        left = int.from_bytes(digest) / 2**64
        for fault in FAULTS:
            left -= getattr(self.config, f"rate_{fault}")
            if left < 0:
                with self._lock:
                    self._faults[fault] += 1
                return fault
        return None

    def stats(self) -> dict[str, Any]:
        """`requests`; `prompts`: distinct ones; `answered`: whole valid answers; `asked_again`: requests for what had been answered before;
        `status` and `faults`: counts; `finished`: hash of prompt → whole valid answers; `texts_encoded`; `batches`."""
        with self._lock:
            return {
                "requests": self._requests.total(),
                "prompts": len(self._requests),
                "answered": self.answered,
                "asked_again": self._asked_again,
                "status": {str(status): count for status, count in sorted(self._status.items())},
                "faults": dict(sorted(self._faults.items())),
                "finished": {prompt: count for prompt, count in self._finished.items() if count},
                "texts_encoded": self._texts_encoded,
                "batches": len(self.batches),
            }


def prompt_hash(messages: Sequence[Any]) -> str:
    """32 hexadecimal digits of what was asked."""
    return hashlib.blake2b(json.dumps(messages, sort_keys=True).encode(), digest_size=16).hexdigest()
