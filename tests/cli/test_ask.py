"""`recommend`, `similar`, `explain`: what is printed about a fitted model, for people and for programs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from loreweave.models import load

Run = Callable[..., Any]


def test_recommend_lists_the_models_own_ranking_with_reasons_that_raise_the_score(run: Run, fitted: Path) -> None:
    told = run("recommend", fitted, "--user", "3", "-k", "4", "--json").json()
    model = load(fitted)
    best = model.recommend(["3"], 4)
    assert [entry["item"] for entry in told["items"]] == best["item"].to_list()
    for entry, score in zip(told["items"], best["score"].to_list(), strict=True):
        assert set(entry) == {"item", "title", "score", "reasons"}
        assert entry["score"] == pytest.approx(score, abs=1e-6)
        assert entry["title"] == model.titles[model.items.code(entry["item"])]
        assert 1 <= len(entry["reasons"]) <= 3
        for reason in entry["reasons"]:
            assert set(reason) == {"kind", "text", "contribution"}
            assert reason["contribution"] > 0


def test_recommend_for_a_user_recommends_what_people_of_that_taste_like(run: Run, fitted: Path) -> None:
    items = run("recommend", fitted, "--user", "3", "-k", "3", "--json").json()["items"]
    assert all(int(entry["item"]) % 2 == 1 for entry in items)


def test_a_newcomer_is_given_by_ids_and_titles_in_any_letter_case(run: Run, fitted: Path) -> None:
    by_title = run("recommend", fitted, "--item", "film NUMBER 9", "--item", "11", "-k", "5", "--json").json()["items"]
    by_id = run("recommend", fitted, "--item", "9", "--item", "11", "-k", "5", "--json").json()["items"]
    assert by_title == by_id
    assert not {"9", "11"} & {str(entry["item"]) for entry in by_id}
    assert all(int(entry["item"]) % 2 == 1 for entry in by_id)


def test_an_id_comes_before_a_title_and_the_other_reading_is_told(run: Run, fitted: Path) -> None:
    ran = run("similar", fitted, "--item", "8", "--json")
    assert str(ran.json()["item"]) == "8"
    assert "'8' is read as the item id of 'Film number 8'; it is also the title of 7 (8)" in ran.err


def test_an_ambiguous_title_lists_its_items(run: Run, fitted: Path) -> None:
    ran = run("recommend", fitted, "--item", "the twins (1988)")
    assert ran.code == 2
    assert ran.out == ""
    assert ran.err.count("\n") == 1
    assert "ambiguous" in ran.err
    assert "1 (The Twins (1988)), 2 (The Twins (1988))" in ran.err


def test_an_unknown_title_suggests_near_ones(run: Run, fitted: Path) -> None:
    misspelt = run("similar", fitted, "--item", "Flim number 12")
    assert misspelt.code == 2
    assert "did you mean 'Film number 12'" in misspelt.err
    part = run("similar", fitted, "--item", "fabuleux")
    assert "did you mean 'Amélie – Le Fabuleux Destin'" in part.err


def test_interests_of_a_newcomer_are_given_by_label_or_id(run: Run, informed: Path) -> None:
    by_label = run("recommend", informed, "--interest", "Odd things", "-k", "3", "--json").json()["items"]
    by_id = run("recommend", informed, "--interest", "taste-1", "-k", "3", "--json").json()["items"]
    assert by_label == by_id
    assert all(int(entry["item"]) % 2 == 1 for entry in by_id)
    assert by_id[0]["reasons"][0]["kind"] == "interest"
    assert by_id[0]["reasons"][0]["text"] == "odd things"
    ran = run("recommend", informed, "--interest", "odd thing")
    assert ran.code == 2
    assert "did you mean 'odd things'" in ran.err


def test_explain_gives_every_cause_and_they_add_up(run: Run, informed: Path) -> None:
    told = run("explain", informed, "--user", "5", "--item", "Film number 21", "--json").json()
    assert told["exact"] is True
    assert sum(cause["contribution"] for cause in told["causes"]) == pytest.approx(told["score"], abs=1e-4)
    assert {cause["kind"] for cause in told["causes"]} == {"item", "interest"}
    newcomer = run("explain", informed, "--known", "9", "--interest", "odd things", "--item", "21", "--json").json()
    assert len(newcomer["causes"]) == 2
    assert sum(cause["contribution"] for cause in newcomer["causes"]) == pytest.approx(newcomer["score"], abs=1e-4)
    assert "add up to the score" in run("explain", informed, "--user", "5", "--item", "21").out


def test_similar_leaves_the_item_itself_out_and_stays_within_its_taste(run: Run, fitted: Path) -> None:
    told = run("similar", fitted, "--item", "9", "-k", "5", "--json").json()
    near = [int(entry["item"]) for entry in told["items"]]
    assert len(near) == 5
    assert 9 not in near
    assert all(item % 2 == 1 for item in near)


def test_everybody_goes_to_parquet(run: Run, fitted: Path, tmp_path: Path) -> None:
    out = tmp_path / "all.parquet"
    told = run("recommend", fitted, "--all", "-k", "3", "--out", out, "--json").json()
    frame = pl.read_parquet(out)
    assert told == {"model": "ease", "out": str(out), "users": 60, "rows": 180}
    assert frame.columns == ["user", "rank", "item", "score"]
    assert frame.equals(load(fitted).recommend(None, 3))
    assert [path.name for path in tmp_path.iterdir()] == ["all.parquet"]


def test_titles_can_neither_steer_the_terminal_nor_speak_markup(run: Run, fitted: Path) -> None:
    table = run("recommend", fitted, "--item", "9", "-k", "40").out + run("recommend", fitted, "--item", "10", "-k", "40").out
    assert "[bold red]Heist[/bold red]" in table
    assert "\u001b" not in table
    assert "\u0007" not in table
    assert "Bell\ufffd and \ufffd[31mescape" in table
    raw = run("recommend", fitted, "--item", "10", "-k", "40", "--json")
    assert raw.out.isascii()
    assert "\u001b" not in raw.out
    assert any(entry["title"] == "Bell\u0007 and \u001b[31mescape\u001b[0m" for entry in raw.json()["items"])


@pytest.mark.parametrize(
    "arguments",
    [
        ("recommend",),
        ("recommend", "--user", "3", "--item", "9"),
        ("recommend", "--user", "3", "--interest", "x"),
        ("recommend", "--all"),
        ("recommend", "--user", "3", "--out", "x.parquet"),
        ("explain", "--item", "9"),
        ("explain", "--item", "9", "--user", "3", "--known", "4"),
    ],
)
def test_it_has_to_be_said_for_whom(run: Run, fitted: Path, arguments: tuple[str, ...]) -> None:
    command, *rest = arguments
    ran = run(command, fitted, *rest)
    assert ran.code == 2
    assert ran.out == ""
    assert ran.err.startswith("error: ")
    assert ran.err.count("\n") == 1


def test_models_of_sequences_give_reasons_and_a_page_for_a_title_is_cut(run: Run, tmp_path: Path) -> None:
    page = "var a = 1; " * 300
    items = "".join(f"{item},{page if item == 2 else f'Film {item}'}\n" for item in range(1, 5))
    (tmp_path / "items.csv").write_text("item,title\n" + items, encoding="utf-8")
    rows = "".join(f"u{user},{item},{100 * user + item}\n" for user in range(8) for item in (1, 2, 3, 4)[: 3 + user % 2])
    (tmp_path / "log.csv").write_text("user,item,timestamp\n" + rows, encoding="utf-8")
    ran = run("fit", tmp_path, "--model", "item-knn-seq", "--all-data", "--out", tmp_path.parent / f"{tmp_path.name}-model")
    assert ran.code == 0, ran.err
    asked = run("recommend", tmp_path.parent / f"{tmp_path.name}-model", "--item", "3", "--item", "1", "-k", "1")
    assert "cannot explain" not in asked.err and "(+" in asked.out
    assert "var a = 1;" in asked.out and "…" in asked.out and asked.out.count("var a = 1;") < 20
    told = run("recommend", tmp_path.parent / f"{tmp_path.name}-model", "--item", "3", "--item", "1", "-k", "1", "--json").json()
    assert told["items"][0]["title"].strip() == page.strip()


@pytest.fixture(scope="module")
def gardeners(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`grasp` after one epoch on six items, three about roses and three about engines, and people whose texts are counted from them."""
    folder = tmp_path_factory.mktemp("gardeners")
    about = [
        "red rose garden",
        "white rose garden",
        "rose garden hedge",
        "diesel engine oil",
        "engine oil filter",
        "oil for a diesel engine",
    ]
    (folder / "items.csv").write_text("item,title\n" + "".join(f"{i},{title}\n" for i, title in enumerate(about, 1)), encoding="utf-8")
    rows = "".join(f"u{user},{item},{100 * user + item}\n" for user in range(8) for item in ((1, 2, 3, 4) if user % 2 else (4, 5, 6, 1)))
    (folder / "log.csv").write_text("user,item,timestamp\n" + rows, encoding="utf-8")
    out = tmp_path_factory.mktemp("models") / "grasp"
    small = [part for text in ("dim=8", "epochs=1", "neighbours=2") for part in ("--set", text)]
    ran = run("fit", folder, "--model", "grasp", "--with", "user_templates", *small, "--all-data", "--out", out)
    assert ran.code == 0, ran.err
    return out


