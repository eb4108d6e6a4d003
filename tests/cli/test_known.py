"""`--knowledge` and `--with`: what a model of texts and a model of interests are given, and what is said of it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from test_wrong_input import refused

import loreweave as lw
from loreweave.models import MODELS
from texts_model import PLACE, Texts

Run = Callable[..., Any]


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MODELS, "texts", PLACE)
    monkeypatch.setattr(Texts, "shown", [])


@pytest.fixture
def folder(films: Path, tmp_path: Path) -> Path:
    """The films, with texts about ten users beside them."""
    place = tmp_path / "data"
    shutil.copytree(films, place)
    rows = [{"user": str(user), "model": "m", "profile": f"Likes {'odd' if user % 2 else 'even'} films."} for user in range(1, 11)]
    (place / "user_profiles.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return place


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    """A table of texts about films by two models, one of a film that the data lack."""
    path = tmp_path / "texts.jsonl"
    rows = [{"movie_id": film, "model": model, "text": f"{model} says {film}"} for model in ("m1", "m2") for film in (1, 2, 3, 999)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def fit(run: Run, data: Path, model: str = "texts", *more: object) -> Any:
    return run("fit", data, "--model", model, "--out", data.parent / "model", *more)


def kinds(number: int = -1) -> dict[str, int]:
    counts = Texts.shown[number].records["kind"].value_counts(sort=True)
    return dict(counts.sort("kind").iter_rows())


def test_auto_is_what_the_model_learns_from(run: Run, films: Path, folder: Path) -> None:
    ran = fit(run, folder)
    assert ran.code == 0, ran.err
    assert kinds() == {"item_text": 40}
    assert "Film number 9. genres: Odd." in Texts.shown[0].records["text"]
    assert Texts.shown[0].records["as_of"].unique().to_list() == [lw.split(lw.read(films), seed=1).fingerprint]
    assert "user_profiles.jsonl holds texts about users, which may rest on held-out interactions; --with user_profiles loads it" in ran.err
    assert "statistics" not in ran.err
    interests = fit(run, folder, "cikg-linear")
    assert "inferred by statistics" in interests.err and "--with" not in interests.err and "template" not in interests.err


def test_what_lies_beside_comes_before_templates(run: Run, folder: Path) -> None:
    records = [
        {"kind": "item_text", "item": "1", "text": "a heist"},
        {"kind": "interest", "user": "1", "interest": "sea", "as_of": "0" * 16},  # refused, were it asked for
    ]
    (folder / "knowledge.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    ran = fit(run, folder)
    assert ran.code == 0, ran.err
    assert kinds() == {"item_text": 1}
    assert "1 texts about items have no date" in ran.err


def test_profiles_and_templates_on_request(run: Run, folder: Path) -> None:
    ran = fit(run, folder, "texts", "--with", "user_profiles")
    assert ran.code == 0, ran.err
    assert kinds() == {"item_text": 40, "user_text": 10}
    assert "10 of 10 knowledge records may have seen the test part; they were accepted on request" in ran.err
    assert "--with user_profiles loads it" not in ran.err
    judged = run("evaluate", folder.parent / "model", folder, "--json")
    assert any("may have seen the test part" in warning for warning in judged.json()["warnings"])
    assert "may have seen the test part" in judged.err
    assert fit(run, folder, "texts", "--with", "user_profiles,user_templates", "--knowledge", "none").code == 0
    assert kinds() == {"user_text": 70}
    assert fit(run, folder, "texts", "--with", "user_profiles", "--with", "user_templates").code == 0
    assert kinds() == {"item_text": 40, "user_text": 70}
    assert fit(run, folder, "texts", "--knowledge", "none").code == 0
    assert kinds() == {}


@pytest.mark.parametrize("rows", [[], [{"user": "nobody", "profile": "likes heists"}]])
def test_profiles_of_nobody_here_are_refused(run: Run, folder: Path, rows: list[dict[str, str]]) -> None:
    (folder / "user_profiles.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    ran = fit(run, folder, "texts", "--with", "user_profiles")
    assert ran.code == 2 and len(ran.err.strip().splitlines()[-1]) < 300
    assert not Texts.shown


def test_a_table_of_texts_by_one_of_several_models(run: Run, films: Path, texts: Path, tmp_path: Path) -> None:
    refused(fit(run, films, "texts", "--knowledge", texts, "--out", tmp_path / "m"), "2 models", "--set knowledge.model=m1")
    ran = fit(run, films, "texts", "--knowledge", texts, "--set", "knowledge.model=m2", "--out", tmp_path / "m")
    assert ran.code == 0, ran.err
    assert Texts.shown[-1].records.select("item", "text").rows() == [("1", "m2 says 1"), ("2", "m2 says 2"), ("3", "m2 says 3")]
    assert "1 knowledge records of 1 items unknown to the data were left out" in ran.err
    assert "3 texts about items have no date" in ran.err


def test_compare_gives_every_model_its_own_kinds(run: Run, folder: Path, tastes: Path, tmp_path: Path) -> None:
    as_of = lw.split(lw.read(folder), seed=1).fingerprint
    records = [json.loads(line) | {"as_of": as_of} for line in (tastes / "knowledge.jsonl").read_text().splitlines()]
    (folder / "knowledge.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    comparing = ("compare", folder, "--models", "ease,cikg-linear,texts", "--seeds", "1,", "--no-tune", "-k", "5", "--json")
    told = run(*comparing, "--with", "user_profiles", "--out", tmp_path / "r").json()
    arms = {(row["model"], row["knowledge"]) for row in told["results"]}
    assert arms == {("ease", "none")} | {(model, arm) for model in ("cikg-linear", "texts") for arm in ("real", "none", "shuffled")}
    assert "10 of 10 knowledge records may have seen the test part; they were accepted on request" in told["protocol"]["warnings"]
    assert kinds(0) == {"item_text": 40, "user_text": 10}
    mixed = told["protocol"]["knowledge"]
    assert mixed["asked"] and mixed["recorded"] and {"template", "published (m)", "test"} == {*mixed["sources"]}
    alone = run(*comparing, "--knowledge", tastes, "--undated", "--out", tmp_path / "s").json()
    assert {row["knowledge"] for row in alone["results"] if row["model"] == "texts"} == {"none"}
    assert any(warning.startswith("texts learns from item_text and user_text") for warning in alone["protocol"]["warnings"])


def test_tune_takes_them_too(run: Run, folder: Path) -> None:
    ran = run("tune", folder, "--model", "texts", "--with", "user_profiles", "--json")
    assert ran.json()["value"] > 0
    assert kinds() == {"item_text": 40, "user_text": 10}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--model", "texts", "--with", "profiles"), ("--with 'profiles'", "user_profiles, user_templates")),
        (("--model", "cikg-linear", "--with", "user_profiles"), ("--with user_profiles", "texts about users")),
        (("--model", "ease", "--with", "user_templates"), ("--with user_templates",)),
        (("--model", "texts", "--with", "user_templates,user_templates_early"), ("user_templates_early", "one of them")),
        (("--model", "texts", "--knowledge", "statistical"), ("--knowledge statistical", "item_text")),
        (("--model", "texts", "--knowledge", "none", "--set", "knowledge.model=m"), ("only a store or a table has settings",)),
        (
            ("--model", "cikg-linear", "--knowledge", "{texts}", "--set", "knowledge.model=m1"),
            ("interest, and it holds item_text",),
        ),
        (("--model", "texts", "--knowledge", "{texts}", "--set", "knowledge.model=m9"), ("nothing here is by 'm9'", "m1, m2")),
        (("--model", "texts", "--knowledge", "{texts}", "--set", "knowledge.modle=m1"), ("unknown setting 'modle'",)),
        (("--model", "texts", "--knowledge", "{films}/movies.csv"), ("movies.csv", "no known format")),
        (("--model", "texts", "--knowledge", "{films}"), ("no knowledge here",)),
        (("--model", "ease", "--knowledge", "{texts}"), ("ease uses no knowledge",)),
    ],
)
def test_what_cannot_be_is_told(
    run: Run, films: Path, texts: Path, tmp_path: Path, arguments: tuple[str, ...], words: tuple[str, ...]
) -> None:
    given = [argument.format(texts=texts, films=films) for argument in arguments]
    refused(run("fit", films, *given, "--out", tmp_path / "o"), *words)
    assert not (tmp_path / "o").exists()


def test_profiles_that_are_not_there(run: Run, films: Path, tmp_path: Path) -> None:
    refused(fit(run, films, "texts", "--with", "user_profiles", "--out", tmp_path / "o"), str(films), "there is no user_profiles.jsonl")


def test_profiles_given_as_a_file_need_a_yes(run: Run, folder: Path) -> None:
    arguments = ("texts", "--knowledge", folder / "user_profiles.jsonl")
    refused(fit(run, folder, *arguments), "--undated")
    assert fit(run, folder, *arguments, "--undated").code == 0
    assert kinds() == {"user_text": 10}


def test_a_table_of_which_the_data_know_nobody(run: Run, films: Path, tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text('{"movie_id": 999, "model": "m", "text": "x"}\n')
    ran = fit(run, films, "texts", "--knowledge", tmp_path / "t.jsonl", "--out", tmp_path / "m")
    refused(ran, "holds nothing about the users and items of these data")


def test_with_may_stand_in_a_file(run: Run, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('[fit]\nwith = ["user_profiles"]\n', encoding="utf-8")
    assert fit(run, folder, "texts", "--config", tmp_path / "mine.toml").code == 0
    assert kinds() == {"item_text": 40, "user_text": 10}
