"""The file behind `KnowledgeStore`: its tables, how it is made and checked, and what goes wrong with it in plain words."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import uuid
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from loreweave.errors import SavedError

APPLICATION_ID = 0x4C6F7265
"""`Lore`, in the header of every store, so that no other program's database is taken for one."""
STORE_VERSION = 1
"""Of the tables, in `PRAGMA user_version`. A file of another version is refused, never guessed at."""
BUSY_SECONDS = 60.0
"""How long to wait while another process writes."""
CACHE_KIB = 32 * 1024

COLUMNS: dict[str, str] = {
    "hash": "TEXT NOT NULL UNIQUE",
    "status": "TEXT NOT NULL CHECK (status IN ('done', 'failed', 'excluded', 'queued'))",
    "task": "TEXT NOT NULL",
    "version": "TEXT NOT NULL",
    "model": "TEXT NOT NULL",
    "parameters": "TEXT NOT NULL",
    "user": "TEXT",
    "item": "TEXT",
    "as_of": "TEXT",
    "finish": "TEXT NOT NULL",
    "reason": "TEXT",
    "tokens_in": "INTEGER NOT NULL",
    "tokens_out": "INTEGER NOT NULL",
    "price": "REAL",
    "seconds": "REAL NOT NULL",
    "attempts": "INTEGER NOT NULL",
    "served_by": "TEXT NOT NULL",
    "request": "TEXT NOT NULL",
    "finished_at": "TEXT NOT NULL",
    "checks": "TEXT NOT NULL",
    "shown": "TEXT NOT NULL",
    "text": "TEXT NOT NULL",
}
"""Of the table `answers`, the long ones last: what is asked about often is found without reading past them."""

_TABLES = f"""
CREATE TABLE answers (id INTEGER PRIMARY KEY, {", ".join(f'"{name}" {kind}' for name, kind in COLUMNS.items())});
CREATE INDEX answers_user ON answers ("user") WHERE "user" IS NOT NULL;
CREATE INDEX answers_request ON answers (request) WHERE status = 'done';
CREATE TABLE leases (
    hash TEXT PRIMARY KEY, owner TEXT NOT NULL, boot TEXT NOT NULL, space TEXT NOT NULL, pid INTEGER NOT NULL, started TEXT NOT NULL,
    monotonic REAL NOT NULL, wall REAL NOT NULL, seconds REAL NOT NULL
) WITHOUT ROWID;
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {STORE_VERSION};
"""


def create_file(path: Path) -> None:
    """Make an empty store under another name and link it into place: it is there whole or not at all, and never takes a file's place.

    Raises:
        SavedError: the place cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with plain_errors(path), contextlib.closing(sqlite3.connect(temporary, isolation_level=None)) as database:
            database.execute("PRAGMA journal_mode = WAL")
            database.executescript(f"BEGIN IMMEDIATE; {_TABLES} COMMIT;")
        with contextlib.suppress(FileExistsError):  # another process made it meanwhile
            _link(temporary, path)
    except OSError as error:
        raise SavedError(f"{path}: cannot be written ({error.strerror}); choose another place for the store") from None
    finally:
        for suffix in ("", "-wal", "-shm"):
            with contextlib.suppress(OSError):
                Path(f"{temporary}{suffix}").unlink()


def _link(temporary: Path, path: Path) -> None:
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        if not path.exists():
            temporary.rename(path)


def open_file(path: Path) -> sqlite3.Connection:
    """An open store, seen to be one: header, versions, tables, size. Not every page: that takes as long as reading the file.

    Raises:
        SavedError: missing, not a store, damaged, of another version, or locked.
    """
    try:
        with path.open("rb") as stream:
            magic = stream.read(16)
    except OSError as error:
        raise SavedError(f"{path}: cannot be read ({error.strerror}); give the file of a knowledge store") from None
    if magic != b"SQLite format 3\0":
        raise SavedError(f"{path}: not a knowledge store (not a SQLite file), or damaged; give another file or restore it")
    with plain_errors(path):
        database = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        try:
            _check(path, database)
            database.execute("PRAGMA synchronous = NORMAL")
            database.execute("PRAGMA secure_delete = ON")
            database.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        except BaseException:
            database.close()
            raise
    return database


def _check(path: Path, database: sqlite3.Connection) -> None:
    def pragma(name: str) -> int:
        return int(database.execute(f"PRAGMA {name}").fetchone()[0])

    if pragma("application_id") != APPLICATION_ID:
        raise SavedError(f"{path}: a SQLite database, but not a knowledge store; give another file")
    if (version := pragma("user_version")) != STORE_VERSION:
        raise SavedError(
            f"{path}: a knowledge store of version {version}, this Loreweave reads version {STORE_VERSION}; "
            "export it with the Loreweave that wrote it and import that here"
        )
    columns = [row[1] for row in database.execute("PRAGMA table_info(answers)")]
    leases = database.execute("SELECT count(*) FROM sqlite_master WHERE name = 'leases'").fetchone()[0]
    log = Path(f"{path}-wal")
    pending = log.exists() and log.stat().st_size > 0  # then pages may still lie in the log alone
    if columns != ["id", *COLUMNS] or not leases or (not pending and path.stat().st_size < pragma("page_count") * pragma("page_size")):
        raise SavedError(f"{path}: damaged (cut short, or its tables are not those of a knowledge store); restore it from a copy")


@contextlib.contextmanager
def plain_errors(path: Path) -> Iterator[None]:
    """Errors of SQLite as one plain line that says what to do."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the low byte is the kind, the rest says where
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            problem = f"locked by another program for {BUSY_SECONDS:g} s; wait for it or close it, then run this again"
        elif code == sqlite3.SQLITE_FULL:
            problem = "the disk is full; what was stored before is kept; free some space, then run this again"
        elif code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) or str(error).startswith("Could not decode"):
            problem = "damaged; restore it from a copy"
        elif code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_IOERR):
            problem = f"cannot be read or written ({error}); what was stored before is kept; see to the disk and its permissions"
        else:
            problem = " ".join(str(error).split())
        raise SavedError(f"{path}: {problem}") from error
    except UnicodeDecodeError as error:  # in the text of the tables themselves
        raise SavedError(f"{path}: damaged; restore it from a copy") from error


@contextlib.contextmanager
def sound_values(path: Path) -> Iterator[None]:
    """What comes from the file is turned into other types: where it cannot be, the file is damaged."""
    try:
        yield
    except (ValueError, TypeError, pl.exceptions.PolarsError) as error:
        raise SavedError(f"{path}: damaged (a value is not of its type); restore it from a copy") from error
