"""Data: logs and catalogues in, one `Dataset` out; filters, splits, and simulated worlds."""

from __future__ import annotations

from loreweave.data.dataset import Dataset, Interactions, Triples
from loreweave.data.filters import at_least, in_file_order, k_core
from loreweave.data.reading import inspect, read
from loreweave.data.simulate import World, simulate  # here and not lazily: module and function share a name
from loreweave.data.split import Split
from loreweave.data.splits import split
from loreweave.data.tables import from_frame
from loreweave.data.vocabulary import Vocabulary

__all__ = [
    "Dataset",
    "Interactions",
    "Split",
    "Triples",
    "Vocabulary",
    "World",
    "at_least",
    "from_frame",
    "in_file_order",
    "inspect",
    "k_core",
    "read",
    "simulate",
    "split",
]
