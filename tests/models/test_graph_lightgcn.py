"""LightGCN on the interest graph: scores, newcomers and explanations against dense numpy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from scipy import sparse  # noqa: E402

from loreweave.data.dataset import Interactions  # noqa: E402
from loreweave.errors import LoreweaveError, SavedError, UnknownId  # noqa: E402
from loreweave.evaluate.evaluation import evaluate  # noqa: E402
from loreweave.learn import losses  # noqa: E402
from loreweave.models.base import Cause  # noqa: E402
from loreweave.models.graph import lightgcn  # noqa: E402
from loreweave.models.graph.graph import InterestGraph  # noqa: E402
from loreweave.models.graph.lightgcn import LightGCN  # noqa: E402
from loreweave.testing.checkerboard import QUIET, checkerboard, checkerboard_interests  # noqa: E402

SMALL: dict[str, Any] = {"dim": 8, "epochs": 5, "batch_size": 64, "layers": 3}
LOSSES = pytest.mark.parametrize("loss", ["softmax", "bpr"])


def fitted(**settings: Any) -> LightGCN:
    return LightGCN(**{**SMALL, **settings}).fit(checkerboard(), checkerboard_interests())


def dense(model: LightGCN) -> np.ndarray:
    """A as a dense float64 matrix."""
    a = np.zeros((model.graph.n, model.graph.n))
    crow, col = model.adjacency.crow.numpy(), model.adjacency.col.numpy()
    a[np.repeat(np.arange(len(a)), np.diff(crow)), col] = model.adjacency.value.numpy()
    return a


def final(model: LightGCN, a: np.ndarray, nodes: np.ndarray | None = None) -> np.ndarray:
    nodes = model.nodes.numpy().astype(np.float64) if nodes is None else nodes
    return sum(np.linalg.matrix_power(a, layer) @ nodes for layer in range(model.config.layers + 1)) / (model.config.layers + 1)


def edge_of(model: LightGCN, user: int, cause: Cause) -> tuple[int, int]:
    """The nodes an explanation's cause joins."""
    if cause.kind == "item":
        return model.graph.first_user + user, model.graph.first_item + model.items.code(cause.key)
    return model.graph.first_user + user, model.interest_ids.to_list().index(cause.key)


def score(model: LightGCN, a: np.ndarray, user: int, item: int, *, without_person: bool = False) -> float:
    """The score with lengths as fitted: what explanations differentiate."""
    fixed = final(model, dense(model))
    person, target = model.graph.first_user + user, model.graph.first_item + item
    nodes = model.nodes.numpy().astype(np.float64)
    if without_person:
        nodes[person] = 0
    e = final(model, a, nodes)
    lengths = np.linalg.norm(fixed[person]) * np.linalg.norm(fixed[target]) if model.cosine else 1.0
    return float(e[person] @ e[target] / lengths)


@LOSSES
@pytest.mark.parametrize("self_loops", [False, True])
def test_scores_are_those_of_dense_propagation(loss: str, self_loops: bool) -> None:
    model = fitted(loss=loss, self_loops=self_loops)
    e = final(model, dense(model))
    users, items = e[model.graph.users], e[model.graph.items]
    if loss == "softmax":
        users, items = users / np.linalg.norm(users, axis=1, keepdims=True), items / np.linalg.norm(items, axis=1, keepdims=True)
    np.testing.assert_allclose(model.score(model.users.ids[:48]), users[:48] @ items.T, atol=1e-5)  # user 48 has no edge: below
    found = model.embeddings()
    assert {name: array.shape for name, array in found.items()} == {"user": (49, 8), "item": (25, 8), "interest": (2, 8)}
    np.testing.assert_allclose(found["user"] @ found["item"].T, model.score(model.users.ids), atol=1e-6)


@LOSSES
@pytest.mark.parametrize("self_loops", [False, True])
def test_causes_are_the_finite_differences_of_the_score(loss: str, self_loops: bool) -> None:
    model = fitted(loss=loss, self_loops=self_loops)
    user, item = 5, 1
    explanation = model.explain(model.users.ids[user], model.items.ids[item])
    assert explanation.score == pytest.approx(float(model.score([model.users.ids[user]])[0, item]), abs=1e-6)
    assert {cause.kind for cause in explanation.causes} == {"item", "interest", "person"}
    assert sum(cause.kind == "item" for cause in explanation.causes) == 6
    h = 1e-4
    for cause in explanation.causes:
        if cause.kind == "person":
            continue  # below
        a, b = edge_of(model, user, cause)
        sides = []
        for sign in (1, -1):
            moved = dense(model)
            moved[[a, b], [b, a]] *= 1 + sign * h
            sides.append(score(model, moved, user, item))
        assert cause.contribution == pytest.approx((sides[0] - sides[1]) / (2 * h), rel=1e-3, abs=1e-5)


