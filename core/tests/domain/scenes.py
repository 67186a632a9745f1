"""Small scenes for examples: a workflow of few words, played event by event, under the eye of the laws."""

from __future__ import annotations

from typing import Any

from agentplat.domain.commands import Command, StartStep
from agentplat.domain.events import Event, StepCancelled, StepFailed, StepSucceeded, TaskClaimed, TaskSubmitted
from agentplat.domain.failure import Failure, FailureCode
from agentplat.domain.ids import StepPath
from agentplat.domain.json import JsonObject, JsonValue
from agentplat.domain.state import BlockState, Execution
from agentplat.domain.strategy import Strategy
from agentplat.domain.usage import NO_USAGE, Usage
from agentplat.domain.workflow import AgentCall, Block, Body, Step, Workflow

from .histories import Simulation
from .rules import FakeRules

SLOW = Failure(code=FailureCode.TIMEOUT, message="slow", retryable=True)
WRONG = Failure(code=FailureCode.REFUSED, message="wrong")


def step(name: str, body: Body | None = None, **rest: Any) -> Step:
    return Step(name=name, body=body or AgentCall("writer"), **rest)


def block(strategy: str, *steps: Step | Block, name: str = "", **rest: Any) -> Block:
    return Block(name=name, strategy=strategy, steps=steps, **rest)


class Scene(Simulation):
    """A simulation in which only what a test says happens."""

    def __init__(self, root: Block, *strategies: Strategy, output: JsonValue = None) -> None:
        super().__init__(Workflow(name="scene", root=root, output=output), rules=FakeRules(*strategies))
        self.length = 0
        self.submit({"topic": "bees"})

    def submit(self, value: JsonObject) -> None:
        self.record(TaskSubmitted(type="workflow:scene", input=value))
        self.happens(TaskClaimed(fence=1, worker="w1"))

    def happens(self, *events: Event) -> list[Event]:
        """The events that follow from these."""
        for event in events:
            self.record(event)
        before = len(self.journal)
        self.settle()
        return self.journal[before:]

    def succeed(self, path: str, output: JsonValue = None, usage: Usage = NO_USAGE) -> list[Event]:
        attempt = self.execution(path).attempt
        return self.happens(StepSucceeded(path=StepPath.parse(path), attempt=attempt, output=output, usage=usage))

    def fail(self, path: str, failure: Failure = SLOW, usage: Usage = NO_USAGE) -> list[Event]:
        attempt = self.execution(path).attempt
        return self.happens(StepFailed(path=StepPath.parse(path), attempt=attempt, failure=failure, usage=usage))

    def cancelled(self, path: str) -> list[Event]:
        return self.happens(StepCancelled(path=StepPath.parse(path), attempt=self.execution(path).attempt))

    def crash(self) -> list[Event]:
        return self.happens(TaskClaimed(fence=2, worker="w2"))

    def execution(self, path: str) -> Execution:
        return self.state.executions[StepPath.parse(path)]

    def block(self, path: str) -> BlockState:
        return self.state.blocks[StepPath.parse(path)]

    @property
    def running(self) -> list[str]:
        return [str(entry.path) for entry in self.laws.open_steps("running")]

    @property
    def cancelling(self) -> list[str]:
        return [str(entry.path) for entry in self.laws.open_steps("cancelling")]

    @property
    def commands(self) -> list[Command]:
        """All that was ever asked for."""
        return [command for commands in self.asked.values() for command in commands]

    @property
    def starts(self) -> list[StartStep]:
        return [command for command in self.commands if isinstance(command, StartStep)]

    @property
    def outcome(self) -> tuple[str, JsonValue, Failure | None]:
        """Status, output and failure of the finished task."""
        finished = self.state.finished
        assert finished is not None
        return finished.status, finished.output, finished.failure
