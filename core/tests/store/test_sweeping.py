import asyncio

import pytest
from agentplat_testkit.pytest_plugin import needs_own_sessions

from agentplat.contracts.hints import Hint
from agentplat.contracts.store import Claim, Committed, Lost, Park, Store
from agentplat.domain.ids import WorkerId
from agentplat.domain.task import Lease, TaskState
from agentplat.store.connect import open_store

from .making import (
    EXPIRED,
    block,
    claimed,
    committed,
    ending,
    kinds,
    new_task,
    signal,
    started,
    submitted,
    succeeded,
    working,
    writing,
)
from .outside import execute
from .rows_held import both, deadlocks, holding

HOLD_QUEUE_ROW = "select 1 from agentplat.queue where task_id = %s for update"


def owner(claim: Claim) -> WorkerId:
    assert claim.lease.worker_id is not None
    return claim.lease.worker_id


async def under_way(store: Store) -> Claim:
    """A claimed task whose step is under way; the journal ends at 3."""
    claim = await claimed(store)
    await committed(store, claim.lease, 3, started(), under_way=True)
    return claim


async def crashed_alone(store: Store, seq: int) -> int:
    """One death of a worker that ran the suspect alone; returns the number of the next event."""
    worker_id = await working(store)
    suspect = await store.claim_suspect(worker_id)
    assert suspect is not None
    await committed(store, suspect.lease, seq, started(), under_way=True)
    await store.expire_worker(worker_id)
    return seq + 1


# --- expiry and loss ---------------------------------------------------------------------------------------


async def test_the_tasks_of_a_worker_whose_lease_ended_are_claimable_after_a_sweep(store: Store) -> None:
    claims = [await claimed(store) for _ in range(2)]
    worker_id = await working(store)
    assert not (await store.sweep()).workers
    await store.renew_worker(owner(claims[0]), EXPIRED)
    assert not await store.claim(worker_id, 5)
    swept = await store.sweep()
    assert (list(swept.workers), swept.returned) == ([owner(claims[0])], 1)
    [again] = await store.claim(worker_id, 5)
    assert (again.lease.task_id, again.lease.fence) == (claims[0].lease.task_id, 2)
    await committed(store, claims[1].lease, 3, block())


async def test_an_expired_worker_that_renews_before_the_sweep_has_lost_nothing(store: Store) -> None:
    claim = await claimed(store)
    await store.renew_worker(owner(claim), EXPIRED)
    assert await store.renew_worker(owner(claim), 60.0)
    assert not (await store.sweep()).workers
    await committed(store, claim.lease, 3, block())


async def test_a_worker_that_was_swept_cannot_renew_and_cannot_claim(store: Store) -> None:
    worker_id = await working(store, EXPIRED)
    await store.sweep()
    await submitted(store)
    assert not await store.renew_worker(worker_id, 60.0)
    assert not await store.claim(worker_id, 1)


async def test_of_many_sweepers_each_dead_worker_is_swept_by_one(store: Store, other_store: Store) -> None:
    workers = [await working(store) for _ in range(6)]
    for worker_id in workers:
        await claimed(store, worker_id)
        await store.renew_worker(worker_id, EXPIRED)
    sweeps = await asyncio.gather(*(sweeper.sweep() for sweeper in (store, other_store) * 2))
    assert sorted(worker_id for swept in sweeps for worker_id in swept.workers) == sorted(workers)
    assert sum(swept.returned for swept in sweeps) == 6


async def test_leaving_in_good_order_returns_the_tasks_and_is_no_crash(store: Store) -> None:
    claim = await under_way(store)
    await store.deregister_worker(owner(claim))
    worker_id = await working(store)
    [again] = await store.claim(worker_id, 1)
    assert not again.suspect
    assert not await store.renew_worker(owner(claim), 60.0)


async def test_a_dead_worker_that_is_reported_twice_is_expired_once(store: Store) -> None:
    claim = await under_way(store)
    for _ in range(3):
        await store.expire_worker(owner(claim), blame=claim.lease.task_id)
    assert (await store.task(claim.lease.task_id)).status is TaskState.PENDING
    assert not (await store.sweep()).poisoned


async def test_a_sweep_keeps_what_others_told_the_task(store: Store) -> None:
    claim = await claimed(store)
    await store.tell(item := signal(claim.lease.task_id))
    await store.expire_worker(owner(claim))
    worker_id = await working(store)
    [again] = await store.claim(worker_id, 1)
    assert await store.woken(worker_id) == [claim.lease.task_id]
    assert await store.inbox([again.lease]) == [item]


