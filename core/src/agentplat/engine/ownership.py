"""What the owner of a task does, from the claim to the moment it ends, parks, hands back or loses it.

One turn: fold what happened, let the interpreter decide, commit both together, and only then start or cancel bodies.
A body that was started and has no outcome when a new claim begins is started again, so nothing here need be undone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Literal, TypeAlias, cast
from uuid import UUID

from agentplat import telemetry
from agentplat.contracts.store import (
    CallRow,
    Claim,
    Closing,
    Committed,
    End,
    Keep,
    Park,
    Release,
    Store,
    Write,
)
from agentplat.domain.commands import DispatchChild, StartStep
from agentplat.domain.errors import StepError
from agentplat.domain.events import (
    BlockEnding,
    BlockStarted,
    DeadlinePassed,
    Event,
    RetryScheduled,
    StepCancelled,
    StepCancelRequested,
    StepFailed,
    StepSucceeded,
    TaskClaimed,
    TaskFinished,
    TimerFired,
    WaitStarted,
)
from agentplat.domain.failure import Failure, FailureCode
from agentplat.domain.ids import StepPath, TaskId
from agentplat.domain.state import BlockState, Execution, Phase, State, evolve
from agentplat.domain.task import TaskState
from agentplat.engine.body import BodyEnd, BodyStart, RunBody
from agentplat.engine.children import Children, deadlines, outcome
from agentplat.engine.definitions import Pinned
from agentplat.engine.history import WatchedRules, fold, go_on, plan
from agentplat.engine.inbox import told
from agentplat.engine.journal import JournalWriter, WriteRejected, patiently
from agentplat.engine.mailbox import Mailbox
from agentplat.engine.timers import TimerKey, due_times, has_timer, key_of, waiting

Ending: TypeAlias = Literal["ended", "parked", "released"]
Outcome: TypeAlias = StepSucceeded | StepFailed | StepCancelled
HAND_BACK_DELAY = 5.0
"""Seconds for which a task that this process cannot work on is left to others."""
CANCEL_GRACE = 10.0
"""Seconds that a cancelled body has to end; then its outcome is `cancelled` whatever it does."""


_Kept: TypeAlias = tuple[Committed, Closing]
"""What became of a turn, and how it closes: decided with its commit, since what it rests on may change meanwhile."""
_KEEP = Keep()
_SETTING_TIMERS = (RetryScheduled, WaitStarted, BlockStarted, BlockEnding)

Watch: TypeAlias = Callable[[Claim, State, Sequence[Event], Committed], None]
"""Called after each commit, for logs, metrics and observers. Must not raise."""


class TaskOwner:
    """Drives one claimed task. Use once."""

    def __init__(
        self,
        claim: Claim,
        pinned: Pinned,
        children: Children,
        *,
        rules: WatchedRules,
        store: Store,
        writer: JournalWriter,
        run_body: RunBody,
        watch: Watch,
        lacks: Callable[[State], str | None],
        leaving: Callable[[], None] = lambda: None,
        cleared: Callable[[], None] = lambda: None,
    ) -> None:
        """`lacks`: why it cannot go on here. `cleared`: it is no suspect now. `leaving`: only its end is left to do."""
        self._claim = claim
        self._pinned = pinned
        self._children = children
        self._workflow = pinned.workflow
        self._rules = rules
        self._store = store
        self._writer = writer
        self._run_body = run_body
        self._watch = watch
        self._lacks = lacks
        self._leaving = leaving
        self._cleared = cleared
        self._state: State  # from `drive` on
        self._mailbox: Mailbox[Outcome | None] = Mailbox()  # None: look into the inbox
        self._bodies: dict[StepPath, asyncio.Task[None]] = {}
        self._loop = asyncio.get_running_loop()
        # The database's time at which the loop's time is nought. Now: to read a long journal takes a while.
        self._clock = claim.now - timedelta(seconds=self._loop.time())
        self._timers: dict[TimerKey, float] = {}  # -> the loop's time at which it is due
        self._deadline: float | None = None
        self._draining = False
        self._under_way = False  # as the queue row says
        self._lost: Exception | None = None  # how a body that wrote to the ledger found out that nothing can be written

    @property
    def task_id(self) -> TaskId:
        return self._claim.lease.task_id

    def nudge(self) -> None:
        """The inbox has something."""
        self._mailbox.put(None)

    def drain(self) -> None:
        """Start nothing more; hand the task back when what runs has its outcome."""
        self._draining = True
        self.nudge()

    async def drive(self) -> Ending:
        """How the claim ended. Raises LeaseLost, and then nothing of the last turn was kept."""
        try:
            state = fold(self._workflow, self._claim.journal, self.task_id, self._claim.tenant)
            self._state = state if self._claim.is_whole else await go_on(state, self._store, self.task_id)
            if (reason := self._lacks(self._state)) is not None:
                await self.hand_back(self._claim, self._writer, reason)
                return "released"
            facts, taken = await self._resume()
            while True:
                ending = await self._turn(facts, taken)
                if ending is not None:
                    await self._children.settle()
                    return ending
                facts, taken = await self._next_facts()
        finally:
            await self._end_bodies()

    @staticmethod
    async def hand_back(claim: Claim, writer: JournalWriter, reason: str) -> None:
        """Give the task back without having touched it; nothing of it is under way."""
        telemetry.log.warning(telemetry.TASK_LEFT, task_id=str(claim.lease.task_id), reason=reason)
        release = Release(delay=HAND_BACK_DELAY, reason=reason)
        await writer.write(Write(lease=claim.lease, first_seq=0, closing=release))

    async def _resume(self) -> tuple[list[Event], list[UUID]]:
        claim = self._claim
        for timer, due in due_times(self._state):
            self._timers[key_of(timer)] = (due - self._clock).total_seconds()
        for seconds in deadlines(claim, self._workflow):
            ends = (claim.submitted_at - self._clock).total_seconds() + seconds
            self._deadline = ends if self._deadline is None else min(self._deadline, ends)
        self._children.resume(self._state, self.nudge)
        claimed = TaskClaimed(fence=claim.lease.fence, worker=str(claim.lease.worker_id))
        said, taken = await self._read_inbox() if claim.wake else ([], [])
        return [claimed, *said, *self._fired()], taken

    async def _turn(self, facts: Sequence[Event], taken: Sequence[UUID]) -> Ending | None:
        state, events, starts = self._decide(facts)
        try:
            committed, closing = await self._commit(state, events, taken)
        except WriteRejected as error:
            state, events, starts, (committed, closing) = await self._commit_without_outputs(facts, taken, str(error))
        self._state = state
        self._watch(self._claim, state, events, committed)
        self._children.tell(self.nudge)
        if not isinstance(closing, Keep):
            return "ended" if isinstance(closing, End) else "parked" if isinstance(closing, Park) else "released"
        for start in starts:
            self._start(start)
        for event in events:
            if isinstance(event, StepCancelRequested):
                self._cancel(event.path)
            elif isinstance(event, _SETTING_TIMERS):
                self._set_timer(event)
        if committed.wake:
            self.nudge()
        return None

    def _decide(self, facts: Sequence[Event]) -> tuple[State, Sequence[Event], Sequence[StartStep]]:
        state = self._state
        for fact in facts:
            state = evolve(state, fact)
        if self._children.any:
            self._children.clear()
        if self._draining:
            return state, facts, ()
        state, events, starts = plan(state, self._rules)
        if self._children.any:
            return self._decide_on_children(state, facts, events, starts)
        for start in starts:
            if isinstance(start, DispatchChild):
                return self._decide_on_children(state, facts, events, starts)
        return state, [*facts, *events], cast("Sequence[StartStep]", starts)

    def _decide_on_children(
        self, state: State, facts: Sequence[Event], events: Sequence[Event], starts: Sequence[StartStep | DispatchChild]
    ) -> tuple[State, Sequence[Event], Sequence[StartStep]]:
        """With the tasks that become of dispatches. Whatever none can be made of has failed, and something follows."""
        news, bodies = [*facts, *events], [start for start in starts if isinstance(start, StartStep)]
        while refused := self._children.dispatch(starts, events, state.seq - len(events) + 1):
            for failure in refused:
                state = evolve(state, failure)
            state, events, starts = plan(state, self._rules)
            news += [*refused, *events]
            bodies += [start for start in starts if isinstance(start, StartStep)]
        self._children.note(state, news)
        return state, news, bodies

    async def _commit(self, state: State, events: Sequence[Event], taken: Sequence[UUID]) -> _Kept:
        if self._children.limits:
            await self._children.declare(self._store)
        closing = self._closing(state)
        if not isinstance(closing, Keep):
            self._leaving()
        elif not events and not taken:
            return Committed(at=self._claim.now), closing
        claim, children = self._claim, self._children
        usage, is_under_way = state.usage, state.bodies > 0
        committed = await self._writer.write(
            Write(
                lease=claim.lease,
                first_seq=self._state.seq + 1,
                events=events,
                taken=taken,
                usage=usage if usage is not self._state.usage else None,
                under_way=None if is_under_way is self._under_way else is_under_way,
                closing=closing,
                tenant=claim.tenant,
                clears=None if claim.suspect else False,
                children=children.tasks,
                definitions=tuple(children.definitions.values()) if children.definitions else (),
                is_child=claim.parent is not None,
                outcome=outcome(claim, state) if claim.parent is not None else None,
            )
        )
        self._under_way = is_under_way
        if claim.suspect and any(isinstance(event, StepSucceeded) for event in events):
            self._cleared()
        return committed, closing

    async def _commit_without_outputs(
        self, facts: Sequence[Event], taken: Sequence[UUID], reason: str
    ) -> tuple[State, Sequence[Event], Sequence[StartStep], _Kept]:
        """The database refused a value: the steps that gave outputs have failed, and so the task's end is kept."""
        telemetry.log.warning(telemetry.OUTPUT_REJECTED, task_id=str(self.task_id), reason=reason)
        failure = Failure(code=FailureCode.INVALID_OUTPUT, message=f"The database refused the output: {reason}")
        sober = [
            StepFailed(path=fact.path, attempt=fact.attempt, failure=failure, usage=fact.usage)
            if isinstance(fact, StepSucceeded)
            else fact
            for fact in facts
        ]
        state, events, starts = self._decide(sober)
        try:
            return state, events, starts, await self._commit(state, events, taken)
        except WriteRejected:
            self._children.forsake(self._state)
            finished = TaskFinished(status="error", output=None, failure=failure)
            state = evolve(self._state, finished)
            return state, [finished], (), await self._commit(state, [finished], taken)

    def _closing(self, state: State) -> Closing:
        if state.finished is not None:
            finished = state.finished
            return End(status=TaskState(finished.status), output=finished.output, failure=finished.failure)
        if state.bodies > 0 or self._children.are_ending:
            return _KEEP
        if self._draining:
            return Release()
        return Park(wake_after=self._wake_after(state))

    def _wake_after(self, state: State) -> float | None:
        """Seconds to the next timer: those already known, and those that the state has just got."""
        now = self._loop.time()
        waits = [
            self._timers[key_of(timer)] - now if key_of(timer) in self._timers else self._after(timer)
            for timer in waiting(state)
        ]
        if self._deadline is not None:
            waits.append(self._deadline - now)
        return max(min(waits), 0.0) if waits else None

    def _after(self, timer: Execution | BlockState) -> float:
        """Seconds to a timer that the state has just got."""
        if timer.delay is not None:
            return timer.delay
        assert isinstance(timer, Execution)
        assert timer.until is not None
        ends = (datetime.fromisoformat(timer.until) - self._clock).total_seconds()
        return ends - self._loop.time()

    def _set_timer(self, event: RetryScheduled | WaitStarted | BlockStarted | BlockEnding) -> None:
        key = (event.path, isinstance(event, BlockEnding))
        if event.delay is not None:
            self._timers[key] = self._loop.time() + event.delay
        elif isinstance(event, WaitStarted) and event.until is not None:
            self._timers[key] = self._loop.time() + self._after(self._state.executions[event.path])

    def _fired(self) -> list[Event]:
        if not self._timers and self._deadline is None:
            return []
        now = self._loop.time()
        fired: list[Event] = []
        for key in [key for key, at in self._timers.items() if at <= now]:
            del self._timers[key]
            if has_timer(self._state, key):
                fired.append(TimerFired(path=key[0]))
        if self._deadline is not None and self._deadline <= now:
            self._deadline = None
            fired.append(DeadlinePassed())
        return fired

    async def _next_facts(self) -> tuple[list[Event], list[UUID]]:
        until = min(self._timers.values()) if self._timers else self._deadline
        if self._deadline is not None and until is not None:
            until = min(until, self._deadline)
        mail = await self._mailbox.taken(until=until)
        if self._lost is not None:
            raise self._lost
        outcomes = [outcome for outcome in mail if outcome is not None and self._is_current(outcome)]
        said, taken = await self._read_inbox() if None in mail else ([], [])
        return [*outcomes, *said, *self._fired()], taken

    def _is_current(self, outcome: Outcome) -> bool:
        """False for the late word of a body that was given up."""
        execution = self._state.executions.get(outcome.path)
        return execution is not None and execution.attempt == outcome.attempt and execution.phase.has_body

    async def _read_inbox(self) -> tuple[list[Event], list[UUID]]:
        items = await patiently(lambda: self._store.inbox([self._claim.lease]))
        return [told(item) for item in items], [item.id for item in items]

    def _start(self, start: StartStep) -> None:
        self._bodies[start.path] = self._loop.create_task(self._body(start))

    async def _body(self, start: StartStep) -> None:
        path, attempt = start.path, start.attempt
        try:
            recorded = () if attempt == 1 else await patiently(lambda: self._store.calls(self.task_id, str(path)))
            end = await self._run_body(BodyStart(start, self._claim, self._pinned, recorded, self._record))
        except asyncio.CancelledError:  # before the body began
            end = BodyEnd(cancelled=True)
        except Exception as error:  # noqa: BLE001  # a fault of ours must not leave the task waiting for ever
            telemetry.log.exception(telemetry.STEP_BROKE, task_id=str(self.task_id), path=str(path))
            message = f"agentplat failed to run the step ({type(error).__name__}); the worker's log has the details."
            end = BodyEnd(failure=Failure(code=FailureCode.AGENT_FAILED, message=message))
        settled: Outcome
        if end.cancelled:
            settled = StepCancelled(path=path, attempt=attempt, usage=end.usage)
        elif end.failure is not None:
            settled = StepFailed(path=path, attempt=attempt, failure=end.failure, usage=end.usage)
        else:
            settled = StepSucceeded(path=path, attempt=attempt, output=end.output, usage=end.usage)
        self._mailbox.put(settled)

    async def _record(self, row: CallRow) -> None:
        try:
            tenant = self._claim.tenant
            await self._writer.write(Write(lease=self._claim.lease, first_seq=0, calls=[row], tenant=tenant))
        except WriteRejected as error:
            message = f"The database refused what {row.kind} {row.name!r} gave: {error}"
            raise StepError(FailureCode.INVALID_OUTPUT, message, retryable=False) from None
        except Exception as error:  # noqa: BLE001
            # The lease is lost, or the store has a fault. The owner ends everything; the body must not take it for a
            # failure of its own.
            self._lost = error
            self.nudge()
            await asyncio.Event().wait()

    def _cancel(self, path: StepPath) -> None:
        body = self._bodies.get(path)
        if body is None:
            return
        body.cancel()
        self._loop.call_later(CANCEL_GRACE, self._give_up, path)

    def _give_up(self, path: StepPath) -> None:
        execution = self._state.executions.get(path)
        if execution is None or execution.phase is not Phase.CANCELLING:
            return
        telemetry.log.warning(telemetry.STEP_ABANDONED, task_id=str(self.task_id), path=str(path))
        self._mailbox.put(StepCancelled(path=path, attempt=execution.attempt))

    async def _end_bodies(self) -> None:
        running = [body for body in (*self._bodies.values(), *self._children.recalled.values()) if not body.done()]
        for body in running:
            body.cancel()
        if running:
            await asyncio.wait(running, timeout=CANCEL_GRACE)
