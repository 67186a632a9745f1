"""`evolve`: the state after an event. The only way to change one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, assert_never

from agentplat.domain.events import (
    ApprovalAnswered,
    BlockCancelled,
    BlockCaught,
    BlockEnding,
    BlockExpanded,
    BlockFailed,
    BlockFinished,
    BlockStarted,
    BlockStopping,
    CancelRequested,
    ChildDispatched,
    DeadlinePassed,
    Event,
    EventEmitted,
    HistoryReused,
    RetryScheduled,
    SignalReceived,
    StepCancelled,
    StepCancelRequested,
    StepFailed,
    StepGivenUp,
    StepRefused,
    StepReopened,
    StepReused,
    StepSkipped,
    StepStarted,
    StepSucceeded,
    TaskClaimed,
    TaskFinished,
    TaskSubmitted,
    TimerFired,
    WaitStarted,
)
from agentplat.domain.failure import Failure, FailureCode
from agentplat.domain.growing import with_entry
from agentplat.domain.state.sums import put, put_block, settled
from agentplat.domain.state.values import BlockState, Execution, News, Phase, State, replace
from agentplat.domain.tree import build_steps
from agentplat.domain.usage import NO_USAGE
from agentplat.domain.workflow import Block


def evolve(state: State, event: Event, at: datetime | None = None) -> State:
    """The state after `event`, which happened `at`. Total: a late or repeated report changes nothing but `seq`."""
    news = {} if state.finished is not None else _EVOLVE[type(event)](state, event, at)
    news["seq"] = state.seq + 1
    return replace(state, news)


def _submit(state: State, event: TaskSubmitted, at: datetime | None) -> News:
    created_at = at.isoformat() if at is not None else None
    task = {"id": state.id, "tenant": state.tenant, "created_at": created_at}
    return {"type": event.type, "input": event.input, "submitted_at": at, "task": task}


def _interrupt(state: State, event: TaskClaimed, at: datetime | None) -> News:  # noqa: ARG001 - as all of them
    if not state.bodies:
        return {}
    interrupted = {
        path: replace(execution, {"phase": Phase.INTERRUPTED}) if execution.phase.has_body else execution
        for path, execution in state.executions.items()
    }
    return {"bodies": 0, "executions": interrupted}


def _stop(state: State, event: CancelRequested | DeadlinePassed, at: datetime | None) -> News:  # noqa: ARG001
    return {"stop": state.stop or event}


def _receive(state: State, event: SignalReceived, at: datetime | None) -> News:  # noqa: ARG001
    for execution in state.executions.values():
        waits = execution.phase is Phase.WAITING and execution.signal == event.name
        if waits and not execution.answered and not execution.fired:
            return put(state, replace(execution, {"answered": True, "output": event.payload}))
    return {"signals": (*state.signals, event)}


def _answer(state: State, event: ApprovalAnswered, at: datetime | None) -> News:  # noqa: ARG001
    execution = state.executions.get(event.path)
    if execution is None or execution.phase is not Phase.WAITING or execution.approval is None:
        return {}
    if execution.answered or execution.fired:
        return {}
    output = {**event.answers, "approved": event.approved, "by": event.by}
    return put(state, replace(execution, {"answered": True, "output": output}))


def _finish(state: State, event: TaskFinished, at: datetime | None) -> News:  # noqa: ARG001
    return {"finished": event}


# --- what a retry or a fork begins with


def _continue(state: State, event: HistoryReused, at: datetime | None) -> News:  # noqa: ARG001
    return {}


def _reuse(state: State, event: StepReused, at: datetime | None) -> News:
    if event.path in state.executions:
        return {}
    over = Execution(
        path=event.path,
        id=event.execution_id,
        phase=Phase(event.status),
        attempt=event.attempt,
        try_number=event.try_number,
        input=event.input,
        output=event.output,
        failure=event.failure,
        reused=True,
        started_at=at,
        updated_at=at,
    )
    return put(state, over)


def _reopen(state: State, event: StepReopened, at: datetime | None) -> News:
    if event.path in state.executions:
        return {}
    again = Execution(
        path=event.path,
        id=event.execution_id,
        phase=Phase.INTERRUPTED,  # as after a crash: what has an input and no outcome is started by the next owner
        input=event.input,
        started_at=at,
        updated_at=at,
    )
    key = event.concurrency_key
    return put(state, again if key is None else replace(again, {"concurrency_key": key}))


# --- blocks


def _open_block(state: State, event: BlockStarted, at: datetime | None) -> News:
    begun = BlockState(path=event.path, input=event.input, delay=event.delay, since=at, revision=event.revision)
    return put_block(state, begun)


def _catch(state: State, event: BlockCaught, at: datetime | None) -> News:
    block = state.blocks.get(event.path)
    if block is None or not block.phase.is_open:
        return {}
    news = {"phase": Phase.CATCHING, "failure": event.failure, "clause": event.clause, "failed": ()}
    return put_block(state, replace(block, {**news, "delay": None, "fired": False, "since": at}))


def _begin_ending(state: State, event: BlockEnding, at: datetime | None) -> News:
    block = state.blocks.get(event.path)
    if block is None or not block.phase.is_open:
        return {}
    news = {"phase": Phase.ENDING, "ending": event.status, "output": event.output, "failure": event.failure}
    return put_block(state, replace(block, {**news, "failed": (), "delay": event.delay, "fired": False, "since": at}))


def _close_block(
    state: State, event: BlockFinished | BlockFailed | BlockStopping | BlockCancelled, at: datetime | None
) -> News:
    del at
    block = state.blocks.get(event.path)
    if block is None or not block.phase.is_open:
        return {}
    match event:
        case BlockFinished():
            news = {"phase": Phase.SUCCEEDED, "output": event.output, "failure": None}
            return put_block(state, replace(block, news))
        case BlockFailed():
            return put_block(state, replace(block, {"phase": Phase.FAILED, "failure": event.failure}))
        case BlockStopping():
            return put_block(state, replace(block, {"phase": Phase.CANCELLING}))
        case BlockCancelled():
            return put_block(state, replace(block, {"phase": Phase.CANCELLED}))
        case _:
            assert_never(event)


def _expand(state: State, event: BlockExpanded, at: datetime | None) -> News:  # noqa: ARG001
    block = state.blocks.get(event.path)
    node = state.node(event.path) if block is not None and block.phase.is_open else None
    if block is None or not isinstance(node, Block):
        return {}
    steps = build_steps(event.steps)
    planned = (*block.planned, *(step.name for step in steps))
    news = {"node": node.with_steps(steps), "planned": planned, "expansions": block.expansions + 1}
    return {**put_block(state, replace(block, news)), "is_as_written": False}


def _give_up(state: State, event: StepGivenUp, at: datetime | None) -> News:  # noqa: ARG001
    child = state.executions.get(event.path) or state.blocks.get(event.path)
    parent = state.blocks.get(event.path.parent) if event.path else None
    if child is None or parent is None or event.path not in parent.failed:
        return {}
    left = tuple(path for path in parent.failed if path != event.path)
    news = {"failed": left, "given_up": parent.given_up + 1, **settled(parent, child, "failed")}
    return {"blocks": with_entry(state.blocks, parent.path, replace(parent, news))}


# --- how an execution begins


def _begin(
    state: State, event: StepStarted | StepSkipped | StepRefused | WaitStarted | EventEmitted, at: datetime | None
) -> News:
    known = state.executions.get(event.path)
    # The id of the first attempt stays: it is what a reader of the task knows the step by.
    fresh = known or Execution(path=event.path, id=event.execution_id, phase=Phase.RUNNING, started_at=at)
    match event:
        case StepStarted():
            started = {
                "phase": Phase.RUNNING,
                "attempt": event.attempt,
                "try_number": event.try_number,
                "input": event.input,
                "failure": None,
                "fired": False,
                "delay": None,
                "updated_at": at,
            }
            return put(state, replace(fresh, started))
        case StepSkipped():
            return put(state, replace(fresh, {"phase": Phase.SKIPPED, "updated_at": at}))
        case StepRefused():
            return put(state, replace(fresh, {"phase": Phase.FAILED, "failure": event.failure, "updated_at": at}))
        case WaitStarted():
            waiting = {"phase": Phase.WAITING, "attempt": 1, "signal": event.signal, "delay": event.delay}
            more = {"until": event.until, "approval": event.approval, "updated_at": at}
            return _answered_early(state, replace(fresh, waiting | more))
        case EventEmitted():
            return put(state, replace(fresh, {"phase": Phase.SUCCEEDED, "output": event.payload, "updated_at": at}))
        case _:
            assert_never(event)


def _dispatch(state: State, event: ChildDispatched, at: datetime | None) -> News:
    known = state.executions.get(event.path)
    fresh = known or Execution(path=event.path, id=event.execution_id, phase=Phase.DISPATCHED, started_at=at)
    dispatched = {
        "phase": Phase.DISPATCHED,
        "child": event.execution_id,
        "concurrency_key": event.concurrency_key,
        "attempt": event.attempt,
        "try_number": event.try_number,
        "input": event.input,
        "failure": None,
        "fired": False,
        "delay": None,
        "updated_at": at,
    }
    return put(state, replace(fresh, dispatched))


def _answered_early(state: State, execution: Execution) -> News:
    """A signal that came before its wait is not lost."""
    for index, signal in enumerate(state.signals):
        if signal.name == execution.signal:
            answered = replace(execution, {"answered": True, "output": signal.payload})
            return {**put(state, answered), "signals": (*state.signals[:index], *state.signals[index + 1 :])}
    return put(state, execution)


# --- how it goes on, and ends


def _go_on(state: State, event: StepCancelRequested | RetryScheduled | TimerFired, at: datetime | None) -> News:
    execution = state.executions.get(event.path)
    if execution is None:
        return _time_up(state, event)
    match event:
        case StepCancelRequested() if execution.phase is Phase.RUNNING:
            return put(state, replace(execution, {"phase": Phase.CANCELLING}))
        case StepCancelRequested() if execution.phase is Phase.DISPATCHED:
            return put(state, replace(execution, {"phase": Phase.RECALLED}))
        case RetryScheduled() if execution.phase is Phase.FAILED:
            waiting = {"phase": Phase.BACKING_OFF, "try_number": event.try_number, "delay": event.delay}
            return put(state, replace(execution, {**waiting, "updated_at": at, "fired": False}))
        case TimerFired() if execution.phase in (Phase.BACKING_OFF, Phase.WAITING) and execution.has_timer:
            return {} if execution.answered else put(state, replace(execution, {"fired": True}))
        case _:
            return {}


def _time_up(state: State, event: StepCancelRequested | RetryScheduled | TimerFired) -> News:
    block = state.blocks.get(event.path)
    if not isinstance(event, TimerFired) or block is None or not block.phase.is_open or block.delay is None:
        return {}
    return put_block(state, replace(block, {"fired": True}))


def _is_awaited(execution: Execution, event: StepSucceeded | StepFailed | StepCancelled) -> bool:
    """Whether the outcome is of the latest attempt, and the first one of it.

    An attempt that failed, or whose owner was lost, has no other outcome; but while it waits for the next one it may
    be cancelled.
    """
    phase = execution.phase
    expected = phase.is_open if isinstance(event, StepCancelled) else phase.is_awaited
    return expected and execution.attempt == event.attempt


def _settle(state: State, event: StepSucceeded | StepFailed | StepCancelled, at: datetime | None) -> News:
    execution = state.executions.get(event.path)
    if execution is None or not _is_awaited(execution, event):
        return {}
    news: News = {"updated_at": at, "delay": None}
    match event:
        case StepSucceeded():
            news |= {"phase": Phase.SUCCEEDED, "output": event.output, "failure": None}
        case StepFailed():
            news |= {"phase": Phase.FAILED, "failure": event.failure}
        case StepCancelled() if execution.phase is Phase.RUNNING or execution.phase is Phase.DISPATCHED:
            # Nothing stops here, so the step has no output and never will: its block must not go on without it.
            message = "The step ended as cancelled, though nothing had asked it to."
            news |= {"phase": Phase.FAILED, "failure": Failure(code=FailureCode.CANCELLED, message=message)}
        case StepCancelled():
            news |= {"phase": Phase.CANCELLED}
        case _:
            assert_never(event)
    if event.usage is NO_USAGE:
        return put(state, replace(execution, news))
    news["usage"] = execution.usage + event.usage
    return {**put(state, replace(execution, news)), "usage": state.usage + event.usage}


_EVOLVE: Mapping[type[Event], Callable[[State, Any, datetime | None], News]] = {
    TaskSubmitted: _submit,
    TaskClaimed: _interrupt,
    CancelRequested: _stop,
    DeadlinePassed: _stop,
    SignalReceived: _receive,
    TaskFinished: _finish,
    HistoryReused: _continue,
    StepReused: _reuse,
    StepReopened: _reopen,
    BlockStarted: _open_block,
    BlockExpanded: _expand,
    BlockCaught: _catch,
    BlockEnding: _begin_ending,
    ApprovalAnswered: _answer,
    StepGivenUp: _give_up,
    ChildDispatched: _dispatch,
    **dict.fromkeys([BlockFinished, BlockFailed, BlockStopping, BlockCancelled], _close_block),
    **dict.fromkeys([StepStarted, StepSkipped, StepRefused, WaitStarted, EventEmitted], _begin),
    **dict.fromkeys([StepCancelRequested, RetryScheduled, TimerFired], _go_on),
    **dict.fromkeys([StepSucceeded, StepFailed, StepCancelled], _settle),
}
"""For each event what it changes: a table, since a long list of cases would be walked through for every event."""
