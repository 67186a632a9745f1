"""Claims where tasks of several tenants wait."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence

import pytest

from agentplat.contracts.limits import Limit
from agentplat.contracts.store import Claim, Store

from .making import new_task, working

WEIGHTS = {"east": 1, "north": 2, "west": 5}


async def waiting(store: Store, tasks: Mapping[str, int], **values: object) -> None:
    for tenant, number in tasks.items():
        await store.submit([new_task(tenant=tenant, **values) for _ in range(number)])


async def weighted(store: Store, weights: Mapping[str, int] = WEIGHTS) -> None:
    for tenant, weight in weights.items():
        await store.set_limit(Limit(tenant=tenant, weight=weight), "somebody")


def served(claims: Sequence[Claim]) -> Counter[str]:
    return Counter(claim.tenant for claim in claims)


async def test_tenants_are_served_in_turn_however_many_tasks_each_has(store: Store) -> None:
    await waiting(store, {"east": 50, "north": 3, "west": 5})
    worker_id = await working(store)
    order = [(await store.claim(worker_id, 1))[0].tenant for _ in range(12)]
    assert order == ["east", "north", "west"] * 3 + ["east", "west", "east"]


@pytest.mark.parametrize("size", [1, 3, 7, 16, 40])
async def test_each_tenant_gets_its_weight(store: Store, size: int) -> None:
    await waiting(store, dict.fromkeys(WEIGHTS, 260))
    await weighted(store)
    worker_id = await working(store)
    found: list[Claim] = []
    while len(found) < 240:
        found += await store.claim(worker_id, min(size, 240 - len(found)))
    assert served(found) == {"east": 30, "north": 60, "west": 150}


async def test_claimers_at_one_time_keep_the_weights(store: Store, other_store: Store) -> None:
    await waiting(store, dict.fromkeys(WEIGHTS, 300))
    await weighted(store)
    found: list[Claim] = []

    async def claim_on(number: int) -> None:
        mine = (store, other_store)[number % 2]
        worker_id = await working(mine)
        for _ in range(20):
            found.extend(await mine.claim(worker_id, 1 + number))

    await asyncio.gather(*(claim_on(number) for number in range(4)))
    shares = {tenant: number / WEIGHTS[tenant] for tenant, number in served(found).items()}
    assert len({claim.lease.task_id for claim in found}) == len(found) == 200
    for share in shares.values():
        assert share == pytest.approx(200 / 8, rel=0.1)


async def test_a_tenant_that_comes_late_neither_starves_nor_has_saved_anything(store: Store) -> None:
    await waiting(store, {"east": 100, "west": 100})
    worker_id = await working(store)
    await store.claim(worker_id, 60)
    await waiting(store, {"north": 100})
    assert served(await store.claim(worker_id, 60)) == {"east": 20, "north": 20, "west": 20}


async def test_many_tenants_are_all_served_before_one_is_served_twice(store: Store) -> None:
    tenants = [f"tenant-{number}" for number in range(40)]
    await store.submit([new_task(tenant=tenant) for tenant in tenants for _ in range(3)])
    worker_id = await working(store)
    found: list[Claim] = []
    for size in (1, 2, 30, 7):
        found += await store.claim(worker_id, size)
    assert served(found) == dict.fromkeys(tenants, 1)
    assert set(served(await store.claim(worker_id, 80)).values()) == {2}
    assert not await store.claim(worker_id, 1)


async def test_within_a_tenant_priority_goes_first_then_the_older_task(store: Store) -> None:
    tasks = [new_task(tenant="north", priority=priority) for priority in (0, 5, -1, 5)]
    keyed = [new_task(tenant="north", priority=priority, concurrency_key="k") for priority in (9, 5, 0)]
    for task in (*tasks, *keyed):
        await store.submit([task])
    await waiting(store, {"west": 20})
    worker_id = await working(store)
    found = [claim for _ in range(14) for claim in await store.claim(worker_id, 1)]
    order = [claim.lease.task_id for claim in found if claim.tenant == "north"]
    assert order == [task.id for task in (keyed[0], tasks[1], tasks[3], keyed[1], tasks[0], keyed[2], tasks[2])]


async def test_what_is_not_due_does_not_hold_up_the_others(store: Store) -> None:
    await waiting(store, {"east": 3}, delay=3600.0)
    await waiting(store, {"north": 3, "west": 3})
    worker_id = await working(store)
    found = [claim for _ in range(3) for claim in await store.claim(worker_id, 5)]
    assert served(found) == {"north": 3, "west": 3}


async def test_a_lone_tenant_gets_everything_after_others_were_there(store: Store) -> None:
    await waiting(store, {"east": 1, "north": 6})
    worker_id = await working(store)
    assert served(await store.claim(worker_id, 2)) == {"east": 1, "north": 1}
    assert [len(await store.claim(worker_id, size)) for size in (2, 5, 1)] == [2, 3, 0]


async def test_queues_have_turns_of_their_own(store: Store) -> None:
    for queue in ("fast", "slow"):
        await waiting(store, {"east": 4, "north": 4}, queue=queue)
    worker_id = await working(store)
    order = []
    for queue in ("fast", "slow", "fast", "slow"):
        [claim] = await store.claim(worker_id, 1, queues=(queue,))
        order.append(claim.tenant)
    assert order == ["east", "east", "north", "north"]
