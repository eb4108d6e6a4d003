"""Titles and texts as data: whatever they say, they stay within their line and within their delimiters.

A title is written by others, and a prompt shows it to a model that follows instructions. Nothing can keep a model from reading it; what is
kept is the structure: no title closes a delimiter, opens another numbered line, fakes an attribute or hides characters.
"""

from __future__ import annotations

import re

import polars as pl

TITLE_CHARS = 200
"""Longer titles are cut."""
FIELD_CHARS = 20_000
"""No field of a template is longer, whatever its task allows."""
ELLIPSIS = "…"

_INVISIBLE = (
    *((0x00, 0x1F), (0x7F, 0x9F), (0xAD, 0xAD), (0x61C, 0x61C), (0x180E, 0x180E), (0x200B, 0x200B), (0x200E, 0x200F)),
    *((0x2028, 0x202E), (0x2060, 0x206F), (0xFEFF, 0xFEFF), (0xFFF9, 0xFFFB), (0xE0000, 0xE0FFF)),
)
"""Controls, line and paragraph separators, marks that turn the direction of text, tags and further characters that show nothing. The
joiners U+200C and U+200D stay: Persian, Hindi and emoji are spelt with them."""
_PATTERN = "[" + "".join(f"{chr(first)}-{chr(last)}" for first, last in _INVISIBLE) + "]"
_PYTHON_PATTERN = re.compile(_PATTERN[:-1] + "\ud800-\udfff]")  # half characters: a Python string may hold them, UTF-8 may not
_LOOK_ALIKES = {"‹": "<＜﹤", "›": ">＞﹥", "(": "[［【〔", ")": "]］】〕", "/": "|｜¦"}
_MEANINGLESS = {character: plain for plain, characters in _LOOK_ALIKES.items() for character in characters}
"""What has a meaning in a prompt (delimiters, numbers of lines, the bar before attributes) → what has none."""
_TABLE = str.maketrans(_MEANINGLESS)


class Block(str):
    """Text that is escaped already, line by line: the only kind that a template shows with its line ends."""

    __slots__ = ()


def one_line(text: str) -> str:
    """A text without line ends, controls and what shows nothing, its white space single."""
    return " ".join(_PYTHON_PATTERN.sub(" ", text).split())


def escaped(text: str, limit: int = FIELD_CHARS) -> str:
    """One line of at most `limit` characters without anything that has a meaning in a prompt. Escaping it again changes nothing."""
    line = one_line(text).translate(_TABLE)
    return line if len(line) <= limit else line[: limit - 1].rstrip() + ELLIPSIS


def escaped_column(column: pl.Series, limit: int) -> pl.Series:
    """`escaped` of every text of a String column; null stays null."""
    text = pl.col("text").str.replace_all(_PATTERN, " ").str.replace_many(list(_MEANINGLESS), list(_MEANINGLESS.values()))
    text = text.str.replace_all(r"\s+", " ").str.strip_chars()
    frame = column.rename("text").to_frame().with_columns(text)
    short = pl.col("text").str.slice(0, limit - 1).str.strip_chars_end() + ELLIPSIS
    return frame.select(pl.when(pl.col("text").str.len_chars() > limit).then(short).otherwise("text").alias("text"))["text"]


def cut_to_bytes(text: str, limit: int) -> str:
    """The beginning of a text in at most `limit` UTF-8 bytes, whole characters only."""
    return text if len(text.encode()) <= limit else text.encode()[: max(limit, 0)].decode(errors="ignore")
