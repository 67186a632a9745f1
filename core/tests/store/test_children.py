import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy import delete, func, literal_column, select, update

from agentplat.contracts.interface import TaskFilter
from agentplat.contracts.limits import Limit
from agentplat.contracts.store import (
    Claim,
    Committed,
    Definition,
    InboxItem,
    Lost,
    NewTask,
    Park,
    Rejected,
    Store,
    Write,
)
from agentplat.contracts.stored.children import Parent
from agentplat.contracts.stored.retention import Retention
from agentplat.domain.ids import TaskId
from agentplat.domain.task import Lease, TaskState
from agentplat.store.sql_store import SqlStore
from agentplat.store.tables import inbox, limits, queue
from agentplat.store.transactions import sweeping
from agentplat.store.transactions.commit import commit

from .making import block, claimed, committed, ending, kinds, new_task, signal, submitted, working, writing


def child_of(claim: Claim, seq: int = 3, path: str = "ask", **values: Any) -> NewTask:
    parent = Parent(id=claim.lease.task_id, path=path, attempt=1, seq=seq, depth=1)
    return new_task(**{"parent": parent, "queue": "children", **values})


async def dispatched(store: Store, claim: Claim, number: int = 1, **values: Any) -> list[TaskId]:
    """Children of a task whose journal ended at 2, one for each event that dispatches it; the task is parked."""
    children = [child_of(claim, seq, f"ask[{seq}]", **values) for seq in range(3, 3 + number)]
    events = [block({"n": seq}) for seq in range(3, 3 + number)]
    await committed(store, claim.lease, 3, *events, children=children, closing=Park(wake_after=None))
    return [child.id for child in children]


async def ended(store: Store, number: int = 1, **values: Any) -> Sequence[Claim]:
    """So many children, claimed and ended."""
    claims = await store.claim(await working(store), number, queues=["children"])
    assert len(claims) == number
    results = await store.commit([ending(claim.lease, 2, **values) for claim in claims])
    assert all(isinstance(result, Committed) for result in results)
    return claims


async def told(store: Store, task_id: TaskId) -> Sequence[InboxItem]:
    [claim] = await store.claim(await working(store), 1)
    assert claim.lease.task_id == task_id
    assert claim.wake
    return await store.inbox([claim.lease])


async def test_a_child_is_there_with_its_dispatch(store: Store) -> None:
    parent = await claimed(store)
    child = child_of(parent, priority=3, user_hash="someone", concurrency_key="gpu", type="tool:search")
    await committed(store, parent.lease, 3, block(), children=[child])
    row = await store.task(child.id)
    assert (row.parent, row.tenant, row.status) == (child.parent, "north", TaskState.PENDING)
    assert (row.queue, row.priority, row.concurrency_key, row.user_hash) == ("children", 3, "gpu", "someone")
    assert await kinds(store, child.id) == ["TaskSubmitted"]
    [claim] = await store.claim(await working(store), 5, queues=["children"])
    assert (claim.lease.task_id, claim.parent, claim.type) == (child.id, child.parent, "tool:search")
    assert (await store.task(parent.lease.task_id)).parent is None
    [act] = [act for act in await store.audit() if act.task_id == child.id]
    assert act.action == "task_submitted"


async def test_children_are_listed_by_their_parent(store: Store) -> None:
    parent, other = await claimed(store), await claimed(store)
    children = await dispatched(store, parent, 3)
    await dispatched(store, other)
    rows = await store.tasks(TaskFilter(parent=parent.lease.task_id))
    assert [row.id for row in rows] == children[::-1]


async def test_what_a_child_alone_is_pinned_to_comes_with_it(store: Store) -> None:
    parent = await claimed(store)
    pinned = Definition(hash="0f", name="writer", version=None, document={"type": "agent:writer"})
    children = [child_of(parent, seq, definition="0f") for seq in (3, 4)]
    await committed(store, parent.lease, 3, block(), block(), children=children, definitions=[pinned])
    assert await store.definition("0f") == pinned


async def test_without_the_lease_there_is_no_child(store: Store) -> None:
    stale = await claimed(store)
    assert stale.lease.worker_id is not None
    await store.expire_worker(stale.lease.worker_id)
    child = child_of(stale)
    [result] = await store.commit([writing(stale.lease, 3, block(), children=[child])])
    assert isinstance(result, Lost)
    assert await store.tasks(TaskFilter(parent=stale.lease.task_id)) == []
    assert await store.claim(await working(store), 5, queues=["children"]) == []


async def test_a_child_whose_values_are_refused_takes_its_dispatch_along(store: Store) -> None:
    parent = await claimed(store)
    [result] = await store.commit([writing(parent.lease, 3, block(), children=[child_of(parent, user_hash="\ud800")])])
    assert isinstance(result, Rejected)
    assert await kinds(store, parent.lease.task_id) == ["TaskSubmitted", "TaskClaimed"]
    assert await store.tasks(TaskFilter(parent=parent.lease.task_id)) == []


