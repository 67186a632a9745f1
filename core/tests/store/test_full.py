"""A full disk, as SQLite itself finds it: the database may have no more pages, and it answers SQLITE_FULL."""

import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import closing, suppress
from dataclasses import replace
from typing import Any

import pytest

from agentplat.contracts.store import End, Store
from agentplat.domain.errors import StoreUnavailable
from agentplat.domain.events import TaskFinished
from agentplat.domain.ids import TaskId
from agentplat.domain.task import TaskState
from agentplat.store.address import Address
from agentplat.store.connect import open_store

from .making import block, claimed, committed, kinds, new_task, signal, writing

ROOM = 12
"""Pages of 4 KiB that are left: for one of the two places in which a large input, or output, is kept."""
LARGE = "x" * 30_000
_NO_BOUND = 2**30


class Disk:
    """The connections of this process to SQLite, and how many pages their databases may have."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._open: list[sqlite3.Connection] = []
        self._connect = sqlite3.connect
        monkeypatch.setattr(sqlite3, "connect", self._connected)

    def _connected(self, *given: Any, **options: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = self._connect(*given, **{**options, "check_same_thread": False})
        self._open.append(connection)
        return connection

    def fill(self) -> None:
        self._allow(lambda pages: pages + ROOM)

    def free(self) -> None:
        self._allow(lambda _: _NO_BOUND)

    def _allow(self, most: Callable[[int], int]) -> None:
        for connection in self._open:
            with suppress(sqlite3.ProgrammingError):  # it is closed
                (pages,) = connection.execute("PRAGMA page_count").fetchone()
                allowed = connection.execute(f"PRAGMA max_page_count = {most(pages)}").fetchone()
                assert allowed == (most(pages),)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


@pytest.fixture
async def store(disk: Disk, sqlite_url: str) -> AsyncIterator[Store]:
    store = open_store(sqlite_url)
    await store.open()
    yield store
    await store.close()


def rows(url: str) -> dict[str, int]:
    """How many rows each table has, as another process sees it."""
    file = Address.parse(url).file
    assert file is not None
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        return {name: connection.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0] for name in names}


async def is_refused(write: Awaitable[object]) -> None:
    """As a database that does not answer: whoever asked may ask again."""
    with pytest.raises(StoreUnavailable, match="full") as refused:
        await write
    assert refused.value.code == "store_unavailable"
    causes: list[BaseException | None] = [refused.value.__cause__]
    causes.append(getattr(causes[0], "orig", None))
    assert "SQLITE_FULL" in [getattr(cause, "sqlite_errorname", None) for cause in causes], "another fault struck"


async def test_of_what_does_not_fit_on_the_disk_nothing_is_kept_and_all_goes_on_when_there_is_room(
    store: Store, disk: Disk, sqlite_url: str
) -> None:
    lease, other = (await claimed(store)).lease, (await claimed(store)).lease
    await committed(store, lease, 3, block("something, so that each table has pages"))
    await store.tell(signal(lease.task_id, "before"))
    tasks = [new_task(), new_task(input={"topic": LARGE})]
    output = {"text": LARGE}
    finished = TaskFinished(status=TaskState.DONE, output=output, failure=None)
    large = writing(lease, 4, finished, closing=End(status=TaskState.DONE, output=output, failure=None))
    before = rows(sqlite_url)

    disk.fill()
    for _ in range(3):  # as often as somebody tries
        await is_refused(store.submit(tasks))
        await is_refused(store.commit([writing(other, 3, block("it fits")), large]))
        await is_refused(store.tell(signal(lease.task_id, payload=LARGE * 2)))
    assert rows(sqlite_url) == before
    assert (await store.task(lease.task_id)).status is TaskState.RUNNING
    await committed(store, lease, 4, block("it fits"))  # after all that was refused, on the same connections

    disk.free()
    await store.submit(tasks)
    assert await store.tell(signal(lease.task_id, payload=LARGE * 2))
    await store.commit([replace(large, first_seq=5)])
    assert (await store.task(lease.task_id)).status is TaskState.DONE
    assert await kinds(store, lease.task_id) == ["TaskSubmitted", "TaskClaimed", *["BlockStarted"] * 2, "TaskFinished"]
    assert [(await store.task(TaskId(task.id))).status for task in tasks] == [TaskState.PENDING] * 2
