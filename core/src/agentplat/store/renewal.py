"""The keeper's own way to the database: synchronous, one connection, short timeouts, no plugins, no SQLAlchemy.

An event loop that is busy, and C code that holds the interpreter, keep whatever runs beside them from renewing in time;
so renewing is done in another process, and this is all that it imports.
"""

from __future__ import annotations

import os
import re
import socket
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self, cast
from uuid import UUID

from agentplat.contracts.hints import Hint
from agentplat.domain.errors import StoreUnavailable
from agentplat.store.address import Address, Dialect
from agentplat.store.statements import CHANNEL, statement

_SQLITE_TIMEOUT = 2.0
_PATIENCE = 3.0  # seconds for a whole transaction on PostgreSQL
_PARAMETER = re.compile(r"(?<!:):([a-z_]+)")
_POSTGRES_OPTIONS: dict[str, Any] = {
    "application_name": "agentplat-keeper",
    "connect_timeout": 3,
    "tcp_user_timeout": 4000,
    "keepalives": 1,
    "keepalives_idle": 2,
    "keepalives_interval": 1,
    "keepalives_count": 3,
}
_SETTINGS = {"statement_timeout": 2000, "idle_in_transaction_session_timeout": 2000}


class _Cursor(Protocol):
    @property
    def rowcount(self) -> int: ...


class _Connection(Protocol):
    """What psycopg and sqlite3 share."""

    def execute(self, statement: str, parameters: dict[str, Any] = ..., /) -> _Cursor: ...

    def close(self) -> None: ...


class Renewal:
    """Connects at its first use, and again after a failure. Raises StoreUnavailable while the database is away."""

    def __init__(self, url: str) -> None:
        self._address = Address.parse(url)
        self._open: _Connection | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def renew(self, worker_id: UUID, lease_seconds: float) -> bool:
        """False when the worker's row is gone: every lease of it is lost."""
        with self._transaction(of_one=True) as run:
            return run("renew_worker", worker_id=worker_id, lease_seconds=lease_seconds) == 1

    def expire(self, worker_id: UUID, blame: UUID | None = None, doing: UUID | None = None) -> None:
        """Return what a worker that is known to be dead owned, and tell the others; the task `blame` counts a crash.

        `doing` is one on which it decided when it died: as suspect as one that had a step under way.

        May be repeated: once the worker's row is gone, nothing changes any more.
        """
        with self._transaction() as run:
            run("lock_worker", worker_id=worker_id)
            run("lock_owned", worker_id=worker_id)
            if doing is not None:
                run("suspect_decided", worker_id=worker_id, task_id=doing)
            run("return_owned", worker_id=worker_id, dead=True, blame=blame)
            run("remove_worker", worker_id=worker_id)
        if self._address.dialect == "postgresql":  # an SQLite file shows by itself that somebody wrote
            with self._transaction(of_one=True) as run:
                run("notify", channel=CHANNEL, message=f"{Hint.SUSPECT},{Hint.WORK}")

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._open is not None:
            self._open.close()
            self._open = None

    @contextmanager
    def _transaction(self, of_one: bool = False) -> Iterator[_Statements]:
        """Runs statements by name; all of them are kept, or none. `of_one`: one statement, so of itself a transaction.

        That is what an idle worker mostly costs its database: three statements for each renewal, or one.
        """
        setting = self._address.of_transaction(_SETTINGS)
        begins = not of_one or self._address.dialect == "sqlite" or setting is not None
        driver_error = _driver_error(self._address.dialect)
        try:
            if self._open is None:
                self._open = _connected(self._address)
            connection = self._open
            with _bounded(connection) if self._address.dialect == "postgresql" else nullcontext():
                if begins:
                    connection.execute("BEGIN IMMEDIATE" if self._address.dialect == "sqlite" else "BEGIN")
                if setting is not None:
                    connection.execute(setting)
                yield _Statements(connection, self._address.dialect)
                if begins:
                    connection.execute("COMMIT")
        except driver_error as error:
            self.close()  # in which state it is, nobody knows
            raise StoreUnavailable(f"The database does not answer: {str(error).strip()}") from error
        except BaseException:
            self.close()  # interrupted in a transaction
            raise


@contextmanager
def _bounded(connection: _Connection) -> Iterator[None]:
    """End what takes too long by ending the connection: behind a proxy that falls silent no socket notices anything."""
    descriptor = os.dup(cast(Any, connection).fileno())
    with socket.socket(fileno=descriptor) as own:
        timer = threading.Timer(_PATIENCE, own.shutdown, [socket.SHUT_RDWR])
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()


class _Statements:
    def __init__(self, connection: _Connection, dialect: Dialect) -> None:
        self._connection = connection
        self._dialect = dialect

    def __call__(self, name: str, **parameters: Any) -> int:
        """How many rows the statement touched."""
        text = statement(name, self._dialect)
        if self._dialect == "postgresql":
            text = _PARAMETER.sub(r"%(\1)s", text)
        else:
            parameters = {key: value.hex if isinstance(value, UUID) else value for key, value in parameters.items()}
        return self._connection.execute(text, parameters).rowcount


def _connected(address: Address) -> _Connection:
    if address.file is not None:
        return _connected_file(address.file)
    import psycopg

    # autocommit: BEGIN and COMMIT are said here, and nothing else begins a transaction.
    options = {**_POSTGRES_OPTIONS, **address.of_session(_SETTINGS)}
    return cast(_Connection, psycopg.connect(address.libpq, autocommit=True, **options))


def _connected_file(file: Path) -> _Connection:
    # mode=rw: a database that is not there is not made. check_same_thread: who uses it takes care.
    uri = f"{file.absolute().as_uri()}?mode=rw"
    connection = sqlite3.connect(uri, uri=True, timeout=_SQLITE_TIMEOUT, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA synchronous = FULL")
    return connection


def _driver_error(dialect: Dialect) -> type[Exception]:
    if dialect == "sqlite":
        return sqlite3.Error
    import psycopg

    return psycopg.Error
