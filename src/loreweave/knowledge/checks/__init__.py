"""Is what a source said true? Grounded in what people met, in keeping with the catalogue, of sound form; and how often not."""

from __future__ import annotations

from loreweave.knowledge.checks.check import check
from loreweave.knowledge.checks.result import Checks

__all__ = ["Checks", "check"]
