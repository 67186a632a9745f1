"""From commands to events, and from a journal to a state: the two steps between the pure centre and the edge."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from datetime import timedelta
from functools import partial
from typing import Protocol, assert_never

from uuid_utils.compat import uuid7

from agentplat.contracts.store import Store
from agentplat.domain.commands import (
    BeginEnding,
    CancelBlock,
    CancelStep,
    CatchFailure,
    Command,
    DispatchChild,
    EmitEvent,
    ExpandBlock,
    FailBlock,
    FinishBlock,
    FinishTask,
    GiveUp,
    RefuseStep,
    ScheduleRetry,
    SettleStep,
    SkipStep,
    StartBlock,
    StartStep,
    StartWait,
    StopBlock,
)
from agentplat.domain.events import (
    BlockCancelled,
    BlockCaught,
    BlockEnding,
    BlockExpanded,
    BlockFailed,
    BlockFinished,
    BlockStarted,
    BlockStopping,
    ChildDispatched,
    Event,
    EventEmitted,
    Recorded,
    RetryScheduled,
    StepCancelled,
    StepCancelRequested,
    StepFailed,
    StepGivenUp,
    StepRefused,
    StepSkipped,
    StepStarted,
    StepSucceeded,
    TaskFinished,
    WaitStarted,
)
from agentplat.domain.ids import ExecutionId, TaskId
from agentplat.domain.interpreter import Rules, decide
from agentplat.domain.state import State, evolve
from agentplat.domain.workflow import Workflow
from agentplat.engine.journal import patiently

_PART = 1_000
"""Events that are folded at a time: some 50 ms."""


def fold(workflow: Workflow, journal: Iterable[Recorded], task_id: TaskId, tenant: str) -> State:
    """The state that a task's journal adds up to."""
    state = State(workflow=workflow, id=str(task_id), tenant=tenant)
    for recorded in journal:
        state = evolve(state, recorded.event, recorded.at)
    return state


async def go_on(state: State, store: Store, task_id: TaskId) -> State:
    """`state` with all that the journal has behind it, part by part: other tasks go on meanwhile.

    Raises SchemaOutdated when a newer version wrote a part of it.
    """
    while True:
        events = await patiently(partial(store.journal, task_id, state.seq, _PART))
        for recorded in events:
            state = evolve(state, recorded.event, recorded.at)
        if len(events) < _PART:
            return state


class WatchedRules(Rules, Protocol):
    """Rules that say what is decided on: what they call is foreign code, which may never return, or end the process."""

    def decides(self, task_id: str) -> None:
        """From now on it is this task; none when it is empty."""


def plan(state: State, rules: WatchedRules) -> tuple[State, Sequence[Event], Sequence[StartStep | DispatchChild]]:
    """Everything that follows from `state` without waiting: the state then, the events, and what is to be started.

    Bodies may start when the events are committed; children come into being with them.
    """
    events: list[Event] = []
    starts: list[StartStep | DispatchChild] = []
    rules.decides(state.id)
    try:
        while commands := decide(state, rules):
            for command in commands:
                event = realise(command)
                events.append(event)
                state = evolve(state, event)
                # Not isinstance over a union: that is made anew each time, and this is done for every command.
                if type(command) is StartStep or type(command) is DispatchChild:
                    starts.append(command)
    finally:
        rules.decides("")
    return state, events, starts


def realise(command: Command) -> Event:
    """The event that carrying out `command` leads to. Ids and jitter come in here, and nowhere else."""
    match command:
        case StartStep() | StartWait() | EmitEvent() | SkipStep() | RefuseStep() | ScheduleRetry() | SettleStep():
            return _realise_step(command)
        case CancelStep():
            return StepCancelRequested(path=command.path)
        case FinishTask():
            return TaskFinished(status=command.status, output=command.output, failure=command.failure)
        case DispatchChild():
            return ChildDispatched(
                path=command.path,
                execution_id=_new_id(),
                attempt=command.attempt,
                try_number=command.try_number,
                input=command.input,
                queue=command.queue,
                concurrency_key=command.concurrency_key,
            )
        case _:
            return _realise_block(command)


def _realise_block(
    command: StartBlock
    | FinishBlock
    | FailBlock
    | StopBlock
    | CancelBlock
    | CatchFailure
    | BeginEnding
    | ExpandBlock
    | GiveUp,
) -> Event:
    match command:
        case StartBlock():
            delay = _seconds(command.delay)
            return BlockStarted(path=command.path, input=command.input, delay=delay, revision=command.revision)
        case FinishBlock():
            return BlockFinished(path=command.path, output=command.output)
        case FailBlock():
            return BlockFailed(path=command.path, failure=command.failure)
        case StopBlock():
            return BlockStopping(path=command.path)
        case CancelBlock():
            return BlockCancelled(path=command.path)
        case CatchFailure():
            return BlockCaught(path=command.path, clause=command.clause, failure=command.failure)
        case BeginEnding():
            return BlockEnding(
                path=command.path,
                status=command.status,
                output=command.output,
                failure=command.failure,
                delay=_seconds(command.delay),
            )
        case ExpandBlock():
            return BlockExpanded(path=command.path, steps=command.steps)
        case GiveUp():
            return StepGivenUp(path=command.path)
        case _:
            assert_never(command)


def _realise_step(
    command: StartStep | StartWait | EmitEvent | SkipStep | RefuseStep | ScheduleRetry | SettleStep,
) -> Event:
    path = command.path
    match command:
        case StartStep():
            return StepStarted(
                path=path,
                execution_id=_new_id(),
                attempt=command.attempt,
                try_number=command.try_number,
                input=command.input,
            )
        case StartWait():
            return WaitStarted(
                path=path,
                execution_id=_new_id(),
                signal=command.signal,
                delay=_seconds(command.delay),
                until=command.until,
                approval=command.approval,
            )
        case EmitEvent():
            return EventEmitted(path=path, execution_id=_new_id(), name=command.name, payload=command.payload)
        case SkipStep():
            return StepSkipped(path=path, execution_id=_new_id(), reason=command.reason)
        case RefuseStep():
            return StepRefused(path=path, execution_id=_new_id(), failure=command.failure)
        case ScheduleRetry():
            # Full jitter: clients that failed together must not come back together.
            delay = random.uniform(command.least.total_seconds(), command.most.total_seconds())  # noqa: S311
            return RetryScheduled(path=path, try_number=command.try_number, delay=round(delay, 3))
        case SettleStep(cancelled=True):
            return StepCancelled(path=path, attempt=command.attempt, usage=command.usage)
        case SettleStep(failure=None):
            return StepSucceeded(path=path, attempt=command.attempt, output=command.output, usage=command.usage)
        case SettleStep():
            assert command.failure is not None
            return StepFailed(path=path, attempt=command.attempt, failure=command.failure, usage=command.usage)
        case _:
            assert_never(command)


def _seconds(delay: timedelta | None) -> float | None:
    return None if delay is None else delay.total_seconds()


def _new_id() -> ExecutionId:
    return ExecutionId(uuid7())
