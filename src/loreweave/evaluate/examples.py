"""A few people with what a fitted model recommends to them, and why: what the figures look like from the other side."""

from __future__ import annotations

from typing import Any

import numpy as np

from loreweave.data.dataset import Interactions
from loreweave.errors import LoreweaveError
from loreweave.models.base import Recommender

SHOWN_HISTORY = 8
REASONS = 3


def examples(model: Recommender, held_out: Interactions, *, users: int = 3, k: int = 5, seed: int = 1) -> list[dict[str, Any]]:
    """History, interests and top k of a few people drawn among those evaluated (among holders of interests, where there are any).

    Returns:
        A row a person: `user`, `met` (how many items), `history` (titles), `interests` (labels), and `items`, each `item`, `title`,
        `score`, `held_out` (it was among what was held out) and `reasons` (`kind`, `text`, `contribution`; none where the model cannot
        explain).
    """
    targets = held_out.matrix(model.n_users, model.n_items)
    able = (np.diff(targets.indptr) > 0) & (np.diff(model.history.indptr) > 1)
    with_interest = able & (np.diff(model.interests.indptr) > 0)
    pool = np.flatnonzero(with_interest if with_interest.any() else able)
    chosen = np.random.default_rng(seed).choice(pool, size=min(users, len(pool)), replace=False)
    found = []
    for code in chosen:
        user = model.users.ids[int(code)]
        met, held = model.history[[code]].indices, model.interests[[code]].indices
        hits = set(model.items.decode(targets[[code]].indices).to_list())
        items = []
        for row in model.recommend([user], k=k).iter_rows(named=True):
            title = model.titles[model.items.code(row["item"])]
            reasons = _reasons(model, user, row["item"])
            items.append({"item": row["item"], "title": title, "score": row["score"], "held_out": row["item"] in hits, "reasons": reasons})
        found.append(
            {
                "user": user,
                "met": len(met),
                "history": [model.titles[int(item)] for item in met[:SHOWN_HISTORY]],
                "interests": [model.interest_labels[int(interest)] for interest in held],
                "items": items,
            }
        )
    return found


def _reasons(model: Recommender, user: Any, item: Any) -> list[dict[str, Any]]:
    try:
        causes = model.explain(user, item, REASONS).causes
    except LoreweaveError:
        return []
    return [{"kind": cause.kind, "text": cause.text, "contribution": cause.contribution} for cause in causes]
