"""The report on knowledge: no markup from the data, nothing from outside, and the words its figures allow."""

from __future__ import annotations

from html import escape
from pathlib import Path

import polars as pl
import pytest

from loreweave.data.simulate import World, simulate
from loreweave.evaluate.knowledge_report import headline, knowledge_page, write_knowledge_report
from loreweave.knowledge.checks import Checks, check
from loreweave.knowledge.records import Knowledge, Record
from loreweave.knowledge.statistical import Statistical
from loreweave.knowledge.structure import structure
from loreweave.language.encoders import encoder

SCRIPT = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def world() -> World:
    return simulate(1, n_users=150)


@pytest.fixture(scope="module")
def checks(world: World) -> Checks:
    said = Statistical().infer(world.dataset).records
    phrase = pl.when(pl.int_range(pl.len()) < 4).then(pl.lit(f"{SCRIPT} orchid garden rose soil pruning")).otherwise("text")
    own = said.with_columns(text=phrase, model=pl.lit(f"model {SCRIPT}"), interest=phrase)
    bad = said.with_columns(
        text=said["text"].shuffle(seed=1),
        interest=said["text"].shuffle(seed=1),
        model=pl.lit("shuffled"),
        prompt_version=pl.lit(f"{SCRIPT}/1"),
    )
    marked = own.with_columns(checks=pl.when(pl.int_range(pl.len()) < 9).then(pl.lit([f"evidence:{SCRIPT}"])).otherwise("checks"))
    return check(Knowledge.from_frame(pl.concat([marked, bad])), world.dataset, encoder("lsa-32"), world=world)


def test_nothing_from_the_data_is_markup_and_nothing_is_loaded(checks: Checks, tmp_path: Path) -> None:
    write_knowledge_report(checks, tmp_path / "checks.html")
    text = (tmp_path / "checks.html").read_text(encoding="utf-8")
    assert "<script" not in text
    assert text.count("&lt;script&gt;") > 5
    for loaded in ("src=", "<link", "@import", "url(http", 'href="http'):
        assert loaded not in text
    assert "evidence:&lt;script&gt;" in text
    ids = [part.split('"', 1)[0] for part in text.split(' id="')[1:]]
    assert all(text.count(f'"#{each}"') + text.count(f"(#{each})") for each in ids)


def test_the_words_follow_the_figures(checks: Checks) -> None:
    text = knowledge_page(checks)
    assert text.count('<span class="badge good">Grounded</span>') == 1
    assert text.count('<span class="badge bad">') == 1
    rates = checks.summary.filter(pl.col("by") == "all")["rate"]
    low, high = (f"{100 * rates.min():.1f}%", f"{100 * rates.max():.1f}%")  # type: ignore[operator]
    assert headline(checks) == f"simulated: {low} to {high} of the records are not borne out, by task and model"
    assert "Interests against the truth" in text and "Hallucination rates" in text


def test_a_report_of_what_could_not_be_judged(world: World) -> None:
    said = [Record(kind="user_text", user="nobody", text="Likes rain.", model="m")]
    found = check(Knowledge.from_records(said), world.dataset, encoder("lsa-32"))
    text = knowledge_page(found)
    assert headline(found) == "simulated: nothing of the knowledge could be judged"
    assert "Not judged" in text and "At a glance" not in text and "To read" not in text
    assert "1 of 1 records: not judged at all" in text


def test_a_single_record_has_no_control(world: World) -> None:
    user, text = Statistical().infer(world.dataset).records.select("user", "text").row(0)
    said = [Record(kind="user_text", user=user, text=text, model="m")]
    found = check(Knowledge.from_records(said), world.dataset, encoder("lsa-32"))
    assert found.records["auc"].null_count() == 0 and found.records["auc_dealt"].null_count() == 1
    page = knowledge_page(found)
    assert '<span class="badge open">No control</span>' in page and "dealt out at random: none to compare with" in page


def test_interests_are_listed_with_the_curve_they_were_chosen_by(world: World, checks: Checks) -> None:
    said = Statistical().infer(world.dataset)
    phrases = said.records.with_columns(text=pl.when(pl.int_range(pl.len()) % 2 == 0).then(pl.lit(f"{SCRIPT} moor")).otherwise("text"))
    _, clusters = structure(Knowledge.from_frame(phrases), encoder("lsa-32"), n_users=world.dataset.n_users)
    text = knowledge_page(checks, clusters)
    section = text[text.index("From phrases to interests") :]
    assert f"{len(clusters.centres)} clusters of {clusters.phrases.height} phrases, chosen by stability" in section
    assert "How many interests?" in section and "<svg" in section.split("</figure>")[0]
    largest = clusters.clusters.filter("kept").sort("holders", "label", descending=[True, False]).row(0, named=True)
    assert f"<td>{escape(largest['label'])}</td><td>{largest['holders']}</td>" in section
    wide = next(count for reason, count in clusters.dropped.items() if "fifth" in reason)
    assert wide > 0 and f"{wide:,} records of interests held by at least a fifth of all users" in section
    assert "<script" not in text
    assert "From phrases" not in knowledge_page(checks)