@LOSSES
def test_the_persons_own_cause_is_the_gradient_times_layer_0(loss: str) -> None:
    model = fitted(loss=loss)
    user, item, h = 5, 1, 1e-4
    (cause,) = (c for c in model.explain(model.users.ids[user], model.items.ids[item]).causes if c.kind == "person")
    person, target = model.graph.first_user + user, model.graph.first_item + item
    fixed, sides = final(model, dense(model)), []
    lengths = np.linalg.norm(fixed[person]) * np.linalg.norm(fixed[target]) if model.cosine else 1.0
    for sign in (1, -1):
        nodes = model.nodes.numpy().astype(np.float64)
        nodes[person] *= 1 + sign * h
        e = final(model, dense(model), nodes)
        sides.append(e[person] @ e[target] / lengths)
    assert cause.contribution == pytest.approx((sides[0] - sides[1]) / (2 * h), rel=1e-3, abs=1e-5)


@LOSSES
def test_score_without_causes_propagates_anew(loss: str) -> None:
    model = fitted(loss=loss)
    user, item = 5, 1
    raw = model.users.ids[user], model.items.ids[item]
    causes = model.explain(*raw).causes
    assert model.score_without(*raw, []) == pytest.approx(model.explain(*raw).score, abs=1e-5)
    for removed in (causes[:1], causes[1:4], causes):
        a = dense(model)
        for cause in removed:
            if cause.kind != "person":
                i, j = edge_of(model, user, cause)
                a[[i, j], [j, i]] = 0
        expected = score(model, a, user, item, without_person=any(cause.kind == "person" for cause in removed))
        assert model.score_without(*raw, removed) == pytest.approx(expected, abs=1e-5)


def test_causes_that_are_nobodys_are_refused() -> None:
    model = fitted()
    theirs = set(model.items.decode(model.history[[5]].indices))
    other = next(raw for raw in model.items.ids if raw not in theirs)
    with pytest.raises(LoreweaveError, match="no edge to one of the causes"):
        model.score_without(model.users.ids[5], other, [Cause("item", other, "", 0.0)])
    with pytest.raises(UnknownId, match="unknown interest"):
        model.score_without(model.users.ids[5], other, [Cause("interest", "nothing", "", 0.0)])


@LOSSES
def test_a_newcomer_is_one_propagation_by_hand(loss: str) -> None:
    model = fitted(loss=loss)
    e, degree = final(model, dense(model)), model.graph.edges().degrees().numpy()
    items = [0, 3]
    nodes = [model.graph.first_item + items[0], model.graph.first_item + items[1]]
    vector = sum(e[node] / np.sqrt(degree[node] + 1) for node in nodes) / np.sqrt(2)
    targets = e[model.graph.items]
    if loss == "softmax":
        vector, targets = vector / np.linalg.norm(vector), targets / np.linalg.norm(targets, axis=1, keepdims=True)
    raw = [model.items.ids[item] for item in items]
    np.testing.assert_allclose(model.score_histories({"new": raw})[0], targets @ vector, atol=1e-5)
    explanation = model.explain_history(raw, model.items.ids[1])
    assert explanation.exact
    assert sum(cause.contribution for cause in explanation.causes) == pytest.approx(float(targets[1] @ vector), abs=1e-5)


def test_nobody_known_is_the_mean_of_the_fitted() -> None:
    model = fitted()
    mean = model.embeddings()["user"][:48].mean(axis=0)  # user 48 has no edge
    expected = model.embeddings()["item"] @ (mean / np.linalg.norm(mean))
    np.testing.assert_allclose(model.score_histories({"new": []})[0], expected, atol=1e-6)


@pytest.mark.parametrize("self_loops", [False, True])
def test_a_fitted_user_without_edges_is_nobody_known(self_loops: bool) -> None:
    """Its random start says nothing: scores, mean and validation do not depend on it."""
    model = fitted(self_loops=self_loops)
    assert model.graph.known_users.tolist() == [True] * 48 + [False]
    nobody = model.score_histories({"new": []})
    np.testing.assert_array_equal(model.score([QUIET]), nobody)
    (cause,) = model.explain(QUIET, model.items.ids[0]).causes
    assert (cause.kind, cause.contribution) == ("bias", pytest.approx(float(nobody[0, 0])))
    assert model.score_without(QUIET, model.items.ids[0], [cause]) == pytest.approx(float(nobody[0, 0]))
    network = lightgcn.LightGCNNetwork(model.graph, model.config, torch.Generator().manual_seed(1), None).eval()
    held_out = Interactions(np.array([48]), np.array([3]))
    validate = model._validation(held_out, lambda: model._scores_of(network), ("ndcg@20",))
    before = validate()
    with torch.no_grad():
        network.nodes[model.graph.first_user + 48] = network.nodes[model.graph.first_item + 3] * 100  # would rank item 3 first
    assert validate() == before < 1
    nodes = model.nodes.clone()
    nodes[model.graph.first_user + 48] *= -50
    model._adopt(model.graph, nodes)
    np.testing.assert_array_equal(model.score([QUIET]), nobody)


