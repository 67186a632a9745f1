import asyncio
from collections.abc import Sequence

import pytest

from agentplat.contracts.interface import TaskFilter
from agentplat.contracts.store import Definition, NewTask, Store
from agentplat.domain.errors import IdempotencyMismatch, InputRejected, NotFound
from agentplat.domain.events import TaskSubmitted
from agentplat.domain.task import TaskState

from .making import new_task, submitted, working


async def test_an_accepted_task_is_there_with_its_first_event_and_its_audit_row(store: Store) -> None:
    task = new_task(actor="api", user_hash="f00", parent_span="1" * 16, definition="abc", priority=3)
    [result] = await store.submit([task])
    assert (result.task_id, result.created) == (task.id, True)
    row = await store.task(task.id)
    assert (row.status, row.fence, row.worker_id, row.last_seq) == (TaskState.PENDING, 0, None, 1)
    assert (row.tenant, row.type, row.input) == (task.tenant, task.type, task.input)
    assert (row.user_hash, row.definition, row.trace_id, row.retry_of) == ("f00", "abc", task.trace_id, None)
    [first] = await store.journal(task.id)
    assert (first.seq, first.event) == (1, TaskSubmitted(type=task.type, input=task.input))
    [audited] = await store.audit()
    assert (audited.task_id, audited.action, audited.actor) == (task.id, "task_submitted", "api")
    assert result.at == row.created_at == row.updated_at == first.at == audited.at


async def test_a_batch_is_accepted_in_one_moment(store: Store) -> None:
    tasks = [new_task() for _ in range(50)]
    assert [result.task_id for result in await store.submit(tasks)] == [task.id for task in tasks]
    rows = await store.tasks(TaskFilter(limit=100))
    assert len({row.created_at for row in rows}) == 1
    assert [row.id for row in reversed(rows)] == [task.id for task in tasks]


async def test_nothing_to_submit_is_no_fault(store: Store) -> None:
    assert await store.submit([]) == ()


async def test_one_bad_task_keeps_the_whole_batch_out(store: Store) -> None:
    good = new_task(idempotency_key="k", fingerprint="1")
    with pytest.raises(InputRejected, match="not JSON"):
        await store.submit([good, new_task(input={"text": object()})])
    assert await store.tasks(TaskFilter()) == []
    assert (await store.submit([good]))[0].created


@pytest.mark.parametrize("value", ["\x00", "half a pair \ud800", float("nan"), float("inf"), {1, 2}])
async def test_what_json_or_a_database_cannot_hold_is_refused_on_both(store: Store, value: object) -> None:
    with pytest.raises(InputRejected):
        await store.submit([new_task(input={"value": value})])


async def test_text_that_only_looks_like_a_zero_character_is_kept(store: Store) -> None:
    task_id = await submitted(store, input={"text": "\\u0000"})
    assert (await store.task(task_id)).input == {"text": "\\u0000"}


async def test_the_same_key_and_body_give_the_first_task_again(store: Store) -> None:
    first = new_task(idempotency_key="k", fingerprint="same")
    again = new_task(idempotency_key="k", fingerprint="same")
    await store.submit([first])
    [result] = await store.submit([again])
    assert (result.task_id, result.created) == (first.id, False)
    with pytest.raises(NotFound):
        await store.task(again.id)
    assert len(await store.audit()) == 1


async def test_the_same_key_with_another_body_is_a_mismatch_and_nothing_is_kept(store: Store) -> None:
    await submitted(store, idempotency_key="k", fingerprint="one")
    beside = new_task()
    with pytest.raises(IdempotencyMismatch, match="'k'"):
        await store.submit([beside, new_task(idempotency_key="k", fingerprint="other")])
    with pytest.raises(NotFound):
        await store.task(beside.id)


async def test_a_key_belongs_to_its_tenant(store: Store) -> None:
    tasks = [new_task(tenant=tenant, idempotency_key="k", fingerprint=tenant) for tenant in ("north", "south")]
    assert all(result.created for result in await store.submit(tasks))


async def test_a_key_twice_in_one_batch_is_one_task(store: Store) -> None:
    tasks = [new_task(idempotency_key="k", fingerprint="same") for _ in range(2)]
    first, second = await store.submit(tasks)
    assert (first.created, second.created) == (True, False)
    assert first.task_id == second.task_id == tasks[0].id


async def test_of_twenty_concurrent_duplicates_one_becomes_a_task(store: Store, other_store: Store) -> None:
    tasks = [new_task(idempotency_key="k", fingerprint="same") for _ in range(20)]
    stores = [store, other_store]
    results = await asyncio.gather(*(stores[number % 2].submit([task]) for number, task in enumerate(tasks)))
    assert sum(result.created for [result] in results) == 1
    assert len({result.task_id for [result] in results}) == 1
    assert len(await store.tasks(TaskFilter())) == 1


async def test_batches_that_name_the_same_keys_in_another_order_do_not_get_stuck(
    store: Store, other_store: Store
) -> None:
    keys = [f"key {number}" for number in range(30)]

    def batch(order: Sequence[str]) -> Sequence[NewTask]:
        return [new_task(idempotency_key=key, fingerprint=key) for key in order]

    results = await asyncio.gather(store.submit(batch(keys)), other_store.submit(batch(keys[::-1])))
    assert sum(result.created for results_of_one in results for result in results_of_one) == 30


async def test_a_delayed_task_is_pending_and_not_claimable(store: Store) -> None:
    task_id = await submitted(store, delay=3600.0)
    assert (await store.task(task_id)).status is TaskState.PENDING
    assert not await store.claim(await working(store), 1)


async def test_a_definition_is_kept_once_and_found_by_its_hash(store: Store) -> None:
    definition = Definition(hash="abc", name="review", version="2", document={"steps": [1, 2.0]})
    await store.submit([new_task(definition="abc")], [definition])
    await store.submit([new_task(definition="abc"), new_task(tenant="south")], [definition])
    assert await store.definition("abc") == definition
    with pytest.raises(NotFound, match="'xyz'"):
        await store.definition("xyz")
