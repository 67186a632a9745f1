"""The store reads no clock of its process: hours ahead or behind, everything is due by the database's."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import time_machine

from agentplat.contracts.store import Park, Release, Store

from .making import EXPIRED, block, claimed, committed, new_task, working

HOUR = 3600.0
SHIFT = timedelta(hours=30)


@pytest.fixture(params=[SHIFT, -SHIFT], ids=["ahead", "behind"], autouse=True)
def shifted(request: pytest.FixtureRequest) -> Iterator[datetime]:
    """The true time at the beginning, while the process believes another one."""
    true = datetime.now(UTC)
    with time_machine.travel(true + request.param, tick=True):
        believed = datetime.now(UTC)
        assert abs(believed - true) > SHIFT / 2, "the fault did not strike"
        yield true


async def test_a_timer_is_due_by_the_databases_clock(store: Store) -> None:
    later, now = await claimed(store), await claimed(store)
    await committed(store, later.lease, 3, closing=Park(wake_after=HOUR))
    await committed(store, now.lease, 3, closing=Park(wake_after=0.0))
    swept = await store.sweep()
    assert swept.woken == 1
    worker_id = await working(store)
    assert [claim.lease.task_id for claim in await store.claim(worker_id, 5)] == [now.lease.task_id]
    assert swept.next_expiry is not None
    assert swept.next_expiry < HOUR


async def test_a_delay_is_over_by_the_databases_clock(store: Store) -> None:
    tasks = [new_task(), new_task(delay=HOUR)]
    await store.submit(tasks)
    worker_id = await working(store)
    [claim] = await store.claim(worker_id, 5)
    assert claim.lease.task_id == tasks[0].id
    await committed(store, claim.lease, 2, closing=Release(delay=HOUR))
    assert not await store.claim(worker_id, 5)


async def test_a_lease_ends_by_the_databases_clock(store: Store) -> None:
    claim = await claimed(store)
    assert not (await store.sweep()).workers
    assert claim.lease.worker_id is not None
    assert await store.renew_worker(claim.lease.worker_id, HOUR)
    assert not (await store.sweep()).workers
    await store.renew_worker(claim.lease.worker_id, EXPIRED)
    assert list((await store.sweep()).workers) == [claim.lease.worker_id]


async def test_what_is_written_is_of_the_databases_time(store: Store, shifted: datetime) -> None:
    claim = await claimed(store)
    result = await committed(store, claim.lease, 3, block())
    row = await store.task(claim.lease.task_id)
    times = [result.at, claim.now, claim.submitted_at, row.created_at, row.updated_at]
    times += [recorded.at for recorded in await store.journal(row.id)]
    times += [audited.at for audited in await store.audit()]
    assert all(abs(at - shifted) < timedelta(hours=1) for at in times), times
