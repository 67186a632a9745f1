"""What can happen to a task: the facts of which its journal consists. Past tense, one union.

An event is a decision with its evaluated inputs (a step started, a retry scheduled) or an outcome (a step succeeded, a
signal received). The state of a task is a fold over them; folding never decides and never evaluates again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, TypeAlias, TypeVar, dataclass_transform, get_args
from uuid import UUID

from agentplat.domain.failure import Failure
from agentplat.domain.ids import ExecutionId, StepPath
from agentplat.domain.json import JsonObject, JsonValue
from agentplat.domain.usage import NO_USAGE, Usage

T = TypeVar("T")


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(field,))
def value(cls: type[T]) -> type[T]:
    """The dataclass `cls`, whose instances are equal by their members and never change.

    The type checker holds them frozen. While it runs nothing does: a frozen dataclass takes three times as long to
    make, and a step makes a dozen of these.
    """
    return dataclass(slots=True, kw_only=True, unsafe_hash=True)(cls)


@value
class TaskSubmitted:
    """Always the first event, written by the submission itself."""

    type: str
    input: JsonObject


@value
class TaskClaimed:
    """A new owner. What was under way without an outcome is interrupted."""

    fence: int
    worker: str


@value
class BlockStarted:
    path: StepPath
    input: JsonValue
    delay: float | None = None  # seconds that it may take
    revision: int = 1  # of its strategy; it stays the same to the end


@value
class BlockFinished:
    path: StepPath
    output: JsonValue


@value
class BlockFailed:
    path: StepPath
    failure: Failure


@value
class BlockStopping:
    """Its strategy is through; what is still open below it is being cancelled."""

    path: StepPath


@value
class BlockCancelled:
    path: StepPath


@value
class BlockCaught:
    """It failed, and this clause of its `catch`, counted from 1, deals with that."""

    path: StepPath
    clause: int
    failure: Failure


@value
class BlockEnding:
    """How it ends is known; first its `finally` runs, and before that what makes finished steps undone.

    Said once more with a `delay`, when a cancel puts an end to these as well.
    """

    path: StepPath
    status: str  # succeeded, failed or cancelled
    output: JsonValue
    failure: Failure | None
    delay: float | None = None  # seconds that they may take


@value
class BlockExpanded:
    """Its strategy added these steps, which are kept in their normal form."""

    path: StepPath
    steps: Sequence[JsonObject]


@value
class StepStarted:
    """One attempt begins. Its body starts after this event is committed."""

    path: StepPath
    execution_id: ExecutionId
    attempt: int  # counts executions, crashes included, from 1
    try_number: int  # counts the retry policy's tries, from 1
    input: JsonValue


@value
class ChildDispatched:
    """One attempt is a task of its own, whose id is `execution_id`. That task's end is the outcome of the attempt."""

    path: StepPath
    execution_id: ExecutionId
    attempt: int
    try_number: int
    input: JsonValue
    queue: str | None = None  # None: that of this task
    concurrency_key: str | None = None


@value
class StepSkipped:
    path: StepPath
    execution_id: ExecutionId
    reason: str


@value
class StepRefused:
    """The step could not even start: its input or condition cannot be evaluated."""

    path: StepPath
    execution_id: ExecutionId
    failure: Failure


@value
class WaitStarted:
    """A step waits without an owner: for `delay` seconds, for a signal, or for a signal at most `delay` seconds."""

    path: StepPath
    execution_id: ExecutionId
    signal: str | None
    delay: float | None
    until: str | None = None  # or until this time
    approval: JsonObject | None = None  # or for an answer: `message`, `form`, `assignee`


@value
class EventEmitted:
    """A step told whoever listens."""

    path: StepPath
    execution_id: ExecutionId
    name: str
    payload: JsonValue


@value
class StepSucceeded:
    path: StepPath
    attempt: int
    output: JsonValue
    usage: Usage = NO_USAGE


@value
class StepFailed:
    path: StepPath
    attempt: int
    failure: Failure
    usage: Usage = NO_USAGE


@value
class StepCancelRequested:
    path: StepPath


@value
class StepCancelled:
    path: StepPath
    attempt: int
    usage: Usage = NO_USAGE


@value
class RetryScheduled:
    path: StepPath
    try_number: int  # the try to come
    delay: float  # seconds from this event on


@value
class StepGivenUp:
    """It failed for good, and the strategy of its block sees that and goes on."""

    path: StepPath


