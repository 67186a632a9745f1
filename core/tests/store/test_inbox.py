import asyncio
import tracemalloc
from uuid import uuid4

import pytest

from agentplat.contracts.store import Committed, InboxItem, Keep, Lost, Park, Release, Store
from agentplat.domain.errors import ConflictError, InputRejected, NotFound
from agentplat.domain.events import CancelRequested, SignalReceived
from agentplat.domain.ids import TaskId
from agentplat.domain.task import Lease, TaskState

from .making import cancel, claimed, committed, ending, new_task, signal, submitted, working, writing
from .rows_held import both, holding

HOLD_QUEUE_ROW = "select 1 from agentplat.queue where task_id = %s for update"


def received(item: InboxItem) -> SignalReceived:
    return SignalReceived(name=item.name, payload=item.payload, key=item.key)


async def test_what_a_running_task_was_told_is_seen_by_its_owner(store: Store) -> None:
    claim = await claimed(store)
    task_id, worker_id = claim.lease.task_id, claim.lease.worker_id
    assert worker_id is not None
    assert not await store.woken(worker_id)
    item = signal(task_id, payload={"approved": True, "score": 1.0})
    assert await store.tell(item)
    assert await store.woken(worker_id) == [task_id]
    assert (await committed(store, claim.lease, 3)).wake
    assert await store.inbox([claim.lease]) == [item]
    assert not await store.woken(worker_id)
    assert not (await committed(store, claim.lease, 3)).wake


async def test_what_was_read_stays_until_it_is_accounted_for(store: Store) -> None:
    claim = await claimed(store)
    item = signal(claim.lease.task_id)
    await store.tell(item)
    for _ in range(2):
        assert await store.inbox([claim.lease]) == [item]
    await committed(store, claim.lease, 3, received(item), taken=[item.id])
    assert not await store.inbox([claim.lease])


async def test_items_come_in_the_order_of_their_arrival(store: Store) -> None:
    claim = await claimed(store)
    items = [signal(claim.lease.task_id, key, id=uuid4()) for key in "cabd"]
    for item in items:
        await store.tell(item)
    assert await store.inbox([claim.lease]) == items
    await committed(store, claim.lease, 3, received(items[0]), taken=[items[0].id])
    await store.tell(later := signal(claim.lease.task_id, "a later one"))
    assert await store.inbox([claim.lease]) == [*items[1:], later]


async def test_inboxes_that_are_read_together_come_task_by_task_whoever_is_asked_about_first(store: Store) -> None:
    claims = sorted([await claimed(store) for _ in range(3)], key=lambda claim: claim.lease.task_id)
    items = [signal(claim.lease.task_id, key) for claim in claims for key in ("a", "b")]
    for item in sorted(items, key=lambda item: (item.key, item.task_id), reverse=True):
        await store.tell(item)
    found = await store.inbox([claim.lease for claim in reversed(claims)])
    assert [item.task_id for item in found] == [item.task_id for item in items]
    assert [item.key for item in found] == ["b", "a"] * 3


async def test_of_two_items_with_one_key_the_first_wins_even_after_it_was_taken(store: Store) -> None:
    claim = await claimed(store)
    task_id = claim.lease.task_id
    first = signal(task_id, payload="yes")
    assert await store.tell(first)
    assert not await store.tell(signal(task_id, payload="no"))
    assert await store.inbox([claim.lease]) == [first]
    await committed(store, claim.lease, 3, received(first), taken=[first.id])
    assert not await store.tell(signal(task_id, payload="no"))
    assert await store.tell(signal(task_id, "another"))


async def test_of_concurrent_items_with_one_key_one_wins(store: Store, other_store: Store) -> None:
    claim = await claimed(store)
    items = [signal(claim.lease.task_id, payload=number) for number in range(8)]
    told = await asyncio.gather(*((store, other_store)[number % 2].tell(item) for number, item in enumerate(items)))
    assert sum(told) == 1
    assert await store.inbox([claim.lease]) == [items[told.index(True)]]


async def test_the_same_key_at_another_task_is_another_item(store: Store) -> None:
    one, two = await submitted(store), await submitted(store)
    assert await store.tell(signal(one))
    assert await store.tell(signal(two))


async def test_a_signal_does_not_read_what_came_with_earlier_ones(store: Store) -> None:
    claim = await claimed(store)
    came = [signal(claim.lease.task_id, f"number {number}", payload="x" * 500_000) for number in range(20)]
    await committed(store, claim.lease, 3, *map(received, came))
    tracemalloc.start()
    try:
        assert await store.tell(signal(claim.lease.task_id, "a new one"))
        assert not await store.tell(signal(claim.lease.task_id, "number 19"))
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 2_000_000, "the payloads are 10,000,000 bytes"


async def test_an_unknown_task_hears_nothing(store: Store) -> None:
    with pytest.raises(NotFound):
        await store.tell(signal(TaskId(uuid4())))


