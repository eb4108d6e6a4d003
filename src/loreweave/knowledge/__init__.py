"""What was learnt about users and items: records of what some source said, and the sources that need no language model."""

from __future__ import annotations

from loreweave.knowledge import labels, templates
from loreweave.knowledge.files import load, read_records, save
from loreweave.knowledge.published import beside, read
from loreweave.knowledge.records import Knowledge, Record
from loreweave.knowledge.source import KnowledgeSource
from loreweave.knowledge.statistical import Statistical, StatisticalConfig

__all__ = [
    "Knowledge",
    "KnowledgeSource",
    "Record",
    "Statistical",
    "StatisticalConfig",
    "beside",
    "labels",
    "load",
    "read",
    "read_records",
    "save",
    "templates",
]
