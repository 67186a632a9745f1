"""The state of a task: what its journal adds up to. `evolve` is the only way to change it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal, TypeVar, assert_never

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

    @property
    def is_open(self) -> bool:
        return self not in _CLOSED

    @property
    def has_body(self) -> bool:
        return self in (Phase.RUNNING, Phase.CANCELLING)


_CLOSED = frozenset({Phase.SUCCEEDED, Phase.SKIPPED, Phase.FAILED, Phase.CANCELLED})


@dataclass(frozen=True, kw_only=True)  # no slots: see `replace`
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


@dataclass(frozen=True, kw_only=True)  # no slots: see `replace`
class BlockState:
    path: StepPath
    input: JsonValue
    phase: Phase = Phase.RUNNING
    children: tuple[StepPath, ...] = ()  # in the order in which they were started
    open: Mapping[StepPath, None] = field(default_factory=dict)  # in the order in which they last became open
    settled: tuple[StepPath, ...] = ()  # in the order in which they succeeded or were skipped
    results: tuple[Settled, ...] = ()  # the same, as strategies see them
    failed: tuple[StepPath, ...] = ()  # in the order in which they last failed
    output: JsonValue = None
    failure: Failure | None = None


@dataclass(frozen=True, kw_only=True)  # no slots: see `replace`
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


def evolve(state: State, event: Event, at: datetime | None = None) -> State:
    """The state after `event`, which happened `at`. Total: a late or repeated report changes nothing but `seq`."""
    return replace(_evolve(state, event, at), seq=state.seq + 1)


def _evolve(state: State, event: Event, at: datetime | None) -> State:
    if state.finished is not None:
        return state
    match event:
        case TaskSubmitted():
            return replace(state, type=event.type, input=event.input, submitted_at=at)
        case TaskClaimed():
            return _interrupt(state)
        case CancelRequested() | DeadlinePassed():
            return replace(state, stop=state.stop or event)
        case SignalReceived():
            return _receive(state, event)
        case TaskFinished():
            return replace(state, finished=event)
        case BlockStarted() | BlockFinished() | BlockFailed() | BlockStopping() | BlockCancelled():
            return _evolve_block(state, event)
        case StepStarted() | StepSkipped() | StepRefused() | WaitStarted():
            return _evolve_start(state, event, at)
        case StepSucceeded() | StepFailed() | StepCancelled() | StepCancelRequested() | RetryScheduled() | TimerFired():
            return _evolve_execution(state, event, at)
        case _:
            assert_never(event)


def _interrupt(state: State) -> State:
    if not state.bodies:
        return state
    return replace(
        state,
        bodies=0,
        executions={
            path: replace(execution, phase=Phase.INTERRUPTED) if execution.phase.has_body else execution
            for path, execution in state.executions.items()
        },
    )


def _receive(state: State, event: SignalReceived) -> State:
    for execution in state.executions.values():
        waits = execution.phase is Phase.WAITING and execution.signal == event.name
        if waits and not execution.answered and not execution.fired:
            return _put(state, replace(execution, answered=True, output=event.payload))
    return replace(state, signals=(*state.signals, event))


def _evolve_block(
    state: State, event: BlockStarted | BlockFinished | BlockFailed | BlockStopping | BlockCancelled
) -> State:
    if isinstance(event, BlockStarted):
        return _put_block(state, BlockState(path=event.path, input=event.input))
    block_state = state.blocks.get(event.path)
    if block_state is None or not block_state.phase.is_open:
        return state
    match event:
        case BlockFinished():
            closed = replace(block_state, phase=Phase.SUCCEEDED, output=event.output)
        case BlockFailed():
            closed = replace(block_state, phase=Phase.FAILED, failure=event.failure)
        case BlockStopping():
            closed = replace(block_state, phase=Phase.CANCELLING)
        case BlockCancelled():
            closed = replace(block_state, phase=Phase.CANCELLED)
        case _:
            assert_never(event)
    return _put_block(state, closed)


def _evolve_start(
    state: State, event: StepStarted | StepSkipped | StepRefused | WaitStarted, at: datetime | None
) -> State:
    known = state.executions.get(event.path)
    fresh = known or Execution(path=event.path, id=event.execution_id, phase=Phase.RUNNING, started_at=at)
    # The id of the first attempt stays: it is what a reader of the task knows the step by.
    execution = replace(fresh, updated_at=at)
    match event:
        case StepStarted():
            execution = replace(
                execution,
                phase=Phase.RUNNING,
                attempt=event.attempt,
                try_number=event.try_number,
                input=event.input,
                failure=None,
                fired=False,
                delay=None,
            )
        case StepSkipped():
            execution = replace(execution, phase=Phase.SKIPPED)
        case StepRefused():
            execution = replace(execution, phase=Phase.FAILED, failure=event.failure)
        case WaitStarted():
            execution = replace(execution, phase=Phase.WAITING, attempt=1, signal=event.signal, delay=event.delay)
            state, execution = _answer_early(state, execution)
        case _:
            assert_never(event)
    return _put(state, execution)


def _answer_early(state: State, execution: Execution) -> tuple[State, Execution]:
    """A signal that came before its wait is not lost."""
    for index, signal in enumerate(state.signals):
        if signal.name == execution.signal:
            rest = (*state.signals[:index], *state.signals[index + 1 :])
            return replace(state, signals=rest), replace(execution, answered=True, output=signal.payload)
    return state, execution


def _evolve_execution(
    state: State,
    event: StepSucceeded | StepFailed | StepCancelled | StepCancelRequested | RetryScheduled | TimerFired,
    at: datetime | None,
) -> State:
    execution = state.executions.get(event.path)
    if execution is None:
        return state
    match event:
        case StepSucceeded() | StepFailed() | StepCancelled():
            return _close(state, execution, event, at) if _is_awaited(execution, event) else state
        case StepCancelRequested():
            changed = execution.phase is Phase.RUNNING
            return _put(state, replace(execution, phase=Phase.CANCELLING)) if changed else state
        case RetryScheduled():
            if execution.phase is not Phase.FAILED:
                return state
            waiting = replace(execution, phase=Phase.BACKING_OFF, try_number=event.try_number, delay=event.delay)
            return _put(state, replace(waiting, updated_at=at, fired=False))
        case TimerFired():
            timed = execution.phase in (Phase.BACKING_OFF, Phase.WAITING) and execution.delay is not None
            return _put(state, replace(execution, fired=True)) if timed and not execution.answered else state
        case _:
            assert_never(event)


def _is_awaited(execution: Execution, event: StepSucceeded | StepFailed | StepCancelled) -> bool:
    """Whether the outcome is of the latest attempt, and the first one of it.

    An attempt that failed, or whose owner was lost, has no other outcome; but while it waits for the next one it may
    be cancelled.
    """
    phase = execution.phase
    expected = phase.is_open if isinstance(event, StepCancelled) else phase.has_body or phase is Phase.WAITING
    return expected and execution.attempt == event.attempt


def _close(
    state: State, execution: Execution, event: StepSucceeded | StepFailed | StepCancelled, at: datetime | None
) -> State:
    execution = replace(execution, usage=execution.usage + event.usage, updated_at=at, delay=None)
    match event:
        case StepSucceeded():
            closed = replace(execution, phase=Phase.SUCCEEDED, output=event.output, failure=None)
        case StepFailed():
            closed = replace(execution, phase=Phase.FAILED, failure=event.failure)
        case StepCancelled() if execution.phase is Phase.RUNNING:
            # Nothing stops here, so the step has no output and never will: its block must not go on without it.
            message = "The step ended as cancelled, though nothing had asked it to."
            failure = Failure(code=FailureCode.CANCELLED, message=message)
            closed = replace(execution, phase=Phase.FAILED, failure=failure)
        case StepCancelled():
            closed = replace(execution, phase=Phase.CANCELLED)
        case _:
            assert_never(event)
    return _put(replace(state, usage=state.usage + event.usage), closed)


def _put(state: State, execution: Execution) -> State:
    """With this execution, of which state, block and sums are kept up to date, so that nothing is counted again."""
    path, after = execution.path, execution.phase
    known = state.executions.get(path)
    before = known.phase if known is not None else None
    bodies = state.bodies + after.has_body - (before is not None and before.has_body)
    executions = {**state.executions, path: execution}
    return replace(state, executions=executions, bodies=bodies, blocks=_told(state.blocks, before, execution))


def _put_block(state: State, block: BlockState) -> State:
    known = state.blocks.get(block.path)
    blocks = {**state.blocks, block.path: block}
    return replace(state, blocks=_told(blocks, known.phase if known else None, block))


def _told(
    blocks: Mapping[StepPath, BlockState], before: Phase | None, child: Execution | BlockState
) -> Mapping[StepPath, BlockState]:
    """The block around `child` knows what is in it: what is open, and the order in which it settled, and failed."""
    path, after = child.path, child.phase
    parent = blocks.get(path.parent) if path and before is not after else None
    if parent is None:
        return blocks
    news: dict[str, object] = {}
    if before is None:
        news["children"] = (*parent.children, path)
    if after.is_open and path not in parent.open:
        news["open"] = {**parent.open, path: None}
    elif not after.is_open and path in parent.open:
        news["open"] = {other: None for other in parent.open if other != path}
    if after in (Phase.SUCCEEDED, Phase.SKIPPED):
        status: Literal["succeeded", "skipped"] = "skipped" if after is Phase.SKIPPED else "succeeded"
        result = Settled(step=path.step, number=path.number, status=status, output=child.output)
        news |= {"settled": (*parent.settled, path), "results": (*parent.results, result)}
    elif after is Phase.FAILED:
        news["failed"] = (*(earlier for earlier in parent.failed if earlier != path), path)
    return {**blocks, parent.path: replace(parent, **news)} if news else blocks


def replace(value: T, **changes: Any) -> T:
    """`value`, a dataclass without slots, with other members: what `dataclasses.replace` gives, without its checks.

    Those cost most of it, and a step makes a dozen such values.
    """
    new = object.__new__(type(value))
    new.__dict__.update(value.__dict__)
    new.__dict__.update(changes)
    return new
