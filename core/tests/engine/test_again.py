"""Retry and fork: what finished is reused, what failed or was edited runs again, and the source is only read."""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from agentplat import AgentContext, ConflictError, FailureCode, InputRejected, Rerun, StepError, TaskState
from agentplat.contracts.interface import TaskView
from agentplat.contracts.specs import WorkflowSpec
from agentplat.contracts.store import End, Write
from agentplat.domain.events import BlockStarted, Event, StepStarted, StepSucceeded, TaskClaimed, TaskFinished
from agentplat.domain.failure import Failure
from agentplat.domain.ids import ExecutionId, StepPath, TaskId
from agentplat.domain.task import Lease
from agentplat.domain.usage import Usage
from agentplat.plugins.registry import RegistryBuilder

from .harness import Engine, Given, Script


def path_of(ctx: AgentContext) -> str:
    """Which step runs: an agent has no business to know, so its context does not say it openly."""
    context: Any = ctx
    return str(context._attempt.path)


@pytest.fixture
def counted(script: Script) -> Counter[str]:
    """How often each step ran; `one` gives its number, `two` fails for good while `broken` is counted."""
    ran: Counter[str] = Counter()

    async def one(given: Given, ctx: AgentContext) -> Given:
        ran[path_of(ctx)] += 1
        ran["all"] += 1
        return {"n": ran["all"], "given": given}

    async def two(given: Given, ctx: AgentContext) -> Given:
        ran[path_of(ctx)] += 1
        if ran["broken"]:
            raise StepError(FailureCode.REFUSED, "It does not want to.")
        return {"two": given}

    script.bodies.update(one=one, two=two)
    return ran


async def failed(engine: Engine, counted: Counter[str], type: str = "workflow:ten") -> TaskView:
    counted["broken"] = 1
    task = await engine.ended(await engine.submit(type, {"topic": "tea"}))
    assert task.status is TaskState.ERROR
    counted.clear()
    return task


async def everything_of(engine: Engine, task_id: UUID) -> object:
    return await engine.client.task(task_id), await engine.client.journal(task_id)


def paths(task: TaskView, *, reused: bool) -> Sequence[str]:
    return [step.path for step in task.steps if step.reused is reused]


async def test_a_retry_goes_on_from_the_failed_step_and_nothing_finished_runs_again(
    engine: Engine, counted: Counter[str]
) -> None:
    engine.start_worker()
    source = await failed(engine, counted)
    before = await everything_of(engine, source.id)

    quote = await engine.client.quote(source.id, Rerun(), fork=False)
    assert (quote.reused, quote.again, quote.undecided) == (("s1", "s2", "s3", "s4", "s5", "s6"), ("s7",), ())
    assert await everything_of(engine, source.id) == before

    again = await engine.ended((await engine.client.retry(source.id)).id)
    assert (again.status, again.retry_of, again.input) == (TaskState.DONE, source.id, {"topic": "tea"})
    assert dict(counted) == {"s7": 1, "s8": 1, "s9": 1, "s10": 1, "all": 3}
    assert paths(again, reused=True) == ["s1", "s2", "s3", "s4", "s5", "s6"]
    outputs = {step.path: step.output for step in again.steps}
    assert {path: outputs[path] for path in paths(again, reused=True)} == {
        step.path: step.output for step in source.steps if step.path != "s7"
    }
    assert outputs["s7"] == {"two": outputs["s6"]}
    assert await everything_of(engine, source.id) == before
    kinds = await engine.kinds(again.id)
    assert kinds[:4] == ["task_submitted", "history_reused", "block_started", "step_reused"]


async def test_a_retry_that_fails_again_can_be_retried_again(engine: Engine, counted: Counter[str]) -> None:
    engine.start_worker()
    source = await failed(engine, counted)
    counted["broken"] = 1
    second = await engine.ended((await engine.client.retry(source.id)).id)
    assert second.status is TaskState.ERROR
    counted.clear()
    third = await engine.ended((await engine.client.retry(second.id)).id)
    assert third.status is TaskState.DONE
    assert counted["s6"] == 0
    assert counted["s7"] == 1


async def test_what_reused_steps_had_used_is_not_counted_again(engine: Engine, counted: Counter[str]) -> None:
    source = await failed_with_usage(engine, counted)
    quote = await engine.client.quote(source.id, Rerun(), fork=False)
    assert quote.saved == source.usage
    again = await engine.client.retry(source.id)
    assert again.usage == Usage()


