"""What the interpreter may ask for. Imperative, one union. The edge turns each into the event it leads to."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TypeAlias

from agentplat.domain.failure import Failure
from agentplat.domain.ids import StepPath
from agentplat.domain.json import JsonObject, JsonValue
from agentplat.domain.usage import NO_USAGE, Usage
from agentplat.domain.workflow import AgentCall, ToolCall


@dataclass(frozen=True, slots=True, kw_only=True)
class StartBlock:
    path: StepPath
    input: JsonValue


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishBlock:
    path: StepPath
    output: JsonValue


@dataclass(frozen=True, slots=True, kw_only=True)
class FailBlock:
    path: StepPath
    failure: Failure


@dataclass(frozen=True, slots=True, kw_only=True)
class StopBlock:
    """The strategy is through before its steps are: cancel what is open, then ask it again."""

    path: StepPath


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelBlock:
    """Close a block of which nothing is open any more and whose surroundings have stopped."""

    path: StepPath


@dataclass(frozen=True, slots=True, kw_only=True)
class StartStep:
    """Run the body once. Leads to StepStarted, and then to one outcome."""

    path: StepPath
    body: AgentCall | ToolCall
    attempt: int
    try_number: int
    input: JsonValue
    timeout: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class StartWait:
    path: StepPath
    signal: str | None
    delay: timedelta | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SkipStep:
    path: StepPath
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RefuseStep:
    path: StepPath
    failure: Failure


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleRetry:
    """The edge draws the delay between `least` and `most`."""

    path: StepPath
    try_number: int
    least: timedelta
    most: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class SettleStep:
    """A step that no body runs for has its outcome: a wait that is over, an attempt that its owner's death ended."""

    path: StepPath
    attempt: int
    output: JsonValue = None
    failure: Failure | None = None
    cancelled: bool = False
    usage: Usage = NO_USAGE


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelStep:
    """End a running body; its outcome follows."""

    path: StepPath


@dataclass(frozen=True, slots=True, kw_only=True)
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
    | StartStep
    | StartWait
    | SkipStep
    | RefuseStep
    | ScheduleRetry
    | SettleStep
    | CancelStep
    | FinishTask
)
