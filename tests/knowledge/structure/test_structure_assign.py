"""`Structure`: new phrases go to the nearest centre, what was clustered stays where it is, and a saved structure is the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from phrase_stubs import TOPICS, WordEncoder, knowledge, said

from loreweave.errors import ConfigError, SavedError
from loreweave.knowledge.records import Knowledge
from loreweave.knowledge.structure import Structure, structure

ENCODER = WordEncoder(TOPICS)


def clustered() -> tuple[Knowledge, Knowledge, Structure]:
    rng = np.random.default_rng(0)
    lines = []
    for user in range(30):
        words = list(TOPICS.values())[user % 3]
        lines += [(f"u{user}", " ".join(rng.choice(words, rng.integers(1, 3), replace=False))) for _ in range(2)]
    before = knowledge(*lines, ("alone", "ship judge oven"))
    return before, *structure(before, ENCODER, n_users=80, interests=6)


def test_what_was_clustered_stays_where_it_is_and_is_not_encoded_again() -> None:
    before, found, made = clustered()
    ENCODER.asked.clear()
    assert made.assign(before, ENCODER).records.equals(found.records)
    assert ENCODER.asked == []


def test_new_phrases_go_to_the_nearest_centre() -> None:
    _, _, made = clustered()
    texts = [f"{a} {b} {c}" for words in TOPICS.values() for a in words for b in words for c in words if len({a, b, c}) == 3]
    new = sorted(set(texts) - set(made.phrases["phrase"]))
    found = made.nearest(pl.Series(new), ENCODER)
    cosine = ENCODER.encode(new) @ made.centres.T
    assert found["cluster"].to_list() == cosine.argmax(axis=1).tolist()
    assert np.allclose(found["similarity"], cosine.max(axis=1), atol=1e-6)
    given = made.assign(knowledge(*((f"new-{n}", text) for n, text in enumerate(new))), ENCODER)
    near = [row for row in range(len(new)) if cosine[row].max() >= made.min_similarity]
    kept = made.clusters["kept"].to_list()
    expected = [(f"new-{row}", made.clusters["interest"][int(cosine[row].argmax())]) for row in near if kept[cosine[row].argmax()]]
    assert expected
    assert given.records.select("user", "interest").rows() == expected
    assert given.interests.equals(made.interests)


def test_what_is_like_nothing_gets_nothing_and_is_counted() -> None:
    _, _, made = clustered()
    new = said(("n1", "quilting"), ("n2", "ship judge"), ("n3", "the"), ("n4", "ship judge oven"), ("n5", "ship"))
    given = made.assign(Knowledge.from_records(new), ENCODER)
    assert given.records["user"].to_list() == ["n5"]
    assert sorted(note.partition(": ")[2] for note in given.notes) == sorted(
        [
            "of fewer than 2 characters once cleaned",
            "of phrases that the encoder knows nothing of",
            f"less than {made.min_similarity:.3f} like any interest",
            "of interests that the drop rules took away",  # "alone" said it alone
        ]
    )


def test_another_encoder_is_refused() -> None:
    before, _, made = clustered()
    with pytest.raises(ConfigError, match="made with the encoder words-12, not words-4"):
        made.assign(before, WordEncoder({"sea": TOPICS["sea"]}))


def test_saved_and_loaded_it_is_the_same(tmp_path: Path) -> None:
    before, found, made = clustered()
    made.save(tmp_path / "interests")
    made.save(tmp_path / "interests")  # replaces its like
    again = Structure.load(tmp_path / "interests")
    assert again.interests.equals(made.interests)
    assert again.clusters.equals(made.clusters)
    assert (again.centres == made.centres).all()
    assert (again.membership != made.membership).nnz == 0
    for name in ("encoder", "min_similarity", "n_users", "dropped", "criterion", "seed"):
        assert getattr(again, name) == getattr(made, name)
    assert again.assign(before, ENCODER).records.equals(found.records)


def test_no_interests_at_all_can_be_saved_and_asked(tmp_path: Path) -> None:
    _, made = structure(Knowledge.none(), ENCODER, n_users=10)
    made.save(tmp_path / "none")
    given = Structure.load(tmp_path / "none").assign(knowledge(("a", "ship")), ENCODER)
    assert len(given) == 0
    assert given.notes == ("1 of 1 knowledge records were left out: of phrases that the encoder knows nothing of",)


def test_a_damaged_folder_is_refused(tmp_path: Path) -> None:
    _, _, made = clustered()
    made.save(tmp_path / "interests")
    file = tmp_path / "interests" / "arrays.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(bytes(content))
    with pytest.raises(SavedError, match="not what was written"):
        Structure.load(tmp_path / "interests")
    (tmp_path / "other").mkdir()
    with pytest.raises(SavedError, match="no manifest"):
        Structure.load(tmp_path / "other")
