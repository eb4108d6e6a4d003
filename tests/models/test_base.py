"""The base class: what every model inherits, on a model whose scores are known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydantic import Field
from scipy import sparse

from loreweave.config import Config
from loreweave.data.dataset import Dataset, Interactions
from loreweave.data.vocabulary import Vocabulary
from loreweave.errors import ConfigError, DataError, LoreweaveError, NotFitted, SavedError, UnknownId
from loreweave.knowledge.records import Knowledge, Record
from loreweave.models import base, load, saving
from loreweave.models.base import Cause, Recommender
from loreweave.models.linear.popular import Popular

ITEMS = ["a", "b", "c", "d", "e"]


class Settings(Config):
    """Settings of the model of these tests."""

    scores: list[float] = Field(default=[3.0, 1.0, 3.0, 2.0, 9.0])
    """What a, b, c, d, e score for everybody, before a tenth for every item in the history."""


class Known(Recommender):
    """score = scores + 0.1 · |history| + 0.01 · |interests|"""

    name = "known"
    config_class = Settings
    knowledge_kinds = ("interest",)
    blocks: list[int]

    def _fit(self, train: Dataset, *rest: Any) -> None:
        self.blocks = []

    def _score_rows(self, history: sparse.csr_array, interests: sparse.csr_array) -> NDArray[np.float32]:
        self.blocks.append(history.shape[0])
        person = 0.1 * history.sum(axis=1) + 0.01 * interests.sum(axis=1)
        return (np.array(self.config.scores) + np.asarray(person)[:, None]).astype(np.float32)

    def _causes(self, history: sparse.csr_array, interests: sparse.csr_array, item: int, user: int | None) -> Any:
        causes = self._item_causes(history, np.arange(1.0, 1.0 + history.nnz))
        return 0.0, [*causes, Cause("bias", None, "the item", -5.0)], False

    def _state(self) -> dict[str, NDArray[Any]]:
        return {}

    def _restore(self, state: dict[str, NDArray[Any]]) -> None:
        self.blocks = []


def log(users: list[int], items: list[int], **columns: Any) -> Dataset:
    """Users 1, 2, 3 (integer ids), items a to e."""
    interactions = Interactions(np.array(users, np.int32), np.array(items, np.int32), **columns)
    return Dataset(Vocabulary([1, 2, 3]), Vocabulary(ITEMS), interactions)


@pytest.fixture
def model() -> Known:
    """1 met b and d (b twice), 2 met a and c, 3 nothing; nobody met e, which would score best."""
    return Known().fit(log([0, 0, 0, 1, 1], [1, 1, 3, 0, 2]))


def items_of(frame: pl.DataFrame, user: Any) -> list[str]:
    return frame.filter(pl.col("user") == user)["item"].to_list()


def test_a_fit_is_given_the_kinds_it_learns_from(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Knowledge] = []
    monkeypatch.setattr(Known, "_fit", lambda self, train, knowledge, *rest: seen.append(knowledge))
    said = Knowledge.from_records(
        [Record(kind="interest", user="1", interest="sea", text="sea"), Record(kind="user_text", user="1", text="likes the sea")]
    )
    data = log([0], [1])
    assert Known().fit(data, said).interest_ids.to_list() == ["sea"]
    monkeypatch.setattr(Known, "knowledge_kinds", ("user_text",))
    assert Known().fit(data, said).interests.shape == (3, 0)
    monkeypatch.setattr(Known, "knowledge_kinds", ())
    Known().fit(data, said)
    assert [each.records["kind"].to_list() for each in seen] == [["interest"], ["user_text"], []]


def test_training_is_empty_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = Known(), Known()
    one.training.append({"seconds": 1.0})
    assert other.training == []

    def fail(*arguments: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Known, "_fit", fail)
    with pytest.raises(KeyboardInterrupt):
        one.fit(log([0], [1]))
    assert one.training == []


class TestRecommend:
    def test_ties_keep_the_order_of_the_catalogue(self, model: Known) -> None:
        found = model.recommend(k=3)
        assert items_of(found, 1) == ["a", "c"]  # 3 and 3; b and d are seen, e was met by nobody
        assert items_of(found, 2) == ["d", "b"]
        assert items_of(found, 3) == ["a", "c", "d"]

    def test_ties_at_the_last_place_go_to_the_first_of_the_catalogue(self) -> None:
        flat = Known(scores=[1.0, 1.0, 1.0, 2.0, 1.0]).fit(log([0, 0, 0, 0, 0], [0, 1, 2, 3, 4]))
        assert items_of(flat.recommend([3], k=3), 3) == ["d", "a", "b"]

    def test_frame(self, model: Known) -> None:
        found = model.recommend([2, 1], k=1)
        assert found.schema == {"user": pl.Int64, "rank": pl.Int32, "item": pl.String, "score": pl.Float32}
        assert found.rows() == [(2, 1, "d", pytest.approx(2.2)), (1, 1, "a", pytest.approx(3.2))]

    def test_seen_items_come_back_on_request(self, model: Known) -> None:
        assert items_of(model.recommend([1], exclude_seen=False), 1) == ["a", "c", "d", "b"]

    def test_candidates(self, model: Known) -> None:
        assert items_of(model.recommend([1], candidates=["e", "d", "c"]), 1) == ["e", "c"]
        assert model.recommend([1], candidates=[]).is_empty()

    def test_k_past_the_catalogue(self, model: Known) -> None:
        assert model.recommend(k=1000).height == 2 + 2 + 4

    def test_somebody_asked_for_twice_is_answered_twice(self, model: Known) -> None:
        assert model.recommend([3, 3], k=1)["item"].to_list() == ["a", "a"]

    def test_text_and_integers_name_the_same_user(self, model: Known) -> None:
        assert model.recommend(["1"], k=1).rows() == model.recommend([1], k=1).rows()

    def test_nobody(self, model: Known) -> None:
        assert model.recommend([], k=3).is_empty()

    def test_unknown_ids(self, model: Known) -> None:
        with pytest.raises(UnknownId, match="unknown user 7"):
            model.recommend([1, 7])
        with pytest.raises(UnknownId, match="2 candidates are unknown items, for example 'x'"):
            model.recommend([1], candidates=["a", "x", "y"])

    @pytest.mark.parametrize("k", [0, -1])
    def test_k_below_1_is_refused_before_anything_is_scored(self, model: Known, k: int) -> None:
        for ask in (
            lambda: model.recommend(k=k),
            lambda: model.recommend_histories({"new": []}, k=k),
            lambda: model.similar(["a"], k=k),
        ):
            with pytest.raises(LoreweaveError, match="k must be at least 1"):
                ask()
        assert model.blocks == []

    def test_nan_is_an_error_and_not_a_rank(self) -> None:
        broken = Known(Settings.model_construct(scores=[1.0, float("nan"), 1.0, 1.0, 1.0])).fit(log([0], [0]))
        with pytest.raises(LoreweaveError, match="NaN"):
            broken.recommend([2])

    def test_people_are_scored_in_blocks(self, model: Known, monkeypatch: pytest.MonkeyPatch) -> None:
        whole = model.recommend(k=4)
        monkeypatch.setattr(base, "SCORE_BLOCK", 2)
        model.blocks.clear()
        assert model.recommend(k=4).equals(whole)
        assert model.blocks == [2, 1]
        model.recommend_histories({"x": ["a"], "y": [], "z": ["b"]})
        assert model.blocks == [2, 1, 2, 1]

    @given(
        scores=st.lists(st.integers(-3, 3).map(float), min_size=30, max_size=30),
        seen=st.sets(st.integers(0, 29), min_size=1),
        candidates=st.sets(st.integers(0, 29)),
        k=st.integers(1, 40),
    )
    def test_agrees_with_a_plain_sort(self, scores: list[float], seen: set[int], candidates: set[int], k: int) -> None:
        met = Interactions(np.zeros(len(seen), np.int32), np.array(sorted(seen), np.int32))
        fitted = Known(scores=scores).fit(Dataset(Vocabulary(["u"]), Vocabulary([str(n) for n in range(30)]), met))
        expected = sorted(candidates - seen, key=lambda item: (-scores[item], item))[:k]
        assert fitted.recommend(["u"], k, [str(n) for n in candidates])["item"].to_list() == [str(n) for n in expected]


class TestHistories:
    def test_repeats_count_once_and_unknown_items_for_nothing(self, model: Known) -> None:
        scores = model.score_histories({"p": ["a", "a", "x"], "q": ["a"], "r": ["x"], "s": []})
        np.testing.assert_array_equal(scores[0], scores[1])
        np.testing.assert_array_equal(scores[2], scores[3])
        np.testing.assert_allclose(scores[:, 0], [3.1, 3.1, 3.0, 3.0], rtol=1e-6)

    def test_recommend(self, model: Known) -> None:
        found = model.recommend_histories({"p": ["a", "x"], "q": []}, k=2)
        assert items_of(found, "p") == ["c", "d"]
        assert items_of(found, "q") == ["a", "c"]
        assert model.recommend_histories({}).is_empty()
        assert model.score_histories({}).shape == (0, 5)

    def test_names_need_not_be_text(self, model: Known) -> None:
        assert model.recommend_histories({8: ["a"]}, k=1)["user"].to_list() == ["8"]

    def test_own_interests_count(self) -> None:
        def said(user: str) -> Knowledge:
            return Knowledge.from_records([Record(kind="interest", user=user, interest="sea", text="the sea")])

        fitted = Known().fit(log([0], [0]), said("1"))
        scores = fitted.score_histories({"p": [], "q": []}, said("q"))
        np.testing.assert_allclose(scores[:, 1], [1.0, 1.01], rtol=1e-6)
        np.testing.assert_allclose(fitted.score([1, 2])[:, 1], [1.11, 1.0], rtol=1e-6)

    def test_scores_of_users_by_raw_id(self, model: Known) -> None:
        np.testing.assert_allclose(model.score([3, 1])[:, 1], [1.0, 1.2], rtol=1e-6)
        with pytest.raises(UnknownId, match="unknown user 'x'; for somebody new"):
            model.score(["x"])


class TestFit:
    def test_nothing_to_learn_from(self) -> None:
        with pytest.raises(DataError, match="no interactions"):
            Known().fit(log([], []))
        with pytest.raises(DataError, match="2 rows, none of them positive"):
            Known().fit(log([0, 1], [0, 1], value=[0.0, 0.0]))

    def test_negatives_are_no_history(self) -> None:
        fitted = Known().fit(log([0, 0], [0, 1], value=[1.0, 0.0]))
        assert fitted.history.toarray()[0].tolist() == [1, 0, 0, 0, 0]

    def test_not_fitted(self, tmp_path: Path) -> None:
        unfitted = Known()
        for ask in (unfitted.recommend, lambda: unfitted.score([1]), lambda: unfitted.save(tmp_path / "m"), lambda: unfitted.n_users):
            with pytest.raises(LoreweaveError, match="known is not fitted yet"):
                ask()
        assert not hasattr(unfitted, "history")
        assert not (tmp_path / "m").exists()

    def test_unknown_attribute_of_a_fitted_model(self, model: Known) -> None:
        with pytest.raises(AttributeError, match="no attribute 'wieghts'"):
            _ = model.wieghts  # type: ignore[attr-defined]

    def test_unknown_setting(self) -> None:
        with pytest.raises(ConfigError, match="known: unknown setting 'sores'; known settings: scores"):
            Known(sores=[1.0])


class TestAbilities:
    def test_similar(self, model: Known) -> None:
        found = model.similar(["a", "b"], k=2)
        assert found.columns == ["item", "rank", "similar", "score"]
        assert found["similar"].to_list() == ["c", "d", "a", "c"]
        with pytest.raises(UnknownId, match="unknown item 'x'"):
            model.similar(["a", "x"])

    def test_explain_sorts_and_cuts(self, model: Known) -> None:
        found = model.explain(1, "a")
        assert [(cause.key, cause.contribution) for cause in found.causes] == [("d", 2.0), ("b", 1.0), (None, -5.0)]
        assert (found.user, found.item, found.title, found.exact) == (1, "a", "a", False)
        assert len(model.explain(1, "a", k=1).causes) == 1
        assert [cause.key for cause in model.explain_history(["c", "x"], "a", k=1).causes] == ["c"]
        with pytest.raises(LoreweaveError, match="k must be at least 1"):
            model.explain(1, "a", k=0)

    def test_score_without_causes(self, model: Known) -> None:
        whole = model.explain(1, "a").causes
        assert model.score_without(1, "a", whole[:1]) == pytest.approx(3.1)
        assert model.score_without(1, "a", whole) == pytest.approx(3.0)

    def test_no_embeddings(self, model: Known) -> None:
        with pytest.raises(LoreweaveError, match="known has no embeddings"):
            model.embeddings()


class TestSaving:
    @pytest.fixture
    def saved(self, tmp_path: Path) -> Path:
        Popular().fit(log([0, 0, 1], [1, 3, 1])).save(tmp_path / "model")
        return tmp_path / "model"

    def test_round_trip(self, saved: Path) -> None:
        loaded = load(saved)
        assert isinstance(loaded, Popular)
        assert loaded.users.ids.to_list() == [1, 2, 3]
        assert loaded.score([3]).tolist() == [[0, 2, 0, 1, 0]]
        assert loaded.recommend([1]).is_empty()
        assert loaded.seconds_to_fit is not None

    def test_replaced_at_once(self, saved: Path) -> None:
        Popular().fit(log([0], [4])).save(saved)
        assert load(saved).score([1]).tolist() == [[0, 0, 0, 0, 1]]
        assert [path.name for path in saved.parent.iterdir()] == ["model"]

    def test_a_failure_leaves_the_old_model(self, saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def full(*_: Any) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(saving, "write_frame", full)
        with pytest.raises(SavedError, match="No space left on device"):
            Popular().fit(log([0], [4])).save(saved)
        assert load(saved).score([1]).tolist() == [[0, 2, 0, 1, 0]]
        assert [path.name for path in saved.parent.iterdir()] == ["model"]

    def test_a_foreign_folder_is_not_replaced(self, tmp_path: Path) -> None:
        (tmp_path / "thesis.txt").write_text("the only copy")
        with pytest.raises(SavedError, match="was not saved by Loreweave"):
            Popular().fit(log([0], [4])).save(tmp_path)
        assert (tmp_path / "thesis.txt").read_text() == "the only copy"

    @pytest.mark.parametrize("name", ["model.safetensors", "users.parquet", "items.parquet", "interests.parquet"])
    def test_damaged_file(self, saved: Path, name: str) -> None:
        whole = (saved / name).read_bytes()
        for damaged in (b"", whole[: len(whole) // 2], whole[:-9] + b"?" + whole[-8:]):
            (saved / name).write_bytes(damaged)
            with pytest.raises(SavedError, match=f"{name}: missing or damaged"):
                load(saved)
        (saved / name).unlink()
        with pytest.raises(SavedError, match=f"{name}: missing or damaged"):
            load(saved)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"format": 99}, "format 99, this Loreweave reads format 1; fit again with this version"),
            ({"format": None}, "format None"),
            ({"model": "ease"}, "holds 'ease', not 'popular'"),
            ({"config": {"gone": 1}}, "damaged or of another version .*unknown setting 'gone'"),
            ({"files": {}, "config": 3}, "damaged or of another version"),
            ({"files": 3}, "damaged or of another version"),
        ],
    )
    def test_manifest_of_something_else(self, saved: Path, change: dict[str, Any], message: str) -> None:
        manifest = json.loads((saved / "manifest.json").read_text()) | change
        (saved / "manifest.json").write_text(json.dumps(manifest))
        with pytest.raises(SavedError, match=message):
            Popular.load(saved)

    def test_no_manifest(self, saved: Path) -> None:
        (saved / "manifest.json").write_text("{")
        with pytest.raises(SavedError, match="damaged, not JSON"):
            load(saved)
        (saved / "manifest.json").unlink()
        with pytest.raises(SavedError, match=r"no manifest\.json"):
            load(saved)

    def test_a_file_added_by_the_user_does_no_harm(self, saved: Path) -> None:
        (saved / "notes.txt").write_text("my best run")
        load(saved)


def test_a_fit_that_was_interrupted_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Known().fit(log([0], [0]))
    monkeypatch.setattr(Known, "_fit", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        model.fit(log([0], [1]))
    for ask in (lambda: model.recommend([1]), lambda: model.score_histories({"p": ["a"]}), lambda: model.explain_history(["a"], "b")):
        with pytest.raises(NotFitted, match="not fitted yet"):
            ask()
