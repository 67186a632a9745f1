"""PostgreSQL by psycopg 3."""

from __future__ import annotations

import asyncio
from collections import namedtuple
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext, suppress
from typing import Any, ClassVar, TypeVar, cast

from psycopg import AsyncConnection as Connection
from psycopg.abc import PQGen
from psycopg.adapt import Transformer
from psycopg.errors import Error, InvalidTextRepresentation, error_from_result
from psycopg.generators import fetch_many, send
from psycopg.pq import ExecStatus, TransactionStatus
from psycopg.pq.abc import PGresult
from sqlalchemy import ExceptionContext, event
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from agentplat.contracts.hints import Hint
from agentplat.domain.errors import StoreUnavailable
from agentplat.store.address import Address, Dialect
from agentplat.store.columns import server_text
from agentplat.store.database import Database, Verdict
from agentplat.store.hints import Hints, parsed
from agentplat.store.script import Answers, Bound, Guarded, Round, Script, bound, columns_of, parameters, with_places
from agentplat.store.server.verdicts import check_address, is_read_only, verdict
from agentplat.store.statements import CHANNEL

T = TypeVar("T")
_STILL_THERE = 30.0  # seconds of silence after which a listening connection is asked whether it lives
_RECONNECT = 1.0
_SCRIPTS = 4  # connections for them: a claim and a submission go on beside two commits
_GUARD = "not every lease holds"  # how `sql/vouch.sql` breaks a transaction off
_ROLLBACK = 2.0  # seconds for it: then the connection is closed, and the server ends the transaction when it notices
_LAST_TURNS = 5.0  # seconds at the end for what is still under way
_LONGEST_QUEUE = 30.0  # seconds; longer than an attempt may take, so that one slow moment refuses nobody

# A call on a connection whose other end has silently gone is bounded by these, not by asyncio (psycopg waits for its
# own cancellation). An owner that is stopped inside a transaction keeps others from its rows no longer than `idle`.
_CONNECT_TIMEOUT = 5
_STATEMENT_TIMEOUT_MS = 20_000
_IDLE_IN_TRANSACTION_MS = 5_000
_TCP_USER_TIMEOUT_MS = 10_000


def settings(statement_timeout_ms: int = _STATEMENT_TIMEOUT_MS) -> dict[str, object]:
    """What every session of ours is set to."""
    return {
        "statement_timeout": statement_timeout_ms,
        "idle_in_transaction_session_timeout": _IDLE_IN_TRANSACTION_MS,
        "timezone": "UTC",
        # Every statement of ours walks an index to a few rows. Without fresh statistics the planner would rather
        # collect and sort all that is claimable, at every claim.
        "enable_bitmapscan": "off",
        "jit": "off",
    }


def script_settings() -> dict[str, object]:
    """What a session is set to besides, in which scripts are carried out.

    Their statements are planned once for a connection: to plan a claim takes longer than to carry it out. A table that
    is short at that moment need not stay so.
    """
    return {**settings(), "plan_cache_mode": "force_generic_plan", "enable_seqscan": "off"}


def connect_options(address: Address, application: str, session: Mapping[str, object]) -> dict[str, Any]:
    """What every connection of ours asks of psycopg; `session` is what it is set to.

    SettingsInvalid for an address that the client library cannot read.
    """
    check_address(address)
    return {
        "application_name": application,
        "connect_timeout": _CONNECT_TIMEOUT,
        "tcp_user_timeout": _TCP_USER_TIMEOUT_MS,
        "keepalives": 1,
        "keepalives_idle": 5,
        "keepalives_interval": 2,
        "keepalives_count": 3,
        **address.of_session(session),
    }


