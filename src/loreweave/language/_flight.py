"""Requests in flight: an event loop in a thread of its own behind a plain iterator."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import AbstractAsyncContextManager

from loreweave.language.base import Answer, LanguageModelError, Request

CLOSING_SECONDS = 10.0
"""To wait for the thread at the end; cancelling what is in flight takes milliseconds."""
LISTENING_SECONDS = 0.25
"""Between two moments at which the calling thread, waiting for an answer, hears an interrupt that another thread was given."""


class Stopped(Exception):
    """Raised by what is asked once the run stops: this request was not answered, through no fault of its own."""


class Flight:
    """One run through an iterable of requests.

    Args:
        ask: answers one request; it may raise `Stopped`, or LanguageModelError to end the run.
        stop: set at the first LanguageModelError, for `ask` to look at before it sends anything more.
        session: entered in the loop before the first request and left after the last: the client's connections.
        concurrency: requests asked at once.
    """

    def __init__(
        self,
        ask: Callable[[Request], Awaitable[Answer]],
        stop: asyncio.Event,
        session: AbstractAsyncContextManager[object],
        concurrency: int,
    ) -> None:
        self._ask, self._stop, self._session, self._concurrency = ask, stop, session, concurrency
        # What waits in the loop, so that a slot that falls free does not wait for the calling thread.
        self._most = concurrency + max(1, concurrency // 4)
        self._done: queue.SimpleQueue[tuple[int, Answer | Exception]] = queue.SimpleQueue()
        self._tasks: set[asyncio.Task[None]] = set()
        self._ready = threading.Event()
        self._broken: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="loreweave-language", daemon=True)

    def answers(self, requests: Iterable[Request]) -> Iterator[tuple[int, Answer]]:
        """(position, answer) as they come; at most `concurrency` answers wait to be taken, so that memory does not grow with the run."""
        self._thread.start()
        self._ready.wait()
        if self._broken is not None:
            raise self._broken
        waiting = enumerate(requests)
        exhausted, outstanding = False, 0
        stopped: LanguageModelError | None = None
        while True:
            while not exhausted and stopped is None and self._wants_more(outstanding):
                item = next(waiting, None)
                if item is None:
                    exhausted = True
                else:
                    outstanding += 1
                    self._loop.call_soon_threadsafe(self._begin, *item)
            if not outstanding:
                break
            try:
                position, outcome = self._done.get(timeout=LISTENING_SECONDS)
            except queue.Empty:
                continue
            outstanding -= 1
            if isinstance(outcome, Answer):
                yield position, outcome
            elif isinstance(outcome, LanguageModelError):
                stopped = stopped or outcome
            elif not isinstance(outcome, Stopped):
                raise outcome
        if stopped is not None:
            raise stopped

    def close(self) -> None:
        """Abandon what is in flight and end the thread."""
        if self._thread.is_alive() and self._ready.wait(CLOSING_SECONDS):
            self._loop.call_soon_threadsafe(self._over.set)
            self._thread.join(CLOSING_SECONDS)

    def _wants_more(self, outstanding: int) -> bool:
        finished = self._done.qsize()
        return outstanding - finished < self._most and finished < self._concurrency

    def _run(self) -> None:
        try:
            asyncio.run(self._main())
        except Exception as error:  # no loop, for example for want of file handles
            self._broken = error
        finally:
            self._ready.set()

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._over = asyncio.Event()
        self._slots = asyncio.Semaphore(self._concurrency)
        async with self._session:
            self._ready.set()
            await self._over.wait()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _begin(self, position: int, request: Request) -> None:
        task = self._loop.create_task(self._one(position, request))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _one(self, position: int, request: Request) -> None:
        async with self._slots:
            try:
                outcome: Answer | Exception = Stopped() if self._stop.is_set() else await self._ask(request)
            except Exception as error:
                outcome = error
                if isinstance(error, LanguageModelError):
                    self._stop.set()
        self._done.put((position, outcome))
