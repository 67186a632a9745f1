"""pgqueuer on asyncpg and uvloop: it claims and finishes in batches.

It keeps no results of tasks: "visible" is a task's end as its CompletionWatcher tells it. One connection, as its
documentation shows: a pool adds four RESET statements to every release.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, ClassVar

import asyncpg
import uvloop
from harness.adapter import Numbers
from harness.chains import STEPS, measure_chains
from harness.database import Sql, address, fresh_database
from harness.queue_peer import QueuePeer
from harness.tally import Tally
from pgqueuer import PgQueuer
from pgqueuer.core.completion import CompletionWatcher
from pgqueuer.db import AsyncpgDriver
from pgqueuer.models import Job
from pgqueuer.queries import Queries

DATABASE = "bench_pgqueuer"


class Pgqueuer(QueuePeer):
    name = "pgqueuer"
    module = "peers.pgqueuer"
    packages: ClassVar[Sequence[str]] = ("pgqueuer", "asyncpg", "uvloop")
    defaults: ClassVar[Mapping[str, Mapping[str, Any]]] = {"W1": {"n": 50_000}, "W2": {"n": 50_000}}
    concurrency = 500  # its batch size
    sleep_concurrency = 100

    def prepare(self) -> str:
        fresh_database(DATABASE)
        asyncio.run(self._install())
        self._sql = Sql(DATABASE)
        return DATABASE

    async def _install(self) -> None:
        connection = await asyncpg.connect(address(DATABASE))
        await Queries(AsyncpgDriver(connection)).install()
        await connection.close()

    @asynccontextmanager
    async def client(self) -> AsyncIterator[None]:
        writing, watching = await asyncpg.connect(address(DATABASE)), await asyncpg.connect(address(DATABASE))
        self._queries = Queries(AsyncpgDriver(writing))
        driver = AsyncpgDriver(watching)
        async with CompletionWatcher(driver, queries=Queries(driver)) as watcher:
            self._watcher = watcher
            yield
        await writing.close()
        await watching.close()

    async def submit_many(self, n: int, kind: str) -> None:
        for at in range(0, n, 1000):
            indexes = range(at, min(n, at + 1000))
            payloads = [b"%d" % index for index in indexes]
            await self._queries.enqueue([kind] * len(payloads), payloads, [0] * len(payloads))

    async def submit(self, index: int) -> Any:
        return (await self._queries.enqueue("mark", b"%d" % index))[0]

    async def result(self, submitted: Any) -> None:
        await self._watcher.wait_for(submitted)

    def done(self) -> int:
        return int(self._sql.one("SELECT count(*) FROM pgqueuer_log WHERE status = 'successful'"))

    def fill(self, n: int) -> None:
        asyncio.run(self._enqueue(n, "noop"))

    def steps(self, n: int = 300, **_: Any) -> Numbers:
        """W4: a chain of tasks."""
        return measure_chains(self, n, self._submit_first)

    async def _submit_first(self, n: int) -> None:
        await self._queries.enqueue(["step"] * n, [b"%d" % (STEPS - 1)] * n, [0] * n)

    def worker(self, concurrency: int = 500, **_: Any) -> None:
        uvloop.run(self._worker(concurrency))

    async def _worker(self, batch: int) -> None:
        tally = Tally.attached()
        app = PgQueuer.from_asyncpg_connection(await asyncpg.connect(address(DATABASE)))

        @app.entrypoint("noop")
        async def noop(task: Job) -> None:  # noqa: ARG001 - its signature
            tally.hit()

        @app.entrypoint("mark")
        async def mark(task: Job) -> None:
            tally.mark(int(task.payload or b"0"))
            tally.hit()

        @app.entrypoint("sleep")
        async def sleep(task: Job) -> None:  # noqa: ARG001 - its signature
            tally.hit()
            await asyncio.sleep(1)

        @app.entrypoint("step")
        async def step(task: Job) -> None:
            left = int(task.payload or b"0")
            if left:
                await app.qm.queries.enqueue("step", b"%d" % (left - 1))
            else:
                tally.hit()

        tally.gate()
        await app.run(batch_size=batch)


if __name__ == "__main__":
    Pgqueuer().main()
