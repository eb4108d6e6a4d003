"""What the readers of texts share: vectors, neighbours, newcomers, and what is kept of them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

torch = pytest.importorskip("torch")

from cycle_world import READERS, SMALL, cycle, fitted, said, stirred  # noqa: E402

from loreweave.data.dataset import Interactions  # noqa: E402
from loreweave.errors import DataError, LoreweaveError, SavedError  # noqa: E402
from loreweave.knowledge.records import Knowledge, Record  # noqa: E402
from loreweave.language.lsa import Lsa  # noqa: E402
from loreweave.models import create, load  # noqa: E402
from loreweave.models.sequential.backbones import BACKBONES, backbone_of  # noqa: E402
from loreweave.models.sequential.texts import TextSequential  # noqa: E402

READERS_OF_PEOPLE = ("llm-esr", "grasp")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LOREWEAVE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def reader(name: str, knowledge: Knowledge | None = None, **settings: object) -> TextSequential:
    model = fitted(name, knowledge=said() if knowledge is None else knowledge, **{"epochs": 2, **settings})
    assert isinstance(model, TextSequential)
    return model


@pytest.mark.parametrize("name", READERS)
class TestReading:
    def test_vectors_are_the_encoders_and_unit_or_zero(self, name: str) -> None:
        model = reader(name)
        knowledge = said()
        texts = knowledge.texts("item_text", model.items)
        expected = Lsa(texts).encode(texts)
        np.testing.assert_allclose(model.item_vectors, expected, atol=1e-6)
        lengths = np.linalg.norm(model.item_vectors, axis=1)
        np.testing.assert_allclose(lengths, [1, 1, 1, 1, 1, 0], atol=1e-5)

    def test_without_texts_everything_is_empty_and_nothing_is_warned_of(self, name: str, recwarn: pytest.WarningsRecorder) -> None:
        model = reader(name, Knowledge.none())
        assert (model.item_vectors.shape, model.user_vectors.shape, model.encoder) == ((6, 0), (32, 0), None)
        assert [str(one.message) for one in recwarn] == []

    @pytest.mark.parametrize("kind", ["item_text", "user_text"])
    def test_texts_without_a_word_are_named_by_their_kind(self, name: str, kind: str) -> None:
        known = Knowledge.from_records([Record(kind=kind, text="?", **({"item": "a"} if kind == "item_text" else {"user": "p0"}))])
        if kind not in create(name).knowledge_kinds:
            assert not reader(name, known).user_vectors.size
            return
        with pytest.raises(DataError, match=f"{kind}: lsa: none of 1 texts has a word in it"):
            reader(name, known)

    def test_keys_of_some_items_are_those_of_all(self, name: str) -> None:
        network = stirred(reader(name, epochs=1).network)
        some = torch.tensor([[5, 0], [2, 2]])
        with torch.no_grad():
            torch.testing.assert_close(network.keys(some), network.keys()[some])

    @pytest.mark.parametrize("backbone", list(BACKBONES))
    def test_every_backbone_is_that_of_the_model_of_its_name(self, name: str, backbone: str) -> None:
        model = reader(name, backbone=backbone, epochs=1)
        alone = create(backbone, {**SMALL, **({} if backbone == "gru4rec" else {"expansion": 1}), "epochs": 1}).fit(cycle())
        assert model.network.backbone.causal == alone.network.backbone.causal
        shapes = [{key: value.shape for key, value in one.network.backbone.state_dict().items()} for one in (model, alone)]
        assert shapes[0] == shapes[1]
        again = [backbone_of(backbone, model.config, torch.Generator().manual_seed(4)).state_dict() for _ in range(2)]
        assert all(torch.equal(again[0][key], again[1][key]) for key in again[0])

    def test_a_checkpoint_of_other_texts_is_refused(self, name: str, tmp_path: Path) -> None:
        create(name, {**SMALL, "epochs": 2}).fit(cycle(), said(), checkpoint=tmp_path / "c")
        with pytest.raises(SavedError, match="another texts"):
            create(name, {**SMALL, "epochs": 3}).fit(cycle(), said().shuffled(1), checkpoint=tmp_path / "c", resume=True)

    def test_a_checkpoint_of_another_encoder_in_the_same_place_is_refused(self, name: str, tmp_path: Path) -> None:
        settings = {**SMALL, "encoder": str(tmp_path / "lsa")}
        Lsa(["wine and grapes", "tea and leaves"]).save(tmp_path / "lsa")
        create(name, {**settings, "epochs": 2}).fit(cycle(), said(), checkpoint=tmp_path / "c")
        Lsa(["tea and grapes", "wine and leaves"]).save(tmp_path / "lsa")
        with pytest.raises(SavedError, match="another encoder"):
            create(name, {**settings, "epochs": 3}).fit(cycle(), said(), checkpoint=tmp_path / "c", resume=True)

    def test_loading_needs_no_encoder_where_nothing_was_read(self, name: str, tmp_path: Path) -> None:
        """One that is not installed here, nor needed."""
        reader(name, Knowledge.none()).save(tmp_path / "m")
        path = tmp_path / "m" / "manifest.json"
        manifest = json.loads(path.read_text())
        manifest["config"]["encoder"] = "no such encoder"
        path.write_text(json.dumps(manifest))
        assert load(tmp_path / "m").score(["p3"]).shape == (1, 6)


def test_neighbours_are_others_that_were_met() -> None:
    model = reader("grasp", neighbours=3)
    for row, found in enumerate(model.item_neighbours.tolist()):
        assert set(found) <= ({0, 1, 2, 3} - {row}) | {-1}  # e and f were never met
    cosines = model.item_vectors @ model.item_vectors.T
    for item in range(4):
        others = sorted({0, 1, 2, 3} - {item}, key=lambda other, row=cosines[item]: -float(row[other]))
        assert model.item_neighbours[item].tolist() == others
        assert others[0] == item ^ 1  # a and b share most words, and so do c and d
    assert model.item_neighbours[5].tolist() == [-1, -1, -1]


def test_what_a_model_does_not_read_is_not_looked_for(cache: Path, tmp_path: Path) -> None:
    started, both = reader("llm-init"), reader("llm-esr")
    assert started.item_neighbours.shape == (6, 0) and both.item_neighbours.shape == (6, 0)
    assert both.user_neighbours.shape[1] > 0
    for model, kind in ((started, "items"), (both, "items"), (started, "users")):
        with pytest.raises(LoreweaveError, match=f"reads the neighbours of no {kind[:-1]}"):
            model.neighbours(**{kind: [getattr(model, kind).ids[0]]})
    people = both.neighbours(users=pl.Series(["p0", "p2"]))
    assert people["of"].unique(maintain_order=True).to_list() == ["p0", "p2"]
    with pytest.raises(LoreweaveError, match="not of both at once"):
        both.neighbours(items=["a"], users=["p0"])
    started.save(tmp_path / "m")
    assert not (tmp_path / "m" / "encoder").exists()


def test_texts_about_people_do_not_change_what_is_read_of_items() -> None:
    with_people, without = reader("grasp"), reader("grasp", said().only("item_text"))
    np.testing.assert_array_equal(with_people.item_vectors, without.item_vectors)
    np.testing.assert_array_equal(with_people.item_neighbours, without.item_neighbours)


@pytest.mark.parametrize("name", READERS_OF_PEOPLE)
class TestPeople:
    def test_neighbours_come_from_the_cache_the_second_time(self, name: str, cache: Path) -> None:
        first = reader(name)
        kept = {path: path.stat().st_mtime_ns for path in (cache / "neighbours").iterdir()}
        again = reader(name)
        assert {path: path.stat().st_mtime_ns for path in (cache / "neighbours").iterdir()} == kept
        np.testing.assert_array_equal(first.score(["p3"]), again.score(["p3"]))

    def test_a_damaged_or_missing_encoder_is_refused(self, name: str, tmp_path: Path) -> None:
        reader(name).save(tmp_path / "m")
        files = [path for path in (tmp_path / "m" / "encoder").iterdir() if path.is_file()]
        assert {path.name for path in files} == {"manifest.json", "terms.json", "lsa.safetensors"}
        for path in files:
            whole = path.read_bytes()
            path.write_bytes(whole[: len(whole) // 2])
            with pytest.raises(SavedError):
                load(tmp_path / "m")
            path.unlink()
            with pytest.raises(SavedError):
                load(tmp_path / "m")
            path.write_bytes(whole)
        load(tmp_path / "m")

    def test_neighbours_of_people_met_something_and_are_others(self, name: str) -> None:
        model = reader(name, neighbours=8)
        found = model.user_neighbours
        assert (found != np.arange(32)[:, None]).all()
        assert not {1, 30} & set(found.ravel().tolist())
        likes = found[[n for n in range(32) if n != 1]] % 2
        assert (likes == np.array([n % 2 for n in range(32) if n != 1])[:, None]).all()  # wine with wine, tea with tea

    def test_a_newcomer_is_told_of_as_a_fitted_user_is(self, name: str) -> None:
        model = reader(name)
        histories = {"x": ["a"], "y": ["b"]}
        knowledge = Knowledge.from_records([Record(kind="user_text", user="x", text="likes wine and grapes number4")])
        people = model._strangers(histories, knowledge)
        assert people.texts is not None
        np.testing.assert_allclose(people.texts[0, 0], model.user_vectors[4], atol=1e-5)
        assert not people.texts[1].any()
        assert people.alike is not None
        assert people.alike[0, 0] == 4
        assert (people.alike[1] == -1).all()
        np.testing.assert_allclose(people.texts[0, 1], model.user_vectors[people.alike[0]].mean(axis=0), atol=1e-5)

    def test_a_text_without_a_known_word_says_nothing(self, name: str) -> None:
        model = reader(name)
        knowledge = Knowledge.from_records([Record(kind="user_text", user="x", text="quux")])
        np.testing.assert_array_equal(model.score_histories({"x": ["a"]}, knowledge), model.score_histories({"x": ["a"]}))

    def test_of_whom_nothing_is_said_no_encoder_is_asked(self, name: str) -> None:
        """It may be a service, or weights that are not here; and it need not know how long its vectors are."""

        class Mute:
            name = "mute"

            def encode(self, texts: list[str]) -> np.ndarray:
                raise AssertionError(texts)

        model = reader(name)
        expected = model.score_histories({"x": ["a"]})
        model.encoder = Mute()
        blank = Knowledge.from_records([Record(kind="user_text", user="y", text="of somebody else")])
        for knowledge in (None, Knowledge.none(), blank):
            np.testing.assert_array_equal(model.score_histories({"x": ["a"]}, knowledge), expected)

    def test_texts_of_a_validation_part_are_not_needed(self, name: str) -> None:
        """Neighbours and vectors come from train and knowledge alone, whatever is held out."""
        valid = Interactions(np.array([30, 3]), np.array([0, 4]))
        plain, validated = reader(name), create(name, {**SMALL, "epochs": 2}).fit(cycle(), said(), valid)
        for attribute in ("item_vectors", "item_neighbours", "user_vectors", "user_neighbours"):
            np.testing.assert_array_equal(getattr(plain, attribute), getattr(validated, attribute))
