"""What the laws know of a task, read from its journal alone."""

from __future__ import annotations

from collections.abc import Iterator

from agentplat.domain.events import CancelRequested, DeadlinePassed, SignalReceived, TaskFinished
from agentplat.domain.ids import StepPath
from agentplat.domain.interpreter import Rules
from agentplat.domain.json import JsonObject, JsonValue
from agentplat.domain.usage import Usage
from agentplat.domain.workflow import SINGLE, Workflow
from agentplat_testkit.simulation.entries import OPEN, BlockEntry, StepEntry


class Book:
    """Steps, blocks and signals as the events say that they are."""

    def __init__(self, workflow: Workflow, rules: Rules) -> None:
        self.workflow = workflow
        self.rules = rules
        self.input: JsonObject = {}
        self.steps: dict[StepPath, StepEntry] = {}
        self.blocks: dict[StepPath, BlockEntry] = {}
        self.stop: CancelRequested | DeadlinePassed | None = None
        self.finished: TaskFinished | None = None
        self.signals: list[SignalReceived] = []
        self.usage = Usage()
        self.claims = 0

    def open_steps(self, *phases: str) -> list[StepEntry]:
        return [entry for entry in self.steps.values() if entry.phase in (phases or OPEN)]

    def open_below(self, block: BlockEntry) -> list[StepPath]:
        return [path for path in block.children if self._is_open(path)]

    def is_stopping(self, path: StepPath) -> bool:
        """Whether the block there, one around it, or the task is on its way down."""
        if self.stop is not None:
            return True
        return any(around.phase == "cancelling" or around.doom is not None for around in self.around(path))

    def around(self, path: StepPath) -> Iterator[BlockEntry]:
        """The block at `path` and those around it."""
        while True:
            yield self.blocks[path]
            if not path:
                return
            path = path.parent

    def scope(self, block: BlockEntry, iteration: int) -> dict[str, JsonValue]:
        steps: dict[str, JsonValue] = {}
        for path in block.settled[: block.seen]:
            entry = self.steps.get(path) or self.blocks[path]
            steps[path.step] = {"output": entry.output, "status": entry.phase, "iteration": path.number}
        return {"input": self.input, "steps": steps, "iteration": iteration}

    def phase_of(self, path: StepPath) -> str:
        return self.blocks[path].phase if path in self.blocks else self.steps[path].phase

    def sees_failures(self, block: BlockEntry) -> bool:
        return block.block.strategy != SINGLE and self.rules.strategy(block.block.strategy).sees_failures

    def _is_open(self, path: StepPath) -> bool:
        return self.phase_of(path) in OPEN