# --- on PostgreSQL, in a given order -----------------------------------------------------------------------


async def test_a_sweeper_behind_the_end_of_a_task_does_not_bring_it_back(
    store_on_postgres: Store, postgres_url: str
) -> None:
    store = store_on_postgres
    claim = await claimed(store)
    async with holding(postgres_url, HOLD_QUEUE_ROW, claim.lease.task_id) as held:
        end = await held.behind(store.commit([ending(claim.lease, 3)]))
        expire = await held.behind(store.expire_worker(owner(claim)))
        await held.release()
        [result], _ = await both(end, expire)
    assert isinstance(result, Committed)
    assert (await store.task(claim.lease.task_id)).status is TaskState.DONE
    assert not await store.claim(await working(store), 1)


async def test_a_sweeper_behind_a_park_does_not_wake_the_task(store_on_postgres: Store, postgres_url: str) -> None:
    store = store_on_postgres
    claim = await claimed(store)
    async with holding(postgres_url, HOLD_QUEUE_ROW, claim.lease.task_id) as held:
        park = await held.behind(store.commit([writing(claim.lease, 3, closing=Park(wake_after=None))]))
        expire = await held.behind(store.expire_worker(owner(claim)))
        await held.release()
        await both(park, expire)
    assert (await store.task(claim.lease.task_id)).status is TaskState.WAITING


async def test_a_commit_behind_a_sweeper_finds_its_lease_lost(store_on_postgres: Store, postgres_url: str) -> None:
    store = store_on_postgres
    claim = await claimed(store)
    async with holding(postgres_url, HOLD_QUEUE_ROW, claim.lease.task_id) as held:
        expire = await held.behind(store.expire_worker(owner(claim)))
        end = await held.behind(store.commit([ending(claim.lease, 3)]))
        await held.release()
        _, [result] = await both(expire, end)
    assert isinstance(result, Lost)
    assert await kinds(store, claim.lease.task_id) == ["TaskSubmitted", "TaskClaimed"]


async def test_a_claim_behind_the_sweeper_of_its_own_worker_gets_nothing(
    store_on_postgres: Store, postgres_url: str
) -> None:
    store = store_on_postgres
    worker_id = await working(store)
    task_id = await submitted(store)
    async with holding(postgres_url, "delete from agentplat.workers where id = %s", worker_id) as held:
        claim = await held.behind(store.claim(worker_id, 1))
        await held.release()
        assert not await claim
    assert (await store.task(task_id)).fence == 0


async def test_a_sweeper_passes_over_a_worker_that_is_claiming(store_on_postgres: Store, postgres_url: str) -> None:
    store = store_on_postgres
    worker_id = await working(store, EXPIRED)
    async with holding(postgres_url, "select 1 from agentplat.workers where id = %s for key share", worker_id):
        assert not (await store.sweep()).workers
    assert list((await store.sweep()).workers) == [worker_id]


async def test_a_claimer_passes_over_a_row_that_is_being_written(store_on_postgres: Store, postgres_url: str) -> None:
    store = store_on_postgres
    held_task, free_task = await submitted(store, priority=1), await submitted(store)
    worker_id = await working(store)
    async with holding(postgres_url, HOLD_QUEUE_ROW, held_task):
        assert [claim.lease.task_id for claim in await store.claim(worker_id, 2)] == [free_task]
    assert [claim.lease.task_id for claim in await store.claim(worker_id, 2)] == [held_task]


@needs_own_sessions
async def test_batches_that_meet_in_another_order_do_not_deadlock(store_on_postgres: Store, postgres_url: str) -> None:
    store = store_on_postgres
    claims = [await claimed(store) for _ in range(4)]
    async with holding(postgres_url, HOLD_QUEUE_ROW, claims[0].lease.task_id) as held:
        first = await held.behind(store.commit([writing(claim.lease, 3, block()) for claim in claims]))
        second = await held.behind(store.commit([writing(claim.lease, 3, started()) for claim in claims[::-1]]))
        look = await held.behind(store.inbox([claim.lease for claim in claims[::-1]]))
        await held.release()
        kept, refused, _ = await both(first, second, look)
    assert all(isinstance(result, Committed) for result in kept)
    assert all(isinstance(result, Lost) for result in refused)
    await store.close()
    assert await deadlocks(postgres_url) == 0