async def failed_with_usage(engine: Engine, counted: Counter[str]) -> TaskView:
    """A task whose first step had used something, as its journal says."""
    task_id = await engine.submit("workflow:ten", {})
    row = await engine.store.task(TaskId(task_id))
    assert row.fence is not None
    usage, s1 = Usage(model="m:m", input_tokens=7, output_tokens=3, cost=11), StepPath.parse("s1")
    failure = Failure(code=FailureCode.REFUSED, message="By hand.")
    events: list[Event] = [
        TaskClaimed(fence=row.fence + 1, worker="nobody"),
        BlockStarted(path=StepPath(), input={}),
        StepStarted(path=s1, execution_id=ExecutionId(task_id), attempt=1, try_number=1, input={}),
        StepSucceeded(path=s1, attempt=1, output={}, usage=usage),
        TaskFinished(status="error", output=None, failure=failure),
    ]
    end = End(status=TaskState.ERROR, output=None, failure=failure)
    write = Write(lease=Lease(row.id, row.fence, None), first_seq=2, events=events, usage=usage, closing=end)
    await engine.store.commit([write])
    task = await engine.client.task(task_id)
    assert task.usage == usage
    return task


async def test_a_retry_may_begin_earlier(engine: Engine, counted: Counter[str]) -> None:
    engine.start_worker()
    source = await failed(engine, counted)
    quote = await engine.client.quote(source.id, Rerun(start="s4"), fork=False)
    assert (quote.reused, quote.again, quote.undecided) == (("s1", "s2", "s3"), ("s4",), ("s5", "s6", "s7"))
    again = await engine.ended((await engine.client.retry(source.id, Rerun(start="s4"))).id)
    assert again.status is TaskState.DONE
    assert counted["s3"] == 0
    assert [counted[f"s{n}"] for n in range(4, 11)] == [1] * 7


async def test_a_fork_runs_a_step_with_another_input_and_what_follows_from_it(
    engine: Engine, counted: Counter[str]
) -> None:
    engine.start_worker()
    source = await engine.ended(await engine.submit("workflow:ten", {"topic": "tea"}))
    before = await everything_of(engine, source.id)
    counted.clear()

    fork = await engine.ended((await engine.client.fork(source.id, Rerun(start="s4", input={"other": True}))).id)

    assert (fork.status, fork.forked_from, fork.retry_of) == (TaskState.DONE, source.id, None)
    assert paths(fork, reused=True) == ["s1", "s2", "s3"]
    assert {step.path: step.input for step in fork.steps}["s4"] == {"other": True}
    assert {step.path: step.output for step in fork.steps}["s4"]["given"] == {"other": True}  # type: ignore[index, call-overload]
    assert [counted[f"s{n}"] for n in range(1, 11)] == [0, 0, 0, *[1] * 7]
    assert await everything_of(engine, source.id) == before


async def test_a_fork_goes_on_from_an_output_that_was_given(engine: Engine, counted: Counter[str]) -> None:
    engine.start_worker()
    source = await engine.ended(await engine.submit("workflow:ten"))
    counted.clear()
    wanted = Rerun(outputs={"s9": {"by": "hand"}})
    quote = await engine.client.quote(source.id, wanted, fork=True)
    assert (quote.edited, quote.again, quote.undecided) == (("s9",), (), ("s10",))
    fork = await engine.ended((await engine.client.fork(source.id, wanted)).id)
    assert {step.path: step.input for step in fork.steps}["s10"] == {"by": "hand"}
    assert dict(counted) == {"s10": 1, "all": 1}


async def test_a_failed_step_may_be_given_its_output_by_hand(engine: Engine, counted: Counter[str]) -> None:
    engine.start_worker()
    source = await failed(engine, counted)
    counted["broken"] = 1
    fork = await engine.ended((await engine.client.fork(source.id, Rerun(outputs={"s7": {"by": "hand"}}))).id)
    assert fork.status is TaskState.DONE
    assert counted["s7"] == 0
    assert {step.path: step.input for step in fork.steps}["s8"] == {"by": "hand"}