async def test_the_same_dispatch_again_makes_no_second_child(store: Store) -> None:
    parent = await claimed(store)
    write = writing(parent.lease, 3, block(), children=[child_of(parent)])
    [first] = await store.commit([write])
    [again] = await store.commit([write])
    assert first == again
    assert len(await store.tasks(TaskFilter(parent=parent.lease.task_id))) == 1


@pytest.mark.parametrize("status", [TaskState.DONE, TaskState.ERROR, TaskState.CANCELLED])
async def test_the_end_of_a_child_wakes_its_parent_and_says_how(store: Store, status: TaskState) -> None:
    parent = await claimed(store)
    task_id = parent.lease.task_id
    [child] = await dispatched(store, parent)
    assert (await store.task(task_id)).status is TaskState.WAITING
    await ended(store, status=status)
    [item] = await told(store, task_id)
    assert (item.kind, item.name, item.key) == ("signal", "@child/1/ask[3]", f"child:{child}")
    assert isinstance(item.payload, dict)
    assert item.payload["status"] == status.value
    assert item.payload.get("output") == ({"text": "done"} if status is TaskState.DONE else None)
    assert ("failure" in item.payload) is (status is TaskState.ERROR)


async def test_an_owner_is_told_that_a_child_has_ended(store: Store) -> None:
    parent = await claimed(store)
    worker_id = parent.lease.worker_id
    assert worker_id is not None
    await committed(store, parent.lease, 3, block(), children=[child_of(parent)])
    await ended(store)
    assert await store.woken(worker_id) == [parent.lease.task_id]
    [item] = await store.inbox([parent.lease])
    await committed(store, parent.lease, 4, block(), taken=[item.id])
    assert await store.inbox([parent.lease]) == []


async def test_whoever_parks_after_a_childs_end_does_not_wait(store: Store) -> None:
    parent = await claimed(store)
    await committed(store, parent.lease, 3, block(), children=[child_of(parent)])
    await ended(store)
    await committed(store, parent.lease, 4, block(), closing=Park(wake_after=None))
    assert len(await told(store, parent.lease.task_id)) == 1


async def without_waking(store: Store, writes: Sequence[Write]) -> None:
    """As if the process had died between the commit and what follows it."""
    assert isinstance(store, SqlStore)
    database = store._database
    far = database.dialect == "postgresql"
    results = await database.perform(lambda again: commit(writes, again, far=far))
    assert all(isinstance(result, Committed) for result in results)


async def test_a_wake_that_a_crash_swallowed_is_repaired(store: Store) -> None:
    parent = await claimed(store)
    await dispatched(store, parent)
    [child] = await store.claim(await working(store), 1, queues=["children"])
    await without_waking(store, [ending(child.lease, 2)])
    assert (await store.task(parent.lease.task_id)).status is TaskState.WAITING
    assert (await store.sweep()).woken == 1
    assert len(await told(store, parent.lease.task_id)) == 1


async def test_a_child_that_nobody_owns_tells_its_parent_too(store: Store) -> None:
    parent = await claimed(store)
    [child] = await dispatched(store, parent)
    write = ending(Lease(child, 0, None), 2, TaskState.CANCELLED)
    [result] = await store.commit([write])
    assert isinstance(result, Committed)
    assert len(await told(store, parent.lease.task_id)) == 1


async def test_a_task_without_a_parent_tells_nobody(store: Store) -> None:
    lone = await claimed(store)
    [result] = await store.commit([ending(lone.lease, 3)])
    assert isinstance(result, Committed)
    assert not (await store.sweep()).woken


async def test_signals_and_ends_of_children_do_not_take_each_others_places(store: Store) -> None:
    parent = await claimed(store)
    await dispatched(store, parent, 4)
    claims = await store.claim(await working(store), 4, queues=["children"])
    for key, claim in zip(("first", "second", "third", "fourth"), reversed(claims), strict=True):
        [result] = await store.commit([ending(claim.lease, 2)])
        assert isinstance(result, Committed)
        assert await store.tell(signal(parent.lease.task_id, key))
    items = await told(store, parent.lease.task_id)
    assert len(items) == 8
    assert [item.key for item in items if item.name == "go"] == ["first", "second", "third", "fourth"]


async def test_a_parent_that_is_over_hears_nothing(store: Store) -> None:
    parent = await claimed(store)
    children = [child_of(parent, 3), child_of(parent, 4)]
    await committed(store, parent.lease, 3, block(), block(), children=children)
    [result] = await store.commit([ending(parent.lease, 5)])
    assert isinstance(result, Committed)
    await ended(store, 2)
    assert await unread(store) == 0


async def test_what_came_too_late_for_a_parent_is_swept_away(store: Store) -> None:
    parent = await claimed(store)
    await committed(store, parent.lease, 3, block(), children=[child_of(parent)])
    [child] = await store.claim(await working(store), 1, queues=["children"])
    await without_waking(store, [ending(child.lease, 2)])
    await without_its_inbox(store, parent.lease.task_id)
    assert await unread(store) == 1
    assert (await store.sweep()).woken == 0
    assert await unread(store) == 0


