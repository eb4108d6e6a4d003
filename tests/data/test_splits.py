"""Splits: logs of a few rows with answers worked out by hand, and what must hold for any log."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loreweave import data
from loreweave.data.dataset import Dataset, Interactions
from loreweave.data.splits import WAYS
from loreweave.data.vocabulary import Vocabulary
from loreweave.errors import ConfigError, DataError


def log(**columns: Any) -> Dataset:
    return data.from_frame(pl.DataFrame(columns))


def pairs(part: Interactions, dataset: Dataset) -> list[str]:
    users, items = dataset.users.decode(part.user), dataset.items.decode(part.item)
    return [f"{user}{item}" for user, item in zip(users, items, strict=True)]


def nonzero(cut: data.Split) -> dict[str, int]:
    return {name: count for name, count in cut.counts.items() if count}


def test_leave_last_out_by_time() -> None:
    dataset = log(user=[*"aaaabbc"], item=[*"wxyzxyx"], time=[40, 10, 30, 20, 2, 1, 5])
    cut = data.split(dataset)
    assert cut.how == "leave_last_out"
    assert pairs(cut.train.interactions, dataset) == ["ax", "az", "by", "cx"]
    assert pairs(cut.valid, dataset) == ["ay"]
    assert pairs(cut.test, dataset) == ["aw", "bx"]
    # w was met by nobody else; b has no validation (2 items), c no test (1 item)
    assert nonzero(cut) == {"test items never seen in train": 1, "users without test": 1, "users without validation": 2}
    assert pairs(cut.refit.interactions, dataset) == ["ax", "ay", "az", "by", "cx"]


def test_ties_keep_file_order_and_are_counted() -> None:
    dataset = log(user=[*"aaaabbb"], item=[*"wxyzwxy"], time=[1, 1, 1, 1, 1, 2, 3])
    cut = data.split(dataset, "leave_last_out")
    assert (pairs(cut.valid, dataset), pairs(cut.test, dataset)) == (["ay", "bx"], ["az", "by"])
    assert cut.counts["users tied at the test item, file order kept"] == 1


def test_order_serves_where_there_is_no_clock() -> None:
    dataset = log(user=[*"aaa"], item=[*"xyz"], order=[3, 1, 2])
    cut = data.split(dataset)
    assert [pairs(part, dataset) for part in (cut.train.interactions, cut.valid, cut.test)] == [["ay"], ["az"], ["ax"]]


def test_negatives_are_no_targets_and_later_ones_do_not_leak() -> None:
    dataset = log(user=[*"aaaaaa"], item=[*"uvwxyz"], value=[1, 0, 1, 0, 1, 0], time=[1, 2, 3, 4, 5, 6])
    cut = data.split(dataset)
    assert [pairs(part, dataset) for part in (cut.train.interactions, cut.valid, cut.test)] == [["au", "av"], ["aw"], ["ay"]]
    assert cut.counts["negatives later than a held-out item, left out"] == 2
    assert cut.counts["rows left out"] == 2


def test_an_item_met_before_is_no_target() -> None:
    dataset = log(user=[*"aaaabbb"], item=[*"xyzxxyz"], time=[1, 2, 3, 4, 1, 2, 3])
    cut = data.split(dataset)
    assert [pairs(part, dataset) for part in (cut.train.interactions, cut.valid, cut.test)] == [["ax", "ay", "bx"], ["az", "by"], ["bz"]]
    assert cut.counts["test rows of items already in train, left out"] == 1
    with pytest.raises(DataError, match="leaves nothing to test"):
        data.split(log(user=[*"aa"], item=[*"xx"], time=[1, 2]))


def test_an_item_met_again_is_no_target_of_validation_and_stays_in_the_refit() -> None:
    dataset = log(user=[*"aaaab"], item=[*"xyxzx"], time=[1, 2, 3, 4, 1])
    cut = data.split(dataset)
    assert [pairs(part, dataset) for part in (cut.train.interactions, cut.valid, cut.test)] == [["ax", "ay", "bx"], [], ["az"]]
    assert pairs(cut.refit.interactions, dataset) == ["ax", "ay", "ax", "bx"]
    assert cut.counts["validation rows of items already in train, in the refit alone"] == 1
    assert cut.counts["rows left out"] == 0


@pytest.mark.parametrize("how", ["ratio", "leave_last_out", "global_time", "cold_items"])
def test_the_refit_has_the_order_of_the_file(how: str) -> None:
    dataset = log(user=[*"aaaaaaaabbbb"], item=[*"stuvwxyzstuv"], time=[1] * 12)
    cut = data.split(dataset, how)
    rows = [pair for pair in pairs(dataset.interactions, dataset) if pair not in pairs(cut.test, dataset)]
    assert pairs(cut.refit.interactions, dataset) == rows


def test_global_time_cuts_the_calendar() -> None:
    dataset = log(user=[*"aabbaabbcc"], item=[*"stuvuvsttz"], time=[1, 2, 3, 4, 5, 6, 7, 8, 8, 10])
    cut = data.split(dataset, "global_time", test=0.2, valid=0.25)
    assert pairs(cut.train.interactions, dataset) == ["as", "at", "bu", "bv", "au", "av"]
    assert pairs(cut.valid, dataset) == ["bs", "bt"]
    assert pairs(cut.test, dataset) == ["ct", "cz"]
    assert cut.settings == {"test": 0.2, "valid": 0.25}
    assert nonzero(cut) == {
        "interactions tied at the cut before test, file order kept": 2,
        "test items never seen in train": 1,
        "test users never seen in train": 1,
        "users without test": 2,
        "users without validation": 1,
    }


def test_given_keeps_the_test_part_whatever_the_seed() -> None:
    parts = ["train"] * 20 + ["train", "train", "test", "test"]
    dataset = log(user=["a"] * 20 + [*"bbab"], item=[*range(20), 0, 1, 20, 2], part=parts)
    cuts = [data.split(dataset, seed=seed) for seed in (1, 2, 3)]
    for cut in cuts:
        assert cut.how == "given"
        assert pairs(cut.test, dataset) == ["a20", "b2"]
        # a tenth of the 20 items of a; none of b, who has 2
        assert dataset.users.decode(cut.valid.user).to_list() == ["a", "a"]
        assert len(cut.train.interactions) == 20
        assert cut.counts["test items never seen in train"] == 1
    assert len({tuple(pairs(cut.valid, dataset)) for cut in cuts}) > 1
    assert len({cut.fingerprint for cut in cuts}) == 1
    assert len({cut.test_fingerprint for cut in cuts}) == 1


def test_given_with_a_validation_part_draws_none() -> None:
    dataset = log(user=[*"aaaa"], item=[*"wxyz"], part=["train", "valid", "test", "train"])
    cut = data.split(dataset, seed=5)
    assert [pairs(part, dataset) for part in (cut.train.interactions, cut.valid, cut.test)] == [["aw", "az"], ["ax"], ["ay"]]
    assert cut.test.extra is None


def test_ratio_takes_a_share_of_each_user() -> None:
    dataset = log(user=["a"] * 20 + ["b"] * 4 + ["c"] + ["d"] * 2, item=[*range(20), *range(4), 0, 0, 1])
    cut = data.split(dataset)
    assert cut.how == "ratio"
    held = {name: np.bincount(part.user, minlength=4).tolist() for name, part in (("valid", cut.valid), ("test", cut.test))}
    # test: a fifth, rounded down, at least 1 of those with 2 or more; validation: a tenth of what stays, at least 1 of those with 3 or more
    assert held == {"test": [4, 1, 0, 1], "valid": [1, 1, 0, 0]}


def test_ratio_keeps_the_rows_of_a_pair_together() -> None:
    dataset = log(user=["a"] * 12, item=[*range(4)] * 3, time=[*range(12)])
    cut = data.split(dataset, "ratio")
    assert (len(cut.train.interactions), len(cut.valid), len(cut.test)) == (6, 3, 3)
    assert len({*pairs(cut.test, dataset)}) == 1


def test_cold_items_are_unknown_to_train() -> None:
    dataset = log(user=[*"ab" * 10], item=[*range(10)] * 2)
    cut = data.split(dataset, "cold_items", test=0.3)
    cold = {*cut.test.item.tolist()}
    assert len(cold) == 3
    assert not cold & {*cut.refit.interactions.item.tolist()}
    assert cut.counts["test items never seen in train"] == 3


@pytest.mark.parametrize(
    ("columns", "how", "message"),
    [
        ({}, "leave_last_out", "needs a time or an order"),
        ({}, "global_time", "needs a time; the log has none"),
        ({"order": [1, 2]}, "global_time", "an order within each user says nothing across users"),
        ({}, "given", "no split came with the data"),
    ],
)
def test_splits_refuse_logs_without_what_they_need(columns: dict[str, Any], how: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        data.split(log(user=["a", "a"], item=["x", "y"], **columns), how)


def test_unknown_ways_and_shares_are_refused() -> None:
    dataset = log(user=["a", "a"], item=["x", "y"])
    with pytest.raises(ConfigError, match="no way to split is called 'random'"):
        data.split(dataset, "random")
    with pytest.raises(ConfigError, match="test is a share between 0 and 1, got 20"):
        data.split(dataset, "ratio", test=20)


rows = st.lists(
    st.tuples(
        st.integers(0, 5), st.integers(0, 6), st.sampled_from([0.0, 1.0, 1.0]), st.integers(0, 9), st.sampled_from(["train", "test"])
    ),
    min_size=1,
    max_size=60,
)


@pytest.mark.parametrize("how", WAYS)
@settings(max_examples=60, deadline=None)
@given(drawn=rows, seed=st.integers(0, 3))
def test_what_holds_for_any_log(how: str, drawn: list[tuple[int, int, float, int, str]], seed: int) -> None:
    user, item, value, time, part = (np.array(column) for column in zip(*drawn, strict=True))
    extra = pl.DataFrame({"row": range(len(user)), "part": part})
    dataset = Dataset(
        Vocabulary(pl.Series(range(6))),
        Vocabulary(pl.Series(range(7))),
        Interactions(user.astype(np.int32), item.astype(np.int32), value.astype(np.float32), time, extra=extra),
    )
    try:
        cut = data.split(dataset, how, seed=seed)
    except DataError as error:
        assert "leaves nothing" in str(error)
        return
    again = data.split(dataset, how, seed=seed)
    parts = [cut.train.interactions, cut.valid, cut.test]
    kept = [mine.extra["row"].to_list() for mine in parts if mine.extra is not None]
    assert kept == [mine.extra["row"].to_list() for mine in (again.train.interactions, again.valid, again.test) if mine.extra is not None]
    flat = [row for rows_ in kept for row in rows_]
    assert len(flat) == len({*flat})
    refit = cut.refit.interactions.extra["row"].to_list()
    assert refit == sorted(refit)
    assert {*kept[0], *kept[1]} <= {*refit}
    assert not {*kept[2]} & {*refit}
    assert len(refit) + len(kept[2]) + cut.counts["rows left out"] == len(dataset.interactions)
    again_met = len(refit) - len(kept[0]) - len(kept[1])
    assert again_met == cut.counts["validation rows of items already in train, in the refit alone"]
    for held, before in ((cut.valid, cut.train.interactions), (cut.test, cut.refit.interactions)):
        assert (held.value > 0).all()
        before = before.positives()  # what was met and not wanted may be wanted later
        assert not {*zip(held.user.tolist(), held.item.tolist(), strict=True)} & {
            *zip(before.user.tolist(), before.item.tolist(), strict=True)
        }
    if how == "leave_last_out":
        for held, before in ((cut.valid, cut.train.interactions), (cut.test, cut.refit.interactions)):
            for one, when in zip(held.user, held.time, strict=True):
                assert (before.time[before.user == one] <= when).all()
    if how == "global_time":
        assert cut.train.interactions.time.max() <= min(cut.valid.time.min(initial=10), cut.test.time.min())
        assert cut.valid.time.max(initial=0) <= cut.test.time.min()
    if how == "given":
        assert {*kept[2]} <= {*np.flatnonzero(part == "test").tolist()}
        assert {*kept[0], *kept[1]} == {*np.flatnonzero(part == "train").tolist()}
