"""How many tasks run at one time under a limit, and how many start within a time."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import pytest

from agentplat.contracts.hints import Hint
from agentplat.contracts.interface import TaskFilter
from agentplat.contracts.limits import Limit
from agentplat.contracts.store import Claim, Park, Release, Store
from agentplat.domain.errors import InputRejected
from agentplat.domain.ids import TaskId, WorkerId
from agentplat.domain.task import TaskState

from .making import committed, ending, new_task, started, working, writing

KEY = "printer"


async def limited(store: Store, tenant: str = "north", key: str = KEY, **values: Any) -> None:
    await store.set_limit(Limit(tenant=tenant, key=key, **values), "somebody")


async def waiting(store: Store, number: int, **values: Any) -> list[TaskId]:
    tasks = [new_task(**{"concurrency_key": KEY, **values}) for _ in range(number)]
    await store.submit(tasks)
    return [task.id for task in tasks]


async def ended(store: Store, *claims: Claim) -> None:
    for claim in claims:
        await store.commit([ending(claim.lease, len(claim.journal) + 1)])


async def test_no_more_run_at_one_time_than_the_limit_says(store: Store) -> None:
    await limited(store, at_once=2)
    await waiting(store, 5)
    worker_id = await working(store)
    claims = list(await store.claim(worker_id, 10))
    assert len(claims) == 2
    assert not await store.claim(worker_id, 10)
    await ended(store, claims.pop())
    assert len(await store.claim(worker_id, 10)) == 1


async def test_a_limit_is_about_its_own_key_and_tenant(store: Store) -> None:
    await limited(store, at_once=1)
    await waiting(store, 3)
    others: list[dict[str, Any]] = [{"concurrency_key": None}, {"concurrency_key": "scanner"}, {"tenant": "south"}]
    for values in others:
        await waiting(store, 3, **values)
    worker_id = await working(store)
    found = [claim for _ in range(5) for claim in await store.claim(worker_id, 20)]
    assert len(found) == 10


async def test_a_limit_of_a_tenant_counts_all_its_tasks_in_every_queue(store: Store) -> None:
    await limited(store, key="", at_once=3)
    await waiting(store, 2)
    await waiting(store, 2, concurrency_key=None)
    await waiting(store, 2, concurrency_key=None, queue="slow")
    worker_id = await working(store)
    assert len(await store.claim(worker_id, 2)) == 2
    assert len(await store.claim(worker_id, 9, queues=("slow", "default"))) == 1
    assert not await store.claim(worker_id, 9, queues=("slow", "default"))


async def test_both_limits_of_a_task_hold(store: Store) -> None:
    await limited(store, at_once=2)
    await limited(store, key="", at_once=3)
    await waiting(store, 5, priority=1)
    await waiting(store, 5, concurrency_key=None)
    worker_id = await working(store)
    claims = await store.claim(worker_id, 10)
    assert len(claims) == 3
    assert sum(row.limit.key == KEY and row.running == 2 for row in await store.limits()) == 1


async def test_what_is_held_back_does_not_hold_up_what_is_behind_it(store: Store) -> None:
    await limited(store, at_once=1)
    await waiting(store, 1200, priority=9)
    behind = [*await waiting(store, 1, concurrency_key=None), *await waiting(store, 1, concurrency_key="scanner")]
    worker_id = await working(store)
    found = [claim.lease.task_id for _ in range(3) for claim in await store.claim(worker_id, 1)]
    assert found[1:] == behind
    assert not await store.claim(worker_id, 10)


async def test_the_higher_priority_goes_first_under_a_limit_too(store: Store) -> None:
    await limited(store, at_once=1)
    for priority in (0, 3, 1):
        await waiting(store, 1, priority=priority)
    worker_id = await working(store)
    priorities = []
    for _ in range(3):
        [claim] = await store.claim(worker_id, 5)
        priorities.append((await store.task(claim.lease.task_id)).priority)
        await ended(store, claim)
    assert priorities == [3, 1, 0]


async def test_a_limit_of_none_holds_everything_until_it_is_removed(store: Store) -> None:
    await limited(store, at_once=0)
    await waiting(store, 2)
    worker_id = await working(store)
    assert not await store.claim(worker_id, 5)
    assert await store.remove_limit("north", KEY, "somebody")
    assert not await store.remove_limit("north", KEY, "somebody")
    found = [claim for _ in range(2) for claim in await store.claim(worker_id, 5)]
    assert len(found) == 2


async def test_a_limit_that_is_lowered_takes_nothing_away(store: Store) -> None:
    await limited(store, at_once=3)
    await waiting(store, 6)
    worker_id = await working(store)
    claims = list(await store.claim(worker_id, 5))
    await limited(store, at_once=1)
    await ended(store, *claims[:2])
    assert not await store.claim(worker_id, 5)
    await ended(store, claims[2])
    assert len(await store.claim(worker_id, 5)) == 1


@pytest.mark.parametrize("how", ["parked", "released", "left", "died", "ended"])
async def test_whatever_takes_a_task_from_its_worker_makes_room(store: Store, how: str) -> None:
    await limited(store, at_once=1)
    await waiting(store, 2)
    worker_id, other = await working(store), await working(store)
    [claim] = await store.claim(worker_id, 5)
    assert not await store.claim(other, 5)
    if how == "parked":
        await committed(store, claim.lease, 2, closing=Park(wake_after=None))
    elif how == "released":
        await committed(store, claim.lease, 2, closing=Release(delay=60.0))
    elif how == "left":
        await store.deregister_worker(worker_id)
    elif how == "died":
        await store.expire_worker(worker_id)
    else:
        await ended(store, claim)
    assert len(await store.claim(other, 5)) == 1
    assert not await store.claim(other, 5)


async def test_of_two_suspects_one_under_a_limit_each_is_claimed_by_who_knows_it(store: Store) -> None:
    await limited(store, at_once=5)
    tasks = [*await waiting(store, 1, concurrency_key=None), *await waiting(store, 1)]
    dead = await working(store)
    for claim in await store.claim(dead, 5):
        await committed(store, claim.lease, 2, started(), under_way=True)
    await store.expire_worker(dead)
    worker_id = await working(store)
    known: list[TaskId] = []
    while (found := await store.claim_suspect(worker_id)) is not None:
        known.append(found.lease.task_id)
        assert await store.disown(worker_id, known) == []
    assert sorted(known) == sorted(tasks)


async def test_a_suspect_counts_and_waits_like_every_other(store: Store) -> None:
    await limited(store, at_once=1)
    [suspect] = await waiting(store, 1)
    worker_id, other = await working(store), await working(store)
    [claim] = await store.claim(worker_id, 1)
    await committed(store, claim.lease, 2, started(), under_way=True)
    await store.expire_worker(worker_id)
    await waiting(store, 1)
    [claim] = await store.claim(other, 1)
    assert await store.claim_suspect(other) is None
    await ended(store, claim)
    found = await store.claim_suspect(other)
    assert found is not None
    assert found.lease.task_id == suspect
    await waiting(store, 1)
    assert not await store.claim(other, 1)


@asynccontextmanager
async def watched(store: Store, most: int, keys: Sequence[str]) -> AsyncIterator[list[int]]:
    """Counts, again and again, how many run; the highest number is the first of the list."""
    seen = [0, 0]

    async def watch() -> None:
        while True:
            rows = await store.tasks(TaskFilter(status=TaskState.RUNNING, limit=1000))
            running = max((sum(row.concurrency_key == key for row in rows) for key in keys), default=0)
            seen[:] = [max(seen[0], running), seen[1] + 1]
            await asyncio.sleep(0)

    watching = asyncio.create_task(watch())
    try:
        yield seen
    finally:
        watching.cancel()
        await asyncio.wait([watching])
    assert seen[0] <= most


@pytest.mark.parametrize("most", [1, 3])
async def test_claimers_at_one_time_never_exceed_a_limit(store: Store, other_store: Store, most: int) -> None:
    """Hundreds of rounds, in which workers end their tasks, park them, hand them back, and die.

    From two queues: claimers of one queue would choose the same task, of which only one gets the lock.
    """
    await limited(store, at_once=most)
    for queue in ("default", "slow"):
        await waiting(store, 125, queue=queue)
    fate = random.Random(7)
    counted, begun, over, died = 0, 0, 0, 0

    async def work(number: int) -> None:
        nonlocal counted, begun, over, died
        mine = (store, other_store)[number % 2]
        worker_id = await working(mine)
        empty = 0
        while over < 250 and empty < 1_000:
            claims = await mine.claim(worker_id, 3, queues=(("default", "slow")[number // 2 % 2],))
            counted, begun = counted + len(claims), begun + len(claims)
            assert counted <= most
            empty = 0 if claims else empty + 1
            await asyncio.sleep(fate.choice([0, 0.001]))
            ways = fate.choices(["end", "park", "release", "die"], [6, 1, 1, 1], k=len(claims))
            if "die" in ways:
                counted, died = counted - len(claims), died + 1
                await mine.expire_worker(worker_id)
                worker_id = await working(mine)
                continue
            for claim, way in zip(claims, ways, strict=True):
                counted -= 1
                if way == "end":
                    over += 1
                    await ended(mine, claim)
                else:
                    closing = Park(wake_after=0.0) if way == "park" else Release()
                    await mine.commit([writing(claim.lease, len(claim.journal) + 1, closing=closing)])
                    await mine.sweep()

    async with watched(store, most, [KEY]) as seen:
        await asyncio.gather(*(work(number) for number in range(6)))
    assert over == 250
    assert begun > 250
    assert died >= 5
    assert seen[1] >= 100


async def test_a_full_key_with_many_others_open_is_found_past(store: Store) -> None:
    await limited(store, at_once=1)
    await limited(store, key="scanner", at_once=2)
    await waiting(store, 3)
    await waiting(store, 4, concurrency_key="scanner")
    for number in range(6):
        await waiting(store, 1, concurrency_key=f"free-{number}")
    worker_id = await working(store)
    found = [claim for _ in range(12) for claim in await store.claim(worker_id, 2)]
    keys = [(await store.task(claim.lease.task_id)).concurrency_key for claim in found]
    assert sorted(str(key) for key in keys) == [*(f"free-{n}" for n in range(6)), KEY, "scanner", "scanner"]


async def test_a_rate_lets_so_many_start_within_its_time(store: Store) -> None:
    await limited(store, starts=3, seconds=3600.0)
    await waiting(store, 5)
    worker_id = await working(store)
    claims = await store.claim(worker_id, 2)
    await ended(store, *claims)
    assert [len(await store.claim(worker_id, 5)) for _ in range(2)] == [1, 0]
    [row] = await store.limits()
    assert (row.running, row.started) == (1, 3)


async def test_a_rate_holds_in_every_time_of_its_length(store: Store, other_store: Store) -> None:
    """By the database's clock: the claims say when they were."""
    await limited(store, starts=4, seconds=1.0)
    await waiting(store, 16)
    moments: list[datetime] = []

    async def work(mine: Store) -> None:
        worker_id = await working(mine)
        while len(moments) < 16:
            moments.extend(claim.now for claim in await mine.claim(worker_id, 3))
            await asyncio.sleep(0.005)

    await asyncio.gather(work(store), work(other_store), work(store))
    moments.sort()
    # `now` is read a moment after the claim has counted, so a later claim may seem nearer than it is.
    gaps = [(later - earlier).total_seconds() for earlier, later in zip(moments, moments[4:], strict=False)]
    assert len(moments) == 16
    assert (moments[-1] - moments[0]).total_seconds() >= 3 * 1.0 - 0.4
    assert min(gaps) > 0.4


