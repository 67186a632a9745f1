import asyncio
from collections import Counter

from agentplat.contracts.store import Park, Release, Store
from agentplat.domain.task import TaskState

from .making import EXPIRED, block, claimed, committed, new_task, new_worker, started, submitted, working


async def test_a_claim_gives_what_a_worker_needs_to_begin(store: Store) -> None:
    task = new_task(definition="abc", parent_span="1" * 16)
    await store.submit([task])
    worker_id = await working(store)
    [claim] = await store.claim(worker_id, 5)
    row = await store.task(task.id)
    assert (claim.lease.task_id, claim.lease.worker_id, claim.lease.fence) == (task.id, worker_id, 1)
    assert (claim.tenant, claim.type, claim.definition) == (task.tenant, task.type, "abc")
    assert (claim.trace_id, claim.parent_span, claim.suspect) == (task.trace_id, "1" * 16, False)
    assert claim.submitted_at == row.created_at <= claim.now
    assert (row.status, row.worker_id, row.fence) == (TaskState.RUNNING, worker_id, 1)


async def test_a_claim_brings_of_a_long_journal_only_its_beginning(store: Store) -> None:
    short, long = await claimed(store), await claimed(store)
    await committed(store, short.lease, 3, *[block() for _ in range(5)])
    await committed(store, long.lease, 3, *[block() for _ in range(2_000)])
    for claim, events in ((short, 7), (long, 2_002)):
        await committed(store, claim.lease, 0, closing=Release())
        [again] = await store.claim(await working(store), 1)
        assert again.is_whole == (claim is short)
        assert len(again.journal) == (events if again.is_whole else 100)
        whole = await store.journal(claim.lease.task_id)
        assert len(whole) == events
        assert whole[: len(again.journal)] == again.journal


async def test_a_claim_never_exceeds_its_limit(store: Store) -> None:
    await store.submit([new_task() for _ in range(7)])
    worker_id = await working(store)
    sizes = [len(await store.claim(worker_id, limit)) for limit in (0, 1, 3, 10, 10)]
    assert sizes == [0, 1, 3, 3, 0]


async def test_claimers_at_one_time_never_share_a_task_and_leave_none(store: Store, other_store: Store) -> None:
    await store.submit([new_task() for _ in range(60)])
    workers = [await working(store) for _ in range(6)]

    async def claim_all(number: int) -> list[object]:
        found: list[object] = []
        while claims := await (store, other_store)[number % 2].claim(workers[number], 4):
            assert len(claims) <= 4
            found += [claim.lease.task_id for claim in claims]
        return found

    found = await asyncio.gather(*(claim_all(number) for number in range(6)))
    counted = Counter(task_id for part in found for task_id in part)
    assert len(counted) == 60
    assert set(counted.values()) == {1}


async def test_higher_priority_goes_first_then_the_older_task(store: Store) -> None:
    tasks = [new_task(priority=priority) for priority in (0, 5, -1, 5, 0)]
    for task in tasks:
        await store.submit([task])
    order = [tasks[index].id for index in (1, 3, 0, 4, 2)]
    assert [claim.lease.task_id for claim in await store.claim(await working(store), 10)] == order


async def test_one_place_goes_to_the_highest_priority(store: Store) -> None:
    tasks = [new_task(priority=priority) for priority in (0, 5, 1)]
    for task in tasks:
        await store.submit([task])
    worker_id = await working(store)
    order = [(await store.claim(worker_id, 1))[0].lease.task_id for _ in tasks]
    assert order == [tasks[index].id for index in (1, 2, 0)]


async def test_a_worker_takes_from_its_own_queues_only_in_their_order(store: Store) -> None:
    fast, slow, other = new_task(queue="fast"), new_task(queue="slow", priority=9), new_task(queue="other")
    await store.submit([slow, other, fast])
    worker_id = await working(store)
    assert not await store.claim(worker_id, 5)
    claims = await store.claim(worker_id, 5, queues=("fast", "slow"))
    assert [claim.lease.task_id for claim in claims] == [fast.id, slow.id]
    assert not await store.claim(worker_id, 0, queues=("other",))


async def test_a_worker_that_is_not_registered_gets_nothing(store: Store) -> None:
    await submitted(store)
    assert not await store.claim(new_worker().id, 1)
    assert await store.claim_suspect(new_worker().id) is None


async def test_a_worker_whose_lease_has_ended_gets_nothing_until_it_is_renewed(store: Store) -> None:
    await submitted(store)
    worker_id = await working(store, EXPIRED)
    assert not await store.claim(worker_id, 1)
    assert await store.renew_worker(worker_id, 60.0)
    assert len(await store.claim(worker_id, 1)) == 1


async def test_registering_again_prolongs_the_lease(store: Store) -> None:
    worker = new_worker()
    await store.register_worker(worker, EXPIRED)
    await store.register_worker(worker, 60.0)
    await submitted(store)
    assert len(await store.claim(worker.id, 1)) == 1


async def test_the_fence_grows_at_every_claim_and_never_restarts(store: Store) -> None:
    fences = []
    claim = await claimed(store)
    for seq in (3, 4, 5):
        fences.append(claim.lease.fence)
        await committed(store, claim.lease, seq, started(), closing=Release())
        assert claim.lease.worker_id is not None
        [claim] = await store.claim(claim.lease.worker_id, 1)
    assert [*fences, claim.lease.fence] == [1, 2, 3, 4]


async def test_a_parked_task_is_not_claimed(store: Store) -> None:
    claim = await claimed(store)
    await committed(store, claim.lease, 3, closing=Park(wake_after=None))
    assert not await store.claim(await working(store), 1)
    assert (await store.task(claim.lease.task_id)).status is TaskState.WAITING


async def test_a_suspect_is_left_to_those_who_run_it_alone(store: Store) -> None:
    claim = await claimed(store)
    await committed(store, claim.lease, 3, started(), under_way=True)
    assert claim.lease.worker_id is not None
    await store.expire_worker(claim.lease.worker_id)
    worker_id = await working(store)
    assert not await store.claim(worker_id, 1)
    suspect = await store.claim_suspect(worker_id)
    assert suspect is not None
    assert suspect.suspect
    assert suspect.lease.fence == 2
    assert await store.claim_suspect(worker_id) is None


async def test_a_task_without_a_step_under_way_is_no_suspect(store: Store) -> None:
    claim = await claimed(store)
    assert claim.lease.worker_id is not None
    await store.expire_worker(claim.lease.worker_id)
    worker_id = await working(store)
    assert await store.claim_suspect(worker_id) is None
    [again] = await store.claim(worker_id, 1)
    assert not again.suspect
