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
from uuid import UUID

from agentplat.domain import interpreter, state
from agentplat.domain.commands import (
    CancelStep,
    Command,
    DispatchChild,
    EmitEvent,
    FinishTask,
    RefuseStep,
    ScheduleRetry,
    SettleStep,
    SkipStep,
    StartStep,
    StartWait,
)
from agentplat.domain.events import (
    CancelRequested,
    Event,
    EventEmitted,
    RetryScheduled,
    StepCancelRequested,
    StepRefused,
    StepSkipped,
    StepStarted,
    TaskClaimed,
    TaskFinished,
    TaskSubmitted,
    WaitStarted,
    decode,
    encode,
)
from agentplat.domain.ids import ExecutionId
from agentplat.domain.usage import Usage
from agentplat.domain.workflow import SignalWait, Workflow, leaves
from agentplat_testkit.simulation.entries import OPEN, ROOT, WITH_CHILD, LawBroken, law
from agentplat_testkit.simulation.laws import LawBook
from agentplat_testkit.simulation.luck import Luck
from agentplat_testkit.simulation.reactions import dispatched, event_of_block, seconds, settled
from agentplat_testkit.simulation.tape import Tape

START = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Core:
    """The code that is put to the test: the real one, or a copy with a fault in it."""

    new: Callable[[Workflow], state.State]
    evolve: Callable[[state.State, Event, datetime | None], state.State]
    decide: Callable[[state.State, interpreter.Rules], tuple[Command, ...]]


REAL = Core(lambda workflow: state.State(workflow=workflow), state.evolve, interpreter.decide)


class Simulation(Luck):
    """One task from its submission on. `run` lives it to its end; `replay` reads it again from what was kept.

    Subclasses say what bodies give and how they fail.
    """

    thorough = True  # False: the journal is not read again at the end, which saves a third of the time

    def __init__(
        self,
        workflow: Workflow,
        tape: bytes = b"",
        *,
        rules: interpreter.Rules,
        core: Core = REAL,
        storms: bytes = b"",
        laws: type[LawBook] = LawBook,
    ) -> None:
        super().__init__(tape)
        self.core = core
        self.workflow = workflow
        self.rules = rules
        self.storms = Tape(storms)  # crashes besides those of the tape
        self.laws = laws(workflow, rules)
        self.most = (20 + len(tape) + len(storms)) * self.laws.most_executions(workflow.root) + 60
        self.state = core.new(workflow)
        self.journal: list[Event] = []
        self.moments: list[datetime] = []  # of each event of the journal
        self.rests: dict[int, state.State] = {}  # where `decide` had no more to say: length of the journal, and state
        self.asked: dict[int, tuple[Command, ...]] = {}  # what it said, by the length of the journal
        awaited = (step.body.signal for step in leaves(workflow.root) if isinstance(step.body, SignalWait))
        self.signals = tuple(dict.fromkeys((*self.signals, *awaited)))
        self.length = 0  # of the journal, when the task finished

    @property
    def is_over(self) -> bool:
        """Whether all is settled but, perhaps, the saying of it."""
        root = self.laws.blocks.get(ROOT)
        return root is not None and (root.phase not in OPEN or root.phase == "ending")

    @property
    def now(self) -> datetime:
        """When the next event happens."""
        return START + timedelta(seconds=len(self.journal))

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
        other = type(self)(self.workflow, tape, rules=self.rules, core=self.core, laws=type(self.laws))
        other.most += self.most
        for place, event in enumerate(self.journal[:length]):
            if place in self.asked:
                other.laws.begin_round()
            other.record(event)
        return other

    def record(self, event: Event) -> None:
        """Appends one event; the state and the laws follow."""
        law(len(self.journal) < self.most, "a task terminates within its bound")
        before, at = self.state, self.now
        try:
            self.state = self.core.evolve(before, event, at)
        except Exception as error:
            raise LawBroken(f"evolve raised {error!r} at {event}") from error
        self.journal.append(event)
        self.moments.append(at)
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
            case DispatchChild():
                self.laws.check_child(command)
                return dispatched(command, fresh)
            case StartWait():
                return WaitStarted(
                    path=command.path,
                    execution_id=fresh,
                    signal=command.signal,
                    delay=seconds(command.delay),
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
                delay = (command.least + (command.most - command.least) * self.share()).total_seconds()
                return RetryScheduled(path=command.path, try_number=command.try_number, delay=delay)
            case SettleStep():
                bodies = [entry.path for entry in self.laws.open_steps("running", "cancelling", *WITH_CHILD)]
                law(command.path not in bodies, "only its body, or child, gives the outcome of a step that has one")
                return settled(command)
            case CancelStep():
                return StepCancelRequested(path=command.path)
            case FinishTask():
                return TaskFinished(status=command.status, output=command.output, failure=command.failure)
            case _:
                return event_of_block(command)

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
            children = (execution.child, execution.concurrency_key)
            law(children == (entry.child, entry.key), "the latest child of a step is known, and the key of all")
            law((execution.delay, execution.updated_at) == (entry.delay, entry.since), "timers are kept")

    def check_end(self) -> None:
        """A finished task emits nothing and changes no more; its journal tells the same story again."""
        finish, self.length = self.journal[-1], len(self.journal)
        law(isinstance(finish, TaskFinished) and self.state.finished == finish, "the last event is the finish")
        law(self.rests.keys() >= {len(self.journal)}, "a finished task emits nothing")
        if self.thorough:
            self.replay()
        over = self.state
        for event in [
            *self.journal[-12 if self.thorough else -2 :],
            CancelRequested(reason="too late"),
            TaskClaimed(fence=99, worker="late"),
        ]:
            self.record(event)
            law(self.ask() == (), "a finished task emits nothing, whatever comes")
        law(replace(self.state, seq=over.seq) == over, "a finished task does not change")

    def replay(self) -> None:
        """The journal as it is kept gives the same states and the same commands."""
        again = self.core.new(self.workflow)
        for length, event in enumerate(self.journal, start=1):
            kind, content = encode(event)
            kept = decode(kind, json.loads(json.dumps(content)))
            again = self.core.evolve(again, kept, self.moments[length - 1])
            if length in self.rests:
                law(again == self.rests[length], "a replayed journal gives the same state")
            if length in self.asked:
                law(self.core.decide(again, self.rules) == self.asked[length], "the same history, the same commands")
