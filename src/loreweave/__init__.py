"""Loreweave: recommenders that learn from what language models know, and prove on your own data whether it helped."""

from __future__ import annotations

__version__ = "0.1.0"
