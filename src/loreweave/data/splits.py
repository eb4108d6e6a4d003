"""Five ways to cut a log in train, validation and test; the validation part always comes out of train."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loreweave.data.dataset import Dataset, Interactions
from loreweave.data.split import Split
from loreweave.errors import ConfigError, DataError

Mask = NDArray[np.bool_]
VALID_SHARE = 0.1
"""Of a user's training items that go to validation (at least one)."""
VALID_LEAST = 3
"""Users with fewer training items have none in validation."""


@dataclass(frozen=True)
class Cut:
    """Masks over the rows of the log, [n] each; a row in neither part of the three is left out. `counts` by name."""

    train: Mask
    valid: Mask
    test: Mask
    counts: dict[str, int]


def split(dataset: Dataset, how: str | None = None, *, seed: int = 1, **options: Any) -> Split:
    """The dataset cut in three.

    Args:
        dataset: what `read` gave, perhaps filtered.
        how: `given` (column `part`), `leave_last_out`, `global_time`, `ratio` or `cold_items`; None takes the first that the data allow of
            `given`, `leave_last_out` and `ratio`.
        seed: of whatever is drawn; for `given` that is the validation part alone (none where the data came with one).
        options: `test` and `valid`, shares, where the way has them: `global_time` (0.2, 0.1), `ratio` (0.2), `cold_items` (0.2).

    Held-out parts hold positives alone: a negative (value 0 or less) stays in train, or, where it came later than what was held out, is
    left out. A held-out interaction whose item its user already met in train (for test: in train or validation) is no target, because seen
    items are never recommended; one of the validation part stays in `Split.refit`, so that histories are whole there. `Split.counts` says
    how many of each.

    Raises:
        ConfigError: no such way, or a share outside (0, 1).
        DataError: the log lacks what the way needs (a column `part`, time, or order), or nothing is left to train on or to test.
    """
    how = how if how is not None else default_split(dataset)
    if how not in WAYS:
        raise ConfigError(f"no way to split is called {how!r}; there are: {', '.join(WAYS)}")
    known_options = WAYS[how].__kwdefaults__ or {}
    for name, share in options.items():
        if name not in known_options:
            raise ConfigError(f"split {how}: no option is called {name!r}; there are: {', '.join(known_options) or 'none'}")
        if not (isinstance(share, int | float) and 0 < share < 1):
            raise ConfigError(f"split {how}: {name} is a share between 0 and 1, got {share!r}")
    log = dataset.interactions
    if not len(log):
        raise DataError(f"{dataset.name}: no interactions to split")
    cut = WAYS[how](dataset, np.random.default_rng(seed), **options)
    counts = dict(cut.counts)
    pairs, positive = _pairs(dataset), _positive(log)
    valid, counts["validation rows of items already in train, in the refit alone"] = _unmet(pairs, cut.valid, cut.train & positive)
    test, counts["test rows of items already in train, left out"] = _unmet(pairs, cut.test, (cut.train & positive) | valid)
    if not cut.train.any() or not test.any():
        raise DataError(f"{dataset.name}: the split {how} leaves nothing to {'test' if cut.train.any() else 'train on'}; choose another")
    known = cut.train | cut.valid
    counts["rows left out"] = int((~(known | test)).sum())
    counts["test items never seen in train"] = _strangers(log.item, test, known)
    counts["test users never seen in train"] = _strangers(log.user, test, known)
    counts["users without test"] = len(np.setdiff1d(log.user, log.user[test]))
    counts["users without validation"] = len(np.setdiff1d(log.user[cut.train], log.user[valid]))
    rest = log if log.extra is None or "part" not in log.extra.columns else _without_part(log)
    train = dataset.with_interactions(rest.take(cut.train))
    return Split(train, rest.take(valid), rest.take(test), how, seed, dict(options), counts, rest.take(known))


def default_split(dataset: Dataset) -> str:
    """`given` where the data came with one, else `leave_last_out` where there is time or order, else `ratio`."""
    log = dataset.interactions
    if log.extra is not None and "part" in log.extra.columns and {"train", "test"} <= set(log.extra["part"].unique()):
        return "given"
    return "leave_last_out" if log.time is not None or log.order is not None else "ratio"


