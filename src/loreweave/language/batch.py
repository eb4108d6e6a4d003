"""The Batch interface of OpenAI and compatible servers: questions up as one file, answers down within a day, at a lower price.

https://platform.openai.com/docs/guides/batch
"""

from __future__ import annotations

import hashlib
import io
import json
import tempfile
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from pydantic import Field

from loreweave.errors import ConfigError, require
from loreweave.files import alone, read_json, write_json
from loreweave.language._chat import Broken, Dialect, read_answer
from loreweave.language._faults import GiveUp, Retry, of_connection, of_status, shown, told
from loreweave.language._tokens import count_tokens
from loreweave.language.base import Answer, LanguageModel, LanguageModelError, Request
from loreweave.language.server import ServerConfig, api_key, check_url, connect

T = TypeVar("T")

MOST_REQUESTS, MOST_BYTES = 50_000, 200_000_000
"""Of one batch, by OpenAI's documentation."""
STATE_FORMAT = 1
ENDED = ("completed", "failed", "expired", "cancelled")
ATTEMPTS = 8
"""At one call of the interface: with the pauses between them, over a minute."""


class BatchConfig(ServerConfig):
    """How a server is asked by batches. `structured` cannot be learnt from refusals here: `auto` is `schema`."""

    state: Path
    """JSON file that remembers the batch under way, so that a run that was killed goes on with it; one for each run, never shared."""
    poll: float = Field(30.0, gt=0)
    """Seconds between two looks at a batch."""
    max_requests: int = Field(MOST_REQUESTS, ge=1, le=MOST_REQUESTS)
    """Of one batch. The answers of a batch come together, so a smaller one gives something sooner."""
    max_bytes: int = Field(MOST_BYTES, ge=1, le=MOST_BYTES)
    """Of the file of one batch."""


@dataclass(slots=True)
class _Question:
    """A line of a batch and whom its answer is for: equal requests are asked once."""

    line: bytes
    request: Request
    positions: list[int] = field(default_factory=list)