async def test_a_sweeper_that_finds_another_one_at_work_looks_again_soon(
    store_on_postgres: Store, postgres_url: str
) -> None:
    store = store_on_postgres
    claim = await claimed(store)
    await working(store)  # whose lease ends much later
    execute(postgres_url, "update agentplat.workers set lease_until = now() where id = :id", id=str(owner(claim)))
    hold = "select 1 from agentplat.workers where id = %s for update"
    async with holding(postgres_url, hold, owner(claim)):
        busy = await store.sweep()
        assert not busy.workers
        assert busy.next_expiry is not None
        assert busy.next_expiry <= 1.0
    # The other one died, and took nothing with it.
    assert list((await store.sweep()).workers) == [owner(claim)]


async def test_what_another_sweeper_returned_before_it_died_is_looked_for(
    store_on_postgres: Store, postgres_url: str
) -> None:
    store, other = store_on_postgres, open_store(postgres_url)
    worker_id = await working(store, EXPIRED)
    heard: list[Hint] = []
    unsubscribe = store.subscribe(heard.append)
    async with holding(postgres_url, "select 1 from agentplat.workers where id = %s for update", worker_id):
        await store.sweep()
    assert list((await other.sweep()).workers) == [worker_id]
    assert heard == []
    await store.sweep()
    assert heard == [Hint.WORK, Hint.SUSPECT], "whoever returned the tasks may not have lived to say so"
    await store.sweep()
    assert heard == [Hint.WORK, Hint.SUSPECT]
    unsubscribe()
    await other.close()


@needs_own_sessions
async def test_a_sweeper_and_a_batch_of_the_same_worker_do_not_deadlock(
    store_on_postgres: Store, postgres_url: str
) -> None:
    store = store_on_postgres
    worker_id = await working(store)
    # Claimed last, the oldest task's row lies behind the others: an update without an order comes to it last.
    await store.submit([new_task(priority=priority) for priority in (-1, 0, 0)])
    claims = [claim for _ in range(3) for claim in await store.claim(worker_id, 1)]
    claims.sort(key=lambda claim: claim.lease.task_id)
    batch = [writing(claim.lease, 2, block()) for claim in claims]
    async with holding(postgres_url, HOLD_QUEUE_ROW, claims[0].lease.task_id) as held:
        commit = await held.behind(store.commit(batch))
        expire = await held.behind(store.expire_worker(worker_id))
        await held.release()
        results, _ = await both(commit, expire)
    assert all(isinstance(result, Committed) for result in results)
    await store.close()
    assert await deadlocks(postgres_url) == 0


# --- crashes and poison ------------------------------------------------------------------------------------


async def test_three_deaths_alone_with_a_step_under_way_poison_a_task(store: Store) -> None:
    task_id = (first := await under_way(store)).lease.task_id
    await store.expire_worker(owner(first))  # suspected from here on, not a crash yet
    seq = 4
    for _ in range(3):
        assert not (await store.sweep()).poisoned
        seq = await crashed_alone(store, seq)
    worker_id = await working(store)
    assert await store.claim_suspect(worker_id) is None
    assert not await store.claim(worker_id, 1)
    lease = Lease(task_id, 4, None)
    for _ in range(2):  # at every sweep, until somebody ends it
        assert list((await store.sweep()).poisoned) == [lease]
    assert (await store.task(task_id)).status is TaskState.PENDING
    await store.commit([ending(lease, seq, TaskState.ERROR)])
    assert (await store.task(task_id)).status is TaskState.ERROR
    assert not (await store.sweep()).poisoned


async def test_what_a_poisoned_task_is_told_does_not_make_it_claimable(store: Store) -> None:
    first = await under_way(store)
    await store.expire_worker(owner(first))
    seq = 4
    for _ in range(3):
        seq = await crashed_alone(store, seq)
    await store.tell(signal(first.lease.task_id))
    swept = await store.sweep()
    assert (swept.woken, len(swept.poisoned)) == (0, 1)
    assert await store.claim_suspect(await working(store)) is None


