"""agentplat as a user has it: `agentplat worker`, a keeper and its worker process, on PostgreSQL or SQLite.

Everything is at its default but two things. The log level is `warning`: an entry in a log per step is a choice, and no
peer writes one. And no spare is started: that would be seconds of a processor in the middle of what is measured.
Concurrency is the default of 100 where the workload does not need more. Journal, audit, fence, ledger and the check of
inputs and outputs are on; there is no switch for any of them.
"""

from __future__ import annotations

import asyncio
import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, ClassVar
from uuid import UUID, uuid4

from harness.adapter import Numbers, per_second
from harness.database import Counters, Sql, address, fresh_database
from harness.layers import shares
from harness.ports import free_port
from harness.processes import WorkerProcess, wait_for
from harness.queue_peer import QueuePeer
from harness.tally import Tally, now
from uuid_utils.compat import uuid7

from agentplat.contracts.interface import Submission
from agentplat.contracts.store import Definition, NewTask
from agentplat.domain.ids import TaskId
from agentplat.domain.json import JsonObject
from agentplat.runtime.app import Platform, open_platform
from agentplat.runtime.settings import load_settings
from peers import agentplat_rows
from peers.agentplat_door import EndpointMissing, Server, by_client

COMMAND = [sys.executable, "-P", "-m", "agentplat.runtime.cli"]
_BATCH = 1000
_WARM = 20  # tasks that go before those that are measured


