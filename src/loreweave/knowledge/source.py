"""`KnowledgeSource`: anything that can be asked what it makes of a log; several as one; and what may be known while choosing and at the
refit."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial, reduce
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


@dataclass(frozen=True)
class Together:
    """Several sources and records as one: each is asked or checked by its own rules, and what they say is merged in this order.

    Attributes:
        parts: sources, and records that are held against the split.
        accepted: records that were asked for by name: accepted whatever their date, with the warning that says so.
    """

    parts: tuple[Knowledge | KnowledgeSource, ...]
    accepted: tuple[Knowledge, ...] = ()

    @property
    def records(self) -> tuple[Knowledge, ...]:
        """The parts that were recorded."""
        return (*(part for part in self.parts if isinstance(part, Knowledge)), *self.accepted)

    @property
    def sources(self) -> tuple[KnowledgeSource, ...]:
        """The parts that are asked."""
        return tuple(part for part in self.parts if not isinstance(part, Knowledge))


Known = Knowledge | KnowledgeSource | Together
"""What a comparison, `tune` and `known_about` take."""


def together(known: Known | None) -> Together:
    """Anything of the kind as several."""
    return known if isinstance(known, Together) else Together(() if known is None else (known,))


def known_about(
    source: Known,
    part: Dataset,
    split: Split,
    *,
    undated: bool = False,
    infer: Callable[[KnowledgeSource, Dataset], Knowledge] | None = None,
) -> tuple[Knowledge, list[str]]:
    """What may be known where a model learns from `part`: a source is asked about it, records are held against the split.

    A source that was not asked about `part` and cannot be now gives what it has about another part of the split, test aside.

    Args:
        undated: accept records whose date is unknown or is another split's; of a source, where it has none of this split and a method
            `of_any_date`.
        infer: in place of a source's own `infer`, to ask no more than once about the same interactions.

    Returns:
        The knowledge, and warnings to print beside every figure.

    Raises:
        DataError: records may have seen the test part, and `undated` is not set; or a source has nothing about this split.
    """
    if isinstance(source, Together):
        found = [known_about(each, part, split, undated=undated, infer=infer) for each in source.parts]
        found += [known_about(each, part, split, undated=True) for each in source.accepted]
        warnings = dict.fromkeys(warning for _, told in found for warning in told)
        return reduce(Knowledge.merged, (known for known, _ in found)) if found else Knowledge.none(), list(warnings)
    if isinstance(source, Knowledge):
        return source, source.check(split, undated=undated) if len(source) else []
    ask = source.infer if infer is None else partial(infer, source)
    try:
        return ask(part), []
    except NotAsked:
        for other in (split.refit, split.train):
            if other.fingerprint != part.fingerprint:
                with contextlib.suppress(NotAsked):
                    other_part = ask(other)
                    older = "what was asked about train alone serves the refit too" if other is split.train else None
                    return other_part, [*other_part.check(split), *([older] if older else [])]
        of_any_date = getattr(source, "of_any_date", None) if undated else None
        if of_any_date is None:
            raise
        dated_otherwise: Knowledge = of_any_date(part)
        return dated_otherwise, dated_otherwise.check(split, undated=True)
