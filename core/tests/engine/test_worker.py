import asyncio
import time
from contextlib import suppress

import pytest

from agentplat import AgentContext, StepError
from agentplat.contracts.store import Lost, WorkerRow, Write
from agentplat.domain.errors import IllegalTransition
from agentplat.domain.events import StepSucceeded
from agentplat.domain.failure import FailureCode
from agentplat.domain.ids import StepPath, TaskId
from agentplat.domain.task import Lease, TaskState
from agentplat.engine import ownership
from agentplat.engine.definitions import Definitions, Pinned

from .harness import Engine, Given, Script, leases_lost, until


async def test_a_workflow_runs_to_its_end(engine: Engine) -> None:
    task_id = await engine.submit("workflow:pair", {"topic": "leases"})
    engine.start_worker()

    task = await engine.ended(task_id)

    assert task.status is TaskState.DONE
    assert task.output == {"from": "two"}
    assert [step.path for step in task.steps] == ["one", "two"]
    assert await engine.kinds(task_id) == [
        "task_submitted",
        "task_claimed",
        "block_started",
        "step_started",
        "step_succeeded",
        "step_started",
        "step_succeeded",
        "block_finished",
        "task_finished",
    ]


async def test_a_lone_agent_is_a_task_too(engine: Engine) -> None:
    engine.start_worker()
    task = await engine.ended(await engine.submit("agent:one", {"text": "hello"}))

    assert task.output == {"from": "one"}
    assert task.steps == ()


async def test_private_keys_never_reach_an_agent(engine: Engine, script: Script) -> None:
    engine.start_worker()
    await engine.ended(await engine.submit("agent:one", {"text": "hello", "_debug": "x"}))

    assert script.asked == [("one", {"text": "hello"})]


async def test_a_failure_that_may_pass_is_tried_again(engine: Engine, script: Script) -> None:
    tries = []

    async def flaky(given: Given, ctx: AgentContext) -> Given:
        tries.append(ctx.idempotency_key)
        if len(tries) < 3:
            raise StepError(FailureCode.UNAVAILABLE, "not now")
        return {"tries": len(tries)}

    script.bodies["two"] = flaky
    engine.start_worker()
    task = await engine.ended(await engine.submit("workflow:pair"))

    assert task.output == {"tries": 3}
    assert len(set(tries)) == 1
    assert [name for name, _ in script.asked].count("one") == 1
    assert [step.attempt for step in task.steps] == [1, 3]


async def test_a_failure_for_good_ends_the_task_with_its_code(engine: Engine, script: Script) -> None:
    async def broken(given: Given, ctx: AgentContext) -> Given:
        raise ValueError("no such table")

    script.bodies["one"] = broken
    engine.start_worker()
    task = await engine.ended(await engine.submit("workflow:pair"))

    assert task.status is TaskState.ERROR
    assert task.failure is not None
    assert task.failure.code is FailureCode.AGENT_FAILED
    assert "no such table" in task.failure.message
    assert [name for name, _ in script.asked] == ["one"]


async def test_another_worker_goes_on_where_a_dead_one_stopped(engine: Engine, script: Script) -> None:
    begun = asyncio.Event()

    async def hang_once(given: Given, ctx: AgentContext) -> Given:
        if not begun.is_set():
            begun.set()
            await asyncio.Event().wait()
        return {"second": True}

    script.bodies["two"] = hang_once
    first = engine.start_worker()
    task_id = await engine.submit("workflow:pair")
    await begun.wait()
    await engine.crash(first)

    engine.start_worker()
    task = await engine.ended(task_id)

    assert task.output == {"second": True}
    assert [name for name, _ in script.asked] == ["one", "two", "two"]
    assert [step.attempt for step in task.steps] == [1, 2]
    assert (await engine.kinds(task_id)).count("task_claimed") == 2


async def test_a_task_whose_worker_died_in_a_step_is_cancelled_at_once(engine: Engine, script: Script) -> None:
    begun = asyncio.Event()

    async def hang(given: Given, ctx: AgentContext) -> Given:
        begun.set()
        await asyncio.Event().wait()
        return {}

    script.bodies["one"] = hang
    first = engine.start_worker()
    task_id = await engine.submit("workflow:pair")
    await begun.wait()
    worker_id = (await engine.store.task(TaskId(task_id))).worker_id
    assert worker_id is not None
    await engine.crash(first)
    await engine.store.expire_worker(worker_id)

    task = await engine.client.cancel(task_id)

    assert task.status is TaskState.CANCELLED
    assert (await engine.kinds(task_id))[-5:] == [
        *("task_claimed", "cancel_requested", "step_cancelled", "block_cancelled", "task_finished")
    ]


