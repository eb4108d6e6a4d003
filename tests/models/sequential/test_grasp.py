"""GRASP: gates that can close, means that stay causal, people of whom a text is all that is known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from cycle_world import SMALL, batch_of_histories, cycle, fitted, said, stirred  # noqa: E402
from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from torch import Tensor  # noqa: E402

from loreweave.knowledge.records import Knowledge, Record  # noqa: E402
from loreweave.learn.neighbours import mean_of  # noqa: E402
from loreweave.models import load  # noqa: E402
from loreweave.models.sequential.grasp import GRASP, GRASPNetwork, running_mean, running_softmax  # noqa: E402
from loreweave.models.sequential.llm_init import principal_components  # noqa: E402

LENGTHS = st.lists(st.integers(1, 30), min_size=1, max_size=6)


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOREWEAVE_CACHE", str(tmp_path_factory.mktemp("cache")))


def grasp(knowledge: Knowledge | None = None, **options: Any) -> GRASP:
    model = fitted("grasp", knowledge=said() if knowledge is None else knowledge, **{"epochs": 3, **options})
    assert isinstance(model, GRASP)
    return model


def network_of(**options: Any) -> GRASPNetwork:
    model = grasp(epochs=1, **options)
    network = stirred(model._network(model.sequences, torch.Generator().manual_seed(1))).eval()
    assert isinstance(network, GRASPNetwork)
    return network


def naive(lengths: list[int], scores: Tensor, weigh: Any, *, causal: bool) -> Tensor:
    """`weigh` of what each token sees, the last of it being the token itself where causal."""
    out, start = [], 0
    for length in lengths:
        own = scores[start : start + length]
        out += [weigh(own[: place + 1] if causal else own, own[place]) for place in range(length)]
        start += length
    return torch.stack(out)


@pytest.mark.parametrize("causal", [True, False])
class TestRunning:
    @settings(max_examples=25)
    @given(lengths=LENGTHS, seed=st.integers(0, 99))
    def test_mean_against_a_loop(self, lengths: list[int], seed: int, causal: bool) -> None:
        lengths = sorted(lengths, reverse=True)
        x = torch.randn(sum(lengths), 3, generator=torch.Generator().manual_seed(seed), requires_grad=True)
        found = running_mean(x, batch_of_histories([[0] * n for n in lengths]), causal=causal)
        expected = naive(lengths, x, lambda seen, _: seen.mean(dim=0), causal=causal)
        torch.testing.assert_close(found, expected)
        weight = torch.randn(found.shape, generator=torch.Generator().manual_seed(seed + 1))
        gradients = [torch.autograd.grad((one * weight).sum(), x)[0] for one in (found, expected)]
        torch.testing.assert_close(gradients[0], gradients[1])

    @settings(max_examples=25)
    @given(lengths=LENGTHS, seed=st.integers(0, 99), size=st.sampled_from([1.0, 50.0]))
    def test_softmax_against_a_loop(self, lengths: list[int], seed: int, size: float, causal: bool) -> None:
        """Weights of a history do not depend on how large the scores of another are."""
        lengths = sorted(lengths, reverse=True)
        scores = (torch.randn(sum(lengths), 1, generator=torch.Generator().manual_seed(seed)) * size).requires_grad_()
        found = running_softmax(scores, batch_of_histories([[0] * n for n in lengths]), causal=causal)
        expected = naive(lengths, scores, lambda seen, own: len(seen) * (own - seen.logsumexp(dim=0)).exp(), causal=causal)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
        weight = torch.randn(found.shape, generator=torch.Generator().manual_seed(seed + 1))
        gradients = [torch.autograd.grad((one * weight).sum(), scores)[0] for one in (found, expected)]
        torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-3, atol=1e-3)


class TestFormula:
    @pytest.mark.parametrize("attention", ["sigmoid", "softmax"])
    @pytest.mark.parametrize("backbone", ["sasrec", "bert4rec"])
    def test_what_is_added_is_the_formula_written_out(self, backbone: str, attention: str) -> None:
        """As in the head of the module, token by token, in float64. A softmax competes over what a token sees, with half the weight."""
        network = network_of(backbone=backbone, attention=attention, dim=4, heads=1, dropout=0.0)
        layer, width = network.texts, network.texts.of_user.in_features
        texts = np.random.default_rng(1).standard_normal((2, 2, width)).astype(np.float32)
        histories = [[0, 3, 5, 1], [4, 2]]  # of item 5 no text says anything
        with torch.no_grad():
            found = layer(batch_of_histories(histories, texts), 6).numpy()
            array = {name: value.double().numpy() for name, value in layer.state_dict().items()}
            tables = layer.item.double().numpy(), layer.similar.double().numpy()
            fuse = layer.fuse.double()
        expected = []

        def value(table: np.ndarray, item: int) -> np.ndarray:
            return array["of_item.weight"] @ table[item] if table[item].any() else array["no_item"][0]

        def weights(person: np.ndarray, vectors: np.ndarray, head: int) -> np.ndarray:
            query = array[f"query.{head}.weight"] @ person + array[f"query.{head}.bias"]
            keys = vectors @ array[f"key.{head}.weight"].T + array[f"key.{head}.bias"]
            scores = keys @ query / np.sqrt(4)
            return 1 / (1 + np.exp(-scores)) if attention == "sigmoid" else len(scores) * 0.5 * np.exp(scores) / np.exp(scores).sum()

        for history, said_of in zip(histories, texts.astype(np.float64), strict=True):
            own, alike = (array["of_user.weight"] @ part for part in said_of)
            for place in range(len(history)):
                seen = history[: place + 1] if backbone == "sasrec" else history
                views = [np.array([value(table, item) for item in seen]) for table in tables]
                local = [weights(person, views[head], head)[place] * views[head][place] for head, person in enumerate((own, alike))]
                parts = [*local, np.sum([weights(own, view, 2) @ view / len(seen) for view in views], axis=0)]
                with torch.no_grad():
                    expected.append(fuse(torch.from_numpy(np.concatenate(parts))).numpy())
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)

    def test_closed_gates_make_texts_count_for_nothing(self) -> None:
        """Query and key of opposite directions: σ → 0, whatever the texts."""
        network = network_of(attention="sigmoid")
        with torch.no_grad():
            for query, key in zip(network.texts.query, network.texts.key, strict=True):
                query.weight.zero_(), key.weight.zero_(), query.bias.fill_(100.0), key.bias.fill_(-100.0)
        batch = batch_of_histories([[0, 1, 2, 3], [4, 5]])
        texts = torch.randn(2, 2, network.texts.of_user.in_features)
        with torch.no_grad():
            plain = network.texts(batch, 6)
            network.texts.item.copy_(torch.randn(network.texts.item.shape) * 10)
            network.texts.similar.copy_(torch.randn(network.texts.similar.shape) * 10)
            network.people_texts = None
            told = network.texts(batch_of_histories([[0, 1, 2, 3], [4, 5]], texts.numpy()), 6)
            constant = network.texts.fuse(torch.zeros(1, 3 * SMALL["dim"]))
        torch.testing.assert_close(plain, constant.expand(6, -1))
        torch.testing.assert_close(told, plain)

    def test_keys_are_item_vectors_and_the_adapted_text(self) -> None:
        network = network_of()
        assert network.adapter is not None
        with torch.no_grad():
            expected = network.items[:6] + network.texts.item @ network.adapter.weight.T
            torch.testing.assert_close(network.keys(), expected)
        assert torch.equal(network_of(text_keys=False).keys(), network_of(text_keys=False).items[:6])

    def test_item_vectors_start_from_texts_or_at_random(self) -> None:
        model, plain = grasp(epochs=1), grasp(epochs=1, start="random")
        networks = [each._network(each.sequences, torch.Generator().manual_seed(1)) for each in (model, plain)]
        model._start(networks[0]), plain._start(networks[1])
        started, usual = (each.items.detach().numpy() for each in networks)
        components = principal_components(model.item_vectors, SMALL["dim"])
        np.testing.assert_array_equal(started[:5, : components.shape[1]], components[:5])
        np.testing.assert_array_equal(started[5:], usual[5:])  # nothing is said of f
        assert not np.isclose(started[:5], usual[:5]).all(axis=1).any()

    def test_what_reads_texts_takes_smaller_steps(self) -> None:
        """Adam's first step is as long as its rate, whatever the gradient."""
        network = network_of(learning_rate=0.01, text_rate=0.25, dropout=0.0).train()
        before = {name: value.detach().clone() for name, value in network.named_parameters()}
        network.losses(torch.arange(4), 0)["ranking"].backward()
        network.optimizers["main"].step()
        moved = {name: (value.detach() - before[name]).abs().max().item() for name, value in network.named_parameters()}
        assert min(moved["items"], moved["texts.of_item.weight"], moved["adapter.weight"]) > 0
        for name, step in moved.items():
            assert step == 0 or step == pytest.approx(0.0025 if name.startswith(("texts.", "adapter.")) else 0.01, rel=0.02), name

    def test_people_are_dropped_in_training_alone(self) -> None:
        for rate in (0.0, 1.0):
            network = network_of(people_dropout=rate, dropout=0.0)
            batch, _, _ = network.next_items(torch.tensor([0, 2, 4]))
            assert network.people_texts is not None
            texts = np.stack([table[batch.people].numpy() for table in network.people_texts], axis=1)
            with torch.no_grad():
                trained = network.train().inputs(batch)
                told = network.eval().inputs(replace(batch, texts=torch.from_numpy(texts if rate == 0 else np.zeros_like(texts))))
            torch.testing.assert_close(trained, told)


