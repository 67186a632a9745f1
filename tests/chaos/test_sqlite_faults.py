"""A full disk, a writer that is stopped while it holds the database, and writers that are killed: on SQLite."""

import asyncio
import os
import random
import re
import resource
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from uuid import UUID

import pytest

from agentplat.contracts.interface import TaskFilter
from agentplat.contracts.store import Store
from agentplat.domain.task import TaskState
from agentplat.store.connect import open_store

from .processes import Keeper, Workers, children, is_writable, send, wait_for, write_project
from .serving import Api, served
from .traffic import (
    SEED,
    Traffic,
    begun,
    check_all_done,
    check_health,
    check_history,
    drained,
    flowing,
    told,
    until_done,
)

KILLS = 10 * int(os.environ.get("AGENTPLAT_CHAOS_RUNS", "5"))

WRITER = """
import asyncio, os, sys
from uuid_utils.compat import uuid7
from agentplat.contracts.store import NewTask
from agentplat.store.connect import open_store

async def write():
    store = open_store(sys.argv[1])
    await store.open()
    while True:
        given = {"step": "s1", "pause": 0.0}
        task = NewTask(id=uuid7(), tenant="t", type="agent:stepper", input=given, trace_id="0" * 32)
        [submitted] = await store.submit([task])
        os.write(1, f"{submitted.task_id}\\n".encode())

for line in sys.stdin:  # a new writer for each
    if (child := os.fork()) == 0:
        asyncio.run(write())
    os.write(1, f"writer {child}\\n".encode())
"""


@pytest.fixture
def workers(tmp_path: Path, sqlite_url: str) -> Iterator[Workers]:
    write_project(tmp_path)
    workers = Workers(tmp_path, re.sub(r"^(\w+)\+\w+:", r"\1:", sqlite_url))
    yield workers
    workers.end()


@pytest.fixture
async def observer(sqlite_url: str) -> AsyncIterator[Store]:
    store = open_store(sqlite_url)
    yield store
    await store.close()


def file_of(workers: Workers) -> str:
    return workers.database_url.removeprefix("sqlite:///")


def size_of_log(workers: Workers) -> int:
    return Path(f"{file_of(workers)}-wal").stat().st_size


def check_integrity(workers: Workers) -> None:
    with closing(sqlite3.connect(file_of(workers))) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


class Disk:
    """The space that is left for a worker and an API: the kernel refuses to write beyond it."""

    def __init__(self, keeper: Keeper, api: Api) -> None:
        self._keeper, self._api = keeper, api

    def fill(self, size: int) -> None:
        """No file may grow beyond `size`."""
        for pid in (self._api.process.pid, self._keeper.process.pid):
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
        for pid in children(self._keeper.process.pid):  # later ones inherit it
            with suppress(ProcessLookupError):
                resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    def free(self) -> None:
        self.fill(resource.RLIM_INFINITY)


@pytest.fixture
def keeper(workers: Workers) -> Keeper:
    return workers.start()


@pytest.fixture
def api(workers: Workers, tmp_path: Path) -> Iterator[Api]:
    with served(tmp_path, workers.database_url) as api:
        yield api


@pytest.fixture
def traffic(api: Api, observer: Store) -> Traffic:
    return Traffic(lambda key: asyncio.to_thread(api.submit, key), observer, at_once=12)


async def until(holds: Callable[[], object]) -> None:
    await asyncio.to_thread(wait_for, holds)


async def until_refused(traffic: Traffic, times: int) -> None:
    """By an answer that says why: see `Api.submit`."""
    while times:
        times -= not await traffic.offer()


@pytest.mark.skipif(sys.platform != "linux", reason="only there can the limit of another process be set")
async def test_a_full_disk_is_said_to_be_one_and_nothing_is_lost(
    workers: Workers, keeper: Keeper, api: Api, traffic: Traffic, observer: Store
) -> None:
    disk = Disk(keeper, api)
    async with flowing(traffic, workers):
        # The database's own log is what grows. A little is left, so that it ends in the middle of a transaction.
        full = size_of_log(workers) + 64 * 1024
        disk.fill(full)
        await until_refused(traffic, 5)
        await until(lambda: keeper.events("store_away"))
        assert await asyncio.to_thread(api.is_readable)
        assert size_of_log(workers) <= full
        disk.free()
        await traffic.repeat()
    await drained([keeper])
    check_integrity(workers)
    await check_all_done(observer, traffic.accepted, workers.marks, workers.database_url)


