"""Histories in order, and batches of them laid end to end: nothing is padded but inside attention, among histories of like length."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from loreweave.data.dataset import Dataset
from loreweave.data.vocabulary import Codes
from loreweave.errors import DataError

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass(frozen=True, eq=False)
class Sequences:
    """What each person met, the oldest first; an item met again stands again.

    Attributes:
        indptr: int64 [n + 1], where each history begins in `items`.
        items: int32 [m], item codes.
    """

    indptr: NDArray[np.int64]
    items: Codes

    @classmethod
    def of(cls, dataset: Dataset) -> Sequences:
        """The positives of a log, by time, then by order; ties keep the order of the file, as in the splits.

        Raises:
            DataError: the log has neither time nor order.
        """
        log = dataset.interactions.positives()
        if log.time is None and log.order is None:
            raise DataError(
                f"{dataset.name}: a sequential model needs a time or an order, the log has neither; name its column, or say that the rows "
                "of the file are in order (--file-order)"
            )
        keys = [clock for clock in (log.order, log.time) if clock is not None]
        rows = np.lexsort((*keys, log.user))
        lengths = np.bincount(log.user, minlength=dataset.n_users)
        return cls.of_lengths(lengths, log.item[rows])

    @classmethod
    def of_lengths(cls, lengths: NDArray[Any], items: Codes) -> Sequences:
        """From the length of each history and the items of all, one history after the other."""
        return cls(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64), np.ascontiguousarray(items, dtype=np.int32))

    def __len__(self) -> int:
        return len(self.indptr) - 1

    @cached_property
    def lengths(self) -> NDArray[np.int64]:
        """int64 [n]."""
        return np.diff(self.indptr)

    @cached_property
    def owner(self) -> NDArray[np.int64]:
        """Whose history each item is in, int64 [m]."""
        return np.repeat(np.arange(len(self)), self.lengths)

    def take(self, people: NDArray[Any]) -> Sequences:
        """The histories of some people, in that order."""
        lengths = self.lengths[people]
        return Sequences.of_lengths(lengths, self.items[ragged(self.indptr[:-1][people], lengths)])

    def newest(self, most: int) -> Sequences:
        """The last `most` items of each history."""
        lengths = np.minimum(self.lengths, most)
        return Sequences.of_lengths(lengths, self.items[ragged(self.indptr[1:] - lengths, lengths)])

    def pairs(self, distance: int) -> tuple[Codes, Codes]:
        """Items that stand so many places apart in one history: the older and the newer of each pair, int32 each."""
        older = np.flatnonzero(self.owner[:-distance] == self.owner[distance:]) if distance < len(self.items) else np.empty(0, np.int64)
        return self.items[older], self.items[older + distance]

    def only(self, kept: NDArray[np.bool_]) -> Sequences:
        """Without the items where the mask bool [m] is false; histories stay where they are, shorter."""
        lengths = np.bincount(self.owner[kept], minlength=len(self))
        return Sequences.of_lengths(lengths, self.items[kept])


def ragged(start: NDArray[Any], lengths: NDArray[Any]) -> NDArray[np.int64]:
    """start[0] … start[0] + lengths[0] − 1, then start[1] …: int64 [lengths.sum()]."""
    end = np.cumsum(lengths)
    return np.asarray(np.repeat(np.asarray(start, np.int64) - (end - lengths), lengths) + np.arange(end[-1] if len(end) else 0))


WIDTHS = tuple(2**power for power in range(3, 17))
"""Histories are attended to among those of like length: up to 8 items, up to 16, …, so that less than half of a width is padding."""


@dataclass(frozen=True)
class Group:
    """Histories of like length in a batch, for attention.

    Attributes:
        tokens: their tokens, a slice of the batch's.
        shape: how many histories, and the longest of them.
        place: int64 [tokens], where each token stands in [histories × longest], or None where all are of one length.
    """

    tokens: slice
    shape: tuple[int, int]
    place: Tensor | None


@dataclass(frozen=True)
class Batch:
    """Histories laid end to end, the longest first.

    Attributes:
        people: int64 [b], who they are (rows of what the batch was made of).
        items: int64 [t], item codes.
        lengths: int64 [b], each at least 1, falling.
        owner: int64 [t], which of the b histories a token is of.
        age: int64 [t], how many tokens of its history come after it: 0 is the newest.
        last: int64 [b], the place of each history's newest token.
        groups: for attention.
        texts: float32 [b, …], what texts say of these people, in the form the model has them; None where it reads none.
    """

    people: Tensor
    items: Tensor
    lengths: Tensor
    owner: Tensor
    age: Tensor
    last: Tensor
    groups: Sequence[Group]
    texts: Tensor | None = None

    @classmethod
    def of(cls, people: Tensor, start: Tensor, lengths: Tensor, items: Tensor) -> tuple[Batch, Tensor]:
        """The histories items[start : start + length] of some people.

        Args:
            people, start, lengths: int64 [b]; lengths at least 1.
            items: int64 [m], all items of all histories, end to end.

        Returns:
            The batch, and int64 [t], the place of each token in `items`.
        """
        import torch

        lengths, order = torch.sort(lengths, descending=True, stable=True)
        people, start = people[order], start[order]
        owner = torch.repeat_interleave(lengths)
        end = lengths.cumsum(0)
        within = torch.arange(len(owner), device=owner.device) - (end - lengths)[owner]
        place = start[owner] + within
        batch = cls(people, items[place], lengths, owner, lengths[owner] - within - 1, end - 1, _groups(lengths, end, owner, within))
        return batch, place

    def followed_by(self, item: int) -> Batch:
        """The same histories, each with one more item at its end."""
        import torch

        longer = torch.full((len(self.items) + len(self.lengths),), item, dtype=torch.int64)
        steps = torch.arange(len(self.lengths))
        longer[torch.arange(len(self.items)) + self.owner] = self.items
        lengths = self.lengths + 1
        batch, _ = Batch.of(self.people, self.last + 1 + steps - self.lengths, lengths, longer)
        return replace(batch, texts=self.texts)

    def to(self, device: torch.device) -> Batch:
        """On another device."""
        moved = {name: getattr(self, name).to(device) for name in ("people", "items", "lengths", "owner", "age", "last")}
        groups = [Group(each.tokens, each.shape, None if each.place is None else each.place.to(device)) for each in self.groups]
        return Batch(groups=groups, texts=None if self.texts is None else self.texts.to(device), **moved)


def _groups(lengths: Tensor, end: Tensor, owner: Tensor, within: Tensor) -> list[Group]:
    found = []
    falling = lengths.numpy()[::-1]
    cuts = np.unique(np.concatenate([[0], len(lengths) - np.searchsorted(falling, WIDTHS, side="right"), [len(lengths)]]))
    for first, past in zip(cuts[:-1].tolist(), cuts[1:].tolist(), strict=True):
        begin = int(end[first - 1]) if first else 0
        tokens = slice(begin, int(end[past - 1]))
        longest = int(lengths[first])
        place = None
        if int(lengths[past - 1]) < longest:
            place = (owner[tokens] - first) * longest + within[tokens]
        found.append(Group(tokens, (past - first, longest), place))
    return found


def batch_of(sequences: Sequences, rows: NDArray[Any], texts: NDArray[np.float32] | None = None) -> Batch:
    """The histories at some rows, none of them empty; `people` are places in `rows`, and so are `texts`, float32 [len(rows), …]."""
    import torch

    chosen = sequences.take(rows)
    starts, lengths = torch.from_numpy(chosen.indptr[:-1]), torch.from_numpy(chosen.lengths)
    batch, _ = Batch.of(torch.arange(len(chosen)), starts, lengths, torch.from_numpy(chosen.items.astype(np.int64)))
    return batch if texts is None else replace(batch, texts=torch.from_numpy(texts)[batch.people])
