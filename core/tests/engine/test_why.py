"""Why a task stands where it stands: every answer by table, from facts alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from agentplat.contracts.store import TaskRow
from agentplat.contracts.why import Serving, Standing, Why
from agentplat.domain.events import (
    BlockFailed,
    BlockStarted,
    CancelRequested,
    ChildDispatched,
    Event,
    Recorded,
    RetryScheduled,
    StepCancelRequested,
    StepFailed,
    StepSkipped,
    StepStarted,
    StepSucceeded,
    TaskClaimed,
    TaskFinished,
    TaskSubmitted,
    WaitStarted,
)
from agentplat.domain.failure import Failure, FailureCode
from agentplat.domain.ids import ExecutionId, StepPath, TaskId, WorkerId
from agentplat.domain.task import TaskState
from agentplat.domain.usage import Usage
from agentplat.domain.workflow import AgentCall, Block, Step, Workflow
from agentplat.engine.client.why import why
from agentplat.engine.history import fold

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
LATER = NOW + timedelta(minutes=5)
ID, WORKER = TaskId(UUID(int=1)), WorkerId(UUID(int=2))
EXECUTION = ExecutionId(UUID(int=3))
A, B = StepPath.parse("a"), StepPath.parse("b")
ROW = TaskRow(
    id=ID,
    tenant="acme",
    type="workflow:w",
    status=TaskState.PENDING,
    input={},
    output=None,
    failure=None,
    definition=None,
    user_hash=None,
    trace_id="0" * 32,
    usage=Usage(),
    created_at=NOW,
    updated_at=NOW,
    cancel_requested=False,
    reason=None,
    queue="default",
    concurrency_key=None,
    concurrency_limit=None,
    priority=0,
    retry_of=None,
    forked_from=None,
    parent=None,
    fence=1,
    worker_id=None,
    last_seq=1,
)
HERE = Serving(id=WORKER, host="here", pid=7, queues=("default",))
STANDING = Standing(now=NOW, workers=[HERE])
WORKFLOW = Workflow(
    name="w",
    root=Block(
        name="",
        strategy="any",
        steps=(
            Step(name="a", body=AgentCall("x")),
            Step(name="b", body=AgentCall("x")),
            Step(name="c", body=AgentCall("x"), needs=("a", "b")),
        ),
    ),
)
REFUSED = Failure(code=FailureCode.REFUSED, message="No.")
AWAY = Failure(code=FailureCode.UNAVAILABLE, message="Nobody answers.")
LATE = Failure(code=FailureCode.TIMEOUT, message="It took too long.")
SUBMITTED = (TaskSubmitted(type="workflow:w", input={}), TaskClaimed(fence=1, worker="w"))
BEGUN: Sequence[Event] = (*SUBMITTED, BlockStarted(path=StepPath(), input={}))
RUNS = StepStarted(path=A, execution_id=EXECUTION, attempt=2, try_number=1, input={})


def asked(row: TaskRow, standing: Standing = STANDING, events: Sequence[Event] = BEGUN) -> Why:
    journal = [Recorded(seq=seq, at=NOW, event=event) for seq, event in enumerate(events, 1)]
    return why(row, standing, fold(WORKFLOW, journal, ID, "acme") if journal else None, journal)


def pending(**values: Any) -> Why:
    return asked(ROW, replace(STANDING, **values), SUBMITTED[:1])


def waiting(*events: Event) -> Why:
    return asked(replace(ROW, status=TaskState.WAITING), events=[*BEGUN, *events])


def running(*events: Event, **values: Any) -> Why:
    return asked(replace(ROW, status=TaskState.RUNNING, worker_id=WORKER, **values), events=[*BEGUN, *events])


def over(status: TaskState, failure: Failure | None, *events: Event) -> Why:
    finished = TaskFinished(status=status.value, output=None, failure=failure)
    return asked(replace(ROW, status=status, failure=failure), events=[*BEGUN, *events, finished])


def wait(signal: str | None, delay: float | None) -> WaitStarted:
    return WaitStarted(path=B, execution_id=EXECUTION, signal=signal, delay=delay)


CHILD = ChildDispatched(path=B, execution_id=EXECUTION, attempt=1, try_number=1, input={})
FAILED = (RUNS, StepFailed(path=A, attempt=2, failure=AWAY))
ANSWERS: dict[str, tuple[Callable[[], Why], str, str, datetime | None]] = {
    "its turn": (pending, "turn", "for the one worker of the queue 'default' to have room", None),
    "two workers": (lambda: pending(workers=[HERE, HERE]), "turn", "for one of 2 workers", None),
    "an older worker": (lambda: pending(workers=[replace(HERE, queues=())]), "turn", "the one worker", None),
    "no worker": (lambda: pending(workers=[]), "no_worker", "No worker serves the queue 'default': none runs", None),
    "another queue": (
        lambda: pending(workers=[replace(HERE, queues=("egress", "slow"))]),
        "no_worker",
        "those that run serve 'egress', 'slow'",
        None,
    ),
    "a limit": (
        lambda: pending(limit="waits for the limit `crm`: 3 of 3 running"),
        "limited",
        "It waits for the limit `crm`: 3 of 3 running.",
        None,
    ),
    "a delay": (lambda: pending(run_at=LATER), "delayed", "It may begin at 2026-03-01 12:05:00 UTC", LATER),
    "a missing plugin": (
        lambda: pending(run_at=LATER, reason="this worker has no agent 'writer'"),
        "handed_back",
        "A worker handed it back: this worker has no agent 'writer'. It is offered again at 2026-03-01 12:05:00",
        LATER,
    ),
    "handed back": (lambda: pending(reason="it drains"), "handed_back", "it drains. It is offered again now", None),
    "a suspect": (lambda: pending(suspect=True, crashes=1), "suspect", "It runs alone", None),
    "crashed": (lambda: pending(crashes=3, poisoned=True), "crashed", "3 workers died", None),
    "running": (lambda: running(RUNS), "running", "Worker here:7 works on it. Step 'a' runs, attempt 2.", None),
    "cancelling": (
        lambda: running(RUNS, CancelRequested(reason="x"), StepCancelRequested(path=A), cancel_requested=True),
        "cancelling",
        "It was asked to cancel, and worker here:7 ends what runs. Step 'a' runs, attempt 2, and was told to end.",
        None,
    ),
    "a signal": (
        lambda: waiting(wait("go", None)),
        "waiting",
        "It waits, and holds no worker. Step 'b' waits for the signal 'go'.",
        None,
    ),
    "a signal in time": (
        lambda: waiting(wait("go", 300)),
        "waiting",
        "Step 'b' waits for the signal 'go' until 2026-03-01 12:05:00 UTC.",
        LATER,
    ),
    "a timer": (lambda: waiting(wait(None, 300)), "waiting", "Step 'b' waits until 2026-03-01 12:05:00 UTC.", LATER),
    "a child": (
        lambda: waiting(CHILD),
        "waiting",
        f"It waits, and holds no worker. Step 'b' waits for the child task {EXECUTION}, attempt 1.",
        None,
    ),
    "a child that ends": (
        lambda: waiting(CHILD, StepCancelRequested(path=B)),
        "waiting",
        f"Step 'b' waits for the child task {EXECUTION}, attempt 1, which was told to end.",
        None,
    ),
    "a retry": (
        lambda: waiting(*FAILED, RetryScheduled(path=A, try_number=2, delay=300)),
        "waiting",
        "Step 'a' is tried again at 2026-03-01 12:05:00 UTC: try 2 after `unavailable` (Nobody answers.).",
        LATER,
    ),
    "done": (lambda: over(TaskState.DONE, None), "done", "It is done since 2026-03-01 12:00:00 UTC.", None),
    "failed": (
        lambda: over(TaskState.ERROR, AWAY, *FAILED, BlockFailed(path=StepPath(), failure=AWAY)),
        "failed",
        "It ended at 2026-03-01 12:00:00 UTC with the error `unavailable` in step 'a': Nobody answers.",
        None,
    ),
    "a step's timeout": (
        lambda: over(
            TaskState.ERROR,
            replace(AWAY, code=FailureCode.TIMEOUT),
            *FAILED,
            BlockFailed(path=StepPath(), failure=AWAY),
        ),
        "failed",
        "with the error `timeout` in step 'a'",
        None,
    ),
    "its own timeout": (
        lambda: over(TaskState.ERROR, replace(REFUSED, code=FailureCode.TIMEOUT)),
        "timed_out",
        "with the error `timeout`: No.",
        None,
    ),
    "poisoned": (
        lambda: over(TaskState.ERROR, replace(REFUSED, code=FailureCode.POISONED)),
        "poisoned",
        "with the error `poisoned`",
        None,
    ),
    "cancelled": (
        lambda: over(
            TaskState.CANCELLED, replace(REFUSED, code=FailureCode.CANCELLED), CancelRequested(reason="on request")
        ),
        "cancelled",
        "It was cancelled at 2026-03-01 12:00:00 UTC: the request said 'on request'.",
        None,
    ),
    "no history": (
        lambda: asked(replace(ROW, status=TaskState.ERROR, failure=REFUSED), events=()),
        "failed",
        "with the error `refused`: No.",
        None,
    ),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_there_is_an_answer_to_every_why(name: str) -> None:
    ask, code, said, until = ANSWERS[name]
    found = ask()
    assert (found.code, found.until) == (code, until)
    assert said in found.sentence
    assert found.at == NOW


def test_each_step_says_what_it_waits_for_and_which_condition_was_false() -> None:
    skipped = StepSkipped(path=A, execution_id=EXECUTION, reason="its condition is false: input.big")
    found = waiting(skipped, wait("go", None))
    assert [(step.path, step.code) for step in found.steps] == [("a", "skipped"), ("b", "signal"), ("c", "needs")]
    assert found.steps[0].sentence == "Step 'a' was skipped: its condition is false: input.big."
    assert found.steps[2].sentence == "Step 'c' waits for 'b'."
    assert found.steps[2].details == {"needs": ["b"]}


def test_a_step_that_has_all_that_it_needs_is_not_said_to_wait() -> None:
    settled = [
        event
        for path in (A, B)
        for event in (
            StepStarted(path=path, execution_id=EXECUTION, attempt=1, try_number=1, input={}),
            StepSucceeded(path=path, attempt=1, output={}),
        )
    ]
    assert waiting(*settled).steps == ()
