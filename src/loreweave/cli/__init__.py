"""The command line: thin commands that parse, call and print."""

from __future__ import annotations

from loreweave.cli.app import main

__all__ = ["main"]
