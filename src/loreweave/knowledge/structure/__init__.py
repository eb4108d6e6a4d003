"""From interest phrases to labelled interests: clean, encode, cluster, choose how many, and put new users' phrases to them."""

from __future__ import annotations

from loreweave.knowledge.structure.assign import Structure
from loreweave.knowledge.structure.build import structure

__all__ = ["Structure", "structure"]
