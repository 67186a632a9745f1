"""Connections on which nothing can be written, and which all see the database as it was at one moment.

So a system that goes on working gives no false alarm: what one statement saw of a task fits what the next one sees.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from agentplat.domain.errors import SchemaOutdated, StoreUnavailable
from agentplat.store.address import Address
from agentplat.store.database import OUTDATED
from agentplat.store.postgres import connect_options, settings
from agentplat.store.sqlite import BUSY_TIMEOUT
from agentplat.store.tables import REVISION, SCHEMA, VERSION_TABLE

APPLICATION = "agentplat-doctor"
_CONNECTIONS = 2
"""To PostgreSQL: enough to use another core, few enough to leave the rest to those who work."""

# Of our transactions only. No time limit of the server's or of ours ends a look at a large table; memory for adding up
# a slice without a file; plans that know the slice; and what the store switches off for its own short statements.
_SETTINGS = {
    "enable_bitmapscan": "on",
    "enable_indexscan": "off",  # a slice is read page by page, in half the time of row by row
    "idle_in_transaction_session_timeout": "0",
    "jit": "off",
    "max_parallel_workers_per_gather": "0",  # the connections are the parallel workers
    "plan_cache_mode": "force_custom_plan",
    "statement_timeout": "0",
    "timezone": "UTC",
    "transaction_timeout": "0",
    "work_mem": "128MB",
}
FIRST = (
    f"PRAGMA busy_timeout = {int(BUSY_TIMEOUT * 1000)}",
    "PRAGMA query_only = ON",
    "PRAGMA ignore_check_constraints = ON",  # our own statements look after them
)
"""What is said to a file of SQLite before anything else."""

ONE_ROW = "SELECT 1 FROM sqlite_master LIMIT 1"
"""Reads next to nothing: from it on a transaction sees a file of SQLite as it is then."""

_SINCE = {"transaction_timeout": (17,)}


@contextmanager
def snapshot(address: Address) -> Iterator[Sequence[Connection]]:
    """Connections in transactions that share one snapshot, and are rolled back at the end. One to a file of SQLite."""
    if address.file is not None:
        with reading(address) as only:
            _check_schema(only)
            yield [only]
        return
    engine = _engine(address)
    try:
        with ExitStack() as stack:
            first = stack.enter_context(engine.connect())
            _settle(first)
            _check_schema(first)
            shared = first.execute(text("SELECT pg_export_snapshot()")).scalar_one()
            others = [stack.enter_context(engine.connect()) for _ in range(_CONNECTIONS - 1)]
            for other in others:
                _settle(other)
                # A name that PostgreSQL gave; the statement takes no parameter.
                other.exec_driver_sql(f"SET TRANSACTION SNAPSHOT '{shared}'")
            yield [first, *others]
    finally:
        engine.dispose()


@contextmanager
def reading(address: Address) -> Iterator[Connection]:
    """A connection to a file of SQLite, in a transaction that sees it as it is from its first statement on."""
    assert address.file is not None
    if not address.file.exists():
        raise StoreUnavailable(f"There is no database {address.file}. `agentplat db upgrade` makes one.")
    engine = _engine(address)
    try:
        with engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()


def begin_anew(connection: Connection) -> None:
    """See a file of SQLite as it is now."""
    connection.rollback()
    connection.exec_driver_sql(ONE_ROW).all()


def place(file: Path) -> str:
    """The file as SQLite takes it. mode=rw: without a right to its shared memory nobody could read it; see `FIRST`."""
    return f"{file.absolute().as_uri()}?mode=rw"


def is_unreadable(error: DBAPIError) -> bool:
    """Whether it is not the statement or the connection that is at fault, but what is kept in the database."""
    state = str(getattr(error.orig, "sqlstate", None) or "")
    text = str(error.orig)
    # Values that cannot be what they should be; PostgreSQL's and SQLite's word for damaged files.
    return state[:2] in ("22", "XX") or "malformed" in text


def said_by(error: DBAPIError) -> str:
    """The first line of what the database said."""
    lines = str(error.orig).strip().splitlines()
    return lines[0] if lines else type(error.orig).__name__


def _check_schema(connection: Connection) -> None:
    """SchemaOutdated unless the database is exactly of this version: other tables, other predicates."""
    schema = SCHEMA if connection.dialect.name == "postgresql" else None
    found = None
    if inspect(connection).has_table(VERSION_TABLE, schema=schema):
        table = f"{schema}.{VERSION_TABLE}" if schema else VERSION_TABLE
        found = connection.execute(text(f"SELECT version_num FROM {table}")).scalar_one_or_none()  # noqa: S608 - our own names
    if found != REVISION:
        raise SchemaOutdated(OUTDATED.format(found=f"it has revision {found or 'none'}, {REVISION} is needed"))


def _settle(connection: Connection) -> None:
    """For this transaction only: whoever uses the server's session after us, behind a pooler, gets it as it was.

    Not by a query, since nothing may be read before the snapshot is there.
    """
    for name, value in _SETTINGS.items():
        if (connection.dialect.server_version_info or ()) >= _SINCE.get(name, ()):
            connection.exec_driver_sql(f"SET LOCAL {name} = '{value}'")


def _engine(address: Address) -> Engine:
    if address.dialect == "postgresql":
        return create_engine(
            f"postgresql+psycopg://{address.rest}",
            connect_args=connect_options(address, APPLICATION, settings(statement_timeout_ms=0)),
            execution_options={"isolation_level": "REPEATABLE READ", "postgresql_readonly": True},
            poolclass=NullPool,
            hide_parameters=True,
        )
    assert address.file is not None
    engine = create_engine(
        URL.create("sqlite", database=address.file.absolute().as_uri(), query={"uri": "true", "mode": "rw"}),
        connect_args={"timeout": BUSY_TIMEOUT, "check_same_thread": False},
        poolclass=NullPool,
        hide_parameters=True,
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # the driver begins nothing; `begin` below does
        for pragma in FIRST:
            connection.execute(pragma)

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN")

    return engine
