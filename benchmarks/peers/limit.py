"""What hand-written SQL reaches on this machine: the yardstick. Nothing real passes it.

It has no retries, sweeper, fence, journal or history. `drain` takes mode=naive (claim one, finish one), naive10 (ten of
those at once), batch (claim 100, finish 100), fused (finish the last 100 and claim the next in one statement). `steps`
takes mode=naive (a commit per step, ten connections) or group (one writer commits whatever is ready).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, ClassVar

import asyncpg
import uvloop
from harness.adapter import Numbers
from harness.database import Sql, address, fresh_database
from harness.processes import WorkerProcess
from harness.queue_peer import QueuePeer
from harness.tally import Tally, now

from peers import limit_steps

DATABASE = "bench_limit"
SCHEMA = """
CREATE TABLE task (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, queue text NOT NULL DEFAULT 'q', kind text NOT NULL,
    status smallint NOT NULL DEFAULT 0, priority int NOT NULL DEFAULT 0, run_at timestamptz NOT NULL DEFAULT now(),
    lease_until timestamptz, worker int, attempts int NOT NULL DEFAULT 0,
    payload jsonb, result jsonb, done_at timestamptz
);
CREATE INDEX task_ready ON task (queue, priority, id) WHERE status = 0;
CREATE TABLE workflow (
    id bigint PRIMARY KEY, status smallint NOT NULL, result jsonb, updated timestamptz DEFAULT now()
);
CREATE TABLE step (workflow bigint, k int, output jsonb, at timestamptz DEFAULT now(), PRIMARY KEY (workflow, k));
"""
CLAIM = """
UPDATE task SET status = 1, worker = 1, attempts = attempts + 1, lease_until = now() + interval '60s' WHERE id IN (
    SELECT id FROM task WHERE queue = 'q' AND status = 0 AND run_at <= now()
    ORDER BY priority, id FOR UPDATE SKIP LOCKED LIMIT {limit}
) RETURNING id, kind, payload"""
FINISH_ONE = """
UPDATE task SET status = 2, result = $1::jsonb, done_at = now(), lease_until = NULL
WHERE id = $2::bigint AND status = 1"""
FINISH = """
UPDATE task AS t SET status = 2, result = d.result, done_at = now(), lease_until = NULL
FROM unnest($1::bigint[], $2::jsonb[]) AS d (id, result) WHERE t.id = d.id AND t.status = 1"""
FUSED = f"WITH finished AS ({FINISH}) {CLAIM}"
FINISH_AND_TELL = f"WITH done AS ({FINISH} RETURNING t.id) SELECT pg_notify('done', id::text) FROM done"
SUBMIT_AND_TELL = """
WITH new AS (INSERT INTO task (kind, payload) VALUES ('mark', $1::jsonb) RETURNING id),
told AS (SELECT pg_notify('new', '')) SELECT id FROM new, told"""
_PAUSE = 0.05


class Limit(QueuePeer):
    name = "limit"
    module = "peers.limit"
    packages: ClassVar[Sequence[str]] = ("asyncpg", "uvloop")
    defaults: ClassVar[Mapping[str, Mapping[str, Any]]] = {"W1": {"n": 100_000}, "W2": {"n": 100_000}}

    # --- the hooks

    def prepare(self) -> str:
        sql = Sql(fresh_database(DATABASE))
        sql.script(SCHEMA)
        sql.close()
        self._counting = Sql(DATABASE)
        return DATABASE

    @asynccontextmanager
    async def client(self) -> AsyncIterator[None]:
        self._connection = await asyncpg.connect(address(DATABASE))
        self._ends: dict[int, asyncio.Future[None]] = {}
        await self._connection.add_listener("done", self._told)
        try:
            yield
        finally:
            await self._connection.close()

    async def submit_many(self, n: int, kind: str) -> None:
        for at in range(0, n, 1000):
            await self._connection.execute(
                "INSERT INTO task (kind, payload) SELECT $1, p::jsonb FROM unnest($2::text[]) AS p",
                kind,
                [json.dumps({"i": index}) for index in range(at, min(n, at + 1000))],
            )

    def done(self) -> int:
        return int(self._counting.one("SELECT count(*) FROM task WHERE status = 2"))

    def fill(self, n: int) -> None:
        self._counting.rows(
            "INSERT INTO task (kind, payload) "
            "SELECT 'noop', jsonb_build_object('i', g) FROM generate_series(1, %s) AS g",
            n,
        )

    async def submit(self, index: int) -> asyncio.Future[None]:
        """The end is told by LISTEN/NOTIFY."""
        end = asyncio.get_running_loop().create_future()
        task = await self._connection.fetchval(SUBMIT_AND_TELL, json.dumps({"i": index}))
        self._ends[task] = end
        return end

    async def result(self, submitted: asyncio.Future[None]) -> None:
        await submitted

    def _told(self, connection: Any, pid: int, channel: str, payload: str) -> None:  # noqa: ARG002
        self._ends.pop(int(payload)).set_result(None)

    # --- the workloads that need another worker

    def drain(self, n: int, workers: int = 1, concurrency: int | None = None, **options: Any) -> Numbers:
        most = {"naive": 5_000, "naive10": 10_000}
        return super().drain(min(n, most.get(options.get("mode", ""), n)), workers, concurrency, **options)

    def waiting(self, *arguments: Any, **options: Any) -> Numbers:
        return super().waiting(*arguments, **{"mode": "batch", **options})

    def sleeping(self, n: int = 500, concurrency: int | None = None, **options: Any) -> Numbers:
        return super().sleeping(n, concurrency, **{**options, "mode": "spread"})

    def latency(self, *arguments: Any, **options: Any) -> Numbers:
        return super().latency(*arguments, **{**options, "mode": "told"})

    def steps(self, n: int = 10_000, mode: str = "group", **_: Any) -> Numbers:
        """W4: every step's output is durable before the next one begins; 100 workflows at a time."""
        self.prepare()
        return limit_steps.measure(DATABASE, n, mode)

    def children(self, n: int = 1000) -> Numbers:
        """W5: rows of children are written, claimed, finished and added up."""
        self.prepare()
        return asyncio.run(self._children(n))

    async def _children(self, n: int) -> Numbers:
        connection = await asyncpg.connect(address(DATABASE))
        self._tally = Tally.create()
        times = []
        for _ in range(5):
            began, got = now(), 0
            payloads = [json.dumps({"i": index}) for index in range(n)]
            await connection.execute(
                "INSERT INTO task (kind, payload) SELECT 'noop', p::jsonb FROM unnest($1::text[]) AS p", payloads
            )
            while got < n:
                rows = await connection.fetch(CLAIM.format(limit=500))
                results = [await self._body(row) for row in rows]
                await connection.execute(FINISH, [row["id"] for row in rows], results)
                got += len(rows)
            await connection.fetchval("SELECT sum((result ->> 'v')::int) FROM task WHERE status = 2")
            times.append(now() - began)
        return {"wall_s": round(sorted(times)[2], 4)}

    # --- its worker

    def start(self, workers: int, concurrency: int, **options: Any) -> list[WorkerProcess]:  # noqa: ARG002
        return super().start(workers, 100, **options)

    def worker(self, mode: str = "fused", concurrency: int = 100, **_: Any) -> None:
        uvloop.run(self._worker(mode, concurrency))

    async def _worker(self, mode: str, batch: int) -> None:
        self._tally = Tally.attached()
        count = {"naive10": 10, "spread": 2, "told": 2}.get(mode, 1)
        connections = [await asyncpg.connect(address(DATABASE)) for _ in range(count)]
        self._tally.gate()
        if mode == "spread":
            await self._spread(*connections)
        elif mode == "told":
            await self._told_worker(*connections)
        elif mode == "batch":
            await self._batches(connections[0], batch)
        elif mode == "fused":
            await self._fused(connections[0], batch)
        else:
            await asyncio.gather(*map(self._naive, connections))

    async def _body(self, row: Any) -> str:
        index = json.loads(row["payload"])["i"]
        if row["kind"] == "mark":
            self._tally.mark(index)
        self._tally.hit()
        if row["kind"] == "sleep":
            await asyncio.sleep(1)
        return json.dumps({"v": index})

    async def _naive(self, connection: Any) -> None:
        claim, finish = await connection.prepare(CLAIM.format(limit=1)), await connection.prepare(FINISH_ONE)
        while True:
            rows = await claim.fetch()
            for row in rows:
                await finish.fetch(await self._body(row), row["id"])
            if not rows:
                await asyncio.sleep(_PAUSE)

    async def _batches(self, connection: Any, batch: int) -> None:
        claim, finish = await connection.prepare(CLAIM.format(limit=batch)), await connection.prepare(FINISH)
        while True:
            rows = await claim.fetch()
            if rows:
                await finish.fetch([row["id"] for row in rows], [await self._body(row) for row in rows])
            else:
                await asyncio.sleep(_PAUSE)

    async def _fused(self, connection: Any, batch: int) -> None:
        fused = await connection.prepare(FUSED.format(limit=batch))
        ids: list[int] = []
        results: list[str] = []
        while True:
            rows = await fused.fetch(ids, results)
            ids, results = [row["id"] for row in rows], [await self._body(row) for row in rows]
            if not ids:
                await asyncio.sleep(_PAUSE)

    async def _spread(self, claiming: Any, finishing: Any) -> None:
        """For bodies that wait: claim what there is, finish together whatever is ready."""
        claim, finish = await claiming.prepare(CLAIM.format(limit=500)), await finishing.prepare(FINISH)
        ready: list[tuple[int, str]] = []
        bodies: set[asyncio.Task[None]] = set()

        async def body(row: Any) -> None:
            ready.append((row["id"], await self._body(row)))

        async def finisher() -> None:
            while True:
                await asyncio.sleep(0.002)
                if ready:
                    batch, ready[:] = list(ready), []
                    await finish.fetch([task for task, _ in batch], [result for _, result in batch])

        bodies.add(asyncio.create_task(finisher()))
        while True:
            bodies.update(asyncio.create_task(body(row)) for row in await claim.fetch())
            await asyncio.sleep(_PAUSE)

    async def _told_worker(self, working: Any, listening: Any) -> None:
        """LISTEN/NOTIFY both ways."""
        told = asyncio.Event()
        await listening.add_listener("new", lambda *_: told.set())
        claim, finish = await working.prepare(CLAIM.format(limit=100)), await working.prepare(FINISH_AND_TELL)
        while True:
            await told.wait()
            told.clear()
            while rows := await claim.fetch():
                await finish.fetch([row["id"] for row in rows], [await self._body(row) for row in rows])


if __name__ == "__main__":
    Limit().main()
