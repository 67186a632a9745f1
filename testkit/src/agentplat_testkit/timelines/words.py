"""The events of a journal in words, for people who read a timeline."""

from __future__ import annotations

import json

from agentplat.domain.events import (
    ApprovalAnswered,
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
    RetryScheduled,
    SignalReceived,
    StepCancelled,
    StepCancelRequested,
    StepFailed,
    StepGivenUp,
    StepRefused,
    StepSkipped,
    StepStarted,
    StepSucceeded,
    TaskClaimed,
    TaskFinished,
    TaskSubmitted,
    TimerFired,
    WaitStarted,
    encode,
)
from agentplat.domain.ids import StepPath
from agentplat.domain.json import JsonValue


def words_of(event: Event) -> str | None:
    """What happened, on one line; None for what nobody wants to read."""
    match event:
        case TaskSubmitted():
            return f"{event.type} submitted {_value(event.input)}"
        case TaskClaimed():
            return None if event.fence == 1 else f"the worker is gone, {event.worker} goes on"
        case CancelRequested():
            return f"cancel requested: {event.reason}"
        case DeadlinePassed():
            return "the deadline has passed"
        case TaskFinished():
            return f"task {event.status}" + (f": {event.failure.message}" if event.failure is not None else "")
        case ApprovalAnswered():
            return f"{event.path} {'approved' if event.approved else 'rejected'} by {event.by}"
        case EventEmitted():
            return f"{event.path} emits {event.name} {_value(event.payload)}"
        case BlockCaught():
            return f"{event.path or 'the task'} catches it, by clause {event.clause}: {event.failure.message}"
        case BlockEnding():
            return f"{event.path or 'the task'} {event.status}, and ends what it has to"
        case BlockStarted() | BlockFinished() | BlockFailed() | BlockStopping() | BlockExpanded():
            return _of_block(event)
        case _:
            return _of_step(event)


def _of_block(event: BlockStarted | BlockFinished | BlockFailed | BlockStopping | BlockExpanded) -> str | None:
    if not event.path:
        # What the root block does is what the task does.
        return f"planned {_planned(event)}" if isinstance(event, BlockExpanded) else None
    match event:
        case BlockStarted():
            return f"{event.path} started"
        case BlockFinished():
            return f"{event.path} done {_value(event.output)}"
        case BlockFailed():
            return f"{event.path} failed: {event.failure.message}"
        case BlockStopping():
            return f"{event.path} has enough, and cancels the rest"
        case BlockExpanded():
            return f"{event.path} planned {_planned(event)}"


def _planned(event: BlockExpanded) -> str:
    return ", ".join(str(step["name"]) for step in event.steps)


def _of_step(event: Event) -> str | None:
    match event:
        case StepStarted():
            again = f" again, attempt {event.attempt}" if event.attempt > 1 else ""
            return f"{event.path} started{again} {_value(event.input)}"
        case ChildDispatched():
            again = f" again, attempt {event.attempt}" if event.attempt > 1 else ""
            return f"{event.path} is dispatched{again}{_where(event)} {_value(event.input)}"
        case WaitStarted():
            return f"{event.path} waits {_awaited(event)}"
        case StepSucceeded():
            return f"{event.path} done {_value(event.output)}"
        case StepFailed():
            return f"{event.path} failed: {event.failure.code.value}, {event.failure.message}"
        case StepRefused():
            return f"{event.path} could not start: {event.failure.message}"
        case StepSkipped():
            return f"{event.path} skipped: {event.reason}"
        case StepGivenUp():
            return None  # what it failed by was said when it failed
        case _:
            return _of_waiting(event)


def _of_waiting(event: Event) -> str:
    match event:
        case StepCancelRequested():
            return f"{event.path} is asked to end"
        case StepCancelled():
            return f"{event.path} cancelled"
        case RetryScheduled():
            return f"{event.path} is tried again in {event.delay:.1f}s, try {event.try_number}"
        case TimerFired():
            return f"{event.path}: time is up"
        case SignalReceived():
            return f"signal {event.name} {_value(event.payload)}"
        case _:
            kind, content = encode(event)
            path = content.get("path")
            what = kind.replace("_", " ")
            return f"{path}: {what}" if isinstance(path, str) and StepPath.parse(path) else what


def _where(event: ChildDispatched) -> str:
    queue = f" to queue {event.queue}" if event.queue is not None else ""
    return queue + (f" with key {event.concurrency_key}" if event.concurrency_key is not None else "")


def _awaited(event: WaitStarted) -> str:
    time = "" if event.delay is None else f"{event.delay:.1f}s"
    if event.until is not None:
        return f"until {event.until}"
    most = f", at most {time}" if time else ""
    if event.approval is not None:
        assignee = event.approval.get("assignee")
        of = f" of {assignee}" if assignee else ""
        return f"for an approval{of}{most}: {event.approval['message']}"
    return f"for signal {event.signal}{most}" if event.signal is not None else f"for {time}"


def _value(value: JsonValue, most: int = 60) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= most else f"{text[:most]}..."
