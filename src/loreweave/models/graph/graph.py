"""The collaborative interest knowledge graph (CIKG): interests, users, items, other entities, and three kinds of edges among them.

Source: Hu et al., AAAI 2025, section "Collaborative Interest Knowledge Graph".

In this order of nodes, each next to what it can be joined to, every part of the graph that a loss looks at is one contiguous range:
interactions alone (users, items), with interests (interests … items), with triples (users … entities), and what lies within k steps
of the interests (a prefix). So views are slices, never copies.
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

Kind = Literal["interests", "triples"]
"""Of the edges beside the interactions."""
KINDS: tuple[Kind, ...] = ("interests", "triples")


@dataclass(frozen=True, eq=False)
class InterestGraph:
    """Nodes are numbered interests first, then users, then entities (items first among them).

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
    def first_user(self) -> int:
        """Node of user 0."""
        return self.n_interests

    @property
    def first_item(self) -> int:
        """Node of item 0, which is entity 0."""
        return self.n_interests + self.n_users

    @property
    def users(self) -> slice:
        return slice(self.first_user, self.first_item)

    @property
    def items(self) -> slice:
        return slice(self.first_item, self.first_item + self.n_items)

    @property
    def known_users(self) -> NDArray[np.bool_]:
        """bool [n_users]: who met or holds anything; the others' nodes have no edges."""
        found: NDArray[np.bool_] = np.diff(self.history.indptr) + np.diff(self.held.indptr) > 0
        return found

    def range_of(self, kinds: Iterable[Kind]) -> slice:
        """The nodes that interactions and some further kinds of edges join."""
        return slice(0 if "interests" in kinds else self.first_user, self.n if "triples" in kinds else self.items.stop)

    def edges(self, kinds: Iterable[Kind] = KINDS, *, self_loops: bool = False) -> EdgeList:
        """Interactions and some further kinds of edges, over the nodes of `range_of(kinds)`, numbered from its start.

        An interest's edges weigh what was recorded; all others weigh 1.
        """
        nodes = self.range_of(kinds)
        user, item = np.repeat(np.arange(self.n_users), np.diff(self.history.indptr)), self.history.indices.astype(np.int64)
        first, second, weight = [user + self.first_user], [item + self.first_item], [np.ones(len(user), np.float32)]
        if "interests" in kinds:
            first.append(np.repeat(np.arange(self.n_users), np.diff(self.held.indptr)) + self.first_user)
            second.append(self.held.indices.astype(np.int64))
            weight.append(self.held.data)
        if "triples" in kinds:
            head, tail = self.facts.astype(np.int64) + self.first_item
            first.append(head)
            second.append(tail)
            weight.append(np.ones(len(head), np.float32))
        return EdgeList.from_pairs(
            np.concatenate(first) - nodes.start,
            np.concatenate(second) - nodes.start,
            nodes.stop - nodes.start,
            weight=np.concatenate(weight),
            self_loops=self_loops,
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
