"""`KnowledgeSource`: anything that can be asked again what it makes of a log."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from loreweave.data.dataset import Dataset
from loreweave.knowledge.records import Knowledge


@runtime_checkable
class KnowledgeSource(Protocol):
    """Asked on train while settings are chosen, and on train and validation together at the refit."""

    @property
    def name(self) -> str:
        """As it is shown in tables and kept in records."""

    def infer(self, dataset: Dataset) -> Knowledge:
        """What can be said of the users and items of `dataset` from its log and catalogue alone.

        Every record's `as_of` is `dataset.fingerprint`: the source saw these interactions and no others.
        """
