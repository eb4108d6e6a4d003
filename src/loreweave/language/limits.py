"""Requests and tokens a minute, kept on the client's side, so that a provider's limits are met by waiting and not by being refused."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class Pace:
    """An even pace: what is used at once delays what comes next by as long as the rate says.

    This is the leaky bucket as a meter (ITU-T I.371, generic cell rate algorithm) of depth one request: in any minute, its last moment
    left out, at most `per_minute` units start, and where requests have several units (tokens) at most one request more. Time is read
    from a clock that never goes back; the wall clock does not matter.
    """

    def __init__(self, per_minute: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds_a_unit = 60.0 / per_minute
        self._clock = clock
        self._free = clock()
        self._lock = threading.Lock()  # two runs with one model keep one pace

    def reserve(self, units: float) -> float:
        """Take `units` and return the seconds to wait before they may be used. Whoever reserves first goes first."""
        with self._lock:
            now = self._clock()
            start = max(now, self._free)
            self._free = start + units * self._seconds_a_unit
            return start - now


class RateLimits:
    """Requests and tokens a minute together; None: no limit."""

    def __init__(
        self, requests_per_minute: float | None, tokens_per_minute: float | None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._requests = Pace(requests_per_minute, clock) if requests_per_minute else None
        self._tokens = Pace(tokens_per_minute, clock) if tokens_per_minute else None

    @property
    def count_tokens(self) -> bool:
        """Whether `reserve` needs to be told tokens: counting them costs time."""
        return self._tokens is not None

    def reserve(self, tokens: float = 0) -> float:
        """Take one request of `tokens` tokens and return the seconds to wait before it may be sent."""
        waits = [self._requests.reserve(1) if self._requests else 0.0, self._tokens.reserve(tokens) if self._tokens else 0.0]
        return max(waits)
