"""W4 by hand: checkpoints of workflows of ten steps, each durable before the next one begins."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import uvloop
from harness.adapter import Numbers, per_second
from harness.database import Counters, Sql, address
from harness.tally import now

STEPS, AT_ONCE = 10, 100
_STEP = "INSERT INTO step (workflow, k, output) SELECT * FROM unnest($1::bigint[], $2::int[], $3::jsonb[])"
_WORKFLOW = """INSERT INTO workflow (id, status, result)
SELECT * FROM unnest({0}::bigint[], {1}::smallint[], {2}::jsonb[])
ON CONFLICT (id) DO UPDATE SET status = excluded.status, result = excluded.result, updated = now()"""
_BOTH = f"WITH steps AS ({_STEP}) {_WORKFLOW.format('$4', '$5', '$6')}"
_ALONE = _WORKFLOW.format("$1", "$2", "$3")

Save = Callable[[str, int, int, Any], Awaitable[None]]
"""`step` or `workflow`, of which workflow, its number or status, and the value. Durable when it returns."""


class GroupWriter:
    """Commits everything that is ready in one statement; while it does, the next lot gathers."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._pending: list[tuple[str, int, int, str, asyncio.Future[None]]] = []
        self._arrived = asyncio.Event()

    async def save(self, what: str, workflow: int, number: int, value: Any) -> None:
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._pending.append((what, workflow, number, json.dumps(value), done))
        self._arrived.set()
        await done

    async def serve(self) -> None:
        both = await self._connection.prepare(_BOTH)
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            batch, self._pending = self._pending, []
            steps = [item for item in batch if item[0] == "step"]
            workflows = [item for item in batch if item[0] == "workflow"]
            await both.fetch(*_columns(steps), *_columns(workflows))
            for item in batch:
                item[4].set_result(None)


def _columns(items: list[tuple[str, int, int, str, asyncio.Future[None]]]) -> list[list[Any]]:
    return [[item[column] for item in items] for column in (1, 2, 3)]


def measure(database: str, n: int, mode: str, rounds: int = 3) -> Numbers:
    """The median of three rounds of `n` workflows."""
    counters, sql = Counters(database), Sql(database)

    async def rounds_of() -> list[tuple[float, float, dict[str, float]]]:
        save, stop = await (_naive if mode == "naive" else _group)(database)
        found = []
        for number in range(1, rounds + 1):
            before, began, cpu = counters.snapshot(), now(), time.process_time()
            await _workflows(n, number * 10_000_000, save)
            seconds, used = now() - began, time.process_time() - cpu
            found.append((seconds, used, counters.per_unit(before, counters.snapshot(), n * STEPS)))
        await stop()
        return found

    seconds, used, unit = sorted(uvloop.run(rounds_of()), key=lambda found: found[0])[rounds // 2]
    return {
        "steps_per_s": per_second(n * STEPS, seconds),
        "workflows_per_s": per_second(n, seconds),
        "wall_s": round(seconds, 3),
        "unit": unit,
        "own_cpu_ms": round(used * 1000 / n / STEPS, 4),
        "done": sql.one("SELECT count(*) FROM workflow WHERE status = 2"),
    }


async def _workflows(n: int, base: int, save: Save) -> None:
    room = asyncio.Semaphore(AT_ONCE)

    async def step(value: int) -> int:
        return value + 1

    async def one(workflow: int) -> None:
        async with room:
            await save("workflow", workflow, 1, None)
            value = 0
            for number in range(STEPS):
                value = await step(value)
                await save("step", workflow, number, value)
            await save("workflow", workflow, 2, value)

    await asyncio.gather(*[one(base + number) for number in range(n)])


async def _group(database: str) -> tuple[Save, Callable[[], Awaitable[None]]]:
    connection = await asyncpg.connect(address(database))
    writer = GroupWriter(connection)
    serving = asyncio.create_task(writer.serve())

    async def stop() -> None:
        serving.cancel()
        await connection.close()

    return writer.save, stop


async def _naive(database: str) -> tuple[Save, Callable[[], Awaitable[None]]]:
    pool = await asyncpg.create_pool(address(database), min_size=10, max_size=10, reset=_keep)

    async def save(what: str, workflow: int, number: int, value: Any) -> None:
        async with pool.acquire() as connection:
            await connection.execute(_STEP if what == "step" else _ALONE, [workflow], [number], [json.dumps(value)])

    return save, pool.close


async def _keep(connection: Any) -> None:
    """Nothing: a RESET at every release would be three more statements."""
