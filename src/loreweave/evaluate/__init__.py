"""Metrics, protocols, comparisons and reports: whether a recommender is good, and whether knowledge made it so."""

from __future__ import annotations

from loreweave.evaluate.comparison import compare
from loreweave.evaluate.deletion import deletion_test
from loreweave.evaluate.evaluation import Report, evaluate
from loreweave.evaluate.sampled import Negatives, draw_negatives
from loreweave.evaluate.tuning import Tuned, tune

__all__ = ["Negatives", "Report", "Tuned", "compare", "deletion_test", "draw_negatives", "evaluate", "tune"]
