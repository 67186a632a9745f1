import json
import math
from typing import Any
from uuid import uuid4

import pytest

from agentplat.contracts.interface import CostSummary, TaskFilter
from agentplat.contracts.store import Park, Store
from agentplat.domain.errors import NotFound, SchemaOutdated
from agentplat.domain.events import encode
from agentplat.domain.ids import TaskId
from agentplat.domain.task import TaskState
from agentplat.domain.usage import Usage

from .making import block, claimed, committed, ending, new_task, signal, submitted, succeeded, working
from .outside import execute

STATES = [TaskState.PENDING, TaskState.RUNNING, TaskState.WAITING, TaskState.DONE, TaskState.ERROR, TaskState.CANCELLED]


async def one_of_each(store: Store) -> dict[TaskState, TaskId]:
    """A task in every state."""
    found = {TaskState.RUNNING: (await claimed(store)).lease.task_id}
    parked = await claimed(store)
    await committed(store, parked.lease, 3, closing=Park(wake_after=None))
    found[TaskState.WAITING] = parked.lease.task_id
    for state in (TaskState.DONE, TaskState.ERROR, TaskState.CANCELLED):
        claim = await claimed(store)
        await store.commit([ending(claim.lease, 3, state)])
        found[state] = claim.lease.task_id
    found[TaskState.PENDING] = await submitted(store)
    return found


async def ids(store: Store, **values: Any) -> list[TaskId]:
    return [row.id for row in await store.tasks(TaskFilter(**values))]


# --- lists -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", STATES)
async def test_a_list_by_state_holds_the_tasks_of_that_state(store: Store, state: TaskState) -> None:
    tasks = await one_of_each(store)
    assert (await store.task(tasks[state])).status is state
    assert await ids(store, status=state) == [tasks[state]]


async def test_a_list_is_newest_first_and_goes_on_at_its_cursor(store: Store) -> None:
    tasks = [await submitted(store) for _ in range(5)]
    newest_first = tasks[::-1]
    assert await ids(store, limit=2) == newest_first[:2]
    assert await ids(store, limit=2, before=newest_first[1]) == newest_first[2:4]
    assert await ids(store, limit=9, before=newest_first[3]) == newest_first[4:]


async def test_a_list_holds_what_all_of_its_conditions_ask_for(store: Store) -> None:
    wanted = new_task(tenant="south", user_hash="f00", type="tool:calculator", input={"expression": "6 * 7"})
    others = [new_task(**{**given, "type": "tool:calculator"}) for given in ({"tenant": "south"}, {"user_hash": "f00"})]
    await store.submit([wanted, *others, new_task()])
    assert await ids(store, tenant="south", user_hash="f00") == [wanted.id]
    assert await ids(store, type="tool:calculator", text="6", status=TaskState.PENDING) == [wanted.id]
    assert len(await ids(store, type="tool:calculator")) == 3
    assert len(await ids(store)) == 4
    assert await ids(store, tenant="nowhere") == []


async def test_text_is_looked_for_word_by_word_as_it_was_written(store: Store) -> None:
    task_id = await submitted(store, input={"topic": 'Green tea, 100% a_b say"so Größe 茶'})
    found = ["green", "GREEN tea", "tea green", "writer", "100%", "a_b", 'say"so', "Größe", "茶", "   "]
    assert [await ids(store, text=text) for text in found] == [[task_id]] * len(found)
    not_found = ["green coffee", "1%0", "aXb"]
    assert [await ids(store, text=text) for text in not_found] == [[]] * len(not_found)


async def test_text_is_found_in_outputs_too(store: Store) -> None:
    claim = await claimed(store)
    await store.commit([ending(claim.lease, 3)])
    assert await ids(store, text="done") == [claim.lease.task_id]


async def test_an_unknown_task_is_not_found(store: Store) -> None:
    with pytest.raises(NotFound):
        await store.task(TaskId(uuid4()))
    assert await store.journal(TaskId(uuid4())) == []
    assert await store.calls(TaskId(uuid4())) == []


# --- costs, changes, audit ---------------------------------------------------------------------------------


async def test_costs_are_sums_and_what_is_unknown_is_counted_and_not_added(store: Store) -> None:
    worker_id = await working(store)
    spent = [
        ("north", "ann", Usage(input_tokens=10, output_tokens=1, cost=2**40)),
        ("north", "ann", Usage(input_tokens=20, output_tokens=2, cost=None)),
        ("south", "bob", Usage(input_tokens=30, output_tokens=3, cost=2**40)),
        ("south", None, Usage()),
    ]
    for tenant, user_hash, usage in spent:
        claim = await claimed(store, worker_id, tenant=tenant, user_hash=user_hash)
        await committed(store, claim.lease, 3, usage=usage)
    everything = CostSummary(tasks=4, users=2, input_tokens=60, output_tokens=6, cost=2**41, unknown=1)
    assert await store.costs() == everything
    anns = CostSummary(tasks=2, users=1, input_tokens=30, output_tokens=3, cost=2**40, unknown=1)
    assert await store.costs(user_hash="ann") == await store.costs(tenant="north") == anns
    nothing = CostSummary(tasks=0, users=0, input_tokens=0, output_tokens=0, cost=0, unknown=0)
    assert await store.costs(tenant="north", user_hash="bob") == nothing


