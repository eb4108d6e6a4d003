"""The deletion test of explanations: does taking away the named causes lower the score more than taking away others of the same person?

DeYoung et al. (ERASER, ACL 2020) call the drop comprehensiveness. Here it is paired, person by person, with that of random causes.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from loreweave.errors import LoreweaveError
from loreweave.evaluate.statistics import paired_bootstrap
from loreweave.models.base import Recommender
from loreweave.progress import track

USERS = 100
"""People in the sample."""
NAMED = 3
"""m: causes taken away."""
DRAWS = 5
"""Random sets of m causes a person; their drops are averaged."""
REMOVABLE = ("item", "interest")
"""Kinds of cause that belong to a person and can be taken away."""


def deletion_test(
    model: Recommender, *, users: int = USERS, named: int = NAMED, draws: int = DRAWS, seed: int = 1
) -> dict[str, Any] | None:
    """Take the m largest causes of a person's first recommendation away, then m random ones of theirs, and score it again.

    Args:
        model: fitted.
        users: how many people to draw among those with more than m history items and interests.
        named: m.
        draws: random sets a person.
        seed: of the sample and of the random sets.

    Returns:
        `users`, `named_causes` (m), mean `score`, mean drop by the `named` and by the `random` causes, `difference` and its 95% bootstrap
        `ci`, and `share` of people for whom the named causes weigh more. None for a model that cannot explain, or has no causes that can
        be taken away, and where nobody has more than m.
    """
    rng = np.random.default_rng(seed)
    edges = np.diff(model.history.indptr) + np.diff(model.interests.indptr)
    able = np.flatnonzero((np.diff(model.history.indptr) > 0) & (edges > named))
    chosen = np.sort(rng.choice(able, size=min(users, len(able)), replace=False))
    top = model.recommend(model.users.decode(chosen), k=1) if len(chosen) else None
    rows = []
    for user, item in track(list(zip(top["user"], top["item"], strict=True)) if top is not None else [], "deletion test"):
        try:
            causes = [cause for cause in model.explain(user, item).causes if cause.kind in REMOVABLE]
        except LoreweaveError:
            return None
        if len(causes) <= named:
            continue
        whole = model.score_without(user, item, [])
        by_name = whole - model.score_without(user, item, causes[:named])
        sets = [[causes[place] for place in rng.choice(len(causes), size=named, replace=False)] for _ in range(draws)]
        at_random = float(np.mean([whole - model.score_without(user, item, some) for some in sets]))
        rows.append((whole, by_name, at_random))
    if not rows:
        return None
    score, by_names, at_randoms = np.array(rows).T
    paired = paired_bootstrap(by_names - at_randoms)[0]
    return {
        "users": len(rows),
        "named_causes": named,
        "score": float(score.mean()),
        "named": float(by_names.mean()),
        "random": float(at_randoms.mean()),
        "difference": paired.difference,
        "ci": list(paired.ci),
        "share": float((by_names > at_randoms).mean()),
    }
