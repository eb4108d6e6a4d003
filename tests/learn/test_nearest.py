"""Nearest rows by cosine against brute force, and what is kept of them in the cache."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loreweave.errors import MissingExtra
from loreweave.learn import neighbours
from loreweave.learn.neighbours import cached_nearest, mean_of, nearest


def table_of(n: int, d: int, seed: int, silent: float = 0.2) -> np.ndarray:
    """Unit rows, some of them zero."""
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal((n, d))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    rows[rng.random(n) < silent] = 0
    return rows.astype(np.float32)


def brute(queries: np.ndarray, table: np.ndarray, k: int, among: np.ndarray, own: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    rows, cosines = np.full((len(queries), k), -1), np.zeros((len(queries), k))
    for q, query in enumerate(queries):
        able = [j for j in range(len(table)) if among[j] and table[j].any() and (own is None or own[q] != j) and query.any()]
        best = sorted(able, key=lambda j: -float(query @ table[j]))[:k]
        rows[q, : len(best)], cosines[q, : len(best)] = best, [float(query @ table[j]) for j in best]
    return rows, cosines


@given(
    st.integers(1, 30),
    st.integers(1, 9),
    st.integers(1, 12),
    st.integers(0, 99),
    st.booleans(),
    st.booleans(),
    st.sampled_from([1, 7, 10**6]),
)
def test_against_brute_force(n: int, asking: int, k: int, seed: int, some: bool, themselves: bool, cells: int) -> None:
    table = table_of(n, 8, seed)
    among = np.random.default_rng(seed).random(n) < 0.6 if some else np.ones(n, bool)
    queries = table if themselves else table_of(asking, 8, seed + 1)
    own = np.arange(n) if themselves else None
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(neighbours, "BLOCK_CELLS", cells)
        rows, cosines = nearest(queries, table, k, among=among if some else None, own=own)
    expected = brute(queries, table, k, among, own)
    assert (rows.dtype, cosines.dtype) == (np.int32, np.float32)
    np.testing.assert_array_equal(rows, expected[0])
    np.testing.assert_allclose(cosines, expected[1], atol=1e-6)


def test_nobody_is_their_own_neighbour_even_among_equals() -> None:
    table = np.tile(np.array([[0.6, 0.8]], np.float32), (20, 1))
    rows, cosines = nearest(table, table, 3, own=np.arange(20))
    assert (rows >= 0).all()
    assert (rows != np.arange(20)[:, None]).all()
    assert all(len(set(row)) == 3 for row in rows.tolist())
    np.testing.assert_allclose(cosines, 1.0, rtol=1e-6)


def test_fewer_than_k_and_nobody_at_all() -> None:
    rows, cosines = nearest(np.eye(2, dtype=np.float32), np.eye(2, dtype=np.float32), 4, own=np.arange(2))
    assert rows.tolist() == [[1, -1, -1, -1], [0, -1, -1, -1]]
    assert not cosines.any()
    for table in (np.zeros((3, 2), np.float32), np.zeros((3, 0), np.float32)):
        rows, cosines = nearest(table, table, 2, own=np.arange(3))
        assert rows.tolist() == [[-1, -1]] * 3
        assert not cosines.any()
    assert nearest(np.zeros((0, 2), np.float32), np.eye(2, dtype=np.float32), 2)[0].shape == (0, 2)


def test_mean_of_by_hand() -> None:
    table = np.array([[1, 0], [3, 2], [5, 10]], np.float32)
    found = mean_of(np.array([[0, 1], [2, -1], [-1, -1]], np.int32), table)
    assert found.dtype == np.float32
    assert found.tolist() == [[2, 1], [5, 10], [0, 0]]


class TestCache:
    def test_a_hit_gives_the_same_and_searches_nothing(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        table, among = table_of(30, 4, 1), np.arange(30) % 3 > 0
        first = cached_nearest(table, 5, tmp_path, among=among)
        expected = nearest(table, table, 5, among=among, own=np.arange(30))
        monkeypatch.setattr(neighbours, "nearest", lambda *_, **__: pytest.fail("searched again"))
        again = cached_nearest(table.copy(), 5, tmp_path, among=among.copy())
        for found in (first, again):
            np.testing.assert_array_equal(found[0], expected[0])
            np.testing.assert_array_equal(found[1], expected[1])

    def test_other_vectors_k_or_mask_are_found_anew(self, tmp_path: Path) -> None:
        table, among = table_of(30, 4, 1), np.arange(30) % 3 > 0
        other = table.copy()
        other[0, 0] += 1e-3
        for arguments in ((table, 5, None), (table, 4, None), (table, 5, among), (table, 5, ~among), (other, 5, None)):
            rows, _ = cached_nearest(arguments[0], arguments[1], tmp_path, among=arguments[2])
            np.testing.assert_array_equal(rows, nearest(arguments[0], *arguments[:2], among=arguments[2], own=np.arange(30))[0])
        assert len(list(tmp_path.iterdir())) == 5

    @pytest.mark.parametrize("damage", [b"", b"rubbish", None])
    def test_a_damaged_file_is_made_again(self, tmp_path: Path, damage: bytes | None) -> None:
        table = table_of(30, 4, 1)
        first = cached_nearest(table, 5, tmp_path)
        (path,) = tmp_path.iterdir()
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2] if damage is None else damage)
        again = cached_nearest(table, 5, tmp_path)
        np.testing.assert_array_equal(again[0], first[0])
        assert path.read_bytes() == whole


def test_a_cache_that_cannot_be_written_costs_the_keeping_alone(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    table = table_of(30, 4, 1)
    with pytest.warns(UserWarning, match="LOREWEAVE_CACHE"):
        rows, _ = cached_nearest(table, 5, tmp_path / "file" / "neighbours")
    np.testing.assert_array_equal(rows, nearest(table, table, 5, own=np.arange(30))[0])


class TestApproximate:
    def test_without_faiss_the_message_names_the_extra(self, monkeypatch: pytest.MonkeyPatch) -> None:
        if find_spec("faiss") is not None:
            pytest.skip("faiss is installed")
        monkeypatch.setattr(neighbours, "EXACT_ROWS", 10)
        with pytest.raises(MissingExtra, match="faiss"):
            nearest(table_of(30, 4, 1), table_of(30, 4, 1), 3)

    def test_few_queries_are_answered_exactly(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """An index costs more to build than a few newcomers cost to compare."""
        table, queries = table_of(100, 4, 1), table_of(3, 4, 2, silent=0)
        expected = nearest(queries, table, 3)
        monkeypatch.setattr(neighbours, "EXACT_ROWS", 50)
        np.testing.assert_array_equal(nearest(queries, table, 3)[0], expected[0])

    def test_finds_nearly_all_that_the_exact_search_finds(self, monkeypatch: pytest.MonkeyPatch) -> None:
        pytest.importorskip("faiss")
        centres = table_of(20, 16, 3, silent=0)
        rng = np.random.default_rng(4)
        table = np.repeat(centres, 100, axis=0) + 0.1 * rng.standard_normal((2000, 16))
        table = (table / np.linalg.norm(table, axis=1, keepdims=True)).astype(np.float32)
        table[::50] = 0
        exact, _ = nearest(table, table, 5, own=np.arange(2000))
        monkeypatch.setattr(neighbours, "EXACT_ROWS", 100)
        found, _ = nearest(table, table, 5, own=np.arange(2000))
        assert (found[::50] == -1).all()
        assert (found != np.arange(2000)[:, None]).all()
        shared = [len(set(a) & set(b)) / 5 for a, b in zip(exact.tolist(), found.tolist(), strict=True) if a[0] >= 0]
        assert np.mean(shared) > 0.8
