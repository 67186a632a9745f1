"""The keys of the language, end to end: from the file to the outcome, on both databases."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from agentplat import AgentContext, FailureCode, StepError
from agentplat.domain.ids import StepPath, TaskId
from agentplat.domain.task import TaskState
from agentplat.engine.inbox import answer

from .harness import Engine, Given, Script


async def fails_on_demand(given: Given, ctx: AgentContext) -> Given:
    if given.get("fail"):
        raise StepError(FailureCode(given["fail"]), "as it was told", retryable=False)
    return {"name": given.get("name", "x")}


async def say(engine: Engine, task_id: UUID, path: str, *, approved: bool, by: str = "ann", **answers: Any) -> bool:
    item = answer(uuid4(), TaskId(task_id), StepPath.parse(path), approved=approved, by=by, answers=answers)
    return await engine.store.tell(item)


async def until_waiting(engine: Engine, task_id: UUID) -> None:
    await engine.until(task_id, lambda task: task.status is TaskState.WAITING)


async def test_a_step_runs_once_per_item_and_outputs_keep_their_order(engine: Engine, script: Script) -> None:
    names = ["a", "b", "c", "d", "e"]
    running, most = 0, 0

    async def one(given: Given, ctx: AgentContext) -> Given:
        nonlocal running, most
        running, most = running + 1, max(most, running + 1)
        await asyncio.sleep(0.05 if given["name"] == "a" else 0.001)
        running -= "before" in given
        return given

    script.bodies["one"] = one
    engine.start_worker()
    task = await engine.ended(await engine.submit("workflow:items", {"names": names}))

    assert task.status is TaskState.DONE, task.failure
    assert task.output is not None
    assert task.output["each"] == [{"name": name, "place": at, "before": 5} for at, name in enumerate(names)]
    pairs: Any = task.output["pairs"]
    assert [pair["status"] for pair in pairs] == ["succeeded"] * 5
    paths = {step.path for step in task.steps}
    assert {"each[0]", "each[4]", "pairs[0]/first", "pairs[4]/second"} <= paths
    assert (await engine.kinds(task.id)).count("event_emitted") == 1


async def test_items_that_had_an_outcome_are_not_done_again_after_a_crash(engine: Engine, script: Script) -> None:
    stuck = asyncio.Event()

    async def one(given: Given, ctx: AgentContext) -> Given:
        if given["name"] == "c" and not stuck.is_set():
            stuck.set()
            await asyncio.Event().wait()
        return given

    script.bodies["one"] = one
    worker = engine.start_worker()
    task_id = await engine.submit("workflow:items", {"names": ["a", "b", "c", "d"]})
    await asyncio.wait_for(stuck.wait(), 30)
    await engine.until(task_id, lambda t: sum(s.status is TaskState.DONE for s in t.steps) >= 4)
    await engine.crash(worker)
    engine.start_worker()
    task = await engine.ended(task_id)

    assert task.status is TaskState.DONE
    attempts = {step.path: step.attempt for step in task.steps if step.path.startswith("each")}
    assert attempts == {"each[0]": 1, "each[1]": 1, "each[2]": 2, "each[3]": 1}


async def test_some_items_may_fail_where_the_join_allows_it(engine: Engine, script: Script) -> None:
    script.bodies["one"] = fails_on_demand
    engine.start_worker()
    task = await engine.ended(await engine.submit("workflow:joins"))

    assert task.status is TaskState.DONE, task.failure
    failed = {"status": "failed", "output": None, "failure": {"code": "refused", "message": "as it was told"}}
    assert task.output == {
        "first": {"name": 1},
        "two": [{"name": 0}, {"name": 2}],
        "all": [{"status": "succeeded", "output": {"name": 0}, "failure": None}, failed],
    }


async def test_a_thousand_items_have_one_outcome_each_whoever_dies_meanwhile(engine: Engine, script: Script) -> None:
    done: list[int] = []
    half = asyncio.Event()

    async def one(given: Given, ctx: AgentContext) -> Given:
        done.append(given["number"])
        if len(done) == 500:
            half.set()
        return {"number": given["number"]}

    script.bodies["one"] = one
    worker = engine.start_worker()
    task_id = await engine.submit("workflow:crowd", {"numbers": list(range(1_000))})
    await asyncio.wait_for(half.wait(), 60)
    await engine.crash(worker)
    engine.start_worker()
    task = await engine.ended(task_id)

    assert task.status is TaskState.DONE, task.failure
    assert task.output == {"result": [{"number": number} for number in range(1_000)]}
    journal = await engine.client.journal(task_id)
    outcomes = [event.content["path"] for event in journal if event.kind == "step_succeeded"]
    assert len(outcomes) == len(set(outcomes)) == 1_000
    # What was under way when the worker died is all that ran twice.
    assert len(done) - 1_000 <= 50


async def test_a_failure_is_caught_by_the_clause_that_is_for_it(engine: Engine, script: Script) -> None:
    script.bodies["one"] = fails_on_demand
    engine.start_worker()
    refused = await engine.ended(await engine.submit("workflow:careful", {"inner": "refused", "outer": ""}))
    other = await engine.ended(await engine.submit("workflow:careful", {"inner": "tool_failed", "outer": ""}))

    assert (refused.status, other.status) == (TaskState.DONE, TaskState.DONE), refused.failure
    asked = [given for name, given in script.asked if name == "two"]
    assert asked == [{"why": "refused"}, {"failed": None}, {"any": "as it was told"}, {"failed": None}]


async def test_what_was_done_is_undone_and_finally_runs_when_the_task_fails(engine: Engine, script: Script) -> None:
    script.bodies["one"] = fails_on_demand
    engine.start_worker()
    task = await engine.ended(await engine.submit("workflow:careful", {"inner": "", "outer": "budget"}))

    assert task.status is TaskState.ERROR
    assert task.failure is not None
    assert task.failure.code is FailureCode.BUDGET
    asked = [given for name, given in script.asked if name == "two"]
    assert asked == [{"unbook": "x"}, {"failed": "budget"}]


async def test_what_was_done_is_undone_and_finally_runs_after_a_cancel(engine: Engine, script: Script) -> None:
    begun = asyncio.Event()

    async def one(given: Given, ctx: AgentContext) -> Given:
        if given["fail"] == "wait":
            begun.set()
            await asyncio.Event().wait()
        return {"name": "y"}

    script.bodies["one"] = one
    engine.start_worker()
    task_id = await engine.submit("workflow:careful", {"inner": "", "outer": "wait"})
    await asyncio.wait_for(begun.wait(), 30)
    await engine.client.cancel(task_id)
    task = await engine.ended(task_id)

    assert task.status is TaskState.CANCELLED
    asked = [given for name, given in script.asked if name == "two"]
    assert asked == [{"unbook": "y"}, {"failed": "cancelled"}]


async def test_what_waits_without_a_worker_is_undone_by_one_after_a_cancel(engine: Engine, script: Script) -> None:
    worker = engine.start_worker()
    task_id = await engine.submit("workflow:parting")
    await until_waiting(engine, task_id)
    await engine.crash(worker)
    asked = await engine.client.cancel(task_id)
    assert asked.cancel_requested
    assert not asked.status.is_terminal
    engine.start_worker()
    task = await engine.ended(task_id)

    assert task.status is TaskState.CANCELLED
    assert [given for name, given in script.asked if name == "two"] == [{"undo": "one"}, {"why": "cancelled"}]


async def test_of_two_answers_the_first_one_counts_and_the_task_waits_without_a_worker(
    engine: Engine, script: Script
) -> None:
    worker = engine.start_worker()
    task_id = await engine.submit("workflow:asking", {"topic": "bees"})
    await until_waiting(engine, task_id)
    await engine.crash(worker)
    asked = next(e for e in await engine.client.journal(task_id) if e.kind == "wait_started")
    assert asked.content["approval"] == {
        "message": "Publish bees?",
        "assignee": "role:editor",
        "form": {"type": "object", "properties": {"comment": {"type": "string"}}, "required": ["comment"]},
    }
    assert await say(engine, task_id, "sign", approved=True, comment="fine")
    assert not await say(engine, task_id, "sign", approved=False, by="bob")
    engine.start_worker()
    task = await engine.ended(task_id)

    assert task.output == {"approved": True, "by": "ann", "comment": "fine"}
    assert script.asked == [("one", {"by": "ann"})]


async def test_an_approval_that_nobody_answers_is_a_no_after_its_time(engine: Engine, script: Script) -> None:
    engine.start_worker()
    task = await engine.ended(await engine.submit("workflow:asking", {"topic": "bees"}))

    assert task.output == {"approved": False, "by": None}
    assert not script.asked


async def test_waits_for_a_time_and_blocks_of_limited_time_survive_a_restart(engine: Engine, script: Script) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=0.5)
    worker = engine.start_worker()
    task_id = await engine.submit("workflow:timely", {"soon": soon.isoformat()})
    await until_waiting(engine, task_id)
    await engine.crash(worker)
    engine.start_worker()
    task = await engine.ended(task_id)

    assert task.status is TaskState.DONE, task.failure
    assert script.asked == [("two", {"code": "timeout"})]
    fired = [event for event in await engine.client.journal(task_id) if event.kind == "timer_fired"]
    assert [event.content["path"] for event in fired] == ["past", "soon", "slow"]


@pytest.mark.parametrize("path", ["sign", "nothing", "publish"])
async def test_an_answer_to_what_does_not_wait_changes_nothing(engine: Engine, script: Script, path: str) -> None:
    task_id = await engine.submit("workflow:pair")
    await say(engine, task_id, path, approved=True)
    engine.start_worker()

    assert (await engine.ended(task_id)).status is TaskState.DONE


async def test_who_deals_with_a_failure_or_an_end_sees_the_steps_that_failed(engine: Engine, script: Script) -> None:
    script.bodies["one"] = fails_on_demand
    engine.start_worker()
    task = await engine.ended(await engine.submit("workflow:looks_back"))
    assert task.status is TaskState.DONE, task.failure
    assert [given for name, given in script.asked if name == "two"] == [
        {"good": "succeeded", "bad": "failed", "gave": None},
        {"bad": "failed"},
    ]


async def test_finally_is_told_that_the_time_was_over(engine: Engine, script: Script) -> None:
    engine.start_worker()
    task = await engine.ended(await engine.submit("workflow:runs_over"))
    assert task.failure is not None
    assert task.failure.code is FailureCode.TIMEOUT
    assert [given for name, given in script.asked if name == "two"] == [{"why": "timeout"}]


async def test_after_a_cancel_it_is_said_what_was_not_undone(engine: Engine, script: Script) -> None:
    async def cannot(given: Given, ctx: AgentContext) -> Given:
        if "undo" in given:
            raise StepError(FailureCode.REFUSED, "no", retryable=False)
        return given

    script.bodies["two"] = cannot
    engine.start_worker()
    task_id = await engine.submit("workflow:parting")
    await until_waiting(engine, task_id)
    await engine.client.cancel(task_id)
    task = await engine.ended(task_id)
    assert task.status is TaskState.CANCELLED
    assert task.failure is not None
    assert task.failure.details == {"not_undone": ["book"]}
