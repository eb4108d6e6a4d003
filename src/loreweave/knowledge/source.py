"""`KnowledgeSource`: anything that can be asked what it makes of a log; and what may be known while choosing and at the refit."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from loreweave.data.dataset import Dataset
from loreweave.errors import NotAsked
from loreweave.knowledge.records import Knowledge

if TYPE_CHECKING:
    from loreweave.data.split import Split


@runtime_checkable
class KnowledgeSource(Protocol):
    """Asked on train while settings are chosen, and on train and validation together at the refit."""

    @property
    def name(self) -> str:
        """As it is shown in tables and kept in records."""

    def infer(self, dataset: Dataset) -> Knowledge:
        """What can be said of the users and items of `dataset` from its log and catalogue alone.

        Every record's `as_of` is `dataset.fingerprint`: the source saw these interactions and no others.

        Raises:
            NotAsked: what was said before is all there is, and none of it rests on these interactions.
        """


def known_about(
    source: Knowledge | KnowledgeSource,
    part: Dataset,
    split: Split,
    *,
    undated: bool = False,
    infer: Callable[[Dataset], Knowledge] | None = None,
) -> tuple[Knowledge, list[str]]:
    """What may be known where a model learns from `part`: a source is asked about it, records are held against the split.

    A source that was not asked about `part` and cannot be now gives what it has about another part of the split, test aside.

    Args:
        undated: accept records whose date is unknown or is another split's; of a source, where it has none of this split and a method
            `of_any_date`.
        infer: in place of `source.infer`, to ask no more than once about the same interactions.

    Returns:
        The knowledge, and warnings to print beside every figure.

    Raises:
        DataError: records may have seen the test part, and `undated` is not set; or a source has nothing about this split.
    """
    if isinstance(source, Knowledge):
        return source, source.check(split, undated=undated) if len(source) else []
    infer = infer or source.infer
    try:
        return infer(part), []
    except NotAsked:
        for other in (split.refit, split.train):
            if other.fingerprint != part.fingerprint:
                with contextlib.suppress(NotAsked):
                    found = infer(other)
                    older = "what was asked about train alone serves the refit too" if other is split.train else None
                    return found, [*found.check(split), *([older] if older else [])]
        of_any_date = getattr(source, "of_any_date", None) if undated else None
        if of_any_date is None:
            raise
        found = of_any_date(part)
        return found, found.check(split, undated=True)
