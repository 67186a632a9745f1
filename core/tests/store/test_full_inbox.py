"""A task that is told more than its owner could read at one time."""

from collections.abc import Sequence

import pytest

from agentplat.contracts.store import Claim, InboxItem, Store
from agentplat.domain.errors import InboxFull
from agentplat.domain.events import SignalReceived
from agentplat.store.transactions import claims, telling

from .making import cancel, claimed, committed, signal

LARGE = "x" * 1024 * 1024


async def read_on(store: Store, claim: Claim) -> Sequence[Sequence[InboxItem]]:
    """All that is there, as its owner gets it: part by part, as long as it is told that there is more."""
    worker_id, seq, wake, parts = claim.lease.worker_id, 3, True, []
    assert worker_id is not None
    while wake:
        parts.append(items := await store.inbox([claim.lease]))
        facts = [SignalReceived(name=item.name, payload=None, key=item.key) for item in items]
        told = bool(await store.woken(worker_id))
        wake = (await committed(store, claim.lease, seq, *facts, taken=[item.id for item in items])).wake
        assert wake == told
        seq += len(facts)
    return parts


async def test_it_is_read_part_by_part_so_that_none_is_larger_than_its_owner(store: Store) -> None:
    claim = await claimed(store)
    items = [signal(claim.lease.task_id, str(number), payload=LARGE) for number in range(18)]
    for item in items:
        await store.tell(item)
    parts = await read_on(store, claim)
    assert [len(part) for part in parts] == [8, 8, 2]
    assert [item for part in parts for item in part] == items


@pytest.mark.parametrize(("told", "read"), [(6, [3, 3]), (7, [3, 3, 1])])
async def test_nor_of_more_items(store: Store, told: int, read: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "_MOST_ITEMS", 3)
    claim = await claimed(store)
    for number in range(told):
        await store.tell(signal(claim.lease.task_id, str(number)))
    assert [len(part) for part in await read_on(store, claim)] == read


async def test_one_that_is_larger_than_all_the_rest_may_be_is_read_alone(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "_MOST_TEXT", 1000)
    claim = await claimed(store)
    for number in range(2):
        await store.tell(signal(claim.lease.task_id, str(number), payload=LARGE))
    assert [len(part) for part in await read_on(store, claim)] == [1, 1]


async def test_a_signal_to_a_task_that_has_not_read_a_thousand_is_refused(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(telling, "_MOST_UNREAD", 3)
    claim = await claimed(store)
    task_id = claim.lease.task_id
    for number in range(3):
        await store.tell(signal(task_id, str(number)))
    with pytest.raises(InboxFull, match="was told 3 things that it has not read yet"):
        await store.tell(signal(task_id, "one more"))
    assert not await store.tell(signal(task_id, "2")), "what it knows is no news"
    assert await store.tell(signal(task_id, "@approval/ask#1", name="@approval/ask#1")), "people's answers are few"
    assert await store.tell(cancel(task_id))
    assert [len(part) for part in await read_on(store, claim)] == [5]
    assert await store.tell(signal(task_id, "one more"))
