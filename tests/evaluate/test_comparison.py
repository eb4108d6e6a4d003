"""A comparison on three tribes of readers: what it writes, what it may see, and that a killed run loses nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from stubs import Oracle, Remembering, compared, interests, pairs, tribes

from loreweave.data import split
from loreweave.errors import ConfigError, DataError, SavedError
from loreweave.knowledge import Knowledge, Record, Templates, Together
from loreweave.models import MODELS, load
from texts_model import PLACE, Texts

pytestmark = pytest.mark.usefixtures("no_report")


def timeless(result: dict[str, Any]) -> dict[str, Any]:
    return {**result, "results": [{key: value for key, value in row.items() if key != "seconds"} for row in result["results"]]}


def test_what_it_writes(tmp_path: Path) -> None:
    result = compared(tmp_path / "run", noise=(0.3,), permutations=3, claims=[("stub real", "popular none", "recall@2")])
    assert [(row["model"], row["knowledge"], row["seed"]) for row in result["results"]] == [
        *(("popular", "none", seed) for seed in (1, 2)),
        *(("stub", arm, seed) for seed in (1, 2) for arm in ("real", "none", "shuffled", "noised-30")),
    ]
    for row in result["results"]:
        assert {"recall@2", "ndcg@2", "recall@5", "ndcg@5"} <= set(row["metrics"])
        assert set(row["seconds"]) == {"fit", "evaluate"}
    assert json.loads((tmp_path / "run/results.json").read_text()) == result
    claims = [(test["better"], test["worse"], test["metric"]) for test in result["tests"]]
    assert claims == [
        ("stub real", "stub none", "ndcg@5"),
        ("stub real", "stub shuffled", "ndcg@5"),
        ("stub real", "popular none", "recall@2"),
    ]
    for test in result["tests"]:
        assert test["difference"] > 0
        assert test["ci"][0] <= test["difference"] <= test["ci"][1]
        assert 0 < test["p"] <= test["p_holm"] <= 1
    (bound,) = result["permutations"]
    assert len(bound["draws"]) == 3
    assert bound["upper95"] < bound["real_minus_none"]
    for by, key in (("item popularity", "popularity"), ("user activity", "activity")):
        sides = [("popular", "none"), *(("stub", arm) for arm in ("real", "none", "shuffled", "noised-30"))]
        places = [(row["model"], row["knowledge"], row["group"]) for row in result[key]]
        assert places == [(*side, group) for side in sides for group in ("head", "tail")]
        assert all(row["by"] == by and row["users"] > 0 and set(row["metrics"]) == {"recall@5", "ndcg@5"} for row in result[key])
    assert [row["users"] for row in result["activity"][:2]] == [8, 28]  # a fifth of 36, rounded up
    assert result["protocol"]["split"]["how"] == "ratio"
    assert result["protocol"]["seeds"] == [1, 2]
    assert "loreweave" in result["protocol"]["versions"]


def test_the_kept_model_is_the_real_arm_of_the_first_seed_fitted_on_train_and_validation(tmp_path: Path) -> None:
    result = compared(tmp_path / "run")
    first = next(row for row in result["results"] if row["model"] == "stub")
    model = load(tmp_path / "run/stub")
    assert (first["knowledge"], first["seed"]) == ("real", 1)
    assert model.metrics == first["metrics"]
    assert model.data_fingerprint == split(tribes(), "ratio", seed=1).fingerprint
    assert model.origin["split"]["how"] == "ratio"
    assert load(tmp_path / "run/popular").metrics == result["results"][0]["metrics"]


def test_test_is_never_learnt_from_nor_validation_while_choosing(tmp_path: Path) -> None:
    source = Oracle()
    compared(tmp_path / "run", models=["stub"], knowledge=source)
    parts = {seed: split(tribes(), "ratio", seed=seed) for seed in (1, 2)}
    train, both, test = (
        {seed: pairs(getattr(each, name).interactions) for seed, each in parts.items()} if name != "test" else {}
        for name in ("train", "refit", "test")
    )
    test = {seed: pairs(each.test) for seed, each in parts.items()}
    assert Remembering.fits
    for fit in Remembering.fits:
        seed = fit["settings"]["seed"]
        assert not fit["train"] & test[seed]
        if fit["valid"] is None:
            assert fit["train"] == both[seed]
        else:
            assert fit["train"] == train[seed]
            assert not fit["valid"] & test[seed]
    choosing = [fit for fit in Remembering.fits if fit["valid"] is not None]
    # The grid has 2 × 2 points with knowledge, 2 without (the weight of interests stays); per seed.
    assert len(choosing) == 2 * (4 + 2)
    assert {fit["settings"]["weight"] for fit in choosing if fit["knowledge"] == "none"} == {1.0}
    assert source.shown == [train[1], both[1], train[2], both[2]]
    assert not any(shown & test[seed] for shown, seed in zip(source.shown, (1, 1, 2, 2), strict=True))


def test_shuffled_and_noised_keep_the_settings_of_real(tmp_path: Path) -> None:
    result = compared(tmp_path / "run", models=["stub"], noise=(0.5,))
    chosen = {(row["knowledge"], row["seed"]): row["settings"] for row in result["results"]}
    for seed in (1, 2):
        assert chosen["shuffled", seed] == chosen["noised-50", seed] == chosen["real", seed]
    refits = [fit for fit in Remembering.fits if fit["valid"] is None]
    real, shuffled = (next(fit["records"] for fit in refits if fit["knowledge"] == arm) for arm in ("real", "shuffled"))
    assert not real.equals(shuffled)


@pytest.mark.parametrize(("how", "walked"), [("given", 1), ("ratio", 4)])
def test_a_model_that_chooses_epochs_walks_its_grid_once_where_test_stays_the_same(tmp_path: Path, how: str, walked: int) -> None:
    """With `ratio` every seed has a test part of its own, which another seed's train may hold: nothing chosen there is taken over."""
    result = compared(tmp_path / "run", models=["epochs"], seeds=(1, 2, 3), how=how)
    trials = {(row["seed"], row["knowledge"]): row["trials"] for row in result["tuning"]}
    none = min(walked, 2)
    assert trials == {(1, "real"): 4, (1, "none"): 2} | {(seed, arm): n for seed in (2, 3) for arm, n in (("real", walked), ("none", none))}
    assert all(row["settings"]["epochs"] == 3 for row in result["results"])
    assert all(fit["settings"]["epochs"] == 3 for fit in Remembering.fits if fit["valid"] is None)
    if how == "given":
        assert len({json.dumps(row["settings"]["power"]) for row in result["results"] if row["knowledge"] == "real"}) == 1


