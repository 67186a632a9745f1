"""One task on a clock of its own: steps take time, timers fire when they are due, and a script says what goes wrong."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial

from agentplat.domain.events import (
    ApprovalAnswered,
    Event,
    SignalReceived,
    StepCancelled,
    StepFailed,
    StepSucceeded,
    TaskClaimed,
    TaskSubmitted,
    TimerFired,
)
from agentplat.domain.failure import Failure, FailureCode
from agentplat.domain.ids import StepPath
from agentplat.domain.interpreter import Rules
from agentplat.domain.json import JsonObject, JsonValue
from agentplat.domain.workflow import Step, Workflow, WorkflowCall
from agentplat_testkit.histories.plays import StrategyPlay
from agentplat_testkit.simulation.entries import WITH_CHILD, StepEntry, law
from agentplat_testkit.simulation.world import START
from agentplat_testkit.timelines.naming import names_of

TOLD_TO_END = ("cancelling", "recalled")
AT_WORK = ("running", "cancelling", *WITH_CHILD)
"""A body, or a child: of both the script says how they end."""


@dataclass(frozen=True, kw_only=True)
class Script:
    """What happens. Without a word of it every step succeeds, every signal and approval comes, each after a second."""

    input: JsonObject = field(default_factory=dict)
    outputs: Mapping[str, Sequence[JsonValue]] = field(default_factory=dict)  # in turn, by `names_of`
    failures: Mapping[str, Sequence[FailureCode]] = field(default_factory=dict)  # of the first tries
    crashes: Sequence[float] = ()  # seconds at which the worker dies
    seed: int | None = None  # draws how long steps take, and what else goes wrong
    default: Callable[[StepEntry], JsonValue] | None = None  # the output of a step that the script does not name


def _mark(entry: StepEntry) -> tuple[StepPath, int, int]:
    return entry.path, entry.attempt, entry.tries


@dataclass(order=True)
class _Due:
    at: float
    order: int
    happens: Callable[[], Event | None] = field(compare=False)


class Timeline(StrategyPlay):
    """Lives a task by a script. The journal and `moments` are what a person reads."""

    def __init__(self, workflow: Workflow, script: Script, *, rules: Rules) -> None:
        super().__init__(workflow, rules=rules)
        self.script = script
        self.most = 20_000
        self.clock = 0.0
        self.luck = random.Random(script.seed) if script.seed is not None else None
        self._due: list[_Due] = []
        self._planned: set[tuple[StepPath, int, int]] = set()
        self._given: dict[str, int] = {}
        for at in script.crashes:
            self._plan(at, self._crash)

    @property
    def now(self) -> datetime:
        return START + timedelta(seconds=self.clock)

    def play(self) -> Timeline:
        """From the submission to the end."""
        self.record(TaskSubmitted(type=f"workflow:{self.workflow.name}", input=self.script.input))
        self.record(TaskClaimed(fence=1, worker="worker-1"))
        self.live_on()
        self.check_end()
        return self

    def _live_on(self) -> None:
        self.settle()
        while self.laws.finished is None:
            self._look_ahead()
            law(self._due, "a task that waits for nothing has finished")
            due = min(self._due)
            self._due.remove(due)
            self.clock = max(self.clock, due.at)
            event = due.happens()
            if event is not None:
                self.record(event)
                self.settle()

    def _look_ahead(self) -> None:
        """Plan the end of everything that is open, once for each attempt."""
        children = self.laws.open_steps(*WITH_CHILD)
        at_work = Counter(child.key for child in children if _mark(child) in self._planned)
        for entry in self.laws.open_steps(*AT_WORK, "backing_off", "waiting"):
            mark = _mark(entry)
            stopping = entry.phase in TOLD_TO_END
            if stopping and mark in self._planned:
                mark = (entry.path, -entry.attempt, entry.tries)  # it yields, sooner than it would have ended
            if mark in self._planned:
                continue
            if not stopping and not self._has_turn(entry, at_work):
                self._look_for_lateness(entry)
                continue
            self._planned.add(mark)
            at_work[entry.key] += entry.phase in WITH_CHILD
            if entry.phase in AT_WORK:
                self._plan_end(entry, 0.1 if stopping else self._takes())
            elif entry.delay is not None:
                self._plan(self.clock + entry.delay, partial(self._timer, entry.path))
            elif entry.until is not None:
                self._plan(self._seconds_until(entry.until), partial(self._timer, entry.path))
            if entry.phase == "waiting" and (entry.signal is not None or entry.approval is not None):
                self._plan(self.clock + self._takes(), partial(self._answer, entry.path))
        for block in self.laws.open_blocks():
            limit = (block.path, 0, 1 if block.phase == "running" else 2)
            if block.delay is not None and not block.fired and limit not in self._planned:
                self._planned.add(limit)
                self._plan(self.clock + block.delay, partial(self._limit, block.path, block.phase))

    def _seconds_until(self, moment: str) -> float:
        """A time of the calendar on this clock. The clock begins on START; what is past is at once."""
        when = datetime.fromisoformat(moment)
        return max(
            self.clock, ((when if when.tzinfo is not None else when.replace(tzinfo=UTC)) - START).total_seconds()
        )

    def _has_turn(self, entry: StepEntry, at_work: Counter[str | None]) -> bool:
        """Whether it is worked on, and does not wait until others with its concurrency key have ended."""
        limit = entry.step.dispatch.concurrency if isinstance(entry.step, Step) and entry.step.dispatch else None
        return limit is None or entry.phase not in WITH_CHILD or at_work[entry.key] < limit.limit

    def _look_for_lateness(self, entry: StepEntry) -> None:
        """The time of a workflow passes also while it waits for its turn."""
        mark, body = (
            (entry.path, entry.attempt, -entry.tries),
            entry.step.body if isinstance(entry.step, Step) else None,
        )
        if isinstance(body, WorkflowCall) and body.timeout is not None and mark not in self._planned:
            self._planned.add(mark)
            at = self.clock + body.timeout.total_seconds()
            self._plan(at, partial(self._ends, entry.path, entry.attempt, late=True))

    def _plan_end(self, entry: StepEntry, seconds: float) -> None:
        path, attempt = entry.path, entry.attempt
        limit = entry.step.timeout if isinstance(entry.step, Step) else None
        if isinstance(entry.step, Step) and isinstance(entry.step.body, WorkflowCall):
            limit = entry.step.body.timeout
        most = seconds if limit is None else limit.total_seconds()
        self._plan(self.clock + min(seconds, most), partial(self._ends, path, attempt, late=seconds > most))

    def _plan(self, at: float, happens: Callable[[], Event | None]) -> None:
        self._due.append(_Due(at, len(self._planned) + len(self._due), happens))

    def share(self) -> float:
        return 1.0 if self.luck is None else self.luck.random()

    def _takes(self) -> float:
        """How long a body works, in seconds."""
        return 1.0 if self.luck is None else round(self.luck.lognormvariate(0.5, 1.0), 1)

    # --- What happens -------------------------------------------------------------------------------------------

    def _ends(self, path: StepPath, attempt: int, *, late: bool) -> Event | None:
        entry = self.laws.steps.get(path)
        if entry is None or entry.attempt != attempt or entry.phase not in AT_WORK:
            return None  # it ended before, or its worker died
        if entry.phase in TOLD_TO_END:
            return StepCancelled(path=path, attempt=attempt)
        code = self._failure(entry)
        if late:
            code = FailureCode.TIMEOUT
        if code is not None:
            failure = Failure(code=code, message="it was told to fail", retryable=code.usually_retryable)
            return StepFailed(path=path, attempt=attempt, failure=failure)
        return StepSucceeded(path=path, attempt=attempt, output=self._output(entry))

    def _timer(self, path: StepPath) -> Event | None:
        entry = self.laws.steps[path]
        return TimerFired(path=path) if entry.phase in ("backing_off", "waiting") and entry.answer is None else None

    def _answer(self, path: StepPath) -> Event | None:
        """What a step waits for, if it still does: a signal, or somebody's approval."""
        entry = self.laws.steps[path]
        if entry.phase != "waiting" or entry.answer is not None or entry.fired:
            return None
        said, key = self._output(entry), f"answer-{len(self.journal)}"
        if entry.signal is not None:
            return SignalReceived(name=entry.signal, payload=said, key=key)
        answers = dict(said) if isinstance(said, Mapping) else {}
        approved = answers.pop("approved", True) is True
        return ApprovalAnswered(path=path, approved=approved, by="somebody", answers=answers, key=key)

    def _limit(self, path: StepPath, phase: str) -> Event | None:
        block = self.laws.blocks[path]
        return TimerFired(path=path) if block.phase == phase and block.delay is not None and not block.fired else None

    def _crash(self) -> Event | None:
        return TaskClaimed(fence=len(self.journal), worker=f"worker-{self.laws.claims + 1}")

    def _failure(self, entry: StepEntry) -> FailureCode | None:
        for key in names_of(entry.path):
            codes = self.script.failures.get(key)
            if codes is not None:
                return codes[entry.tries - 1] if entry.tries <= len(codes) else None
        if self.luck is not None and self.luck.random() < 0.1:
            return self.luck.choice((FailureCode.TIMEOUT, FailureCode.RATE_LIMITED, FailureCode.UNAVAILABLE))
        return None

    def _output(self, entry: StepEntry) -> JsonValue:
        for key in names_of(entry.path):
            outputs = self.script.outputs.get(key)
            if outputs:
                place = self._given[key] = self._given.get(key, 0) + 1
                return outputs[min(place, len(outputs)) - 1]
        if self.script.default is not None:
            return self.script.default(entry)
        return {"result": f"what {entry.path} said"}
