"""A connection that breaks at a COMMIT: whether it was kept is unknown, and must be found out, not guessed."""

import asyncio
from collections.abc import AsyncIterator
from typing import Protocol

import pytest
from agentplat_testkit.pytest_plugin import needs_own_sessions
from agentplat_testkit.relay import Relay
from psycopg import AsyncConnection

from agentplat.contracts.interface import TaskFilter
from agentplat.contracts.store import Closing, Committed, Definition, Keep, Park, Release, Store
from agentplat.domain.task import Lease, TaskState
from agentplat.store.address import Address
from agentplat.store.connect import open_store

from .making import (
    block,
    claimed,
    ending,
    kinds,
    new_task,
    new_worker,
    signal,
    started,
    submitted,
    working,
    writing,
)


class Cut(Protocol):
    def __call__(self, relay: Relay, at: int = ..., *, of: str = ...) -> None: ...


@pytest.fixture
async def relay_and_store(postgres_url: str) -> AsyncIterator[tuple[Relay, Store]]:
    with Relay(postgres_url) as relay:
        store = open_store(relay.url)
        await store.open()
        yield relay, store
        await store.close()
    assert relay.struck.total() >= 1, "the fault did not strike"
    assert not relay.is_armed


@pytest.fixture
def relay(relay_and_store: tuple[Relay, Store]) -> Relay:
    return relay_and_store[0]


@pytest.fixture
def store(relay_and_store: tuple[Relay, Store]) -> Store:
    return relay_and_store[1]


@pytest.fixture(params=[Relay.cut_commit, Relay.cut_acknowledgement], ids=["before", "after"])
def cut(request: pytest.FixtureRequest) -> Cut:
    cut: Cut = request.param
    return cut


@pytest.mark.parametrize("closing", [Keep(), Park(wake_after=None)], ids=lambda each: type(each).__name__)
async def test_a_commit_that_is_cut_at_any_of_its_bytes_is_kept_once(
    relay: Relay, store: Store, cut: Cut, closing: Closing
) -> None:
    worker_id, at = await working(store), 0
    while at == 0 or at <= relay.cut_size:
        claim = await claimed(store, worker_id)
        cut(relay, at, of="journal")
        [result] = await store.commit([writing(claim.lease, 3, block(at), closing=closing)])
        assert isinstance(result, Committed), at
        assert (await kinds(store, claim.lease.task_id))[2:] == ["BlockStarted"]
        at += 1
        assert relay.struck.total() == at


@pytest.mark.parametrize("closing", [Keep(), Park(wake_after=None), Release()], ids=lambda each: type(each).__name__)
async def test_a_commit_is_kept_once_and_known_as_kept(relay: Relay, store: Store, cut: Cut, closing: Closing) -> None:
    claim = await claimed(store)
    cut(relay)
    [result] = await store.commit([writing(claim.lease, 3, started(), block(), closing=closing)])
    assert isinstance(result, Committed)
    journal = await store.journal(claim.lease.task_id)
    assert [recorded.seq for recorded in journal] == [1, 2, 3, 4]
    assert journal[-1].at == result.at


@pytest.mark.parametrize("owned", [True, False])
async def test_an_end_is_kept_once_and_known_as_kept(relay: Relay, store: Store, cut: Cut, owned: bool) -> None:
    if owned:
        write = ending((await claimed(store)).lease, 3)
    else:
        write = ending(Lease(await submitted(store), 0, None), 2, TaskState.CANCELLED)
    cut(relay)
    [result] = await store.commit([write])
    assert isinstance(result, Committed)
    assert (await kinds(store, write.lease.task_id)).count("TaskFinished") == 1
    assert sum(row.task_id == write.lease.task_id for row in await store.audit()) == 2


async def test_a_batch_is_accepted_once(relay: Relay, store: Store, cut: Cut) -> None:
    tasks = [new_task(idempotency_key="k", fingerprint="1"), new_task(definition="abc")]
    cut(relay)
    results = await store.submit(tasks, [Definition(hash="abc", name="n", version=None, document={})])
    assert [(result.task_id, result.created) for result in results] == [(task.id, True) for task in tasks]
    assert len(await store.tasks(TaskFilter())) == len(await store.audit()) == 2


@needs_own_sessions  # a pooler may drop what it has not passed on of a client that has gone
@pytest.mark.parametrize("batch", [1, 2])
async def test_a_task_whose_first_commit_is_still_under_way_is_accepted_once(
    relay: Relay, store: Store, postgres_url: str, batch: int
) -> None:
    tasks = [new_task() for _ in range(batch)]
    waiting = b"SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    async with await AsyncConnection.connect(Address.parse(postgres_url).libpq) as beside:
        await beside.execute(b"LOCK TABLE agentplat.audit IN EXCLUSIVE MODE")
        relay.cut_commit(10**9, of="audit")  # all of it has arrived
        submitting = asyncio.create_task(store.submit(tasks))
        async with await AsyncConnection.connect(Address.parse(postgres_url).libpq, autocommit=True) as looking:
            async with asyncio.timeout(15):
                while (await (await looking.execute(waiting)).fetchone()) != (2,):  # noqa: ASYNC110 - the second waits for the first
                    await asyncio.sleep(0.02)
        await beside.rollback()
    results = await submitting

    assert [(result.task_id, result.created) for result in results] == [(task.id, True) for task in tasks]
    assert len(await store.tasks(TaskFilter())) == len(await store.audit()) == batch


async def test_what_was_claimed_reaches_the_worker(relay: Relay, store: Store, cut: Cut) -> None:
    await store.submit([new_task() for _ in range(3)])
    worker_id = await working(store)
    cut(relay)
    claims = await store.claim(worker_id, 2)
    assert [claim.lease.fence for claim in claims] == [1, 1]
    running = await store.tasks(TaskFilter(status=TaskState.RUNNING))
    assert {row.id for row in running} == {claim.lease.task_id for claim in claims}
    for claim in claims:
        [result] = await store.commit([writing(claim.lease, 2, block())])
        assert isinstance(result, Committed)


async def test_what_was_told_is_told_once(relay: Relay, store: Store, cut: Cut) -> None:
    claim = await claimed(store)
    item = signal(claim.lease.task_id)
    cut(relay)
    assert await store.tell(item)
    assert await store.inbox([claim.lease]) == [item]
    assert not await store.tell(signal(claim.lease.task_id))


async def test_a_worker_is_registered_and_its_tasks_are_returned(relay: Relay, store: Store, cut: Cut) -> None:
    worker = new_worker()
    cut(relay)
    await store.register_worker(worker, 60.0)
    await claimed(store, worker.id)
    await store.expire_worker(worker.id)
    assert not await store.renew_worker(worker.id, 60.0)
