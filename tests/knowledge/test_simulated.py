"""The survey of a simulated world and the score of a source against its truth."""

from __future__ import annotations

import polars as pl
import pytest

from loreweave.data.simulate import World, simulate
from loreweave.errors import DataError
from loreweave.knowledge.records import Knowledge, Record
from loreweave.knowledge.simulated import score, survey
from loreweave.knowledge.statistical import Statistical


@pytest.fixture(scope="module")
def world() -> World:
    return simulate(1)


def test_a_survey_without_error_is_the_truth(world: World) -> None:
    knowledge = survey(world, as_of="f", error=0.0)
    assert score(world, knowledge) == pytest.approx({"precision": 1, "recall": 1, "f1": 1, "outdated": 0, "unmapped": 0})
    assert knowledge.records["as_of"].unique().to_list() == ["f"]
    assert knowledge.records["source"].unique().to_list() == ["simulated survey"]


@pytest.mark.parametrize("error", [0.2, 0.5, 1.0])
def test_a_survey_errs_as_often_as_it_says(world: World, error: float) -> None:
    scored = survey(world, as_of="f", error=error, seed=3)
    found = score(world, scored)
    n = world.truth.height
    assert found["recall"] == pytest.approx(1 - round(error * n) / n)
    assert found["precision"] == pytest.approx(found["recall"], abs=0.03)  # two wrong answers of one reader may be the same: said once
    assert scored.records.equals(survey(world, as_of="f", error=error, seed=3).records)
    with pytest.raises(DataError, match="between 0 and 1"):
        survey(world, as_of="f", error=1.5)


def test_methods_of_the_world_are_these(world: World) -> None:
    assert world.survey(as_of="f", error=0.1, seed=2).records.equals(survey(world, as_of="f", error=0.1, seed=2).records)
    assert world.score(Knowledge.none()) == score(world, Knowledge.none())
    assert set(score(world, Knowledge.none()).values()) == {0.0}


def test_score_by_words_and_authors(world: World) -> None:
    reader = world.truth.group_by("user", maintain_order=True).len().filter(pl.col("len") == 2)["user"][0]
    held = world.truth.filter(pl.col("user") == reader)["interest"].to_list()
    author = world.authors.filter(pl.col("interest") == held[1])["author"][0]
    other = next(name for name in world.interests if name not in held)
    word, wrong = world.interests[held[0]][3], world.interests[other][0]
    said = {
        f"word: {word}": held[0],
        f"words: {word} {world.interests[held[0]][4]}": held[0],  # the same again: counts once
        f"author: {author}": held[1],
        f"word: {wrong}": None,
        "word: zzz": None,
    }
    found = score(
        world, Knowledge.from_records(Record(kind="interest", user=reader, interest=f"i{n}", text=text) for n, text in enumerate(said))
    )
    assert found["precision"] == pytest.approx(2 / 4)
    assert found["unmapped"] == pytest.approx(1 / 4)
    assert found["recall"] == pytest.approx(2 / world.truth.height)


def test_statistics_find_much_more_than_chance(world: World) -> None:
    found = score(world, Statistical().infer(world.dataset))
    assert found["precision"] > 0.55 and found["recall"] > 0.4
    assert score(world, Statistical().infer(world.dataset).shuffled(1))["precision"] < 0.2
