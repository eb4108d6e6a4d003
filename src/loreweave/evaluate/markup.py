"""Small pieces of HTML. All text given to them is untrusted and escaped; what is markup already is marked as such."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from importlib import resources
from typing import Any


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def safe(value: Any) -> str:
    """`value` as HTML text."""
    return value if isinstance(value, Markup) else escape(str(value))


def table(
    heads: Sequence[str], rows: Iterable[Sequence[Any]], *, caption: str = "", text: Sequence[str] = (), starts: Sequence[int] = ()
) -> Markup:
    """A table that scrolls sideways where the screen is narrow. The first column and those named in `text` align left.

    `caption` stands below; `starts` are the numbers of the rows that begin a group.
    """
    left = {place for place, head in enumerate(heads) if head in text}
    head = "".join(f'<th scope="col"{" class=text" if place in left else ""}>{safe(name)}</th>' for place, name in enumerate(heads))
    body = []
    for number, row in enumerate(rows):
        cells = "".join(f"<td{' class=text' if place in left else ''}>{safe(value)}</td>" for place, value in enumerate(row))
        body.append(f"<tr{' class=first' if number in starts else ''}>{cells}</tr>")
    told = f"<caption>{safe(caption)}</caption>" if caption else ""
    return Markup(f'<div class="card scroll"><table>{told}<thead><tr>{head}</tr></thead><tbody>{"".join(body)}</tbody></table></div>')


def section(title: str, note: str, *content: str) -> Markup:
    """A heading, a line in small type (may be empty) and what follows."""
    told = f'<p class="note">{safe(note)}</p>' if note else ""
    return Markup(f"<section><h2>{safe(title)}</h2>{told}{''.join(content)}</section>")


def listed(lines: Iterable[Any]) -> Markup:
    """A bulleted list."""
    return Markup(f"<ul>{''.join(f'<li>{safe(line)}</li>' for line in lines)}</ul>")


def facts(pairs: Iterable[tuple[str, Any]]) -> Markup:
    """Names and values."""
    return Markup(f"<dl>{''.join(f'<dt>{safe(name)}</dt><dd>{safe(value)}</dd>' for name, value in pairs)}</dl>")


def legend(entries: Iterable[tuple[str, str]]) -> Markup:
    """Dots in the colours of CSS variables, with their labels."""
    dots = "".join(f'<span><span class="dot" style="background:var(--{colour})"></span>{safe(label)}</span>' for label, colour in entries)
    return Markup(f'<div class="legend">{dots}</div>')


def figure(title: str, svg: str, caption: str, key: str = "") -> Markup:
    """A drawing with its title, legend and caption."""
    return Markup(f'<figure class="card"><h3>{safe(title)}</h3>{key}{svg}<figcaption>{safe(caption)}</figcaption></figure>')


def joined(values: Iterable[Any], by: str = ", ") -> str:
    """Values as text in one line."""
    return by.join(str(value) for value in values)


def interval(ends: Sequence[float], form: str = "+.4f") -> str:
    """`[+0.0081, +0.0129]`."""
    return f"[{ends[0]:{form}}, {ends[1]:{form}}]"


def page(title: str, about: str, sections: Iterable[str], footer: Markup, style: str = "") -> str:
    """A whole page under the reports' style, and `style` after it: no script, and nothing is loaded from elsewhere."""
    common = resources.files("loreweave.evaluate").joinpath("report.css").read_text(encoding="utf-8")
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{safe(title)}</title>\n<style>\n{common}{style}</style>\n</head>\n<body>\n<main>\n"
        f'<header><p class="eyebrow">{safe(about)}</p><h1>{safe(title)}</h1></header>\n'
        + "\n".join(part for part in sections if part)
        + f"\n<footer>{footer}</footer>\n</main>\n</body>\n</html>\n"
    )