def test_without_tuning_a_model_that_chooses_nothing_is_fitted_once_a_cell(tmp_path: Path) -> None:
    result = compared(tmp_path / "run", models=["popular"], tune=False)
    assert [(row["trials"], row["value"]) for row in result["tuning"]] == [(0, None), (0, None)]


def test_what_cannot_be_split_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(DataError):
        compared(tmp_path / "run", how="global_time")
    assert not (tmp_path / "run").exists()


def test_a_second_run_repeats_nothing(tmp_path: Path) -> None:
    first = compared(tmp_path / "run")
    done = len(Remembering.fits)
    assert compared(tmp_path / "run") == first
    assert len(Remembering.fits) == done
    compared(tmp_path / "run", seeds=(1, 2, 3))  # a third seed costs its own tuning and cells alone
    assert len(Remembering.fits) == done + done // 2


@pytest.mark.parametrize("at", [0, 3, 7, 11])
def test_a_killed_run_goes_on_to_the_same_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    whole = compared(tmp_path / "whole")
    fits = len(Remembering.fits)
    Remembering.fits.clear()
    monkeypatch.setattr(Remembering, "fail_at", at)
    with pytest.raises(KeyboardInterrupt):
        compared(tmp_path / "killed")
    assert len(Remembering.fits) == at
    monkeypatch.setattr(Remembering, "fail_at", None)
    assert timeless(compared(tmp_path / "killed")) == timeless(whole)
    assert len(Remembering.fits) == fits


