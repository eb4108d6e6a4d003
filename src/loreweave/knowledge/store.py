"""`KnowledgeStore`: every answer that was paid for, in one SQLite file, written before it is used."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from operator import attrgetter
from pathlib import Path
from typing import Any, Self

import polars as pl

from loreweave.errors import DataError, SavedError
from loreweave.knowledge.store_leases import Lease
from loreweave.knowledge.store_schema import create_file, open_file, plain_errors, sound_values
from loreweave.language.base import Finish

BATCH_ROWS = 20_000
"""Answers that are in memory at once while the store is walked."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What was asked and what came back.

    Attributes:
        hash: the key (`engine.questions`): of task, version, date, subject and request.
        task, version: whose question it was, and the version of its template.
        model: as it was asked for.
        parameters: of the request (temperature, ...), as JSON.
        user, item: raw ids as text of whom it was asked about.
        as_of: fingerprint of the interactions that the prompt showed.
        shown: raw ids of the items that the prompt showed, in order.
        text: the answer as the model wrote it.
        status: `done`; `failed` after all attempts; `excluded`: it lacked the form that was asked for, is kept raw and becomes no record.
        finish, reason: how the answer ended; one line why, where it did not end by itself.
        tokens_in, tokens_out, price (USD, None: not known), seconds, attempts: what it took, all attempts together.
        checks: problems found in the answer.
        served_by: the model as the server named it.
        request: `Request.hash`, what a replay looks an answer up by; empty where it is not known.
    """

    hash: str
    task: str
    version: str
    model: str
    parameters: str
    user: str | None
    item: str | None
    as_of: str | None
    shown: tuple[str, ...]
    text: str
    status: str
    finish: Finish
    reason: str | None = None
    tokens_in: int = 0
    tokens_out: int = 0
    price: float | None = None
    seconds: float = 0.0
    attempts: int = 1
    checks: tuple[str, ...] = ()
    served_by: str = ""
    request: str = ""


FIELDS = tuple(field.name for field in fields(Stored))
SCHEMA: dict[str, pl.DataType] = {
    **dict.fromkeys(FIELDS, pl.String()),
    **dict.fromkeys(("shown", "checks"), pl.List(pl.String())),
    **dict.fromkeys(("tokens_in", "tokens_out", "attempts"), pl.Int64()),
    **dict.fromkeys(("price", "seconds"), pl.Float64()),
    "finished_at": pl.String(),
}
"""Columns of the frame of answers: the fields of `Stored`, and when each was written by the clock on the wall (UTC, for people to read)."""

_fields_of = attrgetter(*FIELDS)
_LISTS = ("shown", "checks")
_SUMS = ("tokens_in", "tokens_out", "seconds", "attempts")
_COLUMNS = ", ".join(f'"{name}"' for name in SCHEMA)
_PUT = f"""
INSERT INTO answers ({_COLUMNS}) VALUES ({", ".join("?" * len(SCHEMA))})
ON CONFLICT (hash) DO UPDATE SET
    {", ".join(f'"{name}" = excluded."{name}"' for name in SCHEMA if name not in ("hash", "price", *_SUMS))},
    {", ".join(f"{name} = answers.{name} + excluded.{name}" for name in _SUMS)},
    price = CASE WHEN excluded.price IS NULL THEN answers.price ELSE excluded.price + coalesce(answers.price, 0) END
