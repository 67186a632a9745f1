"""A database as the statements see it: transactions that are tried again when that is safe, and typed errors.

What PostgreSQL and SQLite do not share is in `postgres.py` and `sqlite.py`; each subclasses Database.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from enum import Enum, auto
from typing import ClassVar, TypeVar

from sqlalchemy.exc import DBAPIError, StatementError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from agentplat.contracts.hints import Hint
from agentplat.domain.errors import SchemaOutdated, StoreUnavailable
from agentplat.store.address import Dialect
from agentplat.store.hints import Hints
from agentplat.store.script import Script

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
    driver_error: ClassVar[type[Exception]]
    """What the driver raises where SQLAlchemy does not stand in between."""

    patience: ClassVar[float | None] = None
    """Seconds that an attempt may take. What is behind a proxy can fall silent so that no socket notices it."""

    async def read(self, work: Work[T], *, attempts: int = ATTEMPTS) -> T:
        """What `work` gives. It reads only, in as many statements as it likes."""

        async def attempted(again: bool) -> T:
            async with self.reading() as connection:
                return await work(Transaction(connection, again))

        async with self.turn():
            return await self._repeatedly(attempted, attempts)

    async def write(self, work: Work[T], *, attempts: int = ATTEMPTS) -> T:
        """What `work` gives, committed. It may be called several times; each call is a transaction of its own.

        Raises StoreUnavailable, SchemaOutdated, ValuesRefused, and what `work` raises on purpose. A cancel takes effect
        when the transaction is over: one that is left half way would keep its locks until its connection is closed.
        """

        async def attempted(again: bool) -> T:
            async with self.writing() as connection:
                return await work(Transaction(connection, again))

        async with self.turn():
            return await _to_its_end(self._repeatedly(attempted, attempts))

    async def perform(
        self, begin: Callable[[bool], Script[T]], *, hints: Collection[Hint] = (), attempts: int = ATTEMPTS
    ) -> T:
        """What a script returns, committed. `begin` is called for each attempt, and told whether there was one before.

        `hints` are given when it is committed. Otherwise as `write`.
        """
        return await _to_its_end(self._repeatedly(lambda again: self.conduct(begin(again), hints), attempts))

    @abstractmethod
    async def conduct(self, script: Script[T], hints: Collection[Hint] = ()) -> T:
        """Carry out one script in a transaction of its own, then give the hints. Raises what the driver raises."""

    @asynccontextmanager
    async def connected(self, engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
        """A connection. A cancel is heard when it is made: before, it might leave one that nobody closes."""

        async def entered() -> AsyncConnection:
            async with asyncio.timeout(self.patience):
                return await opened.enter_async_context(engine.connect())

        async with AsyncExitStack() as opened:
            yield await _to_its_end(entered())

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Until one of the connections for `read` and `write` is free, in the order of asking.

        Waiting is no attempt, and whoever is cancelled meanwhile leaves at once.
        """
        yield

    @abstractmethod
    def reading(self) -> AbstractAsyncContextManager[AsyncConnection]: ...

    @abstractmethod
    def writing(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """A transaction, committed at the end. On SQLite it is the only one that writes."""

    @abstractmethod
    def verdict(self, error: BaseException | None) -> Verdict:
        """What the driver's own error means."""

    @property
    @abstractmethod
    def hints(self) -> Hints: ...

    @property
    @abstractmethod
    def hears(self) -> bool:
        """See `agentplat.contracts.store.Store.hears`."""

    @abstractmethod
    async def listen(self) -> None:
        """See `agentplat.contracts.store.Store.listen`."""

    @abstractmethod
    async def open(self) -> None: ...

    @abstractmethod
    async def close(self) -> None: ...

    async def _repeatedly(self, attempted: Callable[[bool], Awaitable[T]], attempts: int) -> T:
        attempt = 1
        while True:
            try:
                async with asyncio.timeout(self.patience):
                    return await attempted(attempt > 1)
            except TimeoutError as error:
                raise StoreUnavailable(f"The database said nothing for {self.patience:g} s.") from error
            except PoolTimeout as error:
                raise StoreUnavailable(
                    "All connections of this process that read are busy with others. Try again later, or with less at "
                    "once."
                ) from error
            except (DBAPIError, self.driver_error) as error:
                cause = error.orig if isinstance(error, DBAPIError) else error
                verdict = self.verdict(cause)
                if verdict is not Verdict.TRANSIENT or attempt >= attempts:
                    raise translated(verdict, error, cause) from error
            except StatementError as error:  # a value that cannot even be bound
                raise ValuesRefused(str(error.orig)) from error
            except (OverflowError, UnicodeError) as error:  # likewise, found by the driver
                raise ValuesRefused(str(error)) from error
            await asyncio.sleep(_FIRST_PAUSE * 2 ** (attempt - 1))
            attempt += 1


async def _to_its_end(work: Awaitable[T]) -> T:
    """What the work gives. Cancels are heard when it is over, however many."""
    working, cancelled = asyncio.ensure_future(work), None
    while not working.done():
        try:
            await asyncio.wait([working])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is None:
        return working.result()
    if not working.cancelled():
        working.exception()  # nobody else will look at it
    raise cancelled


def translated(verdict: Verdict, error: Exception, cause: BaseException | None) -> Exception:
    """The error to raise instead; `error` itself when it is a bug of ours. No address, no values."""
    match verdict:
        case Verdict.TRANSIENT | Verdict.AWAY:
            return StoreUnavailable(f"The database does not answer: {_first_line(cause)}")
        case Verdict.REFUSED:
            return ValuesRefused(_first_line(cause))
        case Verdict.OUTDATED:
            return SchemaOutdated(OUTDATED.format(found=_first_line(cause)))
        case Verdict.BUG:
            return error


def _first_line(error: BaseException | None) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
