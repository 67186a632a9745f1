import subprocess
import sys
from uuid import uuid4

import pytest

from agentplat.contracts.store import Store
from agentplat.domain.errors import StoreUnavailable
from agentplat.domain.task import TaskState
from agentplat.store.renewal import Renewal

from .making import EXPIRED, claimed, committed, started, submitted, working
from .outside import execute


async def test_a_renewal_prolongs_the_lease(store: Store, database_url: str) -> None:
    worker_id = await working(store, EXPIRED)
    await submitted(store)
    with Renewal(database_url) as renewal:
        assert renewal.renew(worker_id, 60.0)
        assert renewal.renew(worker_id, 60.0)
    assert len(await store.claim(worker_id, 1)) == 1
    assert not (await store.sweep()).workers


async def test_a_renewal_after_the_sweep_says_that_the_lease_is_lost(store: Store, database_url: str) -> None:
    worker_id = await working(store, EXPIRED)
    await store.sweep()
    with Renewal(database_url) as renewal:
        assert not renewal.renew(worker_id, 60.0)
        assert not renewal.renew(uuid4(), 60.0)


async def test_a_dead_worker_is_expired_as_a_sweep_would(store: Store, database_url: str) -> None:
    claim = await claimed(store)
    assert claim.lease.worker_id is not None
    await committed(store, claim.lease, 3, started(), under_way=True)
    with Renewal(database_url) as renewal:
        renewal.expire(claim.lease.worker_id)
        renewal.expire(claim.lease.worker_id)
    assert (await store.task(claim.lease.task_id)).status is TaskState.PENDING
    assert await store.claim_suspect(await working(store)) is not None


async def test_the_task_to_blame_counts_a_crash(store: Store, database_url: str) -> None:
    task_id = await submitted(store)
    with Renewal(database_url) as renewal:
        for _ in range(3):
            worker_id = await working(store)
            if not await store.claim(worker_id, 1):
                assert await store.claim_suspect(worker_id) is not None
            renewal.expire(worker_id, blame=task_id)
    assert [lease.task_id for lease in (await store.sweep()).poisoned] == [task_id]


async def test_a_task_on_which_a_worker_decided_when_it_died_is_suspect_and_poisoned_after_three_deaths_alone(
    store: Store, database_url: str
) -> None:
    task_id, neighbour = await submitted(store), await submitted(store)
    with Renewal(database_url) as renewal:
        worker_id = await working(store)
        assert len(await store.claim(worker_id, 2)) == 2
        renewal.expire(worker_id, doing=task_id)
        [claim] = await store.claim(await working(store), 2)
        assert claim.lease.task_id == neighbour, "and the other one is not suspect"
        for _ in range(3):
            assert (await store.sweep()).poisoned == ()
            worker_id = await working(store)
            suspect = await store.claim_suspect(worker_id)
            assert suspect is not None
            assert suspect.lease.task_id == task_id
            renewal.expire(worker_id, doing=task_id)
    assert [lease.task_id for lease in (await store.sweep()).poisoned] == [task_id]


async def test_a_task_that_another_worker_has_by_now_is_not_suspected(store: Store, database_url: str) -> None:
    before, now = await working(store), await working(store)
    task_id = await submitted(store)
    assert len(await store.claim(now, 1)) == 1
    with Renewal(database_url) as renewal:
        renewal.expire(before, doing=task_id)
        renewal.expire(now)
    assert len(await store.claim(await working(store), 1)) == 1


async def test_a_failure_leaves_a_renewal_that_works_again(store: Store, database_url: str) -> None:
    worker_id = await working(store)
    with Renewal(database_url) as renewal:
        execute(database_url, "alter table agentplat.workers rename to hidden")
        with pytest.raises(StoreUnavailable):
            renewal.renew(worker_id, 60.0)
        prefix = "agentplat." if database_url.startswith("postgresql") else ""
        execute(database_url, f"alter table {prefix}hidden rename to workers")
        assert renewal.renew(worker_id, 60.0)


@pytest.mark.parametrize("url", ["sqlite:////nowhere/at/all.db", "postgresql://nobody@/none?host=/nowhere"])
def test_a_database_that_is_not_there_is_unavailable(url: str) -> None:
    with Renewal(url) as renewal, pytest.raises(StoreUnavailable):
        renewal.renew(uuid4(), 60.0)


def test_the_keeper_loads_neither_sqlalchemy_nor_anything_else_that_is_heavy() -> None:
    heavy = ["sqlalchemy", "pydantic", "structlog", "opentelemetry", "stevedore", "httpx", "asyncio"]
    code = f"import sys, agentplat.store.renewal; print([name for name in {heavy} if name in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"