def test_switches_leave_out_nodes_and_edges() -> None:
    both, no_interests, no_triples = fitted(), fitted(interests=False), fitted(triples=False)
    assert both.graph.n - no_interests.graph.n == 2
    assert both.graph.n - no_triples.graph.n == 2
    assert {cause.kind for cause in no_interests.explain("005", both.items.ids[1]).causes} == {"item", "person"}
    alone = LightGCN(**SMALL).fit(checkerboard(), None)
    assert alone.graph.n_interests == 0
    np.testing.assert_array_equal(alone.score(["005"]), no_interests.score(["005"]))


def test_ranking_loss_is_the_softmax_over_all_items_of_the_cosine() -> None:
    model = LightGCN(**SMALL)
    model.fit(checkerboard(), checkerboard_interests())
    network = lightgcn.LightGCNNetwork(model.graph, model.config, torch.Generator().manual_seed(1), None)
    rows = torch.tensor([0, 7, 100])
    users, items = (torch.nn.functional.normalize(part, dim=1) for part in network.users_and_items())
    logits = users[network.user[rows]] @ items.T / model.config.temperature
    torch.testing.assert_close(network.losses(rows, 0)["ranking"], torch.nn.functional.cross_entropy(logits, network.item[rows]))


def test_the_sampled_partition_function_is_the_full_one_on_average() -> None:
    model = fitted(sampled_items=10)
    network = lightgcn.LightGCNNetwork(model.graph, model.config, torch.Generator().manual_seed(1), None)
    weights = torch.rand(25, generator=torch.Generator().manual_seed(2))
    totals = []
    for _ in range(3000):
        batch = network.item[torch.randint(len(network.item), (4,), generator=network.generator)]
        sample, place, log_q = network.sampler.draw(batch, network.config.sampled_items, network.generator)
        assert torch.equal(sample[place], batch)
        totals.append(float((weights[sample] / log_q.exp()).sum()))
    assert np.mean(totals) == pytest.approx(float(weights.sum()), rel=0.03)


def test_more_items_than_interactions_can_be_sampled() -> None:
    """30 items, 2 interactions: a draw is an item, or the item of an interaction."""
    graph = InterestGraph.of(sparse.csr_array(np.eye(2, 30, dtype=np.float32)), sparse.csr_array((2, 0), dtype=np.float32), None)
    config = LightGCN(**SMALL, sampled_items=2000).config
    network = lightgcn.LightGCNNetwork(graph, config, torch.Generator().manual_seed(1), None)
    sample, place, _ = network.sampler.draw(torch.tensor([1, 0]), network.config.sampled_items, network.generator)
    assert sample.tolist() == list(range(30))
    assert place.tolist() == [1, 0]


def test_the_sampled_softmax_learns_the_checkerboard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lightgcn, "FULL_SOFTMAX_ITEMS", 5)
    model = fitted(sampled_items=6, epochs=10)
    assert model.recommend(model.users.ids[:24], k=3)["item"].str.starts_with("rosé").mean() > 0.9


def test_a_fit_with_validation_keeps_its_best_epoch_and_tells_it() -> None:
    data = checkerboard()
    held_out = np.arange(len(data.interactions)) % 6 == 0
    train, valid = data.with_interactions(data.interactions.take(~held_out)), data.interactions.take(held_out)
    model = LightGCN(**{**SMALL, "epochs": 12, "patience": 3}).fit(train, checkerboard_interests(), valid)
    values = [row["valid"] for row in model.training]
    assert model.chosen_settings() == {"epochs": int(np.argmax(values)) + 1}
    assert model.metrics["valid_ndcg@20"] == max(values)
    again = LightGCN(**{**SMALL, "epochs": model.best_epoch}).fit(train, checkerboard_interests())
    np.testing.assert_array_equal(again.score(["003"]), model.score(["003"]))