async def test_a_stale_owner_cannot_write_and_is_counted(engine: Engine, script: Script) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow_once(given: Given, ctx: AgentContext) -> Given:
        if not begun.is_set():
            begun.set()
            await go_on.wait()
            return {"from": "the stale owner"}
        return {"from": "the new owner"}

    script.bodies["one"] = slow_once
    stale = engine.start_worker()
    task_id = await engine.submit("agent:one")
    await begun.wait()
    lost_before = leases_lost()

    await engine.lapse(stale)  # as if the process were stopped
    await engine.until(task_id, lambda task: task.status is TaskState.PENDING)
    engine.start_worker()
    task = await engine.ended(task_id)
    go_on.set()
    await until(lambda: leases_lost() > lost_before)

    assert task.output == {"from": "the new owner"}
    assert (await engine.client.task(task_id)).output == {"from": "the new owner"}


async def test_a_waiting_task_holds_no_slot_and_goes_on_when_told(engine: Engine, script: Script) -> None:
    told_twice = asyncio.Event()

    async def two(given: Given, ctx: AgentContext) -> Given:
        await told_twice.wait()
        return given

    script.bodies["two"] = two
    worker = engine.start_worker(concurrency=1)
    task_id = await engine.submit("workflow:patient")

    waiting = await engine.until(
        task_id, lambda t: t.workflow_state is not None and t.workflow_state.current == "answer"
    )
    assert waiting.status is TaskState.WAITING
    other = await engine.ended(await engine.submit("agent:one"))
    assert other.status is TaskState.DONE

    await engine.client.signal(task_id, "go", {"say": "yes"}, key="1")
    await engine.client.signal(task_id, "go", {"say": "again"}, key="1")
    told_twice.set()
    task = await engine.ended(task_id)

    assert task.status is TaskState.DONE
    assert script.asked[-1] == ("two", {"say": "yes"})
    assert (await engine.kinds(task_id)).count("signal_received") == 1
    assert worker.state == "running"


async def test_a_worker_never_has_more_steps_under_way_than_it_may_however_many_it_has_ended(
    engine: Engine, script: Script
) -> None:
    running, most = 0, 0

    async def one(given: Given, ctx: AgentContext) -> Given:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.02)
        running -= 1
        return given

    script.bodies["one"] = one
    engine.start_worker(concurrency=2)
    for task_id in [await engine.submit("agent:one") for _ in range(20)]:
        assert (await engine.ended(task_id)).status is TaskState.DONE
    assert most == 2


async def test_a_signal_before_its_wait_is_not_lost(engine: Engine, script: Script) -> None:
    task_id = await engine.submit("workflow:patient")
    await engine.client.signal(task_id, "go", {"say": "early"}, key="1")
    engine.start_worker()
    await engine.ended(task_id)

    assert script.asked[-1] == ("two", {"say": "early"})


async def test_an_unstarted_task_is_cancelled_at_once(engine: Engine, script: Script) -> None:
    task_id = await engine.submit("workflow:pair")
    task = await engine.client.cancel(task_id)

    assert task.status is TaskState.CANCELLED
    engine.start_worker()
    await engine.ended(await engine.submit("agent:two"))
    assert [name for name, _ in script.asked] == ["two"]


async def test_a_waiting_task_is_cancelled_at_once(engine: Engine) -> None:
    engine.start_worker()
    task_id = await engine.submit("workflow:patient")
    await engine.until(task_id, lambda t: t.status is TaskState.WAITING)

    assert (await engine.client.cancel(task_id)).status is TaskState.CANCELLED
    assert (await engine.kinds(task_id))[-2:] == ["block_cancelled", "task_finished"]