async def test_a_sweep_knows_when_a_rate_has_room_and_says_so(store: Store) -> None:
    await limited(store, starts=1, seconds=2.0)
    await waiting(store, 2)
    worker_id = await working(store)
    heard: list[Hint] = []
    store.subscribe(heard.append)
    assert len(await store.claim(worker_id, 5)) == 1
    assert Hint.TIMER in heard
    swept = await store.sweep()
    assert swept.next_expiry is not None
    assert 0 <= swept.next_expiry <= 2.0
    heard.clear()
    await asyncio.sleep(2.05)
    await store.sweep()
    assert Hint.WORK in heard
    assert len(await store.claim(worker_id, 5)) == 1


async def test_room_that_came_before_any_sweep_looked_is_a_hint_that_there_is_work(store: Store) -> None:
    await limited(store, starts=1, seconds=0.1)
    worker_id = await working(store)
    await waiting(store, 2)
    assert len(await store.claim(worker_id, 2)) == 1
    await asyncio.sleep(0.2)
    heard: list[Hint] = []
    store.subscribe(heard.append)
    await store.sweep()
    assert Hint.WORK in heard, "and nobody would look before the next poll"
    heard.clear()
    await store.sweep()
    assert heard == [], "once is enough"


async def test_the_end_of_a_limited_task_is_a_hint_that_there_is_work(store: Store) -> None:
    await limited(store, at_once=1)
    await waiting(store, 2)
    worker_id = await working(store)
    [claim] = await store.claim(worker_id, 5)
    heard: list[Hint] = []
    store.subscribe(heard.append)
    await ended(store, claim)
    assert Hint.WORK in heard


