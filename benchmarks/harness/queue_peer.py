"""The workloads that every task queue can do, in terms of a few hooks."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, ClassVar

from harness.adapter import Adapter, Numbers, in_milliseconds, per_second, spawn_workers
from harness.database import Counters, drop_database, fresh_database
from harness.processes import WorkerProcess, wait_for
from harness.tally import Tally, now

MINUTE = 60.0
_SETTLING = 5.0  # seconds after which a worker that has nothing to do is called idle


class QueuePeer(Adapter):
    """A subclass gives the hooks; bodies call `Tally.hit` once."""

    concurrency: ClassVar[int] = 100
    sleep_concurrency: ClassVar[int] = 500
    module: ClassVar[str]  # what `python -m` runs as its worker

    # --- the hooks

    def prepare(self) -> str | None:
        """Make its schema in a new database; the database's name, None when it is not in the server."""
        return fresh_database(f"bench_{self.name}")

    def counters(self, database: str | None) -> Counters:
        """What counts the work of its server."""
        return Counters(database)

    @asynccontextmanager
    async def client(self) -> AsyncIterator[None]:
        """Connected, for the following three."""
        yield

    async def submit_many(self, n: int, kind: str) -> None:
        """Enqueue `noop` or `sleep` durably, in the best documented bulk way."""
        raise NotImplementedError

    async def submit(self, index: int) -> Any:
        """Enqueue one task that marks `index`; what `result` wants to know of it."""
        raise NotImplementedError

    async def result(self, submitted: Any) -> None:
        """Wait, by the public way, until the task's result is visible."""
        raise NotImplementedError

    def done(self) -> int:
        """How many tasks are finished durably, by its own tables."""
        raise NotImplementedError

    def fill(self, n: int) -> None:
        """Put `n` waiting tasks into the queue, fast."""
        raise NotImplementedError

    def start(self, workers: int, concurrency: int, **options: Any) -> list[WorkerProcess]:
        return spawn_workers(self.module, workers, concurrency=concurrency, **options)

    # --- W1, W2, W7

    def drain(self, n: int, workers: int = 1, concurrency: int | None = None, **options: Any) -> Numbers:
        """W1, W2: no-ops that are enqueued before the workers start."""
        return self._drain(n, "noop", workers, concurrency or self.concurrency, options)

    def sleeping(self, n: int = 500, concurrency: int | None = None, **options: Any) -> Numbers:
        """W7: tasks that sleep for a second, all at once where the peer can."""
        numbers = self._drain(n, "sleep", 1, concurrency or self.sleep_concurrency, options)
        kept = ("peak_memory_mb", "largest_memory_mb", "own_cpu_ms", "unit", "done")
        return {"wall_s": numbers["drain_s"], **{key: numbers[key] for key in kept}}

    def _drain(self, n: int, kind: str, workers: int, concurrency: int, options: dict[str, Any]) -> Numbers:
        database, tally = self.prepare(), Tally.create()
        counters = self.counters(database)
        before = counters.snapshot()
        seconds = asyncio.run(self._enqueue(n, kind))
        enqueued = counters.snapshot()
        with_commits = counters.per_unit(before, enqueued, n)
        if counters.sql is not None:
            counters.sql.script("CHECKPOINT")
        started = self.start(workers, concurrency, **options)
        try:
            wait_for(lambda: tally.waiting() >= workers, 60, "workers at the gate", started)
            time.sleep(0.2)
            first, cpu = counters.snapshot(), sum(worker.cpu_seconds() for worker in started)
            tally.open_gate()
            drained, lag = self.drained(tally, n, started)
            last, used = counters.snapshot(), sum(worker.cpu_seconds() for worker in started)
            memory = round(sum(worker.memory_mb(peak=True) for worker in started), 1)
            largest = max(worker.memory_mb(peak=True, largest=True) for worker in started)
        finally:
            for worker in started:
                worker.stop()
        hits = tally.read()
        tally.remove()
        return {
            "drain_per_s": per_second(n, drained),
            "enqueue_per_s": per_second(n, seconds),
            "drain_s": round(drained, 3),
            "last_body_to_durable_ms": round(lag * 1000, 1),
            "unit": counters.per_unit(first, last, n),
            "enqueue_unit": with_commits,
            "own_cpu_ms": round((used - cpu) * 1000 / n, 4),
            "peak_memory_mb": memory,
            "largest_memory_mb": largest,
            "per_worker": hits.per_worker,
            "bodies": hits.bodies,
            "done": self.done(),
            "top": counters.top(),
        }

    async def _enqueue(self, n: int, kind: str) -> float:
        async with self.client():
            began = now()
            await self.submit_many(n, kind)
            return now() - began

    def drained(
        self, tally: Tally, bodies: int, started: list[WorkerProcess], ends: int | None = None
    ) -> tuple[float, float]:
        """Seconds from the first body to the last durable end, and from the last body to it."""
        wait_for(lambda: tally.read().bodies >= bodies, 240, f"{bodies} bodies", started, step=0.005)
        wait_for(lambda: self.done() >= (ends or bodies), 60, f"{ends or bodies} durable ends", started, step=0.005)
        end = now()
        hits = tally.read()
        return end - hits.first, end - hits.last

    # --- W3

    def latency(self, n: int = 200, seconds: float = 40, concurrency: int | None = None, **options: Any) -> Numbers:
        """W3: an idle worker, one task at a time after random pauses."""
        self.prepare()
        tally = Tally.create(n)
        started = self.start(1, concurrency or self.concurrency, **options)
        try:
            wait_for(lambda: tally.waiting() >= 1, 60, "the worker", started)
            return asyncio.run(self._latency(tally, n, seconds))
        finally:
            for worker in started:
                worker.stop()

    async def _latency(self, tally: Tally, n: int, seconds: float) -> Numbers:
        submits, starts, visible = [], [], []
        pauses = random.Random(1)
        async with self.client():
            tally.open_gate()
            await asyncio.sleep(3)
            end = now() + seconds
            for index in range(n):
                await asyncio.sleep(pauses.uniform(0.01, 0.05))
                asked = now()
                submitted = await self.submit(index)
                accepted = now()
                await self.result(submitted)
                seen = now()
                wait_for(lambda: tally.marked(index), 5, "the mark", step=0.001)  # noqa: B023 - called at once
                submits.append(accepted - asked)
                starts.append(tally.marked(index) - asked)
                visible.append(seen - asked)
                if now() > end:
                    break
        return {
            "start_ms": in_milliseconds(starts),
            "visible_ms": in_milliseconds(visible),
            "submit_ms": in_milliseconds(submits),
        }

    # --- W6

    def waiting(self, n: int = 1000, waiting: int = 10_000, concurrency: int = 100, **options: Any) -> Numbers:
        """W6: what claiming and finishing `n` tasks costs with so many in the queue."""
        database, tally = self.prepare(), Tally.create()
        began = now()
        self.fill(waiting)
        counters = self.counters(database)
        if counters.sql is not None:
            counters.sql.script("VACUUM ANALYZE")
            counters.sql.script("CHECKPOINT")
        loaded = now() - began
        started = self.start(1, concurrency, **options)
        try:
            wait_for(lambda: tally.waiting() >= 1, 60, "the worker", started)
            before, opened = counters.snapshot(), now()
            tally.open_gate()
            wait_for(lambda: tally.read().bodies >= n, 180, f"{n} bodies", started, step=0.002)
            end, after = now(), counters.snapshot()
            hits = tally.read()
        finally:
            for worker in started:
                worker.stop(2)
        numbers = {
            "claim_finish_s": round(end - hits.first, 3),
            "with_start_s": round(end - opened, 3),
            "per_s": per_second(n, end - hits.first),
            "load_s": round(loaded, 1),
            "bodies": hits.bodies,
            "unit": counters.per_unit(before, after, n),
        }
        counters.close()
        if database is not None:
            drop_database(database)
        return numbers

    # --- W8

    def idle(self, seconds: float = 60, concurrency: int | None = None, **options: Any) -> Numbers:
        """W8: what a worker with nothing to do costs."""
        database, tally = self.prepare(), Tally.create()
        started = self.start(1, concurrency or self.concurrency, **options)
        try:
            wait_for(lambda: tally.waiting() >= 1, 60, "the worker", started)
            tally.open_gate()
            time.sleep(_SETTLING)
            counters = self.counters(database)
            before, cpu = counters.snapshot(), sum(worker.cpu_seconds() for worker in started)
            time.sleep(seconds)
            after, used = counters.snapshot(), sum(worker.cpu_seconds() for worker in started)
            memory = round(sum(worker.memory_mb() for worker in started), 1)
        finally:
            for worker in started:
                worker.stop()
        minute = MINUTE / seconds
        per_unit = counters.per_unit(before, after, 1)
        numbers: Numbers = {
            "memory_mb": memory,
            "cpu_s_per_minute": round((used - cpu) * minute, 3),
        }
        if database is not None:
            numbers["server_cpu_s_per_minute"] = round((after.cpu - before.cpu) * minute, 3)
            numbers["statements_per_minute"] = round(per_unit["statements"] * minute)
            numbers["commits_per_minute"] = round(per_unit["commits"] * minute)
            numbers["top"] = counters.top()
        return numbers