def test_a_kept_model_that_is_gone_is_fitted_again(tmp_path: Path) -> None:
    first = compared(tmp_path / "run")
    (tmp_path / "run/stub/manifest.json").unlink()
    (tmp_path / "run/stub").rename(tmp_path / "elsewhere")
    done = len(Remembering.fits)
    assert timeless(compared(tmp_path / "run")) == timeless(first)
    assert len(Remembering.fits) == done + 1
    assert load(tmp_path / "run/stub").name == "stub"


def test_without_knowledge_every_model_runs_once(tmp_path: Path) -> None:
    result = compared(tmp_path / "run", knowledge=None)
    assert {row["knowledge"] for row in result["results"]} == {"none"}
    assert result["tests"] == result["groups"] == []
    assert any("no knowledge" in warning for warning in result["protocol"]["warnings"])


def texts_too(as_of: str) -> Knowledge:
    """Interests, a text about every reader and one about two books."""
    records = [Record(kind="user_text", user=f"u{user:02}", text=f"of tribe {user % 3}", as_of=as_of) for user in range(36)]
    records += [Record(kind="item_text", item=f"b{book:02}", text="a book", as_of=as_of) for book in (0, 1)]
    return interests(as_of).merged(Knowledge.from_records(records))


def test_a_model_that_finds_none_of_its_kinds_runs_once_and_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MODELS, "texts", PLACE)
    claims = [("stub real", "popular none", "recall@2"), ("texts real", "popular none", "recall@2")]
    result = compared(tmp_path / "run", models=["popular", "stub", "texts"], seeds=(1,), claims=claims, tune=False)
    arms = {(row["model"], row["knowledge"]) for row in result["results"]}
    assert arms == {("popular", "none"), ("stub", "real"), ("stub", "none"), ("stub", "shuffled"), ("texts", "none")}
    (warning,) = [warning for warning in result["protocol"]["warnings"] if "texts" in warning]
    assert warning == (
        "texts learns from item_text and user_text, of which the knowledge holds none (it holds interest): run without, and 3 tests that "
        "need it were left out"
    )
    assert {test["claim"] for test in result["tests"]} == {
        "stub real − stub none, ndcg@5",
        "stub real − stub shuffled, ndcg@5",
        "stub real − popular none, recall@2",
    }
    assert load(tmp_path / "run/texts").origin["part"] == "refit"


def test_blind_models_miss_nothing(tmp_path: Path) -> None:
    result = compared(tmp_path / "run", models=["popular"], knowledge=None, seeds=(1,), tune=False)
    assert result["protocol"]["warnings"] == []


def test_records_of_other_kinds_change_no_cell_no_shuffle_and_no_choice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MODELS, "texts", PLACE)
    train, both = (getattr(split(tribes(), "ratio", seed=1), part).fingerprint for part in ("train", "refit"))
    one = compared(tmp_path / "run", models=["stub"], knowledge=interests(train), seeds=(1,), noise=(0.3,))
    done = len(Remembering.fits)
    more = compared(tmp_path / "run", models=["stub", "texts"], knowledge=texts_too(train), seeds=(1,), noise=(0.3,))
    assert len(Remembering.fits) == done  # every cell and every trial of the first run was found again
    assert [row for row in more["results"] if row["model"] == "stub"] == one["results"]
    assert {row["knowledge"] for row in more["results"] if row["model"] == "texts"} == {"real", "none", "shuffled", "noised-30"}
    given = [known for known in Texts.shown if len(known)]
    assert {kind for known in given for kind in known.records["kind"]} == {"user_text", "item_text"}
    assert all(known.interests.is_empty() for known in given)
    assert both != train


