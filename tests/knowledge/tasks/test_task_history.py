"""Histories: which items, in which order, how many, and what did not fit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loreweave.data import split
from loreweave.data.dataset import Dataset, Interactions
from loreweave.data.vocabulary import Vocabulary
from loreweave.errors import ConfigError, DataError
from loreweave.knowledge.histories import ordered
from loreweave.knowledge.tasks import TASKS, create_task
from loreweave.knowledge.tasks.escape import Block
from loreweave.knowledge.tasks.history import BYTES_PER_TOKEN
from loreweave.knowledge.tasks.interests import InterestsTask
from loreweave.language.base import LanguageModel, Request


class Silent(LanguageModel):
    model = "silent"

    def generate(self, requests):  # type: ignore[no-untyped-def]
        yield from ()


def tokens(request: Request) -> int:
    return Silent().count_tokens(request.system + request.prompt)


def catalogue(user: list[int], item: list[int], n_items: int, title: list[str | None] | None = None, **clock: list[int]) -> Dataset:
    log = Interactions(np.array(user, np.int32), np.array(item, np.int32), **{name: np.array(values) for name, values in clock.items()})
    titles = title if title is not None else [f"title {i}" for i in range(n_items)]
    users, items = Vocabulary([f"u{i}" for i in range(3)]), Vocabulary([f"id{i}" for i in range(n_items)])
    return Dataset(users, items, log, item_texts=pl.DataFrame({"title": titles}, schema={"title": pl.String}))


def shown(dataset: Dataset, **settings: object) -> dict[str | None, tuple[tuple[str, ...], int]]:
    subjects = create_task("interests", **settings).subjects(dataset)
    return {subject.user: (subject.shown, subject.left_out) for subject in subjects}


def test_the_newest_come_first_and_of_one_instant_the_later_row() -> None:
    dataset = catalogue([0, 0, 0, 0, 2], [0, 1, 2, 3, 0], 4, time=[5, 9, 5, 1, 0])
    assert shown(dataset) == {"u0": (("id1", "id2", "id0", "id3"), 0), "u2": (("id0",), 0)}
    assert ordered(dataset)[1] == "newest first"


def test_an_order_is_as_good_as_a_clock() -> None:
    assert shown(catalogue([0, 0, 0], [0, 1, 2], 3, order=[2, 0, 1])) == {"u0": (("id0", "id2", "id1"), 0)}


def test_where_times_are_equal_the_order_tells_which_is_newer_as_it_does_for_splits() -> None:
    dataset = catalogue([0, 0, 0, 0], [0, 1, 2, 3], 4, time=[5, 5, 5, 5], order=[3, 2, 1, 0])
    assert shown(dataset) == {"u0": (("id0", "id1", "id2", "id3"), 0)}
    (last,) = split(dataset, "leave_last_out").test.item.tolist()
    assert ordered(dataset)[0]["item"][0] == last


def test_a_repeated_item_counts_once_where_it_was_met_last() -> None:
    assert shown(catalogue([0, 0, 0], [0, 1, 0], 2, time=[1, 2, 3])) == {"u0": (("id0", "id1"), 0)}


def test_without_a_clock_the_best_known_come_first_and_equals_as_the_file_has_them() -> None:
    dataset = catalogue([0, 0, 0, 1, 2], [0, 1, 2, 2, 2], 3)
    assert shown(dataset)["u0"] == (("id2", "id0", "id1"), 0)
    assert ordered(dataset)[1] == "best known first"


def test_what_is_past_the_longest_history_is_counted() -> None:
    dataset = catalogue([0] * 5, [0, 1, 2, 3, 4], 5, time=[1, 2, 3, 4, 5])
    assert shown(dataset, max_items=2) == {"u0": (("id4", "id3"), 3)}


def test_items_of_which_nothing_is_known_are_left_out_and_counted() -> None:
    dataset = catalogue([0, 0, 0, 1], [0, 1, 2, 1], 3, title=["Dune", None, " \x00 "], time=[1, 2, 3, 4])
    assert shown(dataset) == {"u0": (("id0",), 2)}, "u1 met only an item without a name or an attribute"


def test_a_catalogue_without_any_words_is_an_error() -> None:
    with pytest.raises(DataError, match="neither titles nor attributes"):
        list(create_task("interests").subjects(catalogue([0], [0], 1, title=[None])))


def test_ids_are_shown_only_where_they_are_the_only_names() -> None:
    log = Interactions(np.zeros(3, np.int32), np.arange(3, dtype=np.int32))
    ids = ["http://dbpedia.org/resource/Snow_Crash", "Dragonfly in Amber", "4711"]
    dataset = Dataset(Vocabulary(["u0"]), Vocabulary(ids), log, item_features=pl.DataFrame({"genre": ["sf", None, "war"]}))
    (subject,) = create_task("interests").subjects(dataset)
    assert subject.fields["items"] == "[1] Snow Crash | genre: sf\n[2] Dragonfly in Amber\n[3] untitled | genre: war"


def test_the_budget_is_counted_as_language_models_count() -> None:
    for n_bytes in (0, 1, 7, 35, 36):
        assert Silent().count_tokens("a" * n_bytes) == np.ceil(n_bytes / BYTES_PER_TOKEN)


@given(st.lists(st.text(alphabet="aé漢 <[", min_size=1, max_size=300), min_size=1, max_size=12), st.integers(600, 1200), st.integers(1, 12))
def test_prompts_keep_the_budget_and_leave_out_no_more_than_they_must(titles: list[str], budget: int, max_items: int) -> None:
    n = len(titles)
    dataset = catalogue([0] * n, list(range(n)), n, title=[f"t {title}" for title in titles], time=list(range(n)))
    task = InterestsTask(max_prompt_tokens=budget, max_items=max_items)
    roomy = InterestsTask(max_prompt_tokens=100_000, max_items=max_items)
    (whole,) = roomy.subjects(dataset)
    try:
        (subject,) = task.subjects(dataset)
    except ConfigError as error:
        assert "set max_prompt_tokens to" in str(error)
        return
    assert len(subject.shown) + subject.left_out == n
    assert subject.shown == whole.shown[: len(subject.shown)]
    assert tokens(task.request(subject)) <= budget
    if len(subject.shown) < len(whole.shown):
        lines = whole.fields["items"].split("\n")[: len(subject.shown) + 1]
        more = task.request(replace(subject, fields={**subject.fields, "items": Block("\n".join(lines))}))
        assert Silent().count_tokens(more.system + more.prompt + "\n") > budget


def test_a_budget_that_no_prompt_can_keep_is_an_error_that_says_which_would_do() -> None:
    dataset = catalogue([0], [0], 1, title=["x" * 200], time=[1])
    with pytest.raises(ConfigError, match=r"interests: the instructions alone take \d+ tokens; raise max_prompt_tokens above that"):
        list(create_task("interests", max_prompt_tokens=100).subjects(dataset))
    with pytest.raises(ConfigError, match="set max_prompt_tokens to ") as error:
        list(create_task("interests", max_prompt_tokens=310).subjects(dataset))
    needed = int(str(error.value).split("set max_prompt_tokens to ")[1].split(" ")[0])
    assert len(list(create_task("interests", max_prompt_tokens=needed).subjects(dataset))) == 1


def test_item_texts_are_cut_to_the_budget() -> None:
    titles, texts = ["Dune"], ["sand " * 400]
    dataset = Dataset(Vocabulary(["u"]), Vocabulary(["i"]), Interactions.empty(), item_texts=pl.DataFrame({"title": titles, "text": texts}))
    task = create_task("item-descriptions", max_prompt_tokens=400)
    (subject,) = task.subjects(dataset)
    request = task.request(subject)
    assert 395 <= tokens(request) <= 400
    assert "sand sand" in request.prompt
    assert subject.cut == 1999 - len(subject.fields["text"]) > 0, "1,999 characters without the last space"


@pytest.mark.parametrize(
    ("limit", "fitting", "cut"), [(0, "", 0), (8, "sand an…", 8), (15, "sand and spice.", 0), (2000, "sand and spice.", 0)]
)
def test_characters_cut_from_item_texts_are_counted(limit: int, fitting: str, cut: int) -> None:
    titles, texts = ["Dune", "Ran"], ["sand  and\nspice.", "漢" * 8]
    items = Vocabulary(["i", "j"])
    dataset = Dataset(Vocabulary(["u"]), items, Interactions.empty(), item_texts=pl.DataFrame({"title": titles, "text": texts}))
    first, second = create_task("facts", text_chars=limit).subjects(dataset)
    assert (first.fields["text"], first.cut, first.left_out, second.cut) == (fitting, cut, 0, 0)


def test_whom_and_what_a_task_passes_over_is_counted() -> None:
    dataset = catalogue([0, 0, 0, 1], [0, 1, 2, 1], 3, title=["Dune", None, " \x00 "], time=[1, 2, 3, 4])
    nobody = {"users without history": 1, "users with nothing but unnamed items": 1}
    assert create_task("interests").passed_over(dataset) == nobody
    assert create_task("reasons").passed_over(dataset) == nobody | {"users with too little history to judge an item from": 1}
    assert create_task("facts").passed_over(dataset) == {"items without name or attribute": 2}
    everybody = catalogue([0, 1, 2, 0, 1, 2], [0, 0, 0, 1, 1, 1], 2)
    assert [create_task(name).passed_over(everybody) for name in TASKS] == [{}] * len(TASKS)


LOG = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 4)), max_size=12)


@settings(max_examples=30)
@given(LOG, st.lists(st.sampled_from(["Dune", "Ran", None]), min_size=4, max_size=4), st.booleans(), st.integers(1, 3))
def test_everybody_is_asked_about_or_passed_over(log: list[tuple[int, int]], titles: list[str | None], clock: bool, positives: int) -> None:
    times = {"time": list(range(len(log)))} if clock else {}
    dataset = catalogue([user for user, _ in log], [item for _, item in log], 5, title=["Emma", *titles], **times)
    for task in (create_task("interests"), create_task("reasons", positives=positives), create_task("facts")):
        subjects = list(task.subjects(dataset))
        asked = {subject.item if task.name == "facts" else subject.user for subject in subjects}
        assert len(asked) + sum(task.passed_over(dataset).values()) == (5 if task.name == "facts" else 3)
