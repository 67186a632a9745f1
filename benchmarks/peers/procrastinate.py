"""procrastinate on psycopg 3. It keeps no results of tasks: "visible" is a task's status.

One fetch is under way at a time, whatever the concurrency; 10 is its fastest here. Its claim depends on the planner's
statistics, so that its rate has a wide range.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import cache
from typing import Any, ClassVar

import procrastinate
from harness.adapter import Numbers
from harness.chains import STEPS, measure_chains
from harness.database import Sql, address, fresh_database
from harness.queue_peer import QueuePeer
from harness.tally import Tally

DATABASE = "bench_procrastinate"


@cache
def _tally() -> Tally:
    return Tally.attached()


def _app(pool: int) -> procrastinate.App:
    connector = procrastinate.PsycopgConnector(conninfo=address(DATABASE), min_size=2, max_size=pool)
    app = procrastinate.App(connector=connector)

    @app.task(name="noop")
    async def noop(i: int) -> int:
        _tally().hit()
        return i

    @app.task(name="mark")
    async def mark(i: int) -> int:
        _tally().mark(i)
        _tally().hit()
        return i

    @app.task(name="sleep")
    async def sleep(i: int) -> int:
        _tally().hit()
        await asyncio.sleep(1)
        return i

    @app.task(name="step")
    async def step(k: int) -> int:
        if k + 1 < STEPS:
            await step.defer_async(k=k + 1)
        else:
            _tally().hit()
        return k

    return app


class Procrastinate(QueuePeer):
    name = "procrastinate"
    module = "peers.procrastinate"
    packages: ClassVar[Sequence[str]] = ("procrastinate", "psycopg", "psycopg-pool")
    defaults: ClassVar[Mapping[str, Mapping[str, Any]]] = {"W1": {"n": 3_000}, "W2": {"n": 3_000}}
    concurrency = 10

    def prepare(self) -> str:
        fresh_database(DATABASE)
        asyncio.run(self._apply_schema())
        self._sql = Sql(DATABASE)
        return DATABASE

    async def _apply_schema(self) -> None:
        async with _app(2).open_async() as app:
            await app.schema_manager.apply_schema_async()

    @asynccontextmanager
    async def client(self) -> AsyncIterator[None]:
        async with _app(5).open_async() as app:
            self._app = app
            yield

    async def submit_many(self, n: int, kind: str) -> None:
        task = self._app.tasks[kind]
        for at in range(0, n, 1000):
            await task.batch_defer_async(*({"i": index} for index in range(at, min(n, at + 1000))))

    async def submit(self, index: int) -> int:
        number: int = await self._app.tasks["mark"].defer_async(i=index)
        return number

    async def result(self, submitted: int) -> None:
        """There is nothing to wait on: the documented way is to look at the status."""
        while (await self._app.job_manager.get_job_status_async(submitted)).value != "succeeded":
            await asyncio.sleep(0.002)

    def done(self) -> int:
        return int(self._sql.one("SELECT count(*) FROM procrastinate_jobs WHERE status = 'succeeded'"))

    def fill(self, n: int) -> None:
        # Without its insert triggers, which only write events and notify.
        self._sql.script("SET session_replication_role = replica")
        self._sql.rows(
            "INSERT INTO procrastinate_jobs (queue_name, task_name, priority, args, status) "
            "SELECT 'default', 'noop', 0, jsonb_build_object('i', g), 'todo' FROM generate_series(1, %s) AS g",
            n,
        )

    def steps(self, n: int = 100, **_: Any) -> Numbers:
        """W4: a chain of tasks."""
        return measure_chains(self, n, self._submit_first)

    async def _submit_first(self, n: int) -> None:
        await self._app.tasks["step"].batch_defer_async(*({"k": 0} for _ in range(n)))

    def worker(self, concurrency: int = 10, **_: Any) -> None:
        asyncio.run(self._worker(concurrency))

    async def _worker(self, concurrency: int) -> None:
        async with _app(min(20, max(4, concurrency))).open_async() as app:
            _tally().gate()
            await app.run_worker_async(concurrency=concurrency, wait=True, install_signal_handlers=False)


if __name__ == "__main__":
    Procrastinate().main()
