"""SQLite by aiosqlite: one writing connection per process, a few that read, many processes on one host."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import sys
import threading
from collections import namedtuple
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, closing, suppress
from datetime import datetime
from functools import cache, lru_cache, partial
from pathlib import Path
from typing import Any, ClassVar, TypeAlias, TypeVar, cast
from uuid import UUID

import aiosqlite
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool

from agentplat.contracts.hints import Hint
from agentplat.domain.errors import SettingsInvalid, StoreUnavailable
from agentplat.store.address import Dialect
from agentplat.store.columns import instant, microseconds
from agentplat.store.database import Database, Verdict
from agentplat.store.hints import Hints
from agentplat.store.script import Answers, Bound, Script, mentions, with_places
from agentplat.store.tables import SCHEMA

T = TypeVar("T")
Due: TypeAlias = "tuple[datetime | None, ...]"

BUSY_TIMEOUT = 10.0
_OF_NEWS = (Hint.WORK, Hint.SUSPECT, Hint.TOLD)  # in the order of news.sql
_LOOK = 0.02  # seconds between two looks whether somebody wrote
_READERS = 4
_MOUNTS = Path("/proc/self/mountinfo")

# File systems on which SQLite's locks and its shared memory do not hold between hosts.
_NETWORK = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "ncpfs", "afs", "ceph", "glusterfs", "lustre", "gpfs", "gfs2"}
_NETWORK |= {"ocfs2", "beegfs", "fuse.sshfs", "fuse.glusterfs", "fuse.ceph", "fuse.s3fs", "fuse.rclone", "davfs"}

_REFUSED = {"SQLITE_CONSTRAINT", "SQLITE_TOOBIG", "SQLITE_MISMATCH", "SQLITE_RANGE"}
_AWAY = {"SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_FULL", "SQLITE_IOERR", "SQLITE_READONLY", "SQLITE_CANTOPEN"}
_AWAY |= {"SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_NOMEM", "SQLITE_PROTOCOL", "SQLITE_PERM"}


class Sqlite(Database):
    """A file. Writing is exclusive: within the process by a lock, between processes by BEGIN IMMEDIATE."""

    dialect: ClassVar[Dialect] = "sqlite"
    driver_error: ClassVar[type[Exception]] = sqlite3.Error

    def __init__(self, file: Path) -> None:
        self._file = file
        self._writer = _engine(file, "BEGIN IMMEDIATE", size=1)
        self._reader = _engine(file, "BEGIN", size=_READERS, query_only=True)
        self._writing = asyncio.Lock()
        self._opened: tuple[int, int] | None = None
        self._scripts = ThreadPoolExecutor(1, thread_name_prefix="sqlite-scripts")
        self._connection: sqlite3.Connection | None = None  # of that thread
        self._hints = Hints()
        self._hears = False

    @property
    def hints(self) -> Hints:
        return self._hints

    @property
    def hears(self) -> bool:
        return self._hears

    async def listen(self) -> None:
        """Look now and then whether anybody wrote to the file, which costs no transaction."""
        loop, over = asyncio.get_running_loop(), threading.Event()

        def tell(hints: Collection[Hint]) -> None:
            with suppress(RuntimeError):  # the loop has ended, and nobody listens
                loop.call_soon_threadsafe(self._hints.heard, hints)

        with ThreadPoolExecutor(1, thread_name_prefix="sqlite-listen") as thread:
            self._hears = True
            try:
                await loop.run_in_executor(thread, _watch, self._file, tell, over)
            except sqlite3.Error:
                return  # whoever works with the file will say what is wrong with it
            finally:
                self._hears = False
                over.set()

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        self._check_file()
        async with self.connected(self._reader) as connection:
            yield connection

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        self._check_file()
        async with self._writing, self._writer.begin() as connection:
            yield connection

    async def open(self) -> None:
        refuse_network_file_system(self._file)
        await asyncio.to_thread(_try, self._file)
        self._check_file()

    def _check_file(self) -> None:
        """Open connections go on with a file that was removed or replaced, and what they write is lost with it."""
        try:
            found = self._file.stat()
        except OSError as error:
            raise StoreUnavailable(f"The SQLite database {self._file} is gone: {error.strerror}.") from error
        if self._opened is None:
            self._opened = (found.st_dev, found.st_ino)
        if self._opened != (found.st_dev, found.st_ino):
            raise StoreUnavailable(f"The SQLite database {self._file} was replaced by another file. Start again.")

    async def conduct(self, script: Script[T], hints: Collection[Hint] = ()) -> T:
        """See `Database.conduct`. From BEGIN to COMMIT in one call of a thread: nothing else can come between."""
        self._check_file()
        async with self._writing:
            result = await asyncio.get_running_loop().run_in_executor(self._scripts, self._conducted, script)
        self._hints.give(*hints)
        return result

    def _conducted(self, script: Script[T]) -> T:
        if self._connection is None:
            self._connection = _connected(self._file)
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            asked = next(script)
            while not asked.last:
                asked = script.send(_answers(connection, asked.statements))
            answers = _answers(connection, asked.statements)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        try:
            script.send(answers)
        except StopIteration as end:
            return cast(T, end.value)
        raise RuntimeError("a script goes on after its last round")

    async def close(self) -> None:
        await self._hints.aclose()
        if self._connection is not None:
            await asyncio.get_running_loop().run_in_executor(self._scripts, self._connection.close)
            self._connection = None
        self._scripts.shutdown()
        await self._reader.dispose()
        await self._writer.dispose()

    def verdict(self, error: BaseException | None) -> Verdict:
        if not isinstance(error, sqlite3.Error):
            return Verdict.BUG
        name = getattr(error, "sqlite_errorname", "")
        text = str(error)
        if any(name.startswith(prefix) for prefix in _AWAY) or "unable to open" in text:
            return Verdict.AWAY  # the busy timeout was the repetition
        if any(name.startswith(prefix) for prefix in _REFUSED) or isinstance(error, sqlite3.DataError):
            return Verdict.REFUSED
        return Verdict.OUTDATED if "no such table" in text or "no such column" in text else Verdict.BUG


def pragmas(*, query_only: bool = False) -> tuple[str, ...]:
    """What every connection of ours says first."""
    return (
        f"PRAGMA busy_timeout = {int(BUSY_TIMEOUT * 1000)}",
        "PRAGMA journal_mode = WAL",
        "PRAGMA synchronous = FULL",
        *(["PRAGMA query_only = ON"] if query_only else []),
    )


def make_folder(file: Path) -> None:
    """That of a database, for this user only: inputs and outputs are in it. StoreUnavailable when it cannot be made."""
    folder = file.absolute().parent
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StoreUnavailable(
            f"The folder {folder} of the SQLite database cannot be made: {error.strerror or error}. "
            "Name a file in a folder that you may write to."
        ) from None


def refuse_network_file_system(file: Path, mounts: str | None = None) -> None:
    """SettingsInvalid when `file` is on a network file system. `mounts` has the form of /proc/self/mountinfo.

    Elsewhere than on Linux there is no such list, and the documentation has to do.
    """
    if mounts is None:
        if sys.platform != "linux" or not _MOUNTS.exists():
            return
        mounts = _MOUNTS.read_text(encoding="utf-8", errors="replace")
    path = file.absolute().resolve()
    best, kind = Path("/"), ""
    for line in mounts.splitlines():
        where, _, what = line.partition(" - ")
        point = Path(where.split()[4].encode().decode("unicode_escape"))
        if path.is_relative_to(point) and len(point.parts) >= len(best.parts):
            best, kind = point, what.split()[0]
    if kind in _NETWORK:
        raise SettingsInvalid(
            f"The SQLite database {path} is on a network file system ({kind} at {best}), where its locks do not hold. "
            "Put it on a local disk, or use PostgreSQL."
        )


def _try(file: Path) -> None:
    """Raises StoreUnavailable for a file that is not there, not ours to write, or no database."""
    try:
        _connected(file).close()
    except sqlite3.Error as error:
        raise StoreUnavailable(f"The SQLite database {file} cannot be used: {error}.") from error


def _engine(file: Path, begin: str, *, size: int, query_only: bool = False) -> AsyncEngine:
    engine = create_async_engine(
        "sqlite+aiosqlite://",
        async_creator=partial(_created, file, query_only=query_only),
        poolclass=AsyncAdaptedQueuePool,
        pool_size=size,
        max_overflow=0,
        pool_timeout=BUSY_TIMEOUT * 2,
        hide_parameters=True,
        execution_options={"schema_translate_map": {SCHEMA: None}},
    )

    @event.listens_for(engine.sync_engine, "begin")
    def begin_as_told(connection: Any) -> None:
        connection.exec_driver_sql(begin)

    return engine


async def _created(file: Path, *, query_only: bool) -> aiosqlite.Connection:
    """Whoever is cancelled meanwhile waits for it, and closes it: in its thread it is opened all the same."""
    connection = aiosqlite.Connection(partial(_connected, file, query_only=query_only), iter_chunk_size=64)
    connection._thread.daemon = True  # noqa: SLF001 - as SQLAlchemy does: what nobody closed must not keep the process
    opening = asyncio.ensure_future(connection)
    try:
        return await asyncio.shield(opening)
    except asyncio.CancelledError:
        await asyncio.wait([opening])
        if opening.exception() is None:
            await connection.close()
        raise


def _watch(file: Path, tell: Callable[[Collection[Hint]], None], over: threading.Event) -> None:
    """Call `tell` whenever somebody has committed, until it is over. In a thread: fifty looks a second wake no loop."""
    version, due = 0, None
    with closing(_connected(file)) as connection:
        while not over.wait(_LOOK):
            before = version
            (version,) = connection.execute("PRAGMA data_version").fetchone()
            if version != before:
                hints, due = _news(connection, due)
                tell(hints)


def _news(connection: sqlite3.Connection, known: Due | None) -> tuple[Collection[Hint], Due]:
    """What there is to look at, and when something is due: with every worker looking for itself they would queue up.

    `known`: when something was due so far; None: nothing is known, and all has to be looked at.
    """
    [found] = _answer(connection, Bound("news"))
    [ahead] = _answer(connection, Bound("due"))
    due: Due = (ahead.lease_until, ahead.timer_at, ahead.run_at, ahead.opens_at, ahead.next_at)
    if known is None:
        return tuple(Hint), due
    hints = {Hint.CHANGED}
    hints |= {hint for hint, there in zip(_OF_NEWS, (found.work, found.suspect, found.told), strict=True) if there}
    return hints if due == known else hints | {Hint.TIMER, Hint.DELAY}, due


def _connected(file: Path, *, query_only: bool = False) -> sqlite3.Connection:
    # mode=rw: a connection that made an empty database would hide that ours is gone.
    uri = f"{file.absolute().as_uri()}?mode=rw"
    # isolation_level: the driver begins nothing, we do.
    # check_same_thread: it is closed by the thread that opened it, whichever thread that is by then.
    connection = sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT, isolation_level=None, check_same_thread=False)
    try:
        for pragma in pragmas(query_only=query_only):
            connection.execute(pragma)
    except BaseException:
        connection.close()
        raise
    return connection


def _answers(connection: sqlite3.Connection, statements: Sequence[Bound]) -> Answers:
    return [_answer(connection, bound) for bound in statements]


def _answer(connection: sqlite3.Connection, bound: Bound) -> Sequence[Any]:
    text, names = with_places(bound.name, "sqlite"), mentions(bound.name, "sqlite")
    if not bound.columns:
        cursor = connection.execute(text, [file_value(bound.values[name]) for name in names])
        return _rows(cursor) if cursor.description else ()
    columns: dict[str, Sequence[Any]] = {
        name: [file_value(value)] * len(bound.rows) for name, value in bound.values.items()
    }
    for name, column in zip(bound.columns, zip(*bound.rows, strict=True), strict=True):
        columns[name] = _column_written(column)
    connection.executemany(text, zip(*[columns[name] for name in names], strict=True))
    return ()


def _column_written(column: tuple[Any, ...]) -> Sequence[Any]:
    """The values of one column, of which all are of one type, or nothing."""
    write = next((_WRITE.get(type(value)) for value in column if value is not None), None)
    return column if write is None else [None if value is None else write(value) for value in column]


def file_value(value: Any) -> Any:
    """A value as the tables of a file keep it."""
    write = _WRITE.get(type(value))
    return value if write is None else write(value)


_WRITE: dict[type, Callable[[Any], Any]] = {
    UUID: lambda value: value.hex,
    datetime: microseconds,
    **dict.fromkeys((list, tuple), lambda value: json.dumps([file_value(item) for item in value])),
}


@lru_cache(maxsize=8192)
def _uuid(text: str) -> UUID:
    """Kept, since commit after commit asks for the same tasks."""
    return UUID(text)


_READ: dict[str, Callable[[Any], Any]] = {
    **dict.fromkeys(("id", "task_id", "parent_id", "worker_id", "owner"), _uuid),
    **dict.fromkeys(
        ("at", "now", "run_at", "created_at", "lease_until", "timer_at", "opens_at", "opened_at", "next_at"), instant
    ),
    **dict.fromkeys(("ready", "wake", "under_way", "suspect", "expired", "told", "poisoned"), bool),
    **dict.fromkeys(("chooses", "suspects", "limits", "rates"), bool),
    **dict.fromkeys(("content", "dispatch"), json.loads),
    "woken": lambda text: [_uuid(each) for each in json.loads(text)],
}
"""How the columns that scripts read come back, by their names; the others as they are."""


def _rows(cursor: sqlite3.Cursor) -> list[Any]:
    row, reads = _shape(tuple(column[0] for column in cursor.description))
    return [
        row(
            *(value if read is None or value is None else read(value) for read, value in zip(reads, found, strict=True))
        )
        for found in cursor
    ]


@cache
def _shape(names: tuple[str, ...]) -> tuple[Callable[..., Any], list[Callable[[Any], Any] | None]]:
    row: Callable[..., Any] = namedtuple("Row", list(names))  # type: ignore[misc]  # noqa: PYI024 - names of a statement
    return row, [_READ.get(name) for name in names]