async def test_a_payload_that_cannot_be_kept_is_refused_and_wakes_nobody(store: Store) -> None:
    claim = await claimed(store)
    assert claim.lease.worker_id is not None
    with pytest.raises(InputRejected):
        await store.tell(signal(claim.lease.task_id, payload="\x00"))
    assert not await store.woken(claim.lease.worker_id)


# --- waking ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wake_after", [None, 3600.0])
async def test_a_parked_task_is_claimable_as_soon_as_it_is_told_something(
    store: Store, wake_after: float | None
) -> None:
    claim = await claimed(store)
    task_id, worker_id = claim.lease.task_id, claim.lease.worker_id
    assert worker_id is not None
    await committed(store, claim.lease, 3, closing=Park(wake_after=wake_after))
    assert (await store.task(task_id)).status is TaskState.WAITING
    await store.tell(signal(task_id))
    assert (await store.task(task_id)).status is TaskState.PENDING
    [again] = await store.claim(worker_id, 1)
    assert await store.woken(worker_id) == [task_id]
    assert len(await store.inbox([again.lease])) == 1


@pytest.mark.parametrize("closing", [Park(wake_after=None), Park(wake_after=3600.0), Release()])
async def test_a_task_that_was_told_something_before_it_was_given_back_is_claimable_at_once(
    store: Store, closing: Park | Release
) -> None:
    claim = await claimed(store)
    task_id, worker_id = claim.lease.task_id, claim.lease.worker_id
    assert worker_id is not None
    await store.tell(signal(task_id))
    assert (await committed(store, claim.lease, 3, closing=closing)).wake
    assert (await store.task(task_id)).status is TaskState.PENDING
    assert len(await store.claim(worker_id, 1)) == 1
    assert await store.woken(worker_id) == [task_id]


@pytest.mark.parametrize("is_read", [False, True])
async def test_what_is_left_to_others_waits_for_them_and_the_next_owner_reads_what_it_was_told(
    store: Store, *, is_read: bool
) -> None:
    """Were it claimable at once, whoever cannot work on it would claim it again, for ever."""
    claim = await claimed(store)
    task_id, worker_id = claim.lease.task_id, claim.lease.worker_id
    assert worker_id is not None
    await store.tell(signal(task_id))
    if is_read:
        assert len(await store.inbox([claim.lease])) == 1
    await committed(store, claim.lease, 3, closing=Release(delay=0.5, reason="no agent here"))
    assert await store.claim(worker_id, 1) == []
    async with asyncio.timeout(30):
        while not (again := await store.claim(worker_id, 1)):  # noqa: ASYNC110 - only time makes it claimable
            await asyncio.sleep(0.05)
    assert await store.woken(worker_id) == [task_id]
    assert again[0].wake
    assert len(await store.inbox([again[0].lease])) == 1


async def test_no_wake_up_is_lost_however_parking_and_telling_meet(store: Store, other_store: Store) -> None:
    worker_id = await working(store)
    for _ in range(10):
        claim = await claimed(store, worker_id)
        park = writing(claim.lease, 3, closing=Park(wake_after=None))
        [result], told = await asyncio.gather(store.commit([park]), other_store.tell(signal(claim.lease.task_id)))
        assert isinstance(result, Committed)
        assert told
        [again] = await store.claim(worker_id, 1)
        assert len(await store.inbox([again.lease])) == 1
        await committed(store, again.lease, 3, closing=ending(again.lease, 3).closing)


async def test_a_teller_that_commits_before_the_park_leaves_the_task_ready(
    store_on_postgres: Store, postgres_url: str
) -> None:
    store = store_on_postgres
    claim = await claimed(store)
    async with holding(postgres_url, HOLD_QUEUE_ROW, claim.lease.task_id) as held:
        tell = await held.behind(store.tell(signal(claim.lease.task_id)))
        park = await held.behind(store.commit([writing(claim.lease, 3, closing=Park(wake_after=None))]))
        await held.release()
        told, [result] = await both(tell, park)
    assert told
    assert result.wake
    assert (await store.task(claim.lease.task_id)).status is TaskState.PENDING


async def test_a_teller_that_commits_after_the_park_finds_nobody_and_makes_the_task_ready(
    store_on_postgres: Store, postgres_url: str
) -> None:
    store = store_on_postgres
    claim = await claimed(store)
    async with holding(postgres_url, HOLD_QUEUE_ROW, claim.lease.task_id) as held:
        park = await held.behind(store.commit([writing(claim.lease, 3, closing=Park(wake_after=None))]))
        tell = await held.behind(store.tell(signal(claim.lease.task_id)))
        await held.release()
        [result], told = await both(park, tell)
    assert told
    assert not result.wake
    assert (await store.task(claim.lease.task_id)).status is TaskState.PENDING


