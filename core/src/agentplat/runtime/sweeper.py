"""The loops that look after the database. Any number may run, in any process.

One returns the tasks of dead workers, and fires timers and schedules. The other, now and then, removes what was kept
long enough: of several processes one does it, a little at a time, and the others leave it to that one.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from contextlib import aclosing

from agentplat import telemetry
from agentplat.contracts.hints import Hint
from agentplat.contracts.store import Store
from agentplat.contracts.stored.retention import Retention, Upkept
from agentplat.domain.errors import UnavailableError
from agentplat.engine.client.schedules.firing import Scheduler
from agentplat.engine.client.steering import end_poisoned, recall_children

_SOONER = (Hint.TIMER, Hint.DELAY)
_LONGEST = 10.0  # seconds: every process sweeps for its own timers, and for those of processes that are gone
_SHORTEST = 0.05
_JITTER = 0.05  # many sweepers must not all come for one dead worker in the same moment
_FIRST_UPKEEP = 60.0
_UPKEEP = 3600.0
_BREATH = 0.05


async def sweep_forever(store: Store, scheduler: Scheduler | None = None) -> None:
    """Sweep until cancelled: whenever something is due, and now and then. A database that is away is waited for.

    Without a scheduler, schedules are left to others.
    """
    sooner = asyncio.Event()
    store.subscribe(lambda hint: sooner.set() if hint in _SOONER else None)
    while True:
        sooner.clear()
        pause = _LONGEST
        try:
            if scheduler is not None:
                await scheduler.follow()
            pause = await sweep_once(store, scheduler)
        except UnavailableError as error:
            telemetry.log.warning(telemetry.STORE_AWAY, detail=error.detail)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause + _JITTER * random.random()):  # noqa: S311
                await sooner.wait()


async def sweep_once(store: Store, scheduler: Scheduler | None = None) -> float:
    """One sweep; returns the seconds until the next one is worth while."""
    swept = await store.sweep()
    if swept.workers:
        telemetry.WORKERS_LOST.inc(len(swept.workers))
        telemetry.log.warning(telemetry.WORKERS_SWEPT, workers=len(swept.workers), tasks=swept.returned)
    for lease in swept.poisoned:
        if await end_poisoned(store, lease):
            telemetry.log.error(telemetry.TASK_POISONED, task_id=str(lease.task_id))
    if swept.schedules and scheduler is not None:
        await scheduler.fire()
        return _SHORTEST  # the next time is known to the database
    due = swept.next_expiry if swept.next_expiry is not None else _LONGEST
    return min(max(due, _SHORTEST), _LONGEST)


async def upkeep_forever(store: Store, retention: Retention) -> None:
    """Upkeep until cancelled, from a minute after the start on."""
    pause = _FIRST_UPKEEP
    while True:
        # Jitter: processes that were started together must not all find the same thing to do.
        await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311
        try:
            await upkeep_once(store, retention)
        except UnavailableError as error:
            telemetry.log.warning(telemetry.STORE_AWAY, detail=error.detail)
            pause = _FIRST_UPKEEP
        else:
            pause = _UPKEEP


async def upkeep_once(store: Store, retention: Retention) -> None:
    """One pass of upkeep, and of children that outlived their parents. The database rests after each step."""
    async with aclosing(store.upkeep(retention)) as steps:
        began = time.monotonic()
        async for step in steps:
            took = time.monotonic() - began
            _tell(step)
            await asyncio.sleep(_BREATH + 2 * took)
            began = time.monotonic()
    for task_id in await store.survived():
        await recall_children(store, task_id)


def _tell(step: Upkept) -> None:
    for table, removed in step.rows.items():
        telemetry.ROWS_REMOVED.labels(table).inc(removed)
    if step.made or step.dropped:
        telemetry.log.info(telemetry.PARTITIONS_CHANGED, made=list(step.made), dropped=list(step.dropped))
    for partition, reason in step.put_off.items():
        telemetry.log.warning(telemetry.PARTITION_PUT_OFF, partition=partition, reason=reason)
