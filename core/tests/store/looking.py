"""All that the database holds, read beside the store by a connection of its own: a dozen short rows, many times.

The only place of the model's tests that names columns.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol, cast
from uuid import UUID

import psycopg

from agentplat.store.address import Address
from agentplat.store.columns import microseconds
from agentplat.store.statements import SQLITE_CLOCK

_TABLES = (
    *("tasks", "queue", "journal", "inbox", "calls", "submissions", "workers", "audit", "definitions"),
    *("limits", "starts", "turns"),
)
_TASKS = """
SELECT t.id, t.status, t.cancel_requested_at IS NOT NULL, t.updated_at, q.worker_id, q.fence, q.ready, q.wake,
       q.under_way, q.suspect, q.crashes, q.reason, q.run_at
FROM agentplat.tasks AS t LEFT JOIN agentplat.queue AS q ON q.task_id = t.id
"""
_JOURNAL = "SELECT task_id, seq, fence FROM agentplat.journal ORDER BY task_id, seq"
_INBOX = "SELECT task_id, key FROM agentplat.inbox ORDER BY task_id, number"
_WORKERS = "SELECT id, lease_until <= clock_timestamp() FROM agentplat.workers"
_ORPHANS = "SELECT task_id FROM agentplat.queue WHERE task_id NOT IN (SELECT id FROM agentplat.tasks)"
_CLOCK = "SELECT clock_timestamp()"


@dataclass(frozen=True)
class SeenTask:
    """Instants are microseconds since 1970. Without a queue row the fields from `worker` to `run_at` are None."""

    status: str
    cancel_requested: bool
    updated_at: int
    worker: UUID | None
    fence: int | None
    ready: bool | None
    wake: bool | None
    under_way: bool | None
    suspect: bool | None
    crashes: int | None
    reason: str | None
    run_at: int | None
    journal: Sequence[tuple[int, int]]  # number and fence of each event
    inbox: Sequence[str]  # keys


@dataclass(frozen=True)
class Sight:
    now: int
    tasks: dict[UUID, SeenTask]
    workers: dict[UUID, bool]  # whether its lease has ended
    orphans: Sequence[UUID]  # queue rows without a task


class _Connection(Protocol):
    def execute(self, statement: Any, parameters: Any = ..., /) -> Any: ...

    def close(self) -> None: ...


class Beside:
    """A connection beside the store. It writes only to let time pass, and to clear what an earlier history left."""

    def __init__(self, url: str) -> None:
        address = Address.parse(url)
        self._file: Path | None = address.file
        self._connection: _Connection
        if address.file is not None:
            self._connection = sqlite3.connect(address.file, timeout=10.0, isolation_level=None)
            self._connection.execute("PRAGMA synchronous = OFF")
        else:
            self._connection = psycopg.connect(address.libpq, autocommit=True, prepare_threshold=None)

    def close(self) -> None:
        self._connection.close()

    def look(self) -> Sight:
        journals: dict[UUID, list[tuple[int, int]]] = defaultdict(list)
        for task_id, seq, fence in self._rows(_JOURNAL):
            journals[_id(task_id)].append((seq, fence))
        inboxes: dict[UUID, list[str]] = defaultdict(list)
        for task_id, key in self._rows(_INBOX):
            inboxes[_id(task_id)].append(key)
        tasks = {
            _id(row[0]): _seen(row[1:], journals.pop(_id(row[0]), []), inboxes.pop(_id(row[0]), []))
            for row in self._rows(_TASKS)
        }
        [[now]] = self._rows(_CLOCK)
        return Sight(
            now=_instant(now),
            tasks=tasks,
            workers={_id(worker): bool(has_ended) for worker, has_ended in self._rows(_WORKERS)},
            orphans=[_id(row[0]) for row in self._rows(_ORPHANS)] + [*journals, *inboxes],
        )

    def expire(self, worker: UUID) -> None:
        """The worker's lease runs out at this moment."""
        self._run(f"UPDATE agentplat.workers SET lease_until = clock_timestamp() WHERE id = {self._written(worker)}")

    def let_time_pass(self) -> None:
        """What is still to come, and belongs to nobody, is due at this moment."""
        self._run(
            "UPDATE agentplat.queue SET run_at = clock_timestamp() "
            "WHERE worker_id IS NULL AND run_at > clock_timestamp()"
        )

    def clear(self) -> None:
        for table in _TABLES:
            self._run(f"DELETE FROM agentplat.{table}")

    def _rows(self, statement: str) -> Iterable[Sequence[Any]]:
        return cast(Iterable[Sequence[Any]], self._run(statement).fetchall())

    def _run(self, statement: str) -> Any:
        if self._file is not None:
            statement = statement.replace("agentplat.", "").replace("clock_timestamp()", SQLITE_CLOCK)
        return self._connection.execute(statement)

    def _written(self, value: UUID) -> str:
        return f"'{value}'" if self._file is None else f"'{value.hex}'"


def _seen(row: Sequence[Any], journal: Sequence[tuple[int, int]], inbox: Sequence[str]) -> SeenTask:
    status, cancel_requested, updated_at, worker, fence, *marks, crashes, reason, run_at = row
    ready, wake, under_way, suspect = (None if mark is None else bool(mark) for mark in marks)
    return SeenTask(
        status=status,
        cancel_requested=bool(cancel_requested),
        updated_at=_instant(updated_at),
        worker=None if worker is None else _id(worker),
        fence=fence,
        ready=ready,
        wake=wake,
        under_way=under_way,
        suspect=suspect,
        crashes=crashes,
        reason=reason,
        run_at=None if run_at is None else _instant(run_at),
        journal=journal,
        inbox=inbox,
    )


def _id(value: Any) -> UUID:
    return value if isinstance(value, UUID) else UUID(value)


def _instant(value: Any) -> int:
    return microseconds(value) if isinstance(value, datetime) else int(value)
