from collections.abc import Sequence
from enum import Enum, StrEnum
from typing import Any

import pytest

from agentplat.contracts.store import (
    CallRow,
    Closing,
    Committed,
    End,
    Keep,
    Lost,
    Park,
    Rejected,
    Release,
    Store,
)
from agentplat.domain.errors import ConflictError
from agentplat.domain.events import TaskFinished
from agentplat.domain.ids import TaskId, WorkerId
from agentplat.domain.task import Lease, TaskState
from agentplat.domain.usage import Usage

from .making import (
    FAILURE,
    block,
    claimed,
    committed,
    ending,
    kinds,
    signal,
    started,
    submitted,
    succeeded,
    working,
    writing,
)

CLOSINGS: Sequence[Closing] = (
    Keep(),
    Park(wake_after=None),
    Release(),
    End(status=TaskState.DONE, output=None, failure=None),
)


def call(number: int = 1, **values: Any) -> CallRow:
    given: dict[str, Any] = {
        "path": "step",
        "try_number": 1,
        "number": number,
        "kind": "model",
        "name": "offline:small",
    }
    return CallRow(**{**given, "status": "finished", "content": {"text": "tea"}, **values})


async def everything(store: Store, task_id: TaskId) -> tuple[Any, ...]:
    return (
        await store.task(task_id),
        await store.journal(task_id),
        await store.calls(task_id),
        await store.audit(),
    )


async def test_events_are_kept_in_order_under_the_time_of_their_commit(store: Store) -> None:
    claim = await claimed(store)
    first = await committed(store, claim.lease, 3, started(), block({"n": 1}), under_way=True)
    second = await committed(store, claim.lease, 5, succeeded(output="tea"))
    journal = await store.journal(claim.lease.task_id)
    assert [recorded.seq for recorded in journal] == [1, 2, 3, 4, 5]
    assert [recorded.at for recorded in journal[2:]] == [first.at, first.at, second.at]
    assert journal[4].event == succeeded(output="tea")
    assert [recorded.seq for recorded in await store.journal(claim.lease.task_id, after=2, limit=2)] == [3, 4]
    assert (await store.task(claim.lease.task_id)).last_seq == 5


async def test_many_journals_are_read_at_once(store: Store) -> None:
    one, two = await claimed(store), await submitted(store)
    journals = await store.journals([one.lease.task_id, two])
    assert [len(journals[task_id]) for task_id in (one.lease.task_id, two)] == [2, 1]


@pytest.mark.parametrize("closing", CLOSINGS, ids=lambda closing: type(closing).__name__.lower())
@pytest.mark.parametrize("events", [(block(),), ()], ids=["with an event", "without"])
async def test_whoever_lost_the_task_to_another_worker_writes_nothing(
    store: Store, closing: Closing, events: Sequence[Any]
) -> None:
    stale = await claimed(store)
    task_id, old = stale.lease.task_id, stale.lease.worker_id
    assert old is not None
    await store.expire_worker(old)
    [current] = await store.claim(await working(store), 1)
    await store.tell(signal(task_id))
    [item] = await store.inbox([current.lease])
    before = await everything(store, task_id)
    usage = Usage(input_tokens=9, output_tokens=9, cost=9)
    write = writing(stale.lease, 3, *events, closing=closing, calls=[call()], usage=usage, taken=[item.id])
    [result] = await store.commit([write])
    assert result == Lost(reason="the task has the fence 2, not 1")
    assert await everything(store, task_id) == before
    assert await store.inbox([current.lease]) == [item]
    await committed(store, current.lease, 3, block())


@pytest.mark.parametrize("closing", CLOSINGS, ids=lambda closing: type(closing).__name__.lower())
async def test_whoever_lost_the_task_to_a_sweeper_writes_nothing(store: Store, closing: Closing) -> None:
    claim = await claimed(store)
    assert claim.lease.worker_id is not None
    await store.expire_worker(claim.lease.worker_id)
    before = await everything(store, claim.lease.task_id)
    [result] = await store.commit([writing(claim.lease, 3, block(), closing=closing)])
    assert isinstance(result, Lost)
    assert "nobody" in result.reason
    assert await everything(store, claim.lease.task_id) == before