def test_sources_and_records_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MODELS, "texts", PLACE)
    oracle = Oracle()
    profiles = texts_too("0" * 16).only("user_text")
    knowledge = Together((oracle, Templates()), (profiles,))
    result = compared(tmp_path / "run", models=["stub", "texts"], knowledge=knowledge, seeds=(1, 2), tune=False)
    assert {row["knowledge"] for row in result["results"] if row["model"] == "texts"} == {"real", "none", "shuffled"}
    parts = [split(tribes(), "ratio", seed=seed) for seed in (1, 2)]
    assert oracle.shown == [pairs(part.interactions) for each in parts for part in (each.train, each.refit)]
    told = result["protocol"]["knowledge"]
    assert (told["asked"], told["recorded"], told["records"]) == (True, True, 36 + 36 + 36)
    assert "36 of 36 knowledge records may have seen the test part; they were accepted on request" in result["protocol"]["warnings"]


def test_one_model_under_two_names(tmp_path: Path) -> None:
    models = {"plain": "stub", "popularity-too": "stub"}
    result = compared(tmp_path / "run", models=models, settings={"popularity-too": {"power": 0.1}}, tune=False, seeds=(1,))
    settings = {row["model"]: row["settings"] for row in result["results"] if row["knowledge"] == "real"}
    assert settings == {"plain": {"seed": 1}, "popularity-too": {"seed": 1, "power": 0.1}}
    assert load(tmp_path / "run/plain").config.power == 0.0


def test_recorded_knowledge_is_checked(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="undated"):
        compared(tmp_path / "run", models=["stub"], knowledge=interests(None))
    assert not Remembering.fits
    result = compared(tmp_path / "run", models=["stub"], knowledge=interests(None), undated=True)
    assert any("accepted on request" in warning for warning in result["protocol"]["warnings"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"models": ["stub", "no-such-model"]}, "no-such-model"),
        ({"settings": {"stub": {"wieght": 1}}}, "wieght"),
        ({"settings": {"ease": {"l2": 1}}}, "not compared"),
        ({"metric": "ndcg"}, "no metric"),
        ({"noise": (1.5,)}, "noise"),
        ({"permutations": 1}, "one draw"),
        ({"seeds": ()}, "seed"),
        ({"claims": [("stub real", "ease none", "ndcg@5")]}, "ease none"),
        ({"models": {"cells": "stub"}}, "cells"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_fitted(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        compared(tmp_path / "run", **options)
    assert not Remembering.fits
    assert not (tmp_path / "run").exists()


def test_another_folder_is_never_written_over(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.txt").write_text("five years of work")
    with pytest.raises(SavedError):
        compared(tmp_path / "mine")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.txt"]


def test_a_torn_cell_is_an_error_that_says_so(tmp_path: Path) -> None:
    compared(tmp_path / "run", models=["popular"], seeds=(1,))
    (cell,) = (tmp_path / "run/cells").glob("*.json")
    cell.write_text('{"metrics":')
    with pytest.raises(SavedError, match="damaged"):
        compared(tmp_path / "run", models=["popular"], seeds=(1,))


def test_an_ablation_runs_the_real_arm_alone(tmp_path: Path) -> None:
    result = compared(tmp_path / "run", controls=(), claims=[("stub real", "popular none", "recall@2")])
    assert {(row["model"], row["knowledge"]) for row in result["results"]} == {("popular", "none"), ("stub", "real")}
    assert [test["claim"] for test in result["tests"]] == ["stub real − popular none, recall@2"]
    assert result["groups"] == []
    with pytest.raises(ConfigError, match="controls are none, shuffled, template"):
        compared(tmp_path / "other", controls=("noised",))
    result = compared(tmp_path / "by name", models=["stub", "ease"], controls={"stub": ("none", "shuffled")}, permutations=2)
    assert [bound["model"] for bound in result["permutations"]] == ["stub"]
    with pytest.raises(ConfigError, match="permutations are measured against the arm none"):
        compared(tmp_path / "other", controls=("shuffled",), permutations=2)
