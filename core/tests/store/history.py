"""One history of the state machine: what has happened so far, and how each move is made and compared with the model."""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from dataclasses import replace
from typing import Any, Literal, TypeVar, cast
from uuid import UUID

from agentplat.contracts.store import (
    CallRow,
    Committed,
    End,
    InboxItem,
    Lost,
    Rejected,
    Store,
    Write,
    WriteResult,
)
from agentplat.domain.events import (
    BlockStarted,
    CancelRequested,
    Event,
    SignalReceived,
    StepStarted,
    StepSucceeded,
    TaskClaimed,
    TaskFinished,
)
from agentplat.domain.ids import ExecutionId, TaskId, WorkerId
from agentplat.domain.usage import Usage
from agentplat.store.columns import microseconds

from .comparing import compare, promise
from .making import STEP
from .playing import CLOSINGS, Owner, Part, World
from .promises import Book, Verdict

T = TypeVar("T")
REFUSED = Usage(cost=-1)  # by a check of both databases


class History:
    """What has happened so far, and what every move does."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.book = Book()
        self.workers: list[WorkerId] = []  # the latest first, also those that are gone
        self.owners: list[Owner] = []  # likewise
        self.made = 0
        world.histories += 1
        world.beside.clear()
        self.sight = world.beside.look()
        self.clocks = [self.sight.now]

    @property
    def store(self) -> Store:
        """Of two processes now one, now the other."""
        return self.world.stores[self.book.moment % 2]

    def play(self, call: Coroutine[Any, Any, T] | None = None) -> T | None:
        """What `call` gives; the database is looked at after it."""
        self.book.moment += 1
        self.world.moments += 1
        result = None if call is None else self.world.runner.run(call)
        self.sight = self.world.beside.look()
        self.clocks.append(self.sight.now)
        return result

    def compare(self) -> None:
        compare(self.book, self.sight, self.clocks)

    def number(self) -> int:
        """Never the same again, so that whatever is made with it is known by it."""
        self.made += 1
        return (self.world.histories << 32) + self.made

    def struck(self, what: str, times: int = 1) -> None:
        self.world.struck[what] += times

    def worker(self, number: int, ended_first: bool = False) -> WorkerId:
        """Those that live first, then those whose lease has ended, then those that are gone; of each the latest."""
        known = self.book.workers
        ranked = sorted(self.workers, key=lambda worker: (worker not in known, known.get(worker, True) ^ ended_first))
        return ranked[number % len(ranked)]

    def owner(self, number: int) -> Owner:
        """Those that own first, then those that have lost their lease; the latest first of each."""
        ranked = sorted(self.owners, key=lambda owner: not self.book.holds(owner.lease))
        return ranked[number % len(ranked)]

    def task_id(self, number: int) -> TaskId:
        """Poisoned ones first, then those that are open, then those that have ended; the latest first of each."""
        latest = list(self.book.tasks.values())[::-1]
        ranked = sorted(latest, key=lambda entry: (entry.end is not None, not entry.is_poisoned))
        return ranked[number % len(ranked)].task.id

    # --- writes --------------------------------------------------------------------------------------------

    def write_all(self, writes: Sequence[Write], spoiled: set[TaskId]) -> Sequence[Verdict]:
        results = self.play(self.store.commit(writes)) or ()
        verdicts = self.book.commit(writes, spoiled)
        for write, result, verdict in zip(writes, results, verdicts, strict=True):
            self.struck(f"a write is {verdict.what}")
            self._check(write, result, verdict)
        pairs = zip(results, verdicts, strict=True)
        times = {result.at for result, verdict in pairs if isinstance(result, Committed) and verdict.what == "kept"}

        whole = not any(verdict.what == "refused" for verdict in verdicts)
        promise(len(times) <= 1 or not whole, f"one commit was at {times}")
        self.compare()
        return verdicts

    def _check(self, write: Write, result: WriteResult, verdict: Verdict) -> None:
        kind = {"kept": Committed, "known": Committed, "lost": Lost, "refused": Rejected}[verdict.what]
        promise(type(result) is kind, f"{write} came to {result}, wanted {verdict}")
        if isinstance(result, Committed):
            promise(result.wake == verdict.wake, f"{write} came to {result}, wanted {verdict}")
            began, ended = self.clocks[-2], self.clocks[-1]
            if verdict.what == "known":
                promise(verdict.at in (None, result.at), f"{write} was kept at {verdict.at}, not {result.at}")
            else:
                promise(began <= microseconds(result.at) <= ended, f"{write} was not kept at {result.at}")
                journal = self.book.tasks[write.lease.task_id].journal
                for entry in journal[len(journal) - len(write.events) :]:
                    entry.at = result.at

    def learn(self, owner: Owner, write: Write, verdict: Verdict) -> None:
        if verdict.what in ("kept", "known") and write.events:
            owner.end = write.first_seq - 1 + len(write.events)
        if verdict.what == "kept":
            owner.read = [item for item in owner.read if item.id not in write.taken]

    def write_of(self, owner: Owner, part: Part) -> Write:
        lease, end = owner.lease, owner.end
        true_end = len(self.book.tasks[lease.task_id].journal)
        first = {"known": end + 1, "true": true_end + 1, "before": max(true_end, 1), "behind": true_end + 2}[part.place]
        if part.forged == "worker":
            lease = replace(lease, worker_id=WorkerId(UUID(int=self.number())))
        elif part.forged == "fence":
            lease = replace(lease, fence=lease.fence + 1)
        items = owner.read if "told" in part.events else ()
        events = [told(item) for item in items]
        events += [self.event(word, owner) for word in part.events if word != "told"]
        write = Write(
            lease=lease,
            first_seq=first,
            events=events,
            taken=[item.id for item in items],
            under_way=part.under_way,
            tenant="north",
            calls=[self._call(owner, number) for number in range(part.calls)],
            usage=REFUSED if part.spoiled else Usage(input_tokens=self.number(), cost=3) if part.calls == 1 else None,
        )
        if isinstance(CLOSINGS[part.closing], End):
            return ending(write, part.closing)
        return replace(write, closing=CLOSINGS[part.closing])

    def event(self, word: str, owner: Owner | None) -> Event:
        number = self.number()
        if owner is None or word == "block":
            return BlockStarted(path=STEP, input=number)
        if word == "claimed":
            return TaskClaimed(fence=owner.lease.fence, worker=str(owner.lease.worker_id))
        if word == "started":
            owner.attempt += 1
            execution = ExecutionId(UUID(int=number))
            return StepStarted(path=STEP, execution_id=execution, attempt=owner.attempt, try_number=1, input=None)
        return StepSucceeded(path=STEP, attempt=owner.attempt, output={"number": number})

    def _call(self, owner: Owner, number: int) -> CallRow:
        """The latest call once more, as it is when it has finished, or the next one."""
        owner.calls += number != 1
        status: Literal["started", "finished"] = "finished" if number == 1 else "started"
        content = {"number": self.number()}
        return CallRow(
            path="step", try_number=1, number=owner.calls, kind="tool", name="look", status=status, content=content
        )


def told(item: InboxItem) -> Event:
    if item.kind == "cancel":
        return CancelRequested(reason=str(item.payload))
    return SignalReceived(name=item.name, payload=item.payload, key=item.key)


def ending(write: Write, closing: str) -> Write:
    end = cast(End, CLOSINGS[closing])
    finished = TaskFinished(status=end.status.value, output=end.output, failure=end.failure)
    return replace(write, events=[*write.events, finished], closing=end)
