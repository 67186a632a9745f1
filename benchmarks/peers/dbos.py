"""DBOS Transact on PostgreSQL. Every task is a workflow in a queue; results are kept.

mode=async runs its workflows on an event loop, mode=sync in threads (the faster one for steps). poll=seconds is how
often its queue is looked at; its default is 1.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import cache
from typing import Any, ClassVar

import sqlalchemy
from dbos import DBOS, DBOSClient
from harness.adapter import Numbers, per_second
from harness.database import Counters, Sql, address, fresh_database
from harness.processes import WorkerProcess
from harness.queue_peer import QueuePeer
from harness.tally import Tally, now

DATABASE = "bench_dbos"
STEPS = 10
_FINISHED = "SELECT count(*) FROM dbos.workflow_status WHERE status = 'SUCCESS'"


@cache
def _tally() -> Tally:
    return Tally.attached()


@DBOS.workflow(name="noop")
async def noop(i: int) -> int:
    """Counts that it ran."""
    _tally().hit()
    return i


@DBOS.workflow(name="mark")
async def mark(i: int) -> int:
    """Writes down when it began."""
    _tally().mark(i)
    _tally().hit()
    return i


@DBOS.workflow(name="sleep")
async def sleep(i: int) -> int:
    """Takes a second."""
    _tally().hit()
    await asyncio.sleep(1)
    return i


@DBOS.step(name="step")
async def step(value: int) -> int:
    """Adds one."""
    return value + 1


@DBOS.step(name="step_sync")
def step_sync(value: int) -> int:
    """Adds one."""
    return value + 1


@DBOS.workflow(name="ten")
async def ten() -> int:
    """Ten steps, one after the other."""
    value = 0
    for _ in range(STEPS):
        value = await step(value)
    return value


@DBOS.workflow(name="ten_sync")
def ten_sync() -> int:
    """Ten steps, one after the other, in a thread."""
    value = 0
    for _ in range(STEPS):
        value = step_sync(value)
    return value


@DBOS.workflow(name="child")
async def child(i: int) -> int:
    """One of many."""
    return i


@DBOS.workflow(name="fan")
async def fan(n: int) -> int:
    """Children that are workflows, and their sum."""
    children = [await DBOS.start_workflow_async(child, index) for index in range(n)]
    return sum([await each.get_result() for each in children])


@DBOS.workflow(name="fan_of_steps")
async def fan_of_steps(n: int) -> int:
    """Children that are steps, and their sum."""
    return sum(await asyncio.gather(*[step(index) for index in range(n)]))


def launch(*, listening: bool = True) -> None:
    """Start DBOS in this process."""
    DBOS(
        config={
            "name": "bench",
            "system_database_url": address(DATABASE),
            "log_level": "WARNING",
            "application_version": "1",
            "executor_id": f"e{os.getpid()}",
        }
    )
    if not listening:
        DBOS.listen_queues([])
    DBOS.launch()


class Dbos(QueuePeer):
    name = "dbos"
    module = "peers.dbos"
    packages: ClassVar[Sequence[str]] = ("dbos", "psycopg", "sqlalchemy")
    defaults: ClassVar[Mapping[str, Mapping[str, Any]]] = {"W1": {"n": 3_000}, "W2": {"n": 3_000}}
    concurrency = 0  # no limit: a poll claims all there is, which is its default
    sleep_concurrency = 0

    def prepare(self) -> str:
        fresh_database(DATABASE)
        launch(listening=False)
        DBOS.register_queue("q")
        DBOS.destroy()
        self._sql = Sql(DATABASE)
        return DATABASE

    @asynccontextmanager
    async def client(self) -> AsyncIterator[None]:
        self._client = DBOSClient(system_database_url=address(DATABASE))
        self._engine = sqlalchemy.create_engine(address(DATABASE, "postgresql+psycopg"))
        try:
            yield
        finally:
            self._client.destroy()
            self._engine.dispose()

    async def submit_many(self, n: int, kind: str) -> None:
        """Many in one transaction: its public bulk way."""
        for at in range(0, n, 500):
            with self._engine.begin() as connection:
                for index in range(at, min(n, at + 500)):
                    self._client.enqueue_in_transaction(connection, _options(kind), index)

    async def submit(self, index: int) -> Any:
        return self._client.enqueue(_options("mark"), index)

    async def result(self, submitted: Any) -> None:
        submitted.get_result(polling_interval_sec=0.01)

    def done(self) -> int:
        return int(self._sql.one(_FINISHED))

    def fill(self, n: int) -> None:
        """One by its own API, the rest copied by SQL."""
        asyncio.run(self._enqueue(1, "noop"))
        for table in ("workflow_status", "workflow_input"):
            columns = [
                str(name)
                for (name,) in self._sql.rows(
                    "SELECT column_name FROM information_schema.columns WHERE table_schema = 'dbos' "
                    "AND table_name = %s ORDER BY ordinal_position",
                    table,
                )
            ]
            if columns:
                names = ", ".join(f'"{column}"' for column in columns)
                values = ", ".join(_copied(column) for column in columns)
                copies = f"SELECT {values} FROM dbos.{table}, generate_series(1, {n - 1}) AS g"
                self._sql.script(f"INSERT INTO dbos.{table} ({names}) {copies}")

    def waiting(self, *arguments: Any, **options: Any) -> Numbers:
        return super().waiting(*arguments, **{"poll": 0.02, **options})

    def start(self, workers: int, concurrency: int, **options: Any) -> list[WorkerProcess]:
        poll = options.pop("poll", 1.0)
        client = DBOSClient(system_database_url=address(DATABASE))
        client.register_queue(
            "q", worker_concurrency=concurrency or None, polling_interval_sec=poll, on_conflict="always_update"
        )
        client.destroy()
        return super().start(workers, concurrency, **options)

    def worker(self, **_: Any) -> None:
        _tally().gate()  # imported; launching starts the queue's thread at once
        launch()
        while True:
            time.sleep(1)

    def steps(self, n: int = 100, mode: str = "async", rounds: int = 3, **_: Any) -> Numbers:
        """W4: workflows in this process; the median of the rounds."""
        database = self.prepare()
        counters = Counters(database)
        launch(listening=False)
        _run_workflows(20, mode)
        found: list[tuple[float, float, dict[str, float]]] = []
        while len(found) < rounds:
            before, began, cpu = counters.snapshot(), now(), time.process_time()
            _run_workflows(n, mode)
            seconds, used = now() - began, time.process_time() - cpu
            found.append((seconds, used, counters.per_unit(before, counters.snapshot(), n * STEPS)))
        seconds, used, unit = sorted(found, key=lambda each: each[0])[rounds // 2]
        return {
            "steps_per_s": per_second(n * STEPS, seconds),
            "workflows_per_s": per_second(n, seconds),
            "wall_s": round(seconds, 3),
            "unit": unit,
            "own_cpu_ms": round(used * 1000 / (n * STEPS), 4),
            "done": self.done(),
            "top": counters.top(),
        }

    def children(self, n: int = 1000, kind: str = "workflows", **_: Any) -> Numbers:
        """W5: children that are workflows or steps of the parent, in this process."""
        self.prepare()
        launch()

        async def joined() -> float:
            began = now()
            parent = await DBOS.start_workflow_async(fan if kind == "workflows" else fan_of_steps, n)
            assert await parent.get_result() == n * (n - 1) // 2 + (0 if kind == "workflows" else n)
            return now() - began

        return {"wall_s": round(asyncio.run(joined()), 3), "done": self.done()}


def _options(kind: str) -> Any:
    return {"workflow_name": kind, "queue_name": "q", "app_version": "1"}


def _copied(column: str) -> str:
    if column == "workflow_uuid":
        return "'b' || g"
    return f'"{column}" + g' if column == "created_at" else f'"{column}"'


def _run_workflows(n: int, mode: str) -> None:
    if mode == "sync":
        started = [DBOS.start_workflow(ten_sync) for _ in range(n)]
        assert all(each.get_result() == STEPS for each in started)
        return

    async def all_of_them() -> None:
        started = [await DBOS.start_workflow_async(ten) for _ in range(n)]
        assert [await each.get_result() for each in started] == [STEPS] * n

    asyncio.run(all_of_them())


if __name__ == "__main__":
    Dbos().main()
