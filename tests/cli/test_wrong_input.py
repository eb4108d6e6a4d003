"""Wrong input: one line that says what, where and what to do; exit code 2; nothing on standard output, nothing half-written."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]


def refused(ran: Any, *words: str) -> None:
    assert ran.code == 2, ran
    assert ran.out == ""
    errors = [line for line in ran.err.splitlines() if not line.startswith("note: ")]
    assert len(errors) == 1, ran.err
    assert errors[0].startswith("error: ")
    for word in words:
        assert word in errors[0]


def table(folder: Path, text: str) -> Path:
    path = folder / "ratings.csv"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("command", ["inspect", "fit", "tune", "compare"])
def test_a_missing_file(run: Run, tmp_path: Path, command: str) -> None:
    more = {
        "inspect": (),
        "fit": ("--model", "ease", "--out", tmp_path / "o"),
        "tune": ("--model", "ease"),
        "compare": ("--out", tmp_path / "o"),
    }
    refused(run(command, tmp_path / "nothing.csv", *more[command]), "nothing.csv")
    assert list(tmp_path.iterdir()) == []


def test_a_missing_column(run: Run, tmp_path: Path) -> None:
    path = table(tmp_path, "who,what\n1,2\n")
    refused(run("fit", path, "--model", "ease", "--out", tmp_path / "o"), "ratings.csv")
    refused(run("inspect", path, "--column", "user=wer"), "wer")
    assert not (tmp_path / "o").exists()


def test_a_number_that_is_none(run: Run, tmp_path: Path) -> None:
    path = table(tmp_path, "user,item,rating\n1,2,4\n1,3,four\n")
    refused(run("fit", path, "--model", "ease", "--out", tmp_path / "o"), "ratings.csv", "row 3", "rating", "four")
    assert not (tmp_path / "o").exists()


def test_an_empty_file(run: Run, tmp_path: Path) -> None:
    refused(run("inspect", table(tmp_path, "")), "ratings.csv")


def test_filters_that_leave_nothing(run: Run, films: Path, tmp_path: Path) -> None:
    refused(run("fit", films, "--model", "ease", "--min-value", "9", "--out", tmp_path / "o"), "value at least 9", "loosen")
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--model", "wizard"), ("'wizard'", "cikg-linear")),
        (("--model", "ease", "--set", "l3=5"), ("ease", "'l3'", "l2")),
        (("--model", "ease", "--set", "l2=many"), ("ease", "'l2'", "many")),
        (("--model", "ease", "--set", "l2"), ("--set 'l2'", "key=value")),
        (("--model", "ease", "--set", "wizard.l2=5"), ("'wizard'",)),
        (("--model", "ease", "--set", "cikg-linear.l2=5"), ("'cikg-linear'", "ease")),
        (("--model", "ease", "--set", "ease=5"), ("'ease'", "table")),
        (("--model", "ease", "--split", "by_moon"), ("--split", "by_moon", "leave_last_out")),
        (("--model", "ease", "--set", "split.moon=1"), ("split", "moon")),
        (("--model", "ease", "--column", "user"), ("--column 'user'", "role=name")),
        (("--model", "ease", "--column", "user=a", "--column", "user=b"), ("twice",)),
        (("--model", "ease", "--k-core", "0"), ("--k-core",)),
        (("--model", "ease", "--seed", "x"), ("--seed",)),
        (("--model", "ease", "--seed", "-1"), ("--seed",)),
        (("--model", "ease", "--format", "papyrus"), ("papyrus",)),
        (("--model", "cikg-linear", "--knowledge", "nowhere"), ("nowhere",)),
        (("--model", "cikg-linear", "--knowledge", "beside"), ("knowledge",)),
        (("--model", "ease", "--config", "nowhere.toml"), ("nowhere.toml",)),
        (("--mdel", "ease"), ("--mdel",)),
        ((), ("--model",)),
    ],
)
def test_wrong_options_of_fit(run: Run, films: Path, tmp_path: Path, arguments: tuple[str, ...], words: tuple[str, ...]) -> None:
    refused(run("fit", films, *arguments, "--out", tmp_path / "o"), *words)
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--models", "ease,wizard"), ("wizard",)),
        (("--models", "ease,ease"), ("--models",)),
        (("--models", ","), ("--models",)),
        (("--seeds", "0"), ("--seeds",)),
        (("--seeds", "1,1"), ("--seeds",)),
        (("--seeds", "three"), ("--seeds", "three")),
        (("--noise", "2"), ("noise", "2.0")),
        (("--noise", "much"), ("--noise", "much")),
        (("-k", "0"), ("-k",)),
        (("-k", "ten"), ("-k", "ten")),
        (("--models", "ease,popular", "--set", "l2=5"), ("l2", "whose")),
    ],
)
def test_wrong_options_of_compare(run: Run, films: Path, tmp_path: Path, arguments: tuple[str, ...], words: tuple[str, ...]) -> None:
    refused(run("compare", films, *arguments, "--out", tmp_path / "o"), *words)
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("ease",), ("ease", "no parts")),
        (("wizard",), ("wizard",)),
        (("grasp", "--set", "backbone=lstm"), ("backbone", "lstm")),
        (("grasp", "--set", "sasrec.dim=8"), ("sasrec", "grasp")),
        (("grasp", "--seeds", "0"), ("--seeds",)),
        (("grasp", "--with", "wizards"), ("--with", "wizards")),
        (("grasp", "--resume"), ("--resume",)),
    ],
)
def test_wrong_options_of_ablate(run: Run, films: Path, tmp_path: Path, arguments: tuple[str, ...], words: tuple[str, ...]) -> None:
    name, *options = arguments
    refused(run("ablate", name, films, *options, "--out", tmp_path / "o"), *words)
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[compare]\nmoon = 1\n", ("[compare]", "'moon'")),
        ("[compare]\nseeds = \n", ("not a TOML file",)),
        ("[wizard]\nl2 = 5\n", ("'wizard'",)),
        ("[ease]\nl3 = 5\n", ("ease", "l3")),
        ("ease = 5\n", ("'ease'",)),
        ("compare = 5\n", ("compare", "table")),
    ],
)
def test_wrong_toml_files(run: Run, films: Path, tmp_path: Path, text: str, words: tuple[str, ...]) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text, encoding="utf-8")
    refused(run("compare", films, "--models", "ease", "--config", path, "--out", tmp_path / "o"), *words)
    assert not (tmp_path / "o").exists()


def test_an_out_folder_that_is_somebody_elses(run: Run, films: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work", encoding="utf-8")
    refused(run("fit", films, "--model", "popular", "--out", tmp_path), str(tmp_path), "not saved by Loreweave")
    refused(run("compare", films, "--models", "popular", "--out", tmp_path), str(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_an_out_folder_with_a_manifest_of_another_program(run: Run, films: Path, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text('{"name": "a browser extension"}', encoding="utf-8")
    refused(run("fit", films, "--model", "popular", "--out", tmp_path), str(tmp_path), "not saved by Loreweave")
    refused(run("compare", films, "--models", "popular", "--out", tmp_path), str(tmp_path))
    assert (tmp_path / "manifest.json").read_text(encoding="utf-8") == '{"name": "a browser extension"}'


def test_a_model_does_not_take_the_place_of_a_comparison(run: Run, films: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert run("compare", films, "--models", "popular", "--seeds", "1,", "--knowledge", "none", "--no-tune", "--out", out).code == 0
    refused(run("fit", films, "--model", "popular", "--out", out), "something else")
    assert (out / "results.json").is_file()
    assert run("fit", films, "--model", "popular", "--out", out / "popular").code == 0


def test_files_are_written_only_under_the_ending_they_have(run: Run, films: Path, fitted: Path, tmp_path: Path) -> None:
    refused(run("tune", films, "--model", "ease", "--out", tmp_path / "ratings.csv"), ".toml")
    refused(run("recommend", fitted, "--all", "--out", tmp_path / "ratings.csv"), ".parquet")


@pytest.mark.parametrize(
    ("option", "value", "word"), [("--user", "nobody", "nobody"), ("--item", "Nothing at all", "Nothing at all"), ("-k", "0", "k")]
)
def test_wrong_questions(run: Run, fitted: Path, option: str, value: str, word: str) -> None:
    refused(run("recommend", fitted, *(("--user", "3") if option == "-k" else ()), option, value), word)


def test_interests_that_the_model_does_not_have(run: Run, fitted: Path) -> None:
    refused(run("recommend", fitted, "--interest", "odd things"), "without interests")


def test_folders_that_hold_no_model(run: Run, films: Path, tmp_path: Path) -> None:
    refused(run("recommend", tmp_path, "--user", "3"), "not a saved folder")
    refused(run("recommend", tmp_path / "nowhere", "--user", "3"), "nowhere")
    refused(run("evaluate", films, films), "not a saved folder")


@pytest.mark.parametrize(
    "damage", ["truncate", "flip", "remove", "garbage manifest", "empty manifest", "format", "other model", "bad config"]
)
def test_damaged_models(run: Run, fitted: Path, tmp_path: Path, damage: str) -> None:
    folder = tmp_path / "model"
    shutil.copytree(fitted, folder)
    weights, manifest = folder / "model.safetensors", folder / "manifest.json"
    content = json.loads(manifest.read_text(encoding="utf-8"))
    match damage:
        case "truncate":
            weights.write_bytes(weights.read_bytes()[:-7])
        case "flip":
            raw = bytearray(weights.read_bytes())
            raw[-1] ^= 1
            weights.write_bytes(raw)
        case "remove":
            (folder / "items.parquet").unlink()
        case "garbage manifest":
            manifest.write_bytes(b"\xff{")
        case "empty manifest":
            manifest.write_text("{}", encoding="utf-8")
        case "format":
            manifest.write_text(json.dumps({**content, "format": 99}), encoding="utf-8")
        case "other model":
            manifest.write_text(json.dumps({**content, "model": "wizard"}), encoding="utf-8")
        case "bad config":
            manifest.write_text(json.dumps({**content, "config": {"l2": -1}}), encoding="utf-8")
    refused(run("recommend", folder, "--user", "3"), str(folder))


def test_evaluating_on_other_data_is_refused(run: Run, fitted: Path, films: Path, tmp_path: Path) -> None:
    rows = (films / "ratings.csv").read_text(encoding="utf-8").splitlines()
    (tmp_path / "ratings.csv").write_text("\n".join(rows[:-40]) + "\n", encoding="utf-8")
    shutil.copy(films / "movies.csv", tmp_path)
    refused(run("evaluate", fitted, tmp_path), "other interactions")


def test_evaluating_what_learnt_from_everything_is_refused(run: Run, films: Path, tmp_path: Path) -> None:
    assert run("fit", films, "--model", "popular", "--all-data", "--out", tmp_path / "all").code == 0
    refused(run("evaluate", tmp_path / "all", films), "--all-data")


def test_undated_knowledge_loads_only_on_request(run: Run, films: Path, tmp_path: Path) -> None:
    record = {"kind": "interest", "user": "1", "interest": "sea", "text": "the sea"}
    (tmp_path / "knowledge.jsonl").write_text(json.dumps(record), encoding="utf-8")
    arguments = ("fit", films, "--model", "cikg-linear", "--knowledge", tmp_path, "--out", tmp_path / "model")
    refused(run(*arguments), "--undated")
    assert not (tmp_path / "model").exists()
    allowed = run(*arguments, "--undated")
    assert allowed.code == 0
    assert "may have seen the test part" in allowed.err
