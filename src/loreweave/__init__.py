"""Loreweave: recommenders that learn from what language models know, and prove on your own data whether it helped."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from loreweave import data, evaluate, knowledge, learn, models
    from loreweave.data import Dataset, Interactions, Split, at_least, from_frame, in_file_order, inspect, k_core, read, simulate, split
    from loreweave.errors import LoreweaveError
    from loreweave.evaluate import compare, tune
    from loreweave.knowledge import Knowledge, Record, Statistical
    from loreweave.models import MODELS, Recommender, create, load

__all__ = [
    "MODELS",
    "Dataset",
    "Interactions",
    "Knowledge",
    "LoreweaveError",
    "Recommender",
    "Record",
    "Split",
    "Statistical",
    "at_least",
    "compare",
    "create",
    "data",
    "evaluate",
    "from_frame",
    "in_file_order",
    "inspect",
    "k_core",
    "knowledge",
    "learn",
    "load",
    "models",
    "read",
    "simulate",
    "split",
    "tune",
]

_HOME = {
    "data": (
        "Dataset",
        "Interactions",
        "Split",
        "at_least",
        "from_frame",
        "in_file_order",
        "inspect",
        "k_core",
        "read",
        "simulate",
        "split",
    ),
    "knowledge": ("Knowledge", "Record", "Statistical"),
    "models": ("MODELS", "Recommender", "create", "load"),
    "evaluate": ("compare", "tune"),
    "errors": ("LoreweaveError",),
}
_MODULE_OF = {name: f"loreweave.{module}" for module, names in _HOME.items() for name in names}


def __getattr__(name: str) -> Any:
    """Public names and rooms are imported when they are first used, so that `import loreweave` costs next to nothing (PEP 562)."""
    if name in _MODULE_OF:
        value = getattr(importlib.import_module(_MODULE_OF[name]), name)
    elif name in __all__:
        value = importlib.import_module(f"loreweave.{name}")
    else:
        raise AttributeError(f"module 'loreweave' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