async def test_a_reader_of_changes_misses_none_and_comes_to_an_end(store: Store) -> None:
    assert await store.changes(None, 10) == []
    first = await submitted(store)
    [newest] = await store.changes(None, 10)
    assert newest.id == first
    tasks = [await submitted(store) for _ in range(5)]
    await store.submit(batch := [new_task() for _ in range(5)])  # all of one moment
    seen, place = [], (newest.updated_at, newest.id)
    while rows := await store.changes(place, 2):
        seen += [row.id for row in rows]
        place = (rows[-1].updated_at, rows[-1].id)
    assert seen == [*tasks, *(task.id for task in batch)]
    claim = await claimed(store, priority=1)
    assert claim.lease.task_id in [row.id for row in await store.changes(place, 10)]


async def test_the_audit_is_newest_first(store: Store) -> None:
    one, two = await submitted(store), await submitted(store)
    assert [row.task_id for row in await store.audit()] == [two, one]
    assert [row.task_id for row in await store.audit(limit=1)] == [two]


# --- fidelity ----------------------------------------------------------------------------------------------

NUMBERS = [
    0,
    1,
    -1,
    2**53 + 1,
    2**64,
    -(10**299),
    1.0,
    -2.5,
    0.1,
    1e15,
    1e16,
    1e22,
    1e23,
    1.5e300,
    -1e100,
    5e-324,
    1e-7,
]
VALUES: list[Any] = [
    *NUMBERS,
    [NUMBERS, {"at": NUMBERS}],
    None,
    True,
    "",
    "Größe 茶 🫖 \u2028 \\u0000 \\ \" ' % _ :name",
    "e+16 1e+16",
    {"": {"a.b/c~d": [[], {}]}},
    [1, True, 1.0, None, "1"],
]


def typed(value: object) -> object:
    """`value` in a form in which 1, 1.0 and True differ."""
    if isinstance(value, dict):
        return {key: typed(item) for key, item in value.items()}
    return [typed(item) for item in value] if isinstance(value, list) else (type(value), value)


async def test_every_json_value_comes_back_as_it_was_given(store: Store) -> None:
    claim = await claimed(store, input={"value": VALUES})
    await store.tell(signal(claim.lease.task_id, payload=VALUES))
    [item] = await store.inbox([claim.lease])
    await committed(store, claim.lease, 3, block(VALUES), succeeded(output=VALUES))
    journal = await store.journal(claim.lease.task_id)
    kept = [(await store.task(claim.lease.task_id)).input["value"], item.payload]
    kept += [encode(recorded.event)[1][name] for recorded, name in zip(journal[2:], ("input", "output"), strict=True)]
    assert [typed(each) for each in kept] == [typed(VALUES)] * 4


@pytest.mark.parametrize("value", [None, 1.0, 2**64, 1e22, "", "text", True, []], ids=repr)
async def test_a_bare_value_comes_back_as_it_was_given(store: Store, value: Any) -> None:
    claim = await claimed(store)
    await store.tell(signal(claim.lease.task_id, payload=value))
    [item] = await store.inbox([claim.lease])
    assert typed(item.payload) == typed(value)


async def test_a_deep_and_large_value_comes_back_as_it_was_given(store: Store) -> None:
    deep: Any = "bottom"
    for level in range(60):
        deep = [deep] if level % 2 else {"level": deep}
    value = {"deep": deep, "text": "ü" * 1_000_000, "many": [{"n": n, "x": n / 7} for n in range(20_000)]}
    claim = await claimed(store)
    await committed(store, claim.lease, 3, succeeded(output=value))
    event = (await store.journal(claim.lease.task_id))[-1].event
    assert event == succeeded(output=value)


async def test_tuples_are_kept_as_lists(store: Store) -> None:
    claim = await claimed(store)
    await committed(store, claim.lease, 3, block((1, (2, 3))))
    assert (await store.journal(claim.lease.task_id))[-1].event == block([1, [2, 3]])


async def test_the_text_in_the_database_is_plain_json(store: Store, database_url: str) -> None:
    await submitted(store, input={"n": 1e16, "s": "ü"})
    [[text]] = execute(database_url, "select cast(input as text) from agentplat.tasks")
    assert "ü" in text
    assert json.loads(text) == {"n": 1e16, "s": "ü"}
    assert math.isfinite(json.loads(text)["n"])


# --- what a newer version wrote ----------------------------------------------------------------------------


async def test_an_event_that_this_version_does_not_know_is_a_clear_error(store: Store, database_url: str) -> None:
    task_id = await submitted(store)
    execute(database_url, "update agentplat.journal set kind = 'moon_landed'")
    with pytest.raises(SchemaOutdated, match=r"'moon_landed' \(number 1 of task .*update this one"):
        await store.journal(task_id)
    with pytest.raises(SchemaOutdated):
        await store.journals([task_id])


@pytest.mark.parametrize(
    "content", ['{"kind": 1}', '{"type": 1, "input": {}, "moon": true, "failure": {"code": "moon"}}']
)
async def test_an_event_that_lacks_what_it_needs_is_a_clear_error(
    store: Store, database_url: str, content: str
) -> None:
    task_id = await submitted(store)
    execute(database_url, "update agentplat.journal set kind = 'step_failed', content = :content", content=content)
    with pytest.raises(SchemaOutdated, match="step_failed"):
        await store.journal(task_id)


async def test_a_failure_that_this_version_does_not_know_is_a_clear_error(store: Store, database_url: str) -> None:
    claim = await claimed(store)
    await store.commit([ending(claim.lease, 3, TaskState.ERROR)])
    execute(database_url, "update agentplat.tasks set failure = :failure", failure='{"code": "moon"}')
    with pytest.raises(SchemaOutdated, match="the failure of task"):
        await store.task(claim.lease.task_id)
