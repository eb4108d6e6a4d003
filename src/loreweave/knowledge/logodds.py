"""What a group says more often than everybody else: log-odds with an informative Dirichlet prior, in units of their standard error.

Source: Monroe, Colaresi & Quinn, "Fightin' Words", Political Analysis 16(4), 2008, equations 15, 16, 20 and 22.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[Any]


def z_scores(count: Numbers, draws: Numbers, count_all: Numbers, draws_all: float, prior: float) -> NDArray[np.float64]:
    """z of a feature in a group against the rest of the population. All arguments broadcast.

    A draw is one (person, item) pair: it carries the feature or not, so that each feature is a multinomial of two outcomes. With y of n
    draws in the group, y' of n' in the rest, and a prior of α₀ draws that carry the feature as often as the whole population (α = α₀·p):

        δ = log (y + α)/(n + α₀ − y − α) − log (y' + α)/(n' + α₀ − y' − α),   σ² ≈ 1/(y + α) + 1/(y' + α),   z = δ/σ

    Args:
        count: y, draws of the group that carry the feature.
        draws: n, draws of the group.
        count_all: draws of the whole population, group included, that carry the feature.
        draws_all: draws of the whole population.
        prior: α₀, in draws.

    Returns:
        float64; positive where the group has more of the feature than the rest.
    """
    count, draws, count_all = (np.asarray(number, dtype=np.float64) for number in (count, draws, count_all))
    share = (count_all + 0.5) / (draws_all + 1.0)  # never 0 or 1, so that every logarithm is finite
    alpha, beta = prior * share, prior * (1.0 - share)
    inside, inside_without = count + alpha, draws - count + beta
    elsewhere, elsewhere_without = count_all - count + alpha, (draws_all - count_all) - (draws - count) + beta
    delta = np.log(inside / inside_without) - np.log(elsewhere / elsewhere_without)
    z: NDArray[np.float64] = np.asarray(delta / np.sqrt(1.0 / inside + 1.0 / elsewhere), dtype=np.float64)
    return z
