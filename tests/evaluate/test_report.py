"""The report: nothing in it from outside, no markup from the data, and the words its tests allow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from stubs import compared

from loreweave.evaluate.verdict import headline, verdicts


def test_the_report_holds_no_markup_from_the_data_and_loads_nothing(tmp_path: Path) -> None:
    compared(tmp_path / "run", models=["stub", "ease"], permutations=2)
    text = (tmp_path / "run/report.html").read_text(encoding="utf-8")
    assert "<script" not in text
    assert "tribes <b>" not in text
    assert "&lt;script&gt;" in text
    assert "tribes &lt;b&gt;" in text
    for loaded in ("src=", "<link", "@import", "url(http", 'href="http'):
        assert loaded not in text
    ids = [part.split('"', 1)[0] for part in text.split(' id="')[1:]]
    assert all(text.count(f'"#{each}"') + text.count(f"(#{each})") for each in ids)  # an id that is there is used


def judged(none: float, p_none: float, shuffled: float, p_shuffled: float) -> dict[str, Any]:
    tests = []
    for control, difference, p in (("none", none, p_none), ("shuffled", shuffled, p_shuffled)):
        sides = ["m real", f"m {control}"] if difference >= 0 else [f"m {control}", "m real"]
        tests.append(
            {
                **dict(zip(("better", "worse"), sides, strict=True)),
                "metric": "ndcg@20",
                "difference": abs(difference),
                "ci": [abs(difference) - 0.01, abs(difference) + 0.01],
                "p_holm": p,
                "expected": difference >= 0,
            }
        )
    row = {"model": "m", "knowledge": "real", "metrics": {"ndcg@20": 0.2}}
    return {"tests": tests, "results": [row], "protocol": {"metric": "ndcg@20", "data": {"name": "books"}}}


def test_knowledge_helped_only_where_it_beats_both_controls() -> None:
    assert [verdict.word for verdict in verdicts(judged(0.02, 0.01, 0.02, 0.01))] == ["It helped"]
    assert headline(judged(0.02, 0.01, 0.02, 0.01)) == "books: the knowledge helped m"
    (same,) = verdicts(judged(0.02, 0.01, 0.001, 0.6))
    assert (same.tone, same.word) == ("open", "Not shown")
    assert "not shown that it matters whose knowledge it is" in same.text
    assert verdicts(judged(0.001, 0.6, 0.02, 0.01))[0].word == "Not shown"
    assert headline(judged(0.001, 0.6, 0.001, 0.6)) == "books: no gain from the knowledge is shown"


def test_harm_to_one_model_stands_beside_the_gain_of_another() -> None:
    both = judged(0.02, 0.01, 0.02, 0.01)
    other = judged(-0.03, 0.01, 0.001, 0.6)
    both["tests"] += [
        {**test, "better": test["better"].replace("m ", "n "), "worse": test["worse"].replace("m ", "n ")} for test in other["tests"]
    ]
    both["results"].append({**both["results"][0], "model": "n"})
    assert headline(both) == "books: the knowledge helped 1 of 2 models and did harm to n"


def test_harm_is_said_with_its_sign() -> None:
    (harm,) = verdicts(judged(-0.03, 0.01, 0.001, 0.6))
    assert harm.word == "It did harm"
    assert "-0.0300 (95% interval -0.0400 to -0.0200" in harm.text


def test_a_report_without_knowledge_one_seed_and_one_k_is_written_all_the_same(tmp_path: Path) -> None:
    result = compared(tmp_path / "run", models=["popular"], knowledge=None, seeds=(1,), ks=(5,))
    text = (tmp_path / "run/report.html").read_text(encoding="utf-8")
    assert headline(result) == "tribes <b>: models compared, no verdict on knowledge"
    assert "no verdict on knowledge" in text
    assert "Tests named before the run" not in text
    assert "One seed" in text
