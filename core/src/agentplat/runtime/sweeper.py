"""The loop that returns the tasks of dead workers and fires timers. Any number may run, in any process."""

from __future__ import annotations

import asyncio
import contextlib
import random

from agentplat import telemetry
from agentplat.contracts.store import Hint, Store
from agentplat.domain.errors import UnavailableError
from agentplat.engine.client.steering import end_poisoned

_LONGEST = 10.0  # seconds: every process sweeps for its own timers, and for those of processes that are gone
_SHORTEST = 0.05
_JITTER = 0.05  # many sweepers must not all come for one dead worker in the same moment


async def sweep_forever(store: Store) -> None:
    """Sweep until cancelled: whenever something is due, and now and then. A database that is away is waited for."""
    sooner = asyncio.Event()
    store.subscribe(lambda hint: sooner.set() if hint is Hint.TIMER else None)
    while True:
        sooner.clear()
        pause = _LONGEST
        try:
            pause = await sweep_once(store)
        except UnavailableError as error:
            telemetry.log.warning(telemetry.STORE_AWAY, detail=error.detail)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause + _JITTER * random.random()):  # noqa: S311
                await sooner.wait()


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
