"""An ablation on three tribes of readers: what is run, what it is held against, and what the table says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from stubs import OPTIONS, Oracle, Remembering, interests, tribes

from loreweave.data import split
from loreweave.errors import ConfigError
from loreweave.evaluate.ablation import ablate
from loreweave.evaluate.comparison import compare
from loreweave.knowledge import Knowledge, Record, Templates
from loreweave.knowledge.templates import in_place_of
from loreweave.models import MODELS, create, model_class
from texts_model import PLACE, Texts


class Parts(Remembering):
    """A model of two parts, one of which does nothing here."""

    name = "parts"

    def ablations(self) -> dict[str, tuple[str, dict[str, Any]]]:
        return {
            "popular": ("popular", {}),
            "weightless": (self.name, {"weight": 0.0}),
            "idle": (self.name, {"epochs": 1}),
        }

    @classmethod
    def idle_settings(cls, train: Any, knowledge: Knowledge) -> tuple[str, ...]:
        return (*super().idle_settings(train, knowledge), "epochs")


@pytest.fixture(autouse=True)
def parts(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    if "report" not in request.function.__name__:
        request.getfixturevalue("no_report")
    monkeypatch.setitem(MODELS, "parts", f"{__name__}:Parts")


def ablated(out: Path, model: str = "parts", **options: Any) -> dict[str, Any]:
    return ablate(tribes(), model, out, **{"knowledge": Oracle(), "settings": {"power": 0.1}, "tune": False, **OPTIONS, **options})


def test_the_whole_is_held_against_each_part_and_each_control(tmp_path: Path) -> None:
    result = ablated(tmp_path / "run")
    rows = {(row["name"], row["knowledge"]): row for row in result["ablation"]}
    assert list(rows) == [("parts", "real"), ("parts", "none"), ("parts", "shuffled"), ("popular", "none"), ("weightless", "real")]
    assert result["left_out"] == ["idle"]
    whole = rows.pop(("parts", "real"))
    assert whole["loss"] is None and whole["seeds"] == 2
    for row in rows.values():
        assert row["loss"] == pytest.approx(whole["metrics"]["ndcg@5"] - row["metrics"]["ndcg@5"])
        assert row["ci"][0] <= row["loss"] <= row["ci"][1]
        assert set(row["tail"]) == {"recall@5", "ndcg@5"}
    assert rows["weightless", "real"]["metrics"] == rows["parts", "none"]["metrics"]  # without weight, what is known changes nothing
    assert rows["weightless", "real"]["loss"] > 0
    assert len(result["tests"]) == len(rows)


def test_settings_are_those_of_the_whole_and_of_its_ablations_but_not_of_another_model(tmp_path: Path) -> None:
    result = ablated(tmp_path / "run", seeds=(1,))
    assert {row["model"]: row["settings"] for row in result["results"] if row["knowledge"] != "shuffled"} == {
        "parts": {"seed": 1, "power": 0.1},
        "weightless": {"seed": 1, "power": 0.1, "weight": 0.0},
        "popular": {},
    }


def test_a_row_that_is_better_than_the_whole_has_a_loss_below_zero(tmp_path: Path) -> None:
    result = ablated(tmp_path / "run", settings={"power": 0.0, "weight": -1.0})  # what is known counts against what people like
    rows = {(row["name"], row["knowledge"]): row for row in result["ablation"]}
    row = rows["popular", "none"]
    assert row["loss"] == pytest.approx(rows["parts", "real"]["metrics"]["ndcg@5"] - row["metrics"]["ndcg@5"])
    assert row["loss"] < 0 and row["ci"][0] <= row["loss"] <= row["ci"][1]


def test_without_knowledge_the_parts_run_and_nothing_is_tested(tmp_path: Path) -> None:
    result = ablated(tmp_path / "run", knowledge=None)
    assert {row["name"]: row["knowledge"] for row in result["ablation"]} == {"parts": "none", "popular": "none"}
    assert result["left_out"] == ["weightless", "idle"]
    assert result["tests"] == [] and all(row["loss"] is None for row in result["ablation"])


def test_a_model_that_names_no_parts(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="stub names no parts that could be left out"):
        ablated(tmp_path / "run", "stub")
    assert not (tmp_path / "run").exists()


def written(as_of: str | None = None) -> Knowledge:
    return Knowledge.from_records(
        [
            Record(kind="item_text", item=f"b{book:02}", text=f"a book of tribe {book // 12}", source="test", as_of=as_of)
            for book in range(36)
        ]
    )


def test_texts_by_template_in_the_place_of_written_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MODELS, "texts", PLACE)
    monkeypatch.setattr(Texts, "shown", [])
    compare(
        tribes(), ["texts"], tmp_path, knowledge=written(), undated=True, controls=("template",), tune=False, **{**OPTIONS, "seeds": (1,)}
    )
    real, template = (known.records for known in Texts.shown)
    assert real.equals(written().records)
    refit = split(tribes(), "ratio", seed=1).refit
    assert template.equals(Templates().infer(refit).records)
    assert set(template["kind"]) == {"item_text"}  # no texts about users stand in for none


def test_the_report_has_a_place_for_every_control(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MODELS, "texts", PLACE)
    options = {"knowledge": written(), "undated": True, "controls": ("none", "shuffled", "template"), "tune": False}
    result = compare(tribes(), ["texts"], tmp_path / "run", **options, **{**OPTIONS, "seeds": (1,)})
    page = (tmp_path / "run" / "report.html").read_text()
    for arm in ("real", "none", "shuffled", "template"):
        assert f"--arm-{arm}:" in page and f"var(--arm-{arm})" in page
    assert [row["knowledge"] for row in result["results"]] == ["real", "none", "shuffled", "template"]


def test_no_arm_of_a_templates_texts_where_they_are_one_already(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MODELS, "texts", PLACE)
    result = compare(tribes(), ["texts"], tmp_path, knowledge=Templates(), controls=("none", "template"), tune=False, **OPTIONS)
    assert {row["knowledge"] for row in result["results"]} == {"real", "none"}
    assert len(result["tests"]) == 1
    assert any("the arm template was left out" in warning for warning in result["protocol"]["warnings"])


def test_what_a_template_takes_the_place_of() -> None:
    """Written texts alone, and only where there is one; all other records stay."""
    some = written().records.head(5)
    users = Templates(users=True, items=False, early=False).infer(tribes())
    known = Knowledge.from_frame(some).merged(users).merged(interests(None))
    found = in_place_of(known, tribes())
    assert found.only("user_text", "interest").records.equals(known.only("user_text", "interest").records)
    made = Templates().infer(tribes()).records.filter(pl.col("item").is_in(some["item"].to_list()))
    assert found.only("item_text").records.equals(made)
    assert found.interests.equals(known.interests)


def test_who_had_a_text_by_template_beside_the_written_one_keeps_it_alone() -> None:
    early = Templates(users=True, items=False, early=False).infer(tribes())
    early = Knowledge.from_frame(early.records.with_columns(text=pl.lit("of the older half ") + pl.col("text")))
    someone = early.records["user"][0]
    known = early.merged(Knowledge.from_records([Record(kind="user_text", user=someone, text="likes heists", source="test")]))
    assert in_place_of(known, tribes()).records.sort("user").equals(early.records.sort("user"))


def test_parts_that_the_settings_switch_off_are_no_ablations() -> None:
    pytest.importorskip("torch")

    def parts_of(model: str, **settings: Any) -> set[str]:
        return set(create(model, settings).ablations())

    people = {"no-people", "people-always"}
    assert people <= parts_of("grasp")
    assert not people & (parts_of("grasp", people=False) | parts_of("grasp", attention="none"))
    assert parts_of("cikgrec") == {"no-uir", "no-contrast", "no-transe"}
    assert parts_of("cikgrec", triples=False, interests=False) == {"no-contrast"}
    assert not parts_of("llm-init")  # without texts it is its backbone
    of_people = Knowledge.from_records([Record(kind="user_text", user="u", text="likes heists")])
    assert model_class("grasp").idle_settings(tribes(), of_people) == ("text_keys", "start")


def test_an_ablation_that_the_settings_made_already_is_left_out(tmp_path: Path) -> None:
    result = ablated(tmp_path / "run", settings={"weight": 0.0})
    assert result["left_out"] == ["weightless", "idle"]


def test_the_table_is_kept(tmp_path: Path) -> None:
    result = ablated(tmp_path / "run")
    assert json.loads((tmp_path / "run" / "results.json").read_text()) == result


def test_a_seed_of_the_callers_would_make_seeds_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"parts\.seed: a .* over several seeds sets it itself"):
        ablated(tmp_path / "run", settings={"seed": 5})
    assert not (tmp_path / "run").exists()
    assert {
        row["settings"]["seed"] for row in ablated(tmp_path / "run", settings={"seed": 5}, seeds=(1,))["results"] if row["settings"]
    } == {5}


def test_a_template_writes_nothing_for_a_model_that_reads_no_texts(tmp_path: Path) -> None:
    result = compare(tribes(), ["stub"], tmp_path, knowledge=Oracle(), controls=("none", "template"), **OPTIONS)
    assert {row["knowledge"] for row in result["results"]} == {"real", "none"}
    assert not any("template" in warning for warning in result["protocol"]["warnings"])
