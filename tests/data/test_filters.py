"""Filters: the core against a slow peer, and that everything follows the codes."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loreweave import data
from loreweave.data.dataset import Dataset, Interactions, Triples, raw_frame
from loreweave.data.vocabulary import Vocabulary
from loreweave.errors import ConfigError, DataError


def world() -> Dataset:
    """Users a, b, c; items x, y, z, w. z has one user; without z, c has one item; w was met by nobody."""
    return Dataset(
        Vocabulary(["a", "b", "c"]),
        Vocabulary(["z", "x", "y", "w"]),
        Interactions(
            np.array([0, 0, 1, 1, 2, 2]), np.array([1, 2, 1, 2, 0, 1]), value=np.array([5, 3, 4, 5, 1, 2]), time=np.arange(6), extra=None
        ),
        item_texts=pl.DataFrame({"title": ["Zed", "Ex", "Why", "Double-u"]}),
        item_features=pl.DataFrame({"kind": ["1", "2", "3", "4"]}),
        user_features=pl.DataFrame({"age": ["10", "20", "30"]}),
        triples=Triples(
            head=np.array([0, 1, 2, 4], dtype=np.int32),
            relation=np.zeros(4, dtype=np.int32),
            tail=np.array([4, 4, 5, 5], dtype=np.int32),
            entities=Vocabulary(["z", "x", "y", "w", "e", "f"]),
            relations=Vocabulary(["is"]),
            entity_names=pl.Series(["Zed", "Ex", "Why", "Double-u", "Eee", "Eff"]),
        ),
    )


def test_k_core_by_hand() -> None:
    core = data.k_core(world(), 2)
    assert core.users.ids.to_list() == ["a", "b"]
    assert core.items.ids.to_list() == ["x", "y"]
    assert raw_frame(core.interactions, core.users, core.items).rows() == [("a", "x"), ("a", "y"), ("b", "x"), ("b", "y")]
    assert core.interactions.time is not None and core.interactions.time.tolist() == [0, 1, 2, 3]
    assert core.titles.to_list() == ["Ex", "Why"]
    assert core.item_features is not None and core.item_features["kind"].to_list() == ["2", "3"]
    assert core.user_features is not None and core.user_features["age"].to_list() == ["10", "20"]
    assert core.notes == (
        "k-core (users from 2 items, items from 2 users): took out 2 of 6 interactions, 1 of 3 users, 2 of 4 items, 1 of 4 triples",
    )
    graph = core.triples
    assert graph is not None
    assert graph.entities.ids.to_list() == ["x", "y", "e", "f"]
    named = [(graph.name(head), graph.name(tail)) for head, tail in zip(graph.head, graph.tail, strict=True)]
    assert named == [("Ex", "Eee"), ("Why", "Eff"), ("Eee", "Eff")]


def test_in_file_order_the_last_row_of_everybody_is_the_test() -> None:
    log = pl.DataFrame({"user": ["ann", "bob", "ann", "bob", "ann", "bob"], "item": ["x", "y", "y", "x", "z", "z"]})
    dataset = data.from_frame(log)
    with pytest.raises(DataError, match=r"needs a time or an order.*--file-order"):
        data.split(dataset, "leave_last_out")
    ordered = data.in_file_order(dataset)
    assert ordered.interactions.order is not None and ordered.interactions.order.tolist() == [0, 1, 2, 3, 4, 5]
    assert ordered.notes[-1].startswith("the order of the rows in the file is taken for")
    assert dataset.interactions.order is None
    cut = data.split(ordered)
    assert cut.how == "leave_last_out"
    assert cut.test.item.tolist() == [2, 2]
    assert cut.valid.item.tolist() == [1, 0]


def test_a_log_with_a_clock_or_an_order_keeps_it() -> None:
    with pytest.raises(DataError, match="the log has a time of its own; leave --file-order"):
        data.in_file_order(world())
    with pytest.raises(DataError, match="the log has an order of its own"):
        data.in_file_order(data.in_file_order(data.from_frame(pl.DataFrame({"user": [1, 1], "item": [1, 2]}))))


def test_k_core_with_two_numbers() -> None:
    assert data.k_core(world(), min_user=2, min_item=1).items.ids.to_list() == ["z", "x", "y"]


def test_at_least() -> None:
    liked = data.at_least(world(), 4)
    assert raw_frame(liked.interactions, liked.users, liked.items).rows() == [("a", "x"), ("b", "x"), ("b", "y")]
    assert liked.notes == ("value at least 4: took out 3 of 6 interactions, 1 of 3 users, 2 of 4 items, 1 of 4 triples",)
    assert liked.users.ids.to_list() == ["a", "b"]


def test_filters_refuse_what_leaves_nothing() -> None:
    with pytest.raises(DataError, match="leaves no interaction"):
        data.k_core(world(), 3)
    with pytest.raises(DataError, match="leaves no interaction"):
        data.at_least(world(), 6)
    with pytest.raises(DataError, match="has no values"):
        data.at_least(data.from_frame(pl.DataFrame({"user": ["a"], "item": ["x"]})), 1)
    with pytest.raises(ConfigError, match="numbers from 1 on"):
        data.k_core(world(), 0)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), min_size=1, max_size=50), st.integers(1, 3), st.integers(1, 3))
def test_k_core_agrees_with_removing_one_by_one(drawn: list[tuple[int, int]], least_user: int, least_item: int) -> None:
    left = {*drawn}
    while True:
        users = [user for user, _ in left]
        items = [item for _, item in left]
        worse = {pair for pair in left if users.count(pair[0]) < least_user or items.count(pair[1]) < least_item}
        if not worse:
            break
        left -= worse
    dataset = data.from_frame(pl.DataFrame(drawn, schema=["user", "item"], orient="row").with_row_index("time"))
    try:
        core = data.k_core(dataset, min_user=least_user, min_item=least_item)
    except DataError:
        assert not left
        return
    assert raw_frame(core.interactions, core.users, core.items).rows() == [pair for pair in drawn if pair in left]