async def test_the_right_fence_does_not_help_a_worker_that_is_not_the_owner(store: Store) -> None:
    claim = await claimed(store)
    foreign = Lease(claim.lease.task_id, claim.lease.fence, await working(store))
    [result] = await store.commit([writing(foreign, 3, block())])
    assert isinstance(result, Lost)


async def test_a_worker_whose_lease_has_ended_still_owns_until_a_sweep(store: Store) -> None:
    claim = await claimed(store)
    assert claim.lease.worker_id is not None
    await store.renew_worker(claim.lease.worker_id, -1.0)
    await committed(store, claim.lease, 3, block())
    swept = await store.sweep()
    assert list(swept.workers) == [claim.lease.worker_id]
    [result] = await store.commit([writing(claim.lease, 4, block())])
    assert isinstance(result, Lost)


@pytest.mark.parametrize("first_seq", [1, 2, 4, 9])
async def test_the_journal_has_neither_gaps_nor_overlaps(store: Store, first_seq: int) -> None:
    claim = await claimed(store)
    [result] = await store.commit([writing(claim.lease, first_seq, block())])
    assert result == Lost(reason=f"the journal ends at 2, the write begins at {first_seq}")
    assert await kinds(store, claim.lease.task_id) == ["TaskSubmitted", "TaskClaimed"]


@pytest.mark.parametrize("closing", CLOSINGS, ids=lambda closing: type(closing).__name__.lower())
async def test_the_same_write_again_is_committed_and_kept_once(store: Store, closing: Closing) -> None:
    claim = await claimed(store)
    write = writing(claim.lease, 3, started(), block({"n": (1, 2.0)}), closing=closing)
    [first] = await store.commit([write])
    before = await everything(store, claim.lease.task_id)
    [again] = await store.commit([write])
    assert isinstance(first, Committed)
    assert isinstance(again, Committed)
    assert again.at == first.at
    assert await everything(store, claim.lease.task_id) == before


async def test_another_write_at_the_same_place_is_not_taken_for_the_first(store: Store) -> None:
    claim = await claimed(store)
    await committed(store, claim.lease, 3, block(1))
    for events in ((block(2),), (block(1), block(2)), (started(),)):
        [result] = await store.commit([writing(claim.lease, 3, *events)])
        assert isinstance(result, Lost)


async def test_a_lost_lease_costs_only_its_own_task(store: Store) -> None:
    claims = [await claimed(store) for _ in range(3)]
    lost = claims[1]
    assert lost.lease.worker_id is not None
    await store.expire_worker(lost.lease.worker_id)
    results = await store.commit([writing(claim.lease, 3, block()) for claim in claims])
    assert [type(result) for result in results] == [Committed, Lost, Committed]
    assert results[0] == results[2]
    before = ["TaskSubmitted", "TaskClaimed"]
    after = [[*before, "BlockStarted"], before, [*before, "BlockStarted"]]
    assert [await kinds(store, claim.lease.task_id) for claim in claims] == after


@pytest.mark.parametrize(
    "values",
    [
        {"calls": [call(content={"text": "\x00"})]},
        {"calls": [call(content={"text": "\ud800"})]},
        {"calls": [call(content={"n": float("nan")})]},
        {"calls": [call(content={"set": {1}})]},
        {"calls": [call(number=2**80)]},
        {"usage": Usage(input_tokens=2**80)},
        {"usage": Usage(cost=-1)},
        {"closing": End(status=TaskState.ERROR, output=None, failure=None)},
        {"closing": End(status=TaskState.RUNNING, output=None, failure=None)},
    ],
    ids="-".join,
)
async def test_one_write_with_bad_values_is_rejected_alone(store: Store, values: dict[str, Any]) -> None:
    claims = [await claimed(store) for _ in range(3)]
    before = await everything(store, claims[1].lease.task_id)
    writes = [writing(claim.lease, 3, block(number)) for number, claim in enumerate(claims)]
    writes[1] = writing(claims[1].lease, 3, block(), **values)
    results = await store.commit(writes)
    assert [type(result) for result in results] == [Committed, Rejected, Committed]
    assert await everything(store, claims[1].lease.task_id) == before
    await committed(store, claims[1].lease, 3, block())