async def test_cancelling_ends_what_runs_and_starts_nothing_more(engine: Engine, script: Script) -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def endless(given: Given, ctx: AgentContext) -> Given:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return {}

    script.bodies["one"] = endless
    engine.start_worker()
    task_id = await engine.submit("workflow:pair")
    await begun.wait()
    requested = await engine.client.cancel(task_id)
    assert requested.cancel_requested
    task = await engine.ended(task_id)

    assert task.status is TaskState.CANCELLED
    assert ended.is_set()
    assert [name for name, _ in script.asked] == ["one"]


async def test_a_body_that_ignores_a_cancel_is_given_up(
    engine: Engine, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ownership, "CANCEL_GRACE", 0.05)
    begun, may_end = asyncio.Event(), asyncio.Event()

    async def stubborn(given: Given, ctx: AgentContext) -> Given:
        begun.set()
        while not may_end.is_set():
            with suppress(asyncio.CancelledError):
                await may_end.wait()
        return {"too": "late"}

    script.bodies["one"] = stubborn
    engine.start_worker()
    task_id = await engine.submit("workflow:pair")
    await begun.wait()
    await engine.client.cancel(task_id)
    try:
        assert (await engine.ended(task_id)).status is TaskState.CANCELLED
    finally:
        may_end.set()
    assert [name for name, _ in script.asked] == ["one"]
    assert "step_succeeded" not in await engine.kinds(task_id)


async def test_a_finished_task_cannot_be_cancelled(engine: Engine) -> None:
    engine.start_worker()
    task_id = await engine.submit("agent:one")
    await engine.ended(task_id)

    with pytest.raises(IllegalTransition, match="done"):
        await engine.client.cancel(task_id)


async def test_draining_lets_the_step_end_and_hands_the_rest_back(engine: Engine, script: Script) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow(given: Given, ctx: AgentContext) -> Given:
        begun.set()
        await go_on.wait()
        return {"from": "one"}

    script.bodies["one"] = slow
    worker = engine.start_worker()
    task_id = await engine.submit("workflow:pair")
    await begun.wait()
    worker.stop()
    await until(lambda: worker.state == "draining")
    go_on.set()
    task = await engine.until(task_id, lambda t: t.status is TaskState.PENDING)

    assert [(s.path, s.status) for s in task.steps] == [("one", TaskState.DONE)]
    engine.start_worker()
    await engine.ended(task_id)
    assert [name for name, _ in script.asked] == ["one", "two"]


async def test_draining_hands_back_at_its_deadline_what_does_not_end(engine: Engine, script: Script) -> None:
    begun = asyncio.Event()

    async def slow_once(given: Given, ctx: AgentContext) -> Given:
        if not begun.is_set():
            begun.set()
            await asyncio.Event().wait()
        return {}

    script.bodies["one"] = slow_once
    worker = engine.start_worker(drain_seconds=0.1)
    task_id = await engine.submit("agent:one")
    await begun.wait()
    worker.stop()
    await engine.until(task_id, lambda t: t.status is TaskState.PENDING)

    engine.start_worker()
    assert (await engine.ended(task_id)).status is TaskState.DONE


async def test_a_task_that_kills_three_workers_alone_is_poisoned_and_its_neighbours_are_not(
    engine: Engine, script: Script
) -> None:
    killer = asyncio.Event()

    async def deadly(given: Given, ctx: AgentContext) -> Given:
        killer.set()
        await asyncio.Event().wait()
        return {}

    async def slow(given: Given, ctx: AgentContext) -> Given:
        await asyncio.sleep(0.05)
        return {"from": "two"}

    script.bodies["one"] = deadly
    script.bodies["two"] = slow
    poisonous = await engine.submit("agent:one")
    innocent = await engine.submit("agent:two")
    for _ in range(4):
        worker = engine.start_worker()
        async with asyncio.timeout(20):
            await killer.wait()
        killer.clear()
        await engine.crash(worker)
        await engine.until(poisonous, lambda t: t.status is not TaskState.RUNNING)

    task = await engine.ended(poisonous)
    assert task.status is TaskState.ERROR
    assert task.failure is not None
    assert task.failure.code is FailureCode.POISONED
    engine.start_worker()
    assert (await engine.ended(innocent)).status is TaskState.DONE