async def test_a_writer_that_is_stopped_in_a_transaction_is_ended_by_its_keeper_and_others_go_on(
    workers: Workers, keeper: Keeper, traffic: Traffic, observer: Store
) -> None:
    async with flowing(traffic, workers):
        worker = await asyncio.to_thread(stop_in_a_transaction, keeper, workers)
        await until(lambda: worker not in children(keeper.process.pid))
        assert await traffic.offer()
    await drained([keeper])
    assert keeper.events("worker_died")
    check_integrity(workers)
    await check_all_done(observer, traffic.accepted, workers.marks, workers.database_url)


async def test_while_a_stopped_writer_holds_the_database_writes_are_refused_and_reads_go_on(
    workers: Workers, keeper: Keeper, api: Api, traffic: Traffic, observer: Store
) -> None:
    async with flowing(traffic, workers):
        send(keeper.process.pid, signal.SIGSTOP)  # as when the machine pauses: nobody is there to end the worker
        worker = await asyncio.to_thread(stop_in_a_transaction, keeper, workers)
        await until_refused(traffic, 1)
        assert await asyncio.to_thread(api.is_readable)
        assert not is_writable(file_of(workers)), "the fault did not last"
        for pid in (worker, keeper.process.pid):
            send(pid, signal.SIGCONT)
        await traffic.repeat()
    await drained([keeper])
    check_integrity(workers)
    await check_all_done(observer, traffic.accepted, workers.marks, workers.database_url)


def stop_in_a_transaction(keeper: Keeper, workers: Workers) -> int:
    """Stop the worker while it holds the database, and return its process."""
    chance = random.Random(SEED)
    deadline = time.monotonic() + 60
    with closing(sqlite3.connect(file_of(workers), timeout=0, isolation_level=None)) as probe:
        while True:
            worker = keeper.worker
            send(worker, signal.SIGSTOP)
            # Others hold it too, but let go of it in a moment.
            if is_held(probe) and not is_writable(file_of(workers)):
                return worker
            send(worker, signal.SIGCONT)
            assert time.monotonic() < deadline, "it was never found in a transaction"
            time.sleep(chance.uniform(0.001, 0.01))


def is_held(probe: sqlite3.Connection) -> bool:
    try:
        probe.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError:
        return True
    probe.execute("ROLLBACK")
    return False


class Writers:
    """Processes that submit one task after the other, and say which of them were accepted."""

    def __init__(self, url: str) -> None:
        self._mother = subprocess.Popen(
            [sys.executable, "-c", WRITER, url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.accepted: set[UUID] = set()
        self.pids: list[int] = []
        self._reading = threading.Thread(target=self._read)
        self._reading.start()

    def start(self) -> None:
        assert self._mother.stdin is not None
        known = len(self.pids)
        self._mother.stdin.write("one more\n")
        self._mother.stdin.flush()
        wait_for(lambda: len(self.pids) > known)

    def kill(self, pid: int) -> None:
        os.kill(pid, signal.SIGKILL)
        self.pids.remove(pid)

    def end(self) -> None:
        for pid in list(self.pids):
            self.kill(pid)
        assert self._mother.stdin is not None
        self._mother.stdin.close()
        self._mother.wait()
        self._reading.join()

    def _read(self) -> None:
        assert self._mother.stdout is not None
        with self._mother.stdout:
            for line in self._mother.stdout:
                said, _, pid = line.strip().partition(" ")
                if said == "writer":
                    self.pids.append(int(pid))
                else:
                    self.accepted.add(UUID(said))


@pytest.mark.timeout(180 + 2 * KILLS)
async def test_a_kill_of_a_writer_at_a_random_moment_loses_nothing_that_was_accepted(
    workers: Workers, observer: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    chance = random.Random(SEED)
    keeper = workers.start()
    writers = Writers(workers.database_url)
    try:
        for _ in range(2):
            writers.start()
        wait_for(lambda: writers.accepted)
        for number in range(KILLS):
            await asyncio.sleep(chance.uniform(0.0, 0.1))
            if number % 10 == 9:
                keeper.kill_worker()
            else:
                writers.kill(chance.choice(writers.pids))
                writers.start()
    finally:
        writers.end()
    await until_done(observer)
    await drained([keeper])

    check_integrity(workers)
    rows = await observer.tasks(TaskFilter(limit=1_000_000))
    assert writers.accepted <= {row.id for row in rows}
    assert Counter(row.status for row in rows) == {TaskState.DONE: len(rows)}
    executions = begun(workers.marks)
    for task_id, journal in (await observer.journals([row.id for row in rows])).items():
        begun_so_often = Counter({"stepper": executions[task_id].total()})
        check_history(f"task {task_id}, seed {SEED}", journal, ["stepper"], begun_so_often)
    await check_health(workers.database_url)
    told(
        capsys,
        f"kills on SQLite, seed {SEED}: {KILLS} kills, {len(rows)} tasks, {len(writers.accepted)} known as accepted",
    )
