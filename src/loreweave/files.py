"""Writing so that a crash or a full disk never costs the old file, and reading saved folders with plain errors."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

import loreweave
from loreweave.errors import SavedError

FORMAT_VERSION = 1
"""Of saved folders. A folder of another version is refused, never guessed at."""


def write_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill a temporary file beside `path`, sync it, and rename it over `path`.

    Raises:
        SavedError: the disk is full or the folder cannot be written; the old file is as it was.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(temporary)
        _sync(temporary)
        temporary.replace(path)
        _sync(path.parent)
    except (OSError, SafetensorError, pl.exceptions.ComputeError) as error:
        _discard(temporary)
        raise SavedError(f"{path}: cannot be written ({_reason(error)}); the old file, if any, is unchanged") from error
    except BaseException:
        _discard(temporary)
        raise


@contextlib.contextmanager
def folder_written_atomically(folder: Path) -> Iterator[Path]:
    """A temporary folder to fill; on success it takes the place of `folder`, on failure it is removed.

    A folder cannot be renamed over another, so the old one steps aside first, to a fixed name. Killed between the two renames, the
    writer leaves it there, and `recover` puts it back.

    Raises:
        SavedError: the disk is full, the place cannot be written, or `folder` is something that Loreweave did not save.
    """
    folder = Path(folder)
    recover(folder)
    if folder.exists() and not _ours(folder):
        raise SavedError(f"{folder}: exists and was not saved by Loreweave; choose another place or remove it")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".tmp", dir=folder.parent))
    except OSError as error:
        raise SavedError(f"{folder}: cannot be written ({_reason(error)})") from error
    try:
        temporary.chmod(0o755)
        yield temporary
        for file in temporary.rglob("*"):
            _sync(file)
        aside, rubbish = _aside(folder), temporary.with_suffix(".old")
        try:
            if folder.exists():
                _remove(aside, rubbish)  # of a writer that was killed once its new folder was in place
                folder.rename(aside)
            temporary.rename(folder)
        except BaseException:
            recover(folder)
            raise
        _remove(aside, rubbish)
        _sync(folder.parent)
    except (OSError, SafetensorError, pl.exceptions.ComputeError) as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise SavedError(f"{folder}: cannot be written ({_reason(error)}); what was there before is unchanged") from error
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def recover(folder: Path) -> None:
    """Put back what a writer had moved aside when it was killed: where `folder` is missing and `.NAME.old` beside it is a saved folder."""
    folder = Path(folder)
    if not folder.exists() and _ours(_aside(folder)):
        with contextlib.suppress(OSError):  # another process was faster, or the place is read-only: the reader tells that nothing is there
            _aside(folder).rename(folder)


@contextlib.contextmanager
def alone(path: Path) -> Iterator[None]:
    """Keep other processes of this machine from working with a file that is read and written again and again. A killed one keeps nobody.
    On Windows nobody is kept.

    Raises:
        SavedError: another process does, or the place cannot be written.
    """
    if os.name != "posix":
        yield
        return
    import fcntl

    lock = path.with_name(f".{path.name}.lock")
    with contextlib.ExitStack() as opened:
        try:
            lock.parent.mkdir(parents=True, exist_ok=True)
            while True:
                handle = opened.enter_context(lock.open("w"))
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                with contextlib.suppress(FileNotFoundError):  # its owner removed it between the two calls
                    if lock.stat().st_ino == os.fstat(handle.fileno()).st_ino:
                        break
        except BlockingIOError:
            raise SavedError(f"{path}: another process is working with it; wait until it is done, or end it") from None
        except OSError as error:
            raise SavedError(f"{path}: cannot be written ({error.strerror}); choose another place") from None
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)


def cache_folder() -> Path:
    """Where what can be made again is kept: `$LOREWEAVE_CACHE`, else `loreweave` in `$XDG_CACHE_HOME` or `~/.cache`."""
    if own := os.environ.get("LOREWEAVE_CACHE"):
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "loreweave"


def write_text(path: Path, text: str) -> None:
    """UTF-8 text, atomically."""

    def write(temporary: Path) -> None:
        temporary.write_text(text, encoding="utf-8")

    write_atomically(path, write)


def write_json(path: Path, value: Any) -> None:
    """`value` as JSON, atomically. NaN is refused: it is not JSON."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    write_text(path, text + "\n")


