"""More that is due at one moment than one transaction of a sweep takes."""

from agentplat.contracts.store import Park, Store
from agentplat.domain.ids import TaskId
from agentplat.runtime.sweeper import sweep_once

from .making import new_task, signal, working, writing
from .outside import execute

MANY = 2_100  # a sweep takes a thousand of each in one transaction


async def parked(store: Store, wake_after: float | None) -> TaskId:
    """One of so many tasks that wait, beside a worker that lives."""
    worker_id = await working(store)
    await store.submit([new_task() for _ in range(MANY)])
    claims = await store.claim(worker_id, MANY)
    await store.commit([writing(claim.lease, 2, closing=Park(wake_after=wake_after)) for claim in claims])
    return claims[0].lease.task_id


async def swept(store: Store, database_url: str) -> tuple[int, float]:
    """How often it was swept until nothing was left, and how long the sweepers would have paused meanwhile."""
    sweeps, paused = 0, 0.0
    while True:
        pause = await sweep_once(store)
        sweeps += 1
        if not execute(database_url, "select 1 from agentplat.queue where not ready and crashes < 3"):
            return sweeps, paused
        paused += pause


async def test_timers_that_are_due_together_fire_together(store: Store, database_url: str) -> None:
    await parked(store, 0.0)
    assert await swept(store, database_url) == (3, 0.1)


async def test_wake_ups_that_were_swallowed_together_are_repaired_together(store: Store, database_url: str) -> None:
    await store.tell(signal(await parked(store, None)))
    execute(
        database_url,
        "insert into agentplat.inbox (task_id, number, id, tenant_id, kind, key, name, payload, at) "
        "select q.task_id, 1, q.task_id, i.tenant_id, i.kind, i.key, i.name, i.payload, i.at "
        "from agentplat.queue as q, agentplat.inbox as i where q.task_id <> i.task_id",
    )
    assert await swept(store, database_url) == (3, 0.1)
