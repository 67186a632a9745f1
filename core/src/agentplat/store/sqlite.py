"""SQLite by aiosqlite: one writing connection per process, a few that read, many processes on one host."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any, ClassVar

from sqlalchemy import URL, event
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool

from agentplat.domain.errors import SettingsInvalid, StoreUnavailable
from agentplat.store.address import Dialect
from agentplat.store.database import Database, Verdict
from agentplat.store.tables import SCHEMA

BUSY_TIMEOUT = 10.0
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

    def __init__(self, file: Path) -> None:
        self._file = file
        self._writer = _engine(file, "BEGIN IMMEDIATE", size=1)
        self._reader = _engine(file, "BEGIN", size=_READERS, query_only=True)
        self._writing = asyncio.Lock()
        self._opened: tuple[int, int] | None = None

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        self._check_file()
        async with self._reader.connect() as connection:
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

    async def close(self) -> None:
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
        uri = f"{file.absolute().as_uri()}?mode=rw"
        with closing(sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT, isolation_level=None)) as connection:
            for pragma in pragmas():
                connection.execute(pragma)
    except sqlite3.Error as error:
        raise StoreUnavailable(f"The SQLite database {file} cannot be used: {error}.") from error


def _engine(file: Path, begin: str, *, size: int, query_only: bool = False) -> AsyncEngine:
    engine = create_async_engine(
        # mode=rw: a connection that made an empty database would hide that ours is gone.
        URL.create("sqlite+aiosqlite", database=file.absolute().as_uri(), query={"uri": "true", "mode": "rw"}),
        poolclass=AsyncAdaptedQueuePool,
        pool_size=size,
        max_overflow=0,
        pool_timeout=BUSY_TIMEOUT * 2,
        connect_args={"timeout": BUSY_TIMEOUT},
        hide_parameters=True,
        execution_options={"schema_translate_map": {SCHEMA: None}},
    )

    @event.listens_for(engine.sync_engine, "connect")
    def prepare(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # the driver begins nothing; `begin` below does
        cursor = connection.cursor()
        for pragma in pragmas(query_only=query_only):
            cursor.execute(pragma)
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def begin_as_told(connection: Any) -> None:
        connection.exec_driver_sql(begin)

    return engine