async def test_blocks_and_waits_are_reused_and_gone_on_with(engine: Engine, counted: Counter[str]) -> None:
    engine.start_worker()
    counted["broken"] = 1
    task_id = await engine.submit("workflow:nested")
    await engine.client.signal(task_id, "go", "first", "1")
    source = await engine.ended(task_id)
    assert source.status is TaskState.ERROR
    counted.clear()

    again = await engine.ended((await engine.client.retry(source.id)).id)
    assert again.status is TaskState.DONE
    assert paths(again, reused=True) == ["gather", "polish/draft", "polish/told"]
    assert again.output is not None
    assert again.output["text"]["given"]["text"]["two"] == {"told": "first", "from": 2}  # type: ignore[index, call-overload]

    # From the wait on: it waits anew, for another signal.
    fork = await engine.client.fork(again.id, Rerun(start="polish/told"))
    await engine.until(fork.id, lambda task: task.status is TaskState.WAITING)
    await engine.client.signal(fork.id, "go", "second", "1")
    ended = await engine.ended(fork.id)
    assert ended.output is not None
    assert ended.output["text"]["given"]["text"]["two"] == {"told": "second", "from": 2}  # type: ignore[index, call-overload]
    assert paths(ended, reused=True) == ["gather", "polish/draft"]

    # A whole block with another input, or with an output in its place.
    block = await engine.client.quote(again.id, Rerun(start="polish"), fork=True)
    assert block.undecided == ("polish/draft", "polish/told", "polish/improve", "publish")
    given = await engine.ended((await engine.client.fork(again.id, Rerun(outputs={"polish": "x"}))).id)
    assert given.output is not None
    assert given.output["text"]["given"] == {"text": "x"}  # type: ignore[index, call-overload]
    assert paths(given, reused=True) == ["gather"]


async def test_a_running_task_may_be_forked_and_goes_on_undisturbed(engine: Engine, counted: Counter[str]) -> None:
    engine.start_worker()
    task_id = await engine.submit("workflow:nested")
    await engine.until(task_id, lambda task: task.status is TaskState.WAITING)
    fork = await engine.client.fork(task_id, Rerun(outputs={"polish/told": "by hand"}))
    assert (await engine.ended(fork.id)).status is TaskState.DONE
    assert (await engine.client.task(task_id)).status is TaskState.WAITING
    await engine.client.signal(task_id, "go", "at last", "1")
    assert (await engine.ended(task_id)).status is TaskState.DONE


async def test_a_cancelled_task_goes_on_where_it_was(engine: Engine, counted: Counter[str]) -> None:
    engine.start_worker()
    task_id = await engine.submit("workflow:nested")
    await engine.until(task_id, lambda task: task.status is TaskState.WAITING)
    await engine.client.cancel(task_id)
    counted.clear()
    again = await engine.client.retry(task_id)
    await engine.until(again.id, lambda task: task.status is TaskState.WAITING)
    await engine.client.signal(again.id, "go", "yes", "1")
    ended = await engine.ended(again.id)
    assert (ended.status, counted["gather"], counted["polish/draft"]) == (TaskState.DONE, 0, 0)


async def test_what_is_done_is_done_once_more_from_its_beginning(engine: Engine, counted: Counter[str]) -> None:
    engine.start_worker()
    source = await engine.ended(await engine.submit("workflow:ten"))
    counted.clear()
    for wanted in (Rerun(), Rerun(start="")):
        again = await engine.ended((await engine.client.retry(source.id, wanted)).id)
        assert paths(again, reused=True) == []
    assert counted["s1"] == 2


async def test_a_quote_of_what_begins_anew_lists_everything_that_the_source_has_done(
    engine: Engine, counted: Counter[str]
) -> None:
    engine.start_worker()
    source = await engine.ended(await engine.submit("workflow:ten"))
    done, broken = tuple(f"s{number}" for number in range(1, 11)), await failed(engine, counted)
    for wanted, fork in ((Rerun(), False), (Rerun(start=""), False), (Rerun(start=""), True)):
        quote = await engine.client.quote(source.id, wanted, fork=fork)
        assert (quote.again, quote.reused, quote.undecided, quote.saved) == (done, (), (), Usage())
    for fork in (False, True):
        quote = await engine.client.quote(broken.id, Rerun(start=""), fork=fork)
        assert (quote.again, quote.reused) == (done[:7], ())
    nested = await engine.submit("workflow:nested")
    await engine.until(nested, lambda task: task.status is TaskState.WAITING)
    begun = (await engine.client.quote(nested, Rerun(start=""), fork=True)).again
    assert begun == ("gather", "polish/draft", "polish/told")


async def test_a_fork_of_the_whole_task_takes_another_input(engine: Engine, counted: Counter[str]) -> None:
    engine.start_worker()
    source = await engine.ended(await engine.submit("agent:one", {"topic": "tea"}))
    fork = await engine.ended((await engine.client.fork(source.id, Rerun(start="", input={"topic": "coffee"}))).id)
    assert fork.input == {"topic": "coffee"}
    assert fork.output is not None
    assert fork.output["given"] == {"topic": "coffee"}


