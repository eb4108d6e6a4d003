"""CIKGRec's three further losses against what the paper's formulas give on a dense graph."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import torch.nn.functional as F  # noqa: E402
from scipy import sparse  # noqa: E402
from torch import Tensor  # noqa: E402

from loreweave.errors import LoreweaveError  # noqa: E402
from loreweave.learn import losses  # noqa: E402
from loreweave.models.graph.cikgrec import PAPER, CIKGRec, CIKGRecConfig, CIKGRecNetwork, _both_directions, mask_rate  # noqa: E402
from loreweave.models.graph.graph import InterestGraph  # noqa: E402
from loreweave.testing.checkerboard import checkerboard, checkerboard_interests  # noqa: E402

SMALL: dict[str, Any] = {"dim": 8, "epochs": 4, "batch_size": 64, "layers": 2}


def network(**settings: Any) -> CIKGRecNetwork:
    data = checkerboard()
    held, _ = checkerboard_interests().interest_matrix(data.users)
    graph = InterestGraph.of(data.matrix, held, data.triples)
    return CIKGRecNetwork(graph, CIKGRecConfig(**{**SMALL, **settings}), torch.Generator().manual_seed(1), data.triples)


def dense_mean(net: CIKGRecNetwork, kinds: list, layers: int, nodes: Tensor) -> Tensor:
    """Mean of the layers over a view, worked out with dense matrices."""
    edges = net.graph.edges(kinds)
    w = torch.zeros(edges.n, edges.n)
    w[torch.arange(edges.n).repeat_interleave(edges.crow.diff()), edges.col.long()] = 1.0
    scale = w.sum(1).clamp_min(1e-9).rsqrt() * (w.sum(1) > 0)
    a = scale[:, None] * w * scale[None, :]
    return sum(torch.matrix_power(a, layer) @ nodes for layer in range(layers + 1)) / (layers + 1)


@pytest.mark.parametrize(
    ("schedule", "epoch", "expected"),
    [
        ("constant", 0, 0.8),
        ("constant", 50, 0.8),
        ("linear", 0, 0.2),
        ("linear", 5, 0.5),
        ("linear", 10, 0.8),
        ("linear", 99, 0.8),
        ("exponential", 0, 0.2),
        ("exponential", 5, 0.4),  # 0.2 · 4^(1/2)
        ("exponential", 10, 0.8),
        ("exponential", 99, 0.8),
    ],
)
def test_mask_rates_by_hand(schedule: Any, epoch: int, expected: float) -> None:
    config = CIKGRecConfig(mask_schedule=schedule, mask_min=0.2, mask_max=0.8, schedule_epochs=10)
    assert mask_rate(config, epoch) == pytest.approx(expected)


def test_masking_replaces_the_share_asked_for_and_touches_nothing_else() -> None:
    net = network(replace_rate=0.25)
    with torch.no_grad():
        net.mask_token.fill_(7.0)
    interests = torch.arange(40.0).view(20, 2).repeat(1, 4)
    hidden, masked = net._masked(interests, 0.4)
    assert len(masked.unique()) == 8
    tokens = (hidden == 7.0).all(dim=1)
    assert int(tokens.sum()) == 6  # two of the eight were given another interest's row
    untouched = torch.ones(20, dtype=torch.bool)
    untouched[masked] = False
    assert torch.equal(hidden[untouched], interests[untouched])
    others = hidden[masked][~tokens[masked]]
    assert all(any(torch.equal(row, interest) for interest in interests) for row in others)
    assert len(net._masked(interests, 0.01)[1]) == 1  # never none


@pytest.mark.parametrize(("encoder", "decoder"), [(2, 1), (0, 1), (1, 2)])
def test_reconstruction_is_mask_encode_map_remask_decode(encoder: int, decoder: int) -> None:
    net = network(encoder_layers=encoder, decoder_layers=decoder, uir_edge_dropout=0.0, replace_rate=0.0)
    t, every = net.graph.n_interests, ["interests", "triples"]
    found = net._reconstruction(1.0)
    found.backward()
    gradients = net.nodes.grad.clone(), net.between.grad.clone(), net.mask_token.grad.clone()
    net.zero_grad()
    masked = torch.cat([net.mask_token.expand(t, -1), net.nodes[t:]])
    mapped = dense_mean(net, every, encoder, masked) @ net.between
    decoded = dense_mean(net, every, decoder, torch.cat([torch.zeros(t, 8), mapped[t:]]))
    expected = losses.scaled_cosine_error(decoded[:t], net.nodes[:t], 2.0)
    expected.backward()
    torch.testing.assert_close(found, expected)
    for one, other in zip(gradients, (net.nodes.grad, net.between.grad, net.mask_token.grad), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_contrast_is_info_nce_between_the_true_views() -> None:
    net = network(contrast_noise=0.0)
    graph, nodes = net.graph, net.nodes.detach()
    user, item = torch.tensor([3, 3, 30]), torch.tensor([1, 14, 1])  # somebody and something twice: each counts twice
    plain, interests, triples = (
        F.normalize(dense_mean(net, kinds, 2, nodes[graph.range_of(kinds)]), dim=1) for kinds in ([], ["interests"], ["triples"])
    )
    users, entities = interests[graph.users], triples[graph.n_users :]
    expected = F.cross_entropy(plain[: graph.n_users][user] @ users.T / 0.2, user)
    expected += F.cross_entropy(plain[graph.n_users :][item] @ entities.T / 0.2, item)
    assert len(entities) == graph.n_entities
    torch.testing.assert_close(net._contrast(user, item), expected)


def test_contrast_against_a_sample_has_fewer_negatives() -> None:
    net = network(contrast_noise=0.0, contrast_negatives=5)
    full = network(contrast_noise=0.0)
    user, item = torch.tensor([3, 30]), torch.tensor([1, 14])
    assert net._contrast(user, item) < full._contrast(user, item)


def test_triples_are_facts_and_interactions_in_both_directions() -> None:
    data = checkerboard()
    graph = InterestGraph.of(data.matrix, sparse.csr_array((data.n_users, 0), dtype=np.float32), data.triples)
    sampler, n_relations = _both_directions(graph, data.triples, True)
    met = len(data.triples.relations)
    u = data.n_users
    one_way = {(h + u, r, t + u) for h, r, t in zip(data.triples.head, data.triples.relation, data.triples.tail, strict=True)}
    one_way |= {(user, met, item + u) for user, item in zip(*data.matrix.nonzero(), strict=True)}
    both = one_way | {(t, r + met + 1, h) for h, r, t in one_way}
    assert n_relations == 2 * (met + 1)
    assert set(zip(*(part.tolist() for part in (sampler.head, sampler.relation, sampler.tail)), strict=True)) == both
    facts_alone, n_relations = _both_directions(graph, data.triples, False)
    assert (len(facts_alone.head), n_relations) == (2 * len(data.triples), 2 * met)


def test_transe_brings_true_tails_nearer() -> None:
    net = network(transe_batch_size=8, transe_lr=0.02)
    first = net.after_epoch(0)["transe"]
    for epoch in range(1, 40):
        last = net.after_epoch(epoch)["transe"]
    assert last < first
    assert net.relations.shape == (2, 8)  # one relation, and its inverse


@pytest.mark.parametrize(
    ("settings", "present"),
    [
        ({}, {"ranking", "l2", "reconstruction", "contrast", "transe"}),
        ({"uir": False}, {"ranking", "l2", "contrast", "transe"}),
        ({"contrast": False}, {"ranking", "l2", "reconstruction", "transe"}),
        ({"transe": False}, {"ranking", "l2", "reconstruction", "contrast"}),
        ({"triples": False}, {"ranking", "l2", "reconstruction", "contrast"}),
        ({"interests": False}, {"ranking", "l2", "contrast", "transe"}),
    ],
)
def test_each_part_can_be_left_out(settings: dict[str, Any], present: set[str]) -> None:
    model = CIKGRec(**{**SMALL, "epochs": 1, "l2": 1e-3, **settings}).fit(checkerboard(), checkerboard_interests())
    assert set(model.training[0]) - {"epoch", "seconds"} == present


def test_without_its_further_losses_it_is_lightgcn() -> None:
    from loreweave.models.graph.lightgcn import LightGCN

    shared = {**SMALL, "lr": 0.01, "temperature": 0.2}
    one = CIKGRec(**shared, uir=False, contrast=False, transe=False, ranking_weight=1.0).fit(checkerboard(), checkerboard_interests())
    other = LightGCN(**shared).fit(checkerboard(), checkerboard_interests())
    np.testing.assert_array_equal(one.score(["003"]), other.score(["003"]))


def test_the_papers_settings_are_settings() -> None:
    for settings in PAPER.values():
        config = CIKGRecConfig(**settings)
        assert (config.loss, config.dim, config.batch_size, config.lr) == ("bpr", 64, 1024, 8e-4)
    assert mask_rate(CIKGRecConfig(**PAPER["dbbook2014"]), 150) == pytest.approx(0.75)


def test_resuming_a_killed_fit_gives_the_same_scores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = CIKGRec(**SMALL).fit(checkerboard(), checkerboard_interests())
    real = CIKGRecNetwork.after_epoch

    def killed(self: CIKGRecNetwork, epoch: int) -> dict[str, float]:
        if epoch == 2:
            raise KeyboardInterrupt
        return real(self, epoch)

    with monkeypatch.context() as patched:
        patched.setattr(CIKGRecNetwork, "after_epoch", killed)
        with pytest.raises(KeyboardInterrupt):
            CIKGRec(**SMALL).fit(checkerboard(), checkerboard_interests(), checkpoint=tmp_path / "c")
    resumed = CIKGRec(**SMALL).fit(checkerboard(), checkerboard_interests(), checkpoint=tmp_path / "c", resume=True)
    np.testing.assert_array_equal(resumed.score(whole.users.ids), whole.score(whole.users.ids))


def test_a_mask_rate_that_would_shrink_is_refused() -> None:
    with pytest.raises(LoreweaveError, match="mask_min"):
        CIKGRec(mask_min=0.9, mask_max=0.3)


def test_a_loss_of_transe_that_is_not_finite_stops_the_fit() -> None:
    with pytest.raises(LoreweaveError, match="'transe' became"):
        CIKGRec(**SMALL, transe_lr=1e30, transe_batch_size=4).fit(checkerboard(), checkerboard_interests())