def test_bpr_and_l2_are_those_of_the_batch() -> None:
    model = fitted(loss="bpr", l2=0.5)
    config, generator = model.config, torch.Generator().manual_seed(3)
    network = lightgcn.LightGCNNetwork(model.graph, config, generator, None)
    rows = torch.tensor([0, 7, 30])
    network.negatives.draw = lambda rows, generator: torch.tensor([4, 9, 2])  # type: ignore[method-assign]
    found = network.losses(rows, 0)
    user, positive, negative = network.user[rows], network.item[rows], torch.tensor([4, 9, 2])
    users, items = network.users_and_items()
    gap = (users[user] * (items[positive] - items[negative])).sum(dim=1)
    assert found["ranking"].item() == pytest.approx((-torch.log(torch.sigmoid(gap)).mean()).item(), rel=1e-5)
    nodes, graph = network.nodes, model.graph
    touched = [nodes[graph.first_user + user], nodes[graph.first_item + positive], nodes[graph.first_item + negative]]
    assert found["l2"].item() == pytest.approx(0.5 * sum(part.square().sum().item() for part in touched) / (2 * 3), rel=1e-5)


def test_edges_are_dropped_in_training_alone() -> None:
    network = lightgcn.LightGCNNetwork(fitted().graph, LightGCN(**SMALL, edge_dropout=0.5).config, torch.Generator().manual_seed(3), None)
    whole = network.eval().users_and_items()[1]
    assert torch.equal(network.eval().users_and_items()[1], whole)
    assert not torch.equal(network.train().users_and_items()[1], whole)


def test_a_validation_part_without_positives_is_none() -> None:
    nothing = Interactions(np.array([0], np.int32), np.array([1], np.int32), value=np.array([0.0], np.float32))
    model = LightGCN(**SMALL).fit(checkerboard(), checkerboard_interests(), nothing)
    np.testing.assert_array_equal(model.score(["003"]), fitted().score(["003"]))


def test_a_checkpoint_of_another_validation_part_or_with_a_flipped_bit_is_refused(tmp_path: Path) -> None:
    data = checkerboard()
    valid = data.interactions.take(np.arange(0, 30, 6))
    LightGCN(**SMALL).fit(data, checkerboard_interests(), valid, checkpoint=tmp_path / "c")
    with pytest.raises(SavedError, match="another validation"):
        LightGCN(**SMALL).fit(data, checkerboard_interests(), checkpoint=tmp_path / "c", resume=True)
    path = tmp_path / "c/checkpoint.safetensors"
    raw = bytearray(path.read_bytes())
    raw[-9] ^= 1
    path.write_bytes(raw)
    with pytest.raises(SavedError, match="damaged"):
        LightGCN(**SMALL).fit(data, checkerboard_interests(), valid, checkpoint=tmp_path / "c", resume=True)


def test_epochs_are_judged_by_the_sum_of_the_named_metrics() -> None:
    data = checkerboard()
    held_out = np.arange(len(data.interactions)) % 6 == 0
    train, valid = data.with_interactions(data.interactions.take(~held_out)), data.interactions.take(held_out)
    model = LightGCN(**SMALL, valid_metrics=["recall@5", "ndcg@3"]).fit(train, checkerboard_interests(), valid)
    found = evaluate(model, valid, ks=(3, 5)).metrics
    assert model.metrics["valid_recall@5+ndcg@3"] == pytest.approx(found["recall@5"] + found["ndcg@3"])
    with pytest.raises(LoreweaveError, match="valid_metrics"):
        LightGCN(valid_metrics=["mood@5"])


def test_resuming_a_killed_fit_gives_the_same_scores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = fitted(edge_dropout=0.2, loss="bpr")
    calls, real = iter(range(1000)), losses.bpr

    def killed(*arguments: Any) -> Any:
        if next(calls) == 14:
            raise KeyboardInterrupt
        return real(*arguments)

    model = LightGCN(**SMALL, edge_dropout=0.2, loss="bpr")
    with monkeypatch.context() as patched:
        patched.setattr(losses, "bpr", killed)
        with pytest.raises(KeyboardInterrupt):
            model.fit(checkerboard(), checkerboard_interests(), checkpoint=tmp_path / "c")
    resumed = LightGCN(**SMALL, edge_dropout=0.2, loss="bpr")
    resumed.fit(checkerboard(), checkerboard_interests(), checkpoint=tmp_path / "c", resume=True)
    np.testing.assert_array_equal(resumed.score(whole.users.ids), whole.score(whole.users.ids))


def test_the_record_of_training_is_saved(tmp_path: Path) -> None:
    model = fitted()
    model.save(tmp_path / "m")
    loaded = LightGCN.load(tmp_path / "m")
    assert loaded.training == model.training
    assert loaded.chosen_settings() == {"epochs": 5}
