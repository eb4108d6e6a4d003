"""`inspect`, `fit`, `tune`, `evaluate`, `compare`: what they print, save and refuse to look at."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import loreweave as lw
from loreweave.evaluate import evaluate

Run = Callable[..., Any]


def test_inspect_says_what_is_there(run: Run, films: Path) -> None:
    told = run("inspect", films, "--json").json()
    assert told == lw.inspect(films)
    text = run("inspect", films).out
    assert "60" in text
    assert "840" in text


def test_fit_keeps_the_test_part_out_and_says_so(run: Run, films: Path, fitted: Path) -> None:
    model = lw.load(fitted)
    split = lw.split(lw.read(films), seed=1)
    assert model.data_fingerprint == split.refit.fingerprint
    assert model.origin["split"] == split.describe()
    assert model.origin["part"] == "refit"
    assert model.config.l2 == 5
    assert not fitted.with_name("ease.checkpoints").exists()


def test_fit_prints_one_object_with_the_settings_used(run: Run, films: Path, tmp_path: Path) -> None:
    told = run("fit", films, "--model", "ease", "--set", "ease.l2=7.5", "--min-value", "3", "--out", tmp_path / "m", "--json").json()
    assert told["settings"]["l2"] == 7.5
    assert told["learnt_from"]["interactions"] < 60 * 12
    assert told["origin"]["filters"] == {"min_value": 3.0, "k_core": None}
    assert told["data_fingerprint"] == lw.load(tmp_path / "m").data_fingerprint


def test_fit_tells_what_the_model_that_chose_scores_on_validation(run: Run, films: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    small = {"dim": 4, "epochs": 3, "batch_size": 256}
    typed = [word for key, value in small.items() for word in ("--set", f"{key}={value}")]
    ran = run("fit", films, "--model", "lightgcn", *typed, "--knowledge", "none", "--out", tmp_path / "m", "--json")
    told, split = ran.json(), lw.split(lw.read(films), seed=1)
    chose = lw.create("lightgcn", {**small, "seed": 1}).fit(split.train, valid=split.valid)
    assert told["metrics"] == pytest.approx(evaluate(chose, split.valid, ks=(10, 20)).metrics)
    assert {"recall@10", "ndcg@10", "hit_rate@10", "recall@20", "ndcg@20"} <= set(told["metrics"])
    saved = lw.load(tmp_path / "m")
    assert set(told["seconds"]) == {"fit", "epoch"}
    assert told["seconds"]["fit"] == saved.seconds_to_fit
    assert told["seconds"]["epoch"] == statistics.median(row["seconds"] for row in saved.training)
    plain = run("fit", films, "--model", "lightgcn", *typed, "--knowledge", "none", "--out", tmp_path / "m").out
    assert f"ndcg@10 {told['metrics']['ndcg@10']:.4f}" in plain


def test_fit_of_a_model_that_chooses_nothing_has_no_metrics(run: Run, films: Path, tmp_path: Path) -> None:
    told = run("fit", films, "--model", "ease", "--out", tmp_path / "m", "--json").json()
    assert told["metrics"] == {} and set(told["seconds"]) == {"fit"}
    assert "nothing was chosen on validation" in run("fit", films, "--model", "ease", "--out", tmp_path / "m").out


def test_the_order_of_the_file_is_taken_on_request_and_repeated_by_evaluate(run: Run, tmp_path: Path) -> None:
    """Everybody meets the next three of twenty films after their own; the last row of each is the test."""
    rows = ["user,item", *(f"u{user},i{(user + step) % 20}" for step in range(3) for user in range(20))]
    (tmp_path / "log.csv").write_text("\n".join(rows) + "\n")
    fit = ("fit", tmp_path / "log.csv", "--model", "popular", "--out", tmp_path / "m", "--json")
    refused = run(*fit, "--split", "leave_last_out")
    assert refused.code == 2 and "--file-order" in refused.err
    assert run(*fit).json()["origin"]["split"]["how"] == "ratio"
    told = run(*fit, "--file-order").json()
    assert told["origin"]["filters"] == {"min_value": None, "k_core": None, "file_order": True}
    assert (told["origin"]["split"]["how"], told["origin"]["split"]["test"]) == ("leave_last_out", 20)
    judged = run("evaluate", tmp_path / "m", tmp_path / "log.csv", "-k", "5", "--json").json()
    assert judged["split"] == told["origin"]["split"]
    for command in (("compare", "--models", "popular", "--seeds", "1,", "--no-tune", "--out", tmp_path / "r"), ("tune", "--model", "ease")):
        found = run(command[0], tmp_path / "log.csv", *command[1:], "--file-order", "--json").json()
        assert (found.get("protocol") or found)["split"]["how"] == "leave_last_out"


def test_the_order_of_the_file_against_a_clock(run: Run, films: Path, tmp_path: Path) -> None:
    refused = run("fit", films, "--model", "popular", "--file-order", "--out", tmp_path / "m")
    assert refused.code == 2 and "the log has a time of its own; leave --file-order" in refused.err


def test_all_data_is_all_data(run: Run, films: Path, tmp_path: Path) -> None:
    told = run("fit", films, "--model", "popular", "--all-data", "--out", tmp_path / "m", "--json").json()
    assert told["learnt_from"]["interactions"] == 840
    assert lw.load(tmp_path / "m").data_fingerprint == lw.read(films).fingerprint


def test_evaluate_judges_on_the_test_part_of_the_models_own_split(run: Run, films: Path, fitted: Path) -> None:
    told = run("evaluate", fitted, films, "-k", "5,10", "--json").json()
    report = evaluate(lw.load(fitted), lw.split(lw.read(films), seed=1).test, ks=(5, 10))
    assert told["metrics"] == pytest.approx(report.metrics)
    assert "recall@5" in told["metrics"]
    assert "recall@20" not in told["metrics"]
    assert f"{report.metrics['ndcg@10']:.4f}" in run("evaluate", fitted, films, "-k", "10").out


def test_evaluate_repeats_the_filters_the_model_was_fitted_with(run: Run, films: Path, tmp_path: Path) -> None:
    assert run("fit", films, "--model", "popular", "--min-value", "3", "--split", "ratio", "--seed", "4", "--out", tmp_path / "m").code == 0
    told = run("evaluate", tmp_path / "m", films, "--json").json()
    assert told["split"]["how"] == "ratio"
    assert told["split"]["seed"] == 4


def test_tune_walks_the_grid_on_validation_and_writes_what_fit_reads(run: Run, films: Path, tmp_path: Path) -> None:
    out = tmp_path / "tuned.toml"
    told = run("tune", films, "--model", "ease", "--metric", "ndcg@10", "--out", out, "--json").json()
    assert told["value"] == max(trial["value"] for trial in told["trials"])
    assert len(told["trials"]) == len(lw.models.model_class("ease").grid["l2"])
    fitted = run("fit", films, "--model", "ease", "--config", out, "--out", tmp_path / "m", "--json").json()
    assert fitted["settings"]["l2"] == told["settings"]["l2"]


def test_set_comes_before_the_file(run: Run, films: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text("[fit]\nmodel = 'ease'\nmin-value = 3\n[ease]\nl2 = 11\n", encoding="utf-8")
    arguments = ("fit", films, "--config", tmp_path / "mine.toml", "--out", tmp_path / "m", "--json")
    assert run(*arguments).json()["settings"]["l2"] == 11
    told = run(*arguments, "--set", "l2=12").json()
    assert told["settings"]["l2"] == 12
    assert told["origin"]["filters"]["min_value"] == 3.0


@pytest.fixture(scope="module")
def compared(run: Run, films: Path, tastes: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    out = tmp_path_factory.mktemp("runs") / "films"
    arguments = (
        "--models",
        "popular,cikg-linear",
        "--seeds",
        "2",
        "--no-tune",
        "--noise",
        "0.3",
        "-k",
        "5,10",
        "--knowledge",
        tastes,
        "--undated",
    )
    return run("compare", films, *arguments, "--out", out, "--json"), out


def test_compare_prints_one_object_of_the_promised_shape(compared: tuple[Any, Path]) -> None:
    told = compared[0].json()
    assert {"results", "tests", "protocol"} <= set(told)
    rows = [(row["model"], row["knowledge"], row["seed"]) for row in told["results"]]
    assert rows.count(("popular", "none", 1)) == 1
    assert {knowledge for model, knowledge, _ in rows if model == "popular"} == {"none"}
    assert {knowledge for model, knowledge, _ in rows if model == "cikg-linear"} == {"real", "none", "shuffled", "noised-30"}
    for row in told["results"]:
        assert {"recall@5", "ndcg@5", "recall@10", "ndcg@10"} <= set(row["metrics"])
        assert {"fit", "evaluate"} <= set(row["seconds"])
    for test in told["tests"]:
        assert {"better", "worse", "metric", "difference", "ci", "p"} <= set(test)


def test_what_compare_saved_can_be_asked_and_judged(run: Run, compared: tuple[Any, Path], films: Path) -> None:
    told, out = compared[0].json(), compared[1]
    assert (out / "report.html").is_file()
    assert json.loads((out / "results.json").read_text(encoding="utf-8"))["results"] == told["results"]
    items = run("recommend", out / "cikg-linear", "--user", "3", "-k", "3", "--json").json()["items"]
    assert len(items) == 3
    judged = run("evaluate", out / "cikg-linear", films, "-k", "5,10", "--json").json()
    row = next(row for row in told["results"] if (row["model"], row["knowledge"], row["seed"]) == ("cikg-linear", "real", 1))
    assert judged["metrics"]["ndcg@10"] == pytest.approx(row["metrics"]["ndcg@10"], abs=1e-6)


def test_random_items_have_a_table_of_their_own(run: Run, films: Path, tmp_path: Path) -> None:
    out = tmp_path / "r"
    arguments = ("compare", films, "--models", "popular,ease", "--seeds", "2", "--no-tune", "--knowledge", "none", "-k", "10")
    ran = run(*arguments, "--negatives", "15", "--out", out)
    assert ran.code == 0, ran.err
    assert "among 15 random items: not a full ranking" in ran.out
    assert "H@10" in ran.out
    rows = json.loads((out / "results.json").read_text(encoding="utf-8"))["results"]
    judged = run("evaluate", out / "ease", films, "-k", "10", "--negatives", "15", "--json").json()
    assert judged["sampled"] == pytest.approx(next(row["sampled"] for row in rows if (row["model"], row["seed"]) == ("ease", 1)))
    assert set(judged["sampled"]) == {f"{name}@{k}" for name in ("hit_rate", "ndcg") for k in (1, 3, 5, 10)}
    assert "among 15 random items: not a full ranking" in run("evaluate", out / "ease", films, "--negatives", "15").out
    assert "random items" not in run(*arguments, "--out", tmp_path / "plain").out


def test_ablate_prints_one_table_of_the_parts(run: Run, films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    tiny = ("--set", "epochs=1", "--set", "dim=8", "--set", "max_length=8", "--seeds", "1", "-k", "5", "--metric", "ndcg@5")
    tiny = (*tiny, "--with", "user_templates")
    ran = run("ablate", "llm-esr", films, "--split", "leave_last_out", *tiny)
    assert ran.code == 0, ran.err
    out = Path("runs") / f"ablate-llm-esr-{films.name}"
    assert str(out / "report.html") in ran.out.replace("\n", "")
    told = run("ablate", "llm-esr", films, "--split", "leave_last_out", *tiny, "--resume", "--json").json()
    rows = [(row["name"], row["knowledge"]) for row in told["ablation"]]
    assert rows == [("llm-esr", "real"), ("llm-esr", "none"), ("llm-esr", "shuffled"), ("sasrec", "none"), ("no-distillation", "real")]
    assert told["left_out"] == []
    lines = [line.split() for line in ran.out.splitlines()]
    for row in told["ablation"]:  # the texts are a template's already: no arm of that name
        (line,) = (line for line in lines if line[:2] == [row["name"], row["knowledge"]])
        assert f"{row['metrics']['ndcg@5']:.4f}" in line
        if row["loss"] is not None:
            assert {f"{row['loss']:+.4f}", f"{row['ci'][0]:+.4f}", f"{row['ci'][1]:+.4f}", f"{row['p_holm']:.4f}"} <= set(line)
    untold = run("ablate", "llm-esr", films, "--split", "leave_last_out", *tiny[:-2], "--out", tmp_path / "o", "--json").json()
    assert untold["left_out"] == ["no-distillation"]
    shared = {"epochs": 1, "dim": 8, "max_length": 8}
    settings = {row["model"]: row["settings"] for row in told["results"]}
    assert settings["sasrec"] == {"seed": 1, **shared}
    assert settings["no-distillation"] == {"seed": 1, "distillation": 0.0, **shared}


def test_compare_prints_a_table_and_where_the_report_is(run: Run, films: Path, tmp_path: Path) -> None:
    options = ("--models", "popular,ease", "--seeds", "1,", "--no-tune", "--knowledge", "none", "-k", "10")
    ran = run("compare", films, *options, "--out", tmp_path / "r")
    assert ran.code == 0, ran.err
    assert "ndcg@10" in ran.out
    assert "popular" in ran.out
    assert str(tmp_path / "r" / "report.html") in ran.out.replace("\n", "")


LIGHT = {"dim": 4, "epochs": 6, "batch_size": 256}
BLEND = f"blend.parts=[{{model='popular'}},{{model='lightgcn',settings={{{','.join(f'{key}={value}' for key, value in LIGHT.items())}}}}}]"


@pytest.mark.parametrize("settings", [("lightgcn", *(f"{key}={value}" for key, value in LIGHT.items())), ("blend", BLEND)])
@pytest.mark.parametrize("stage", ["choose", "refit"])
def test_a_fit_that_was_stopped_goes_on_to_the_same_result(
    run: Run, films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: tuple[str, ...], stage: str
) -> None:
    pytest.importorskip("torch")
    from loreweave.learn import checkpoint

    small = ("--model", settings[0], *(word for each in settings[1:] for word in ("--set", each)), "--knowledge", "none")
    assert run("fit", films, *small, "--out", tmp_path / "whole").code == 0
    save = checkpoint.save

    def stop_after_the_first(folder: Path, *arguments: Any) -> None:
        save(folder, *arguments)
        if stage in folder.parts:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(checkpoint, "save", stop_after_the_first)
        stopped = run("fit", films, *small, "--out", tmp_path / "stopped")
    assert stopped.code == 130
    assert not (tmp_path / "stopped").exists()
    assert (tmp_path / "stopped.checkpoints").is_dir()
    assert run("fit", films, *small, "--out", tmp_path / "stopped", "--resume").code == 0
    assert not (tmp_path / "stopped.checkpoints").exists()
    whole, resumed = lw.load(tmp_path / "whole"), lw.load(tmp_path / "stopped")
    assert resumed.config == whole.config
    assert (resumed.score(["3"]) == whole.score(["3"])).all()


@pytest.mark.parametrize("name", ["dbbook2014", "book-crossing"])
def test_the_shipped_settings_are_the_published_ones(name: str) -> None:
    pytest.importorskip("torch")
    from loreweave.cli import inputs
    from loreweave.models.graph.cikgrec import PAPER

    path = Path(__file__).parents[2] / "examples" / f"cikgrec-paper-{name}.toml"
    assert inputs.settings({"cikgrec": "cikgrec"}, (), path) == ({"cikgrec": PAPER[name]}, {}, {})


def test_a_file_may_hold_options_of_the_command(run: Run, films: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(
        "[compare]\nmodels = ['ease']\nseeds = [4, 2]\ntune = false\nk = [5]\n[ease]\nl2 = 9\n", encoding="utf-8"
    )
    told = run("compare", films, "--config", tmp_path / "mine.toml", "--knowledge", "none", "--out", tmp_path / "r", "--json").json()
    assert [(row["model"], row["seed"], row["settings"]) for row in told["results"]] == [("ease", 4, {"l2": 9}), ("ease", 2, {"l2": 9})]
    assert {name for name in told["results"][0]["metrics"] if name.startswith("recall")} == {"recall@5", "recall@20"}


def test_a_blend_is_written_as_toml(tmp_path: Path) -> None:
    import tomllib

    from loreweave.cli.fit import _write_toml

    settings = {
        "weights": [1.0, 0.5],
        "parts": [{"model": "ease", "settings": {"l2": 9.0}}, {"model": "popular", "settings": {}}],
        "x": None,
    }
    _write_toml(tmp_path / "t.toml", "blend", settings)
    assert tomllib.loads((tmp_path / "t.toml").read_text()) == {"blend": {key: settings[key] for key in ("weights", "parts")}}


@pytest.mark.parametrize("name", ["mine.txt", ".mine"])
def test_what_is_no_checkpoint_is_not_removed_with_those_of_a_blend(run: Run, films: Path, tmp_path: Path, name: str) -> None:
    mine = tmp_path / "m.checkpoints/choose/0-popular" / name
    mine.parent.mkdir(parents=True)
    mine.write_text("weeks of work")
    ran = run("fit", films, "--model", "popular", "--out", tmp_path / "m")
    assert (ran.code, mine.read_text()) == (2, "weeks of work")
    assert f"{mine}: exists and was not saved by Loreweave" in ran.err.replace("\n", "")


def test_a_folder_that_fit_did_not_make_is_not_removed(run: Run, films: Path, tmp_path: Path) -> None:
    (tmp_path / "m.checkpoints").mkdir()
    (tmp_path / "m.checkpoints/mine.txt").write_text("weeks of work")
    run("fit", films, "--model", "popular", "--out", tmp_path / "m")
    assert (tmp_path / "m.checkpoints/mine.txt").read_text() == "weeks of work"