def given(dataset: Dataset, rng: np.random.Generator) -> Cut:
    """The split that came with the data (column `part`). Where it has no validation part, one is drawn from train: of each user with at
    least three items there a tenth of them (rounded down, at least one)."""
    extra = dataset.interactions.extra
    if extra is None or "part" not in extra.columns:
        raise DataError(f"{dataset.name}: no split came with the data (a column 'part'); choose another way to split")
    part, positive = extra["part"], _positive(dataset.interactions)
    train, valid, test = ((part == name).to_numpy() for name in ("train", "valid", "test"))
    if valid.any():
        return Cut(train, valid & positive, test & positive, {})
    valid = _draw_valid(dataset, train, rng)
    return Cut(train & ~valid, valid, test & positive, {})


def leave_last_out(dataset: Dataset, rng: np.random.Generator) -> Cut:
    """Of each user the last positive is the test, the last but one the validation (users with fewer than 3 positives have none; a user with
    one positive has no test). Sorted by time, then by `order`; ties keep the order of the file and are counted. Nothing is drawn."""
    log = dataset.interactions
    clock = log.time if log.time is not None else log.order
    place = log.order if log.order is not None else np.zeros(len(log), dtype=np.int32)
    if clock is None:
        raise DataError(
            f"{dataset.name}: leave_last_out needs a time or an order; where the rows of the file lie in order say so with "
            "--file-order (data.in_file_order), else use given, ratio or cold_items"
        )
    positive = _positive(log)
    rows = np.lexsort((place, clock, log.user))  # stable: ties keep the order of the file
    user, wanted = log.user[rows], positive[rows]
    total = np.bincount(log.user[positive], minlength=dataset.n_users)
    later = total[user] - _running_count(user, wanted)  # positives of the user after this row (0: this is the last, or after it)
    is_test = wanted & (later == 0) & (total[user] >= 2)
    is_valid = wanted & (later == 1) & (total[user] >= VALID_LEAST)
    held = np.where(total >= VALID_LEAST, 2, np.where(total == 2, 1, 0))[user]
    is_train = (later >= held) & ~is_test & ~is_valid
    before = np.roll(rows, 1)
    tied = (user == np.roll(user, 1)) & (clock[rows] == clock[before]) & (place[rows] == place[before])
    tied[0] = False
    counts = {
        f"users tied at the {part} item, file order kept": int((tied & held).sum())
        for part, held in (("test", is_test), ("validation", is_valid))
    }
    counts["negatives later than a held-out item, left out"] = int((~wanted & ~is_train).sum())
    return Cut(_unsort(is_train, rows), _unsort(is_valid, rows), _unsort(is_test, rows), counts)


def global_time(dataset: Dataset, rng: np.random.Generator, *, test: float = 0.2, valid: float = 0.1) -> Cut:
    """One cut through the calendar: the last `test` share of all interactions is the test, the last `valid` share of those before it the
    validation. Ties keep the order of the file and are counted. Nothing is drawn."""
    log = dataset.interactions
    if log.time is None:
        why = "an order within each user says nothing across users" if log.order is not None else "the log has none"
        raise DataError(f"{dataset.name}: global_time needs a time; {why}")
    rows = np.argsort(log.time, kind="stable")
    n = len(log)
    begin = n - max(1, round(test * n))
    middle = begin - max(1, round(valid * begin)) if begin > 1 else begin
    masks = [np.zeros(n, dtype=np.bool_) for _ in range(3)]
    for mask, start, stop in zip(masks, (0, middle, begin), (middle, begin, n), strict=True):
        mask[rows[start:stop]] = True
    positive = _positive(log)
    clock = log.time[rows]
    ties = [int((clock == clock[place]).sum()) if 0 < place < n and clock[place - 1] == clock[place] else 0 for place in (begin, middle)]
    counts = {"interactions tied at the cut before test, file order kept": ties[0]}
    counts["interactions tied at the cut before validation, file order kept"] = ties[1]
    counts["negatives later than the first cut, left out"] = int(((masks[1] | masks[2]) & ~positive).sum())
    return Cut(masks[0], masks[1] & positive, masks[2] & positive, counts)


