"""agentplat as a user has it: `agentplat worker`, a keeper and its worker process, on PostgreSQL or SQLite.

Everything is at its default but the log level, which is `warning`: an entry in a log per step is a choice, and no peer
writes one. Concurrency is the default of 100 where the workload does not need more. Journal, audit, fence, ledger and
the check of inputs and outputs are on; there is no switch for any of them.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar
from uuid import UUID, uuid4

from agentplat.contracts.interface import Submission
from agentplat.contracts.store import Definition, NewTask
from agentplat.domain.ids import TaskId
from agentplat.domain.json import JsonObject
from agentplat.runtime.app import Platform, open_platform
from agentplat.runtime.settings import load_settings
from uuid_utils.compat import uuid7

from harness.adapter import Numbers, per_second
from harness.database import Counters, Sql, address, fresh_database
from harness.processes import WorkerProcess, wait_for
from harness.queue_peer import QueuePeer
from harness.tally import Tally, now

COMMAND = [sys.executable, "-P", "-m", "agentplat.runtime.cli"]
_BATCH = 1000
_WARM = 20  # tasks that go before those that are measured


class Agentplat(QueuePeer):
    name = "agentplat"
    module = "peers.agentplat"
    packages: ClassVar[Sequence[str]] = ("agentplat-core", "psycopg", "sqlalchemy", "aiosqlite", "uvloop", "orjson")
    defaults: ClassVar[Mapping[str, Mapping[str, Any]]] = {"W1": {"n": 3_000}, "W2": {"n": 3_000}}

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="bench-agentplat-"))
        self._kind = "postgresql"
        self._sql: Sql | None = None
        self._open: Platform | None = None

    def configure(self, options: dict[str, Any]) -> None:
        self._kind = options.pop("database", self._kind)

    def clean(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)

    # --- the hooks

    def prepare(self) -> str | None:
        name = fresh_database("bench_agentplat") if self._kind == "postgresql" else None
        url = address(name) if name else f"sqlite:///{self._folder}/agentplat.db"
        os.environ |= {
            "AGENTPLAT_DATABASE_URL": url,
            "AGENTPLAT_PROJECT": str(self._folder),
            "AGENTPLAT_IDENTITY__KEY": "of the benchmark",
            "AGENTPLAT_LOG__LEVEL": "warning",
        }
        subprocess.run([*COMMAND, "db", "upgrade"], check=True, capture_output=True)
        self._sql = Sql(name) if name else None
        return name

    @asynccontextmanager
    async def client(self) -> AsyncIterator[None]:
        async with open_platform(load_settings()) as platform:
            self._open = platform
            yield

    @property
    def _platform(self) -> Platform:
        assert self._open is not None
        return self._open

    async def submit_many(self, n: int, kind: str) -> None:
        await self._submit_batches(f"tool:bench_{kind}", [{"i": index} for index in range(n)])

    async def _submit_batches(self, type: str, inputs: Sequence[JsonObject]) -> None:
        """Through the store, up to 1,000 in a transaction."""
        _, definition = self._platform.definitions.pin(self._platform.registries, type)
        documents = [definition] if definition is not None else []
        for at in range(0, len(inputs), _BATCH):
            batch = [_new_task(type, input, definition) for input in inputs[at : at + _BATCH]]
            await self._platform.store.submit(batch, documents)

    async def submit(self, index: int) -> UUID:
        view = await self._platform.client().submit(Submission(type="tool:bench_mark", input={"i": index}))
        return view.id

    async def result(self, submitted: UUID) -> None:
        while not (await self._platform.client().task(submitted)).status.is_terminal:
            await asyncio.sleep(0.002)

    def done(self) -> int:
        if self._sql is not None:
            return int(self._sql.one("SELECT count(*) FROM agentplat.tasks WHERE status = 'done'"))
        connection = sqlite3.connect(self._folder / "agentplat.db", timeout=30)
        try:
            return int(connection.execute("SELECT count(*) FROM tasks WHERE status = 'done'").fetchone()[0])
        finally:
            connection.close()

    def start(self, workers: int, concurrency: int, **options: Any) -> list[WorkerProcess]:
        variables = {"AGENTPLAT_WORKER__CONCURRENCY": str(concurrency)}
        variables |= {key: str(value) for key, value in options.items()}
        return [WorkerProcess([*COMMAND, "worker"], variables) for _ in range(workers)]

    # --- W4

    def steps(self, n: int = 300, concurrency: int = 100, **options: Any) -> Numbers:
        """W4: workflows of ten steps, 100 at a time. The clock runs from the submission to the last durable end."""
        database, tally = self.prepare(), Tally.create()
        counters = Counters(database)
        started = self.start(1, concurrency, **options)
        try:
            wait_for(lambda: tally.waiting() >= 1, 60, "the worker", started)
            tally.open_gate()
            return asyncio.run(self._steps(n, tally, counters, started))
        finally:
            for worker in started:
                worker.stop()
            tally.remove()

    async def _steps(self, n: int, tally: Tally, counters: Counters, started: list[WorkerProcess]) -> Numbers:
        async with self.client():
            await self._submit_batches("workflow:bench_ten", [{"v": 0}] * _WARM)
            self.drained(tally, 10 * _WARM, started, ends=_WARM)
            await asyncio.sleep(1.5)
            tally.reset()
            before, cpu, began = counters.snapshot(), started[0].cpu_seconds(), now()
            await self._submit_batches("workflow:bench_ten", [{"v": 0}] * n)
            accepted = now()
            working, _ = self.drained(tally, 10 * n, started, ends=_WARM + n)
            wall = now() - began
            after, used = counters.snapshot(), started[0].cpu_seconds()
        return {
            "steps_per_s": per_second(10 * n, wall),
            "working_steps_per_s": per_second(10 * n, working),
            "workflows_per_s": per_second(n, wall),
            "wall_s": round(wall, 3),
            "submit_s": round(accepted - began, 3),
            "unit": counters.per_unit(before, after, 10 * n),
            "own_cpu_ms": round((used - cpu) * 1000 / (10 * n), 4),
            "peak_memory_mb": started[0].memory_mb(peak=True),
            "done": self.done(),
            "top": counters.top(),
        }


def _new_task(type: str, input: JsonObject, definition: Definition | None) -> NewTask:
    hash = definition.hash if definition is not None else None
    return NewTask(id=TaskId(uuid7()), tenant="default", type=type, input=input, trace_id=uuid4().hex, definition=hash)


if __name__ == "__main__":
    Agentplat().main()