async def test_a_teller_behind_the_end_of_the_task_is_told_so(store_on_postgres: Store, postgres_url: str) -> None:
    store = store_on_postgres
    claim = await claimed(store)
    async with holding(postgres_url, HOLD_QUEUE_ROW, claim.lease.task_id) as held:
        end = await held.behind(store.commit([ending(claim.lease, 3)]))
        tell = await held.behind(store.tell(signal(claim.lease.task_id)))
        await held.release()
        [result] = await end
        assert isinstance(result, Committed)
        with pytest.raises(ConflictError):
            await tell


async def test_an_item_that_arrives_between_the_look_and_the_park_is_not_lost(
    store_on_postgres: Store, postgres_url: str
) -> None:
    store = store_on_postgres
    claim = await claimed(store)
    async with holding(postgres_url, HOLD_QUEUE_ROW, claim.lease.task_id) as held:
        look = await held.behind(store.inbox([claim.lease]))
        tell = await held.behind(store.tell(signal(claim.lease.task_id)))
        await held.release()
        items, _ = await both(look, tell)
    assert not items
    assert (await committed(store, claim.lease, 3, closing=Park(wake_after=None))).wake
    assert (await store.task(claim.lease.task_id)).status is TaskState.PENDING


async def test_whoever_lost_the_task_neither_reads_its_inbox_nor_clears_its_mark(store: Store) -> None:
    stale = await claimed(store)
    assert stale.lease.worker_id is not None
    await store.expire_worker(stale.lease.worker_id)
    worker_id = await working(store)
    [current] = await store.claim(worker_id, 1)
    await store.tell(signal(stale.lease.task_id))
    assert not await store.inbox([stale.lease, Lease(stale.lease.task_id, 2, None)])
    assert await store.woken(worker_id) == [stale.lease.task_id]
    assert len(await store.inbox([current.lease])) == 1


async def test_a_wake_up_that_a_crash_swallowed_is_repaired_by_a_sweep(store: Store) -> None:
    claim = await claimed(store)
    await store.tell(item := signal(claim.lease.task_id))
    await store.inbox([claim.lease])  # it is read, and then forgotten
    await committed(store, claim.lease, 3, closing=Park(wake_after=None))
    assert (await store.task(claim.lease.task_id)).status is TaskState.WAITING
    assert (await store.sweep()).woken == 1
    [again] = await store.claim(await working(store), 1)
    assert await store.inbox([again.lease]) == [item]
    assert (await store.sweep()).woken == 0


@pytest.mark.parametrize("end", ["expire", "deregister", "disown"])
async def test_what_an_owner_had_read_and_not_accounted_for_wakes_the_next_owner(store: Store, end: str) -> None:
    claim = await claimed(store)
    worker_id = claim.lease.worker_id
    assert worker_id is not None
    await store.tell(item := cancel(claim.lease.task_id))
    assert await store.inbox([claim.lease]) == [item]
    match end:
        case "expire":
            await store.expire_worker(worker_id)
        case "deregister":
            await store.deregister_worker(worker_id)
        case _:
            await store.disown(worker_id, ())
    [again] = await store.claim(await working(store), 1)
    assert again.wake, "nobody would tell it that it is to be cancelled"
    assert await store.inbox([again.lease]) == [item]


async def test_a_sweep_leaves_alone_what_an_owner_has_read_and_not_yet_accounted_for(store: Store) -> None:
    claim = await claimed(store)
    assert claim.lease.worker_id is not None
    await store.tell(signal(claim.lease.task_id))
    await store.inbox([claim.lease])
    assert (await store.sweep()).woken == 0
    assert not await store.woken(claim.lease.worker_id)
    [result] = await store.commit([writing(claim.lease, 3, closing=Keep())])
    assert not isinstance(result, Lost)


# --- cancelling --------------------------------------------------------------------------------------------


async def test_a_cancel_shows_at_once_and_is_told_once(store: Store) -> None:
    claim = await claimed(store)
    task_id = claim.lease.task_id
    before = await store.task(task_id)
    assert await store.tell(cancel(task_id))
    row = await store.task(task_id)
    assert (before.cancel_requested, row.cancel_requested, row.status) == (False, True, TaskState.RUNNING)
    assert row.updated_at >= before.updated_at
    assert not await store.tell(cancel(task_id))
    [item] = await store.inbox([claim.lease])
    assert (item.kind, item.payload) == ("cancel", "on request")
    await committed(store, claim.lease, 3, CancelRequested(reason="on request"), taken=[item.id])
    assert not await store.tell(cancel(task_id))


async def test_a_cancel_does_not_wait_for_a_delay_but_a_signal_does(store: Store) -> None:
    worker_id = await working(store)
    later = [new_task(delay=3600.0) for _ in range(2)]
    await store.submit(later)
    await store.tell(signal(later[0].id))
    await store.tell(cancel(later[1].id))
    assert [claim.lease.task_id for claim in await store.claim(worker_id, 5)] == [later[1].id]
