"""Progress never touches standard output, and passes every value through in order."""

from __future__ import annotations

import pytest

from loreweave import progress
from loreweave.progress import track


def test_values_pass_through_and_a_short_loop_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(track(iter("abc"), "letters")) == ["a", "b", "c"]
    assert capsys.readouterr() == ("", "")


def test_a_long_loop_logs_lines_to_standard_error(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 4.0, 6.0, 6.0, 8.0, 9.0, 9.0])  # start, after 1, after 2 (due), its line, next due, end, the last line
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock, 9.0))
    assert list(track([1, 2, 3], "epochs")) == [1, 2, 3]
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == ["epochs: 2/3, 6 s, 3.0 s each, 3 s left", "epochs: 3/3, 9 s, 3.0 s each"]


def test_a_status_stands_behind_the_rate(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 6.0, 6.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock, 6.0))
    assert list(track([1], "asking", status=lambda: "3 failed")) == [1]
    assert capsys.readouterr().err == "asking: 1/1, 6 s, 6.0 s each, 3 failed\n"


def test_loops_nest_on_a_terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "SILENT_SECONDS", 0.0)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    assert [(a, b) for a in track("xy", "outer") for b in track(range(2), "inner")] == [("x", 0), ("x", 1), ("y", 0), ("y", 1)]
    assert capsys.readouterr().out == ""
    assert progress._bars is None
