"""A world without clock, store and agents, in which one task lives: it does what the engine will do, and worse.

The simulation folds the events that commands lead to until `decide` gives nothing, then lets something happen, drawn
from a tape of bytes: an outcome, a timer, a signal, a crash, a cancel, a late report. When the tape is used up, all
goes well. Every event is shown to the LawBook; the state has to agree with it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import assert_never
from uuid import UUID

from agentplat.domain import interpreter, state
from agentplat.domain.commands import (
    BeginEnding,
    CancelBlock,
    CancelStep,
    CatchFailure,
    Command,
    EmitEvent,
    ExpandBlock,
    FailBlock,
    FinishBlock,
    FinishTask,
    GiveUp,
    RefuseStep,
    ScheduleRetry,
    SettleStep,
    SkipStep,
    StartBlock,
    StartStep,
    StartWait,
    StopBlock,
)
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
    decode,
    encode,
)
from agentplat.domain.failure import Failure, FailureCode
from agentplat.domain.ids import ExecutionId, StepPath
from agentplat.domain.json import JsonValue
from agentplat.domain.usage import Usage
from agentplat.domain.workflow import Block, SignalWait, Workflow, leaves

from .laws import OPEN, LawBook, LawBroken, StepEntry, handlers, law, most_children
from .rules import FakeRules
from .workflows import SIGNALS, Tape

START = datetime(2026, 1, 1, tzinfo=UTC)
FAILURES = (
    Failure(code=FailureCode.TIMEOUT, message="slow", retryable=True),
    Failure(code=FailureCode.RATE_LIMITED, message="busy", retryable=True, retry_after=2.5),
    Failure(code=FailureCode.REFUSED, message="no", details={"why": ["policy", None]}),
    Failure(code=FailureCode.AGENT_FAILED, message="bug"),
)
OUTPUTS: tuple[JsonValue, ...] = ({"score": 1}, {"score": 5}, None, [1, {"a": None}], "text", 0)


@dataclass(frozen=True)
class Core:
    """The code that is put to the test: the real one, or a copy with a fault in it."""

    new: Callable[[Workflow], state.State]
    evolve: Callable[[state.State, Event, datetime | None], state.State]
    decide: Callable[[state.State, interpreter.Rules], tuple[Command, ...]]


REAL = Core(lambda workflow: state.State(workflow=workflow), state.evolve, interpreter.decide)


class Simulation:
    """One task from its submission on. `run` lives it to its end; `replay` reads it again from what was kept."""

    def __init__(
        self,
        workflow: Workflow,
        tape: bytes = b"",
        *,
        core: Core = REAL,
        storms: bytes = b"",
        rules: FakeRules | None = None,
    ) -> None:
        self.core = core
        self.workflow = workflow
        self.rules = rules or FakeRules()
        self.tape = Tape(tape)
        self.storms = Tape(storms)  # crashes besides those of the tape
        # Outcomes are four events for each of at most five tries; what else happens makes all begin again at worst.
        mood = self.tape.next()  # what there is more of in this history
        self.crashes = 230 if mood & 3 == 1 else 210
        self.haste = 150 if mood & 16 else 225
        self.yields, self.good, self.bad = (40, 110, 210) if mood & 4 else (110, 190, 240)
        self.most = (20 + len(tape) + len(storms)) * most_executions(workflow.root) + 60
        self.laws = LawBook(workflow, self.rules)
        self.state = core.new(workflow)
        self.journal: list[Event] = []
        self.rests: dict[int, state.State] = {}  # where `decide` had no more to say: length of the journal, and state
        self.asked: dict[int, tuple[Command, ...]] = {}  # what it said, by the length of the journal
        self.has_signals = any(isinstance(step.body, SignalWait) for step in leaves(workflow.root))
        self.length = 0  # of the journal, when the task finished

    @property
    def is_over(self) -> bool:
        """Whether all is settled but, perhaps, the saying of it."""
        root = self.laws.blocks.get(StepPath())
        return root is not None and (root.phase not in OPEN or root.phase == "ending")

    # --- The life of a task -------------------------------------------------------------------------------------

    def run(self) -> Simulation:
        """Lives the task to its end, with everything that the tape has in store for it."""
        self.record(TaskSubmitted(type="workflow:drawn", input={"topic": "bees"}))
        if self.tape.next() > 250:
            self.record(CancelRequested(reason="before it began"))
        self.record(TaskClaimed(fence=1, worker="w1"))
        self.live_on()
        self.check_end()
        return self

    def live_on(self) -> None:
        """Until the task has finished."""
        try:
            self._live_on()
        except LawBroken as error:
            error.add_note("\n".join([repr(self.workflow), *map(repr, self.journal)]))
            raise

    def _live_on(self) -> None:
        self.settle()
        while self.laws.finished is None:
            if self.storms.next() % 3 == 1:
                self.record(TaskClaimed(fence=len(self.journal), worker="stormy"))
            else:
                self.happen()
                while self.tape.next() > self.haste:  # several things at once, before the owner looks
                    self.happen()
            self.settle()

    def fork(self, length: int, tape: bytes = b"") -> Simulation:
        """The same task after the first `length` events, with other luck to come."""
        other = Simulation(self.workflow, tape, core=self.core)
        other.most += self.most
        for place, event in enumerate(self.journal[:length]):
            if place in self.asked:
                other.laws.begin_round()
            other.record(event)
        return other

    def record(self, event: Event) -> None:
        """Appends one event; the state and the laws follow."""
        law(len(self.journal) < self.most, "a task terminates within its bound")
        before, at = self.state, START + timedelta(seconds=len(self.journal))
        try:
            self.state = self.core.evolve(before, event, at)
        except Exception as error:
            raise LawBroken(f"evolve raised {error!r} at {event}") from error
        self.journal.append(event)
        counts = self.laws.observe(event, at)
        law(self.state.seq == before.seq + 1, "every event has a number")
        if not counts:
            law(replace(self.state, seq=before.seq) == before, f"a late or repeated report changes nothing: {event}")

    def settle(self) -> None:
        """Folds what `decide` asks for until it asks for nothing."""
        for _ in range(self.most):
            commands = self.ask()
            if not commands:
                self.laws.check_at_rest()
                self.check_agreement()
                self.rests[len(self.journal)] = self.state
                return
            for command in commands:
                self.record(self.event_of(command))
        raise LawBroken("decide comes to an end")

    def ask(self) -> tuple[Command, ...]:
        try:
            commands = self.core.decide(self.state, self.rules)
        except Exception as error:
            raise LawBroken(f"decide raised {error!r}") from error
        self.asked[len(self.journal)] = commands
        self.laws.begin_round()
        return commands

    def event_of(self, command: Command) -> Event:
        """What a command leads to. The one for StartStep is committed before its body starts."""
        fresh = ExecutionId(UUID(int=len(self.journal) + 1))
        match command:
            case StartStep():
                return StepStarted(
                    path=command.path,
                    execution_id=fresh,
                    attempt=command.attempt,
                    try_number=command.try_number,
                    input=command.input,
                )
            case StartWait():
                return WaitStarted(
                    path=command.path,
                    execution_id=fresh,
                    signal=command.signal,
                    delay=_seconds(command.delay),
                    until=command.until,
                    approval=command.approval,
                )
            case EmitEvent():
                return EventEmitted(path=command.path, execution_id=fresh, name=command.name, payload=command.payload)
            case SkipStep():
                return StepSkipped(path=command.path, execution_id=fresh, reason=command.reason)
            case RefuseStep():
                return StepRefused(path=command.path, execution_id=fresh, failure=command.failure)
            case ScheduleRetry():
                law(timedelta(0) <= command.least <= command.most, "a delay is drawn from what there is")
                delay = (command.least + (command.most - command.least) * self.tape.next() / 255).total_seconds()
                return RetryScheduled(path=command.path, try_number=command.try_number, delay=delay)
            case SettleStep():
                bodies = [entry.path for entry in self.laws.open_steps("running", "cancelling")]
                law(command.path not in bodies, "only its body gives the outcome of a step that has one")
                return _settled(command)
            case CancelStep():
                return StepCancelRequested(path=command.path)
            case FinishTask():
                return TaskFinished(status=command.status, output=command.output, failure=command.failure)
            case _:
                return _event_of_block(command)

    # --- What happens -------------------------------------------------------------------------------------------

    def happen(self) -> None:
        """One thing, as the tape says; the first good one that is possible when it is used up."""
        draw = self.tape.next()
        if draw < 100 or self.tape.is_used_up:
            self.go_on()
        elif draw < 155:
            self.let_pass()
        elif draw < 180:
            for _ in range(1 + self.tape.next() % 3):
                self.signal(SIGNALS[draw % 2])
        elif draw < 195:
            self.race()
        elif draw < self.crashes:
            self.record(TaskClaimed(fence=len(self.journal), worker="another"))
        elif draw < 246:
            self.repeat()
        else:
            stops = (CancelRequested(reason="someone asked"), DeadlinePassed())
            self.record(stops[draw % 2])
            if self.tape.next() % 4 == 3:
                self.record(stops[1 - draw % 2])

    def go_on(self) -> None:
        bodies = self.laws.open_steps("running", "cancelling")
        if bodies:
            self.end(self.tape.pick(bodies))
        elif not self.let_pass():
            waiting = [entry for entry in self.laws.open_steps("waiting") if entry.answer is None]
            # Nothing may be left when several things happen at once, before the owner has looked.
            if waiting:
                self.tell(waiting[0])

    def end(self, entry: StepEntry) -> None:
        """A body ends, one way or another. One that was asked to end may win the race with another outcome."""
        draw, path, attempt = self.tape.next(), entry.path, entry.attempt
        usage = Usage(model="fake:one", input_tokens=draw, output_tokens=1, cost=None if draw % 16 == 15 else draw)
        if entry.phase == "cancelling" and draw < self.yields:
            self.record(StepCancelled(path=path, attempt=attempt, usage=usage))
        elif entry.phase == "cancelling" and draw < 160:
            self.record(StepFailed(path=path, attempt=attempt, failure=FAILURES[draw % len(FAILURES)], usage=usage))
        elif draw < self.good:
            self.record(StepSucceeded(path=path, attempt=attempt, output=OUTPUTS[draw % len(OUTPUTS)], usage=usage))
        elif draw < 254:
            failure = FAILURES[draw % 2 if draw < self.bad else 2 + draw % 2]
            self.record(StepFailed(path=path, attempt=attempt, failure=failure, usage=usage))
        else:
            self.record(StepCancelled(path=path, attempt=attempt, usage=usage))

    def let_pass(self) -> bool:
        """Time, until one of the timers fires. False when there is none."""
        timers = [entry.path for entry in self.laws.open_steps("backing_off", "waiting") if entry.has_timer]
        timers += [block.path for block in self.laws.open_blocks() if block.delay is not None and not block.fired]
        if timers:
            self.record(TimerFired(path=self.tape.pick(timers)))
        return bool(timers)

    def race(self) -> None:
        """A signal and its timeout, or two signals, at once; the same with the answers to an approval."""
        waiting = [entry for entry in self.laws.open_steps("waiting") if entry.signal or entry.approval]
        if not waiting:
            return
        wait = self.tape.pick(waiting)
        timer, order = TimerFired(path=wait.path), self.tape.next() % 3
        if order == 0:
            self.record(timer)
        self.tell(wait)
        if order == 1:
            self.record(timer)
        if order == 2:
            self.tell(wait)

    def tell(self, wait: StepEntry) -> None:
        """What the step waits for."""
        if wait.signal is not None:
            self.signal(wait.signal)
        elif wait.approval is not None:
            number = len(self.journal)
            answers = {"number": number}
            self.record(
                ApprovalAnswered(path=wait.path, approved=number % 2 == 0, by="me", answers=answers, key=f"{number}")
            )

    def signal(self, name: str) -> None:
        number = len(self.journal)
        self.record(SignalReceived(name=name, payload={"number": number}, key=f"{name}-{number}"))

    def repeat(self) -> None:
        """Something is reported late, or again, or of what never was."""
        reports = [event for event in self.journal if isinstance(event, StepSucceeded | StepFailed | StepCancelled)]
        stale = self.tape.pick(reports) if reports else None
        waits = [entry for entry in self.laws.open_steps("waiting") if not entry.has_timer]
        past = self.laws.open_steps("running", "backing_off", "interrupted")
        match self.tape.next() % 5:
            case 0 | 1 if stale is not None:
                self.record(stale)
            case 2 if stale is not None:
                self.record(TimerFired(path=stale.path))
            case 3 if waits:
                self.record(TimerFired(path=waits[0].path))
            case 3 if past:
                self.record(StepSucceeded(path=past[0].path, attempt=past[0].attempt - 1, output="stale"))
            case _:
                self.record(StepSucceeded(path=StepPath((("nobody", 7),)), attempt=1, output="from nowhere"))

    # --- What has to hold besides the laws ----------------------------------------------------------------------

    def check_agreement(self) -> None:
        """The state says what the book says."""
        phases = {path: str(entry.phase) for path, entry in self.state.executions.items()}
        law(phases == {path: entry.phase for path, entry in self.laws.steps.items()}, "steps are where they are")
        blocks = {path: str(block.phase) for path, block in self.state.blocks.items()}
        law(blocks == {path: block.phase for path, block in self.laws.blocks.items()}, "blocks are where they are")
        law(list(self.state.signals) == self.laws.signals, "no signal is lost")
        law(self.state.usage == replace(self.laws.usage, model=self.state.usage.model), "usage is what outcomes used")
        spent = Usage.total(execution.usage for execution in self.state.executions.values())
        law(self.state.usage == replace(spent, model=self.state.usage.model), "the sum is that of its parts")
        law(self.state.is_under_way == bool(self.laws.open_steps("running", "cancelling")), "bodies are counted")
        for path, entry in self.laws.steps.items():
            execution = self.state.executions[path]
            law(execution.id == entry.id, "a step is known by its first id")
            law(entry.phase != "succeeded" or execution.output == entry.output, "an outcome is kept")
            law(execution.failure == entry.failure, "a failure is kept until the next attempt")
            tries = (execution.attempt, execution.try_number)
            law(tries == (entry.attempt, entry.tries), "attempts and tries are counted")
            law((execution.delay, execution.updated_at) == (entry.delay, entry.since), "timers are kept")

    def check_end(self) -> None:
        """A finished task emits nothing and changes no more; its journal tells the same story again."""
        finish, self.length = self.journal[-1], len(self.journal)
        law(isinstance(finish, TaskFinished) and self.state.finished == finish, "the last event is the finish")
        law(self.rests.keys() >= {len(self.journal)}, "a finished task emits nothing")
        self.replay()
        over = self.state
        for event in [*self.journal[-12:], CancelRequested(reason="too late"), TaskClaimed(fence=99, worker="late")]:
            self.record(event)
            law(self.ask() == (), "a finished task emits nothing, whatever comes")
        law(replace(self.state, seq=over.seq) == over, "a finished task does not change")

    def replay(self) -> None:
        """The journal as it is kept gives the same states and the same commands."""
        again = self.core.new(self.workflow)
        for length, event in enumerate(self.journal, start=1):
            kind, content = encode(event)
            kept = decode(kind, json.loads(json.dumps(content)))
            again = self.core.evolve(again, kept, START + timedelta(seconds=length - 1))
            if length in self.rests:
                law(again == self.rests[length], "a replayed journal gives the same state")
            if length in self.asked:
                law(self.core.decide(again, self.rules) == self.asked[length], "the same history, the same commands")


def most_executions(block: Block) -> int:
    """The most steps and blocks that can begin at `block` and below."""
    ends = sum(most_executions(handler) for handler in handlers(block))
    below = max(most_executions(s) if isinstance(s, Block) else 1 for s in block.steps)
    return 1 + most_children(block) * (below + 3) + ends


def _seconds(delay: timedelta | None) -> float | None:
    return None if delay is None else delay.total_seconds()


def _event_of_block(
    command: StartBlock
    | FinishBlock
    | FailBlock
    | StopBlock
    | CancelBlock
    | CatchFailure
    | BeginEnding
    | ExpandBlock
    | GiveUp,
) -> Event:
    match command:
        case ExpandBlock():
            return BlockExpanded(path=command.path, steps=command.steps)
        case GiveUp():
            return StepGivenUp(path=command.path)
        case StartBlock():
            return BlockStarted(path=command.path, input=command.input, delay=_seconds(command.delay))
        case CatchFailure():
            return BlockCaught(path=command.path, clause=command.clause, failure=command.failure)
        case BeginEnding():
            return BlockEnding(
                path=command.path,
                status=command.status,
                output=command.output,
                failure=command.failure,
                delay=_seconds(command.delay),
            )
        case FinishBlock():
            return BlockFinished(path=command.path, output=command.output)
        case FailBlock():
            return BlockFailed(path=command.path, failure=command.failure)
        case StopBlock():
            return BlockStopping(path=command.path)
        case CancelBlock():
            return BlockCancelled(path=command.path)
        case _:
            assert_never(command)


def _settled(command: SettleStep) -> Event:
    if command.cancelled:
        return StepCancelled(path=command.path, attempt=command.attempt, usage=command.usage)
    if command.failure is not None:
        failure = command.failure
        return StepFailed(path=command.path, attempt=command.attempt, failure=failure, usage=command.usage)
    return StepSucceeded(path=command.path, attempt=command.attempt, output=command.output, usage=command.usage)