def read_json(path: Path) -> Any:
    """
    Raises:
        SavedError: missing or damaged.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SavedError(f"{path}: cannot be read: {_reason(error)}") from None
    except ValueError as error:
        raise SavedError(f"{path}: damaged, not JSON ({error}); fit again or restore the file") from None


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray[Any, Any]]) -> None:
    """Named arrays as one safetensors file, atomically."""
    contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    write_atomically(path, lambda temporary: save_file(contiguous, temporary))


def read_arrays(path: Path) -> dict[str, np.ndarray[Any, Any]]:
    """
    Raises:
        SavedError: missing or damaged.
    """
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise SavedError(f"{path}: missing or damaged ({_reason(error)}); fit again or restore the file") from None


def write_frame(path: Path, frame: pl.DataFrame) -> None:
    """A frame as Parquet, atomically."""
    write_atomically(path, frame.write_parquet)


def read_frame(path: Path) -> pl.DataFrame:
    """
    Raises:
        SavedError: missing or damaged.
    """
    try:
        return pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise SavedError(f"{path}: missing or damaged ({_reason(error)}); fit again or restore the file") from None


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a saved folder, its format checked.

    Raises:
        SavedError: not a saved folder, damaged, or of another format version.
    """
    recover(folder)
    path = Path(folder) / "manifest.json"
    if not path.is_file():
        raise SavedError(f"{folder}: not a saved folder (no manifest.json); give the folder that fit or compare wrote")
    manifest = read_json(path)
    if not isinstance(manifest, dict) or "format" not in manifest:
        raise SavedError(f"{path}: damaged, no format version; fit again or restore the file")
    if manifest["format"] != FORMAT_VERSION:
        raise SavedError(f"{path}: format {manifest['format']}, this Loreweave reads format {FORMAT_VERSION}; fit again with this version")
    return manifest


def read_saved(folder: Path, kind: str) -> dict[str, Any]:
    """The manifest of a saved folder of a kind (a key of its manifest: `model`, `knowledge`), whose files are as they were written.

    Raises:
        SavedError: not a saved folder, one of another kind or format version, or damaged.
    """
    manifest = read_manifest(folder)
    if kind not in manifest:
        raise SavedError(f"{folder}: holds no saved {kind}; give a folder that does")
    if not isinstance(manifest.get("files"), dict):
        raise SavedError(f"{folder}: damaged or of another version (no digests); fit again or restore the folder")
    check_digests(folder, manifest["files"])
    return manifest


def write_manifest(folder: Path, told: Mapping[str, Any]) -> None:
    """The manifest of a saved folder whose other files are all there: format, version, what is `told`, and their digests."""
    write_json(folder / "manifest.json", {"format": FORMAT_VERSION, "loreweave": loreweave.__version__, **told, "files": digests(folder)})


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file in `folder` and below, its own manifest aside: path within the folder to hexadecimal digits."""
    files = [file for file in sorted(folder.rglob("*")) if file.is_file() and file != folder / "manifest.json"]
    return {file.relative_to(folder).as_posix(): _digest(file) for file in files}


def check_digests(folder: Path, recorded: Mapping[str, str]) -> None:
    """See that the files of a saved folder are as they were written: a flipped bit in weights would otherwise pass in silence.

    Raises:
        SavedError: a file is missing or differs.
    """
    for name, digest in recorded.items():
        path = folder / name
        if not path.is_file() or _digest(path) != digest:
            raise SavedError(f"{path}: missing or damaged (not what was written); fit again or restore the file")


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def check_replaceable(folder: Path, key: str) -> None:
    """See that a save into `folder` would destroy nothing but an older save of the same kind, whose manifest has `key`.

    Raises:
        SavedError: something else is there.
    """
    recover(folder)
    if folder.exists() and not _ours(folder):
        raise SavedError(f"{folder}: exists and was not saved by Loreweave; choose another place or remove it")
    path = folder / "manifest.json"
    if path.is_file() and key not in read_json(path):
        raise SavedError(f"{folder}: holds something else that Loreweave saved, not a {key}; choose another place or remove it")


def check_all_replaceable(folder: Path, key: str) -> None:
    """`check_replaceable` of a save, or of each of a folder of them; what a killed writer left beside those is passed over.

    Raises:
        SavedError: something else is there.
    """
    if folder.is_dir() and not (folder / "manifest.json").exists():
        for each in folder.iterdir():
            if not (each.name.startswith(".") and each.suffix in (".tmp", ".old")):
                check_all_replaceable(each, key)
    else:
        check_replaceable(folder, key)


def _ours(folder: Path) -> bool:
    """An empty folder, or one whose manifest names Loreweave: other programs have manifests too."""
    if not folder.is_dir():
        return False
    path = folder / "manifest.json"
    try:
        return "loreweave" in read_json(path) if path.is_file() else not any(folder.iterdir())
    except (SavedError, TypeError):
        return False


def _aside(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.old")


def _remove(saved: Path, rubbish: Path) -> None:
    """Remove a saved folder by way of another name, so that half of it is never found under its own. Anything else stays."""
    if _ours(saved):
        with contextlib.suppress(OSError):
            saved.rename(rubbish)
            shutil.rmtree(rubbish)


def _discard(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error).splitlines()[0]
