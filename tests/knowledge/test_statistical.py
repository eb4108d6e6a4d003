"""The statistical source: a known answer, a slow and obvious second implementation, dates and notes."""

from __future__ import annotations

import math
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import loreweave.knowledge.statistical as module
from loreweave.data.dataset import Dataset, Interactions
from loreweave.data.simulate import simulate
from loreweave.data.vocabulary import Vocabulary
from loreweave.errors import ConfigError
from loreweave.knowledge.features import item_features
from loreweave.knowledge.source import KnowledgeSource
from loreweave.knowledge.statistical import Statistical, StatisticalConfig


def log(pairs: list[tuple[int, int]]) -> Interactions:
    table = np.array(pairs, dtype=np.int32)
    return Interactions(np.ascontiguousarray(table[:, 0]), np.ascontiguousarray(table[:, 1]))


def camps() -> Dataset:
    """Twelve readers: two of horror, two of romance, eight of books of no genre. Everybody met book 0."""
    pairs = [(user, 0) for user in range(12)]
    pairs += [(user, item) for user in (0, 1) for item in (1, 2, 3)] + [(user, item) for user in (2, 3) for item in (4, 5, 6)]
    pairs += [(user, 7 + (user + step) % 8) for user in range(4, 12) for step in range(3)]
    genres = [None, *["horror"] * 3, *["romance"] * 3, *[None] * 8]
    users, items = Vocabulary([f"u{i}" for i in range(12)]), Vocabulary([f"b{i}" for i in range(15)])
    return Dataset(users, items, log(pairs), item_features=pl.DataFrame({"genre": genres}))


def test_known_answer() -> None:
    dataset = camps()
    knowledge = Statistical(prior=1.0).infer(dataset)
    records = knowledge.records.select("user", "interest", "text", "evidence").rows()
    assert records == [
        ("u0", "genre: horror", "genre: horror", ["b1", "b2", "b3"]),
        ("u1", "genre: horror", "genre: horror", ["b1", "b2", "b3"]),
        ("u2", "genre: romance", "genre: romance", ["b4", "b5", "b6"]),
        ("u3", "genre: romance", "genre: romance", ["b4", "b5", "b6"]),
    ]
    assert knowledge.records["as_of"].unique().to_list() == [dataset.fingerprint]
    assert knowledge.interests.rows() == [("genre: horror", "genre: horror", False), ("genre: romance", "genre: romance", False)]
    assert "8 of 12 users have no interest that stands out" in knowledge.notes


def test_held_by_too_few_or_too_many() -> None:
    assert len(Statistical(prior=1.0, max_holders=0.1).infer(camps())) == 0  # two of twelve are more than a tenth
    assert len(Statistical(prior=1.0, min_holders=3).infer(camps())) == 0
    assert any("2 interests held by fewer than 3 users" in note for note in Statistical(prior=1.0, min_holders=3).infer(camps()).notes)
    assert len(Statistical(prior=1.0, min_evidence=4).infer(camps())) == 0


def slowly(dataset: Dataset, config: StatisticalConfig) -> dict[tuple[str, str], list[str]]:
    """The same rules, one person and one feature at a time: (user, label) → evidence."""
    found = item_features(dataset)
    carries, labels = found.matrix.toarray() > 0, found.names["label"].to_list()
    met = dataset.matrix.toarray() > 0
    people = [set(np.flatnonzero(row)) for row in met]
    n_all = sum(map(len, people))
    carriers = [sum(int(carries[item, feature]) for history in people for item in history) for feature in range(len(labels))]
    candidates: list[list[tuple[float, int, frozenset[int]]]] = []
    for history in people:
        mine: dict[frozenset[int], tuple[float, int]] = {}
        for feature in range(len(labels)):
            evidence = frozenset(int(item) for item in history if carries[item, feature])
            y, n = len(evidence), len(history)
            y_all = carriers[feature]
            alpha = config.prior * (y_all + 0.5) / (n_all + 1)
            if y < config.min_evidence:
                continue
            inside, rest = y + alpha, y_all - y + alpha
            delta = math.log(inside / (n + config.prior - inside)) - math.log(rest / (n_all - n + config.prior - rest))
            z = delta / math.sqrt(1 / inside + 1 / rest)
            if z > config.min_z and (evidence not in mine or mine[evidence][0] < z - 1e-9):
                mine[evidence] = (z, feature)
        candidates.append([(z, feature, evidence) for evidence, (z, feature) in mine.items()])
    holders = np.bincount([feature for mine in candidates for _, feature, _ in mine], minlength=len(labels))
    fine = (holders >= config.min_holders) & (holders <= config.max_holders * dataset.n_users)
    kept = [sorted((entry for entry in mine if fine[entry[1]]), key=lambda e: (-round(e[0], 9), e[1])) for mine in candidates]
    kept = [mine[: config.max_interests] for mine in kept]
    holders = np.bincount([feature for mine in kept for _, feature, _ in mine], minlength=len(labels))
    return {
        (str(dataset.users.ids[user]), labels[feature]): [str(dataset.items.ids[item]) for item in sorted(evidence)]
        for user, mine in enumerate(kept)
        for _, feature, evidence in mine
        if holders[feature] >= config.min_holders
    }


@pytest.mark.parametrize("settings", [{}, {"min_z": 0.5, "max_interests": 2, "prior": 3.0}, {"min_evidence": 1, "max_holders": 0.5}])
@pytest.mark.parametrize("block", [10_000_000, 200])
def test_agrees_with_the_slow_way_whatever_the_block(monkeypatch: pytest.MonkeyPatch, settings: dict[str, float], block: int) -> None:
    monkeypatch.setattr(module, "BLOCK", block)
    dataset = simulate(4, n_users=120, n_items=80, mean_history=7).dataset
    source = Statistical(**settings)
    records = source.infer(dataset).records
    fast = {(user, text): evidence for user, text, evidence in records.select("user", "text", "evidence").rows()}
    assert len(fast) == len(records) > 0
    assert fast == slowly(dataset, source.config)


def test_evidence_lies_in_the_history_and_weights_are_one() -> None:
    dataset = simulate(2).dataset
    records = Statistical().infer(dataset).records
    evidence = records.select("user", item="evidence").explode("item")
    history = pl.DataFrame(
        {"user": dataset.users.decode(dataset.interactions.user), "item": dataset.items.decode(dataset.interactions.item)}
    )
    assert evidence.join(history, on=["user", "item"], how="anti").is_empty()
    assert records["evidence"].list.len().min() >= 2
    assert records.group_by("user").len()["len"].max() <= 5
    assert records["weight"].unique().to_list() == [1.0]


def test_it_is_a_source_and_refuses_what_it_does_not_know() -> None:
    assert isinstance(Statistical(), KnowledgeSource)
    with pytest.raises(ConfigError, match="unknown setting 'z'"):
        Statistical(z=2)


def test_nothing_to_say() -> None:
    dataset = Dataset(Vocabulary(["a"]), Vocabulary(["x", "y"]), log([(0, 0)]))
    knowledge = Statistical().infer(dataset)
    assert len(knowledge) == 0 and knowledge.interests.height == 0


@pytest.mark.data
@pytest.mark.parametrize("name", ["ml-latest-small", "dbbook2014"])
def test_real_data_in_seconds(data_root: Path, name: str) -> None:
    from loreweave.data import read

    dataset = read(data_root / name)
    started = time.process_time()
    knowledge = Statistical().infer(dataset)
    assert time.process_time() - started < 10
    assert knowledge.records["user"].n_unique() > dataset.n_users * 0.8
    assert knowledge.interests["label"].str.contains("genres?: ").any()
