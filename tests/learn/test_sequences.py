"""Histories in order, and batches of them, against plain loops over lists."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from loreweave.data.dataset import Dataset, Interactions  # noqa: E402
from loreweave.data.splits import split  # noqa: E402
from loreweave.data.vocabulary import Vocabulary  # noqa: E402
from loreweave.errors import DataError  # noqa: E402
from loreweave.learn.sequences import WIDTHS, Batch, Sequences, batch_of, ragged  # noqa: E402

HISTORIES = st.lists(st.lists(st.integers(0, 9), max_size=7), max_size=8)


def sequences_of(histories: list[list[int]]) -> Sequences:
    items = np.array([item for one in histories for item in one], np.int32)
    return Sequences.of_lengths(np.array([len(one) for one in histories], np.int64), items)


def lists(sequences: Sequences) -> list[list[int]]:
    return [sequences.items[a:b].tolist() for a, b in zip(sequences.indptr[:-1], sequences.indptr[1:], strict=True)]


def dataset(log: Interactions, n_users: int = 3, n_items: int = 20) -> Dataset:
    return Dataset(Vocabulary(range(n_users)), Vocabulary(range(n_items)), log)


class TestOf:
    def test_by_time_then_order_then_the_place_in_the_file(self) -> None:
        user = np.array([1, 0, 1, 0, 0, 1, 0])
        item = np.array([5, 6, 7, 8, 9, 10, 11])
        time = np.array([30, 20, 10, 20, 10, 30, 20])
        order = np.array([0, 2, 0, 1, 5, 0, 2], np.int32)
        found = Sequences.of(dataset(Interactions(user, item, time=time, order=order)))
        assert lists(found) == [[9, 8, 6, 11], [7, 5, 10], []]

    def test_by_order_where_there_is_no_time(self) -> None:
        log = Interactions(np.array([0, 0, 0, 0]), np.array([1, 2, 3, 4]), order=np.array([3, 1, 1, 0], np.int32))
        assert lists(Sequences.of(dataset(log))) == [[4, 2, 3, 1], [], []]

    def test_negatives_are_left_out_and_repeats_stay(self) -> None:
        log = Interactions(
            np.zeros(5, int), np.array([4, 4, 2, 4, 3]), value=np.array([1, 1, 0, 1, 5], np.float32), time=np.array([1, 2, 3, 4, 5])
        )
        assert lists(Sequences.of(dataset(log))) == [[4, 4, 4, 3], [], []]

    def test_without_time_and_order_is_refused(self) -> None:
        with pytest.raises(DataError, match=r"needs a time or an order, the log has neither.*--file-order"):
            Sequences.of(dataset(Interactions(np.array([0]), np.array([0]))))

    @given(
        st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(0, 2), st.sampled_from([0.0, 1.0])), min_size=1, max_size=20),
        st.sampled_from(["time", "order", "both"]),
        st.integers(1, 20),
    )
    def test_what_leave_last_out_holds_out_comes_next(self, rows: list[tuple[int, int, int, float]], clock: str, n_items: int) -> None:
        """Up to the test the refit's histories are whole; where no item is met again, train's are whole up to the validation."""
        user, time, order, value = (np.array(column) for column in zip(*rows, strict=True))
        log = Interactions(
            user,
            np.arange(len(rows)) % n_items,
            value=value.astype(np.float32),
            time=None if clock == "order" else time,
            order=None if clock == "time" else order.astype(np.int32),
        )
        data = dataset(log)
        whole = lists(Sequences.of(data))
        try:
            parts = split(data, "leave_last_out")
        except DataError:
            return  # nobody has two positives
        train, refit = lists(Sequences.of(parts.train)), lists(Sequences.of(parts.refit))
        for person, history in enumerate(whole):
            held_out = [part.item[part.user == person].tolist() for part in (parts.valid, parts.test)]
            assert refit[person] == (history[:-1] if len(history) > 1 else history)
            if len({*history}) == len(history):
                assert train[person] + held_out[0] + held_out[1] == history


class TestSequences:
    @given(HISTORIES)
    def test_lengths_and_owner(self, histories: list[list[int]]) -> None:
        found = sequences_of(histories)
        assert lists(found) == histories
        assert len(found) == len(histories)
        assert found.lengths.tolist() == [len(one) for one in histories]
        assert found.owner.tolist() == [person for person, one in enumerate(histories) for _ in one]
        assert (found.indptr.dtype, found.items.dtype) == (np.int64, np.int32)

    @given(HISTORIES, st.lists(st.integers(0, 7), max_size=10))
    def test_take(self, histories: list[list[int]], people: list[int]) -> None:
        people = [person for person in people if person < len(histories)]
        assert lists(sequences_of(histories).take(np.array(people, np.int64))) == [histories[person] for person in people]

    @given(HISTORIES, st.integers(1, 8))
    def test_newest(self, histories: list[list[int]], most: int) -> None:
        assert lists(sequences_of(histories).newest(most)) == [one[-most:] for one in histories]

    @given(HISTORIES, st.integers(1, 9))
    def test_pairs(self, histories: list[list[int]], distance: int) -> None:
        older, newer = sequences_of(histories).pairs(distance)
        expected = [pair for one in histories for pair in zip(one[:-distance], one[distance:], strict=True)]
        assert list(zip(older.tolist(), newer.tolist(), strict=True)) == expected

    @given(HISTORIES, st.integers(0, 10))
    def test_only(self, histories: list[list[int]], least: int) -> None:
        found = sequences_of(histories)
        assert lists(found.only(found.items >= least)) == [[item for item in one if item >= least] for one in histories]

    @given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 6)), max_size=9))
    def test_ragged(self, parts: list[tuple[int, int]]) -> None:
        start, lengths = np.array([a for a, _ in parts], np.int64), np.array([b for _, b in parts], np.int64)
        assert ragged(start, lengths).tolist() == [place for a, b in parts for place in range(a, a + b)]


LENGTHS = st.lists(st.integers(1, 40), min_size=1, max_size=12)


def batch_and_histories(lengths: list[int], seed: int) -> tuple[Batch, list[list[int]]]:
    rng = np.random.default_rng(seed)
    histories = [rng.integers(0, 100, length).tolist() for length in lengths]
    return batch_of(sequences_of(histories), np.arange(len(lengths))), histories


class TestBatch:
    @given(LENGTHS, st.integers(0, 99))
    def test_tokens_against_a_loop(self, lengths: list[int], seed: int) -> None:
        batch, histories = batch_and_histories(lengths, seed)
        people = sorted(range(len(lengths)), key=lambda person: -lengths[person])  # stable, as asked of the batch
        assert batch.people.tolist() == people
        assert batch.lengths.tolist() == [lengths[person] for person in people]
        assert batch.items.tolist() == [item for person in people for item in histories[person]]
        assert batch.owner.tolist() == [row for row, person in enumerate(people) for _ in histories[person]]
        assert batch.age.tolist() == [age for person in people for age in reversed(range(lengths[person]))]
        assert [batch.items[last].item() for last in batch.last] == [histories[person][-1] for person in people]
        assert batch.age[batch.last].tolist() == [0] * len(people)

    @given(st.lists(st.integers(1, 600), min_size=1, max_size=8))
    def test_groups_hold_every_token_once_at_its_own_place(self, lengths: list[int]) -> None:
        batch, _ = batch_and_histories(lengths, 0)
        covered: list[int] = []
        for group in batch.groups:
            tokens = range(*group.tokens.indices(len(batch.items)))
            covered += tokens
            owners = batch.owner[group.tokens]
            within = (batch.lengths[batch.owner] - 1 - batch.age)[group.tokens]
            people, longest = group.shape
            assert people == len(owners.unique())
            assert longest == int(batch.lengths[owners].max())
            widths = {min([width for width in (*WIDTHS, 10**9) if width >= length]) for length in batch.lengths[owners].tolist()}
            assert len(widths) == 1  # like lengths alone
            expected = (owners - owners.min()) * longest + within
            place = torch.arange(people * longest) if group.place is None else group.place
            assert place.tolist() == expected.tolist()
        assert covered == list(range(len(batch.items)))

    @given(LENGTHS, st.integers(0, 99))
    def test_followed_by(self, lengths: list[int], seed: int) -> None:
        batch, histories = batch_and_histories(lengths, seed)
        longer = batch.followed_by(777)
        expected = batch_of(sequences_of([[*one, 777] for one in histories]), np.arange(len(lengths)))
        for name in ("people", "items", "lengths", "owner", "age", "last"):
            assert torch.equal(getattr(longer, name), getattr(expected, name))
        assert [(group.tokens, group.shape) for group in longer.groups] == [(group.tokens, group.shape) for group in expected.groups]

    def test_of_says_where_each_token_stands(self) -> None:
        items = torch.arange(100, 120)
        batch, place = Batch.of(torch.tensor([7, 8, 9]), torch.tensor([2, 10, 15]), torch.tensor([2, 3, 2]), items)
        assert batch.people.tolist() == [8, 7, 9]
        assert place.tolist() == [10, 11, 12, 2, 3, 15, 16]
        assert batch.items.tolist() == [110, 111, 112, 102, 103, 115, 116]

    def test_people_are_places_and_texts_go_with_them(self) -> None:
        sequences = sequences_of([[1], [2, 3, 4], [], [5, 6]])
        texts = np.array([[10.0], [30.0], [20.0]], np.float32)
        batch = batch_of(sequences, np.array([0, 1, 3]), texts)
        assert batch.people.tolist() == [1, 2, 0]
        assert batch.texts is not None
        assert batch.texts[:, 0].tolist() == [30.0, 20.0, 10.0]
        longer = batch.followed_by(0).texts
        assert longer is not None
        assert torch.equal(longer, batch.texts)

    def test_histories_of_one_length_need_no_padding(self) -> None:
        batch, _ = batch_and_histories([5, 5, 5], 0)
        assert [group.place for group in batch.groups] == [None]


@settings(max_examples=5)
@given(LENGTHS)
def test_moving_a_batch_changes_nothing(lengths: list[int]) -> None:
    batch, _ = batch_and_histories(lengths, 1)
    moved = batch.to(torch.device("cpu"))
    for name in ("people", "items", "lengths", "owner", "age", "last"):
        assert torch.equal(getattr(moved, name), getattr(batch, name))
    assert [(group.tokens, group.shape) for group in moved.groups] == [(group.tokens, group.shape) for group in batch.groups]
