"""Exact token counts with tiktoken, without its downloads."""

from __future__ import annotations

import hashlib
import os
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

_FILES = {"o200k_harmony": "o200k_base", "p50k_edit": "p50k_base"}
"""Encodings that share the vocabulary file of another."""
_URL = "https://openaipublic.blob.core.windows.net/encodings/{}.tiktoken"
"""Of a vocabulary file; its SHA-1 is the file's name in tiktoken's cache (`tiktoken.load.read_file_cached`)."""


def count_tokens(model: str, text: str) -> int | None:
    """Tokens of a text; None where tiktoken is not installed, does not know the model, or would have to download its vocabulary."""
    encoding = _encoding(model)
    return None if encoding is None else len(encoding.encode_ordinary(text))


@cache
def _encoding(model: str) -> Any:
    try:
        import tiktoken

        name = tiktoken.encoding_name_for_model(model)
    except (ImportError, KeyError):
        return None
    folder = os.environ.get("TIKTOKEN_CACHE_DIR", os.environ.get("DATA_GYM_CACHE_DIR", str(Path(tempfile.gettempdir()) / "data-gym-cache")))
    digest = hashlib.sha1(_URL.format(_FILES.get(name, name)).encode(), usedforsecurity=False).hexdigest()
    if not folder or not (Path(folder) / digest).is_file():
        return None
    try:
        return tiktoken.get_encoding(name)
    except (OSError, ValueError):  # a damaged file, which tiktoken would replace from the network
        return None
