"""What every neural sequential model must do: know its order, see nothing that comes later, go on as if never stopped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from cycle_world import NEURAL, READERS, SMALL, batch_of_histories, cycle, dataset_of, fitted, said, states_by_person, stirred  # noqa: E402
from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from loreweave.data.dataset import Interactions  # noqa: E402
from loreweave.errors import DataError, LoreweaveError, NotFitted, SavedError  # noqa: E402
from loreweave.evaluate.evaluation import evaluate  # noqa: E402
from loreweave.learn import losses  # noqa: E402
from loreweave.learn.sequences import Sequences  # noqa: E402
from loreweave.models import create, load, model_class  # noqa: E402
from loreweave.models.sequential import network as networks  # noqa: E402
from loreweave.models.sequential import neural  # noqa: E402
from loreweave.models.sequential.gru4rec import Recurrent  # noqa: E402
from loreweave.models.sequential.network import SequenceNetwork  # noqa: E402
from loreweave.models.sequential.sasrec import SASRecConfig, Transformer  # noqa: E402

ALL = pytest.mark.parametrize("name", NEURAL)
LEARNS: dict[str, Any] = {"epochs": 40, "batch_size": 4, "dropout": 0.0}
"""Settings under which every one of them learns the cycle."""


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOREWEAVE_CACHE", str(tmp_path_factory.mktemp("cache")))


def knowledge_of(name: str) -> Any:
    return said() if name in READERS else None


def network_of(name: str, **settings: Any) -> SequenceNetwork:
    """An untrained network with large random parameters, over 6 items and the histories of the cycle."""
    model = fitted(name, knowledge=knowledge_of(name), **{"epochs": 1, "heads": 2, "blocks": 2, **settings})
    return stirred(model._network(model.sequences, torch.Generator().manual_seed(1))).eval()


class TestCausality:
    """A state knows its own position and older ones; texts do not change that."""

    NETWORKS = pytest.mark.parametrize(
        ("name", "options"),
        [
            ("sasrec", {}),
            ("sasrec", {"pre_norm": False}),
            ("gru4rec", {}),
            ("llm-init", {}),
            ("llm-esr", {}),
            ("llm-esr", {"backbone": "gru4rec"}),
            ("grasp", {}),
            ("grasp", {"backbone": "gru4rec"}),
            ("grasp", {"attention": "softmax"}),
            ("grasp", {"attention": "none"}),
        ],
        ids=str,
    )

    @NETWORKS
    def test_what_comes_later_and_who_else_is_there_change_nothing(self, name: str, options: dict[str, Any]) -> None:
        network, rng = network_of(name, **options), np.random.default_rng(1)
        texts = None
        if name == "grasp":
            texts = rng.standard_normal((3, 2, network.texts.of_user.in_features)).astype(np.float32)
        one = rng.integers(0, 6, 9).tolist()
        others = [rng.integers(0, 6, 12).tolist(), rng.integers(0, 6, 3).tolist()]
        (found, *_) = states_by_person(network, [one, *others], texts)
        for place in range(9):
            changed = [*one[: place + 1], *((item + 1 + rng.integers(0, 5)) % 6 for item in one[place + 1 :])]
            strangers = [rng.integers(0, 6, length).tolist() for length in (2, 11)]
            (again, *_) = states_by_person(network, [changed, *strangers], texts)
            torch.testing.assert_close(again[: place + 1], found[: place + 1], rtol=1e-4, atol=1e-5)
            if place < 8:
                assert (again[place + 1] - found[place + 1]).abs().max() > 1e-3  # it is seen where it stands

    @NETWORKS
    def test_no_gradient_comes_from_later_tokens(self, name: str, options: dict[str, Any]) -> None:
        network = network_of(name, **options)
        batch = batch_of_histories([[0, 1, 2, 3, 4, 5]])  # each item once, so that an item's vector is a place's input
        state = network.states(batch)[2]
        (gradient,) = torch.autograd.grad(state.square().sum(), network.items)
        assert (gradient[:3].abs().sum(dim=1) > 0).all()
        assert gradient[3:6].abs().sum() == 0

    @pytest.mark.parametrize(("name", "options"), [("bert4rec", {}), *((reader, {"backbone": "bert4rec"}) for reader in READERS)], ids=str)
    def test_a_masked_item_is_not_seen_at_any_place(self, name: str, options: dict[str, Any]) -> None:
        network = network_of(name, **options)
        histories = Sequences.of_lengths(np.array([6, 4]), np.array([0, 1, 2, 3, 4, 5, 2, 3, 0, 1], np.int32))
        states = []
        for hidden in (3, 5):  # what stands at the masked place, and nothing else, differs
            items = histories.items.copy()
            items[1] = hidden
            network.met = torch.from_numpy(items.astype(np.int64))
            network.ends, network.lengths = torch.from_numpy(histories.indptr[1:]), torch.from_numpy(histories.lengths)
            network.config = network.config.model_copy(update={"mask_share": 0.4, "mask_last": 0.0})
            network.generator.manual_seed(2)
            batch, target, asked = network.masked_items(torch.tensor([0, 1]))
            assert 1 in asked.tolist()
            assert target[asked.tolist().index(1)] == hidden
            with torch.no_grad():
                states.append(network.states(batch))
        torch.testing.assert_close(states[0], states[1], rtol=0, atol=0)

    def test_a_cloze_backbone_sees_both_sides(self) -> None:
        network = network_of("bert4rec")
        first, second = (states_by_person(network, [[0, 1, 2, item]])[0] for item in (3, 4))
        assert (first[0] - second[0]).abs().max() > 1e-3


class TestBatches:
    def test_next_items_by_hand(self) -> None:
        network = network_of("sasrec", max_length=3)
        sequences = Sequences.of_lengths(np.array([2, 0, 5]), np.array([0, 1, 2, 3, 4, 5, 0], np.int32))
        network.ends, network.lengths = torch.from_numpy(sequences.indptr[1:]), torch.from_numpy(sequences.lengths)
        network.met = torch.from_numpy(sequences.items.astype(np.int64))
        batch, target, asked = network.next_items(torch.tensor([0, 2]))
        assert asked is None
        assert batch.people.tolist() == [2, 0]
        assert batch.items.tolist() == [3, 4, 5, 0]  # of five items the last four are a window: three to read, three to ask for
        assert target.tolist() == [4, 5, 0, 1]

    def test_masked_items_stand_where_they_are_asked_for(self) -> None:
        network = network_of("bert4rec", mask_share=0.5, mask_last=0.5)
        batch, target, asked = network.masked_items(torch.arange(20))
        whole = network_of("bert4rec")
        histories = whole.sequences.take(batch.people.numpy()).newest(12).items
        assert (batch.items[asked] == 6).all()
        expected = torch.from_numpy(histories.astype(np.int64))
        assert torch.equal(target, expected[asked])
        kept = torch.ones(len(expected), dtype=torch.bool)
        kept[asked] = False
        assert torch.equal(batch.items[kept], expected[kept])

    @pytest.mark.parametrize(("share", "last"), [(0.2, 0.3), (0.5, 0.0)])
    def test_how_often_is_masked(self, share: float, last: float) -> None:
        network = network_of("bert4rec", mask_share=share, mask_last=last)
        everybody = torch.tensor([person for person in network.people.tolist() if network.lengths[person] > 3] * 200)
        batch, _, asked = network.masked_items(everybody)
        hidden = batch.items == 6
        assert hidden.sum() == len(asked)
        newest = batch.age == 0
        assert hidden[~newest].double().mean().item() == pytest.approx(share, abs=0.02)
        assert hidden[newest].double().mean().item() == pytest.approx(1 - (1 - share) * (1 - last), abs=0.02)

    def test_something_is_always_asked_for(self) -> None:
        network = network_of("bert4rec", mask_share=1e-9, mask_last=0.0)
        batch, target, asked = network.masked_items(torch.tensor([0, 1]))
        assert torch.equal(asked, batch.last)
        assert len(target) == 2
        assert (batch.items[batch.last] == 6).all()

    def test_people_of_one_item_are_not_asked_what_came_next(self) -> None:
        assert network_of("sasrec").people.tolist() == list(range(30))
        assert network_of("bert4rec").people.tolist() == [*range(30), 31]


class TestRanking:
    def scores(self, network: SequenceNetwork, people: list[int]) -> tuple[torch.Tensor, torch.Tensor, Any]:
        batch, target, _ = network.next_items(torch.tensor(people))
        with torch.no_grad():
            return network.states(batch) @ network.keys().T, target, batch

    def test_softmax_is_over_all_items_at_all_places(self) -> None:
        network = network_of("sasrec")
        logits, target, _ = self.scores(network, [3, 8, 1])
        expected = torch.nn.functional.cross_entropy(logits, target)
        torch.testing.assert_close(network.losses(torch.tensor([3, 8, 1]), 0)["ranking"].detach(), expected)

    def test_bce_has_one_negative_that_the_person_never_met(self) -> None:
        network = network_of("sasrec", loss="bce")
        state = network.generator.get_state()
        found = network.losses(torch.tensor([3, 8]), 0)["ranking"].item()
        logits, target, batch = self.scores(network, [3, 8])
        network.generator.set_state(state)
        drawn = network.unmet.draw(batch.people[batch.owner], network.generator)
        for row, item in zip(batch.people[batch.owner].tolist(), drawn.tolist(), strict=True):
            assert item not in network.sequences.take(np.array([row])).items
        right, wrong = (logits.gather(1, items.unsqueeze(1)) for items in (target, drawn))
        assert found == pytest.approx(losses.bce(right.squeeze(1), wrong).item(), rel=1e-5)

    def test_gbce_by_its_formula(self) -> None:
        network = network_of("sasrec", loss="gbce", negatives=4, calibration=0.5)
        state = network.generator.get_state()
        found = network.losses(torch.tensor([3, 8]), 0)["ranking"].item()
        logits, target, _ = self.scores(network, [3, 8])
        network.generator.set_state(state)
        drawn = torch.randint(6, (4,), generator=network.generator)
        share = 4 / 5  # of the other items
        power = 0.5 * share + 0.5
        right = logits.gather(1, target.unsqueeze(1)).squeeze(1)
        away = torch.where(target.unsqueeze(1) == drawn, 0.0, torch.nn.functional.logsigmoid(-logits[:, drawn]))
        assert not away.all(), "some target is among the negatives, and must not be its own"
        expected = -(power * torch.nn.functional.logsigmoid(right) + away.sum(dim=1)).mean()
        assert found == pytest.approx(expected.item(), rel=1e-5)

    @pytest.mark.parametrize("loss", ["bce", "gbce", "sampled"])
    def test_every_loss_learns_the_cycle(self, loss: str, monkeypatch: pytest.MonkeyPatch) -> None:
        if loss == "sampled":
            monkeypatch.setattr(networks, "FULL_SOFTMAX_ITEMS", 3)
        options = {"sampled_items": 4} if loss == "sampled" else {"loss": loss, "negatives": 3}
        # Nobody goes all the way round, so that what comes later can be a negative, which BCE draws among what a person never met.
        data = dataset_of(["abcdabc"[n % 4 :][: 2 + n // 4 % 2] for n in range(40)])
        model = fitted("sasrec", data, **{**LEARNS, **options})
        after = model.recommend_histories({start: [start] for start in "abcd"}, k=1)
        assert dict(zip(after["user"], after["item"], strict=True)) == {"a": "b", "b": "c", "c": "d", "d": "a"}


@ALL
class TestModels:
    def test_what_comes_next_in_the_cycle_is_first(self, name: str) -> None:
        model = fitted(name, knowledge=knowledge_of(name), **LEARNS)
        histories = {"b": list("cda"), "c": list("ab"), "d": list("dabc"), "a": list("abcd"), "long": list("abcd" * 5 + "a")}
        found = model.recommend_histories(histories, k=1, exclude_seen=False)
        expected = {"b": "b", "c": "c", "d": "d", "a": "a", "long": "b"}
        assert dict(zip(found["user"], found["item"], strict=True)) == expected
        fitted_users = model.recommend(k=1, exclude_seen=False)
        for person, item in zip(fitted_users["user"], fitted_users["item"], strict=True):
            history = model.sequences.take(np.array([int(person[1:])])).items
            if len(history) > 1:
                assert item == "abcd"[(history[-1] + 1) % 4], person

    def test_resuming_gives_the_uninterrupted_fit_to_the_bit(self, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        options: dict[str, Any] = {"epochs": 4, "dropout": 0.3}
        data, knowledge = cycle(), knowledge_of(name)
        valid = Interactions(np.array([3, 7, 12]), np.array([4, 5, 5]))
        whole = create(name, {**SMALL, **options}).fit(data, knowledge, valid)
        calls, real = iter(range(1000)), losses.softmax

        def killed(*arguments: Any, **more: Any) -> Any:
            if next(calls) == 10:  # in the third epoch
                raise KeyboardInterrupt
            return real(*arguments, **more)

        model = create(name, {**SMALL, **options})
        with monkeypatch.context() as patched:
            patched.setattr(losses, "softmax", killed)
            with pytest.raises(KeyboardInterrupt):
                model.fit(data, knowledge, valid, checkpoint=tmp_path / "c")
        with pytest.raises(NotFitted):
            model.recommend()
        model.fit(data, knowledge, valid, checkpoint=tmp_path / "c", resume=True)
        np.testing.assert_array_equal(model.score(data.users.ids), whole.score(data.users.ids))
        assert model.seconds_to_fit > model.seconds_before > whole.seconds_before == 0
        plain = [[{key: value for key, value in row.items() if key != "seconds"} for row in one.training] for one in (whole, model)]
        assert plain[0] == plain[1]
        for key, array in whole._state().items():
            np.testing.assert_array_equal(array, model._state()[key])

    def test_a_checkpoint_of_another_order_is_refused(self, name: str, tmp_path: Path) -> None:
        """The same people met the same items, in another order."""
        data = dataset_of(["abc", "bca", "cab"])
        create(name, {**SMALL, "epochs": 2}).fit(data, checkpoint=tmp_path / "c")
        other = dataset_of(["acb", "bca", "cab"])
        assert other.fingerprint == data.fingerprint
        with pytest.raises(SavedError, match="another order"):
            create(name, {**SMALL, "epochs": 3}).fit(other, checkpoint=tmp_path / "c", resume=True)

    def test_a_loss_that_is_not_a_number_says_where_and_leaves_the_checkpoint(
        self, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        calls, real = iter(range(1000)), losses.softmax

        def broken(*arguments: Any, **more: Any) -> Any:
            return real(*arguments, **more) * (float("nan") if next(calls) == 9 else 1.0)

        monkeypatch.setattr(losses, "softmax", broken)
        data, knowledge = cycle(), knowledge_of(name)
        with pytest.raises(LoreweaveError, match=r"'ranking' became nan in epoch 3, batch 2 of 4"):
            create(name, {**SMALL, "epochs": 5}).fit(data, knowledge, checkpoint=tmp_path / "c")
        monkeypatch.setattr(losses, "softmax", real)
        resumed = create(name, {**SMALL, "epochs": 5}).fit(data, knowledge, checkpoint=tmp_path / "c", resume=True)
        assert [row["epoch"] for row in resumed.training] == [1, 2, 3, 4, 5]
        assert np.isfinite(resumed.score(data.users.ids)).all()

    def test_only_the_newest_items_of_a_long_history_are_read(self, name: str) -> None:
        model = fitted(name, knowledge=knowledge_of(name), max_length=4)
        longest = model.network.longest
        assert longest == (3 if name == "bert4rec" else 4)
        scores = model.score_histories({"long": list("ffeeaabcd"), "short": list("ffeeaabcd")[-longest:], "shorter": list("cd")})
        np.testing.assert_allclose(scores[0], scores[1], atol=1e-5)
        assert np.abs(scores[0] - scores[2]).max() > 1e-4

    def test_order_matters(self, name: str) -> None:
        model = fitted(name, knowledge=knowledge_of(name), **LEARNS)
        scores = model.score_histories({"one": list("abcd"), "other": list("bcda")})
        assert scores.argmax(axis=1).tolist() == [0, 1]

    def test_people_of_no_and_of_one_item(self, name: str) -> None:
        model = fitted(name, epochs=3)  # without texts
        popular = np.bincount(model.history.indices, minlength=6) / model.n_users
        np.testing.assert_allclose(model.score(["p30"])[0], popular, rtol=1e-6)
        np.testing.assert_allclose(model.score_histories({"new": []})[0], popular, rtol=1e-6)
        np.testing.assert_allclose(model.score(["p31"]), model.score_histories({"new": ["a"]}), atol=1e-5)

    def test_a_fitted_user_scores_as_a_stranger_of_the_same_history(self, name: str) -> None:
        model = fitted(name, epochs=3, knowledge=said().only("item_text") if name in READERS else None)
        histories = {f"p{n}": model.items.decode(model.sequences.take(np.array([n])).items).to_list() for n in (0, 5, 11, 30)}
        np.testing.assert_allclose(model.score(list(histories)), model.score_histories(histories), atol=1e-5)

    def test_unknown_items_are_counted_once_and_ignored(self, name: str) -> None:
        model = fitted(name, epochs=2)
        with pytest.warns(UserWarning, match="2 of 5 items of these histories are unknown") as caught:
            scores = model.score_histories({"new": ["a", "x", "b", "y", "c"]})
        assert len(caught) == 1
        np.testing.assert_allclose(scores, model.score_histories({"new": list("abc")}), atol=1e-6)
        with pytest.warns(UserWarning, match="1 of 2 items") as caught:
            model.recommend_histories({"new": ["a", "x"]})
        assert len(caught) == 1

    def test_repeated_items_are_read_again(self, name: str) -> None:
        model = fitted(name, epochs=3)
        scores = model.score_histories({"once": list("ab"), "again": list("aaab")})
        assert np.abs(scores[0] - scores[1]).max() > 1e-6

    def test_saved_and_loaded_scores_are_the_same_to_the_bit(self, name: str, tmp_path: Path) -> None:
        for knowledge in (knowledge_of(name), None):
            model = fitted(name, epochs=2, knowledge=knowledge)
            model.save(tmp_path / "m")
            loaded = load(tmp_path / "m")
            histories = {"one": list("ab"), "two": [], "p3": list("c")}
            for one, other in (
                (model.score(model.users.ids), loaded.score(model.users.ids)),
                (model.score_histories(histories, said()), loaded.score_histories(histories, said())),
            ):
                np.testing.assert_array_equal(one, other)
            assert loaded.training == model.training
            assert loaded.chosen_settings() == {"epochs": 2}
            loaded.save(tmp_path / "again")
            np.testing.assert_array_equal(load(tmp_path / "again").score(model.users.ids), model.score(model.users.ids))

    def test_blocks_of_people_change_nothing(self, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        model = fitted(name, epochs=2, knowledge=knowledge_of(name))
        before = model.states.copy()
        monkeypatch.setattr(neural, "TOKENS", 7)
        model._adopt(model.network)
        np.testing.assert_allclose(model.states, before, atol=1e-5)

    def test_causes_are_the_differences_of_taking_items_away(self, name: str) -> None:
        model = fitted(name, epochs=5)
        history = list("dabab")
        found = model.explain_history(history, "c")
        assert not found.exact
        assert found.score == pytest.approx(float(model.score_histories({"person": history})[0, 2]), abs=1e-5)
        assert {cause.key for cause in found.causes} == {"a", "b", "d"}
        for cause in found.causes:
            left = [item for item in history if item != cause.key]
            expected = found.score - float(model.score_histories({"person": left})[0, 2])
            assert cause.contribution == pytest.approx(expected, abs=1e-5)
        user = model.users.ids[9]
        causes = model.explain(user, "e").causes
        kept = [item for item in model.items.decode(model.sequences.take(np.array([9])).items) if item not in [c.key for c in causes[:2]]]
        without = float(model.score_histories({"person": kept})[0, 4])
        assert model.score_without(user, "e", causes[:2]) == pytest.approx(without, abs=1e-5)

    def test_what_lies_before_the_window_is_no_cause(self, name: str) -> None:
        found = fitted(name, epochs=2).explain_history(list("ee" + "dabab" * 3), "c")
        assert {cause.key for cause in found.causes} == {"a", "b", "d"}

    def test_a_log_where_nothing_follows_anything_is_refused(self, name: str) -> None:
        data = dataset_of(["a", "b", "", "c"])
        if name == "bert4rec":
            create(name, SMALL).fit(data)  # a masked item is asked for all the same
            return
        with pytest.raises(DataError, match="nobody met two items"):
            create(name, SMALL).fit(data)


def test_a_fit_with_validation_keeps_its_best_epoch() -> None:
    data = cycle()
    valid = Interactions(np.array([3, 7, 12, 20]), np.array([4, 5, 5, 4]))
    model = create("sasrec", {**SMALL, "epochs": 8}).fit(data, valid=valid)
    values = [row["valid"] for row in model.training]
    assert model.chosen_settings() == {"epochs": int(np.argmax(values)) + 1}
    assert model.metrics["valid_ndcg@10"] == max(values)
    assert evaluate(model, valid, ks=(10,)).metrics["ndcg@10"] == pytest.approx(0.0)  # e and f were never met: no candidates
    again = create("sasrec", {**SMALL, "epochs": model.best_epoch}).fit(data)
    np.testing.assert_array_equal(again.score(["p3"]), model.score(["p3"]))


def test_validation_is_the_evaluation_of_held_out_items() -> None:
    data = cycle()
    last = [np.flatnonzero(data.interactions.user == person)[-1] for person in range(30)]
    held_out = np.isin(np.arange(len(data.interactions)), last)
    train, valid = data.with_interactions(data.interactions.take(~held_out)), data.interactions.take(held_out)
    new = ~np.array([train.matrix[user, item] for user, item in zip(valid.user, valid.item, strict=True)], bool)
    valid = valid.take(new)
    assert len(valid)
    model = create("gru4rec", {**SMALL, "epochs": 6}).fit(train, valid=valid)
    assert model.metrics["valid_ndcg@10"] == pytest.approx(evaluate(model, valid, ks=(10,)).metrics["ndcg@10"])


def test_a_validation_part_without_positives_is_none() -> None:
    nothing = Interactions(np.array([0]), np.array([1]), value=np.array([0.0]))
    model = create("sasrec", {**SMALL, "epochs": 3}).fit(cycle(), valid=nothing)
    np.testing.assert_array_equal(model.score(["p3"]), fitted("sasrec", epochs=3).score(["p3"]))


def test_heads_must_divide_the_width() -> None:
    with pytest.raises(LoreweaveError, match="heads=3 does not divide dim=16"):
        create("sasrec", {"dim": 16, "heads": 3})


def test_the_start_does_not_touch_the_global_generator() -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    for kind in (Recurrent, Transformer):
        kind(SASRecConfig(**SMALL), torch.Generator().manual_seed(1))
    assert torch.equal(torch.get_rng_state(), before)


@settings(max_examples=10)
@given(st.lists(st.integers(1, 12), min_size=1, max_size=8))
def test_newest_states_come_back_in_the_order_asked(lengths: list[int]) -> None:
    network = network_of_sasrec()
    rng = np.random.default_rng(3)
    histories = [rng.integers(0, 6, length).tolist() for length in lengths]
    found = network.newest_states(batch_of_histories(histories))
    alone = torch.cat([network.newest_states(batch_of_histories([one])) for one in histories])
    torch.testing.assert_close(found, alone, rtol=1e-4, atol=1e-4)


def network_of_sasrec() -> SequenceNetwork:
    config = SASRecConfig(**SMALL)
    g = torch.Generator().manual_seed(1)
    nobody = Sequences.of_lengths(np.array([2]), np.array([0, 1], np.int32))
    return stirred(SequenceNetwork(nobody, 6, config, g, Transformer(config, g))).eval()


def test_models_say_their_names() -> None:
    assert [model_class(name).name for name in NEURAL] == list(NEURAL)
