import asyncio
import gc
import sqlite3
import subprocess
import sys
from collections import Counter
from contextlib import AsyncExitStack, closing
from datetime import datetime
from pathlib import Path
from typing import cast

import pytest
from sqlalchemy import select
from sqlalchemy.pool import AsyncAdaptedQueuePool

from agentplat.contracts.interface import TaskFilter
from agentplat.domain.errors import SettingsInvalid, StoreUnavailable
from agentplat.store.address import Address
from agentplat.store.columns import clock
from agentplat.store.connect import open_store
from agentplat.store.sql_store import SqlStore
from agentplat.store.sqlite import Sqlite, refuse_network_file_system
from agentplat.store.statements import statement

from .making import new_task, submitted

MOUNTS = """\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 22 0:29 / /mnt/team rw shared:2 - nfs4 host:/team rw,vers=4.2
31 30 0:30 / /mnt/team/local rw - tmpfs tmpfs rw
32 22 0:31 / /mnt/with\\040space rw - fuse.sshfs me@host: rw
"""


def file_of(url: str) -> Path:
    file = Address.parse(url).file
    assert file is not None
    return file


async def test_every_commit_waits_for_the_disk_and_readers_do_not_wait_for_writers(sqlite_url: str) -> None:
    database = Sqlite(file_of(sqlite_url))
    wanted = {"journal_mode": "wal", "synchronous": 2, "busy_timeout": 10_000}
    async with database.writing() as connection:
        found = {name: (await connection.exec_driver_sql(f"pragma {name}")).scalar() for name in wanted}
        assert found == wanted
        async with database.reading() as reader:
            assert (await reader.exec_driver_sql("select count(*) from tasks")).scalar() == 0
            assert (await reader.exec_driver_sql("pragma query_only")).scalar() == 1
    await database.close()


async def test_who_waits_too_long_for_a_connection_that_reads_is_told_so(sqlite_url: str) -> None:
    store = open_store(sqlite_url)
    database = cast(Sqlite, cast(SqlStore, store)._database)
    pool = database._reader.pool
    assert isinstance(pool, AsyncAdaptedQueuePool)
    pool._timeout = 0.1
    async with AsyncExitStack() as busy:
        for _ in range(4):
            await busy.enter_async_context(database.reading())
        with pytest.raises(StoreUnavailable, match="busy with others"):
            await store.ping()
        await submitted(store)  # on a connection of its own
    await store.ping()
    await store.close()


@pytest.mark.skipif(sys.version_info < (3, 13), reason="before it Python closes in silence what nobody closed")
async def test_a_connection_is_closed_although_who_wanted_it_is_cancelled_meanwhile(sqlite_url: str) -> None:
    for moment in range(100):
        database = Sqlite(file_of(sqlite_url))
        looking = asyncio.create_task(clock_of(database))
        await asyncio.sleep(moment / 20_000)  # it takes two or three milliseconds to open one
        looking.cancel()
        await asyncio.wait([looking])
        await database.close()
    gc.collect()  # one that is left says so, and a warning is an error here


async def clock_of(database: Sqlite) -> datetime:
    async with database.reading() as connection:
        return (await connection.execute(select(clock()))).scalar_one()


@pytest.mark.parametrize("path", ["/mnt/team/a.db", "/mnt/team/deep/er/a.db", "/mnt/with space/a.db"])
def test_a_network_file_system_is_refused(path: str) -> None:
    with pytest.raises(SettingsInvalid, match="network file system"):
        refuse_network_file_system(Path(path), MOUNTS)


@pytest.mark.parametrize("path", ["/a.db", "/mnt/teams/a.db", "/mnt/team/local/a.db"])
def test_a_local_file_system_is_not_refused(path: str) -> None:
    refuse_network_file_system(Path(path), MOUNTS)


def test_the_file_system_of_this_test_is_not_refused(tmp_path: Path) -> None:
    refuse_network_file_system(tmp_path / "a.db")


async def test_a_file_that_is_no_database_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "letter.db").write_text("Dear reader, this is no database. " * 100)
    store = open_store(f"sqlite:///{tmp_path}/letter.db")
    with pytest.raises(StoreUnavailable, match="not a database"):
        await store.open()
    await store.close()


async def test_a_path_may_hold_any_character(sqlite_url: str, tmp_path: Path) -> None:
    file = tmp_path / "a b%20c#d?e ü.db"
    file.write_bytes(file_of(sqlite_url).read_bytes())
    database = Sqlite(file)
    await database.open()
    async with database.writing() as connection:
        assert (await connection.exec_driver_sql("select count(*) from tasks")).scalar() == 0
    await database.close()


async def test_a_database_that_was_removed_is_not_made_anew(sqlite_url: str) -> None:
    store = open_store(sqlite_url)
    file_of(sqlite_url).unlink()
    with pytest.raises(StoreUnavailable, match="unable to open"):
        await store.open()
    assert not file_of(sqlite_url).exists()
    await store.close()