async def test_a_task_that_waits_names_the_limit(store: Store) -> None:
    await limited(store, at_once=1)
    first, second = await waiting(store, 2)
    worker_id = await working(store)
    assert (await store.task(second)).reason is None
    await store.claim(worker_id, 5)
    assert (await store.task(first)).reason is None
    reason = "waits for the limit `printer`: 1 of 1 running"
    assert (await store.task(second)).reason == reason
    assert {row.id: row.reason for row in await store.tasks(TaskFilter())} == {first: None, second: reason}
    [row] = await store.limits()
    assert row.full_since is not None


async def test_the_limit_of_a_tenant_and_a_rate_are_named_too(store: Store) -> None:
    await limited(store, key="", at_once=0)
    await limited(store, tenant="south", starts=1, seconds=60.0)
    [mine] = await waiting(store, 1, concurrency_key=None)
    theirs = await waiting(store, 2, tenant="south")
    await store.claim(await working(store), 5)
    assert (await store.task(mine)).reason == "waits for the limit of the tenant `north`: 0 of 0 running"
    expected = "waits for the limit `printer`: 1 of 1 started within 60 s"
    assert (await store.task(theirs[1])).reason == expected


async def test_every_change_of_a_limit_is_audited(store: Store) -> None:
    await limited(store, at_once=2)
    await limited(store, key="", weight=3)
    await store.remove_limit("north", KEY, "somebody")
    rows = [(row.tenant, row.actor, row.action, row.content) for row in reversed(await store.audit())]
    assert rows == [
        ("north", "somebody", "limit_set", {"key": KEY, "at_once": 2}),
        ("north", "somebody", "limit_set", {"key": "", "weight": 3}),
        ("north", "somebody", "limit_removed", {"key": KEY}),
    ]


