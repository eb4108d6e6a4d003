"""What was learnt about users and items: records of what some source said, and the sources that need no language model."""

from __future__ import annotations

from loreweave.knowledge import labels, templates
from loreweave.knowledge.files import load, read_records, save
from loreweave.knowledge.published import beside, read
from loreweave.knowledge.records import Knowledge, Record
from loreweave.knowledge.source import KnowledgeSource, Together
from loreweave.knowledge.statistical import Statistical, StatisticalConfig
from loreweave.knowledge.templates import Templates

__all__ = [
    "Knowledge",
    "KnowledgeSource",
    "Record",
    "Statistical",
    "StatisticalConfig",
    "Templates",
    "Together",
    "beside",
    "labels",
    "load",
    "read",
    "read_records",
    "save",
    "templates",
]
