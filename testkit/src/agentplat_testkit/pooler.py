"""A pooler of connections by transaction, as PgBouncer is in that mode, but as unkind as it may be.

Between two transactions a client has no session, and each transaction gets another one than the last. So whoever counts
on what he left in a session (a prepared statement, a setting, a lock) does not find it; and what he left is found.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections import deque
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from psycopg import AsyncConnection, OperationalError
from sqlalchemy.engine import make_url

from agentplat_testkit.between import Between
from agentplat_testkit.pgbouncer import pgbouncer
from agentplat_testkit.wire import Message, Messages

__all__ = ["Pooler", "as_pooled", "pooled"]

_PIECE = 65536
_SESSIONS = 4
_CANCEL = (1234 << 16 | 5678).to_bytes(4, "big")

_ALLOWED = {"user", "database", "application_name", "client_encoding", "DateStyle", "TimeZone"}
"""What PgBouncer takes from a client that opens a connection; anything else it refuses, unless it is told not to."""

_TOLD = [
    *("server_version", "server_encoding", "client_encoding"),
    *("DateStyle", "TimeZone", "integer_datetimes", "standard_conforming_strings"),
]

_LEFT_BEHIND = """
    SELECT 'the prepared statement ' || statement FROM pg_prepared_statements
    UNION ALL SELECT 'the setting ' || name || ' = ' || setting FROM pg_settings WHERE source = 'session'
    UNION ALL SELECT 'a listener on ' || channel FROM pg_listening_channels() AS channel
    UNION ALL SELECT 'an advisory lock' FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()
    UNION ALL SELECT 'the cursor ' || name FROM pg_cursors WHERE is_holdable
    UNION ALL SELECT 'the temporary table ' || relname FROM pg_class WHERE relnamespace = pg_my_temp_schema()
