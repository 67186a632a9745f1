"""Celery with Redis as broker and as keeper of results; `task_acks_late`, so that a crash loses no claimed task.

fsync=everysec is Redis' usual way, in which up to a second of accepted tasks may be lost; with fsync=always it waits
for the disk at every write, as a database does. pool=threads, prefork or gevent. "Statements" are commands of Redis.
"""

from __future__ import annotations

import os
import sys

if 'pool="gevent"' in sys.argv:  # a worker's process; before anything else is imported
    from gevent import monkey

    monkey.patch_all()

import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import cache
from typing import Any, ClassVar

from celery import Celery, chain, chord, group
from harness.adapter import Numbers, per_second
from harness.database import Counters, Snapshot, server_cpu
from harness.processes import WorkerProcess, wait_for
from harness.queue_peer import QueuePeer
from harness.tally import Tally, now
from redis import Redis

STEPS = 10
_PORT = int(os.environ.get("BENCH_REDIS_PORT", "0"))
_COPY = """
local first = redis.call('LINDEX', 'celery', 0)
local thousand = {}
for i = 1, 1000 do thousand[i] = first end
for k = 1, ARGV[1] do redis.call('LPUSH', 'celery', unpack(thousand)) end"""

app = Celery("bench", broker=f"redis://127.0.0.1:{_PORT}/0", backend=f"redis://127.0.0.1:{_PORT}/1")
app.conf.update(
    task_acks_late=True,
    worker_prefetch_multiplier=16,
    result_expires=3600,
    worker_hijack_root_logger=False,
    broker_connection_retry_on_startup=True,
    worker_send_task_events=False,
    redis_max_connections=2000,  # without it, 500 greenlets that end together lose results
)


@cache
def _tally() -> Tally:
    return Tally.attached()


@app.task(name="noop")
def noop(i: int) -> int:
    """Counts that it ran."""
    _tally().hit()
    return i


@app.task(name="mark")
def mark(i: int) -> int:
    """Writes down when it began."""
    _tally().mark(i)
    _tally().hit()
    return i


@app.task(name="sleep")
def sleep(i: int) -> int:
    """Takes a second."""
    _tally().hit()
    time.sleep(1)
    return i


@app.task(name="step")
def step(value: int) -> int:
    """Adds one."""
    return value + 1


@app.task(name="total")
def total(values: list[int]) -> int:
    """The sum."""
    return sum(values)


class RedisCounters(Counters):
    """Commands and CPU of Redis."""

    def __init__(self, redis: Redis) -> None:
        super().__init__(None)
        self._redis = redis

    def snapshot(self) -> Snapshot:
        return Snapshot(now(), server_cpu(), int(self._redis.info("stats")["total_commands_processed"]), 0)

    def per_unit(self, before: Snapshot, after: Snapshot, units: int) -> dict[str, float]:
        return {
            "statements": round((after.statements - before.statements) / units, 3),
            "server_cpu_ms": round((after.cpu - before.cpu) * 1000 / units, 4),
        }


class CeleryPeer(QueuePeer):
    name = "celery"
    module = "peers.celery"
    packages: ClassVar[Sequence[str]] = ("celery", "redis", "kombu", "gevent")
    defaults: ClassVar[Mapping[str, Mapping[str, Any]]] = {"W1": {"n": 3_000}, "W2": {"n": 3_000}}
    concurrency = 20

    def configure(self, options: dict[str, Any]) -> None:
        self._redis = Redis(port=_PORT)
        self._results = Redis(port=_PORT, db=1)
        self._pool = options.pop("pool", "threads")
        fsync = options.pop("fsync", "everysec")
        if sys.argv[1] != "worker":
            self._redis.config_set("appendfsync", fsync)

    def versions(self) -> dict[str, str]:
        return super().versions() | {"redis-server": str(self._redis.info("server")["redis_version"])}

    def prepare(self) -> None:
        self._redis.flushall()

    def counters(self, database: str | None) -> Counters:  # noqa: ARG002 - the hook's signature
        return RedisCounters(self._redis)

    @asynccontextmanager
    async def client(self) -> AsyncIterator[None]:
        yield

    async def submit_many(self, n: int, kind: str) -> None:
        task = app.tasks[kind]
        with app.producer_pool.acquire(block=True) as producer:  # one connection kept: its documented fast way
            for index in range(n):
                task.apply_async((index,), producer=producer)

    async def submit(self, index: int) -> Any:
        return mark.delay(index)

    async def result(self, submitted: Any) -> None:
        submitted.get(timeout=20)

    def done(self) -> int:
        return int(self._results.dbsize())

    def fill(self, n: int) -> None:
        """The message of its own API, copied by Redis itself."""
        noop.apply_async((0,))
        self._redis.eval(_COPY, 0, n // 1000)

    def start(self, workers: int, concurrency: int, **options: Any) -> list[WorkerProcess]:
        started: list[WorkerProcess] = []
        for number in range(workers):
            wanted = {"pool": self._pool, "node": f"w{number}", **options}
            started += super().start(1, concurrency, **wanted)
        return started

    def waiting(self, *arguments: Any, **options: Any) -> Numbers:
        self._pool = "prefork"
        return super().waiting(*arguments, **{**options, "concurrency": 2})

    def worker(self, pool: str = "threads", concurrency: int = 20, node: str = "w0", **_: Any) -> None:
        _tally().gate()
        quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat", "-l", "WARNING", "-Ofair"]
        app.worker_main(["worker", "-P", self._pool or pool, "-c", str(concurrency), "-n", f"{node}@localhost", *quiet])

    def _running(self) -> list[WorkerProcess]:
        """A worker that has done something already."""
        self.prepare()
        tally = Tally.create()
        started = self.start(1, self.concurrency)
        wait_for(lambda: tally.waiting() >= 1, 60, "the worker", started)
        tally.open_gate()
        for _ in range(20):
            step.delay(1).get(timeout=30)
        return started

    def steps(self, n: int = 100, rounds: int = 3) -> Numbers:
        """W4: chains of ten tasks; each result is kept, and the worker sends the next task."""
        started, counters = self._running(), self.counters(None)
        found = []
        try:
            for _ in range(rounds):
                before, began, cpu = counters.snapshot(), now(), started[0].cpu_seconds()
                chains = [chain(step.s(0), *[step.s() for _ in range(STEPS - 1)]).apply_async() for _ in range(n)]
                assert all(each.get(timeout=60) == STEPS for each in chains)
                seconds, used = now() - began, started[0].cpu_seconds() - cpu
                found.append((seconds, used, counters.per_unit(before, counters.snapshot(), n * STEPS)))
        finally:
            for worker in started:
                worker.stop()
        seconds, used, unit = sorted(found, key=lambda each: each[0])[rounds // 2]
        return {
            "steps_per_s": per_second(n * STEPS, seconds),
            "workflows_per_s": per_second(n, seconds),
            "wall_s": round(seconds, 3),
            "unit": unit,
            "own_cpu_ms": round(used * 1000 / (n * STEPS), 4),
        }

    def children(self, n: int = 1000) -> Numbers:
        """W5: a chord."""
        started = self._running()
        try:
            began = now()
            joined = chord(group(step.s(index) for index in range(n)))(total.s())
            assert joined.get(timeout=120) == n * (n + 1) // 2
            return {"wall_s": round(now() - began, 3)}
        finally:
            for worker in started:
                worker.stop()


if __name__ == "__main__":
    CeleryPeer().main()
