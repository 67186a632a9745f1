"""The state of a task: what its journal adds up to. `evolve` is the only way to change it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal, TypeAlias, TypeVar, assert_never, dataclass_transform

from agentplat.domain.events import (
    BlockCancelled,
    BlockFailed,
    BlockFinished,
    BlockStarted,
    BlockStopping,
    CancelRequested,
    DeadlinePassed,
    Event,
    RetryScheduled,
    SignalReceived,
    StepCancelled,
    StepCancelRequested,
    StepFailed,
    StepRefused,
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
from agentplat.domain.ids import ExecutionId, StepPath
from agentplat.domain.json import JsonObject, JsonValue
from agentplat.domain.strategy import Settled
from agentplat.domain.usage import NO_USAGE, Usage
from agentplat.domain.workflow import Block, Step, Workflow

T = TypeVar("T")


class Phase(StrEnum):
    """Where an execution, or a block, is."""

    RUNNING = "running"  # a body runs; a block: it is open
    CANCELLING = "cancelling"  # a body runs and was told to end
    INTERRUPTED = "interrupted"  # a body ran when its owner was lost
    BACKING_OFF = "backing_off"  # failed, and will be tried again
    WAITING = "waiting"  # for a timer or a signal
    SUCCEEDED = "succeeded"
    SKIPPED = "skipped"
    FAILED = "failed"
    CANCELLED = "cancelled"

    def __init__(self, word: str) -> None:
        # Attributes, not properties over sets of members: those are asked for a dozen times a step.
        self.has_body = word in ("running", "cancelling")
        self.is_open = word not in ("succeeded", "skipped", "failed", "cancelled")


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(field,))
def _value(cls: type[T]) -> type[T]:
    """As `agentplat.domain.events.value`, without slots: see `replace`."""
    return dataclass(kw_only=True)(cls)


@_value
class Execution:
    """One execution of a step: all its attempts."""

    path: StepPath
    id: ExecutionId  # of the first attempt
    phase: Phase
    attempt: int = 0
    try_number: int = 1
    input: JsonValue = None
    output: JsonValue = None
    failure: Failure | None = None
    usage: Usage = NO_USAGE
    signal: str | None = None
    delay: float | None = None  # seconds from `updated_at` on, while it backs off or waits
    answered: bool = False  # the signal came; its payload is `output`
    fired: bool = False  # the delay has passed
    started_at: datetime | None = None
    updated_at: datetime | None = None


@_value
class BlockState:
    path: StepPath
    input: JsonValue
    phase: Phase = Phase.RUNNING
    children: tuple[StepPath, ...] = ()  # in the order in which they were started
    started: Mapping[str, int] = field(default_factory=dict)  # how many of each step
    open: Mapping[StepPath, None] = field(default_factory=dict)  # in the order in which they last became open
    settled: tuple[StepPath, ...] = ()  # in the order in which they succeeded or were skipped
    results: tuple[Settled, ...] = ()  # the same, as strategies see them
    latest: Mapping[str, JsonObject] = field(default_factory=dict)  # the last of each step, as expressions see them
    iteration: int = 1  # the highest number that settled
    failed: tuple[StepPath, ...] = ()  # in the order in which they last failed
    output: JsonValue = None
    failure: Failure | None = None


@_value
class State:
    workflow: Workflow
    type: str = ""
    input: JsonObject = field(default_factory=dict)
    blocks: Mapping[StepPath, BlockState] = field(default_factory=dict)
    executions: Mapping[StepPath, Execution] = field(default_factory=dict)
    signals: tuple[SignalReceived, ...] = ()  # received and not yet waited for
    stop: CancelRequested | DeadlinePassed | None = None  # the first reason wins
    finished: TaskFinished | None = None
    seq: int = 0  # of the last event
    id: str = ""
    tenant: str = ""
    submitted_at: datetime | None = None
    task: JsonObject = field(default_factory=dict)  # itself, as expressions see it
    usage: Usage = NO_USAGE  # of all executions
    bodies: int = 0  # so many run

    @property
    def is_under_way(self) -> bool:
        """Whether a body runs."""
        return self.bodies > 0

    def node(self, path: StepPath) -> Step | Block:
        """What the document says of the step that `path` is an execution of."""
        node: Step | Block = self.workflow.root
        for name, _ in path:
            if not isinstance(node, Block):
                raise KeyError(f"{path} leads through a step that has no steps")
            node = node.step(name)
        return node


News: TypeAlias = dict[str, Any]
"""The members of a state that an event changes."""


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
            return _put(state, replace(execution, {"answered": True, "output": event.payload}))
    return {"signals": (*state.signals, event)}


def _finish(state: State, event: TaskFinished, at: datetime | None) -> News:  # noqa: ARG001
    return {"finished": event}


# --- blocks


def _open_block(state: State, event: BlockStarted, at: datetime | None) -> News:  # noqa: ARG001
    return _put_block(state, BlockState(path=event.path, input=event.input))


def _close_block(
    state: State, event: BlockFinished | BlockFailed | BlockStopping | BlockCancelled, at: datetime | None
) -> News:
    del at
    block = state.blocks.get(event.path)
    if block is None or not block.phase.is_open:
        return {}
    match event:
        case BlockFinished():
            return _put_block(state, replace(block, {"phase": Phase.SUCCEEDED, "output": event.output}))
        case BlockFailed():
            return _put_block(state, replace(block, {"phase": Phase.FAILED, "failure": event.failure}))
        case BlockStopping():
            return _put_block(state, replace(block, {"phase": Phase.CANCELLING}))
        case BlockCancelled():
            return _put_block(state, replace(block, {"phase": Phase.CANCELLED}))
        case _:
            assert_never(event)


# --- how an execution begins


def _begin(state: State, event: StepStarted | StepSkipped | StepRefused | WaitStarted, at: datetime | None) -> News:
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
            return _put(state, replace(fresh, started))
        case StepSkipped():
            return _put(state, replace(fresh, {"phase": Phase.SKIPPED, "updated_at": at}))
        case StepRefused():
            return _put(state, replace(fresh, {"phase": Phase.FAILED, "failure": event.failure, "updated_at": at}))
        case WaitStarted():
            waiting = {"phase": Phase.WAITING, "attempt": 1, "signal": event.signal, "delay": event.delay}
            return _answered_early(state, replace(fresh, {**waiting, "updated_at": at}))
        case _:
            assert_never(event)


def _answered_early(state: State, execution: Execution) -> News:
    """A signal that came before its wait is not lost."""
    for index, signal in enumerate(state.signals):
        if signal.name == execution.signal:
            answered = replace(execution, {"answered": True, "output": signal.payload})
            return {**_put(state, answered), "signals": (*state.signals[:index], *state.signals[index + 1 :])}
    return _put(state, execution)


# --- how it goes on, and ends


def _go_on(state: State, event: StepCancelRequested | RetryScheduled | TimerFired, at: datetime | None) -> News:
    execution = state.executions.get(event.path)
    if execution is None:
        return {}
    match event:
        case StepCancelRequested() if execution.phase is Phase.RUNNING:
            return _put(state, replace(execution, {"phase": Phase.CANCELLING}))
        case RetryScheduled() if execution.phase is Phase.FAILED:
            waiting = {"phase": Phase.BACKING_OFF, "try_number": event.try_number, "delay": event.delay}
            return _put(state, replace(execution, {**waiting, "updated_at": at, "fired": False}))
        case TimerFired() if execution.phase in (Phase.BACKING_OFF, Phase.WAITING) and execution.delay is not None:
            return {} if execution.answered else _put(state, replace(execution, {"fired": True}))
        case _:
            return {}


def _is_awaited(execution: Execution, event: StepSucceeded | StepFailed | StepCancelled) -> bool:
    """Whether the outcome is of the latest attempt, and the first one of it.

    An attempt that failed, or whose owner was lost, has no other outcome; but while it waits for the next one it may
    be cancelled.
    """
    phase = execution.phase
    expected = phase.is_open if isinstance(event, StepCancelled) else phase.has_body or phase is Phase.WAITING
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
        case StepCancelled() if execution.phase is Phase.RUNNING:
            # Nothing stops here, so the step has no output and never will: its block must not go on without it.
            message = "The step ended as cancelled, though nothing had asked it to."
            news |= {"phase": Phase.FAILED, "failure": Failure(code=FailureCode.CANCELLED, message=message)}
        case StepCancelled():
            news |= {"phase": Phase.CANCELLED}
        case _:
            assert_never(event)
    if event.usage is NO_USAGE:
        return _put(state, replace(execution, news))
    news["usage"] = execution.usage + event.usage
    return {**_put(state, replace(execution, news)), "usage": state.usage + event.usage}


_EVOLVE: Mapping[type[Event], Callable[[State, Any, datetime | None], News]] = {
    TaskSubmitted: _submit,
    TaskClaimed: _interrupt,
    CancelRequested: _stop,
    DeadlinePassed: _stop,
    SignalReceived: _receive,
    TaskFinished: _finish,
    BlockStarted: _open_block,
    **dict.fromkeys([BlockFinished, BlockFailed, BlockStopping, BlockCancelled], _close_block),
    **dict.fromkeys([StepStarted, StepSkipped, StepRefused, WaitStarted], _begin),
    **dict.fromkeys([StepCancelRequested, RetryScheduled, TimerFired], _go_on),
    **dict.fromkeys([StepSucceeded, StepFailed, StepCancelled], _settle),
}
"""For each event what it changes: a table, since a long list of cases would be walked through for every event."""


# --- sums


def _put(state: State, execution: Execution) -> News:
    """With this execution, of which state, block and sums are kept up to date, so that nothing is counted again."""
    path, after = execution.path, execution.phase
    known = state.executions.get(path)
    before = known.phase if known is not None else None
    bodies = state.bodies + after.has_body - (before is not None and before.has_body)
    executions = {**state.executions, path: execution}
    return {"executions": executions, "bodies": bodies, "blocks": _told(state.blocks, before, execution)}


def _put_block(state: State, block: BlockState) -> News:
    known = state.blocks.get(block.path)
    blocks = {**state.blocks, block.path: block}
    return {"blocks": _told(blocks, known.phase if known else None, block)}


def _told(
    blocks: Mapping[StepPath, BlockState], before: Phase | None, child: Execution | BlockState
) -> Mapping[StepPath, BlockState]:
    """The block around `child` knows what is in it: what is open, and the order in which it settled, and failed."""
    path, after = child.path, child.phase
    parent = blocks.get(path.parent) if path and before is not after else None
    if parent is None:
        return blocks
    step, number = path[-1]
    news: News = {}
    if before is None:
        news["children"] = (*parent.children, path)
        news["started"] = {**parent.started, step: parent.started.get(step, 0) + 1}
    if after.is_open:
        if path not in parent.open:
            news["open"] = {**parent.open, path: None}
    elif path in parent.open:
        news["open"] = {other: None for other in parent.open if other != path} if len(parent.open) > 1 else {}
    if after is Phase.SUCCEEDED or after is Phase.SKIPPED:
        status: Literal["succeeded", "skipped"] = "skipped" if after is Phase.SKIPPED else "succeeded"
        result = Settled(step=step, number=number, status=status, output=child.output)
        latest = {"output": child.output, "status": status, "iteration": number}
        news["settled"] = (*parent.settled, path)
        news["results"] = (*parent.results, result)
        news["latest"] = {**parent.latest, step: latest}
        news["iteration"] = max(parent.iteration, number)
    elif after is Phase.FAILED:
        news["failed"] = (*(earlier for earlier in parent.failed if earlier != path), path)
    return {**blocks, parent.path: replace(parent, news)} if news else blocks


def replace(value: T, news: News) -> T:
    """`value`, a dataclass without slots, with other members: what `dataclasses.replace` gives, without its checks.

    Those cost most of it, and a step makes half a dozen such values.
    """
    other = object.__new__(type(value))
    members = other.__dict__
    members.update(value.__dict__)
    members.update(news)
    return other