WHERE answers.status != 'done'
"""
_AMONG = "hash IN (SELECT value FROM json_each(?))"


class KnowledgeStore:
    """Answers of language models by the hash of what was asked. One file a project; open it once in each process that works on it.

    What `put` returned for outlives `kill -9` of the process at any later moment: it is in the write-ahead log, which the operating
    system holds. A power cut or a crash of the system itself may take the answers of the last moments (since SQLite last synced the log,
    a few megabytes) but leaves the file sound: `synchronous = NORMAL`. The file must lie on a disk of this machine: SQLite's log does
    not work over a network.

    Every method raises `SavedError`, in one line, where the file is locked for longer than a minute, damaged, or the disk is full; what
    was stored before is kept.
    """

    def __init__(self, path: Path, database: sqlite3.Connection) -> None:
        self.path = path
        self._database = database
        self._lock = threading.RLock()

    @classmethod
    def open(cls, path: Path | str, *, create: bool = False) -> KnowledgeStore:
        """Open a store.

        Args:
            path: of the file.
            create: make an empty one where there is no file.

        Raises:
            SavedError: missing, locked, damaged, of another version, or not a store.
        """
        path = Path(path)
        if not path.exists():
            if not create:
                raise SavedError(f"{path}: there is no knowledge store; give the file that `knowledge run --store` wrote")
            create_file(path)
        return cls(path, open_file(path))

    def close(self) -> None:
        """Give the file back."""
        with self._lock, plain_errors(self.path):
            self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ---------------------------------------------------------------- answers

    def put(self, rows: Sequence[Stored]) -> None:
        """Store answers, all or none, and release their leases. Durable when it returns.

        An answer that is `done` stays as it is whatever is put for it. One that failed or was excluded gives way, and its tokens, price,
        seconds and attempts are added to the new one's: they were spent. Halves of characters (lone surrogates) become `?`.
        """
        finished_at = datetime.now(UTC).isoformat(timespec="seconds")
        with self._transaction() as database:
            database.executemany(_PUT, ((*map(_bound, _fields_of(row)), finished_at) for row in rows))
            database.executemany("DELETE FROM leases WHERE hash = ?", ((row.hash,) for row in rows))

    def statuses(self, hashes: Collection[str]) -> dict[str, str]:
        """Of those requests that have been asked and are not waiting to be asked again."""
        return dict(self._rows(f"SELECT hash, status FROM answers WHERE {_AMONG} AND status != 'queued'", [json.dumps(list(hashes))]))

    def get(self, hashes: Collection[str]) -> dict[str, Stored]:
        """As `statuses`, the whole answers."""
        return {row.hash: row for row in self._whole(f"{_AMONG} AND status != 'queued'", hashes)}

    def answers_to(self, requests: Collection[str]) -> list[Stored]:
        """The answers that are `done` to requests of these hashes (`Stored.request`), whatever they were asked about, and when."""
        return self._whole("status = 'done' AND request IN (SELECT value FROM json_each(?)) ORDER BY id", requests)

    def spoilt(self, hashes: Collection[str]) -> dict[str, str]:
        """Of those requests whose answer lacked the form and is to be asked for once more: what was wrong with it."""
        query = f"SELECT hash, reason FROM answers WHERE {_AMONG} AND status = 'queued' AND checks = ?"
        return dict(self._rows(query, [json.dumps(list(hashes)), _bound(("form",))]))

    def set_checks(self, checks: Mapping[str, Sequence[str]]) -> None:
        """Replace the problems found, by hash. Hashes that are not here (forgotten meanwhile) are passed over."""
        with self._transaction() as database:
            database.executemany(
                "UPDATE answers SET checks = ? WHERE hash = ?", ((_bound(tuple(found)), key) for key, found in checks.items())
            )

    def requeue(self, *, status: Collection[str] = ("failed", "excluded"), task: str | None = None) -> int:
        """Let failed or excluded requests be asked again: they show as `queued` in `frame` and `summary` until they are.

        Returns:
            How many.

        Raises:
            DataError: another status; what is done is never asked again.
        """
        if not set(status) <= {"failed", "excluded"}:
            raise DataError(f"only failed and excluded requests can be asked again, not {', '.join(sorted(set(status)))}")
        where, values = _where(status=status, task=task)
        with self._transaction() as database:
            return database.execute(f"UPDATE answers SET status = 'queued', checks = '[]' WHERE {where}", values).rowcount

    def forget(self, user: str) -> int:
        """Remove every answer about a user, and rewrite the file so that no byte of it stays in a free page or the log.

        The rewriting takes as long as copying the file and needs that much free space.

        Returns:
            How many answers were removed.

        Raises:
            SavedError: the answers are removed, but the file could not be rewritten; says so.
        """
        with self._transaction() as database:
            removed = database.execute('DELETE FROM answers WHERE "user" = ?', [user]).rowcount
        try:
            with self._lock, plain_errors(self.path):
                self._database.execute("VACUUM")
                busy = self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        except SavedError as error:
            raise SavedError(f"{error}; {removed} answers are removed but traces may remain in the file: forget the user again") from None
        if busy:
            raise SavedError(
                f"{self.path}: in use by another program; {removed} answers are removed but traces may remain in the file: "
                "close the other program and forget the user again"
            )
        return removed

    # ----------------------------------------------------------------- leases

    def claim(self, hashes: Collection[str], owner: str, seconds: float) -> set[str]:
        """Take requests on, so that no other process asks them meanwhile.

        Args:
            hashes: the requests wanted.
            owner: a name that no other worker has. Claiming again what one holds renews it.
            seconds: that a lease lives for where its process cannot be asked after (another container or machine); it ends with `put`,
                `release` or the process.

        Returns:
            Those taken: not held by a live other, and not answered: what failed or was excluded needs `requeue` first.
        """
        lease = Lease.now(seconds)
        wanted = json.dumps(list(hashes))
        with self._transaction() as database:
            taken = {row[0] for row in database.execute(f"SELECT hash FROM answers WHERE {_AMONG} AND status != 'queued'", [wanted])}
            held = database.execute(f"SELECT * FROM leases WHERE {_AMONG} AND owner != ?", [wanted, owner]).fetchall()
            others = [(key, Lease(*rest)) for key, _, *rest in held]
            living = {other for other in {other for _, other in others} if other.alive()}
            taken |= {key for key, other in others if other in living}
            free = set(hashes) - taken
            database.executemany("INSERT OR REPLACE INTO leases VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", ((key, owner, *lease) for key in free))
        return free

    def release(self, hashes: Collection[str], owner: str) -> None:
        """Give back requests that were claimed and will not be asked."""
        with self._transaction() as database:
            database.execute(f"DELETE FROM leases WHERE {_AMONG} AND owner = ?", [json.dumps(list(hashes)), owner])

    # ----------------------------------------------------------------- frames

    def frame(
        self,
        *,
        task: str | None = None,
        model: str | None = None,
        as_of: str | None = None,
        status: str | Collection[str] | None = None,
        user: str | None = None,
    ) -> pl.DataFrame:
        """Answers as a frame of `SCHEMA`, in the order in which they were first stored; those that match all that is given."""
        batches = self.batches(task=task, model=model, as_of=as_of, status=status, user=user)
        return pl.concat([pl.DataFrame(schema=SCHEMA), *batches])

    def batches(
        self,
        *,
        task: str | None = None,
        model: str | None = None,
        as_of: str | None = None,
        status: str | Collection[str] | None = None,
        user: str | None = None,
    ) -> Iterator[pl.DataFrame]:
        """As `frame`, a piece at a time. Nothing is locked between two pieces: what others store meanwhile may or may not be among them."""
        where, values = _where(task=task, model=model, as_of=as_of, status=status, user=user)
        query = f"SELECT id, {_COLUMNS} FROM answers WHERE {where} AND id > ? ORDER BY id LIMIT {BATCH_ROWS}"
        raw = {"id": pl.Int64(), **SCHEMA, **dict.fromkeys(_LISTS, pl.String())}
        last = -1
        while rows := self._rows(query, [*values, last]):
            last = rows[-1][0]
            columns = zip(raw.items(), zip(*rows, strict=True), strict=True)
            with sound_values(self.path):
                frame = pl.DataFrame([pl.Series(name, column, dtype) for (name, dtype), column in columns])
                frame = frame.select(pl.col(name).str.json_decode(SCHEMA[name]) if name in _LISTS else name for name in SCHEMA)
            yield frame

    def summary(self) -> pl.DataFrame:
        """One row a task, version, model, as_of and status: `rows`, `tokens_in`, `tokens_out`, `price` (USD, null where none is known),
        `unpriced` (rows without a price), `seconds` and `reason` (the first that was stored, null where there is none)."""
        key = ("task", "version", "model", "as_of", "status")
        query = f"""
            SELECT {", ".join(key)}, count(*), sum(tokens_in), sum(tokens_out), sum(price), count(*) - count(price), sum(seconds),
                   reason, min(CASE WHEN reason IS NOT NULL THEN id END)
            FROM answers GROUP BY {", ".join(key)} ORDER BY {", ".join(key)}
        """  # beside min(), a bare column comes from the row that has the least: SQLite, "Bare columns in an aggregate query"
        schema = {
            **dict.fromkeys(key, pl.String()),
            **dict.fromkeys(("rows", "tokens_in", "tokens_out"), pl.Int64()),
            "price": pl.Float64(),
            "unpriced": pl.Int64(),
            "seconds": pl.Float64(),
            "reason": pl.String(),
        }
        rows = [row[:-1] for row in self._rows(query, [])]
        with sound_values(self.path):
            return pl.DataFrame(rows, schema=schema, orient="row")

    # ---------------------------------------------------------------- private

    def _whole(self, where: str, keys: Collection[str]) -> list[Stored]:
        """Whole answers by a condition on some keys."""
        columns = ", ".join(f'"{name}"' for name in FIELDS)
        rows = self._rows(f"SELECT {columns} FROM answers WHERE {where}", [json.dumps(list(keys))])
        with sound_values(self.path):
            return [_stored(row) for row in rows]

    def _rows(self, query: str, values: Sequence[object]) -> list[Any]:
        with self._lock, plain_errors(self.path):
            return self._database.execute(query, values).fetchall()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing, alone among writers."""
        with self._lock, plain_errors(self.path):
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield self._database
                self._database.execute("COMMIT")
            except BaseException:
                if self._database.in_transaction:  # a full disk has ended it already
                    self._database.execute("ROLLBACK")
                raise


def _bound(value: object) -> object:
    """A field as SQLite takes it: lists as JSON, text that is whole characters."""
    if isinstance(value, tuple):
        value = json.dumps(value, ensure_ascii=False)
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value


def _stored(row: Sequence[Any]) -> Stored:
    values = dict(zip(FIELDS, row, strict=True))
    return Stored(**values | {name: tuple(json.loads(values[name])) for name in _LISTS})


def _where(*, status: str | Collection[str] | None, **equal: str | None) -> tuple[str, list[str]]:
    """A condition that holds for rows that match all that is given, and its values."""
    given = {name: value for name, value in equal.items() if value is not None}
    conditions = [f'"{name}" = ?' for name in given]
    values = list(given.values())
    if status is not None:
        conditions.append("status IN (SELECT value FROM json_each(?))")
        values.append(json.dumps([status] if isinstance(status, str) else list(status)))
    return " AND ".join(conditions) or "true", values
