"""The laws of the interpreter, as a book-keeper of its own: it reads the journal as it grows and trusts nobody.

It knows the document and the events, and neither `evolve` nor `decide`. Whatever breaks a law raises LawBroken. That
`decide` is total and deterministic, and that a replay gives the same, is watched over by the simulation, which asks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from agentplat.domain.errors import StepError
from agentplat.domain.events import (
    ApprovalAnswered,
    BlockCancelled,
    BlockCaught,
    BlockEnding,
    BlockExpanded,
    BlockFailed,
    BlockFinished,
    BlockStarted,
    BlockStopping,
    CancelRequested,
    DeadlinePassed,
    Event,
    EventEmitted,
    RetryScheduled,
    SignalReceived,
    StepCancelled,
    StepCancelRequested,
    StepFailed,
    StepGivenUp,
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
from agentplat.domain.interpreter import MAX_EXECUTIONS
from agentplat.domain.json import JsonObject, JsonValue
from agentplat.domain.tree import build_steps
from agentplat.domain.usage import Usage
from agentplat.domain.workflow import (
    CATCH,
    COMPENSATE,
    FINALLY,
    ITEM,
    AgentCall,
    Approval,
    Block,
    Emit,
    ForEach,
    SignalWait,
    Step,
    TimerWait,
    ToolCall,
    UntilWait,
    Workflow,
)

from .rules import STRATEGIES, FakeRules

ROOT = StepPath()
NAMES = {"single", *(strategy.name for strategy in STRATEGIES)}
OPEN = ("running", "cancelling", "interrupted", "backing_off", "waiting", "catching", "ending")
ENDS = (FINALLY, COMPENSATE)


class LawBroken(AssertionError):
    pass


def law(holds: object, text: str) -> None:
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

    @property
    def has_timer(self) -> bool:
        return self.delay is not None or self.until is not None

    @property
    def may_retry(self) -> bool:
        """Whether its last failure will be tried again if nothing stops."""
        if self.phase != "failed" or self.failure is None or not isinstance(self.step, Step) or self.attempt == 0:
            return False
        runs = isinstance(self.step.body, AgentCall | ToolCall)
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


def most_children(block: Block) -> int:
    """The most executions that a block can start, which for the strategies in `rules` is known."""
    if block.foreach is not None:
        return len(block.foreach.items) if isinstance(block.foreach.items, list) else 1
    if "lottery" in block.strategy:
        return 4 + len(block.steps) + 1  # it starts no more once there are five; all and one more at a time
    if block.strategy not in NAMES:
        return MAX_EXECUTIONS
    if block.strategy == "planner":
        return len(block.steps) + 2 * block.max_iterations
    return len(block.steps) * (block.max_iterations if block.strategy == "iterative_refinement" else 1)


class LawBook:
    def __init__(self, workflow: Workflow, rules: FakeRules) -> None:
        self.workflow = workflow
        self.rules = rules
        self.input: JsonObject = {}
        self.steps: dict[StepPath, StepEntry] = {}
        self.blocks: dict[StepPath, BlockEntry] = {}
        self.stop: CancelRequested | DeadlinePassed | None = None
        self.finished: TaskFinished | None = None
        self.signals: list[SignalReceived] = []
        self.usage = Usage()
        self.undoable: list[StepPath] = []
        self.claims = 0

    def begin_round(self) -> None:
        """What follows is decided now, and every expression in it evaluated: by what is settled now."""
        for block in self.blocks.values():
            block.seen = len(block.settled)

    def observe(self, event: Event, at: datetime) -> bool:
        """Whether the event counts. One that comes late, or again, does not, and has to change nothing."""
        if self.finished is not None:
            return False
        counts = _READERS[type(event)](self, event, at)
        return counts is not False

    # --- What is so ---------------------------------------------------------------------------------------------

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
            steps = {**self._steps_of(self.blocks[block.path.parent]), **steps}
        item_of = block.path
        if any(part == COMPENSATE for part, _ in block.path):
            number = next(number for part, number in block.path if part == COMPENSATE)
            item_of = self.undoable[-number]
            if name == COMPENSATE:
                steps = {**self._undone(item_of), **steps}
        scope: dict[str, JsonValue] = {"input": self.input, "steps": steps, "iteration": iteration}
        for depth in range(len(item_of), 0, -1):
            if item_of[depth - 1][0] == ITEM and "item" not in scope:
                index = item_of[depth - 1][1] - 1
                items = self.blocks[StepPath(item_of[: depth - 1])].input
                assert isinstance(items, list)
                scope |= {"item": items[index], "index": index}
        return scope

    def _steps_of(self, block: BlockEntry) -> dict[str, JsonValue]:
        steps: dict[str, JsonValue] = {}
        for path in block.settled[: block.seen]:
            entry = self.steps.get(path) or self.blocks[path]
            steps[path.step] = {"output": entry.output, "status": entry.phase, "iteration": path.number}
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
        strategy = self.rules.strategies.get(block.block.strategy)
        return strategy is not None and strategy.sees_failures

    def _is_open(self, path: StepPath) -> bool:
        return self.phase_of(path) in OPEN

    # --- The task -----------------------------------------------------------------------------------------------

    def _submitted(self, event: TaskSubmitted, at: datetime) -> None:
        self.input = event.input

    def _claimed(self, event: TaskClaimed, at: datetime) -> None:
        self.claims += 1
        for entry in self.open_steps("running", "cancelling"):
            entry.phase = "interrupted"

    def _stopped(self, event: CancelRequested | DeadlinePassed, at: datetime) -> bool:
        first = self.stop is None
        self.stop = self.stop or event
        return first

    def _finished(self, event: TaskFinished, at: datetime) -> None:
        law(not self.open_steps(), "a task finishes with nothing open")
        law(all(block.phase not in OPEN for block in self.blocks.values()), "a task finishes with no block open")
        root = self.blocks.get(ROOT)
        if root is None or root.phase == "cancelled":
            law(self.stop is not None, "a task that nobody stopped is not cancelled")
            cancelled = isinstance(self.stop, CancelRequested)
            code = FailureCode.CANCELLED if cancelled else FailureCode.TIMEOUT
            law(event.status == ("cancelled" if cancelled else "error"), "the first reason to stop wins")
            law(event.failure is not None and event.failure.code is code, "the failure names the reason to stop")
        elif root.phase == "failed":
            law((event.status, event.failure) == ("error", root.failure), "a task fails as its root block did")
        else:
            self._done(event, root)
        self.finished = event

    def _done(self, event: TaskFinished, root: BlockEntry) -> None:
        output = root.output
        if self.workflow.output is not None:
            last = max((path.number for path in root.settled), default=1)
            try:
                output = self.rules.evaluate(self.workflow.output, self.scope(root, last))
            except StepError as error:
                law((event.status, event.failure) == ("error", error.failure), "a broken output template is an error")
                return
        law(event.status == "done" and event.failure is None, "a task is done when its root block is")
        whole = output if isinstance(output, Mapping) else {} if output is None else {"result": output}
        law(event.output == whole, "a task's output is that of its root block, or its template")

    # --- Blocks -------------------------------------------------------------------------------------------------

    def _block_started(self, event: BlockStarted, at: datetime) -> None:
        if event.path == ROOT:
            law(not self.blocks, "the root block starts once")
            law(self.stop is None, "nothing starts in a stopped task")
            whole = self.workflow.root.timeout
            law(event.delay == (whole and whole.total_seconds()), "a block has the time that the document gives it")
            self.blocks[ROOT] = BlockEntry(ROOT, self.workflow.root, event.input, delay=event.delay)
            return
        if event.path.step.startswith("@"):
            self._begin_handler(event)
            return
        block = self._adopt(event.path)
        law(isinstance(block, Block), "only blocks start as blocks")
        assert isinstance(block, Block)
        if block.foreach is None:
            self._check_input(event.path, block, event.input)
        else:
            items = self.rules.evaluate(block.foreach.items, self.scope(self.blocks[event.path.parent], 1))
            law(event.input == items, "a foreach keeps its items")
        limit = None if block.timeout is None else block.timeout.total_seconds()
        law(event.delay == limit, "a block has the time that the document gives it")
        self.blocks[event.path] = BlockEntry(event.path, block, event.input, delay=event.delay)

    def _begin_handler(self, event: BlockStarted) -> None:
        """What deals with a failure or an end begins at its time, and once."""
        path, parent, name = event.path, self.blocks[event.path.parent], event.path.step
        law(path not in self.blocks, "what deals with a failure or an end begins once")
        law(not self.open_below(parent), "nothing else is open then")
        if name.startswith(CATCH):
            clause = parent.block.catch[parent.clause - 1]
            law(parent.phase == "catching" and name == clause.block.name, "the clause deals with it that was chosen")
            law(not self.is_stopping(parent.path), "nothing is caught where something stops")
            block = clause.block
        elif name == COMPENSATE:
            law(parent.path == ROOT and parent.phase == "ending", "the task undoes, at its end")
            law(parent.ending != "succeeded" and not parent.fired, "what is done stays done if all is well")
            law(path.number == parent.undone + 1, "it is undone one by one, the last one first")
            law(FINALLY not in [child.step for child in parent.children], "undoing comes before `finally`")
            undone = self._node(self.undoable[-path.number])
            assert undone.compensate is not None
            parent.undone, block = path.number, undone.compensate
            of = self.steps.get(self.undoable[-path.number]) or self.blocks[self.undoable[-path.number]]
            law(event.input == {"input": of.input, "output": of.output}, "what undoes gets what it is to undo")
        else:
            law(parent.phase == "ending" and parent.block.final is not None, "`finally` is for the end")
            law(not parent.fired, "what is late is not begun")
            all_undone = parent.path != ROOT or parent.ending == "succeeded" or parent.undone == len(self.undoable)
            law(all_undone, "all is undone before `finally`")
            assert parent.block.final is not None
            block = parent.block.final
        parent.children.append(path)
        self.blocks[path] = BlockEntry(path, block, event.input)

    def _node(self, path: StepPath) -> Step | Block:
        return self.steps[path].step if path in self.steps else self.blocks[path].block

    def _block_caught(self, event: BlockCaught, at: datetime) -> None:
        block = self._closing(event.path, "running", "cancelling")
        around = event.path and self.is_stopping(event.path.parent)
        law(not around and not self.is_stopped(event.path), "nothing is caught where something stops")
        late = block.fired and event.failure.code is FailureCode.TIMEOUT
        law(block.phase == "cancelling" or block.doom in (None, event.failure) or late, "what is caught is the failure")
        taken = [number for number, clause in enumerate(block.block.catch, 1) if clause.takes(event.failure)]
        law(taken[:1] == [event.clause], "the first clause that is for it takes a failure")
        block.phase, block.clause, block.failure = "catching", event.clause, event.failure
        block.doom, block.fired, block.delay = None, False, None

    def _block_ending(self, event: BlockEnding, at: datetime) -> None:
        if self.blocks[event.path].phase == "ending":
            block = self.blocks[event.path]
            said = (event.status, event.output, event.failure)
            law(said == (block.ending, block.output, block.failure), "how a block ends does not change any more")
            law(block.delay is None and event.delay is not None, "an end gets a limit once")
            stops = self.is_stopped(event.path) or (event.path and self.is_stopping(event.path.parent))
            law(stops, "an end gets a limit by a stop")
            block.delay = event.delay
            return
        block = self._closing(event.path, "running", "cancelling", "catching")
        undoes = event.path == ROOT and event.status != "succeeded" and self.undoable
        law(block.block.final is not None or undoes, "only what has something to do before its end ends slowly")
        getattr(self, f"_may_{event.status}")(block, event)
        law((event.status == "cancelled") == (event.delay is not None), "after a cancel there is a limit")
        block.phase, block.ending, block.output, block.failure = "ending", event.status, event.output, event.failure
        block.doom, block.fired, block.delay = None, False, event.delay

    def _block_finished(self, event: BlockFinished, at: datetime) -> None:
        block = self._closing(event.path)
        if block.phase == "ending":
            law(block.ending == "succeeded" and block.output == event.output, "a block ends as it was going to")
            final = self.blocks.get(event.path.child(FINALLY, 1))
            law(final is not None and final.phase == "succeeded", "`finally` comes before the end")
        else:
            law(block.block.final is None, "`finally` comes before the end")
            self._may_succeeded(block, event)
        block.phase, block.output, block.failure = "succeeded", event.output, None
        self._settle(event.path)
        self._note_undoable(event.path, block.block)

    def _may_succeeded(self, block: BlockEntry, event: BlockFinished | BlockEnding) -> None:
        law(not self.is_stopped(event.path), "no block finishes in a stopped task")
        law(block.doom is None or block.phase == "cancelling", "a block with a failed step does not finish")
        if block.phase == "catching":
            handler = self.blocks[event.path.child(block.block.catch[block.clause - 1].block.name, 1)]
            law(handler.phase == "succeeded" and event.output == handler.output, "what was caught gives the output")
            return
        block.output = event.output
        self._check_output(block)

    def _note_undoable(self, path: StepPath, node: Step | Block) -> None:
        if path and node.compensate is not None and not any(name in ENDS for name, _ in path):
            self.undoable.append(path)

    def _block_failed(self, event: BlockFailed, at: datetime) -> None:
        block = self._closing(event.path)
        if block.phase == "ending":
            self._check_failed_end(block, event)
        else:
            undoes = event.path == ROOT and self.undoable
            law(block.block.final is None and not undoes, "undoing and `finally` come before the end")
            self._may_failed(block, event)
        block.phase, block.failure = "failed", event.failure
        self._doom(event.path, event.failure)

    def _check_failed_end(self, block: BlockEntry, event: BlockFailed) -> None:
        final = self.blocks.get(event.path.child(FINALLY, 1))
        law(block.block.final is None or final is not None or block.fired, "`finally` comes before the end")
        if block.ending == "succeeded":
            law(final is None or final.phase in ("failed", "cancelled"), "only a `finally` that fails changes an end")
            return
        law(block.ending == "failed" and block.failure is not None, "a block ends as it was going to")
        assert block.failure is not None
        law(replace(event.failure, details=block.failure.details) == block.failure, "a failure stays what it was")
        left = [path for number, path in enumerate(reversed(self.undoable), 1) if not self._is_undone(block, number)]
        told = event.failure.details.get("not_undone", [])
        law(told == ([str(path) for path in left] if not block.path else []), "what could not be undone is said")

    def _is_undone(self, block: BlockEntry, number: int) -> bool:
        undo = self.blocks.get(block.path.child(COMPENSATE, number))
        return undo is not None and undo.phase == "succeeded"

    def _may_failed(self, block: BlockEntry, event: BlockFailed | BlockEnding) -> None:
        law(not self.is_stopped(event.path), "in a stopped task blocks are cancelled")
        failure = event.failure
        assert failure is not None
        if block.phase == "catching":
            handler = self.blocks[event.path.child(block.block.catch[block.clause - 1].block.name, 1)]
            law(handler.phase == "failed" and failure == handler.failure, "a catch that fails fails its block")
            return
        around_stops = bool(event.path) and self.is_stopping(event.path.parent)
        caught = any(clause.takes(failure) for clause in block.block.catch)
        law(around_stops or not caught, "a failure that a clause takes fails no block")
        late = block.fired and failure.code is FailureCode.TIMEOUT
        if block.doom is not None and block.phase != "cancelling":
            law(failure == block.doom or late, "a block fails by the first step that failed for good")
        through = block.phase == "cancelling" and block.block.strategy == "parallel"
        law(not through, "a join of any that is met stays met, whatever becomes of the rest")

    def _block_stopping(self, event: BlockStopping, at: datetime) -> None:
        block = self.blocks[event.path]
        law(block.phase == "running", "a block begins to stop once")
        law(self.open_below(block), "a block with nothing open has nothing to stop")
        law(not self.is_stopping(event.path), "a block that is on its way down needs no other reason")
        block.phase = "cancelling"

    def _block_cancelled(self, event: BlockCancelled, at: datetime) -> None:
        block = self._closing(event.path)
        if block.phase == "ending":
            law(block.ending == "cancelled", "a block ends as it was going to")
            final = self.blocks.get(event.path.child(FINALLY, 1))
            law(block.block.final is None or final is not None or block.fired, "`finally` comes before the end")
        else:
            undoes = event.path == ROOT and self.undoable
            law(block.block.final is None and not undoes, "undoing and `finally` come before the end")
            self._may_cancelled(block, event)
        block.phase = "cancelled"

    def _may_cancelled(self, block: BlockEntry, event: BlockCancelled | BlockEnding) -> None:
        stopped = self.is_stopped(event.path) or (event.path != ROOT and self.is_stopping(event.path.parent))
        law(stopped, "a block is cancelled by what is around it")

    def _block_expanded(self, event: BlockExpanded, at: datetime) -> None:
        block = self.blocks[event.path]
        law(block.phase == "running" and not self.is_stopping(event.path), "only what goes on is expanded")
        law(block.expansions < block.block.max_iterations, "a block is not expanded more often than it may")
        steps = build_steps(event.steps)
        law({step.name for step in steps}.isdisjoint(block.block.names), "a plan has names of its own")
        block.expansions, block.block = block.expansions + 1, block.block.with_steps(steps)

    def _closing(self, path: StepPath, *phases: str) -> BlockEntry:
        block = self.blocks[path]
        law(block.phase in (phases or ("running", "cancelling", "catching", "ending")), "a block closes once")
        law(not self.open_below(block), "a closed block has nothing open")
        return block

    def _check_output(self, block: BlockEntry) -> None:
        """What is known of the strategies in `rules`."""
        if block.block.foreach is not None:
            self._check_items(block, block.block.foreach)
            return
        last = block.settled[-1] if block.settled else None
        outputs = {path.step: (self.steps.get(path) or self.blocks[path]).output for path in block.settled}
        match block.block.strategy, block.block.options.get("join"):
            case "sequential" | "single", _:
                law([path.step for path in block.settled] == [step.name for step in block.block.steps], "in sequence")
                law(last is not None and block.output == outputs[last.step], "the last output is the block's")
            case "iterative_refinement", _:
                law(len(block.settled) % len(block.block.steps) == 0, "iterations are whole")
                law(len(block.settled) <= len(block.block.steps) * block.block.max_iterations, "iterations are bounded")
            case "forgiving", _:
                law({path.step for path in block.settled} == {step.name for step in block.block.steps}, "all are seen")
                law(any(self.phase_of(path) != "failed" for path in block.settled), "something was good")
                seen = {path.step: self.steps.get(path) or self.blocks[path] for path in block.settled}
                told = {
                    step: entry.failure.code.value if entry.failure else entry.output for step, entry in seen.items()
                }
                law(block.output == told, "a strategy sees outputs, and why there is none")
            case "parallel", "any":
                law(block.output == outputs[block.settled[0].step], "the first one in wins a join of any")
            case "parallel" | "patient", "all":
                law(block.output == outputs and len(outputs) == len(block.block.steps), "a join of all waits for all")
            case _:
                pass

    def _check_items(self, block: BlockEntry, foreach: ForEach) -> None:
        assert isinstance(block.input, list)
        outputs = {path.number: (self.steps.get(path) or self.blocks[path]).output for path in block.settled}
        good = {path.number: outputs[path.number] for path in block.settled if self.phase_of(path) == "succeeded"}
        in_order = [good[number] for number in sorted(good)]
        match foreach.join:
            case "all":
                law(len(good) == len(block.input), "every item has succeeded")
                law(block.output == in_order, "outputs are in the order of the items")
            case "settled":
                law(len(outputs) == len(block.input), "every item has settled")
                statuses = [self.phase_of(block.path.child(ITEM, number)) for number in sorted(outputs)]
                told = block.output
                assert isinstance(told, list)
                law([item["status"] for item in told] == statuses, "outcomes are in the order of the items")
                law([item["output"] for item in told] == [outputs[n] for n in sorted(outputs)], "and so are outputs")
            case "any":
                law(good and block.output == next(iter(good.values())), "the first item that succeeds is enough")
            case least:
                law(isinstance(least, int) and len(good) >= least, "enough items have succeeded")
                law(block.output == in_order, "outputs are in the order of the items")

    # --- Starts -------------------------------------------------------------------------------------------------

    def _adopt(self, path: StepPath, *, refused: bool = False) -> Step | Block:
        """The first event of an execution: its block is open, does not stop, and counts it right."""
        law(path not in self.steps and path not in self.blocks, "an execution begins once")
        parent = self.blocks[path.parent]
        for around in self.around(path.parent):
            law(around.phase == "running", "steps start in open blocks only")
            if around.path.step.startswith("@"):
                break
        law(not self.is_stopping(path.parent), "nothing starts in a block that is stopping")
        if parent.block.foreach is not None:
            most = parent.block.foreach.max_parallel
            law(len(self.open_below(parent)) < most or refused, "no more items at a time than may be")
        number = 1 + sum(1 for child in parent.children if child.step == path.step)
        # Of several that should start together only the one that is refused is there.
        law(path.number == number or (refused and path.number > number), "executions are counted from 1")
        law(len(parent.children) < most_children(parent.block), "a strategy gets no more steps than it can want")
        parent.children.append(path)
        return parent.block.step(path.step)

    def _began(self, path: StepPath, event: Any, phase: str, at: datetime) -> StepEntry:
        step = self._adopt(path, refused=isinstance(event, StepRefused))
        entry = StepEntry(path, step, event.execution_id, phase, since=at)
        self.steps[path] = entry
        return entry

    def _expected(self, path: StepPath, step: Step | Block, what: str) -> object:
        """What the document's condition or input comes to; the StepError, when it comes to nothing."""
        parent = self.blocks[path.parent]
        if parent.block.foreach is not None:
            assert isinstance(parent.input, list)
            scope = self.scope(self.blocks[path.parent.parent], path.parent.number)
            scope |= {"item": parent.input[path.number - 1], "index": path.number - 1}
        else:
            scope = self.scope(parent, path.number)
        try:
            if what == "when":
                return step.when is None or self.rules.truth(step.when, scope)
            if what == "input":
                return self.rules.evaluate(step.input, scope)
            body = step.body if isinstance(step, Step) else step.foreach
            match body:
                case Emit(payload=data):
                    return self.rules.evaluate(data, scope)
                case UntilWait(until):
                    return datetime.fromisoformat(str(self.rules.evaluate(until, scope)))
                case Approval():
                    return self.rules.evaluate([body.message, body.assignee], scope)
                case ForEach():
                    items = self.rules.evaluate(body.items, scope)
                    fits = isinstance(items, list) and len(items) <= 10_000
                    return items if fits else StepError(FailureCode.INVALID_INPUT, "no list, or too long")
                case _:
                    return None
        except ValueError:
            return StepError(FailureCode.INVALID_INPUT, "no time")
        except StepError as error:
            return error

    def _check_input(self, path: StepPath, step: Step | Block, value: JsonValue) -> None:
        law(self._expected(path, step, "when") is True, "a step starts only if its condition holds")
        if step.input is not None:
            law(value == self._expected(path, step, "input"), "a step gets what its template says")

    def _step_started(self, event: StepStarted, at: datetime) -> None:
        entry = self.steps.get(event.path)
        if entry is None:
            entry = self._began(event.path, event, "running", at)
            law((event.attempt, event.try_number) == (1, 1), "attempts and tries are counted from 1")
            self._check_input(event.path, entry.step, event.input)
            entry.input = event.input
        else:
            law(not self.is_stopping(event.path.parent), "nothing starts again in a block that is stopping")
            law(entry.phase in ("interrupted", "backing_off"), f"a step that is {entry.phase} does not start")
            law(entry.phase != "backing_off" or entry.fired, "a retry waits for its timer")
            law(event.attempt == entry.attempt + 1, "no attempt starts twice, and none is left out")
            law(event.try_number == entry.tries, "only a retry is another try")
            law(event.input == entry.input, "every attempt has the same input")
        runs = isinstance(entry.step, Step) and isinstance(entry.step.body, AgentCall | ToolCall)
        law(runs, "only agents and tools have bodies")
        entry.phase, entry.attempt, entry.since = "running", event.attempt, at
        entry.failure, entry.delay, entry.fired = None, None, False

    def _step_skipped(self, event: StepSkipped, at: datetime) -> None:
        entry = self._began(event.path, event, "skipped", at)
        law(self._expected(event.path, entry.step, "when") is False, "a step is skipped if its condition is false")
        self._settle(event.path)

    def _step_refused(self, event: StepRefused, at: datetime) -> None:
        entry = self._began(event.path, event, "failed", at)
        reasons = [self._expected(event.path, entry.step, what) for what in ("when", "input", "body")]
        law(any(isinstance(reason, StepError) for reason in reasons), "only what cannot be evaluated is refused")
        entry.failure = event.failure
        self._doom(event.path, event.failure)

    def _wait_started(self, event: WaitStarted, at: datetime) -> None:
        entry = self._began(event.path, event, "waiting", at)
        body = entry.step.body if isinstance(entry.step, Step) else None
        law(isinstance(body, TimerWait | SignalWait | UntilWait | Approval), "only waits wait")
        law((event.until is not None) == isinstance(body, UntilWait), "a wait for a time names it")
        law((event.approval is not None) == isinstance(body, Approval), "an approval says what it asks")
        entry.until, entry.approval = event.until, event.approval
        law(self._expected(event.path, entry.step, "when") is True, "a wait starts only if its condition holds")
        entry.attempt, entry.signal, entry.delay = 1, event.signal, event.delay
        early = next((signal for signal in self.signals if signal.name == event.signal), None)
        if early is not None:
            self.signals.remove(early)
            entry.answer = (early.payload,)

    def _event_emitted(self, event: EventEmitted, at: datetime) -> None:
        entry = self._began(event.path, event, "succeeded", at)
        law(self._expected(event.path, entry.step, "when") is True, "a step starts only if its condition holds")
        law(event.payload == self._expected(event.path, entry.step, "body"), "what is told is what the template says")
        entry.output = event.payload
        self._settle(event.path)
        self._note_undoable(event.path, entry.step)

    # --- Outcomes -----------------------------------------------------------------------------------------------

    def _reporting(self, path: StepPath, attempt: int, *phases: str) -> StepEntry | None:
        """The execution that the report is about; None when the report is late, or was made before."""
        entry = self.steps.get(path)
        known = entry is not None and entry.phase in phases and entry.attempt == attempt
        return entry if known else None

    def _step_succeeded(self, event: StepSucceeded, at: datetime) -> bool:
        entry = self._reporting(event.path, event.attempt, "running", "cancelling", "waiting")
        if entry is None:
            return False
        if entry.phase == "waiting":
            law(entry.answer is not None or entry.fired, "a wait ends by what it waits for")
            body = entry.step.body if isinstance(entry.step, Step) else None
            late = {"approve": {"approved": True, "by": None}, "reject": {"approved": False, "by": None}}
            unanswered = late.get(body.on_timeout) if isinstance(body, Approval) else {}
            expected = entry.answer[0] if entry.answer is not None else unanswered
            law(entry.answer is not None or entry.signal is None, "a signal that did not come is no success")
            law(event.output == expected, "a wait gives what came")
        entry.phase, entry.output, entry.since, entry.delay, entry.failure = "succeeded", event.output, at, None, None
        self.usage += event.usage
        self._settle(event.path)
        self._note_undoable(event.path, entry.step)
        return True

    def _step_failed(self, event: StepFailed, at: datetime) -> bool:
        entry = self._reporting(event.path, event.attempt, "running", "cancelling", "waiting")
        if entry is None:
            return False
        if entry.phase == "waiting":
            law(
                entry.fired and entry.answer is None and (entry.signal is not None or entry.approval is not None),
                "of signal and timeout the first wins",
            )
        self.usage += event.usage
        self._fail(entry, event.failure, at)
        return True

    def _fail(self, entry: StepEntry, failure: Failure, at: datetime) -> None:
        entry.phase, entry.failure, entry.since, entry.delay = "failed", failure, at, None
        if not entry.may_retry:
            self._doom(entry.path, failure)

    def _step_cancelled(self, event: StepCancelled, at: datetime) -> bool:
        entry = self._reporting(event.path, event.attempt, *OPEN)
        if entry is None:
            return False
        self.usage += event.usage
        if entry.phase == "running":  # a body that ended itself: nobody had asked it to
            message = "The step ended as cancelled, though nothing had asked it to."
            self._fail(entry, Failure(code=FailureCode.CANCELLED, message=message), at)
            return True
        law(self.is_stopping(event.path.parent), "a step is cancelled only where something stops")
        entry.phase, entry.since, entry.delay = "cancelled", at, None
        return True

    def _cancel_requested(self, event: StepCancelRequested, at: datetime) -> None:
        entry = self.steps[event.path]
        law(entry.phase == "running", "a running step is asked once to end")
        law(self.is_stopping(event.path.parent), "a step is asked to end only where something stops")
        entry.phase = "cancelling"

    def _retry_scheduled(self, event: RetryScheduled, at: datetime) -> None:
        entry = self.steps[event.path]
        law(entry.may_retry, "only a failure that the policy takes is tried again, and never too often")
        law(not self.is_stopping(event.path.parent), "nothing is tried again in a block that is stopping")
        law(event.try_number == entry.tries + 1, "tries are counted one by one")
        entry.phase, entry.tries, entry.delay, entry.since = "backing_off", event.try_number, event.delay, at
        entry.fired = False

    def _timer_fired(self, event: TimerFired, at: datetime) -> bool:
        entry, block = self.steps.get(event.path), self.blocks.get(event.path)
        if entry is None and block is not None and block.phase in OPEN and block.delay is not None:
            known, block.fired = block.fired, True
            return not known
        if entry is None or entry.phase not in ("backing_off", "waiting") or not entry.has_timer:
            return False
        if entry.answer is not None or entry.fired:
            return False
        entry.fired = True
        return True

    def _signal_received(self, event: SignalReceived, at: datetime) -> None:
        for entry in self.open_steps("waiting"):
            if entry.signal == event.name and entry.answer is None and not entry.fired:
                entry.answer = (event.payload,)
                return
        self.signals.append(event)

    def _approval_answered(self, event: ApprovalAnswered, at: datetime) -> bool:
        entry = self.steps.get(event.path)
        if entry is None or entry.phase != "waiting" or entry.approval is None or entry.answer or entry.fired:
            return False
        entry.answer = ({**event.answers, "approved": event.approved, "by": event.by},)
        return True

    def _settle(self, path: StepPath) -> None:
        if path and not path.step.startswith("@"):
            self.blocks[path.parent].settled.append(path)

    def _doom(self, path: StepPath, failure: Failure) -> None:
        parent = self.blocks[path.parent] if path and not path.step.startswith("@") else None
        if parent is not None and not self.sees_failures(parent):
            parent.doom = parent.doom or failure

    def _step_given_up(self, event: StepGivenUp, at: datetime) -> None:
        parent = self.blocks[event.path.parent]
        law(self.sees_failures(parent), "only who wants to see failures is shown them")
        law(not self.is_stopping(parent.path), "where something stops no failure is looked at")
        law(self.phase_of(event.path) == "failed", "only what failed is given up")
        entry = self.steps.get(event.path)
        law(entry is None or not entry.may_retry, "what will be tried again is not given up")
        law(event.path not in parent.settled, "a failure is shown once")
        self._settle(event.path)

    # --- At rest ------------------------------------------------------------------------------------------------

    def check_at_rest(self) -> None:
        """When `decide` has nothing more to say, nothing that could be decided is left lying."""
        law(not self.rules.breaches, "; ".join(self.rules.breaches))
        if self.finished is not None:
            return
        for entry in self.open_steps():
            stopping = self.is_stopping(entry.path.parent)
            law(entry.phase != "interrupted", "what was interrupted is started again, or settled")
            law(not (stopping and entry.phase == "running"), "where something stops every running step is told")
            law(not (stopping and entry.phase != "cancelling"), "where something stops nothing waits")
            law(entry.answer is None and not entry.fired, "what a step waited for is answered at once")
        for entry in self.open_steps("failed"):
            over = self.is_stopping(entry.path.parent) or self.blocks[entry.path.parent].phase != "running"
            law(over or not entry.may_retry, "a failure is tried again at once")
            seen = entry.path in self.blocks[entry.path.parent].settled
            law(over or seen, "a failure is shown at once to who wants to see it")
        for block in self.blocks.values():
            if block.phase in OPEN:
                law(self.open_below(block), "an open block has something open, or nothing would ever close it")
            around = bool(block.path) and self.is_stopping(block.path.parent)
            unlimited = block.phase == "ending" and block.delay is None
            law(not (unlimited and (around or self.is_stopped(block.path))), "after a cancel there is a limit")
            eager = block.phase == "running" and not self.is_stopping(block.path) and block.block.strategy == "parallel"
            if eager and block.block.options.get("join") == "any":
                law(not block.settled, "an eager strategy is asked as soon as something settles")
        law(ROOT in self.blocks, "a task that is not finished has begun")


