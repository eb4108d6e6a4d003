"""Progress on standard error: a bar with rate and time left on a terminal, a line now and then in a pipe; nothing on standard output."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sized
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from rich.progress import Progress

T = TypeVar("T")

SILENT_SECONDS = 2.0
"""What is over sooner than this shows nothing."""
LINE_SECONDS = 5.0
"""Between two lines of one loop where standard error is no terminal."""

_lock = threading.RLock()
_bars: Progress | None = None
_open = 0


def track(iterable: Iterable[T], description: str, total: int | None = None, *, status: Callable[[], str] | None = None) -> Iterator[T]:
    """The values of `iterable`, with progress shown while they are worked on. Loops may be nested: each has its bar.

    Args:
        iterable: what to walk.
        description: a word or two, for example `epochs`.
        total: how many values there will be, where `iterable` has no length.
        status: what else to say beside the rate (money spent, failures).
    """
    if total is None and isinstance(iterable, Sized):
        total = len(iterable)
    shown = _with_bar if sys.stderr.isatty() else _with_lines
    return shown(iterable, description, total, status or (lambda: ""))


def _with_lines(iterable: Iterable[T], description: str, total: int | None, status: Callable[[], str]) -> Iterator[T]:
    started = time.monotonic()
    due, done, reported = started + max(SILENT_SECONDS, LINE_SECONDS), 0, -1

    def line() -> None:
        elapsed = time.monotonic() - started
        rate = done / max(elapsed, 1e-9)
        of = "" if total is None else f"/{total}"
        left = "" if total is None or not done or done >= total else f", {(total - done) / rate:.0f} s left"
        more = f", {status()}" if status() else ""
        print(f"{description}: {done}{of}, {elapsed:.0f} s, {_rate(rate)}{left}{more}", file=sys.stderr, flush=True)

    for value in iterable:
        yield value
        done += 1
        if time.monotonic() >= due:
            line()
            due, reported = time.monotonic() + LINE_SECONDS, done
    if reported != done and time.monotonic() - started >= SILENT_SECONDS:
        line()


def _with_bar(iterable: Iterable[T], description: str, total: int | None, status: Callable[[], str]) -> Iterator[T]:
    global _bars, _open
    with _lock:
        if _bars is None:
            _bars = _new_bars()
        bars = _bars
        _open += 1
        task = bars.add_task(description, total=total, visible=False)

    def show() -> None:
        with _lock:
            if _bars is bars and task in bars.task_ids:
                bars.update(task, visible=True)
                bars.start()

    timer = threading.Timer(SILENT_SECONDS, show)  # a loop whose first value takes minutes shows its bar all the same
    timer.daemon = True
    timer.start()
    try:
        for value in iterable:
            yield value
            bars.update(task, advance=1, description=f"{description} {status()}".rstrip())
    finally:
        timer.cancel()
        with _lock:
            bars.remove_task(task)
            _open -= 1
            if _open == 0:
                bars.stop()
                _bars = None


def _new_bars() -> Progress:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        Task,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text(_rate(task.speed) if task.speed else "", style="progress.data.speed")

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), Rate(), TimeElapsedColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True), transient=True, redirect_stdout=False)


def _rate(rate: float) -> str:
    return f"{rate:,.0f}/s" if rate >= 10 else f"{rate:.2g}/s" if rate >= 1 else f"{1 / max(rate, 1e-9):.1f} s each"
