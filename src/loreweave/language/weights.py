"""Files of a Hugging Face model: found or downloaded, safetensors only, and named so that other weights never pass for the same."""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

from loreweave.errors import require
from loreweave.language.base import LanguageModelError

_TEXT = ["*.json", "*.txt", "*.model", "*.jinja"]
"""Configuration and tokenizer."""
_WEIGHTS = ["*.safetensors"]
_OTHER_BACKENDS = ["onnx/*", "openvino/*", "original/*"]
_HUB_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")


def folder_of(model: str | Path, extra: str, *, revision: str | None = None, weights: bool = True) -> Path:
    """The folder with a model's files. A hub name is downloaded to the hub's cache, never with code or pickled weights.

    Args:
        model: a folder, or a name on the hub.
        extra: the extra of Loreweave that brings huggingface_hub, for the error that it is missing.
        revision: commit, tag or branch on the hub.
        weights: False leaves the weights where they are and gets configuration and tokenizer.

    Raises:
        LanguageModelError: no such folder, no such model, no safetensors in it, or the hub cannot be reached.
        MissingExtra: huggingface_hub is not installed.
    """
    folder = Path(model).expanduser()
    if not folder.is_dir():
        if not _HUB_NAME.fullmatch(str(model)):
            raise LanguageModelError(f"{model}: no such folder; give a folder or a name on the Hugging Face hub")
        hub = require("huggingface_hub", extra)
        wanted = _TEXT + _WEIGHTS if weights else _TEXT
        try:
            folder = Path(hub.snapshot_download(str(model), revision=revision, allow_patterns=wanted, ignore_patterns=_OTHER_BACKENDS))
        except Exception as error:  # the hub's own, httpx's and the system's errors
            raise LanguageModelError(
                f"{model}: not in the local cache, nor to be had from the Hugging Face hub ({_line(error)}); check the name"
            ) from error
    if not (folder / "config.json").is_file() and not (folder / "modules.json").is_file():
        raise LanguageModelError(f"{model}: no config.json, so this is no saved model")
    if weights:
        _refuse_pickle(model, folder)
    return folder


def identity(model: str | Path, revision: str | None = None) -> str:
    """What names a model in caches, hashes and manifests.

    A hub name is its own (with `@revision`). A folder is its last part and a digest of configuration, tokenizer and weights, so that it
    may be moved, and that other weights in the same place are another model (about a second a gigabyte).
    """
    folder = Path(model).expanduser()
    if not folder.is_dir():
        return f"{model}@{revision}" if revision else str(model)
    digest = hashlib.blake2b(digest_size=6)
    kinds = {pattern.removeprefix("*") for pattern in _TEXT + _WEIGHTS}
    for file in sorted(path for path in folder.rglob("*") if path.suffix in kinds and path.is_file()):
        digest.update(file.relative_to(folder).as_posix().encode() + b"\0")
        with file.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "blake2b").digest())
    return f"{folder.resolve().name}-{digest.hexdigest()}"


@contextlib.contextmanager
def loading(model: str | Path) -> Iterator[None]:
    """Whatever a library raises while it loads a model becomes one line, and its own progress bars are left out.

    Raises:
        LanguageModelError: it raised.
    """
    logging = require("transformers.utils.logging", "lm")
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    except Exception as error:  # of every kind: missing files, unknown architectures, damaged weights
        raise LanguageModelError(f"{model}: cannot be loaded ({_line(error)}); give a complete model folder or another name") from error
    finally:
        if shown:
            logging.enable_progress_bar()


def _refuse_pickle(model: str | Path, folder: Path) -> None:
    """Libraries fall back to pickled weights where a part of a model has no safetensors: so none may lie there alone."""
    pickled = [path for path in folder.rglob("pytorch_model*.bin") if not any(path.parent.glob("*.safetensors"))]
    if pickled:
        where = pickled[0].relative_to(folder)
        raise LanguageModelError(f"{model}: {where} is pickled and has no safetensors beside it, and pickles are not loaded; convert it")
    if not any(folder.rglob("*.safetensors")):
        raise LanguageModelError(f"{model}: no weights in safetensors format; choose a model that has them")


def _line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