@pytest.mark.parametrize(
    "values",
    [{}, {"at_once": -1}, {"starts": 0, "seconds": 1.0}, {"starts": 3}, {"seconds": 3.0}, {"at_once": 1, "weight": 2}],
    ids=str,
)
async def test_a_limit_that_makes_no_sense_is_refused(store: Store, values: dict[str, Any]) -> None:
    with pytest.raises(InputRejected):
        await limited(store, **values)
    assert await store.limits() == []


async def test_what_was_claimed_under_a_limit_is_found_again_by_another_attempt(store: Store) -> None:
    await limited(store, at_once=1)
    await waiting(store, 2)
    worker_id: WorkerId = await working(store)
    [claim] = await store.claim(worker_id, 5)
    assert await store.disown(worker_id, [claim.lease.task_id]) == []
    assert list(await store.disown(worker_id, [])) == [claim.lease.task_id]
    assert len(await store.claim(worker_id, 5)) == 1


async def test_one_limit_is_read_without_the_others(store: Store) -> None:
    for tenant in ("north", "south"):
        for key in ("", "a", "b"):
            await store.set_limit(Limit(tenant=tenant, key=key, at_once=1), "somebody")

    async def named(*given: str | None) -> list[tuple[str, str]]:
        return [(row.limit.tenant, row.limit.key) for row in await store.limits(*given)]

    assert await named() == [(tenant, key) for tenant in ("north", "south") for key in ("", "a", "b")]
    assert await named("south") == [("south", ""), ("south", "a"), ("south", "b")]
    assert await named("south", "") == [("south", "")]
    assert await named("south", "b") == [("south", "b")]
    assert await named("south", "c") == []
