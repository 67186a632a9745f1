"""PostgreSQL by psycopg 3."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Any, ClassVar

from psycopg import OperationalError
from psycopg.errors import Error
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from agentplat.store.address import Address, Dialect
from agentplat.store.database import Database, Verdict

# A call on a connection whose other end has silently gone is bounded by these, not by asyncio (psycopg waits for its
# own cancellation). An owner that is stopped inside a transaction keeps others from its rows no longer than `idle`.
_CONNECT_TIMEOUT = 5
_STATEMENT_TIMEOUT_MS = 20_000
_IDLE_IN_TRANSACTION_MS = 5_000
_TCP_USER_TIMEOUT_MS = 10_000

_AWAY = {"57014", "53100", "53200", "58030"}  # statement timeout; disk full, out of memory; input or output
_TRANSIENT = {"40001", "40P01", "55P03", "57P01", "57P02", "57P03", "53300", "25P03", "25006"}
_OUTDATED = {"42P01", "3F000", "42703"}  # no such table, schema, column


def connect_options(application: str, statement_timeout_ms: int = _STATEMENT_TIMEOUT_MS) -> dict[str, Any]:
    """What every connection of ours asks of libpq."""
    settings = {
        "statement_timeout": statement_timeout_ms,
        "idle_in_transaction_session_timeout": _IDLE_IN_TRANSACTION_MS,
        "timezone": "UTC",
        # Every statement of ours walks an index to a few rows. Without fresh statistics the planner would rather
        # collect and sort all that is claimable, at every claim.
        "enable_bitmapscan": "off",
    }
    return {
        "application_name": application,
        "connect_timeout": _CONNECT_TIMEOUT,
        "tcp_user_timeout": _TCP_USER_TIMEOUT_MS,
        "keepalives": 1,
        "keepalives_idle": 5,
        "keepalives_interval": 2,
        "keepalives_count": 3,
        "options": " ".join(f"-c {name}={value}" for name, value in settings.items()),
    }


class Postgres(Database):
    """A pool of connections; READ COMMITTED, with explicit locks on rows where two could meet."""

    dialect: ClassVar[Dialect] = "postgresql"

    def __init__(self, address: Address, *, application: str, pool_size: int = 10) -> None:
        self._engine = create_async_engine(
            f"postgresql+psycopg://{address.rest}",
            isolation_level="READ COMMITTED",
            connect_args=connect_options(application),
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=10,
            pool_recycle=1800,
            hide_parameters=True,
        )
        self._reader = self._engine.execution_options(isolation_level="AUTOCOMMIT")

    def reading(self) -> AbstractAsyncContextManager[AsyncConnection]:
        return self._reader.connect()

    def writing(self) -> AbstractAsyncContextManager[AsyncConnection]:
        return self._engine.begin()

    async def open(self) -> None:
        """Nothing to prepare: connections are made when they are needed."""

    async def close(self) -> None:
        await self._engine.dispose()

    def verdict(self, error: BaseException | None) -> Verdict:
        state = error.sqlstate if isinstance(error, Error) else None
        if state is None:
            # Without a code it is the client library that speaks: the connection is gone, or a value cannot be sent.
            return Verdict.TRANSIENT if isinstance(error, OperationalError) else Verdict.REFUSED
        if state in _TRANSIENT or state.startswith("08"):
            return Verdict.TRANSIENT
        if state in _AWAY:
            return Verdict.AWAY
        if state in _OUTDATED:
            return Verdict.OUTDATED
        return Verdict.REFUSED if state[:2] in ("22", "23", "54") else Verdict.BUG
