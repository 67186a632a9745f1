"""W4 of queues that know no workflows: a chain in which each task enqueues the next one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from harness.adapter import Numbers, per_second
from harness.database import Counters
from harness.processes import WorkerProcess, wait_for
from harness.queue_peer import QueuePeer
from harness.tally import Tally, now

STEPS = 10
_SETTLING = 1.5


def measure_chains(
    peer: QueuePeer, n: int, submit_first: Callable[[int], Awaitable[Any]], concurrency: int | None = None
) -> Numbers:
    """`submit_first` enqueues the first task of `n` chains; `peer.done` counts every task of a chain."""
    database, tally = peer.prepare(), Tally.create()
    counters = peer.counters(database)
    started = peer.start(1, concurrency or peer.concurrency)
    try:
        wait_for(lambda: tally.waiting() >= 1, 60, "the worker", started)
        tally.open_gate()
        return asyncio.run(_measured(peer, n, submit_first, counters, started))
    finally:
        for worker in started:
            worker.stop()
        tally.remove()


async def _measured(
    peer: QueuePeer,
    n: int,
    submit_first: Callable[[int], Awaitable[Any]],
    counters: Counters,
    started: list[WorkerProcess],
) -> Numbers:
    async with peer.client():
        await asyncio.sleep(_SETTLING)
        before, cpu, began = counters.snapshot(), started[0].cpu_seconds(), now()
        await submit_first(n)
        wait_for(lambda: peer.done() >= n * STEPS, 240, "the chains", started)
        wall, used = now() - began, started[0].cpu_seconds()
        after = counters.snapshot()
    return {
        "steps_per_s": per_second(n * STEPS, wall),
        "workflows_per_s": per_second(n, wall),
        "wall_s": round(wall, 3),
        "unit": counters.per_unit(before, after, n * STEPS),
        "own_cpu_ms": round((used - cpu) * 1000 / (n * STEPS), 4),
        "done": peer.done(),
        "top": counters.top(),
    }
