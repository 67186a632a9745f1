"""What can happen to a task from outside, good and bad, as a tape has it in store."""

from __future__ import annotations

from collections.abc import Sequence

from agentplat.domain.events import (
    ApprovalAnswered,
    CancelRequested,
    DeadlinePassed,
    Event,
    SignalReceived,
    StepCancelled,
    StepFailed,
    StepSucceeded,
    TaskClaimed,
    TimerFired,
)
from agentplat.domain.failure import Failure, FailureCode
from agentplat.domain.ids import StepPath
from agentplat.domain.json import JsonValue
from agentplat.domain.usage import NO_USAGE, Usage
from agentplat_testkit.simulation.entries import WITH_CHILD, StepEntry
from agentplat_testkit.simulation.laws import LawBook
from agentplat_testkit.simulation.tape import Tape

FAILURES = (
    Failure(code=FailureCode.TIMEOUT, message="slow", retryable=True),
    Failure(code=FailureCode.RATE_LIMITED, message="busy", retryable=True, retry_after=2.5),
    Failure(code=FailureCode.REFUSED, message="no", details={"why": ["policy", None]}),
    Failure(code=FailureCode.AGENT_FAILED, message="bug"),
)
OUTPUTS: tuple[JsonValue, ...] = ({"score": 1}, {"score": 5}, None, [1, {"a": None}], "text", 0)


class Luck:
    """Lets something happen. What it is told in `record` is the only thing that it does to the task."""

    laws: LawBook
    journal: list[Event]
    signals: Sequence[str] = ("approve", "reject")  # and those that the workflow waits for

    def __init__(self, tape: bytes) -> None:
        self.tape = Tape(tape)
        # Outcomes are four events for each of at most five tries; what else happens makes all begin again at worst.
        mood = self.tape.next()  # what there is more of in this history
        self.crashes = 230 if mood & 3 == 1 else 210
        self.haste = 150 if mood & 16 else 225
        self.yields, self.good, self.bad = (40, 110, 210) if mood & 4 else (110, 190, 240)

    def record(self, event: Event) -> None:
        """Take note of what happened."""
        raise NotImplementedError

    def share(self) -> float:
        """How much of a delay that is drawn is waited, from 0 to 1."""
        return self.tape.next() / 255

    def happen(self) -> None:
        """One thing, as the tape says; the first good one that is possible when it is used up."""
        draw = self.tape.next()
        if draw < 100 or self.tape.is_used_up:
            self.go_on()
        elif draw < 155:
            self.let_pass()
        elif draw < 180:
            for _ in range(1 + self.tape.next() % 3):
                self.signal(self.signals[draw % len(self.signals)])
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
        bodies = self.laws.open_steps("running", "cancelling", *WITH_CHILD)
        if bodies:
            self.end(self.tape.pick(bodies))
        elif not self.let_pass():
            waiting = [entry for entry in self.laws.open_steps("waiting") if entry.answer is None]
            # Nothing may be left when several things happen at once, before the owner has looked.
            if waiting:
                self.tell(waiting[0])

    def end(self, entry: StepEntry) -> None:
        """A body, or child, ends, one way or another. One that was asked to end may win the race otherwise."""
        draw, path, attempt = self.tape.next(), entry.path, entry.attempt
        usage = Usage(model="fake:one", input_tokens=draw, output_tokens=1, cost=None if draw % 16 == 15 else draw)
        if entry.phase in WITH_CHILD:
            usage = NO_USAGE  # it is the child's own
        told = entry.phase in ("cancelling", "recalled")
        if told and draw < self.yields:
            self.record(StepCancelled(path=path, attempt=attempt, usage=usage))
        elif told and draw < 160:
            failure = self.failure_of(entry, draw)
            self.record(StepFailed(path=path, attempt=attempt, failure=failure, usage=usage))
        elif draw < self.good:
            self.record(StepSucceeded(path=path, attempt=attempt, output=self.output_of(entry, draw), usage=usage))
        elif draw < 254:
            failure = self.failure_of(entry, draw % 2 if draw < self.bad else 2 + draw % 2)
            self.record(StepFailed(path=path, attempt=attempt, failure=failure, usage=usage))
        else:
            self.record(StepCancelled(path=path, attempt=attempt, usage=usage))

    def output_of(self, entry: StepEntry, draw: int) -> JsonValue:  # noqa: ARG002 - subclasses look at the step
        """What a body gives that ends well."""
        return OUTPUTS[draw % len(OUTPUTS)]

    def failure_of(self, entry: StepEntry, draw: int) -> Failure:  # noqa: ARG002 - as above
        """How a body fails. The first two are retryable."""
        return FAILURES[draw % len(FAILURES)]

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
        past = self.laws.open_steps("running", "backing_off", "interrupted", *WITH_CHILD)
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