class Postgres(Database):
    """A pool of connections; READ COMMITTED, with explicit locks on rows where two could meet.

    Behind a pooler (`Address.pooled`) each transaction begins with what a session is otherwise set to, nothing is
    prepared, and nothing is heard: LISTEN belongs to a session.
    """

    dialect: ClassVar[Dialect] = "postgresql"
    driver_error: ClassVar[type[Exception]] = Error
    patience: ClassVar[float | None] = _STATEMENT_TIMEOUT_MS / 1000 + 5.0

    def __init__(self, address: Address, *, application: str, pool_size: int = 10) -> None:
        self._engine = create_async_engine(
            f"postgresql+psycopg://{address.rest}",
            isolation_level="READ COMMITTED",
            connect_args=connect_options(address, application, settings()),
            pool_size=pool_size,
            max_overflow=0,
            pool_recycle=1800,
            hide_parameters=True,
        )
        event.listen(self._engine.sync_engine, "handle_error", _leave_standby)
        self._reader = self._engine.execution_options(isolation_level="AUTOCOMMIT")
        self._address, self._application = address, application
        self._first = address.of_transaction(script_settings())
        if (first := address.of_transaction(settings())) is not None:
            event.listen(self._engine.sync_engine, "begin", lambda connection: connection.exec_driver_sql(first))
        self._idle: list[_Line] = []
        self._free = asyncio.Semaphore(_SCRIPTS)
        self._pool_size, self._turns = pool_size, asyncio.Semaphore(pool_size)
        self._hints = Hints(self._notify)
        self._hears = False

    @property
    def hints(self) -> Hints:
        return self._hints

    @property
    def hears(self) -> bool:
        return self._hears

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """See `Database.turn`. StoreUnavailable when none becomes free for too long."""
        try:
            async with asyncio.timeout(_LONGEST_QUEUE):
                await self._turns.acquire()
        except TimeoutError:
            raise StoreUnavailable(
                f"For {_LONGEST_QUEUE:g} s all {self._pool_size} connections of this process are busy with others. "
                "Try again later, or with less at once."
            ) from None
        try:
            yield
        finally:
            self._turns.release()

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        # Behind a pooler that is a transaction, too. Left to the end of the connection, no cancel would reach its
        # ROLLBACK, and a silent wire would keep its caller for ever.
        engine = self._engine if self._address.pooled else self._reader
        async with self.connected(engine) as connection, connection.begin() if self._address.pooled else nullcontext():
            yield connection

    def writing(self) -> AbstractAsyncContextManager[AsyncConnection]:
        return self._engine.begin()

    async def open(self) -> None:
        """Nothing to prepare: connections are made when they are needed."""

    async def conduct(self, script: Script[T], hints: Collection[Hint] = ()) -> T:
        """See `Database.conduct`. A script of one round is one message to the server and one back, hints included."""
        async with self._free:
            line = self._idle.pop() if self._idle else _Line(await self._connected(), is_own=self._first is None)
            told = self._hints.ride(hints)
            try:
                result = await _conducted(line, script, self._first, told)
            except BaseException as error:
                try:
                    if isinstance(error, Exception) and not line.is_over:
                        # At once: the server notices some time later that a connection is closed.
                        with suppress(Error, TimeoutError):
                            async with asyncio.timeout(_ROLLBACK):
                                await line.roll_back()
                finally:
                    await self._give_up(line)
                raise
            self._idle.append(line)
        if told is None:
            self._hints.give(*hints)
        else:
            self._hints.heard(hints)
        return result

    async def _give_up(self, line: _Line) -> None:
        if line.is_over:  # what ended it has ended those that were idle, too: not one attempt for each of them
            over, self._idle = self._idle, []
            for each in over:
                await each.close()
        await line.close()  # in which state it is, nobody knows

    async def _connected(self) -> Connection[Any]:
        options = connect_options(self._address, self._application, script_settings())
        return await Connection.connect(self._address.libpq, autocommit=True, **options)

    async def _notify(self, message: str) -> None:
        await self.perform(lambda _: _notifying(message), attempts=1)

    async def listen(self) -> None:
        """Hear notifications on a connection of its own. A lost one is made again, and all hints are given then."""
        if self._address.pooled:
            await asyncio.Event().wait()
        while True:
            try:
                connection = await self._connected()
                async with connection:
                    async with asyncio.timeout(_CONNECT_TIMEOUT):
                        await connection.execute(f"LISTEN {CHANNEL}".encode())
                    self._hears = True
                    self._hints.heard(Hint)
                    while True:
                        async for heard in connection.notifies(timeout=_STILL_THERE):
                            self._hints.heard(parsed(heard.payload))
                        async with asyncio.timeout(_CONNECT_TIMEOUT):
                            await connection.execute("SELECT 1")
            except (Error, OSError):
                self._hears = False
                await asyncio.sleep(_RECONNECT)
            finally:
                self._hears = False

    async def close(self) -> None:
        await self._hints.aclose()
        while self._idle:
            await self._idle.pop().close()
        # What a cancelled caller has left to its end still has a connection, which the engine would leave open.
        with suppress(TimeoutError):
            async with asyncio.timeout(_LAST_TURNS):
                for _ in range(self._pool_size):
                    await self._turns.acquire()
        await self._engine.dispose()

    def verdict(self, error: BaseException | None) -> Verdict:
        return verdict(error)


def _leave_standby(context: ExceptionContext) -> None:
    """A session that only reads is of no use, and after a failover its server is the old one: end all of the pool."""
    if is_read_only(context.original_exception):
        context.is_disconnect = True


def _notifying(message: str) -> Script[None]:
    yield Round([bound("notify", channel=CHANNEL, message=message)], last=True)


async def _conducted(line: _Line, script: Script[T], setting: str | None, told: str | None) -> T:
    """What the script returns. `told` is notified when it is committed.

    Without BEGIN and COMMIT a pipeline is a transaction of its own, in which each statement still has its own view
    of what others have committed. So the first round needs them only if it is not the last one.
    """
    asked, first = next(script), True
    while True:
        before = [b"BEGIN"] if first and not asked.last else []
        if first and setting is not None:
            before.append(setting.encode())
        after = [b"COMMIT"] if asked.last and not first else []
        try:
            answers = await line.ask(before, asked.statements, after, told if asked.last else None)
        except InvalidTextRepresentation as error:
            if not asked.guarded or _GUARD not in str(error):
                raise
            asked = script.throw(Guarded())
            continue
        try:
            asked = script.send(answers)
        except StopIteration as end:
            return cast(T, end.value)
        first = False