@value
class TimerFired:
    """The delay of a RetryScheduled, WaitStarted, BlockStarted or BlockEnding has passed."""

    path: StepPath


@value
class SignalReceived:
    name: str
    payload: JsonValue
    key: str


@value
class ApprovalAnswered:
    """Somebody's answer; the first one counts."""

    path: StepPath
    approved: bool
    by: str | None
    answers: JsonObject  # to what the form asked for
    key: str


@value
class CancelRequested:
    reason: str


@value
class DeadlinePassed:
    """The whole task took longer than its workflow allows."""


@value
class HistoryReused:
    """A retry or a fork: what comes before the first claim is what it takes over from the journal of `source`."""

    source: str  # the id of a task
    source_seq: int  # how far its journal was read


@value
class StepReused:
    """The outcome that an execution had in the source; what it used was counted there. It does not run here."""

    path: StepPath
    execution_id: ExecutionId
    status: str  # succeeded or skipped; failed or cancelled inside a block that succeeded all the same
    attempt: int
    try_number: int
    input: JsonValue
    output: JsonValue
    failure: Failure | None


@value
class StepReopened:
    """An execution of the source that runs again, with this input, as if for the first time."""

    path: StepPath
    execution_id: ExecutionId
    input: JsonValue
    concurrency_key: str | None = None


@value
class TaskFinished:
    """Always the last event. `status` is done, error or cancelled."""

    status: str
    output: JsonObject | None
    failure: Failure | None


Event: TypeAlias = (
    TaskSubmitted
    | TaskClaimed
    | BlockStarted
    | BlockFinished
    | BlockFailed
    | BlockStopping
    | BlockCancelled
    | BlockCaught
    | BlockEnding
    | BlockExpanded
    | StepStarted
    | ChildDispatched
    | StepSkipped
    | StepRefused
    | WaitStarted
    | EventEmitted
    | StepSucceeded
    | StepFailed
    | StepCancelRequested
    | StepCancelled
    | RetryScheduled
    | StepGivenUp
    | TimerFired
    | SignalReceived
    | ApprovalAnswered
    | CancelRequested
    | DeadlinePassed
    | HistoryReused
    | StepReused
    | StepReopened
    | TaskFinished
)


@value
class Recorded:
    """An event with its place in the journal. `seq` is gapless from 1; `at` is the database's clock."""

    seq: int
    at: datetime
    event: Event


def _snake(name: str) -> str:
    return "".join(f"_{char.lower()}" if char.isupper() else char for char in name).lstrip("_")


_KIND_OF: dict[type, str] = {cls: _snake(cls.__name__) for cls in get_args(Event)}
_TYPE_OF = {kind: cls for cls, kind in _KIND_OF.items()}
KINDS = tuple(_TYPE_OF)
"""The word under which each event is kept, in the order of the union."""


_WRITTEN: Mapping[str, Callable[[Any], JsonValue]] = {
    "path": str,
    "execution_id": str,
    "failure": Failure.to_json,
    "usage": Usage.to_json,
}
"""How the values that are not JSON are kept, by the name of the field."""

_READ: Mapping[str, Callable[[Any], object]] = {
    "path": lambda value: StepPath.parse(str(value)),
    "execution_id": lambda value: ExecutionId(UUID(str(value))),
    "failure": lambda value: Failure.from_json(value) if isinstance(value, dict) else value,
    "usage": lambda value: Usage.from_json(value) if isinstance(value, dict) else value,
}
_WRITERS = {
    cls: tuple((field.name, _WRITTEN.get(field.name), field.default) for field in fields(cls)) for cls in _KIND_OF
}
_READERS = {kind: tuple((field.name, _READ.get(field.name)) for field in fields(cls)) for kind, cls in _TYPE_OF.items()}


def encode(event: Event) -> tuple[str, dict[str, JsonValue]]:
    """The kind and the JSON content under which an event is kept. What is as it usually is does not say so."""
    cls = type(event)
    content: dict[str, JsonValue] = {}
    for name, write, usual in _WRITERS[cls]:
        value = getattr(event, name)
        if value is not usual:
            content[name] = value if write is None or value is None else write(value)
    return _KIND_OF[cls], content


def decode(kind: str, content: JsonObject) -> Event:
    """The event that `encode` gave. Raises KeyError for a kind that this version does not know."""
    values: dict[str, Any] = {}
    for name, read in _READERS[kind]:
        if name in content:
            value = content[name]
            values[name] = value if read is None or value is None else read(value)
    event: Event = _TYPE_OF[kind](**values)
    return event