class BatchRemote(LanguageModel):
    """A model asked by the Batch interface, one batch after the other; answers come at the end of each.

    The id of a batch is written to `BatchConfig.state` before anything waits for it, and forgotten once the last of its answers was
    taken and the next asked for. A run that was killed, or interrupted, is given the same requests again (or what is left of them): those
    that the remembered batch holds are answered from it, and only the others are paid for.

    Raises:
        ConfigError: a URL that is none or that holds a secret, or a state file of another server or model.
        LanguageModelError: no key.
        MissingExtra: the extra `lm` is not installed.
        SavedError: the state file is damaged.
    """

    together = True
    longest = 25 * 3600.0

    def __init__(self, config: BatchConfig) -> None:
        require("openai", "lm")
        require("tenacity", "lm")
        self.config = config
        self.model = config.model
        self.context = config.context
        self._notes: list[str] = []
        self._url = check_url(config.base_url)
        self._key = api_key(self._url)
        self._dialect = Dialect(config.model, "schema" if config.structured == "auto" else config.structured)
        self._read_state()

    def __repr__(self) -> str:
        return f"BatchRemote({self._url!r}, {self.model!r}, {str(self.config.state)!r})"

    @property
    def notes(self) -> tuple[str, ...]:
        """What was found and not wanted, one line each."""
        return tuple(self._notes)

    def count_tokens(self, text: str) -> int:
        """As `Remote.count_tokens`."""
        exact = count_tokens(self.model, text)
        return super().count_tokens(text) if exact is None else exact

    def generate(self, requests: Iterable[Request]) -> Generator[tuple[int, Answer]]:
        """As `LanguageModel.generate`; requests are taken a whole batch ahead. Closing the iterator leaves the batch to run.

        Raises:
            SavedError: another process works with the same state file.
        """
        client = connect(self._url, self._key, self.config.timeout, asynchronous=False)
        with client, alone(self.config.state):
            for questions in self._parts(enumerate(requests)):
                remembered = self._remembered(client)
                if remembered is not None:
                    yield from self._answers(client, remembered, questions)
                    self._write_state(None)
                if questions:
                    batch = self._begin(client, b"".join(question.line for question in questions.values()))
                    yield from self._answers(client, batch, questions)
                    yield from self._unanswered(questions)
                    self._write_state(None)

    def _parts(self, requests: Iterator[tuple[int, Request]]) -> Iterator[dict[str, _Question]]:
        """Requests by their hash, as many as go into one batch."""
        part: dict[str, _Question] = {}
        size = 0
        for position, request in requests:
            name = request.hash(self.model)
            if name not in part:
                asked = {"custom_id": name, "method": "POST", "url": "/v1/chat/completions", "body": self._dialect.body(request)}
                line = json.dumps(asked, ensure_ascii=False).encode() + b"\n"
                if part and (len(part) == self.config.max_requests or size + len(line) > self.config.max_bytes):
                    yield part
                    part, size = {}, 0
                part[name] = _Question(line, request)
                size += len(line)
            part[name].positions.append(position)
        if part:
            yield part

    def _begin(self, client: Any, content: bytes) -> str:
        """Upload a file and have it worked on: the id of the batch. The intention is on disk before, the id right after."""
        name = hashlib.blake2b(content, digest_size=16).hexdigest()
        self._write_state({"name": name, "id": None})
        upload = self._call(lambda: client.files.create(file=("requests.jsonl", io.BytesIO(content)), purpose="batch"), "Batch interface")
        tries = 0

        def create() -> Any:
            nonlocal tries
            tries += 1
            found = self._find(client, name) if tries > 1 else None  # the call that broke off may have come through
            return found or client.batches.create(
                input_file_id=upload.id, endpoint="/v1/chat/completions", completion_window="24h", metadata={"loreweave": name}
            )

        batch = self._call(create, "Batch interface")
        self._write_state({"name": name, "id": batch.id})
        return str(batch.id)

    def _remembered(self, client: Any) -> str | None:
        """The id of the batch that an earlier run began; None where there is none."""
        state = self._read_state()
        if state is None or state["id"] is not None:
            return None if state is None else str(state["id"])
        found = self._call(lambda: self._find(client, state["name"]), "Batch interface")
        return None if found is None else str(found.id)

    @staticmethod
    def _find(client: Any, name: str) -> Any:
        """The batch that carries a name, among the latest hundred."""
        page = client.batches.list(limit=100)
        return next((batch for batch in page.data if (batch.metadata or {}).get("loreweave") == name and batch.status != "failed"), None)

    def _answers(self, client: Any, batch_id: str, questions: dict[str, _Question]) -> Iterator[tuple[int, Answer]]:
        """Wait for a batch and give out its answers to `questions`, taking those away that have theirs."""
        started = time.monotonic()
        batch = self._call(lambda: client.batches.retrieve(batch_id), f"batch {batch_id}")
        while batch.status not in ENDED:
            time.sleep(self.config.poll)
            batch = self._call(lambda: client.batches.retrieve(batch_id), f"batch {batch_id}")
        if batch.status == "failed":
            self._write_state(None)
            problems = batch.errors.data if batch.errors and batch.errors.data else []
            said = shown(problems[0].message, self._key) if problems else "it does not say why"
            raise LanguageModelError(f"{self._url}: the batch {batch_id} was not accepted ({said}); correct that and run the same again")
        strange = 0
        with tempfile.TemporaryDirectory() as folder:
            for file_id in (batch.output_file_id, batch.error_file_id):
                if not file_id:
                    continue
                path = Path(folder) / "answers.jsonl"
                self._call(lambda name=file_id, to=path: _download(client, name, to), f"file {file_id}")  # type: ignore[misc]
                with path.open("rb") as lines:
                    for line in lines:
                        name, answer = self._read(line, questions)
                        strange += answer is None
                        if answer is not None:
                            answer = replace(answer, seconds=time.monotonic() - started)
                            for position in questions.pop(name).positions:
                                yield position, answer
        if strange:
            self._notes.append(f"batch {batch_id}: {strange:,} answers to questions that were not asked again")

    def _read(self, line: bytes, questions: dict[str, _Question]) -> tuple[str, Answer | None]:
        """(name, answer) of one line; None where nobody waits for it."""
        try:
            row = json.loads(line)
            name, response, error = row["custom_id"], row.get("response") or {}, row.get("error")
            status, body = response.get("status_code", 0), response.get("body")
        except (ValueError, KeyError, TypeError, AttributeError):
            return "", None
        if name not in questions:
            return name, None
        if error or status != 200:
            return name, self._failed(f"{status or 'no answer'} from the batch ({told(error or body, self._key)[0]})")
        try:
            return name, read_answer(body, questions[name].request, self.model)
        except Broken as broken:
            return name, self._failed(str(broken))

    def _unanswered(self, questions: dict[str, _Question]) -> Iterator[tuple[int, Answer]]:
        for question in questions.values():
            for position in question.positions:
                yield position, self._failed("the batch ended without an answer to this request")

    def _failed(self, reason: str) -> Answer:
        return Answer("", "failed", self.model, reason)

    def _call(self, call: Callable[[], T], what: str) -> T:
        """A call of the interface, tried again where that may help.

        Raises:
            LanguageModelError: it fails for good.
        """
        openai: Any = require("openai", "lm")
        tenacity: Any = require("tenacity", "lm")

        def once() -> T:
            try:
                return call()
            except openai.APIStatusError as error:
                if error.status_code == 404:
                    raise LanguageModelError(
                        f"{self._url}: no {what} there (404); if it is gone for good, remove {self.config.state} to begin anew"
                    ) from None
                status, headers = error.status_code, error.response.headers
                raise of_status(status, error.body, headers, server=self._url, model=self.model, key=self._key) from None
            except openai.APIConnectionError as error:
                raise of_connection(error, self.config.timeout, self._key) from None

        pause = tenacity.wait_exponential(multiplier=0.5, max=60) + tenacity.wait_random(0, 0.5)
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(Retry),
            stop=tenacity.stop_after_attempt(ATTEMPTS),
            wait=lambda state: max(pause(state), state.outcome.exception().after or 0.0),
            reraise=True,
        )
        try:
            return retrying(once)  # type: ignore[no-any-return]
        except (Retry, GiveUp) as fault:
            raise LanguageModelError(f"{self._url}: {what}: {fault.reason}; run the same again to go on") from None

    def _read_state(self) -> dict[str, Any] | None:
        path = self.config.state
        if not path.exists():
            return None
        state = read_json(path)
        if not isinstance(state, dict) or state.get("format") != STATE_FORMAT:
            raise ConfigError(f"{path}: not the state of a batch run of this version; name another file, or remove it")
        if (state.get("server"), state.get("model")) != (self._url, self.model):
            raise ConfigError(f"{path}: belongs to a run with {state.get('model')!r} at {state.get('server')!r}; name another file")
        batch: dict[str, Any] | None = state.get("batch")
        return batch

    def _write_state(self, batch: dict[str, Any] | None) -> None:
        if batch is None:
            self.config.state.unlink(missing_ok=True)
            return
        write_json(self.config.state, {"format": STATE_FORMAT, "server": self._url, "model": self.model, "batch": batch})


def _download(client: Any, file_id: str, path: Path) -> None:
    openai: Any = require("openai", "lm")
    try:
        with client.files.with_streaming_response.content(file_id) as response:
            response.stream_to_file(path)
    except (openai.OpenAIError, OSError):
        raise
    except Exception as error:  # what breaks a stream comes through the SDK as its transport raised it, httpx or httpx2
        if type(error).__module__.startswith("http"):
            raise Retry(f"connection broken: {shown(error)}") from None
        raise
