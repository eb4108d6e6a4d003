"""The collaborative interest knowledge graph (CIKG): users | entities, items first | interests, and its three kinds of edges.

Source: Hu et al., AAAI 2025, section "Collaborative Interest Knowledge Graph".
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from loreweave.data.dataset import Triples
from loreweave.learn.propagate import EdgeList

Kind = Literal["interactions", "interests", "triples"]
KINDS: tuple[Kind, ...] = ("interactions", "interests", "triples")


@dataclass(frozen=True, eq=False)
class InterestGraph:
    """Nodes are numbered users first, then entities (items first among them), then interests.

    Attributes:
        history: CSR [n_users, n_items], who met what.
        held: CSR float32 [n_users, n_interests], weights of who holds which interest.
        facts: int32 [2, m], distinct pairs of entity codes that some triple joins.
        n_entities: items included.
    """

    history: sparse.csr_array[np.float32]
    held: sparse.csr_array[np.float32]
    facts: NDArray[np.int32]
    n_entities: int

    @classmethod
    def of(cls, history: sparse.csr_array[np.float32], held: sparse.csr_array[np.float32], triples: Triples | None) -> InterestGraph:
        """The graph of a log, the interests held, and the triples (None: the entities are the items)."""
        n_items = int(history.shape[1])
        return cls(history, held, joined_entities(triples), n_items if triples is None else max(n_items, len(triples.entities)))

    @property
    def n_users(self) -> int:
        return int(self.history.shape[0])

    @property
    def n_items(self) -> int:
        return int(self.history.shape[1])

    @property
    def n_interests(self) -> int:
        return int(self.held.shape[1])

    @property
    def n(self) -> int:
        """Number of nodes."""
        return self.n_users + self.n_entities + self.n_interests

    @property
    def first_interest(self) -> int:
        """Node of interest 0."""
        return self.n_users + self.n_entities

    def edges(self, kinds: Iterable[Kind] = KINDS, *, self_loops: bool = False) -> EdgeList:
        """The edges of some kinds, over all nodes. An interest's edges weigh what was recorded; all others weigh 1."""
        first, second, weight = [np.empty(0, np.int64)], [np.empty(0, np.int64)], [np.empty(0, np.float32)]
        for kind in kinds:
            if kind == "triples":
                pair = self.facts[0].astype(np.int64) + self.n_users, self.facts[1].astype(np.int64) + self.n_users
                value = np.ones(self.facts.shape[1], np.float32)
            else:
                matrix, offset = (self.history, self.n_users) if kind == "interactions" else (self.held, self.first_interest)
                pair = np.repeat(np.arange(self.n_users), np.diff(matrix.indptr)), matrix.indices.astype(np.int64) + offset
                value = matrix.data
            first.append(pair[0])
            second.append(pair[1])
            weight.append(value)
        return EdgeList.from_pairs(
            np.concatenate(first), np.concatenate(second), self.n, weight=np.concatenate(weight), self_loops=self_loops
        )

    def digest(self) -> str:
        """16 hexadecimal digits of all edges: what a checkpoint must agree on."""
        digest = hashlib.sha256(repr((self.n_users, self.n_entities, self.n_interests)).encode())
        for part in (self.history.indptr, self.history.indices, self.held.indptr, self.held.indices, self.held.data, self.facts):
            digest.update(np.ascontiguousarray(part).tobytes())
        return digest.hexdigest()[:16]


def joined_entities(triples: Triples | None) -> NDArray[np.int32]:
    """Distinct undirected pairs of different entities that a triple joins, int32 [2, m]; how many relations join them does not count."""
    if triples is None:
        return np.empty((2, 0), np.int32)
    low, high = np.minimum(triples.head, triples.tail), np.maximum(triples.head, triples.tail)
    pairs: NDArray[Any] = np.unique(np.stack([low, high])[:, low != high], axis=1)
    return pairs.astype(np.int32)
