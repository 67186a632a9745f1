"""What a task's journal adds up to: its blocks and executions, and the sums over them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeAlias, TypeVar, dataclass_transform

from agentplat.domain.events import CancelRequested, DeadlinePassed, SignalReceived, TaskFinished
from agentplat.domain.failure import Failure
from agentplat.domain.ids import ExecutionId, StepPath
from agentplat.domain.json import JsonObject, JsonValue
from agentplat.domain.strategy import Settled
from agentplat.domain.usage import NO_USAGE, Usage
from agentplat.domain.workflow import COMPENSATE, Block, Step, Workflow

T = TypeVar("T")


class Phase(StrEnum):
    """Where an execution, or a block, is."""

    RUNNING = "running"  # a body runs; a block: it is open
    CANCELLING = "cancelling"  # a body runs and was told to end
    INTERRUPTED = "interrupted"  # a body ran when its owner was lost
    BACKING_OFF = "backing_off"  # failed, and will be tried again
    WAITING = "waiting"  # for a timer or a signal
    DISPATCHED = "dispatched"  # a child, which is a task of its own, does it
    RECALLED = "recalled"  # that child was told to end
    SUCCEEDED = "succeeded"
    SKIPPED = "skipped"
    FAILED = "failed"
    CANCELLED = "cancelled"
    CATCHING = "catching"  # a block has failed, and its `catch` deals with that
    ENDING = "ending"  # how a block ends is known, and its `finally` runs

    def __init__(self, word: str) -> None:
        # Attributes, not properties over sets of members: those are asked for a dozen times a step.
        self.has_body = word in ("running", "cancelling")
        self.has_child = word in ("dispatched", "recalled")
        self.is_awaited = self.has_body or self.has_child or word == "waiting"  # an outcome may come
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
    approval: JsonObject | None = None  # what it asks
    until: str | None = None  # the time for which it waits
    delay: float | None = None  # seconds from `updated_at` on, while it backs off or waits
    answered: bool = False  # the signal came; its payload is `output`
    fired: bool = False  # the delay has passed
    reused: bool = False  # its outcome is another task's
    started_at: datetime | None = None
    updated_at: datetime | None = None
    # Only a step with children has these of its own: every other one would carry them through all its copies.
    child: ExecutionId | None = field(default=None, init=False)  # the task that does, or did, its latest attempt
    concurrency_key: str | None = field(default=None, init=False)  # of its children

    @property
    def has_timer(self) -> bool:
        """Whether it is waiting for a time, among other things."""
        return self.delay is not None or self.until is not None


@_value
class BlockState:
    path: StepPath
    input: JsonValue
    phase: Phase = Phase.RUNNING
    revision: int = 1  # of its strategy, when it began
    children: Sequence[StepPath] = ()  # in the order in which they were started
    started: Mapping[str, int] = field(default_factory=dict)  # how many of each step
    open: Mapping[StepPath, None] = field(default_factory=dict)  # in the order in which they last became open
    settled: Sequence[StepPath] = ()  # in the order in which they succeeded or were skipped
    results: Sequence[Settled] = ()  # the same, as strategies see them
    latest: Mapping[str, JsonObject] = field(default_factory=dict)  # the last of each step, as expressions see them
    iteration: int = 1  # the highest number that settled
    failed: tuple[StepPath, ...] = ()  # in the order in which they last failed
    node: Block | None = None  # the document's block with the steps that its strategy added; None: it added none
    planned: tuple[str, ...] = ()  # the names of these
    expansions: int = 0
    output: JsonValue = None
    failure: Failure | None = None  # why it failed, or what its `catch` deals with
    given_up: int = 0  # how many of `settled` failed
    clause: int = 0  # of its `catch`, which deals with the failure
    ending: str = ""  # how it will end: succeeded, failed or cancelled
    delay: float | None = None  # seconds from `since` on
    fired: bool = False  # they have passed
    since: datetime | None = None


@_value
class State:
    workflow: Workflow
    type: str = ""
    input: JsonObject = field(default_factory=dict)
    blocks: Mapping[StepPath, BlockState] = field(default_factory=dict)
    open_blocks: Mapping[StepPath, None] = field(default_factory=dict)  # in the order in which they were started
    undoable: tuple[StepPath, ...] = ()  # what has a `compensate`, in the order in which it succeeded
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
    is_as_written: bool = True  # no block was expanded

    @property
    def is_under_way(self) -> bool:
        """Whether a body runs."""
        return self.bodies > 0

    def node(self, path: StepPath) -> Step | Block:
        """What the document says of the step that `path` is an execution of."""
        node: Step | Block = self.workflow.root
        if path and path[0][0] == COMPENSATE:
            return self._compensation(path)
        for depth, (name, _) in enumerate(path):
            if not self.is_as_written:
                node = self._expanded(StepPath(path[:depth])) or node
            if not isinstance(node, Block):
                raise KeyError(f"{path} leads through a step that has no steps")
            node = node.step(name)
        return node if self.is_as_written else self._expanded(path) or node

    def _compensation(self, path: StepPath) -> Step | Block:
        """A step of what makes undone what `undoable` has, from its end."""
        undone: Step | Block | None = self.node(self.undoable[-path[0][1]]).compensate
        for name, _ in path[1:]:
            if not isinstance(undone, Block):
                break
            undone = undone.step(name)
        if undone is None:
            raise KeyError(f"{path} is not in the document")
        return undone

    def _expanded(self, path: StepPath) -> Block | None:
        block = self.blocks.get(path)
        return block.node if block is not None else None


News: TypeAlias = dict[str, Any]
"""The members of a state that an event changes."""


def replace(value: T, news: News) -> T:
    """`value`, a dataclass without slots, with other members: what `dataclasses.replace` gives, without its checks.

    Those cost most of it, and a step makes half a dozen such values.
    """
    other = object.__new__(type(value))
    # Not a `copy` of the dict: that shares its keys with the class, and every look at a member takes thrice as long.
    other.__dict__ = {**value.__dict__, **news}
    return other
