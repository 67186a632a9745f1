"""What the laws remember of each step and block."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from agentplat.domain.failure import Failure
from agentplat.domain.ids import ExecutionId, StepPath
from agentplat.domain.json import JsonObject, JsonValue
from agentplat.domain.workflow import COMPENSATE, FINALLY, AgentCall, Block, Step, ToolCall, WorkflowCall

ROOT = StepPath()
WITH_CHILD = ("dispatched", "recalled")
OPEN = ("running", "cancelling", "interrupted", "backing_off", "waiting", *WITH_CHILD, "catching", "ending")
ENDS = (FINALLY, COMPENSATE)


class LawBroken(AssertionError):
    pass


def law(holds: object, text: str) -> None:
    """Nothing; LawBroken with the text of the law if it does not hold."""
    if not holds:
        raise LawBroken(text)


@dataclass
class StepEntry:
    path: StepPath
    step: Step | Block
    id: ExecutionId
    phase: str
    attempt: int = 0
    tries: int = 1
    input: JsonValue = None
    output: JsonValue = None
    failure: Failure | None = None
    signal: str | None = None
    approval: JsonObject | None = None
    until: str | None = None
    delay: float | None = None
    since: datetime | None = None
    answer: tuple[JsonValue] | None = None
    fired: bool = False
    child: ExecutionId | None = None
    key: str | None = None

    @property
    def has_timer(self) -> bool:
        return self.delay is not None or self.until is not None

    @property
    def may_retry(self) -> bool:
        """Whether its last failure will be tried again if nothing stops."""
        if self.phase != "failed" or self.failure is None or not isinstance(self.step, Step) or self.attempt == 0:
            return False
        runs = isinstance(self.step.body, AgentCall | ToolCall | WorkflowCall)
        return runs and self.tries < self.step.retry.max_attempts and self.step.retry.takes(self.failure)


@dataclass
class BlockEntry:
    path: StepPath
    block: Block
    input: JsonValue
    phase: str = "running"
    children: list[StepPath] = field(default_factory=list)
    settled: list[StepPath] = field(default_factory=list)
    seen: int = 0  # how many of them there were when it was last decided
    output: JsonValue = None
    failure: Failure | None = None
    doom: Failure | None = None  # the first child that failed for good
    expansions: int = 0
    clause: int = 0
    ending: str = ""
    delay: float | None = None
    fired: bool = False
    undone: int = 0


def handlers(block: Block) -> list[Block]:
    """What deals with the block's failures, and with its end."""
    return [clause.block for clause in block.catch] + ([block.final] if block.final is not None else [])