class TestSimilar:
    def test_similar_is_the_mean_of_the_nearest(self) -> None:
        model = grasp(neighbours=1)
        network = model.network
        assert isinstance(network, GRASPNetwork)
        # a and b share words, and so do c and d; e was never met, so that it is nobody's neighbour; nothing is said of f
        assert model.item_neighbours[:, 0].tolist()[:4] == [1, 0, 3, 2]
        assert model.item_neighbours[5].tolist() == [-1]
        torch.testing.assert_close(network.texts.similar[0], torch.from_numpy(model.item_vectors[1]))
        assert not network.texts.similar[5].any()

    def test_none_has_nobody(self) -> None:
        model = grasp(similar="none")
        assert (model.item_neighbours == -1).all()
        assert (model.user_neighbours == -1).all()
        texts = model._strangers({"p": ["a"]}, Knowledge.from_records([Record(kind="user_text", user="p", text="likes wine")])).texts
        assert texts is not None
        assert texts[0, 0].any()
        assert not texts[0, 1].any()  # a newcomer is told no more of those alike than whom it was trained on

    def test_random_keeps_places_without_a_neighbour(self) -> None:
        true, drawn = grasp(neighbours=6), grasp(neighbours=6, similar="random")
        for name in ("item_neighbours", "user_neighbours"):
            left, right = getattr(true, name), getattr(drawn, name)
            np.testing.assert_array_equal(left < 0, right < 0)
            assert (left < 0).any()
            assert not np.array_equal(left, right)
        assert set(drawn.item_neighbours.ravel().tolist()) <= {-1, 0, 1, 2, 3}  # met, and with a text
        assert not {1, 30} & set(drawn.user_neighbours.ravel().tolist())  # no text; no history
        people = drawn._strangers({"p": ["a"]}, Knowledge.from_records([Record(kind="user_text", user="p", text="likes wine and grapes")]))
        assert people.alike is not None
        assert not np.isin(people.alike, true._alike(people.texts[:, 0])).all()  # type: ignore[index]

    def test_random_neighbours_are_never_oneself(self) -> None:
        for seed in range(8):
            drawn = grasp(neighbours=6, similar="random", seed=seed, epochs=1)
            for found in (drawn.item_neighbours, drawn.user_neighbours):
                assert (found != np.arange(len(found))[:, None]).all()

    def test_a_newcomer_is_drawn_the_same_neighbours_whoever_else_is_asked_about(self) -> None:
        drawn = grasp(similar="random", start="random")
        known = Knowledge.from_records([Record(kind="user_text", user=name, text="likes wine and grapes") for name in "pqr"])
        together = drawn.score_histories({"q": ["b"], "r": ["c"], "p": ["a", "b"]}, known)
        np.testing.assert_allclose(together[2:], drawn.score_histories({"p": ["a", "b"]}, known), rtol=1e-5)

    def test_nothing_is_searched_for_where_nobody_is_read(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(*_: Any, **__: Any) -> None:
            raise AssertionError("searched")

        for name in ("nearest", "cached_nearest"):
            monkeypatch.setattr(f"loreweave.models.sequential.texts.{name}", refuse)
        known = Knowledge.from_records([Record(kind="user_text", user="p", text="likes wine")])
        assert grasp(similar="none", epochs=1).score_histories({"p": ["a"]}, known).any()


def test_what_is_said_to_mean_nothing_without_knowledge_changes_nothing() -> None:
    plain = fitted("grasp", epochs=3)
    idle = set(GRASP.idle_settings(cycle(), Knowledge.none()))
    changes = [change for name, change in GRASP().ablations().values() if name == "grasp" and set(change) <= idle]
    assert len(changes) >= 5
    for change in changes:
        np.testing.assert_array_equal(fitted("grasp", epochs=3, **change).score(["p3"]), plain.score(["p3"]), str(change))


class TestPeople:
    def test_shuffled_texts_change_scores(self) -> None:
        plain, shuffled = grasp(), grasp(said().shuffled(1))
        assert np.abs(plain.score(["p3"]) - shuffled.score(["p3"])).max() > 1e-5

    def test_people_can_be_left_unread(self) -> None:
        model = grasp(people=False)
        assert model.user_vectors.shape == (32, 0)
        assert model._fitted(np.arange(3)).texts is None
        same = grasp(said().only("item_text"))
        np.testing.assert_array_equal(model.score(["p3"]), same.score(["p3"]))

    def test_a_newcomer_with_a_text_alone_scores_as_those_alike(self) -> None:
        model = grasp(neighbours=3)
        text = Knowledge.from_records([Record(kind="user_text", user="new", text="likes tea and leaves number7")])
        vector = model.encoder.encode(["likes tea and leaves number7"])[0]  # type: ignore[union-attr]
        active = np.diff(model.history.indptr) > 0
        cosines = np.where(active, model.user_vectors @ vector, -np.inf)
        (alike,) = model._alike(vector[None])
        assert alike[0] == 7
        np.testing.assert_allclose(cosines[alike], np.sort(cosines)[::-1][:3], atol=1e-6)
        expected = model.states[alike].mean(axis=0) @ model.keys.T
        np.testing.assert_allclose(model.score_histories({"new": []}, text)[0], expected, atol=1e-5)
        nothing = model.score_histories({"new": []})[0]
        np.testing.assert_allclose(nothing, np.bincount(model.history.indices, minlength=6) / 32, rtol=1e-6)

    def test_a_fitted_user_who_met_nothing_scores_as_those_alike(self) -> None:
        model = grasp(neighbours=3)
        expected = mean_of(model.user_neighbours[[30]], model.states)[0] @ model.keys.T
        np.testing.assert_allclose(model.score(["p30"])[0], expected, atol=1e-5)
        assert 30 not in model.user_neighbours

    def test_what_is_taken_away_does_not_come_back_from_ones_own_state(self) -> None:
        """Without any item a fitted user is scored as those alike, of whom they are none themselves."""
        model = grasp(neighbours=3)
        causes = model.explain("p4", "e").causes
        before = model.score_without("p4", "e", causes)
        model.states[4] += 100.0
        assert model.score_without("p4", "e", causes) == pytest.approx(before, abs=1e-5)

    def test_texts_are_kept_with_the_model(self, tmp_path: Path) -> None:
        model = grasp(backbone="bert4rec", epochs=30)
        model.save(tmp_path / "m")
        loaded = load(tmp_path / "m")
        text = Knowledge.from_records([Record(kind="user_text", user=name, text="likes black tea") for name in ("new", "known")])
        histories: dict[str, list[str]] = {"new": [], "known": ["a", "b"], "silent": ["a", "b"]}
        scores = model.score_histories(histories, text)
        np.testing.assert_array_equal(loaded.score_histories(histories, text), scores)
        assert np.abs(scores[1] - scores[2]).max() > 1e-6
        for name in ("item_vectors", "item_neighbours", "user_vectors", "user_neighbours"):
            np.testing.assert_array_equal(getattr(loaded, name), getattr(model, name))

    def test_a_fit_does_not_depend_on_what_is_said_of_nobody(self) -> None:
        """Texts about strangers and unknown items are not read."""
        more = said().merged(
            Knowledge.from_records(
                [Record(kind="user_text", user="stranger", text="likes beer"), Record(kind="item_text", item="zzz", text="a beer")]
            )
        )
        np.testing.assert_array_equal(grasp(more).score(cycle().users.ids), grasp().score(cycle().users.ids))
