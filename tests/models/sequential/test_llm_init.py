"""The start from text vectors."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from cycle_world import fitted, said  # noqa: E402
from sklearn.decomposition import PCA  # noqa: E402

from loreweave.models.sequential.llm_init import FARTHEST, LLMInit, principal_components  # noqa: E402
from loreweave.models.sequential.network import START, SequenceNetwork  # noqa: E402


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOREWEAVE_CACHE", str(tmp_path_factory.mktemp("cache")))


def unit_rows(n: int, d: int) -> np.ndarray:
    rows = np.random.default_rng(3).standard_normal((n, d)) * np.linspace(2, 0.2, d)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("dim", [3, 6])
def test_components_are_those_of_pca_up_to_sign_and_one_scale(dim: int) -> None:
    vectors = unit_rows(40, 6)
    vectors[[4, 9]] = 0
    told = vectors.any(axis=1)
    found = principal_components(vectors, dim)
    expected = PCA(dim).fit_transform(vectors[told])
    expected *= START / expected.std()
    signs = np.sign((found[told] * expected).sum(axis=0))
    np.testing.assert_allclose(found[told] * signs, expected, rtol=1e-3, atol=1e-5)
    assert found.dtype == np.float32
    assert not found[~told].any()
    assert float(found[told].std()) == pytest.approx(START, rel=1e-4)


def test_fewer_dimensions_than_wanted_and_none() -> None:
    assert principal_components(unit_rows(5, 2), 8).shape == (5, 2)
    assert principal_components(np.zeros((5, 0), np.float32), 8).shape == (5, 0)
    assert not principal_components(np.zeros((5, 3), np.float32), 2).any()
    assert not principal_components(np.array([[0, 0], [0.6, 0.8]], np.float32), 2).any()  # one text has no variance


def test_texts_that_are_all_alike_but_for_one() -> None:
    same = np.tile(unit_rows(1, 256), (1000, 1))
    assert not principal_components(same, 64).any()  # rounding is no spread
    same[7] = unit_rows(2, 256)[1]
    lengths = np.linalg.norm(principal_components(same, 64), axis=1)
    assert lengths.max() == lengths[7] == pytest.approx(FARTHEST * START * 8, rel=1e-3)


def untrained(model: LLMInit) -> SequenceNetwork:
    network = model._network(model.sequences, torch.Generator().manual_seed(model.config.seed))
    model._start(network)
    return network


def test_items_start_there_and_those_without_a_text_as_usual() -> None:
    model, plain = fitted("llm-init", knowledge=said(), epochs=1), fitted("llm-init", epochs=1)
    start, usual = untrained(model).items.detach().numpy(), untrained(plain).items.detach().numpy()
    components = principal_components(model.item_vectors, 16)
    width = components.shape[1]
    np.testing.assert_array_equal(start[:5, :width], components[:5])
    np.testing.assert_array_equal(start[5:], usual[5:])  # nothing is said of f
    np.testing.assert_array_equal(start[:, width:], usual[:, width:])


def test_without_texts_it_is_the_backbone() -> None:
    for backbone in ("sasrec", "gru4rec"):
        model, alone = fitted("llm-init", epochs=3, backbone=backbone), fitted(backbone, epochs=3)
        np.testing.assert_array_equal(model.score(model.users.ids), alone.score(alone.users.ids))


def test_texts_about_people_are_not_read() -> None:
    model = fitted("llm-init", knowledge=said(), epochs=2)
    assert model.user_vectors.shape == (32, 0)
    items_alone = fitted("llm-init", knowledge=said().only("item_text"), epochs=2)
    np.testing.assert_array_equal(model.score(["p3"]), items_alone.score(["p3"]))
