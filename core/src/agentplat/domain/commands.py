"""What the interpreter may ask for. Imperative, one union. The edge turns each into the event it leads to."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TypeAlias

from agentplat.domain.events import value
from agentplat.domain.failure import Failure
from agentplat.domain.ids import StepPath
from agentplat.domain.json import JsonObject, JsonValue
from agentplat.domain.usage import NO_USAGE, Usage
from agentplat.domain.workflow import AgentCall, Call, ToolCall, WorkflowCall


@value
class StartBlock:
    path: StepPath
    input: JsonValue
    delay: timedelta | None = None
    revision: int = 1  # of its strategy


@value
class FinishBlock:
    path: StepPath
    output: JsonValue


@value
class FailBlock:
    path: StepPath
    failure: Failure


@value
class StopBlock:
    """The strategy is through before its steps are: cancel what is open, then ask it again."""

    path: StepPath


@value
class CancelBlock:
    """Close a block of which nothing is open any more and whose surroundings have stopped."""

    path: StepPath


@value
class CatchFailure:
    path: StepPath
    clause: int
    failure: Failure


@value
class BeginEnding:
    path: StepPath
    status: str
    output: JsonValue = None
    failure: Failure | None = None
    delay: timedelta | None = None


@value
class ExpandBlock:
    path: StepPath
    steps: Sequence[JsonObject]  # in their normal form


@value
class StartStep:
    """Run the body once. Leads to StepStarted, and then to one outcome."""

    path: StepPath
    body: AgentCall | ToolCall
    attempt: int
    try_number: int
    input: JsonValue
    timeout: timedelta


@value
class DispatchChild:
    """Start one attempt as a task of its own, whose id is that of the ChildDispatched; its outcome comes from there."""

    path: StepPath
    body: Call | WorkflowCall
    attempt: int
    try_number: int
    input: JsonObject
    timeout: timedelta | None  # of an agent's or tool's attempt; of a whole workflow
    queue: str | None  # None: that of this task
    concurrency_key: str | None
    limit: int | None  # of tasks with that key that are worked on at a time


@value
class StartWait:
    path: StepPath
    signal: str | None = None
    delay: timedelta | None = None
    until: str | None = None
    approval: JsonObject | None = None


@value
class EmitEvent:
    path: StepPath
    name: str
    payload: JsonValue


@value
class SkipStep:
    path: StepPath
    reason: str


@value
class RefuseStep:
    path: StepPath
    failure: Failure


@value
class ScheduleRetry:
    """The edge draws the delay between `least` and `most`."""

    path: StepPath
    try_number: int
    least: timedelta
    most: timedelta


@value
class GiveUp:
    """What failed for good is shown to its block's strategy."""

    path: StepPath


@value
class SettleStep:
    """A step that no body runs for has its outcome: a wait that is over, an attempt that its owner's death ended."""

    path: StepPath
    attempt: int
    output: JsonValue = None
    failure: Failure | None = None
    cancelled: bool = False
    usage: Usage = NO_USAGE


@value
class CancelStep:
    """End a running body, or a child; its outcome follows."""

    path: StepPath


@value
class FinishTask:
    status: str  # done, error or cancelled
    output: JsonObject | None = None
    failure: Failure | None = None


Command: TypeAlias = (
    StartBlock
    | FinishBlock
    | FailBlock
    | StopBlock
    | CancelBlock
    | CatchFailure
    | BeginEnding
    | ExpandBlock
    | StartStep
    | DispatchChild
    | StartWait
    | EmitEvent
    | SkipStep
    | RefuseStep
    | ScheduleRetry
    | GiveUp
    | SettleStep
    | CancelStep
    | FinishTask
)
