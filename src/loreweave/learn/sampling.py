"""Negatives for a whole batch at once: draw, look up in a sorted key array, redraw what was met."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

MAX_ROUNDS = 100
"""Redraws before giving up on a user who has met (nearly) everything; such rows keep their last draw."""


class PairSampler:
    """Draws columns that do not stand beside a row in a set of pairs (row, column).

    Args:
        rows, columns: int arrays [m], the positives (for triples, `rows` may stand for head and relation together).
        n_columns: columns are drawn from 0..n_columns−1.
    """

    def __init__(self, rows: NDArray[Any], columns: NDArray[Any], n_columns: int) -> None:
        self.n_columns = n_columns
        self.keys = torch.from_numpy(np.unique(rows.astype(np.int64) * n_columns + columns))

    def contains(self, rows: Tensor, columns: Tensor) -> Tensor:
        """Which pairs are positives: bool [b], for int64 [b] each."""
        if len(self.keys) == 0:
            return torch.zeros(len(rows), dtype=torch.bool)
        key = rows * self.n_columns + columns
        place = torch.searchsorted(self.keys, key).clamp_max_(len(self.keys) - 1)
        return self.keys[place] == key

    def draw(self, rows: Tensor, generator: torch.Generator) -> Tensor:
        """One column for every row, uniform over those that are not its positives: int64 [b]."""
        drawn = torch.randint(self.n_columns, rows.shape, generator=generator)
        wrong = self.contains(rows, drawn).nonzero().squeeze(1)
        for _ in range(MAX_ROUNDS):
            if len(wrong) == 0:
                break
            again = torch.randint(self.n_columns, wrong.shape, generator=generator)
            drawn[wrong] = again
            wrong = wrong[self.contains(rows[wrong], again)]
        return drawn


class TripleSampler:
    """Draws true triples, and tails that make them false.

    A head is drawn uniformly among those that have a triple, then one of its triples: a node of few triples is met as often as one of
    many (as in the code of KGAT, Wang et al., KDD 2019, and of CIKGRec).

    Args:
        head, relation, tail: int arrays [m], m ≥ 1.
        n_nodes: tails are corrupted to 0..n_nodes−1.
    """

    def __init__(self, head: NDArray[Any], relation: NDArray[Any], tail: NDArray[Any], n_nodes: int) -> None:
        order = np.argsort(head, kind="stable")
        self.head, self.relation, self.tail = (torch.from_numpy(x[order].astype(np.int64)) for x in (head, relation, tail))
        _, start, size = np.unique(head[order], return_index=True, return_counts=True)
        self.start, self.size = torch.from_numpy(start), torch.from_numpy(size)
        self.n_relations = int(relation.max()) + 1
        self.pairs = PairSampler(head.astype(np.int64) * self.n_relations + relation, tail, n_nodes)

    def draw(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Head, relation, tail and corrupted tail of `count` triples: int64 [count] each."""
        place = torch.randint(len(self.start), (count,), generator=generator)
        share = torch.rand(count, generator=generator, dtype=torch.float64)
        rows = self.start[place] + (share * self.size[place]).long()
        head, relation, tail = self.head[rows], self.relation[rows], self.tail[rows]
        return head, relation, tail, self.pairs.draw(head * self.n_relations + relation, generator)


class ItemSampler:
    """Draws the keys of a sampled softmax, each item about as often as it was met.

    Args:
        met: int [m], the items of all interactions.
        n_items: of the catalogue; each is drawn as if met once more, so that those nobody met are drawn as well.
    """

    def __init__(self, met: NDArray[Any], n_items: int) -> None:
        self.met, self.n_items = torch.from_numpy(met.astype(np.int64)), n_items
        share = np.bincount(met, minlength=n_items) + 1.0
        self.share = torch.from_numpy(share / share.sum())

    def draw(self, items: Tensor, draws: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Distinct items of a batch (int64 [b]) and of further draws: int64 [s]; where the batch's are among them: int64 [b]; and the
        logQ correction, float32 [s]."""
        place = torch.randint(len(self.met) + self.n_items, (draws,), generator=generator)
        drawn = torch.where(place < self.n_items, place, self.met[(place - self.n_items).clamp_min(0)])
        sample, inverse = torch.unique(torch.cat([items, drawn]), return_inverse=True)
        return sample, inverse[: len(items)], inclusion_log_probability(self.share[sample], len(inverse))


def inclusion_log_probability(share: Tensor, draws: int) -> Tensor:
    """log of the chance that an item is among `draws` draws, float32 [n]: 1 − (1 − p)^draws, p the share of draws that fall on it.

    The correction of a sampled softmax whose keys are the distinct items of such a sample.
    """
    return torch.log(-torch.expm1(draws * torch.log1p(-share.clamp_max(1 - 1e-12)))).float()
