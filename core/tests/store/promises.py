"""What the store promises, as a model without a database: what each call gives, and what everybody sees afterwards.

Time is a count of moments, one a call. `Book` says of each task since which moment it may be claimed; which of two is
older within one moment only the database's clock can tell, so the caller hands in what it reads there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Literal

from agentplat.contracts.store import CallRow, End, InboxItem, Keep, NewTask, Park, Release, Write
from agentplat.domain.events import CancelRequested, Event, SignalReceived, StepSucceeded, TaskClaimed, TaskSubmitted
from agentplat.domain.failure import Failure
from agentplat.domain.ids import TaskId, WorkerId
from agentplat.domain.json import JsonObject
from agentplat.domain.task import Lease, TaskState
from agentplat.domain.usage import NO_USAGE, Usage

Due = Literal["now", "later", "never"]
CallKey = tuple[str, int, int]
CRASHES = 3


@dataclass
class Entry:
    """An event in a journal. `at` is what the store said; None where it said nothing."""

    fence: int
    event: Event
    at: object = None


@dataclass
class TaskEntry:
    """One task. The fields from `worker` to `reason` are of its queue row, and say nothing when it has ended."""

    task: NewTask
    since: int  # the moment from which on it may be claimed, or its timer runs
    changed: int  # the last moment at which a watcher has to look
    due: Due = "now"
    worker: WorkerId | None = None
    fence: int = 0
    ready: bool = True
    wake: bool = False
    under_way: bool = False
    suspect: bool = False
    crashes: int = 0
    reason: str | None = None
    cancel_requested: bool = False
    end: End | None = None
    usage: Usage = NO_USAGE
    journal: list[Entry] = field(default_factory=list)
    inbox: list[InboxItem] = field(default_factory=list)
    calls: dict[CallKey, CallRow] = field(default_factory=dict)

    @property
    def is_poisoned(self) -> bool:
        return self.end is None and self.crashes >= CRASHES

    @property
    def status(self) -> TaskState:
        if self.end is not None:
            return self.end.status
        if self.worker is not None:
            return TaskState.RUNNING
        return TaskState.PENDING if self.ready or self.is_poisoned else TaskState.WAITING

    @property
    def output(self) -> JsonObject | None:
        return self.end.output if self.end else None

    @property
    def failure(self) -> Failure | None:
        return self.end.failure if self.end else None

    def holds(self, lease: Lease) -> bool:
        return self.end is None and (self.fence, self.worker) == (lease.fence, lease.worker_id)

    def knows(self, item: InboxItem) -> bool:
        """Whether an item of its key came before, read or not."""
        events = [entry.event for entry in self.journal]
        if item.kind == "cancel" and any(isinstance(event, CancelRequested) for event in events):
            return True
        taken = {event.key for event in events if isinstance(event, SignalReceived)}
        return item.key in taken or any(each.key == item.key for each in self.inbox)


@dataclass(frozen=True)
class Verdict:
    """What becomes of a write: it is kept; it is known, having been kept at `at`; it is lost; or it is refused."""

    what: Literal["kept", "known", "lost", "refused"]
    at: object = None
    wake: bool = False


@dataclass(frozen=True)
class Sweep:
    workers: set[WorkerId]
    returned: int
    woken: int
    poisoned: Sequence[Lease]
    next: Literal["lease", "timer"] | None


@dataclass
class Book:
    """All tasks and workers, and the moment that it is."""

    moment: int = 0
    tasks: dict[TaskId, TaskEntry] = field(default_factory=dict)
    workers: dict[WorkerId, bool] = field(default_factory=dict)  # whether its lease has ended
    keys: dict[tuple[str, str], tuple[TaskId, str | None]] = field(default_factory=dict)

    def _open(self) -> Iterable[TaskEntry]:
        return (entry for entry in self.tasks.values() if entry.end is None)

    # submission

    def submit(self, new: Sequence[NewTask]) -> Sequence[tuple[TaskId, bool]] | None:
        """The task of each, and whether it is a new one; None when a key stands for another body: nothing is kept."""
        keys = dict(self.keys)
        found: list[tuple[TaskId, bool]] = []
        for task in new:
            if task.idempotency_key is None:
                found.append((task.id, True))
                continue
            first, body = keys.setdefault((task.tenant, task.idempotency_key), (task.id, task.fingerprint))
            if body != task.fingerprint:
                return None
            found.append((first, first == task.id))
        self.keys = keys
        for task, (_, created) in zip(new, found, strict=True):
            if created:
                entry = TaskEntry(task, self.moment, self.moment, due="later" if task.delay else "now")
                entry.journal.append(Entry(0, TaskSubmitted(type=task.type, input=task.input)))
                self.tasks[task.id] = entry
        return found

    # workers

    def register(self, worker: WorkerId) -> None:
        self.workers[worker] = False

    def expire(self, worker: WorkerId) -> None:
        """Its lease runs out. What it owns stays its own."""
        if worker in self.workers:
            self.workers[worker] = True

    def renew(self, worker: WorkerId) -> bool:
        if worker not in self.workers:
            return False
        self.workers[worker] = False
        return True

    def remove(self, worker: WorkerId, *, dead: bool, blame: TaskId | None = None) -> int:
        """How many tasks were returned."""
        self.workers.pop(worker, None)
        owned = [entry for entry in self._open() if entry.worker == worker]
        for entry in owned:
            blamed = entry.task.id == blame
            died = dead and entry.under_way
            entry.crashes += blamed or (died and entry.suspect)
            entry.suspect = entry.suspect or died or blamed
            entry.ready = entry.crashes < CRASHES
            entry.worker, entry.under_way = None, False
            entry.wake = entry.wake or bool(entry.inbox)
            entry.due, entry.since = "now", self.moment
        return len(owned)

    def claim(
        self,
        worker: WorkerId,
        limit: int,
        queues: Sequence[str],
        run_at: Callable[[TaskId], int],
        *,
        suspects: bool = False,
    ) -> Sequence[TaskEntry]:
        """What the worker gets, in this order: by its queues, then by priority and age."""
        if self.workers.get(worker, True):
            return ()
        found: list[TaskEntry] = []
        for queue in queues:
            able = [e for e in self._open() if e.task.queue == queue and e.ready and e.due == "now"]
            able = [entry for entry in able if entry.suspect is suspects]
            able.sort(key=lambda entry: (-entry.task.priority, run_at(entry.task.id), entry.task.id))
            found += able[: limit - len(found)]
        for entry in found:
            entry.worker, entry.ready, entry.under_way, entry.reason = worker, False, False, None
            entry.fence += 1
        return found

    def woken(self, worker: WorkerId) -> set[TaskId]:
        return {entry.task.id for entry in self._open() if entry.worker == worker and entry.wake}

    def read(self, leases: Sequence[Lease]) -> Sequence[InboxItem]:
        held = {lease.task_id for lease in leases if self.holds(lease)}
        for task_id in held:
            self.tasks[task_id].wake = False
        return [item for task_id in sorted(held) for item in self.tasks[task_id].inbox]

    def holds(self, lease: Lease) -> bool:
        entry = self.tasks.get(lease.task_id)
        return entry is not None and entry.holds(lease)

    # from outside

    def tell(self, item: InboxItem) -> bool | None:
        """None: there is no such task, or it is over."""
        entry = self.tasks.get(item.task_id)
        if entry is None or entry.end is not None:
            return None
        if entry.knows(item):
            return False
        entry.inbox.append(item)
        entry.wake = True
        hurried = item.kind == "cancel" and entry.due == "later"
        if entry.worker is None and (not entry.ready or hurried):
            entry.due, entry.since = "now", self.moment
        entry.ready = entry.ready or (entry.worker is None and entry.crashes < CRASHES)
        if item.kind == "cancel":
            entry.cancel_requested, entry.changed = True, self.moment
        return True

    def let_time_pass(self) -> None:
        """Every delay is over and every timer due; leases go on."""
        for entry in self._open():
            if entry.due == "later" and entry.worker is None:
                entry.due, entry.since = "now", self.moment

    def sweep(self) -> Sweep:
        dead = {worker for worker, has_ended in self.workers.items() if has_ended}
        returned = sum(self.remove(worker, dead=True) for worker in dead)
        woken = 0
        for entry in self._open():
            if entry.worker is not None or entry.ready or entry.crashes >= CRASHES:
                continue
            if entry.due == "now":
                entry.ready, woken = True, woken + 1
            elif entry.inbox:
                entry.ready, entry.wake, woken = True, True, woken + 1
                entry.due, entry.since = "now", self.moment
        poisoned = sorted(entry.task.id for entry in self._open() if entry.is_poisoned)
        later = any(e.due == "later" for e in self._open() if e.worker is None and not e.is_poisoned)
        return Sweep(
            workers=dead,
            returned=returned,
            woken=woken,
            poisoned=[Lease(task_id, self.tasks[task_id].fence, None) for task_id in poisoned],
            next="lease" if self.workers else "timer" if later else None,
        )

    # the journal

    def commit(self, writes: Sequence[Write], spoiled: AbstractSet[TaskId] = frozenset()) -> Sequence[Verdict]:
        """`spoiled`: tasks whose write has values that no database keeps."""
        return [self._commit(write, write.lease.task_id in spoiled) for write in writes]

    def _commit(self, write: Write, is_spoiled: bool) -> Verdict:
        entry = self.tasks.get(write.lease.task_id)
        if entry is None:
            return Verdict("lost")
        follows = not write.events or write.first_seq == len(entry.journal) + 1
        if not entry.holds(write.lease) or not follows:
            return _known(entry, write) or Verdict("lost")
        if is_spoiled:
            return Verdict("refused")
        wake = entry.wake
        self._keep(entry, write)
        return Verdict("kept", wake=wake)

    def _keep(self, entry: TaskEntry, write: Write) -> None:
        owned = write.lease.worker_id is not None
        entry.fence += not owned
        entry.journal += [Entry(entry.fence, event) for event in write.events]
        entry.calls.update({(call.path, call.try_number, call.number): call for call in write.calls})
        entry.inbox = [item for item in entry.inbox if item.id not in write.taken]
        said = entry.under_way if write.under_way is None else write.under_way
        entry.under_way = said and owned and isinstance(write.closing, Keep)
        if write.usage is not None:
            entry.usage = write.usage
        if any(isinstance(event, StepSucceeded) for event in write.events):
            entry.suspect, entry.crashes = False, 0
        match write.closing:
            case End() as end:
                entry.end, entry.inbox = end, []
            case Park(wake_after=after) if not entry.wake:
                due: Due = "never" if after is None else "later" if after else "now"
                self._give_back(entry, ready=False, due=due, reason=None)
            case Park():
                self._give_back(entry, ready=True, due="now", reason=None)
            case Release(delay=delay, reason=reason):
                self._give_back(entry, ready=True, due="later" if delay else "now", reason=reason)
        claimed = any(isinstance(event, TaskClaimed) for event in write.events)
        if claimed or write.usage is not None or not isinstance(write.closing, Keep):
            entry.changed = self.moment

    def _give_back(self, entry: TaskEntry, *, ready: bool, due: Due, reason: str | None) -> None:
        entry.worker, entry.ready, entry.due, entry.reason = None, ready, due, reason
        entry.wake = entry.wake or (ready and bool(entry.inbox))
        entry.since = self.moment


def _known(entry: TaskEntry, write: Write) -> Verdict | None:
    """That an owner's write was kept before: nobody else can have written the same under its fence."""
    if not write.events or write.lease.worker_id is None:
        return None
    place = entry.journal[write.first_seq - 1 : write.first_seq - 1 + len(write.events)]
    if [(each.fence, each.event) for each in place] != [(write.lease.fence, event) for event in write.events]:
        return None
    return Verdict("known", at=place[-1].at, wake=entry.end is None and entry.wake)
