"""LLM-ESR: two views by hand, and teachers that are not taught."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from cycle_world import batch_of_histories, fitted, said, stirred  # noqa: E402

from loreweave.models.sequential.llm_esr import LLMESRNetwork  # noqa: E402
from loreweave.models.sequential.llm_init import principal_components  # noqa: E402


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOREWEAVE_CACHE", str(tmp_path_factory.mktemp("cache")))


def network_of(**options: object) -> LLMESRNetwork:
    model = fitted("llm-esr", knowledge=said(), **{"epochs": 1, "neighbours": 2, "dropout": 0.0, **options})
    network = stirred(model._network(model.sequences, torch.Generator().manual_seed(1)))
    assert isinstance(network, LLMESRNetwork)
    return network


def test_states_and_keys_are_both_views() -> None:
    network = network_of()
    batch = batch_of_histories([[0, 5, 2]])  # nothing is said of 5
    with torch.no_grad():
        first, second = network.adapter
        said_of = second(first(network.vectors))
        said_of[5] = network.no_text[0]
        torch.testing.assert_close(network.keys(), torch.cat([said_of, network.items[:6]], dim=1))
        text, learnt = said_of[batch.items], network.items[batch.items]

        def across(asks: torch.Tensor, tells: torch.Tensor, layers: list[torch.nn.Module]) -> torch.Tensor:
            query, key, value = (layer(x) for layer, x in zip(layers, (asks, tells, tells), strict=True))
            logits = query @ key.T / 16**0.5
            return logits.masked_fill(torch.ones(3, 3, dtype=torch.bool).triu(1), -torch.inf).softmax(dim=1) @ value

        layers = list(network.across)
        views = [text + across(learnt, text, layers[:3]), learnt + across(text, learnt, layers[3:])]
        expected = torch.cat([network.backbone.encode(view, batch) for view in views], dim=1)
        torch.testing.assert_close(network.eval().states(batch), expected, rtol=1e-4, atol=1e-5)


def test_the_bank_is_filled_with_the_states_of_those_trained() -> None:
    network = network_of()
    assert not network.bank.any()
    people = torch.tensor([3, 8, 4])
    batch, _, _ = network.next_items(people)
    states = network.states(batch)
    found = network.further_losses(batch, states)
    assert found["distillation"].item() == 0  # nobody has been trained before, so that nobody teaches
    assert sorted(network.bank.any(dim=1).nonzero().squeeze(1).tolist()) == [3, 4, 8]
    torch.testing.assert_close(network.bank[batch.people], states[batch.last].detach())
    assert not network.bank.requires_grad


def test_distillation_by_hand_and_teachers_carry_no_gradient() -> None:
    network = network_of(distillation=0.5)
    network.alike = torch.full((32, 2), -1)
    network.alike[3], network.alike[8] = torch.tensor([20, 21]), torch.tensor([22, -1])  # 22 was never trained: it says nothing
    with torch.no_grad():
        network.bank[20], network.bank[21] = 1.0, 3.0
    batch, _, _ = network.next_items(torch.tensor([3, 8]))
    states = network.states(batch).detach().requires_grad_()
    before = network.bank.clone()
    loss = network.further_losses(batch, states)["distillation"]
    row = batch.people.tolist().index(3)
    newest = states[batch.last[row]]
    expected = 0.5 * (newest - 2.0).square().mean() / 2  # over two people, one of whom has a teacher
    torch.testing.assert_close(loss, expected)
    (gradient,) = torch.autograd.grad(loss, states)
    assert gradient.abs().sum(dim=1).nonzero().squeeze(1).tolist() == [int(batch.last[row])]
    torch.testing.assert_close(gradient[batch.last[row]], 0.5 * (newest.detach() - 2.0) / 32)
    assert torch.equal(network.bank[20:23], before[20:23])


def test_without_people_or_weight_there_is_no_further_loss() -> None:
    for options, knowledge in (({"distillation": 0.0}, said()), ({}, said().only("item_text"))):
        model = fitted("llm-esr", knowledge=knowledge, epochs=2, **options)
        assert "distillation" not in model.training[-1]
    assert "distillation" in fitted("llm-esr", knowledge=said(), epochs=2).training[-1]


def test_nobody_teaches_themselves() -> None:
    model = fitted("llm-esr", knowledge=said(), epochs=1, neighbours=5)
    alike = model.network.alike.numpy()
    assert (alike != np.arange(32)[:, None]).all()
    assert 30 not in alike  # met nothing
    assert (alike[1] == -1).all()  # nothing is said of p1


def test_learnt_vectors_start_as_principal_components() -> None:
    model = fitted("llm-esr", knowledge=said(), epochs=1)
    network = model._network(model.sequences, torch.Generator().manual_seed(1))
    model._start(network)
    start = network.items.detach().numpy()
    components = principal_components(model.item_vectors, 16)
    np.testing.assert_array_equal(start[:5, : components.shape[1]], components[:5])


def test_text_vectors_are_frozen() -> None:
    model = fitted("llm-esr", knowledge=said(), epochs=3)
    np.testing.assert_array_equal(model.network.vectors.numpy(), model.item_vectors)
    assert "vectors" not in model.network.state_dict()
