"""What the graph models share after training: scores, newcomers, similar items, and why an item was recommended."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse

from loreweave.data.vocabulary import Codes
from loreweave.errors import LoreweaveError
from loreweave.files import read_json, write_json
from loreweave.learn.propagate import csr, propagate
from loreweave.models.base import Cause, Recommender, Scores
from loreweave.models.graph.graph import KINDS, InterestGraph

Vectors = NDArray[np.float32]


class GraphRecommender(Recommender):
    """Embeddings of the nodes of an interest graph, propagated over it; the score is a cosine or an inner product.

    Attributes:
        graph: what was propagated over.
        nodes: float32 [n, d], layer 0, what was learnt.
        final: float32 [n, d], the mean of all layers.
        training: a row an epoch: losses, seconds, validation (`loreweave.learn.loop.Trained.history`).
        best_epoch: the epoch (from 1) that was kept.
    """

    uses_knowledge: ClassVar[bool] = True
    stochastic: ClassVar[bool] = True
    training: list[dict[str, float]]
    best_epoch: int

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
        items, interests = slice(graph.n_users, graph.n_users + graph.n_items), slice(graph.first_interest, graph.n)
        self._users: Vectors = self._scaled(final[: graph.n_users])
        self._items: Vectors = self._scaled(final[items])
        self._interests: Vectors = self._scaled(final[interests])
        self._anybody: Vectors = self._scaled(self._users.mean(axis=0, keepdims=True))
        joined = np.concatenate([final[items], final[interests]])
        self._messages: Vectors = joined / np.sqrt(np.concatenate([degree[items], degree[interests]]) + 1)[:, None]

    def _scaled(self, vectors: Vectors) -> Vectors:
        return unit(vectors) if self.cosine else vectors

    # Scoring

    def score_codes(self, users: Codes) -> Scores:
        return self._users[users] @ self._items.T

    def _score_rows(self, history: sparse.csr_array[np.float32], interests: sparse.csr_array[np.float32]) -> Scores:
        return self._newcomers(history, interests) @ self._items.T

    def _newcomers(self, history: sparse.csr_array[np.float32], interests: sparse.csr_array[np.float32]) -> Vectors:
        """Vectors of people without a node, [b, d]: one propagation from the final vectors of what they met and hold.

        x = Σ_j w_j / √(d · (d_j + 1)) · e_j, where d is the person's own degree and d_j + 1 that of j with the person joined to it.
        Nobody's history gives the mean of the fitted users.
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
        if user is None:
            return self._causes_of_newcomer(history, interests, item)
        neighbours, gradients, person = self._gradients(user, item)
        met = neighbours < self.graph.first_interest
        places = np.where(met, neighbours - self.graph.n_users, neighbours - self.graph.first_interest + self.n_items)
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
        layers, target = self.config.layers, self.graph.n_users + item
        own = slice(*self.adjacency.crow_indices()[user : user + 2].tolist())
        neighbours, values = self.adjacency.col_indices()[own].long(), self.adjacency.values()[own]
        neighbours, values = neighbours[neighbours != user], values[neighbours != user]
        seed = torch.zeros_like(self.nodes)
        scale = self._score_scale(user, item)
        seed[user] += self.final[target] * scale / (layers + 1)
        seed[target] += self.final[user] * scale / (layers + 1)
        forward, adjoint = [self.nodes], [seed]
        for _ in range(layers - 1):
            forward.append(self.adjacency @ forward[-1])
            adjoint.append(torch.addmm(seed, self.adjacency, adjoint[-1]))
        gradient = torch.zeros(len(neighbours))
        for x, b in zip(forward, reversed(adjoint), strict=True) if layers else ():
            gradient += x[neighbours] @ b[user] + b[neighbours] @ x[user]
        last = torch.addmm(seed, self.adjacency, adjoint[-1]) if layers else seed
        return neighbours.numpy(), (gradient * values).numpy(), float(last[user] @ self.nodes[user])

    def _score_scale(self, user: int, item: int) -> float:
        if not self.cosine:
            return 1.0
        lengths = self.final[[user, self.graph.n_users + item]].norm(dim=1)
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
        graph = self.graph
        interests = {key: place for place, key in enumerate(self.interest_ids)} if graph.n_interests else {}
        removed = [self._item_code(cause.key) + graph.n_users for cause in causes if cause.kind == "item"]
        try:
            removed += [interests[cause.key] + graph.first_interest for cause in causes if cause.kind == "interest"]
        except KeyError as error:
            raise LoreweaveError(f"unknown interest {error.args[0]!r}") from None
        values = self.adjacency.values().clone()
        crow, col = self.adjacency.crow_indices(), self.adjacency.col_indices()
        for node in removed:
            for a, b in ((code, node), (node, code)):
                place = int(crow[a]) + int(torch.searchsorted(col[int(crow[a]) : int(crow[a + 1])], b))
                if place >= int(crow[a + 1]) or int(col[place]) != b:
                    raise LoreweaveError(f"{user!r} has no edge to one of the causes; give causes that explain named")
                values[place] = 0
        # Two columns instead of d: how much of every node's layer 0 reaches the user and the item.
        reach = torch.zeros(graph.n, 2)
        reach[code, 0] = reach[graph.n_users + target, 1] = 1.0
        with torch.no_grad():
            reach = propagate(csr(crow, col, values, graph.n), reach, self.config.layers)
            if any(cause.kind == "person" for cause in causes):
                reach[code] = 0
            vectors = reach.T @ self.nodes
        return float(vectors[0] @ vectors[1]) * self._score_scale(code, target)

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

    def _save_parts(self, folder: Path) -> None:
        write_json(folder / "training.json", {"epochs": self.best_epoch, "history": self.training})

    def _load_parts(self, folder: Path) -> None:
        saved = read_json(folder / "training.json")
        self.best_epoch, self.training = saved["epochs"], saved["history"]


def unit(vectors: Vectors) -> Vectors:
    """Rows at unit length, float32 [b, d]; a zero row stays zero."""
    scaled: Vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.float32(1e-12))
    return scaled