class _Line:
    """One connection for scripts, in pipeline mode to its end.

    Beneath psycopg's cursors: each statement would need one, and would have it look at every value to find out what
    it is, which took most of a commit's time. Here all values go as text, and the statements say what they are.
    """

    def __init__(self, connection: Connection[Any], *, is_own: bool) -> None:
        self._connection, self._libpq = connection, connection.pgconn
        self._is_own, self._prepared = is_own, set[str]()  # a session, and not a pooler's
        self._reader = Transformer(connection)
        self._unread = 0  # results that nobody waits for
        self._libpq.enter_pipeline_mode()

    @property
    def is_over(self) -> bool:
        """Whether the server has ended the session, or cannot be reached."""
        return self._connection.closed

    async def close(self) -> None:
        await self._connection.close()

    async def ask(
        self, before: Sequence[bytes], asked: Sequence[Bound], after: Sequence[bytes], told: str | None
    ) -> Answers:
        """The rows of `asked`, of all of them when the last one is through. Raises psycopg's errors.

        `told` is notified behind them, in a transaction of its own whose end nobody waits for.
        """
        return await self._connection.wait(self._exchange(before, asked, after, told))

    async def roll_back(self) -> None:
        """End the transaction that is open, if one is. Raises psycopg's errors."""
        await self._connection.wait(self._rolled_back())

    def _rolled_back(self) -> PQGen[None]:
        yield from self._skip()
        if self._libpq.transaction_status in (TransactionStatus.INTRANS, TransactionStatus.INERROR):
            yield from self._exchange([b"ROLLBACK"], (), (), None)

    def _exchange(
        self, before: Sequence[bytes], asked: Sequence[Bound], after: Sequence[bytes], told: str | None
    ) -> PQGen[Answers]:
        if not self._is_own:
            yield from self._skip()
        # What each result will be of: the statement's name, if there may be rows.
        said: list[str | None] = [None] * len(before)
        preparing: dict[int, str] = {}
        for text in before:
            self._libpq.send_query_params(text, None)
        for each in asked:
            if self._prepare(each.name):
                preparing[len(said)] = each.name
                said.append(None)
            self._say(each)
            said.append(each.name)
        for text in after:
            self._libpq.send_query_params(text, None)
            said.append(None)
        self._libpq.pipeline_sync()
        unread, self._unread = self._unread, 0
        if told is not None and self._is_own:
            self._tell(told)
        yield from send(self._libpq)
        for _ in range(unread):
            yield from fetch_many(self._libpq)
        results: list[PGresult] = []
        for _ in (*said, "the end of the round"):
            results += yield from fetch_many(self._libpq)
        for result in results:
            if result.status == ExecStatus.FATAL_ERROR:
                aborted = [at for at, each in enumerate(results) if each.status == ExecStatus.PIPELINE_ABORTED]
                self._prepared.difference_update([preparing[at] for at in aborted if at in preparing])
                raise error_from_result(result)
        if told is not None and not self._is_own:
            with suppress(Error):  # what was asked is committed, whatever becomes of the hint
                self._tell(told)
                yield from send(self._libpq)
        return [self._rows(name, result) for name, result in zip(said, results, strict=False) if name is not None]

    def _tell(self, told: str) -> None:
        self._unread = 2 + self._prepare("notify")
        self._say(bound("notify", channel=CHANNEL, message=told))
        self._libpq.pipeline_sync()

    def _skip(self) -> PQGen[None]:
        """Read what nobody waited for. A pooler takes the session away at the end of a transaction.

        Who has begun to ask on by then may have asked one half of a session, and ask the other half of the next.
        """
        for _ in range(self._unread):
            yield from fetch_many(self._libpq)
        self._unread = 0

    def _prepare(self, name: str) -> bool:
        """Whether the statement had to be prepared first."""
        if not self._is_own or name in self._prepared:
            return False
        self._libpq.send_prepare(name.encode(), with_places(name, "postgresql").encode())
        self._prepared.add(name)
        return True

    def _say(self, asked: Bound) -> None:
        values, name = columns_of(asked), asked.name
        written = [server_text(values[parameter]) for parameter in parameters(name)]
        if self._is_own:
            self._libpq.send_query_prepared(name.encode(), written)
        else:
            self._libpq.send_query_params(with_places(name, "postgresql").encode(), written)

    def _rows(self, name: str, result: PGresult) -> Sequence[Any]:
        if result.status != ExecStatus.TUPLES_OK:
            return ()
        self._reader.set_pgresult(result)
        return self._reader.load_rows(0, result.ntuples, _row_of(name, result))


_shapes: dict[str, Callable[..., Any]] = {}


def _row_of(name: str, result: PGresult) -> Callable[..., Any]:
    """What makes rows of the statement's results, with their columns as attributes."""
    known = _shapes.get(name)
    if known is None:
        columns = [(result.fname(at) or b"").decode() for at in range(result.nfields)]
        shape: Any = namedtuple("Row", columns)  # type: ignore[misc]  # noqa: PYI024 - names of a statement
        known = _shapes[name] = shape._make
    return known
