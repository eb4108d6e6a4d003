"""Splits: what is learnt from, what settings are chosen on, and what is looked at once."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from loreweave.data.dataset import Dataset, Interactions, concatenate, pairs_fingerprint


@dataclass(frozen=True, eq=False)
class Split:
    """A dataset cut in three. All parts share vocabularies.

    Attributes:
        train: a Dataset whose log is the training part.
        valid: held out of train; settings are chosen on it.
        test: looked at once.
        how: `given`, `leave_last_out`, `global_time`, `ratio` or `cold_items`.
        seed: of whatever was drawn.
        settings: the options it was made with.
        counts: what was left out or tied, by name (for example `test items never seen in train`).
        before_test: all rows that may be learnt from before test is looked at, in the order of the log: train, validation, and rows of
            the validation part that nobody is asked for, because their item was met before. None: train followed by `valid`.
    """

    train: Dataset
    valid: Interactions
    test: Interactions
    how: str
    seed: int
    settings: dict[str, Any] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    before_test: Interactions | None = None

    @cached_property
    def refit(self) -> Dataset:
        """Train and validation together (`before_test`): what the chosen settings are fitted on before test is looked at."""
        rows = concatenate(self.train.interactions, self.valid) if self.before_test is None else self.before_test
        return self.train.with_interactions(rows)

    @cached_property
    def fingerprint(self) -> str:
        """Of train and validation together: what recorded knowledge may rest on. The cut of the validation part is not in it."""
        return self.refit.fingerprint

    @cached_property
    def test_fingerprint(self) -> str:
        """Of the test part, so that two comparisons can be seen to have looked at the same one."""
        return pairs_fingerprint(self.test, self.train.users, self.train.items)

    def describe(self) -> dict[str, Any]:
        """For reports: how it was made, its sizes and fingerprints."""
        return {
            "how": self.how,
            "seed": self.seed,
            "settings": self.settings,
            "counts": self.counts,
            "train": len(self.train.interactions),
            "valid": len(self.valid),
            "test": len(self.test),
            "fingerprint": self.fingerprint,
            "test_fingerprint": self.test_fingerprint,
        }
