"""A parent with another step under way, whose child's worker died between the child's end and the wake-up."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import update

from agentplat.contracts.hints import Hint
from agentplat.contracts.store import Claim, Store
from agentplat.store.database import Transaction
from agentplat.store.sql_store import SqlStore
from agentplat.store.tables import inbox

from .making import block, claimed, committed, ending, working
from .test_children import child_of, without_waking


async def swallowed(store: Store) -> Claim:
    parent = await claimed(store)
    await committed(store, parent.lease, 3, block(), children=[child_of(parent)])
    [child] = await store.claim(await working(store), 1, queues=["children"])
    await without_waking(store, [ending(child.lease, 2)])
    return parent


async def a_minute_passes(store: Store) -> None:
    async def earlier(transaction: Transaction) -> None:
        at = datetime.now(UTC) - timedelta(minutes=1)
        await transaction.connection.execute(update(inbox).values(at=at))

    assert isinstance(store, SqlStore)
    await store._database.write(earlier)


async def test_its_owner_hears_of_it_from_a_sweep(store: Store) -> None:
    parent = await swallowed(store)
    worker_id = parent.lease.worker_id
    assert worker_id is not None
    await a_minute_passes(store)
    heard: list[Hint] = []
    store.subscribe(heard.append)
    assert (await store.sweep()).woken == 1
    assert Hint.TOLD in heard
    assert await store.woken(worker_id) == [parent.lease.task_id]
    assert (await store.sweep()).woken == 0, "it is told once"
    [item] = await store.inbox([parent.lease])
    await committed(store, parent.lease, 4, block(), taken=[item.id])
    assert not await store.woken(worker_id)
    assert (await store.sweep()).woken == 0


async def test_what_has_just_come_is_left_to_who_put_it_there(store: Store) -> None:
    parent = await swallowed(store)
    assert (await store.sweep()).woken == 0
    assert parent.lease.worker_id is not None
    assert not await store.woken(parent.lease.worker_id)