class Agentplat(QueuePeer):
    name = "agentplat"
    module = "peers.agentplat"
    packages: ClassVar[Sequence[str]] = ("agentplat-core", "psycopg", "sqlalchemy", "aiosqlite", "uvloop")
    defaults: ClassVar[Mapping[str, Mapping[str, Any]]] = {"W1": {"n": 3_000}, "W2": {"n": 3_000}}

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="bench-agentplat-"))
        self._kind = "postgresql"
        self._is_sampled = False
        self._sql: Sql | None = None
        self._open: Platform | None = None
        self._finished = 0

    def configure(self, options: dict[str, Any]) -> None:
        self._kind = options.pop("database", self._kind)
        self._is_sampled = options.pop("sampled", False)

    def extras(self) -> Numbers:
        """Where the worker's CPU went, when it was sampled."""
        files = sorted(self._folder.glob("samples.*.json"))
        return {"profile": shares(files)} if files else {}

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
            "AGENTPLAT_WORKER__SPARE": "false",
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
            batch = [_new_task(type, given, definition) for given in inputs[at : at + _BATCH]]
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
        if self._is_sampled:
            variables["BENCH_SAMPLES"] = str(self._folder / "samples")
        variables |= {key: str(value) for key, value in options.items()}
        return [WorkerProcess([*COMMAND, "worker"], variables) for _ in range(workers)]

    # --- W4

    def steps(self, n: int = 300, concurrency: int = 100, **options: Any) -> Numbers:
        """W4: workflows of ten steps, 100 at a time. The clock runs from the submission to the last durable end."""
        database, tally = self.prepare(), Tally.create()
        counters = self.counters(database)
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
            await asyncio.to_thread(self.drained, tally, 10 * _WARM, started, ends=_WARM)
            await asyncio.sleep(1.5)
            tally.reset()
            before, cpu, began = counters.snapshot(), started[0].cpu_seconds(), now()
            await self._submit_batches("workflow:bench_ten", [{"v": 0}] * n)
            accepted = now()
            # In a thread: the submission's hint to the worker leaves by this event loop.
            working, _ = await asyncio.to_thread(self.drained, tally, 10 * n, started, ends=_WARM + n)
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

    # --- W5

    def children(self, n: int = 1000, rounds: int = 3, **options: Any) -> Numbers:
        """W5: one step, n times at once, and a join; from the submission to the durable end."""
        database, tally = self.prepare(), Tally.create()
        counters = self.counters(database)
        started = self.start(1, self.concurrency, **options)
        try:
            wait_for(lambda: tally.waiting() >= 1, 60, "the worker", started)
            tally.open_gate()
            return asyncio.run(self._children(n, rounds, counters, started))
        finally:
            for worker in started:
                worker.stop()
            tally.remove()

    async def _children(self, n: int, rounds: int, counters: Counters, started: list[WorkerProcess]) -> Numbers:
        found = []
        async with self.client():
            await self._submit_batches("workflow:bench_fan", [{"n": 10}])
            # In a thread: a blocked event loop would not tell the worker that there is work.
            await asyncio.to_thread(wait_for, lambda: self.done() >= 1, 60, "the first", started)
            for number in range(2, rounds + 2):
                await asyncio.sleep(1)
                before, cpu, began = counters.snapshot(), started[0].cpu_seconds(), now()
                await self._submit_batches("workflow:bench_fan", [{"n": n}])
                joined = partial(self._are_done, number)
                await asyncio.to_thread(wait_for, joined, 240, "the join", started)
                seconds, used = now() - began, started[0].cpu_seconds() - cpu
                found.append((seconds, used, counters.per_unit(before, counters.snapshot(), n)))
        seconds, used, unit = sorted(found, key=lambda each: each[0])[rounds // 2]
        return {"wall_s": round(seconds, 3), "unit": unit, "own_cpu_ms": round(used * 1000 / n, 4)}

    def _are_done(self, number: int) -> bool:
        return self.done() >= number

    # --- W6

    def waiting(self, n: int = 1000, waiting: int = 10_000, concurrency: int = 100, **options: Any) -> Numbers:
        self._finished = options.pop("finished", 0)
        return super().waiting(n, waiting, concurrency, **options)

    def fill(self, n: int) -> None:
        asyncio.run(self._enqueue(1, "noop"))
        if self._sql is not None:
            agentplat_rows.copy_postgres(self._sql, n - 1, self._finished)
        else:
            agentplat_rows.copy_sqlite(self._folder / "agentplat.db", n - 1, self._finished)

    # --- W10

    def listening(self, n: int = 10_000, **options: Any) -> Numbers:
        """W10: tasks that wait on a socket each, all at once; then all are answered."""
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        port = free_port()
        silent = WorkerProcess([sys.executable, "-m", "harness.sockets", str(port)])
        try:
            return self._listening(n, silent, {**options, "BENCH_LISTEN_PORT": port})
        finally:
            silent.stop()

    def _listening(self, n: int, silent: WorkerProcess, options: dict[str, Any]) -> Numbers:
        _, tally = self.prepare(), Tally.create()
        asyncio.run(self._enqueue(n, "listen"))
        started = self.start(1, n, **options)
        try:
            wait_for(lambda: tally.waiting() >= 1, 60, "the worker", started)
            tally.open_gate()
            wait_for(lambda: tally.read().bodies >= n, 240, f"{n} that wait", started)
            hits, memory, largest = tally.read(), started[0].memory_mb(), started[0].memory_mb(largest=True)
            os.kill(silent.pid, signal.SIGUSR1)
            answered, cpu = now(), started[0].cpu_seconds()
            wait_for(lambda: self.done() >= n, 240, f"{n} ends", started)
            seconds, used = now() - answered, started[0].cpu_seconds() - cpu
            peak = started[0].memory_mb(peak=True)
        finally:
            for worker in started:
                worker.stop()
        return {
            "wall_s": round(seconds, 3),
            "until_all_wait_s": round(hits.last - hits.first, 3),
            "memory_mb": memory,
            "largest_memory_mb": largest,
            "peak_memory_mb": peak,
            "own_cpu_ms": round(used * 1000 / n, 4),
            "done": self.done(),
        }

    # --- W9

    def enqueue(self, n: int = 20_000, way: str = "store", **_: Any) -> Numbers:
        """W9: tasks accepted durably: way=store (1,000 at a time), client, http, or batch (1,000 at a time)."""
        database = self.prepare()
        counters = self.counters(database)
        if way in ("http", "batch"):
            with Server(COMMAND) as server:
                before, cpu = counters.snapshot(), server.process.cpu_seconds()
                try:
                    seconds = server.submit_batches(n) if way == "batch" else server.submit_singly(n)
                except EndpointMissing as missing:
                    return {"missing": str(missing)}
                after, used = counters.snapshot(), server.process.cpu_seconds()
        else:
            before, cpu = counters.snapshot(), time.process_time()
            seconds = asyncio.run(self._enqueue(n, "noop") if way == "store" else self._enqueue_by_client(n))
            after, used = counters.snapshot(), time.process_time()
        return {
            "enqueue_per_s": per_second(n, seconds),
            "unit": counters.per_unit(before, after, n),
            "own_cpu_ms": round((used - cpu) * 1000 / n, 4),
        }

    async def _enqueue_by_client(self, n: int) -> float:
        async with self.client():
            began = now()
            await by_client(self._platform.client(), n)
            return now() - began


def _new_task(type: str, input: JsonObject, definition: Definition | None) -> NewTask:
    return NewTask(
        id=TaskId(uuid7()),
        tenant="default",
        type=type,
        input=input,
        trace_id=uuid4().hex,
        definition=definition.hash if definition is not None else None,
    )


if __name__ == "__main__":
    Agentplat().main()