async def test_two_writes_about_one_task_in_one_commit_are_a_mistake(store: Store) -> None:
    claim = await claimed(store)
    with pytest.raises(ValueError, match="two writes about one task"):
        await store.commit([writing(claim.lease, 3, block()), writing(claim.lease, 4, block())])


async def test_nothing_to_commit_is_no_fault(store: Store) -> None:
    assert await store.commit([]) == ()


async def test_a_write_about_an_unknown_task_is_lost(store: Store) -> None:
    claim = await claimed(store)
    unknown = Lease(TaskId(WorkerId(claim.lease.worker_id or claim.lease.task_id)), 1, claim.lease.worker_id)
    results = await store.commit([writing(unknown, 1, block()), writing(claim.lease, 3, block())])
    assert [type(result) for result in results] == [Lost, Committed]


# --- the ends ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [TaskState.DONE, TaskState.ERROR, TaskState.CANCELLED])
async def test_an_end_is_final_and_audited_in_the_same_moment(store: Store, status: TaskState) -> None:
    claim = await claimed(store)
    await store.tell(signal(claim.lease.task_id))
    [result] = await store.commit([ending(claim.lease, 3, status)])
    assert isinstance(result, Committed)
    row = await store.task(claim.lease.task_id)
    assert (row.status, row.fence, row.worker_id, row.updated_at) == (status, None, None, result.at)
    assert row.output == ({"text": "done"} if status is TaskState.DONE else None)
    assert row.failure == (FAILURE if status is TaskState.ERROR else None)
    audited = (await store.audit())[0]
    assert (audited.action, audited.task_id, audited.at) == (f"task_{status.value}", row.id, result.at)
    for seq in (3, 4):
        [after] = await store.commit([writing(claim.lease, seq, block())])
        assert after == Lost(reason="the task is terminal or unknown")
    with pytest.raises(ConflictError):
        await store.tell(signal(row.id, "later"))
    assert not await store.inbox([claim.lease])
    assert not await store.claim(await working(store), 1)


async def test_a_released_task_is_pending_with_its_reason(store: Store) -> None:
    claim = await claimed(store)
    assert claim.lease.worker_id is not None
    await committed(store, claim.lease, 3, closing=Release(delay=3600.0, reason="no agent 'writer' here"))
    row = await store.task(claim.lease.task_id)
    assert (row.status, row.reason, row.worker_id) == (TaskState.PENDING, "no agent 'writer' here", None)
    assert not await store.claim(claim.lease.worker_id, 1)


async def test_the_reason_is_gone_when_it_is_claimed_again(store: Store) -> None:
    claim = await claimed(store)
    await committed(store, claim.lease, 3, closing=Release(reason="draining"))
    await store.claim(await working(store), 1)
    assert (await store.task(claim.lease.task_id)).reason is None


# --- writes without an owner -------------------------------------------------------------------------------


async def test_a_write_about_a_task_that_nobody_owns_takes_it_and_raises_the_fence(store: Store) -> None:
    task_id = await submitted(store)
    await committed(store, Lease(task_id, 0, None), 2, block())
    row = await store.task(task_id)
    assert (row.status, row.fence, row.last_seq) == (TaskState.PENDING, 1, 2)
    [second] = await store.commit([writing(Lease(task_id, 0, None), 3, block())])
    assert isinstance(second, Lost)
    [claim] = await store.claim(await working(store), 1)
    assert claim.lease.fence == 2


async def test_of_two_equal_ends_without_an_owner_one_is_written(store: Store) -> None:
    task_id = await submitted(store)
    write = ending(Lease(task_id, 0, None), 2, TaskState.CANCELLED)
    results = [(await store.commit([write]))[0] for _ in range(2)]
    assert [type(result) for result in results] == [Committed, Lost]


async def test_a_write_without_an_owner_is_refused_while_there_is_one(store: Store) -> None:
    claim = await claimed(store)
    unowned = Lease(claim.lease.task_id, claim.lease.fence, None)
    [result] = await store.commit([ending(unowned, 3)])
    assert isinstance(result, Lost)
    await committed(store, claim.lease, 3, block())


