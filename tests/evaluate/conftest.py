"""Stub models, registered for one test, with nothing remembered yet."""

from __future__ import annotations

import pytest
import stubs

from loreweave.models import MODELS


@pytest.fixture
def no_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures take a second to draw."""
    monkeypatch.setattr("loreweave.evaluate.comparison.write_report", lambda result, path: None)


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, place in stubs.STUBS.items():
        monkeypatch.setitem(MODELS, name, place)
    monkeypatch.setattr(stubs.Remembering, "fits", [])
    monkeypatch.setattr(stubs.Remembering, "fail_at", None)
