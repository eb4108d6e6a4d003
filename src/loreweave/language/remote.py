"""Any OpenAI-compatible server, asked request by request: many in flight, within limits, tried again where that may help."""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Iterable

from pydantic import Field

from loreweave.errors import require
from loreweave.language._asking import Asking
from loreweave.language._chat import Dialect
from loreweave.language._flight import Flight
from loreweave.language._tokens import count_tokens
from loreweave.language.base import Answer, LanguageModel, Request
from loreweave.language.limits import RateLimits
from loreweave.language.server import ServerConfig, api_key, check_url, connect


class RemoteConfig(ServerConfig):
    """How a server is asked, request by request."""

    concurrency: int = Field(64, ge=1, le=1000)
    """Requests in flight at once. What a hosted service takes; a model on one's own machine is better served by 1 to 8."""
    requests_per_minute: float | None = Field(None, gt=0)
    """Started at an even pace, attempts counted; None: no limit but the server's own."""
    tokens_per_minute: float | None = Field(None, gt=0)
    """Of prompts and of the most that answers may have, estimated before they are sent, as OpenAI counts them; None: no limit."""
    max_attempts: int = Field(8, ge=1)
    """At one request. With the pauses of `backoff` 8 attempts last over a minute, so that a limit by the minute is outlasted."""
    backoff: float = Field(0.5, gt=0)
    """Seconds before the second attempt, doubled before each further one up to 60, plus a random part of it; `Retry-After` goes first."""


class Remote(LanguageModel):
    """A model on an OpenAI-compatible server (`/chat/completions`): hosted, vLLM, llama.cpp, Ollama.

    The key is read from the environment (`LOREWEAVE_LM_KEY`, else `OPENAI_API_KEY`) and goes nowhere but to the server; a server on this
    machine needs none.

    Raises:
        ConfigError: a URL that is none, or that holds a secret.
        LanguageModelError: no key.
        MissingExtra: the extra `lm` is not installed.
    """

    def __init__(self, config: RemoteConfig) -> None:
        require("openai", "lm")
        require("tenacity", "lm")
        self.config = config
        self.model = config.model
        self.context = config.context
        self._url = check_url(config.base_url)
        self._key = api_key(self._url)
        self._limits = RateLimits(config.requests_per_minute, config.tokens_per_minute)
        self._dialect = Dialect(config.model, config.structured)

    def __repr__(self) -> str:
        return f"Remote({self._url!r}, {self.model!r})"

    @property
    def notes(self) -> tuple[str, ...]:
        """What the server would not take and was asked for otherwise, one line each."""
        return tuple(self._dialect.notes)

    def count_tokens(self, text: str) -> int:
        """Tokens of a text: exact where tiktoken knows the model and its vocabulary is already on this machine, else the estimate."""
        exact = count_tokens(self.model, text)
        return super().count_tokens(text) if exact is None else exact

    def generate(self, requests: Iterable[Request]) -> Generator[tuple[int, Answer]]:
        """As `LanguageModel.generate`: at most `concurrency` requests in flight, a quarter as many more taken ahead.

        Requests are taken and answers given in the calling thread; the talking is done in another. Where going on makes no sense, what
        is in flight is waited for and given out, since it is paid for; then the error is raised.
        """
        stop = asyncio.Event()
        client = connect(self._url, self._key, self.config.timeout, asynchronous=True)
        asking = Asking(
            client=client,
            server=self._url,
            key=self._key,
            dialect=self._dialect,
            limits=self._limits,
            timeout=self.config.timeout,
            attempts=self.config.max_attempts,
            backoff=self.config.backoff,
            stop=stop,
        )

        async def ask(request: Request) -> Answer:
            return await asking.ask(request, self._tokens(request))

        flight = Flight(ask, stop, client, self.config.concurrency)
        try:
            yield from flight.answers(requests)
        finally:
            flight.close()

    def _tokens(self, request: Request) -> int:
        """What a request counts for in the limits."""
        if not self._limits.count_tokens:
            return 0
        return self.count_tokens(request.system) + self.count_tokens(request.prompt) + request.max_tokens