async def test_a_worker_without_the_agent_leaves_the_task_and_says_why(engine: Engine) -> None:
    task_id = await engine.submit("workflow:pair")
    whole = engine.registries
    engine.registries = type(whole)(strategies=whole.strategies, instances=whole.instances)
    worker = engine.start_worker()
    task = await engine.until(task_id, lambda t: t.reason is not None)

    assert task.status is TaskState.PENDING
    assert task.reason is not None
    assert "no agent 'one'" in task.reason
    assert await engine.kinds(task_id) == ["task_submitted"]
    assert worker.state == "running"


async def test_an_administrator_ends_a_running_task_and_its_owner_loses_it(engine: Engine, script: Script) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow(given: Given, ctx: AgentContext) -> Given:
        begun.set()
        await go_on.wait()
        return {"from": "the owner"}

    script.bodies["one"] = slow
    engine.start_worker()
    task_id = await engine.submit("agent:one")
    await begun.wait()
    lost_before = leases_lost()
    await engine.client.administer(task_id, status=TaskState.DONE, output={"from": "the administrator"})
    go_on.set()
    await until(lambda: leases_lost() > lost_before)

    task = await engine.client.task(task_id)
    assert task.output == {"from": "the administrator"}
    assert (await engine.kinds(task_id))[-1] == "task_finished"


async def test_an_administrator_cannot_break_the_state_machine(engine: Engine) -> None:
    task_id = await engine.submit("agent:one")

    with pytest.raises(IllegalTransition):
        await engine.client.administer(task_id, status=TaskState.DONE, output={})
    with pytest.raises(IllegalTransition):
        await engine.client.administer(task_id, status=TaskState.RUNNING)


async def test_a_step_that_outlives_its_timeout_fails_with_that_code(engine: Engine, script: Script) -> None:
    async def slow(given: Given, ctx: AgentContext) -> Given:
        await asyncio.Event().wait()
        return {}

    script.bodies["one"] = slow
    engine.start_worker()
    task = await engine.ended(await engine.submit("workflow:hasty"))

    assert task.status is TaskState.ERROR
    assert task.failure is not None
    assert task.failure.code is FailureCode.TIMEOUT


async def test_a_retry_is_a_new_task_and_the_source_stays_as_it_was(engine: Engine) -> None:
    engine.start_worker()
    source = await engine.ended(await engine.submit("workflow:pair", {"topic": "x"}))
    journal = await engine.client.journal(source.id)
    again = await engine.ended((await engine.client.retry(source.id)).id)

    assert again.id != source.id
    assert again.retry_of == source.id
    assert again.input == {"topic": "x"}
    assert await engine.client.journal(source.id) == journal


async def test_the_journal_refuses_a_write_that_does_not_continue_it(engine: Engine) -> None:
    task_id = await engine.submit("agent:one")
    worker = engine.start_worker()
    await engine.ended(task_id)
    other = await engine.submit("workflow:patient")
    row = await engine.until(other, lambda t: t.status is TaskState.WAITING)
    stored = await engine.store.task(TaskId(row.id))
    assert stored.fence is not None

    event = StepSucceeded(path=StepPath.parse("one"), attempt=1, output={})
    [result] = await engine.store.commit(
        [Write(lease=Lease(stored.id, stored.fence, None), first_seq=stored.last_seq + 2, events=[event])]
    )
    assert isinstance(result, Lost)
    assert worker.state == "running"


async def test_a_fault_of_ours_hands_the_task_back_and_says_so(engine: Engine) -> None:
    class Broken(Definitions):
        async def pinned(self, type: str, hash: str | None) -> Pinned:
            raise SystemError("the definitions are broken")

    engine.definitions = Broken(engine.store)
    worker = engine.start_worker()
    task_id = await engine.submit("agent:one")
    task = await engine.until(task_id, lambda t: t.reason is not None)

    assert task.status is TaskState.PENDING
    assert "SystemError" in (task.reason or "")
    assert worker.state == "running"


async def test_a_keeper_is_told_of_a_moment_before_the_lease_began(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    register, called = engine.store.register_worker, []

    async def noted(worker: WorkerRow, lease_seconds: float) -> None:
        called.append(time.monotonic())
        await register(worker, lease_seconds)

    monkeypatch.setattr(engine.store, "register_worker", noted)
    engine.start_worker()
    await until(lambda: bool(engine.registered))

    assert engine.registered[0] <= called[0]