async def test_an_end_by_hand_takes_a_running_task_from_its_owner(store: Store) -> None:
    claim = await claimed(store)
    row = await store.task(claim.lease.task_id)
    assert row.fence is not None
    by_hand = Lease(row.id, row.fence, row.worker_id)
    await store.commit([ending(by_hand, row.last_seq + 1, TaskState.CANCELLED)])
    for closing in CLOSINGS:
        [result] = await store.commit([writing(claim.lease, 3, block(), closing=closing)])
        assert isinstance(result, Lost)
    assert (await store.task(row.id)).status is TaskState.CANCELLED


class _Models(StrEnum):
    FAST = "org/model,fast"


class _Mixed(str, Enum):  # noqa: UP042 - as older libraries write it; it calls itself by its name
    FAST = 'org/"model",fast'


class _Kept(str):
    __slots__ = ()


# --- usage, calls, watchers --------------------------------------------------------------------------------


async def test_the_usage_so_far_shows_at_once(store: Store) -> None:
    claim = await claimed(store)
    usage = Usage(model="openai:small", input_tokens=10, output_tokens=5, cost=2**40)
    await committed(store, claim.lease, 3, usage=usage)
    assert (await store.task(claim.lease.task_id)).usage == usage
    unknown = Usage(model="ollama:local", input_tokens=20, output_tokens=9, cost=None)
    await committed(store, claim.lease, 3, usage=unknown)
    assert (await store.task(claim.lease.task_id)).usage == unknown


@pytest.mark.parametrize("model", [_Models.FAST, _Mixed.FAST, _Kept("{NULL}"), _Kept("NULL")])
async def test_a_name_of_a_type_of_its_own_is_kept_as_its_text_and_in_its_own_row(store: Store, model: str) -> None:
    claims = [await claimed(store) for _ in range(3)]
    models = [model, "plain", None]
    writes = [
        writing(claim.lease, 3, usage=Usage(model=each, input_tokens=number))
        for number, (claim, each) in enumerate(zip(claims, models, strict=True))
    ]
    await store.commit(writes)
    found = [(await store.task(claim.lease.task_id)).usage for claim in claims]
    assert [each.model for each in found] == [str.__str__(model), "plain", None]
    assert [each.input_tokens for each in found] == [0, 1, 2]


async def test_a_name_of_a_type_of_its_own_names_a_tenant(store: Store) -> None:
    task_id = await submitted(store, tenant=_Mixed.FAST)
    assert (await store.task(task_id)).tenant == 'org/"model",fast'


async def test_a_call_is_kept_once_by_its_key_and_grows_from_started_to_finished(store: Store) -> None:
    claim = await claimed(store)
    task_id = claim.lease.task_id
    await committed(store, claim.lease, 0, calls=[call(2, status="started", content={}), call(1)])
    finished = call(2, kind="tool", name="search", usage=Usage(model="m", input_tokens=3, cost=None))
    await committed(store, claim.lease, 0, calls=[finished])
    other = call(1, path="step#2", try_number=2)
    await committed(store, claim.lease, 0, calls=[other, call(1, try_number=2)])
    assert await store.calls(task_id, "step", 1) == [call(1), finished]
    assert await store.calls(task_id, "step#2") == [other]
    assert len(await store.calls(task_id)) == 4


async def test_a_claim_an_end_a_park_and_a_release_are_seen_by_watchers(store: Store) -> None:
    claim = await claimed(store)
    assert claim.lease.worker_id is not None
    times = [(await store.task(claim.lease.task_id)).updated_at]
    kept = await committed(store, claim.lease, 3, block())
    assert (await store.task(claim.lease.task_id)).updated_at == times[0] <= kept.at
    parked = await committed(store, claim.lease, 4, closing=Park(wake_after=0.0))
    times.append((await store.task(claim.lease.task_id)).updated_at)
    await store.sweep()
    [claim] = await store.claim(claim.lease.worker_id, 1)
    released = await committed(store, claim.lease, 4, closing=Release())
    times.append((await store.task(claim.lease.task_id)).updated_at)
    assert times[1:] == [parked.at, released.at]


async def test_the_last_event_of_a_task_says_how_it_ended(store: Store) -> None:
    claim = await claimed(store)
    await store.commit([ending(claim.lease, 3)])
    last = (await store.journal(claim.lease.task_id))[-1]
    assert last.event == TaskFinished(status="done", output={"text": "done"}, failure=None)
