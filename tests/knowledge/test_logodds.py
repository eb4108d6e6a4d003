"""The z-score of Monroe, Colaresi & Quinn: a value worked by hand, and what must hold for all values."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loreweave.knowledge.logodds import z_scores


def test_worked_by_hand() -> None:
    # p = 10.5/101, α = 10·p = 1.0396; inside 4.0396 of 18, rest 8.0396 of 102
    # δ = ln(4.0396/13.9604) − ln(8.0396/93.9604) = −1.24008 + 2.45849 = 1.21841; σ² = 1/4.0396 + 1/8.0396 = 0.37193
    assert float(z_scores(np.array(3), np.array(8), np.array(10), 100.0, prior=10.0)) == pytest.approx(1.9978, abs=2e-4)


@given(st.integers(1, 50), st.integers(1, 500), st.floats(0.1, 100), st.data())
def test_finite_and_positive_where_the_group_has_more_of_it(draws: int, rest: int, prior: float, data: st.DataObject) -> None:
    elsewhere = data.draw(st.integers(0, rest))
    counts = np.arange(draws + 1)
    z = z_scores(counts, np.array(draws), counts + elsewhere, float(draws + rest), prior)
    assert np.isfinite(z).all()
    alpha = prior * (counts + elsewhere + 0.5) / (draws + rest + 1)
    more = (counts + alpha) / (draws + prior) - (elsewhere + alpha) / (rest + prior)
    clear = np.abs(more) > 1e-9
    assert ((z > 0) == (more > 0))[clear].all()


def test_what_everybody_always_meets_stands_out_nowhere() -> None:
    draws = np.array([3, 2000], dtype=np.float32)
    z = z_scores(draws, draws, np.array(60_000, dtype=np.float32), 60_000.0, prior=10.0)
    assert np.isfinite(z).all()
    assert (z < 1).all()
