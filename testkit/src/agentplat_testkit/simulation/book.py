"""What the laws know of a task, read from its journal alone."""

from __future__ import annotations

from collections.abc import Iterator

from agentplat.domain.events import CancelRequested, DeadlinePassed, SignalReceived, TaskFinished
from agentplat.domain.ids import ExecutionId, StepPath
from agentplat.domain.interpreter import Rules
from agentplat.domain.json import JsonObject, JsonValue
from agentplat.domain.usage import Usage
from agentplat.domain.workflow import CATCH, COMPENSATE, FINALLY, ITEM, SINGLE, Workflow
from agentplat_testkit.simulation.entries import ENDS, OPEN, BlockEntry, StepEntry


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
        self.heard: dict[str, JsonValue] = {}  # of these, when it was last decided
        self.usage = Usage()
        self.undoable: list[StepPath] = []
        self.dispatched: set[ExecutionId] = set()  # the tasks that attempts were
        self.claims = 0

    def open_steps(self, *phases: str) -> list[StepEntry]:
        return [entry for entry in self.steps.values() if entry.phase in (phases or OPEN)]

    def open_below(self, block: BlockEntry) -> list[StepPath]:
        return [path for path in block.children if self._is_open(path)]

    def is_stopping(self, path: StepPath) -> bool:
        """Whether the block there, one around it, or the task is on its way down."""
        for block in self.around(path):
            late = block.fired and block.phase == "running"
            if block.phase == "cancelling" or block.doom is not None or late:
                return True
            if block.path.step in ENDS:
                return self.blocks[block.path.parent].fired
        return self.stop is not None

    def is_stopped(self, path: StepPath) -> bool:
        """Whether the task has stopped, and what is there is not what comes after that."""
        return self.stop is not None and not any(name in ENDS for name, _ in path)

    def open_blocks(self) -> list[BlockEntry]:
        return [block for block in self.blocks.values() if block.phase in OPEN]

    def around(self, path: StepPath) -> Iterator[BlockEntry]:
        """The block at `path` and those around it."""
        while True:
            yield self.blocks[path]
            if not path:
                return
            path = path.parent

    def scope(self, block: BlockEntry, iteration: int) -> dict[str, JsonValue]:
        steps, name = self._steps_of(block), block.path.step
        if name == FINALLY or name.startswith(CATCH):
            steps = {**self._ended_in(self.blocks[block.path.parent]), **steps}
        item_of = block.path
        if any(part == COMPENSATE for part, _ in block.path):
            number = next(number for part, number in block.path if part == COMPENSATE)
            item_of = self.undoable[-number]
            if name == COMPENSATE:
                steps = {**self._undone(item_of), **steps}
        scope: dict[str, JsonValue] = {
            "input": self.input,
            "steps": steps,
            "iteration": iteration,
            **self._besides(block),
        }
        for depth in range(len(item_of), 0, -1):
            if item_of[depth - 1][0] == ITEM and "item" not in scope:
                index = item_of[depth - 1][1] - 1
                items = self.blocks[StepPath(item_of[: depth - 1])].input
                assert isinstance(items, list)
                scope |= {"item": items[index], "index": index}
        return scope

    def _besides(self, block: BlockEntry) -> dict[str, JsonValue]:
        """Signals, the latest output, and the failure or end that is dealt with."""
        scope: dict[str, JsonValue] = {"signals": self.heard}
        if block.seen:
            path = block.settled[block.seen - 1]
            scope["last"] = (self.steps.get(path) or self.blocks[path]).output
        for depth in range(len(block.path), 0, -1):
            if block.path[depth - 1][0].startswith("@"):
                scope["failure"] = self._failure_of(self.blocks[StepPath(block.path[: depth - 1])])
                break
        return scope

    def _failure_of(self, block: BlockEntry) -> JsonValue:
        if block.failure is not None:
            failure = block.failure
            return {"code": failure.code.value, "message": failure.message, "details": failure.details}
        if block.ending != "cancelled":
            return None
        if isinstance(self.stop, DeadlinePassed):
            return {"code": "timeout", "message": "The task took longer than its workflow allows.", "details": {}}
        reason = self.stop.reason if self.stop is not None else "its surroundings have ended"
        return {"code": "cancelled", "message": reason, "details": {}}

    def _steps_of(self, block: BlockEntry) -> dict[str, JsonValue]:
        steps: dict[str, JsonValue] = {}
        for path in block.settled[: block.seen]:
            entry = self.steps.get(path) or self.blocks[path]
            steps[path.step] = {"output": entry.output, "status": entry.phase, "iteration": path.number}
        return steps

    def _ended_in(self, block: BlockEntry) -> dict[str, JsonValue]:
        """The same with what failed or was cancelled, where nothing later came of the step."""
        last: dict[str, StepPath] = {}
        for path in block.children:
            if not path.step.startswith("@") and self.phase_of(path) in ("succeeded", "skipped", "failed", "cancelled"):
                last[path.step] = max(last.get(path.step, path), path, key=lambda one: one.number)
        lost = {step: path for step, path in last.items() if self.phase_of(path) in ("failed", "cancelled")}
        steps = self._steps_of(block)
        for step, path in lost.items():
            steps[step] = {"output": None, "status": self.phase_of(path), "iteration": path.number}
        return steps

    def _undone(self, path: StepPath) -> dict[str, JsonValue]:
        entry = self.steps.get(path) or self.blocks[path]
        own: JsonValue = {"output": entry.output, "status": "succeeded", "iteration": path.number}
        step = path if path.step != ITEM else path.parent
        return {**self._steps_of(self.blocks[step.parent]), step.step: own}

    def phase_of(self, path: StepPath) -> str:
        return self.blocks[path].phase if path in self.blocks else self.steps[path].phase

    def sees_failures(self, block: BlockEntry) -> bool:
        if block.block.foreach is not None:
            return block.block.foreach.join != "all"
        return block.block.strategy != SINGLE and self.rules.strategy(block.block.strategy).sees_failures

    def _is_open(self, path: StepPath) -> bool:
        return self.phase_of(path) in OPEN