async def test_a_file_that_was_moved_away_is_written_by_nobody_until_it_is_back(sqlite_url: str) -> None:
    store = open_store(sqlite_url)
    await store.open()
    kept = await submitted(store)
    file = file_of(sqlite_url)
    file.rename(file.with_suffix(".away"))
    for call in (lambda: store.task(kept), lambda: submitted(store), store.ping):
        with pytest.raises(StoreUnavailable, match="is gone"):
            await call()
    file.with_suffix(".away").rename(file)
    assert [row.id for row in await store.tasks(TaskFilter())] == [kept]
    await store.close()


async def test_a_file_that_was_replaced_is_not_taken_for_the_one_that_was_opened(sqlite_url: str) -> None:
    store = open_store(sqlite_url)
    await store.open()
    file = file_of(sqlite_url)
    file.with_suffix(".new").write_bytes(file.read_bytes())
    file.with_suffix(".new").replace(file)
    with pytest.raises(StoreUnavailable, match="replaced"):
        await submitted(store)
    await store.close()


async def test_a_write_waits_for_another_process_and_is_then_kept(sqlite_url: str) -> None:
    store = open_store(sqlite_url)
    other = sqlite3.connect(file_of(sqlite_url), isolation_level=None)
    other.execute("begin immediate")
    writing_now = asyncio.create_task(submitted(store))
    assert await store.tasks(TaskFilter()) == []  # a reader is not kept waiting
    assert not writing_now.done()
    other.execute("rollback")
    other.close()
    task_id = await writing_now
    assert [row.id for row in await store.tasks(TaskFilter())] == [task_id]
    await store.close()


async def test_a_cancelled_write_leaves_the_store_usable(sqlite_url: str) -> None:
    store = open_store(sqlite_url)
    other = sqlite3.connect(file_of(sqlite_url), isolation_level=None)
    other.execute("begin immediate")
    waiting = [asyncio.create_task(submitted(store)) for _ in range(3)]
    await asyncio.sleep(0)
    for task in waiting:
        task.cancel()
    other.execute("rollback")
    other.close()
    await asyncio.wait(waiting)
    await submitted(store)
    await store.close()


CLAIM_ALL = """
import asyncio, sys
from agentplat.store.connect import open_store
from agentplat.contracts.store import End, WorkerRow, Write
from agentplat.domain.events import TaskFinished
from agentplat.domain.task import TaskState
from uuid import uuid4

async def main():
    store = open_store(sys.argv[1])
    await store.open()
    worker_id = uuid4()
    await store.register_worker(
        WorkerRow(id=worker_id, host="h", pid=1, version="0", capacity=1, plugins={}), 60.0)
    event = TaskFinished(status="done", output=None, failure=None)
    while claims := await store.claim(worker_id, 3):
        closing = End(status=TaskState.DONE, output=None, failure=None)
        await store.commit([Write(lease=c.lease, first_seq=2, events=[event], closing=closing) for c in claims])
        for claim in claims:
            print(claim.lease.task_id, flush=True)
    await store.close()

asyncio.run(main())
"""


async def test_many_processes_share_one_file(sqlite_url: str) -> None:
    store = open_store(sqlite_url)
    tasks = [new_task() for _ in range(60)]
    await store.submit(tasks)
    command = [sys.executable, "-c", CLAIM_ALL, sqlite_url]
    processes = [await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE) for _ in range(4)]
    printed = await asyncio.gather(*(process.communicate() for process in processes))
    assert [process.returncode for process in processes] == [0] * 4
    claimed_ids = Counter(line for output, _ in printed for line in output.decode().split())
    assert claimed_ids == {str(task.id): 1 for task in tasks}
    await store.close()


@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("claim", "ix_queue_claim"),
        ("claim_suspect", "ix_queue_suspect"),
        ("fire_timers", "ix_queue_timer"),
        ("lock_owned", "ix_queue_worker"),
        ("return_owned", "ix_queue_worker"),
    ],
)
def test_statements_on_the_queue_use_their_indexes(sqlite_url: str, name: str, index: str) -> None:
    text = statement(name, "sqlite")
    names = ("worker_id", "claim_id", "queue", "limit", "dead", "blame")
    with closing(sqlite3.connect(file_of(sqlite_url))) as connection:
        plan = connection.execute(f"explain query plan {text}", dict.fromkeys(names, 1)).fetchall()
    lines = [line for *_, line in plan]
    assert any(f"INDEX {index}" in line for line in lines), lines
    assert not any(line.startswith("SCAN q") for line in lines), lines
    assert name == "lock_owned" or not any("TEMP B-TREE" in line for line in lines), lines


def test_a_claim_that_has_to_choose_counts_only_limits_of_keys_that_it_saw(sqlite_url: str) -> None:
    given = {"worker_id": "", "queue": "default", "limit": 5, "tenants": 5}
    with closing(sqlite3.connect(file_of(sqlite_url))) as connection:
        plan = connection.execute(f"explain query plan {statement('choose_fairly', 'sqlite')}", given).fetchall()
    looks = [detail for *_, detail in plan if "sqlite_autoindex_limits_1" in detail]
    assert len(looks) == 2
    assert all("(tenant_id=? AND key=?)" in look for look in looks), looks
