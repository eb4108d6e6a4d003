"""Vectors of texts: each distinct text is encoded once, and once only over all runs."""

from __future__ import annotations

import hashlib
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loreweave.errors import ConfigError, SavedError
from loreweave.language import vectors
from loreweave.language.base import LanguageModelError, TextEncoder
from loreweave.language.lsa import Lsa
from loreweave.language.vectors import Cached, distinct, spread, unit


class Counting:
    """A vector from the hash of the text; remembers what it was asked."""

    def __init__(self, name: str = "counting/model", dimensions: int = 5) -> None:
        self.name = name
        self.dimensions = dimensions
        self.asked: list[str] = []

    def encode(self, texts):
        self.asked += texts
        return unit(np.array([self.vector(text) for text in texts], dtype=np.float32).reshape(len(texts), self.dimensions))

    def vector(self, text: str) -> np.ndarray:
        seed = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")
        return np.zeros(self.dimensions) if text == "" else np.random.default_rng(seed).normal(size=self.dimensions)


def expected(texts: list[str]) -> np.ndarray:
    return unit(np.array([Counting().vector(text) for text in texts]))


@given(st.lists(st.text(max_size=5), max_size=30))
def test_distinct_texts_longest_first_and_back(texts: list[str]) -> None:
    once, where = distinct(texts)
    assert len(set(once)) == len(once)
    assert [len(text) for text in once] == sorted((len(text) for text in once), reverse=True)
    assert [once[place] if place >= 0 else None for place in where] == [None if not text.strip() else text for text in texts]
    numbers = spread(np.arange(1, len(once) + 1, dtype=np.float32)[:, None], where)
    assert numbers[:, 0].astype(int).tolist() == [place + 1 for place in where]


def test_a_lone_surrogate_is_a_question_mark() -> None:
    assert distinct(["half \ud83d", "half ?"])[0] == ["half ?"]


def test_unit_rows_are_of_length_one_or_zero() -> None:
    rows = unit(np.array([[3.0, 4.0], [0.0, 0.0], [1e-7, 0.0]]))
    assert rows.dtype == np.float32
    np.testing.assert_allclose(rows, [[0.6, 0.8], [0, 0], [0, 0]], rtol=1e-6)
    with pytest.raises(LanguageModelError, match="1 of 2 text vectors are not finite"):
        unit(np.array([[1.0, np.nan], [1.0, 0.0]]))


def test_a_second_run_encodes_nothing(tmp_path: Path) -> None:
    texts = ["noir", "gardening", "", "noir", "space opera", "  "]
    first = Cached(Counting(), tmp_path)
    made = first.encode(texts)
    assert sorted(first.encoder.asked) == ["gardening", "noir", "space opera"]
    np.testing.assert_allclose(made[[0, 1, 3, 4]], expected(["noir", "gardening", "noir", "space opera"]), rtol=1e-6)
    assert not made[[2, 5]].any()
    second = Cached(Counting(), tmp_path)
    assert isinstance(second, TextEncoder)
    np.testing.assert_array_equal(second.encode(texts[::-1]), made[::-1])
    assert second.encoder.asked == []
    assert (second.hits, second.encoded, second.name) == (3, 0, "counting/model")


def test_only_what_is_new_is_encoded(tmp_path: Path) -> None:
    Cached(Counting(), tmp_path).encode(["a", "b"])
    cached = Cached(Counting(), tmp_path)
    np.testing.assert_allclose(cached.encode(["c", "b", "d", "a"]), expected(["c", "b", "d", "a"]), rtol=1e-6)
    assert sorted(cached.encoder.asked) == ["c", "d"]
    assert (cached.hits, cached.encoded) == (2, 2)


def test_encoders_do_not_share_vectors(tmp_path: Path) -> None:
    Cached(Counting("a/b"), tmp_path).encode(["x"])
    other = Cached(Counting("a-b"), tmp_path)  # the same file name but for the hash
    other.encode(["x"])
    assert other.encoder.asked == ["x"]


def test_what_was_encoded_before_a_failure_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vectors, "BLOCK", 3)

    class Failing(Counting):
        def encode(self, texts):
            if len(self.asked) >= 6:
                raise LanguageModelError("quota exhausted")
            return super().encode(texts)

    texts = [f"text {i}" for i in range(10)]
    with pytest.raises(LanguageModelError, match="quota"):
        Cached(Failing(), tmp_path).encode(texts)
    again = Cached(Counting(), tmp_path)
    np.testing.assert_allclose(again.encode(texts), expected(texts), rtol=1e-6)
    assert (again.hits, again.encoded) == (6, 4)


def test_many_parts_become_one_and_lose_nothing(tmp_path: Path) -> None:
    texts = [f"text {i}" for i in range(vectors.MANY_PARTS + 5)]
    cached = Cached(Counting(), tmp_path)
    for text in texts:
        cached.encode([text])
    assert len(list(cached.folder.glob("part-*.parquet"))) < vectors.MANY_PARTS
    for reader in (cached, Cached(Counting(), tmp_path)):
        reader.encoder.asked.clear()
        np.testing.assert_allclose(reader.encode(texts), expected(texts), rtol=1e-6)
        assert reader.encoder.asked == []


def test_a_damaged_part_is_set_aside_counted_and_encoded_again(tmp_path: Path) -> None:
    Cached(Counting(), tmp_path).encode(["a"])
    Cached(Counting(), tmp_path).encode(["b"])
    part = min(tmp_path.rglob("part-*.parquet"))
    content = bytearray(part.read_bytes())
    content[len(content) // 2] ^= 1
    part.write_bytes(content)
    cached = Cached(Counting(), tmp_path)
    with pytest.warns(UserWarning, match="damaged, set aside"):
        np.testing.assert_allclose(cached.encode(["a", "b"]), expected(["a", "b"]), rtol=1e-6)
    assert (cached.damaged, cached.hits, cached.encoded) == (1, 1, 1)
    assert part.with_name(f"{part.name}.damaged").is_file()
    again = Cached(Counting(), tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again.encode(["a", "b"])
    assert again.encoded == 0


def test_another_model_under_the_same_name_is_refused(tmp_path: Path) -> None:
    Cached(Counting(), tmp_path).encode(["a"])
    with pytest.raises(SavedError, match="vectors of 5 and of 7 dimensions under the name 'counting/model'"):
        Cached(Counting(dimensions=7), tmp_path).encode(["a", "b"])


def test_lsa_is_not_cached(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="lsa vectors are not cached"):
        Cached(Lsa(), tmp_path)


def test_writers_at_the_same_time_share_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vectors, "BLOCK", 2)
    monkeypatch.setattr(vectors, "MANY_PARTS", 3)  # so that somebody always merges what others read
    failures = []

    def work(number: int) -> None:
        try:
            for start in range(0, 40, 8):
                texts = [f"text {i}" for i in range(start, start + 16 + number)]
                np.testing.assert_allclose(Cached(Counting(), tmp_path).encode(texts), expected(texts), rtol=1e-6)
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    last = Cached(Counting(), tmp_path)
    last.encode([f"text {i}" for i in range(48)])
    assert last.encoded == 0
    assert not list(tmp_path.rglob("*.damaged"))
