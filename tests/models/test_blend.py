"""The blend: standardised sums by hand, weights found on validation, exact explanations of exact parts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import sparse

from loreweave.data.dataset import Dataset, Interactions
from loreweave.data.vocabulary import Vocabulary
from loreweave.errors import ConfigError, LoreweaveError
from loreweave.knowledge.records import Knowledge
from loreweave.models import MODELS, create, load
from loreweave.models.base import Recommender
from loreweave.models.blend import Blend, _moments, _standardised
from loreweave.models.linear.ease import EASE
from loreweave.models.linear.ials import IALS
from loreweave.models.linear.item_knn import ItemKNN
from loreweave.models.linear.popular import Popular
from loreweave.models.linear.rp3beta import RP3beta
from loreweave.testing.checkerboard import checkerboard, checkerboard_interests, checkerboard_knowledge
from texts_model import PLACE


@pytest.fixture
def data() -> Dataset:
    return checkerboard()


def unseen(model: Recommender, code: int) -> NDArray[np.bool_]:
    mask = model.candidate_mask()
    mask[model.history[[code]].indices] = False
    return mask


class TestStandardised:
    def test_by_hand(self) -> None:
        """Of 1, 3, 100, 5 the third is seen and the fifth (−∞) never to be recommended: mean 3, deviation √(8/3)."""
        scores = np.array([[1, 3, 100, 5, -np.inf, 7]], dtype=np.float32)
        seen = sparse.csr_array(np.array([[0, 0, 1, 0, 0, 0]], dtype=np.float32))
        met = np.array([1, 1, 1, 1, 1, 0], dtype=bool)
        found = _standardised(scores, seen, met)
        np.testing.assert_allclose(found, [np.array([-2, 0, 97, 2, -np.inf, 4]) / np.sqrt(8 / 3)], rtol=1e-6)
        assert found.dtype == np.float32

    def test_equal_scores_and_no_scores(self) -> None:
        scores = np.array([[0.1, 0.1, 0.1], [1, 2, 3]], dtype=np.float32)
        seen = sparse.csr_array(np.array([[0, 0, 0], [1, 1, 1]], dtype=np.float32))
        mean, deviation = _moments(scores, seen, np.ones(3, dtype=bool))
        np.testing.assert_allclose(mean, [[0.1], [0.0]], rtol=1e-6)
        assert deviation.tolist() == [[1.0], [1.0]]


class TestScores:
    def test_is_the_weighted_sum_of_standardised_parts(self, data: Dataset) -> None:
        parts = [EASE().fit(data), Popular().fit(data)]
        found = Blend.of(parts, [1.0, 0.25]).score(data.users.ids[:4])
        for code in range(4):
            expected = np.zeros(data.n_items)
            for part, weight in zip(parts, (1.0, 0.25), strict=True):
                scores = part.score([data.users.ids[code]])[0].astype(float)
                kept = scores[unseen(part, code)]
                expected += weight * (scores - kept.mean()) / kept.std()
            np.testing.assert_allclose(found[code], expected, rtol=1e-3, atol=1e-4)

    def test_a_part_of_weight_0_does_not_count(self, data: Dataset) -> None:
        parts = [EASE().fit(data), Popular().fit(data)]
        alone, beside = Blend.of(parts[:1]), Blend.of(parts, [1.0, 0.0])
        np.testing.assert_array_equal(alone.score(data.users.ids), beside.score(data.users.ids))
        ranked = [model.recommend(k=5).select("user", "rank", "item") for model in (alone, parts[0])]
        assert ranked[0].equals(ranked[1])

    def test_fitted_and_blended_at_once_are_the_same(self, data: Dataset) -> None:
        knowledge = checkerboard_interests()
        fitted = create("blend", {"parts": [{"model": "cikg-linear"}, {"model": "ials", "settings": {"dim": 4}}], "seed": 3})
        fitted.fit(data, knowledge)
        parts = [create("cikg-linear").fit(data, knowledge), IALS(dim=4, seed=3).fit(data)]
        np.testing.assert_array_equal(fitted.score(data.users.ids), Blend.of(parts).score(data.users.ids))

    def test_a_newcomers_order_reaches_the_parts(self, data: Dataset) -> None:
        markov = create("markov").fit(data)
        blend = Blend.of([markov, Popular().fit(data)], [1.0, 0.0])
        items = data.items.ids[:2].to_list()
        for history in (items, items[::-1]):
            best = markov.recommend_histories({"new": history}, k=3)["item"]
            assert blend.recommend_histories({"new": history}, k=3)["item"].equals(best)
            told = blend.explain_history(history, best[0])
            assert told.score == pytest.approx(float(blend.score_histories({"new": history})[0, data.items.code(best[0])]), rel=1e-5)
        assert not np.array_equal(*(blend.score_histories({"new": history}) for history in (items, items[::-1])))

    def test_a_newcomer_with_a_fitted_history_is_that_user(self, data: Dataset) -> None:
        blend = Blend.of([create("cikg-linear").fit(data, Knowledge.none()), RP3beta().fit(data)])
        history = data.items.decode(data.matrix[[7]].indices).to_list()
        np.testing.assert_allclose(blend.score_histories({"new": history}), blend.score([data.users.ids[7]]), rtol=1e-4, atol=1e-5)


class Oracle(Popular):
    """Knows what is held out: scores the item after the last that was met, in a circle."""

    def _score_rows(self, history: sparse.csr_array, interests: sparse.csr_array) -> NDArray[np.float32]:
        return np.roll(history.toarray(), 1, axis=1).astype(np.float32)


class Misled(Popular):
    """As sure of the item before the first that was met as the oracle is of the one after the last."""

    def _score_rows(self, history: sparse.csr_array, interests: sparse.csr_array) -> NDArray[np.float32]:
        return np.roll(history.toarray(), -1, axis=1).astype(np.float32)


class TestWeights:
    def test_chosen_on_validation(self) -> None:
        """Everybody met two neighbouring items and holds out the next: the oracle is right, its peer wrong, so the oracle weighs more."""
        users, first = np.arange(40), np.arange(40) % 20
        log = Interactions(np.repeat(users, 2), np.stack([first, (first + 1) % 20], axis=1).ravel())
        data = Dataset(Vocabulary(users), Vocabulary(range(20)), log)
        valid = Interactions(users, (first + 2) % 20)
        blend = Blend.of([Misled().fit(data), Oracle().fit(data)])
        weights, value = blend._choose(valid)
        assert weights[1] > weights[0]
        assert value == pytest.approx(1.0)
        assert blend._choose(Interactions(users, (first + 9) % 20))[1] < 0.5

    def test_given_weights_are_kept_and_none_are_equal(self, data: Dataset) -> None:
        parts = [{"model": "ease"}, {"model": "popular"}]
        valid = Interactions(np.array([0]), np.array([data.matrix[[0]].indices[0]]))
        given = create("blend", {"parts": parts, "weights": [2.0, 3.0]}).fit(data, None, valid)
        assert given.chosen_settings()["weights"] == [2.0, 3.0]
        assert create("blend", {"parts": parts}).fit(data).chosen_settings()["weights"] == [1.0, 1.0]

    def test_refit_with_what_was_chosen(self, data: Dataset) -> None:
        order = np.random.default_rng(0).permutation(len(data.interactions))
        train, valid = data.with_interactions(data.interactions.take(order[:-40])), data.interactions.take(order[-40:])
        settings = {"parts": [{"model": "popular"}, {"model": "ials", "settings": {"dim": 4}}], "choices": [0.5, 4.0]}
        first = create("blend", settings).fit(train, None, valid)
        chosen = first.chosen_settings()
        assert chosen["weights"] == [1.0, 4.0]  # on the checkerboard popularity says nothing
        assert chosen["parts"][1] == {"model": "ials", "settings": {"dim": 4}}
        assert 0 < first.metrics["valid_ndcg@20"] <= 1
        again = create("blend", {**settings, **chosen}).fit(data)
        assert again.weights == [1.0, 4.0]  # type: ignore[attr-defined]

    def test_parts_report_what_they_chose(self, data: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(IALS, "chosen_settings", lambda self: {"epochs": 7})
        parts = [{"model": "popular"}, {"model": "ials", "settings": {"dim": 4, "epochs": 2}}]
        chosen = create("blend", {"parts": parts}).fit(data).chosen_settings()
        assert chosen["parts"][1] == {"model": "ials", "settings": {"dim": 4, "epochs": 7}}


class TestExplanations:
    def test_exact_parts_add_up(self, data: Dataset) -> None:
        knowledge = checkerboard_interests()
        blend = Blend.of([create("cikg-linear").fit(data, knowledge), RP3beta().fit(data), Popular().fit(data)], [1.0, 2.0, 0.5])
        user, item = data.users.ids[5], data.items.ids[2]
        found = blend.explain(user, item)
        assert found.exact
        assert found.score == pytest.approx(float(blend.score([user])[0, 2]), rel=1e-4)
        assert sum(cause.contribution for cause in found.causes) == pytest.approx(found.score, abs=1e-4)
        assert {cause.kind for cause in found.causes} == {"item", "interest", "bias"}
        keys = [(cause.kind, cause.key) for cause in found.causes]
        assert len(keys) == len(set(keys))  # what two parts say of one item is one cause

    def test_a_part_that_cannot_explain_makes_it_inexact(self, data: Dataset) -> None:
        class Mute(Popular):
            def _causes(self, *person: object) -> None:  # type: ignore[override]
                raise LoreweaveError("cannot explain")

        found = Blend.of([EASE().fit(data), Mute().fit(data)]).explain(data.users.ids[5], data.items.ids[2])
        assert not found.exact
        assert sum(cause.contribution for cause in found.causes) == pytest.approx(found.score, abs=1e-4)
        assert "the score by popular" in [cause.text for cause in found.causes]

    def test_deleting_a_cause_takes_its_contribution(self, data: Dataset) -> None:
        blend = Blend.of([EASE().fit(data), ItemKNN().fit(data)])
        user, item = data.users.ids[5], data.items.ids[2]
        whole = blend.explain(user, item)
        without = blend.score_without(user, item, [cause for cause in whole.causes[:2] if cause.kind == "item"])
        gone = sum(cause.contribution for cause in whole.causes[:2] if cause.kind == "item")
        assert without == pytest.approx(whole.score - gone, abs=1e-4)

    @pytest.mark.parametrize("switch", ["interests off", "no knowledge"])
    def test_an_interest_is_taken_only_from_parts_that_hold_it(self, data: Dataset, switch: str) -> None:
        linear = create("cikg-linear").fit(data, checkerboard_interests())
        if switch == "no knowledge":
            other: Recommender = EASE().fit(data)
        else:
            pytest.importorskip("torch")
            other = create("lightgcn", {"dim": 4, "epochs": 1, "interests": False}).fit(data, checkerboard_interests())
        blend, (user, item) = Blend.of([linear, other]), (data.users.ids[5], data.items.ids[2])
        interest = next(cause for cause in linear.explain(user, item).causes if cause.kind == "interest")
        deviation = float(linear.score([user])[0][unseen(linear, 5)].std())
        expected = blend.explain(user, item).score - interest.contribution / deviation
        assert blend.score_without(user, item, [interest]) == pytest.approx(expected, abs=1e-4)


class TestSettings:
    def test_parts_of_different_data(self, data: Dataset) -> None:
        fewer = data.with_interactions(data.interactions.take(np.arange(20)))
        with pytest.raises(LoreweaveError, match="ease and popular were fitted on different data"):
            Blend.of([Popular().fit(data), EASE().fit(fewer)])

    def test_parts_of_different_knowledge(self, data: Dataset) -> None:
        parts = [create("cikg-linear").fit(data, knowledge) for knowledge in (checkerboard_interests(), None)]
        with pytest.raises(LoreweaveError, match="different data or interests"):
            Blend.of(parts)

    def test_weights_and_parts_do_not_match(self, data: Dataset) -> None:
        with pytest.raises(ConfigError, match="1 weights for 2 parts; give one for each"):
            create("blend", {"parts": [{"model": "ease"}, {"model": "popular"}], "weights": [1.0]})
        with pytest.raises(ConfigError, match="1 parts and 2 weights"):
            Blend.of([Popular().fit(data)], [1.0, 2.0])
        with pytest.raises(ConfigError):
            Blend.of([])

    def test_a_bad_setting_of_a_part_is_found_before_the_fit(self) -> None:
        with pytest.raises(ConfigError, match="ease: unknown setting 'l3'"):
            create("blend", {"parts": [{"model": "ease", "settings": {"l3": 1}}]})
        with pytest.raises(ConfigError, match="no model is called 'easy'"):
            create("blend", {"parts": [{"model": "easy"}]})


def test_seconds_before_are_those_of_all_parts(data: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    def resumed(model: Recommender, *arguments: Any) -> None:
        model.seconds_before = 10.0
        fit(model, *arguments)

    fit = EASE._fit
    monkeypatch.setattr(EASE, "_fit", resumed)
    model = Blend(parts=[{"model": "ease"}, {"model": "popular"}, {"model": "ease", "settings": {"l2": 2.0}}]).fit(data)
    assert 20 < (model.seconds_to_fit or 0) < 30


def test_saved_parts_are_folders_of_their_own(data: Dataset, tmp_path: Path) -> None:
    Blend.of([EASE().fit(data), Popular().fit(data)], [1.0, 0.5]).save(tmp_path / "blend")
    assert sorted(path.name for path in (tmp_path / "blend" / "parts").iterdir()) == ["0-ease", "1-popular"]
    assert isinstance(load(tmp_path / "blend" / "parts" / "0-ease"), EASE)
    loaded = load(tmp_path / "blend")
    assert isinstance(loaded, Blend)
    assert loaded.weights == [1.0, 0.5]
    assert loaded.knowledge_kinds == ()


def test_a_blend_learns_from_every_kind_of_its_parts(data: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MODELS, "texts", PLACE)
    blend = create("blend", {"parts": [{"model": "texts"}, {"model": "cikg-linear"}, {"model": "ease"}]})
    assert blend.knowledge_kinds == ("item_text", "user_text", "interest")
    blend.fit(data, checkerboard_knowledge())
    linear = blend.parts[1]
    assert linear.interest_ids.to_list() == ["wine", "tea"]
    assert "grapes" in blend.parts[0].interest_ids
