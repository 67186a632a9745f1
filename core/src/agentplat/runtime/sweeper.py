"""The loop that returns the tasks of dead workers and fires timers. Any number may run, in any process."""

from __future__ import annotations

import asyncio
import random

from agentplat import telemetry
from agentplat.contracts.store import Store
from agentplat.domain.errors import UnavailableError
from agentplat.engine.client.steering import end_poisoned

_LONGEST = 1.0  # seconds: a timer that was set a moment ago by another process is not known here
_SHORTEST = 0.05


async def sweep_forever(store: Store) -> None:
    """Sweep until cancelled. A database that is away is waited for."""
    while True:
        pause = _LONGEST
        try:
            pause = await sweep_once(store)
        except UnavailableError as error:
            telemetry.log.warning(telemetry.STORE_AWAY, detail=error.detail)
        await asyncio.sleep(pause * random.uniform(0.8, 1.2))  # noqa: S311


async def sweep_once(store: Store) -> float:
    """One sweep; returns the seconds until the next one is worth while."""
    swept = await store.sweep()
    if swept.workers:
        telemetry.WORKERS_LOST.inc(len(swept.workers))
        telemetry.log.warning(telemetry.WORKERS_SWEPT, workers=len(swept.workers), tasks=swept.returned)
    for lease in swept.poisoned:
        if await end_poisoned(store, lease):
            telemetry.log.error(telemetry.TASK_POISONED, task_id=str(lease.task_id))
    due = swept.next_expiry if swept.next_expiry is not None else _LONGEST
    return min(max(due, _SHORTEST), _LONGEST)
