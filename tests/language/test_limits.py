"""Limits by the minute, on a clock that the test turns."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loreweave.language.limits import Pace, RateLimits


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_what_is_used_at_once_delays_what_comes_next() -> None:
    clock = Clock()
    pace = Pace(60, clock)
    assert [pace.reserve(1) for _ in range(3)] == [0, 1, 2]
    clock.now += 10  # long idle earns no burst
    assert [pace.reserve(1) for _ in range(3)] == [0, 1, 2]


def test_a_large_request_delays_the_next_and_not_itself() -> None:
    pace = Pace(6000, Clock())
    assert pace.reserve(500) == 0
    assert pace.reserve(1) == pytest.approx(5.0)


@given(
    per_minute=st.integers(1, 500),
    gaps=st.lists(st.floats(0, 30), min_size=1, max_size=200),
)
def test_no_minute_holds_more_requests_than_the_limit(per_minute: int, gaps: list[float]) -> None:
    clock = Clock()
    pace = Pace(per_minute, clock)
    starts = []
    for gap in gaps:
        clock.now += gap
        starts.append(clock.now + pace.reserve(1))
    assert starts == sorted(starts)
    for first in starts:
        assert sum(first <= start < first + 60 - 1e-6 for start in starts) <= per_minute


def test_the_stricter_of_two_limits_decides() -> None:
    limits = RateLimits(60, 600, Clock())
    assert limits.count_tokens
    assert limits.reserve(100) == 0
    assert limits.reserve(1) == pytest.approx(10)  # 100 tokens at 10 a second, not 1 s for one request


def test_no_limit_never_waits() -> None:
    limits = RateLimits(None, None)
    assert not limits.count_tokens
    assert [limits.reserve(1e9) for _ in range(5)] == [0] * 5
