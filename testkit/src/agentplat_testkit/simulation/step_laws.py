"""The laws of steps: how they start, are tried again, wait and end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, ClassVar

from agentplat.domain.commands import DispatchChild
from agentplat.domain.errors import StepError
from agentplat.domain.events import (
    ApprovalAnswered,
    ChildDispatched,
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
    TimerFired,
    WaitStarted,
)
from agentplat.domain.failure import Failure, FailureCode
from agentplat.domain.ids import StepPath
from agentplat.domain.interpreter import MAX_EXECUTIONS
from agentplat.domain.json import JsonValue
from agentplat.domain.workflow import (
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
    WorkflowCall,
)
from agentplat_testkit.simulation.book import Book
from agentplat_testkit.simulation.entries import ENDS, OPEN, WITH_CHILD, StepEntry, handlers, law

Reader = Callable[[Any, Any, datetime], bool | None]


class StepLaws(Book):
    """Each reader holds one event against the laws and writes it down; False: the event does not count."""

    def most_children(self, block: Block) -> int:
        """The most executions that a block can start; whoever knows its strategy says more."""
        if block.foreach is not None:
            return len(block.foreach.items) if isinstance(block.foreach.items, list) else MAX_EXECUTIONS
        return MAX_EXECUTIONS

    def most_executions(self, block: Block) -> int:
        """The most steps and blocks that can begin at `block` and below."""
        ends = sum(self.most_executions(handler) for handler in handlers(block))
        below = max(self.most_executions(step) if isinstance(step, Block) else 1 for step in block.steps)
        return 1 + self.most_children(block) * (below + 3) + ends

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
            if isinstance(step, Step) and step.dispatch is not None:
                return self._task_of(step, scope)
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

    def _task_of(self, step: Step, scope: Mapping[str, JsonValue]) -> object:
        """The key of the step's children; the StepError, when its input or key is no task's."""
        value = None if step.input is None else self.rules.evaluate(step.input, scope)
        concurrency = step.dispatch.concurrency if step.dispatch is not None else None
        key = None if concurrency is None else self.rules.evaluate(concurrency.key, scope)
        fits = isinstance(value, dict | None) and not isinstance(key, dict | list)
        fits = fits and (concurrency is None or key not in (None, ""))
        return (None if key is None else str(key)) if fits else StepError(FailureCode.INVALID_INPUT, "no task")

    def _step_started(self, event: StepStarted | ChildDispatched, at: datetime) -> None:
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
        entry.phase, entry.attempt, entry.since = "running", event.attempt, at
        entry.failure, entry.delay, entry.fired = None, None, False
        if isinstance(event, StepStarted):
            runs = isinstance(entry.step, Step) and isinstance(entry.step.body, AgentCall | ToolCall)
            law(runs, "only agents and tools have bodies")
            law(isinstance(entry.step, Step) and entry.step.dispatch is None, "what is to be a task of its own is one")

    def check_child(self, command: DispatchChild) -> None:
        """That the task to come is what the document says of its step."""
        step = self.blocks[command.path.parent].block.step(command.path.step)
        law(isinstance(step, Step) and step.dispatch is not None, "only what says so is a task of its own")
        assert isinstance(step, Step)
        assert step.dispatch is not None
        limit, body = step.dispatch.concurrency, step.body
        law(command.body == body, "a child does what its step says")
        law(command.limit == (limit and limit.limit), "a child is limited as its step says")
        timeout = body.timeout if isinstance(body, WorkflowCall) else step.timeout
        law(command.timeout == timeout, "a child has the time that its step says")

    def _child_dispatched(self, event: ChildDispatched, at: datetime) -> None:
        known = self.steps.get(event.path)
        self._step_started(event, at)
        entry = self.steps[event.path]
        dispatch = entry.step.dispatch if isinstance(entry.step, Step) else None
        law(dispatch is not None and event.queue == dispatch.queue, "a child goes where its step says")
        law(isinstance(event.input, Mapping), "a task's input is an object")
        key = self._expected(event.path, entry.step, "body") if known is None else entry.key
        law(event.concurrency_key == key, "every child of a step has the key that was evaluated first")
        law(event.execution_id not in self.dispatched, "no two attempts are one task")
        self.dispatched.add(event.execution_id)
        entry.phase, entry.key, entry.child = "dispatched", event.concurrency_key, event.execution_id

    def _step_skipped(self, event: StepSkipped, at: datetime) -> None:
        entry = self._began(event.path, event, "skipped", at)
        law(self._expected(event.path, entry.step, "when") is False, "a step is skipped if its condition is false")
        self._settle(event.path)

    def _step_refused(self, event: StepRefused, at: datetime) -> None:
        entry = self._began(event.path, event, "failed", at)
        reasons = [self._expected(event.path, entry.step, what) for what in ("when", "input", "body")]
        # What a strategy gives is not known here, and may be no task's input.
        own = isinstance(entry.step, Step) and entry.step.dispatch is not None and entry.step.input is None
        law(own or any(isinstance(reason, StepError) for reason in reasons), "only what cannot be evaluated is refused")
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
        entry = self._reporting(event.path, event.attempt, "running", "cancelling", "waiting", *WITH_CHILD)
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
        entry = self._reporting(event.path, event.attempt, "running", "cancelling", "waiting", *WITH_CHILD)
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
        if entry.phase in ("running", "dispatched"):  # a body that ended itself: nobody had asked it to
            message = "The step ended as cancelled, though nothing had asked it to."
            self._fail(entry, Failure(code=FailureCode.CANCELLED, message=message), at)
            return True
        law(self.is_stopping(event.path.parent), "a step is cancelled only where something stops")
        entry.phase, entry.since, entry.delay = "cancelled", at, None
        return True

    def _cancel_requested(self, event: StepCancelRequested, at: datetime) -> None:
        entry = self.steps[event.path]
        law(entry.phase in ("running", "dispatched"), "a running step, or a child, is asked once to end")
        law(self.is_stopping(event.path.parent), "a step is asked to end only where something stops")
        entry.phase = "cancelling" if entry.phase == "running" else "recalled"

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

    def _note_undoable(self, path: StepPath, node: Step | Block) -> None:
        if path and node.compensate is not None and not any(name in ENDS for name, _ in path):
            self.undoable.append(path)

    READERS: ClassVar[Mapping[type, Reader]] = {
        StepStarted: _step_started,
        ChildDispatched: _child_dispatched,
        StepSkipped: _step_skipped,
        StepRefused: _step_refused,
        WaitStarted: _wait_started,
        EventEmitted: _event_emitted,
        StepSucceeded: _step_succeeded,
        StepFailed: _step_failed,
        StepGivenUp: _step_given_up,
        StepCancelled: _step_cancelled,
        StepCancelRequested: _cancel_requested,
        RetryScheduled: _retry_scheduled,
        TimerFired: _timer_fired,
        SignalReceived: _signal_received,
        ApprovalAnswered: _approval_answered,
    }
