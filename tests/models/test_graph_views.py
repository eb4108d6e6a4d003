"""The interest graph and its views hold exactly the right edges."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

torch = pytest.importorskip("torch")

from loreweave.data.dataset import Triples  # noqa: E402
from loreweave.data.vocabulary import Vocabulary  # noqa: E402
from loreweave.learn.propagate import EdgeList  # noqa: E402
from loreweave.models.graph.graph import InterestGraph, joined_entities  # noqa: E402


def small_graph() -> InterestGraph:
    """Users 0, 1; items 0, 1, 2 and one further entity 3; interests 0, 1.

    Nodes: interests 0, 1 | users 2, 3 | items 4, 5, 6 | entity 7.
    """
    history = sparse.csr_array(np.array([[1, 1, 0], [0, 1, 0]], dtype=np.float32))
    held = sparse.csr_array(np.array([[0, 1], [1, 0]], dtype=np.float32))
    heads, relations, tails = np.array([0, 0, 3, 1, 2]), np.array([0, 1, 0, 0, 1]), np.array([3, 3, 0, 2, 2])  # item 2 with itself: no edge
    triples = Triples(heads, relations, tails, Vocabulary(["a", "b", "c", "d"]), Vocabulary(["r", "s"]))
    return InterestGraph.of(history, held, triples)


def pairs(edges: EdgeList, start: int) -> set[tuple[int, int]]:
    """Undirected edges by node number, each once; every one must be there in both directions."""
    row = np.repeat(np.arange(edges.n), np.diff(edges.crow.numpy())) + start
    directed = set(zip(row.tolist(), (edges.col.numpy() + start).tolist(), strict=True))
    assert directed == {(b, a) for a, b in directed}
    assert len(directed) == len(edges.col)
    return {(a, b) for a, b in directed if a <= b}


INTERACTIONS, INTERESTS, TRIPLES = {(2, 4), (2, 5), (3, 5)}, {(1, 2), (0, 3)}, {(4, 7), (5, 6)}


def test_nodes_are_interests_then_users_then_entities() -> None:
    graph = small_graph()
    assert (graph.n_users, graph.n_items, graph.n_entities, graph.n_interests, graph.n) == (2, 3, 4, 2, 8)
    assert (graph.users, graph.items) == (slice(2, 4), slice(4, 7))


@pytest.mark.parametrize(
    ("kinds", "nodes", "expected"),
    [
        ([], slice(2, 7), INTERACTIONS),
        (["interests"], slice(0, 7), INTERACTIONS | INTERESTS),
        (["triples"], slice(2, 8), INTERACTIONS | TRIPLES),
        (["interests", "triples"], slice(0, 8), INTERACTIONS | INTERESTS | TRIPLES),
    ],
)
def test_a_view_holds_its_kinds_of_edges_and_no_other(kinds: list, nodes: slice, expected: set[tuple[int, int]]) -> None:
    graph = small_graph()
    assert graph.range_of(kinds) == nodes
    edges = graph.edges(kinds)
    assert edges.n == nodes.stop - nodes.start
    assert pairs(edges, nodes.start) == expected


def test_self_loops_join_every_node_to_itself() -> None:
    assert pairs(small_graph().edges(self_loops=True), 0) == INTERACTIONS | INTERESTS | TRIPLES | {(n, n) for n in range(8)}


def test_an_interests_edge_weighs_what_was_recorded() -> None:
    graph = small_graph()
    graph.held.data[:] = [0.5, 2.0]  # user 0 holds interest 1, user 1 holds interest 0
    edges = graph.edges()
    weight = dict(
        zip(zip(np.repeat(np.arange(8), np.diff(edges.crow)).tolist(), edges.col.tolist(), strict=True), edges.weight, strict=True)
    )
    assert (weight[2, 1], weight[1, 2], weight[0, 3], weight[2, 4]) == (0.5, 0.5, 2.0, 1.0)


def test_triples_become_pairs_whatever_their_direction_and_relation() -> None:
    triples = Triples(np.array([2, 0, 1]), np.zeros(3, int), np.array([0, 2, 1]), Vocabulary("abc"), Vocabulary("r"))
    assert joined_entities(triples).tolist() == [[0], [2]]
    assert joined_entities(None).shape == (2, 0)


def test_the_digest_tells_graphs_apart() -> None:
    graph = small_graph()
    assert graph.digest() == small_graph().digest()
    other = InterestGraph(graph.history, graph.held, graph.facts[:, :1], graph.n_entities)
    assert other.digest() != graph.digest()
