"""A connection on which the schema is changed or looked at: synchronous, and for changes the only one that changes."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, text
from sqlalchemy.exc import DatabaseError, OperationalError
from sqlalchemy.pool import NullPool

from agentplat.domain.errors import StoreUnavailable
from agentplat.store.address import Address
from agentplat.store.sqlite import BUSY_TIMEOUT, make_folder, pragmas, refuse_network_file_system

_PAUSE = 0.005
_ADVISORY_KEY = 0x6167656E74706C61  # "agentpla"
"""Whoever changes the schema on PostgreSQL holds this advisory lock; others wait for it and find nothing left to do."""


@contextmanager
def changing(url: str) -> Iterator[Connection]:
    """A transaction that is alone in changing the schema; all that is done in it is kept, or nothing."""
    address = Address.parse(url)
    if address.file is not None:
        refuse_network_file_system(address.file)
        make_folder(address.file)
    with _transaction(_engine(address, "BEGIN IMMEDIATE", pragmas())) as connection:
        if address.dialect == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_KEY})
        yield connection


@contextmanager
def looking(url: str) -> Iterator[Connection | None]:
    """A connection that changes nothing; None when the database is a file that does not exist yet."""
    address = Address.parse(url)
    if address.file is not None and not address.file.exists():
        yield None
        return
    with _transaction(_engine(address, "BEGIN", ("PRAGMA query_only = ON",))) as connection:
        yield connection


@contextmanager
def _transaction(engine: Engine) -> Iterator[Connection]:
    try:
        with engine.begin() as connection:
            yield connection
    except DatabaseError as error:
        # The class itself is what a file gives that is no database; its other kinds are faults of ours.
        if type(error) not in (DatabaseError, OperationalError):
            raise
        raise StoreUnavailable(f"The database does not answer: {str(error.orig).strip()}") from error
    finally:
        engine.dispose()


def _engine(address: Address, begin: str, first: tuple[str, ...]) -> Engine:
    if address.dialect == "postgresql":
        from agentplat.store.postgres import connect_options, settings  # psycopg, which SQLite does without

        # A change of a large table takes its time; waiting for another migration does too.
        options = connect_options(address, "agentplat-db", settings(statement_timeout_ms=0))
        postgres = create_engine(f"postgresql+psycopg://{address.rest}", connect_args=options, poolclass=NullPool)
        setting = address.of_transaction(settings(statement_timeout_ms=0))
        if setting is not None:
            event.listen(postgres, "begin", lambda connection: connection.exec_driver_sql(setting))
        return postgres
    engine = create_engine(
        URL.create("sqlite", database=str(address.file)), connect_args={"timeout": BUSY_TIMEOUT}, poolclass=NullPool
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # the driver begins nothing; `begin` below does
        for pragma in first:
            _patiently(connection, pragma)

    @event.listens_for(engine, "begin")
    def begin_as_told(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


def _patiently(connection: Any, pragma: str) -> None:
    """SQLite's own patience does not hold for making a WAL: of two processes with a new file, one would be refused."""
    until = time.monotonic() + BUSY_TIMEOUT
    while True:
        try:
            connection.execute(pragma)
        except sqlite3.OperationalError as error:
            if not error.sqlite_errorname.startswith("SQLITE_BUSY") or time.monotonic() >= until:
                raise
            time.sleep(_PAUSE)
        else:
            return
