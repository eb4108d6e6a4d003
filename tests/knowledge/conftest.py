"""Where the real data sets lie."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture
def data_root() -> Path:
    """The folder named by LOREWEAVE_DATA; skips where it is not set."""
    if "LOREWEAVE_DATA" not in os.environ:
        pytest.skip("LOREWEAVE_DATA is not set: the folder of real data sets")
    return Path(os.environ["LOREWEAVE_DATA"])
