"""A database as the statements see it: transactions that are tried again when that is safe, and typed errors.

What PostgreSQL and SQLite do not share is in `postgres.py` and `sqlite.py`; each subclasses Database.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from enum import Enum, auto
from typing import ClassVar, TypeVar

from sqlalchemy.exc import DBAPIError, StatementError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection

from agentplat.domain.errors import SchemaOutdated, StoreUnavailable
from agentplat.store.address import Dialect

T = TypeVar("T")
ATTEMPTS = 5
_FIRST_PAUSE = 0.05

OUTDATED = (
    "The database's schema is not the one that this version needs ({found}). Run `agentplat db upgrade`, "
    "with the same --database-url."
)


class ValuesRefused(Exception):
    """The database, or the driver before it, refused the values of a statement. Nothing was kept."""


class Verdict(Enum):
    """What an error of the driver means to us."""

    TRANSIENT = auto()  # the same transaction may succeed in a moment
    AWAY = auto()  # the database does not answer, or not in time
    REFUSED = auto()  # the values are at fault
    OUTDATED = auto()  # a table or column is not there
    BUG = auto()


@dataclass(frozen=True, slots=True)
class Transaction:
    """An open transaction. `again`: an earlier attempt broke off, and may have been committed unnoticed."""

    connection: AsyncConnection
    again: bool = False


Work = Callable[[Transaction], Awaitable[T]]


class Database(ABC):
    """One database, shared by all coroutines of this process."""

    dialect: ClassVar[Dialect]

    async def read(self, work: Work[T], *, attempts: int = ATTEMPTS) -> T:
        """What `work` gives. It reads only, in as many statements as it likes."""
        return await self._repeatedly(self.reading, work, attempts)

    async def write(self, work: Work[T], *, attempts: int = ATTEMPTS) -> T:
        """What `work` gives, committed. It may be called several times; each call is a transaction of its own.

        Raises StoreUnavailable, SchemaOutdated, ValuesRefused, and what `work` raises on purpose. A cancel takes effect
        when the transaction is over: one that is left half way would keep its locks until its connection is closed.
        """
        writing = asyncio.ensure_future(self._repeatedly(self.writing, work, attempts))
        try:
            return await asyncio.shield(writing)
        except asyncio.CancelledError:
            await asyncio.wait([writing])
            if not writing.cancelled():
                writing.exception()  # nobody else will look at it
            raise

    @abstractmethod
    def reading(self) -> AbstractAsyncContextManager[AsyncConnection]: ...

    @abstractmethod
    def writing(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """A transaction, committed at the end. On SQLite it is the only one that writes."""

    @abstractmethod
    def verdict(self, error: BaseException | None) -> Verdict:
        """What the driver's own error means."""

    @abstractmethod
    async def open(self) -> None: ...

    @abstractmethod
    async def close(self) -> None: ...

    async def _repeatedly(
        self, transaction: Callable[[], AbstractAsyncContextManager[AsyncConnection]], work: Work[T], attempts: int
    ) -> T:
        attempt = 1
        while True:
            try:
                async with transaction() as connection:
                    return await work(Transaction(connection, again=attempt > 1))
            except DBAPIError as error:
                verdict = self.verdict(error.orig)
                if verdict is not Verdict.TRANSIENT or attempt >= attempts:
                    raise translated(verdict, error) from error
            except StatementError as error:  # a value that cannot even be bound
                raise ValuesRefused(str(error.orig)) from error
            except (OverflowError, UnicodeError) as error:  # likewise, found by the driver
                raise ValuesRefused(str(error)) from error
            except PoolTimeout as error:
                raise StoreUnavailable("No connection to the database became free in time.") from error
            await asyncio.sleep(_FIRST_PAUSE * 2 ** (attempt - 1))
            attempt += 1


def translated(verdict: Verdict, error: DBAPIError) -> Exception:
    """The error to raise instead; `error` itself when it is a bug of ours. No address, no values."""
    match verdict:
        case Verdict.TRANSIENT | Verdict.AWAY:
            return StoreUnavailable(f"The database does not answer: {_first_line(error.orig)}")
        case Verdict.REFUSED:
            return ValuesRefused(_first_line(error.orig))
        case Verdict.OUTDATED:
            return SchemaOutdated(OUTDATED.format(found=_first_line(error.orig)))
        case Verdict.BUG:
            return error


def _first_line(error: BaseException | None) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
