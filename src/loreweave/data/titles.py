"""Readable names of resources."""

from __future__ import annotations

from urllib.parse import unquote


def readable(name: str) -> str:
    """`http://dbpedia.org/resource/Dragonfly_in_Amber` to `Dragonfly in Amber`; anything that is no resource URI stays as it is."""
    if not name.startswith(("http://", "https://")):
        return name
    last = name.rstrip("/").rsplit("/", 1)[-1].rsplit("#", 1)[-1]
    return unquote(last).replace("_", " ") or name