def ratio(dataset: Dataset, rng: np.random.Generator, *, test: float = 0.2) -> Cut:
    """Of each user a share `test` of the items (rounded down, at least one; none of a user with one item), drawn at random; then validation
    as in `given`. All rows of a pair go together; negatives stay in train."""
    held = _draw(dataset, np.ones(len(dataset.interactions), dtype=np.bool_), test, 2, rng)
    valid = _draw_valid(dataset, ~held, rng)
    return Cut(~held & ~valid, valid, held, {})


def cold_items(dataset: Dataset, rng: np.random.Generator, *, test: float = 0.2) -> Cut:
    """A share `test` of the items anybody met, drawn at random, goes to the test with all its interactions; train never sees them.
    Validation as in `given`, from the items that stay."""
    log = dataset.interactions
    positive = _positive(log)
    met = np.unique(log.item[positive])
    if not len(met):
        raise DataError(f"{dataset.name}: the split cold_items leaves nothing to test; every interaction is a negative")
    cold = np.zeros(dataset.n_items, dtype=np.bool_)
    cold[rng.choice(met, size=max(1, int(test * len(met))), replace=False)] = True
    held = cold[log.item]
    valid = _draw_valid(dataset, ~held, rng)
    return Cut(~held & ~valid, valid, held & positive, {"negatives of cold items, left out": int((held & ~positive).sum())})


WAYS: dict[str, Callable[..., Cut]] = {
    "given": given,
    "leave_last_out": leave_last_out,
    "global_time": global_time,
    "ratio": ratio,
    "cold_items": cold_items,
}


def _draw_valid(dataset: Dataset, train: Mask, rng: np.random.Generator) -> Mask:
    return _draw(dataset, train, VALID_SHARE, VALID_LEAST, rng)


def _draw(dataset: Dataset, rows: Mask, share: float, least: int, rng: np.random.Generator) -> Mask:
    """Of each user with at least `least` positive items among `rows`, a share of them (rounded down, at least one), as a mask [n]."""
    log = dataset.interactions
    among = rows & _positive(log)
    pairs, inverse = np.unique(_pairs(dataset)[among], return_inverse=True)
    user = pairs // max(dataset.n_items, 1)
    total = np.bincount(user, minlength=dataset.n_users)
    wanted = np.where(total >= least, np.maximum(1, (share * total + 1e-9).astype(np.int64)), 0)
    shuffled = np.lexsort((rng.random(len(pairs)), user))  # `user` is sorted, so each user's pairs stay in place, in random order
    start = np.cumsum(total) - total
    drawn = np.zeros(len(pairs), dtype=np.bool_)
    drawn[shuffled] = np.arange(len(pairs)) - start[user] < wanted[user]
    mask = np.zeros(len(log), dtype=np.bool_)
    mask[np.flatnonzero(among)] = drawn[inverse]
    return mask


def _pairs(dataset: Dataset) -> NDArray[np.int64]:
    log = dataset.interactions
    return log.user.astype(np.int64) * max(dataset.n_items, 1) + log.item


def _unmet(pairs: NDArray[np.int64], held: Mask, before: Mask) -> tuple[Mask, int]:
    """The held-out rows whose pair is not among the rows `before`, and how many were."""
    met = np.zeros(len(pairs), dtype=np.bool_)
    met[held] = np.isin(pairs[held], pairs[before])
    return held & ~met, int(met.sum())


def _positive(log: Interactions) -> Mask:
    return np.ones(len(log), dtype=np.bool_) if log.value is None else log.value > 0


def _running_count(user: NDArray[np.int32], wanted: Mask) -> NDArray[np.int64]:
    """How many wanted rows of the same user there are up to and with each row; `user` is sorted."""
    running: NDArray[np.int64] = np.cumsum(wanted)
    first = np.flatnonzero(np.r_[True, user[1:] != user[:-1]])
    before = running[first] - wanted[first]
    return np.asarray(running - np.repeat(before, np.diff(np.r_[first, len(user)])))


def _strangers(codes: NDArray[np.int32], held: Mask, known: Mask) -> int:
    return len(np.setdiff1d(codes[held], codes[known]))


def _unsort(mask: Mask, rows: NDArray[np.intp]) -> Mask:
    out = np.empty_like(mask)
    out[rows] = mask
    return out


def _without_part(log: Interactions) -> Interactions:
    extra = log.extra.drop("part") if log.extra is not None else None
    return Interactions(log.user, log.item, log.value, log.time, log.order, extra if extra is not None and extra.width else None)