_READERS: Mapping[type, Callable[[LawBook, Any, datetime], bool | None]] = {
    TaskSubmitted: LawBook._submitted,
    TaskClaimed: LawBook._claimed,
    CancelRequested: LawBook._stopped,
    DeadlinePassed: LawBook._stopped,
    TaskFinished: LawBook._finished,
    BlockStarted: LawBook._block_started,
    BlockFinished: LawBook._block_finished,
    BlockFailed: LawBook._block_failed,
    BlockStopping: LawBook._block_stopping,
    BlockCancelled: LawBook._block_cancelled,
    BlockExpanded: LawBook._block_expanded,
    BlockCaught: LawBook._block_caught,
    BlockEnding: LawBook._block_ending,
    EventEmitted: LawBook._event_emitted,
    ApprovalAnswered: LawBook._approval_answered,
    StepGivenUp: LawBook._step_given_up,
    StepStarted: LawBook._step_started,
    StepSkipped: LawBook._step_skipped,
    StepRefused: LawBook._step_refused,
    WaitStarted: LawBook._wait_started,
    StepSucceeded: LawBook._step_succeeded,
    StepFailed: LawBook._step_failed,
    StepCancelled: LawBook._step_cancelled,
    StepCancelRequested: LawBook._cancel_requested,
    RetryScheduled: LawBook._retry_scheduled,
    TimerFired: LawBook._timer_fired,
    SignalReceived: LawBook._signal_received,
}