async def test_the_same_key_is_the_same_retry(engine: Engine, counted: Counter[str]) -> None:
    engine.start_worker()
    source = await failed(engine, counted)
    first, second = [await engine.client.retry(source.id, Rerun(idempotency_key="k")) for _ in range(2)]
    assert first.id == second.id
    with pytest.raises(ConflictError, match="k"):
        await engine.client.retry(source.id, Rerun(start="s4", idempotency_key="k"))


@pytest.mark.parametrize(
    ("wanted", "pointer"),
    [
        (Rerun(), "/from"),
        (Rerun(input={}), "/from"),
        (Rerun(start="s11"), "/from"),
        (Rerun(start="s4#x"), "/from"),
        (Rerun(start="s4", outputs={"s4": 1}), "/outputs/s4"),
        (Rerun(start="s4", outputs={"s6": 1}), "/outputs/s6"),
        (Rerun(start="s6", input={}, outputs={"s4": 1}), "/input"),
        (Rerun(outputs={"nobody/here": 1}), "/outputs/nobody~1here"),
        (Rerun(start="", outputs={"s1": 1}), "/outputs"),
        (Rerun(start="s4", input={"a": "\ud800"}), "/input/a"),
    ],
)
async def test_edits_that_do_not_fit_are_refused_where_they_stand(
    engine: Engine, counted: Counter[str], wanted: Rerun, pointer: str
) -> None:
    engine.start_worker()
    source = await engine.ended(await engine.submit("workflow:ten"))
    with pytest.raises(InputRejected) as refused:
        await engine.client.fork(source.id, wanted)
    assert [at for at, _ in refused.value.faults] == [pointer]


async def test_a_retry_edits_nothing_and_needs_an_end(engine: Engine) -> None:
    task_id = await engine.submit("workflow:ten")
    with pytest.raises(ConflictError, match="pending"):
        await engine.client.retry(task_id)
    await engine.client.cancel(task_id)
    with pytest.raises(InputRejected, match="a retry edits nothing"):
        await engine.client.retry(task_id, Rerun(start="s1", input={}))


VERSION = """name: versioned
strategy: in_order
steps:
  - {name: first, agent: one}
  - {name: second, agent: two, input: {version: %d}}
  - {name: third, agent: one%s}
"""


async def of_versions(engine: Engine, counted: Counter[str], file: Path) -> tuple[TaskView, Callable[[str], None]]:
    """A task whose second step failed, and how its workflow is written anew."""

    def write(text: str) -> None:
        file.write_text(text)
        builder = RegistryBuilder()
        for spec in (*engine.registries.agents, *engine.registries.strategies):
            builder.register(spec)
        builder.register(WorkflowSpec(name="versioned", file=str(file)))
        engine.registries = builder.build()
        engine.definitions.workflow(engine.registries, "versioned")

    write(VERSION % (1, ""))
    engine.start_worker()
    return await failed(engine, counted, "workflow:versioned"), write


async def test_a_retry_stays_on_its_own_version_unless_the_newest_is_asked_for(
    engine: Engine, counted: Counter[str], tmp_path: Path
) -> None:
    source, write = await of_versions(engine, counted, tmp_path / "versioned.yaml")
    write(VERSION % (22, ", input: {new: true}"))
    own = await engine.ended((await engine.client.retry(source.id)).id)
    assert {step.path: step.input for step in own.steps}["second"] == {"version": 1}
    assert (await engine.client.quote(source.id, Rerun(newest=True), fork=False)).reused == ("first",)
    new = await engine.ended((await engine.client.retry(source.id, Rerun(newest=True))).id)
    assert {step.path: step.input for step in new.steps}["second"] == {"version": 22}
    assert {step.path: step.input for step in new.steps}["third"] == {"new": True}
    assert (counted["first"], counted["second"], counted["third"]) == (0, 2, 2)


async def test_the_newest_version_is_refused_where_it_changes_what_would_be_reused(
    engine: Engine, counted: Counter[str], tmp_path: Path
) -> None:
    source, write = await of_versions(engine, counted, tmp_path / "versioned.yaml")
    write((VERSION % (333, "")).replace("first, agent: one", "first, agent: two"))
    with pytest.raises(ConflictError, match=r"changes what is to be reused: first\."):
        await engine.client.retry(source.id, Rerun(newest=True))
    write((VERSION % (4444, "")).replace("steps:\n", "steps:\n  - {name: before, agent: one}\n"))
    with pytest.raises(ConflictError, match=r"changes what is to be reused: first\."):
        await engine.client.retry(source.id, Rerun(newest=True))
    # From the beginning on there is nothing to disagree about.
    again = await engine.ended((await engine.client.retry(source.id, Rerun(start="", newest=True))).id)
    assert again.status is TaskState.DONE
    assert counted["before"] == 1
