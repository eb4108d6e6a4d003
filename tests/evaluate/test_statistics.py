"""Statistics with answers known from theory or worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from loreweave.errors import LoreweaveError
from loreweave.evaluate.statistics import holm, paired_bootstrap, upper_bound


def test_the_interval_is_close_to_the_normal_one() -> None:
    differences = np.random.default_rng(3).normal(0.02, 0.2, 2000)
    found = paired_bootstrap(differences)[0]
    half = 1.96 * differences.std() / np.sqrt(2000)
    assert found.difference == pytest.approx(differences.mean())
    assert found.ci == pytest.approx((differences.mean() - half, differences.mean() + half), abs=0.05 * half)
    assert found.users == 2000


def test_p_is_close_to_the_normal_one() -> None:
    differences = np.random.default_rng(4).normal(0, 1, 1000)
    differences += 2 * differences.std() / np.sqrt(1000) - differences.mean()  # two standard errors above 0: two-sided p .0455
    assert paired_bootstrap(differences)[0].p == pytest.approx(0.0455, abs=0.012)


def test_columns_share_resamples_and_signs_mirror() -> None:
    differences = np.random.default_rng(5).normal(0.1, 1, 300)
    plus, minus = paired_bootstrap(np.column_stack([differences, -differences]), resamples=2000)
    assert minus.ci == pytest.approx((-plus.ci[1], -plus.ci[0]))
    assert minus.p == plus.p


def test_no_difference_is_no_evidence_and_a_sure_one_is_bounded_by_the_resamples() -> None:
    assert paired_bootstrap(np.zeros(50), resamples=999)[0].p == 1
    assert paired_bootstrap(np.ones(50), resamples=999)[0].p == pytest.approx(2 / 1000)


def test_missing_values_are_refused() -> None:
    with pytest.raises(LoreweaveError, match="a value of both arms"):
        paired_bootstrap(np.array([0.1, np.nan]))


def test_holm_by_hand() -> None:
    # Sorted .005, .01, .03, .04 times 4, 3, 2, 1 = .02, .03, .06, .04; the last may not fall below .06.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_the_upper_bound_of_permutations_by_hand() -> None:
    # Mean 2, s 1, t(.95; 2) = 2.91999: 2 + 2.91999 / √3.
    assert upper_bound([1.0, 2.0, 3.0]) == pytest.approx(2 + 2.9199856 / np.sqrt(3))
    with pytest.raises(LoreweaveError, match="one draw is no evidence"):
        upper_bound([1.0])
