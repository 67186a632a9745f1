"""The laws of steps: how they start, are tried again, wait and end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, ClassVar

from agentplat.domain.errors import StepError
from agentplat.domain.events import (
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
    TimerFired,
    WaitStarted,
)
from agentplat.domain.failure import Failure, FailureCode
from agentplat.domain.ids import StepPath
from agentplat.domain.interpreter import MAX_EXECUTIONS
from agentplat.domain.json import JsonValue
from agentplat.domain.workflow import AgentCall, Block, SignalWait, Step, TimerWait, ToolCall
from agentplat_testkit.simulation.book import Book
from agentplat_testkit.simulation.entries import OPEN, StepEntry, law

Reader = Callable[[Any, Any, datetime], bool | None]


class StepLaws(Book):
    """Each reader holds one event against the laws and writes it down; False: the event does not count."""

    def most_children(self, block: Block) -> int:
        """The most executions that a block can start."""
        return MAX_EXECUTIONS

    def most_executions(self, block: Block) -> int:
        """The most steps and blocks that can begin at `block` and below."""
        deepest = max(self.most_executions(step) if isinstance(step, Block) else 1 for step in block.steps)
        return 1 + self.most_children(block) * deepest

    # --- Starts -------------------------------------------------------------------------------------------------

    def _adopt(self, path: StepPath, *, refused: bool = False) -> Step | Block:
        """The first event of an execution: its block is open, does not stop, and counts it right."""
        law(path not in self.steps and path not in self.blocks, "an execution begins once")
        parent = self.blocks[path.parent]
        law(all(around.phase == "running" for around in self.around(path.parent)), "steps start in open blocks only")
        law(not self.is_stopping(path.parent), "nothing starts in a block that is stopping")
        number = 1 + sum(1 for child in parent.children if child.step == path.step)
        # Of several that should start together only the one that is refused is there.
        law(path.number == number or (refused and path.number > number), "executions are counted from 1")
        law(len(parent.children) < self.most_children(parent.block), "a strategy gets no more steps than it can want")
        parent.children.append(path)
        return parent.block.step(path.step)

    def _began(self, path: StepPath, event: Any, phase: str, at: datetime) -> StepEntry:
        step = self._adopt(path, refused=isinstance(event, StepRefused))
        entry = StepEntry(path, step, event.execution_id, phase, since=at)
        self.steps[path] = entry
        return entry

    def _expected(self, path: StepPath, step: Step | Block, what: str) -> object:
        """What the document's condition or input comes to; the StepError, when it comes to nothing."""
        scope = self.scope(self.blocks[path.parent], path.number)
        try:
            if what == "when":
                return step.when is None or self.rules.truth(step.when, scope)
            return self.rules.evaluate(step.input, scope)
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
        reasons = (self._expected(event.path, entry.step, "when"), self._expected(event.path, entry.step, "input"))
        law(any(isinstance(reason, StepError) for reason in reasons), "only what cannot be evaluated is refused")
        entry.failure = event.failure
        self._doom(event.path, event.failure)

    def _wait_started(self, event: WaitStarted, at: datetime) -> None:
        entry = self._began(event.path, event, "waiting", at)
        law(isinstance(entry.step, Step) and isinstance(entry.step.body, TimerWait | SignalWait), "only waits wait")
        law(self._expected(event.path, entry.step, "when") is True, "a wait starts only if its condition holds")
        entry.attempt, entry.signal, entry.delay = 1, event.signal, event.delay
        early = next((signal for signal in self.signals if signal.name == event.signal), None)
        if early is not None:
            self.signals.remove(early)
            entry.answer = (early.payload,)

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
            expected = entry.answer[0] if entry.answer is not None else {}
            law(entry.answer is not None or entry.signal is None, "a signal that did not come is no success")
            law(event.output == expected, "a wait gives what came")
        entry.phase, entry.output, entry.since, entry.delay, entry.failure = "succeeded", event.output, at, None, None
        self.usage += event.usage
        self._settle(event.path)
        return True

    def _step_failed(self, event: StepFailed, at: datetime) -> bool:
        entry = self._reporting(event.path, event.attempt, "running", "cancelling", "waiting")
        if entry is None:
            return False
        if entry.phase == "waiting":
            law(
                entry.fired and entry.answer is None and entry.signal is not None,
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
        entry = self.steps.get(event.path)
        if entry is None or entry.phase not in ("backing_off", "waiting") or entry.delay is None:
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

    def _settle(self, path: StepPath) -> None:
        if path:
            self.blocks[path.parent].settled.append(path)

    def _doom(self, path: StepPath, failure: Failure) -> None:
        parent = self.blocks[path.parent] if path else None
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

    READERS: ClassVar[Mapping[type, Reader]] = {
        StepStarted: _step_started,
        StepSkipped: _step_skipped,
        StepRefused: _step_refused,
        WaitStarted: _wait_started,
        StepSucceeded: _step_succeeded,
        StepFailed: _step_failed,
        StepGivenUp: _step_given_up,
        StepCancelled: _step_cancelled,
        StepCancelRequested: _cancel_requested,
        RetryScheduled: _retry_scheduled,
        TimerFired: _timer_fired,
        SignalReceived: _signal_received,
    }
