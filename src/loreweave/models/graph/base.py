"""What the graph models share after training: scores, newcomers, similar items, and why an item was recommended."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse

from loreweave.data.vocabulary import Codes
from loreweave.errors import LoreweaveError, UnknownId
from loreweave.learn.neighbours import unit
from loreweave.learn.propagate import propagate
from loreweave.models.base import Cause, Scores
from loreweave.models.by_epochs import TrainedByEpochs
from loreweave.models.graph.graph import KINDS, InterestGraph

Vectors = NDArray[np.float32]


class GraphRecommender(TrainedByEpochs):
    """Embeddings of the nodes of an interest graph, propagated over it; the score is a cosine or an inner product.

    Attributes:
        graph: what was propagated over.
        nodes: float32 [n, d], layer 0, what was learnt.
        final: float32 [n, d], the mean of all layers.
    """

    knowledge_kinds: ClassVar[tuple[str, ...]] = ("interest",)

    @property
    @abstractmethod
    def cosine(self) -> bool:
        """Score by cosine; else by inner product."""

    def _adopt(self, graph: InterestGraph, nodes: torch.Tensor) -> None:
        """Keep what was learnt, and propagate it once for all scores to come."""
        self.graph, self.nodes = graph, nodes
        edges = graph.edges(KINDS, self_loops=self.config.self_loops)
        self.adjacency = edges.normalised()
        with torch.no_grad():
            self.final = propagate(self.adjacency, nodes, self.config.layers)
        final, degree = self.final.numpy(), edges.degrees().numpy()
        items, interests = graph.items, slice(0, graph.n_interests)
        self._users, self._anybody = self._known_users(graph, final[graph.users])
        self._items: Vectors = self._scaled(final[items])
        self._interests: Vectors = self._scaled(final[interests])
        joined = np.concatenate([final[items], final[interests]])
        self._messages: Vectors = joined / np.sqrt(np.concatenate([degree[items], degree[interests]]) + 1)[:, None]

    def _scaled(self, vectors: Vectors) -> Vectors:
        return unit(vectors) if self.cosine else vectors

    def _known_users(self, graph: InterestGraph, users: Vectors) -> tuple[Vectors, Vectors]:
        """Scaled vectors of the users, [n_users, d], and the mean of those with an edge, scaled, [1, d].

        Who has no edge (vocabularies hold people who are met in the test part alone) gets the mean: nothing was learnt of their node,
        whose vector is still the random start.
        """
        known, vectors = graph.known_users, self._scaled(users)
        mean = self._scaled(vectors[known].mean(axis=0, keepdims=True))
        return np.where(known[:, None], vectors, mean), mean

    # Scoring

    def score_codes(self, users: Codes) -> Scores:
        return self._users[users] @ self._items.T

    def _score_rows(self, history: sparse.csr_array[np.float32], interests: sparse.csr_array[np.float32]) -> Scores:
        return self._newcomers(history, interests) @ self._items.T

    def _newcomers(self, history: sparse.csr_array[np.float32], interests: sparse.csr_array[np.float32]) -> Vectors:
        """Vectors of people without a node, [b, d]: one propagation from the final vectors of what they met and hold.

        x = Σ_j w_j / √(d · (d_j + 1)) · e_j, where d is the person's own degree and d_j + 1 that of j with the person joined to it.
        Nobody's history gives the mean of the fitted users who have edges.
        """
        own = self._joined(history, interests)
        degree = own.sum(axis=1).reshape(-1, 1)
        vectors = (own @ self._messages) / np.sqrt(np.maximum(degree, 1e-12)).astype(np.float32)
        return np.where(degree > 0, self._scaled(vectors), self._anybody)

    def _joined(self, history: sparse.csr_array[np.float32], interests: sparse.csr_array[np.float32]) -> sparse.csr_array[np.float32]:
        """People × (items, interests of the graph)."""
        held = interests if self.graph.n_interests else sparse.csr_array((history.shape[0], 0), dtype=np.float32)
        return sparse.csr_array(sparse.hstack([history, held], format="csr"))

    def _similarity(self, items: Codes) -> Scores:
        vectors = unit(self._items)
        return vectors[items] @ vectors.T

    def embeddings(self) -> dict[str, NDArray[np.float32]]:
        """Final vectors of `user`, `item` and `interest`, [n, d] each; of unit length where the score is a cosine."""
        return {"user": self._users, "item": self._items, "interest": self._interests}

    # Explaining

    def _causes(
        self, history: sparse.csr_array[np.float32], interests: sparse.csr_array[np.float32], item: int, user: int | None
    ) -> tuple[float, list[Cause], bool]:
        if user is None or not self.graph.known_users[user]:
            return self._causes_of_newcomer(history, interests, item)
        neighbours, gradients, person = self._gradients(user, item)
        met = neighbours >= self.graph.first_item
        places = np.where(met, neighbours - self.graph.first_item, neighbours + self.n_items)
        causes = self._named(places, gradients)
        causes.append(Cause("person", self.users.ids[user], "what was learnt about this person beyond the edges", person))
        return float(self._users[user] @ self._items[item]), causes, False

    def _causes_of_newcomer(
        self, history: sparse.csr_array[np.float32], interests: sparse.csr_array[np.float32], item: int
    ) -> tuple[float, list[Cause], bool]:
        """A newcomer's vector is a sum over what was met and held, so its score is too: the contributions are exact."""
        own = self._joined(history, interests)
        if own.nnz == 0:
            score = float(self._anybody[0] @ self._items[item])
            return score, [Cause("bias", None, "what the model says of somebody unknown", score)], True
        parts = own.data[:, None] * self._messages[own.indices]
        length = np.linalg.norm(parts.sum(axis=0)) if self.cosine else np.sqrt(own.data.sum())
        contributions = parts @ self._items[item] / max(float(length), 1e-12)
        return float(contributions.sum()), self._named(own.indices, contributions), True

    def _named(self, places: NDArray[Any], contributions: NDArray[Any]) -> list[Cause]:
        """Causes from places in (items, interests) and their contributions."""
        causes = []
        for place, part in zip(places.tolist(), contributions.tolist(), strict=True):
            if place < self.n_items:
                causes.append(Cause("item", self.items.ids[place], self.titles[place], part))
            else:
                interest = place - self.n_items
                causes.append(Cause("interest", self.interest_ids[interest], self.interest_labels[interest], part))
        return causes

    def _gradients(self, user: int, item: int) -> tuple[NDArray[np.int64], NDArray[np.float32], float]:
        """The nodes a user is joined to, ∂ score / ∂ weight of each of those edges, and the share of the user's own layer 0.

        The score is s = c · e_u · e_i with e = 1/(L+1) Σ_l A^l E. The degrees in A and c (1 for an inner product, 1/‖e_u‖‖e_i‖ for a
        cosine) are held fixed; an edge's weight multiplies both its entries in every layer. With X_j = A^j E and the adjoint
        B_j = 1/(L+1) Σ_{l>j} A^(l−1−j) ∂s/∂e, an edge (a, b) has ∂s/∂w = A_ab Σ_j (B_j[a]·X_j[b] + B_j[b]·X_j[a]).
        """
        layers, person, target = self.config.layers, self.graph.first_user + user, self.graph.first_item + item
        entries = slice(*self.adjacency.crow[person : person + 2].tolist())
        neighbours, values = self.adjacency.col[entries].long(), self.adjacency.value[entries]
        neighbours, values = neighbours[neighbours != person], values[neighbours != person]
        scale = self._score_scale(user, item) / (layers + 1)
        seed = torch.zeros_like(self.nodes)
        seed[person] += self.final[target] * scale
        seed[target] += self.final[person] * scale
        forward, adjoint = [self.nodes], [seed]
        for _ in range(layers):
            forward.append(self.adjacency.product(forward[-1], self.graph.n))
            adjoint.append(self.adjacency.product(adjoint[-1], self.graph.n, plus=seed))
        gradient = torch.zeros(len(neighbours))
        for x, b in zip(forward[:layers], reversed(adjoint[:layers]), strict=True):
            gradient += x[neighbours] @ b[person] + b[neighbours] @ x[person]
        return neighbours.numpy(), (gradient * values).numpy(), float(adjoint[-1][person] @ self.nodes[person])

    def _score_scale(self, user: int, item: int) -> float:
        """1 for an inner product, 1/‖e_u‖‖e_i‖ for a cosine."""
        if not self.cosine:
            return 1.0
        lengths = self.final[[self.graph.first_user + user, self.graph.first_item + item]].norm(dim=1)
        return float(1.0 / lengths.prod().clamp_min(1e-12))

    def score_without(self, user: Any, item: Any, causes: Sequence[Cause]) -> float:
        """The score that `item` would have for a fitted `user` without some causes of `explain`, propagated anew.

        The weights of the named edges are zero in both directions and every layer, and a cause of kind `person` zeroes the person's own
        layer 0; degrees and the lengths in a cosine stay as they are.

        Raises:
            UnknownId: the user, the item or a cause is unknown.
            LoreweaveError: a cause is none of the person's.
        """
        code, target = int(self._user_codes([user])[0]), self._item_code(item)
        graph, value = self.graph, self.adjacency.value.clone()
        crow, col = self.adjacency.crow, self.adjacency.col
        person = graph.first_user + code
        for node in self._nodes_of(causes):
            for a, b in ((person, node), (node, person)):
                entries = slice(*crow[a : a + 2].tolist())
                place = entries.start + int(torch.searchsorted(col[entries], b))
                if place >= entries.stop or int(col[place]) != b:
                    raise LoreweaveError(f"{user!r} has no edge to one of the causes; give causes that `explain` named for this person")
                value[place] = 0
        if not graph.known_users[code]:
            return float(self._users[code] @ self._items[target])
        # Two columns instead of d: how much of every node's layer 0 reaches the user and the item.
        reach = torch.zeros(graph.n, 2)
        reach[person, 0] = reach[graph.first_item + target, 1] = 1.0
        with torch.no_grad():
            reach = propagate(replace(self.adjacency, value=value), reach, self.config.layers)
            if any(cause.kind == "person" for cause in causes):
                reach[person] = 0
            vectors = reach.T @ self.nodes
        return float(vectors[0] @ vectors[1]) * self._score_scale(code, target)

    def _nodes_of(self, causes: Sequence[Cause]) -> list[int]:
        """The nodes that causes of kinds `item` and `interest` name."""
        interests = {key: node for node, key in enumerate(self.interest_ids)}
        if not self.graph.n_interests:  # switched off: they are nobody's edges, and taking them away changes nothing
            causes = [cause for cause in causes if cause.kind != "interest" or cause.key not in interests]
        unknown = [cause.key for cause in causes if cause.kind == "interest" and cause.key not in interests]
        if unknown:
            raise UnknownId(f"unknown interest {unknown[0]!r}")
        items = [self._item_code(cause.key) + self.graph.first_item for cause in causes if cause.kind == "item"]
        return items + [interests[cause.key] for cause in causes if cause.kind == "interest"]

    # Saving

    def _state(self) -> dict[str, NDArray[Any]]:
        return {"nodes": self.nodes.numpy(), "facts": self.graph.facts}

    def _restore(self, state: dict[str, NDArray[Any]]) -> None:
        held = self._held()
        n_entities = len(state["nodes"]) - self.n_users - held.shape[1]
        self._adopt(InterestGraph(self.history, held, state["facts"], n_entities), torch.from_numpy(state["nodes"]))

    def _held(self) -> sparse.csr_array[np.float32]:
        """Who holds which interest, without columns where interests are switched off."""
        return self.interests if self.config.interests else sparse.csr_array((self.n_users, 0), dtype=np.float32)