def test_neighbours_are_those_of_the_most_similar_texts(run: Run, gardeners: Path) -> None:
    told = run("neighbours", gardeners, "--item", "white rose garden", "--json").json()
    assert (told["model"], told["item"], told["user"]) == ("grasp", "2", None)
    assert {row["neighbour"] for row in told["neighbours"]} == {"1", "3"}
    assert [row["rank"] for row in told["neighbours"]] == [1, 2]
    cosines = [row["cosine"] for row in told["neighbours"]]
    assert cosines == sorted(cosines, reverse=True) and cosines[1] > 0 and cosines[0] <= 1
    shown = run("neighbours", gardeners, "--item", "2")
    assert shown.code == 0 and "white rose garden" in shown.out and "rose garden hedge" in shown.out and "diesel" not in shown.out


def test_neighbours_of_a_person_are_others_of_that_taste(run: Run, gardeners: Path) -> None:
    told = run("neighbours", gardeners, "--user", "u3", "--json").json()
    assert (told["item"], told["user"]) == (None, "u3")
    assert len(told["neighbours"]) == 2
    assert {row["neighbour"] for row in told["neighbours"]} <= {"u1", "u5", "u7"}


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ((), "--item or --user"),
        (("--item", "1", "--user", "u1"), "--item or --user"),
        (("--user", "nobody"), "nobody"),
        (("--item", "x"), "x"),
    ],
)
def test_neighbours_of_nobody_in_particular(run: Run, gardeners: Path, arguments: tuple[str, ...], named: str) -> None:
    ran = run("neighbours", gardeners, *arguments)
    assert (ran.code, ran.out) == (2, "")
    assert named in ran.err and ran.err.count("\n") == 1


def test_a_model_without_texts_has_no_neighbours_by_text(run: Run, fitted: Path) -> None:
    ran = run("neighbours", fitted, "--item", "9")
    assert ran.code == 2 and "reads no texts" in ran.err
