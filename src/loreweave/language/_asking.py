"""One run's conversation with a server: a request sent, tried again where that may help, and what became of it.

The SDK's `chat.completions.create` costs 1.9 ms of CPU a request (openai 3.52 on a 2-core machine: it walks the parameters by their types
and builds a pydantic model of the answer), nearly all that a request may cost here. Its low-level `post`, which it documents for end
points that it does not know, costs 1.0 ms: so the body is built here, and the JSON of the answer read here.
"""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass, replace
from typing import Any

from loreweave.errors import require
from loreweave.language._chat import Broken, Dialect, read_answer
from loreweave.language._faults import GiveUp, Retry, of_connection, of_status, shown, told
from loreweave.language._flight import Stopped
from loreweave.language.base import Answer, LanguageModelError, Request
from loreweave.language.limits import RateLimits

UNREACHABLE_ATTEMPTS = 3
"""Attempts to connect while the server has not been heard of: whoever mistyped its URL should not wait a minute to learn it."""
LONGEST_PAUSE = 60.0
"""Seconds between two attempts, unless the server asks for more: the window of most rate limits."""


@dataclass(slots=True)
class _Sent:
    """What was sent for one request so far."""

    attempts: int = 0
    first: float = 0.0
    """When (monotonic seconds); waiting for one's turn under the limits is not part of the answer's time."""


@dataclass(slots=True)
class Asking:
    """
    Attributes:
        client: `openai.AsyncOpenAI`.
        server: its URL, for messages.
        key: kept out of whatever the server says.
        dialect: shared by all runs with one model, as are the limits.
        timeout: seconds, of one attempt.
        attempts: the most at one request.
        backoff: seconds before the second attempt.
        stop: set when the run is to end: nothing more is sent.
        heard: when the server last answered anything (monotonic seconds).
    """

    client: Any
    server: str
    key: str | None
    dialect: Dialect
    limits: RateLimits
    timeout: float
    attempts: int
    backoff: float
    stop: asyncio.Event
    heard: float = -1.0

    async def ask(self, request: Request, tokens: int) -> Answer:
        """One request to its end; `tokens` are what it counts for in the limits.

        Raises:
            LanguageModelError: going on makes no sense.
            Stopped: another request found that.
        """
        tenacity: Any = require("tenacity", "lm")
        sent = _Sent()
        exponential = tenacity.wait_exponential(multiplier=self.backoff, max=LONGEST_PAUSE)
        jitter = tenacity.wait_random(0, self.backoff)

        def wait(state: Any) -> float:
            after = state.outcome.exception().after
            return float(max(exponential(state), after or 0.0) + jitter(state))

        def enough(state: Any) -> bool:
            unheard = state.outcome.exception().unreachable and self.heard < sent.first
            return bool(state.attempt_number >= (min(self.attempts, UNREACHABLE_ATTEMPTS) if unheard else self.attempts))

        retrying = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception_type(Retry), stop=enough, wait=wait, sleep=self._pause, reraise=True
        )
        try:
            answer: Answer = await retrying(self._attempt, request, tokens, sent)
        except Retry as fault:
            if fault.unreachable and self.heard < sent.first:  # nobody heard of it all the while: it is not this request's fault
                raise LanguageModelError(f"{self.server}: no server there ({fault.reason}); start it, or correct the URL") from None
            answer = Answer("", "failed", self.dialect.model, f"{fault.reason}; {sent.attempts} attempts")
        except GiveUp as fault:
            answer = Answer("", "refusal" if fault.refusal else "failed", self.dialect.model, fault.reason)
        return replace(answer, seconds=time.monotonic() - sent.first, attempts=sent.attempts)

    async def _pause(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self.stop.wait(), seconds)
        except TimeoutError:
            return
        raise Stopped

    async def _attempt(self, request: Request, tokens: int, sent: _Sent) -> Answer:
        """Send a request, again at once where the server is to be spoken to in another way."""
        openai: Any = require("openai", "lm")
        while True:
            wait = self.limits.reserve(tokens)
            if wait > 0:
                await self._pause(wait)
            if self.stop.is_set():
                raise Stopped
            body = self.dialect.body(request)
            sent.attempts += 1
            sent.first = sent.first or time.monotonic()
            try:
                async with asyncio.timeout(self.timeout):  # the SDK's own is between two bytes: a slow drip would never end it
                    text = await self.client.post("/chat/completions", body=body, cast_to=str)
            except openai.APIStatusError as error:
                self.heard = time.monotonic()
                if self.dialect.adapt(body, error.status_code, *told(error.body, self.key)):
                    continue
                raise self._status(error.status_code, error.body, error.response.headers) from None
            except (TimeoutError, openai.APIConnectionError) as error:
                raise of_connection(error, self.timeout, self.key) from None
            except UnicodeEncodeError:
                raise GiveUp("the request holds half a character (a lone surrogate), which cannot be sent") from None
            self.heard = time.monotonic()
            return self._read(text, request)

    def _read(self, text: str, request: Request) -> Answer:
        try:
            payload = json.loads(text)
        except (ValueError, RecursionError):
            raise Retry(f"the body is not JSON ({shown(text, self.key)[:60]!r})") from None
        if isinstance(payload, dict) and payload.get("error") and not payload.get("choices"):  # as some gateways say it: with a 200
            error = payload["error"]
            code = error.get("code") if isinstance(error, dict) else None
            raise self._status(code if isinstance(code, int) and 400 <= code < 600 else 500, error, {})
        try:
            return read_answer(payload, request, self.dialect.model)
        except Broken as error:
            raise Retry(str(error)) from None

    def _status(self, status: int, error: Any, headers: Any) -> Exception:
        return of_status(status, error, headers, server=self.server, model=self.dialect.model, key=self.key)