async def unread(store: Store) -> int:
    """How much is in all inboxes."""
    assert isinstance(store, SqlStore)
    statement = select(func.count()).select_from(inbox)
    found = await store._database.read(lambda transaction: transaction.connection.execute(statement))
    return int(found.scalar_one())


async def without_its_inbox(store: Store, task_id: TaskId) -> None:
    """End a task as a commit does that does not see yet what is told at that moment."""
    assert isinstance(store, SqlStore)
    left = delete(queue).where(queue.c.task_id == task_id)
    await store._database.write(lambda transaction: transaction.connection.execute(left))


async def test_many_children_end_at_once_while_their_parent_goes_on(store: Store, other_store: Store) -> None:
    """Commits of both lock what they own, in any order: nobody waits in a circle, and nothing is lost."""
    parent = await claimed(store)
    number = 60
    children = [child_of(parent, seq, f"ask[{seq}]") for seq in range(3, 3 + number)]
    events = [block({"n": child.parent.seq}) for child in children if child.parent]
    await committed(store, parent.lease, 3, *events, children=children)
    worker_id = await working(store)
    claims = await store.claim(worker_id, number, queues=["children"])
    assert len(claims) == number

    async def ends(of: Store, some: Sequence[Claim]) -> None:
        for claim in some:
            [result] = await of.commit([ending(claim.lease, 2, is_child=True)])
            assert isinstance(result, Committed)

    async def goes_on() -> list[InboxItem]:
        seen: list[InboxItem] = []
        seq = 3 + number
        while len(seen) < number:
            items = await store.inbox([parent.lease])
            await committed(store, parent.lease, seq, block(), taken=[item.id for item in items])
            seq += 1
            seen += items
        return seen

    seen, *_ = await asyncio.gather(
        goes_on(), ends(store, claims[::3]), ends(other_store, claims[1::3]), ends(other_store, claims[2::3])
    )
    assert len({item.key for item in seen}) == number


async def test_what_a_workflow_declares_binds_as_what_people_set(store: Store) -> None:
    parent = await claimed(store)
    await store.declare_limit(Limit(tenant="north", key="gpu", at_once=1))
    await dispatched(store, parent, 3, concurrency_key="gpu")
    worker_id = await working(store)
    [first] = await store.claim(worker_id, 5, queues=["children"])
    assert await store.claim(worker_id, 5, queues=["children"]) == []
    await store.commit([ending(first.lease, 2)])
    assert len(await store.claim(worker_id, 5, queues=["children"])) == 1


async def test_what_people_have_set_stays_whatever_a_workflow_declares(store: Store) -> None:
    await store.set_limit(Limit(tenant="north", key="gpu", at_once=7), "someone")
    await store.declare_limit(Limit(tenant="north", key="gpu", at_once=1))
    assert [row.limit.at_once for row in await store.limits()] == [7]
    await store.declare_limit(Limit(tenant="north", key="cpu", at_once=1))
    await store.declare_limit(Limit(tenant="north", key="cpu", at_once=2))
    assert {row.limit.key: row.limit.at_once for row in await store.limits()} == {"gpu": 7, "cpu": 2}
    await store.set_limit(Limit(tenant="north", key="cpu", at_once=9), "someone")
    await store.declare_limit(Limit(tenant="north", key="cpu", at_once=2))
    assert {row.limit.at_once for row in await store.limits()} == {7, 9}


async def test_a_declared_limit_is_forgotten_when_no_task_needs_it_any_more(store: Store) -> None:
    await store.set_limit(Limit(tenant="north", key="theirs", at_once=1), "someone")
    for key in ("unused", "used"):
        await store.declare_limit(Limit(tenant="north", key=key, at_once=1))
    await submitted(store, concurrency_key="used")
    async for _ in store.upkeep(Retention()):
        pass
    assert len(await store.limits()) == 3
    await long_ago(store)
    async for _ in store.upkeep(Retention()):
        pass
    assert {row.limit.key for row in await store.limits()} == {"theirs", "used"}


async def long_ago(store: Store) -> None:
    assert isinstance(store, SqlStore)
    database = store._database
    past = "declared_at - interval '2 hours'" if database.dialect == "postgresql" else "declared_at - 7200000000"
    aged = update(limits).values(declared_at=literal_column(past))
    await database.write(lambda transaction: transaction.connection.execute(aged))


async def test_ends_are_kept_whatever_becomes_of_the_word_to_their_parents(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    struck = 0

    def faulty(_: object) -> None:
        nonlocal struck
        struck += 1
        raise RuntimeError("something that nobody has thought of")

    first, second = await claimed(store), await claimed(store)
    monkeypatch.setattr(sweeping, "wake_parents", faulty)
    results = await store.commit([ending(first.lease, 3), writing(second.lease, 3, block())])
    assert struck == 1
    assert [type(result) for result in results] == [Committed, Committed]