async def test_the_healthy_neighbours_of_a_killer_have_not_crashed(store: Store) -> None:
    tasks = [new_task() for _ in range(3)]
    await store.submit(tasks)
    seq = 2
    for _ in range(5):  # five workers die with all three under way
        worker_id = await working(store)
        claims = list(await store.claim(worker_id, 3))
        for claim in claims:
            await committed(store, claim.lease, seq, started(), under_way=True)
        await store.expire_worker(worker_id)
        for _ in claims:  # each is run alone, and gets on
            alone = await working(store)
            suspect = await store.claim_suspect(alone)
            assert suspect is not None
            await committed(store, suspect.lease, seq + 1, succeeded())
            await store.deregister_worker(alone)
        seq += 2
    assert not (await store.sweep()).poisoned


async def test_a_death_before_the_step_began_is_no_crash_and_the_suspicion_stays(store: Store) -> None:
    await store.expire_worker(owner(await under_way(store)))
    for _ in range(5):
        worker_id = await working(store)
        assert await store.claim_suspect(worker_id) is not None
        await store.expire_worker(worker_id)
    assert not (await store.sweep()).poisoned


async def test_a_step_that_succeeded_clears_the_suspicion_and_the_crashes(store: Store) -> None:
    await store.expire_worker(owner(await under_way(store)))
    seq = await crashed_alone(store, 4)
    seq = await crashed_alone(store, seq)
    worker_id = await working(store)
    suspect = await store.claim_suspect(worker_id)
    assert suspect is not None
    await committed(store, suspect.lease, seq, succeeded())
    await store.deregister_worker(worker_id)
    again = await working(store)
    [claim] = await store.claim(again, 1)
    assert not claim.suspect
    await committed(store, claim.lease, seq + 1, started(), under_way=True)
    await store.expire_worker(again)
    await crashed_alone(store, seq + 2)
    assert not (await store.sweep()).poisoned


async def test_the_step_whose_deadline_killed_the_worker_counts_a_crash_at_once(store: Store) -> None:
    claims = [await under_way(store)]
    neighbour = new_task()
    await store.submit([neighbour])
    [beside] = await store.claim(owner(claims[0]), 1)
    await committed(store, beside.lease, 2, started(), under_way=True)
    await store.expire_worker(owner(claims[0]), blame=claims[0].lease.task_id)
    seq = 4
    for _ in range(2):
        worker_id = await working(store)
        suspects = [await store.claim_suspect(worker_id), await store.claim_suspect(worker_id)]
        guilty = next(each for each in suspects if each and each.lease.task_id == claims[0].lease.task_id)
        await committed(store, guilty.lease, seq, started(), under_way=True)
        await store.expire_worker(worker_id, blame=guilty.lease.task_id)  # one crash, not two
        seq += 1
    assert [lease.task_id for lease in (await store.sweep()).poisoned] == [claims[0].lease.task_id]


# --- timers ------------------------------------------------------------------------------------------------


async def test_a_timer_that_is_due_makes_its_task_claimable(store: Store) -> None:
    due, later, never = [await claimed(store) for _ in range(3)]
    await committed(store, due.lease, 3, closing=Park(wake_after=0.0))
    await committed(store, later.lease, 3, closing=Park(wake_after=3600.0))
    await committed(store, never.lease, 3, closing=Park(wake_after=None))
    worker_id = await working(store)
    assert not await store.claim(worker_id, 5)
    assert (await store.sweep()).woken == 1
    assert [claim.lease.task_id for claim in await store.claim(worker_id, 5)] == [due.lease.task_id]
    assert (await store.sweep()).woken == 0


async def test_the_next_expiry_is_that_of_the_earliest_lease_or_timer(store: Store) -> None:
    assert (await store.sweep()).next_expiry is None
    await working(store, 600.0)
    next_expiry = (await store.sweep()).next_expiry
    assert next_expiry is not None
    assert 300.0 < next_expiry <= 600.0
    claim = await claimed(store, await working(store, 3600.0))
    await committed(store, claim.lease, 3, closing=Park(wake_after=100.0))
    next_expiry = (await store.sweep()).next_expiry
    assert next_expiry is not None
    assert 50.0 < next_expiry <= 100.0


@pytest.mark.parametrize("number", [1500])
async def test_more_timers_than_one_sweep_takes_are_fired_by_the_next(store: Store, number: int) -> None:
    worker_id = await working(store)
    await store.submit([new_task() for _ in range(number)])
    claims = await store.claim(worker_id, number)
    await store.commit([writing(claim.lease, 2, closing=Park(wake_after=0.0)) for claim in claims])
    fired = 0
    while woken := (await store.sweep()).woken:
        fired += woken
    assert fired == number
