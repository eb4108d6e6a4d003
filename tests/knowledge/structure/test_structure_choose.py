"""κ: the grid, the rule that picks from a curve, and a mixture whose number of clusters is known."""

from __future__ import annotations

import numpy as np
import polars as pl
from test_structure_cluster import mixture

from loreweave.knowledge.structure.choose import CURVE, curve, grid, pick, stability


def frame(*rows: tuple[int, float, float, float, float | None]) -> pl.DataFrame:
    return pl.DataFrame([(*row, 0.0) for row in rows], schema=CURVE, orient="row")


def test_grid_is_geometric_and_bounded() -> None:
    assert grid(800) == [8, 12, 18, 27, 40, 61, 91]
    assert grid(10**6)[-1] <= 1250
    assert [grid(n) for n in (1, 3, 8, 40)] == [[1], [3], [8], [8]]


def test_pick_takes_the_largest_within_one_standard_error() -> None:
    assert pick(frame((8, 0.80, 0.02, 0.9, None), (12, 0.79, 0.02, 0.9, None), (18, 0.77, 0.02, 0.9, None))) == 12


def test_pick_passes_over_what_the_drop_rules_empty() -> None:
    assert pick(frame((8, 0.99, 0.01, 0.1, None), (12, 0.7, 0.02, 0.92, None), (18, 0.6, 0.02, 0.95, None))) == 12


def test_pick_by_score() -> None:
    assert pick(frame((8, 0.9, 0.01, 0.9, 0.1), (12, 0.2, 0.02, 0.9, 0.3), (18, 0.1, 0.02, 0.9, 0.3))) == 18


def test_stability_peaks_at_the_true_number() -> None:
    x, _ = mixture(600, 12, 32, 0.6)
    weights = np.ones(len(x), dtype=np.int64)
    found = {k: stability(x, weights, k, seed=1).mean() for k in (6, 12, 36)}
    assert found[12] > 0.9
    assert found[12] > max(found[6], found[36]) + 0.1


def test_curve_calls_the_judge_once_a_kappa() -> None:
    x, _ = mixture(160, 8, 16, 0.4)
    asked: list[int] = []
    found = curve(x, np.ones(len(x), dtype=np.int64), lambda k: (asked.append(k) or 0.5, float(k)), seed=1)
    assert asked == grid(160) == found["interests"].to_list()
    assert found.schema == CURVE
    assert found["score"].to_list() == [float(k) for k in asked]
    assert found["stability"].is_between(-1, 1).all()