"""


@contextmanager
def pooled(url: str, which: str = "unkind") -> Iterator[str]:
    """The address of the database at `url` behind a pooler, as we are told it: ours ("unkind"), or "pgbouncer"."""
    if which == "pgbouncer":
        with pgbouncer(url) as behind:
            yield as_pooled(behind)
        return
    with Pooler(url) as pooler:
        yield as_pooled(pooler.url)
    assert (pooler.left_behind, pooler.asked_early) == ([], 0)


def as_pooled(behind: str) -> str:
    """The address of a database behind a pooler, as we are told it."""
    return make_url(behind).update_query_dict({"pooled": "true"}).render_as_string(hide_password=False)


@dataclass(slots=True)
class _Session:
    """A connection to the server: libpq opens it, and looks at it in the end. In between its bytes are passed on."""

    libpq: AsyncConnection[Any]
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    messages: Messages
    is_idle: bool = True  # between two transactions

    async def left_behind(self) -> list[str]:
        """What others would find who get this session. It is closed then."""
        self.writer.transport.abort()
        try:
            found = await (await self.libpq.execute(_LEFT_BEHIND)).fetchall()
        finally:
            await self.libpq.close()
        return [what for (what,) in found]

    async def close(self) -> None:
        self.writer.transport.abort()
        await self.libpq.close()


class Pooler(Between):
    """`left_behind` has, at the end, what clients left in sessions that were not their own: it should be empty.

    `asked_early` counts what they said before they had the answer to a transaction: it should be 0, since an older
    PgBouncer gives the session away with that answer, though it has passed on the first half of what comes next.
    """

    def __init__(self, upstream: str) -> None:
        super().__init__(upstream)
        self._sessions: deque[_Session | None] = deque([None] * _SESSIONS)  # None: not opened yet
        self._free = asyncio.Semaphore(_SESSIONS)
        self.transactions = 0
        self.asked_early = 0
        self.left_behind: list[str] = []

    async def serve(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        asked = Messages(from_client=True)
        with suppress(OSError, OperationalError):  # one of the two has hung up
            greeting = await _next(client, asked)
            if not greeting or greeting[0].body.startswith(_CANCEL):
                return
            refused = set(greeting[0].startup_parameters) - _ALLOWED
            if refused:
                to_client.write(_refusal(f"unsupported startup parameter: {min(refused)}"))
                await to_client.drain()
                return
            async with self._lent() as session:
                to_client.write(_welcome(session.libpq))
            asking = asyncio.create_task(_next(client, asked))
            try:
                while (said := await asking) and said[0].kind != "X":
                    async with self._lent() as session:
                        self.transactions += 1
                        asking = await self._transact(session, said, client, to_client, asked)
            finally:
                await _cancelled(asking)

    async def _transact(
        self,
        session: _Session,
        said: Sequence[Message],
        client: asyncio.StreamReader,
        to_client: asyncio.StreamWriter,
        asked: Messages,
    ) -> asyncio.Task[list[Message]]:
        """See to the transaction that begins with what the client `said`; returns what he says after it.

        ConnectionError if it never ends.
        """
        awaited = 0  # answers of the server
        is_whole = (
            False  # what the client said: the first half of his next transaction may come with the end of this one
        )
        asking = asyncio.create_task(_next(client, asked))
        answering = asyncio.create_task(_next(session.reader, session.messages))
        session.is_idle = False
        try:
            while not session.is_idle:
                session.writer.writelines([message.raw for message in said])
                awaited += sum(message.kind in ("Q", "S") for message in said)
                is_whole = said[-1].kind in ("Q", "S") if said else is_whole
                said = ()
                await asyncio.wait([asking, answering], return_when=asyncio.FIRST_COMPLETED)
                if answering.done():
                    if not answering.result():
                        to_client.write(_refusal("server conn crashed?"))  # as PgBouncer does, behind its last words
                    answers = _unless_hung_up(answering.result())
                    answering = asyncio.create_task(_next(session.reader, session.messages))
                    to_client.writelines([message.raw for message in answers])
                    awaited -= sum(message.kind == "Z" for message in answers)
                    session.is_idle = is_whole and not awaited and (answers[-1].kind, answers[-1].body) == ("Z", b"I")
                elif asking.done():
                    said = _unless_hung_up(asking.result())
                    self.asked_early += awaited > 0
                    asking = asyncio.create_task(_next(client, asked))
        except BaseException:
            await _cancelled(asking)
            raise
        finally:
            await _cancelled(answering)
        return asking

    async def end(self) -> None:
        await super().end()
        for session in self._sessions:
            if session is not None:
                with suppress(OperationalError):  # its database is gone
                    self.left_behind += await session.left_behind()

    @asynccontextmanager
    async def _lent(self) -> AsyncIterator[_Session]:
        """That session which has been idle for the longest. One that is left half way is not used again."""
        async with self._free:
            session = self._sessions.popleft()
            try:
                if session is not None and session.reader.at_eof():
                    await session.close()
                    session = None
                session = session or await self._opened()
                yield session
            finally:
                self._sessions.append(session if session is not None and session.is_idle else None)
                if session is not None and not session.is_idle:
                    await session.close()

    async def _opened(self) -> _Session:
        direct = self.upstream.difference_update_query(["pooled"])  # which is for us, not for libpq
        address = direct.set(drivername="postgresql").render_as_string(hide_password=False)
        libpq = await AsyncConnection.connect(address, autocommit=True, sslmode="disable", gssencmode="disable")
        passing = socket.socket(fileno=os.dup(libpq.fileno()))
        try:
            reader, writer = await asyncio.open_connection(sock=passing)
        except BaseException:
            passing.close()
            await libpq.close()
            raise
        return _Session(libpq, reader, writer, Messages(from_client=False))


def _unless_hung_up(messages: list[Message]) -> list[Message]:
    if not messages or messages[-1].kind == "X":
        raise ConnectionError("hung up within a transaction")
    return messages


async def _next(reader: asyncio.StreamReader, messages: Messages) -> list[Message]:
    """The next whole messages; none when the other side has hung up."""
    while piece := await reader.read(_PIECE):
        if found := list(messages.add(piece)):
            return found
    return []


async def _cancelled(task: asyncio.Task[list[Message]]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def _message(kind: str, body: bytes) -> bytes:
    return kind.encode() + (len(body) + 4).to_bytes(4, "big") + body


def _welcome(libpq: AsyncConnection[Any]) -> bytes:
    """What a server says when a session is open. The key is good for nothing: nobody can cancel here."""
    told = [(name, libpq.info.parameter_status(name)) for name in _TOLD]
    parameters = [_message("S", f"{name}\0{value}\0".encode()) for name, value in told if value is not None]
    return b"".join([_message("R", bytes(4)), *parameters, _message("K", bytes(8)), _message("Z", b"I")])


def _refusal(text: str) -> bytes:
    fields = (("S", "FATAL"), ("V", "FATAL"), ("C", "08P01"), ("M", text))
    return _message("E", b"".join(f"{name}{value}\0".encode() for name, value in fields) + b"\0")
