"""Workers and what they own: the worker's row, claims, the inbox of owned tasks."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Select, Text, cast, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from agentplat.contracts.store import Claim, InboxItem, WorkerRow
from agentplat.contracts.stored.children import Parent
from agentplat.domain.errors import SchemaOutdated
from agentplat.domain.events import Recorded
from agentplat.domain.ids import TaskId, WorkerId
from agentplat.domain.task import Lease
from agentplat.store.columns import clock
from agentplat.store.database import Transaction
from agentplat.store.script import Bound, Round, Script, bound
from agentplat.store.tables import EVERY_TENANT, inbox, queue, workers
from agentplat.store.transactions.prepared import dialect_of, prepared
from agentplat.store.transactions.rows import AnyRow, inbox_item, parent_of, recorded


async def register(transaction: Transaction, worker: WorkerRow, lease_seconds: float) -> None:
    """The worker has a row from now on, and may claim."""
    values = {
        "tenant_id": EVERY_TENANT,
        "host": worker.host,
        "pid": worker.pid,
        "version": worker.version,
        "capacity": worker.capacity,
        "plugins": worker.plugins,
        "queues": list(worker.queues),
        "started_at": clock(),
        "lease_until": clock(),
    }
    dialect = postgresql if dialect_of(transaction) == "postgresql" else sqlite
    statement = dialect.insert(workers).values(id=worker.id, **values)
    await transaction.connection.execute(statement.on_conflict_do_update(index_elements=["id"], set_=values))
    await renew(transaction, worker.id, lease_seconds)


async def renew(transaction: Transaction, worker_id: WorkerId, lease_seconds: float) -> bool:
    """False when the row is gone."""
    result = await transaction.connection.execute(
        prepared("renew_worker", dialect_of(transaction)), {"worker_id": worker_id, "lease_seconds": lease_seconds}
    )
    return result.rowcount == 1


_EVERY_TENANT = 2**31
_MOST_EVENTS = 100
"""Of each journal in a claim: most are shorter. All of many long ones would be the memory and the time of one round."""
_MOST_ITEMS = 1000
_MOST_TEXT = 8 * 1024 * 1024
"""Of one inbox at one time. All of one that was told a lot would be more than its owner's memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What one claim asks for. `suspects`: one of those that have to run alone."""

    worker_id: WorkerId
    claim_id: UUID
    queue: str
    limit: int
    suspects: bool

    @property
    def owned(self) -> dict[str, Any]:
        return {"worker_id": self.worker_id, "claim_id": self.claim_id}

    @property
    def values(self) -> dict[str, Any]:
        return {**self.owned, "queue": self.queue, "limit": self.limit}


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a claim gave. `chooses`: there is something to choose, so that it gave nothing that would have to be chosen.

    `limits` and `rates` say whether there are any; None where nobody looked. Of a claim that took long on the server or
    that was made nearby, `reached` is the latest time of what it took of each priority, and `at` when it looked. Of one
    that chose and took long, `oldest` is a time before which nothing claimable of the queue was due.
    """

    claims: Sequence[Claim]
    chooses: bool = False
    limits: bool | None = None
    rates: bool = False
    took: float = 0.0
    reached: Mapping[int, datetime] = field(default_factory=dict)
    at: datetime | None = None
    oldest: datetime | None = None


_SLOW, _EACH = 0.001, 0.00004  # seconds on the server, and for each task: a claim that takes less needs not be spared
_SLOW_CHOICE, _EACH_CHOICE = 0.004, 0.00016  # of a claim that chooses
_SHARE = 100  # of the time, looks from the start may take the hundredth part
_LONGEST = 15.0  # seconds, all the same, between two of them
_BACK = timedelta(seconds=0.5)  # what was submitted may be committed later than what was submitted after it
_EVER = datetime(1970, 1, 1, tzinfo=UTC)
_STRETCHES = 16
_ALL = 2**31


@dataclass(slots=True)
class Front:
    """Where the claims of one queue stand in this process: what was before `since`, of each priority, is taken.

    Only while a look from the start is slow, which it is where dead rows cannot be removed. What comes to lie behind
    the front all the same, such as what a broken claim had in its hands, is found by the next look from the start.
    """

    tenant: str
    since: dict[int, datetime] = field(default_factory=dict)
    looked_at: datetime = _EVER  # from the start: nothing of other tenants or with a key was there
    full_at: float = 0.0  # by the process's own clock

    def look(self, found: Found, now: float) -> None:
        """After a look from the start."""
        self.looked_at = found.at - _BACK if found.at is not None else _EVER
        self.since |= {priority: at - _BACK for priority, at in found.reached.items()}
        self.full_at = now + min(found.took * _SHARE, _LONGEST)
        self._shorten()

    def advance(self, found: Found) -> None:
        """After a look nearby."""
        for priority, at in found.reached.items():
            self.since[priority] = max(self.since.get(priority, at - _BACK), at - _BACK)
        self._shorten()

    def _shorten(self) -> None:
        while len(self.since) > _STRETCHES:
            del self.since[min(self.since, key=self.since.__getitem__)]

    def stretches(self) -> Mapping[str, list[Any]]:
        """All priorities, from the highest on: the known ones from where they stand, those between them as a whole."""
        rows: list[tuple[int, int, datetime | None]] = []
        above = _ALL
        for priority in sorted(self.since, reverse=True):
            rows += [(priority + 1, above - 1, None), (priority, priority, self.since[priority])]
            above = priority
        rows.append((-_ALL, above - 1, None))
        least, most, since = zip(*[row for row in rows if row[0] <= row[1]], strict=True)
        return {"least": list(least), "most": list(most), "since": list(since)}


@dataclass(frozen=True, slots=True)
class Oldest:
    """Where claims that choose from one queue begin in this process: nothing claimable was due before `since`.

    Only while they are slow, and until `full_at`, as a front: a limit that holds an old task back holds it, too.
    """

    since: datetime = _EVER
    full_at: float = 0.0


def begins(oldest: Oldest | None, found: Found, now: float) -> Oldest | None:
    """After a claim that chose: None where one from the start was quick."""
    if found.oldest is None:
        return oldest
    full_at = oldest.full_at if oldest is not None else now + min(found.took * _SHARE, _LONGEST)
    return Oldest(found.oldest - _BACK, full_at)


def stands(front: Front | None, found: Found, now: float) -> Front | None:
    """After a look from the start: None where it was quick, or where nothing says yet where to look."""
    if not _is_slow(found.took, len(found.claims)) or (front is None and not found.claims):
        return None
    tenant = found.claims[0].tenant if found.claims else front.tenant if front is not None else ""
    if front is None or front.tenant != tenant:
        front = Front(tenant)
    front.look(found, now)
    return front


def _is_slow(took: float, number: int) -> bool:
    return took >= _SLOW + number * _EACH


def claim_plainly(again: bool, wanted: Wanted, *, far: bool) -> Script[Found]:
    """Where there is nothing to choose; on PostgreSQL in one round, and on SQLite with the choice."""
    found = yield from _unheard(again, wanted)
    if found is not None:
        return found
    name = "claim_suspect" if wanted.suspects else "claim"
    if far:
        [asked], tasks, events = yield Round([bound(name, **wanted.values), *_reading(wanted)], last=True)
        claims = _claims(wanted.worker_id, tasks, events)
        if wanted.suspects or not _is_slow(asked.took, len(claims)):
            return Found(claims=claims, chooses=asked.chooses)
        return Found(claims=claims, chooses=asked.chooses, took=asked.took, reached=_reached(tasks), at=asked.at)
    [[choice]] = yield Round([bound("choice", queue=wanted.queue)])
    if choice.suspects if wanted.suspects else choice.chooses:
        return (yield from _choose_here(wanted))
    _, tasks, events = yield Round([bound(name, **wanted.values), *_reading(wanted)], last=True)
    return Found(claims=_claims(wanted.worker_id, tasks, events))


def claim_nearby(again: bool, wanted: Wanted, front: Front) -> Script[Found]:
    """What is at the front, where there is nothing to choose; on PostgreSQL."""
    found = yield from _unheard(again, wanted)
    if found is not None:
        return found
    seen = {"tenant_id": front.tenant, "looked_at": front.looked_at}
    nearby = bound("claim_nearby", **wanted.values, **seen, **front.stretches())
    [asked], tasks, events = yield Round([nearby, *_reading(wanted)], last=True)
    claims = _claims(wanted.worker_id, tasks, events)
    return Found(claims=claims, chooses=asked.chooses, took=asked.took, reached=_reached(tasks))


def claim_by_choice(again: bool, wanted: Wanted, oldest: Oldest | None) -> Script[Found]:
    """Under the locks of those who choose, on PostgreSQL. See `sql/claim_fairly.sql`."""
    found = yield from _unheard(again, wanted)
    if found is not None:
        return found
    turn = bound("take_turn", queue=wanted.queue, claim_id=wanted.claim_id)
    since = {"since": (oldest or Oldest()).since, "slow": _SLOW_CHOICE, "each": _EACH_CHOICE}
    choosing = bound("claim_suspect" if wanted.suspects else "claim_fairly", **wanted.values, **since)
    held, chosen, *_, tasks, events = yield Round([turn, choosing, *_counting(wanted), *_reading(wanted)], last=True)
    found = Found(claims=_claims(wanted.worker_id, tasks, events), limits=held[0].limits, rates=held[0].rates)
    return found if wanted.suspects else replace(found, took=chosen[0].took, oldest=chosen[0].oldest)


def _choose_here(wanted: Wanted) -> Script[Found]:
    """The same on SQLite, where nobody comes between."""
    [held] = yield Round([bound("take_turn", queue=wanted.queue, claim_id=wanted.claim_id)])
    if wanted.suspects:
        chosen = [bound("claim_suspect", **wanted.values)]
    else:
        rows: Sequence[AnyRow] = ()
        for tenants in (wanted.limit, _EVERY_TENANT):
            asked = {"worker_id": wanted.worker_id, "queue": wanted.queue, "limit": wanted.limit, "tenants": tenants}
            [rows] = yield Round([bound("choose_fairly", **asked)])
            if rows:
                break
        chosen = [bound("claim_chosen", task_ids=[row.task_id for row in rows], **wanted.owned)]
        if rows:
            last = {"tenant_id": rows[-1].tenant_id, "remaining": rows[-1].remaining}
            chosen.append(bound("pass_turn", queue=wanted.queue, **last))
    *_, tasks, events = yield Round([*chosen, *_counting(wanted), *_reading(wanted)], last=True)
    claims = _claims(wanted.worker_id, tasks, events)
    return Found(claims=claims, limits=held[0].limits, rates=held[0].rates)


def _unheard(again: bool, wanted: Wanted) -> Script[Found | None]:
    """What an earlier attempt gave that was committed without our hearing of it: found by the claim's id."""
    if not again:
        return None
    tasks, events = yield Round(_reading(wanted))
    if not tasks:
        return None
    yield Round([], last=True)
    return Found(claims=_claims(wanted.worker_id, tasks, events))


def _reading(wanted: Wanted) -> list[Bound]:
    return [Bound("claimed_tasks", wanted.owned), Bound("claimed_journals", {**wanted.owned, "most": _MOST_EVENTS})]


def _counting(wanted: Wanted) -> list[Bound]:
    return [Bound("count_starts", wanted.owned), Bound("forget_starts"), Bound("note_limits", wanted.owned)]


def _reached(tasks: Sequence[AnyRow]) -> Mapping[int, datetime]:
    reached: dict[int, datetime] = {}
    for task in tasks:
        reached[task.priority] = max(task.run_at, reached.get(task.priority, task.run_at))
    return reached


def _claims(worker_id: WorkerId, tasks: Sequence[AnyRow], events: Sequence[AnyRow]) -> Sequence[Claim]:
    """In the order in which they were due. One that a newer version wrote to is no reason to claim none."""
    journals: dict[UUID, list[Recorded]] = {task.id: [] for task in tasks}
    unreadable: dict[UUID, str] = {}
    parents: dict[UUID, Parent] = {}
    for event in events:
        try:
            journals[event.task_id].append(recorded(event))
        except SchemaOutdated as error:
            unreadable[event.task_id] = error.detail
    for task in tasks:
        try:
            if task.parent_id is not None:
                parents[task.id] = parent_of(task)
        except SchemaOutdated as error:
            unreadable[task.id] = error.detail
    due = sorted(tasks, key=lambda task: (-task.priority, task.run_at, task.id))
    return [
        Claim(
            lease=Lease(TaskId(task.id), task.fence, worker_id),
            tenant=task.tenant_id,
            type=task.type,
            definition=task.definition,
            trace_id=task.trace_id,
            parent_span=task.parent_span,
            submitted_at=task.created_at,
            now=task.now,
            journal=journals[task.id],
            is_whole=len(journals[task.id]) < _MOST_EVENTS,
            user_hash=task.user_hash,
            queue=task.queue,
            priority=task.priority,
            wake=task.wake,
            suspect=task.suspect,
            parent=parents.get(task.id),
            unreadable=unreadable.get(task.id),
        )
        for task in due
    ]


def disown(worker_id: WorkerId, known: Collection[TaskId]) -> Script[Sequence[TaskId]]:
    """What this worker owned without knowing it; nobody owns it any more."""
    [rows] = yield Round([bound("disown", worker_id=worker_id, known=list(known))], last=True)
    return [TaskId(row.task_id) for row in rows]


async def woken(transaction: Transaction, worker_id: WorkerId) -> Sequence[TaskId]:
    """The tasks of this worker that were told something which nobody has read."""
    statement = select(queue.c.task_id).where(queue.c.worker_id == worker_id, queue.c.wake)
    return [TaskId(task_id) for task_id in (await transaction.connection.execute(statement)).scalars()]


async def read_inbox(transaction: Transaction, leases: Sequence[Lease]) -> Sequence[InboxItem]:
    """Under the locks of the rows, so that nothing arrives between the look and the change of the mark.

    The mark stays where there is more than is read at one time: its owner looks again when it has accounted for that.
    Only for leases that hold: a worker that has lost one must not clear the mark that is meant for the next owner.
    """
    execute = transaction.connection.execute
    items: list[InboxItem] = []
    for task_id in sorted(await _held(transaction, leases)):
        rows = (await execute(_unread(task_id))).all()
        more = bool(rows) and rows[0].there > len(rows)
        await execute(update(queue).where(queue.c.task_id == task_id, queue.c.wake != more).values(wake=more))
        items += map(inbox_item, rows)
    return items


def _unread(task_id: UUID) -> Select[Any]:
    """What of an inbox is read at one time, at least one item, with the number of those that it was chosen from."""
    first = select(inbox).where(inbox.c.task_id == task_id).order_by(inbox.c.number).limit(_MOST_ITEMS + 1).subquery()
    size = func.length(cast(first.c.payload, Text))
    before = func.sum(size).over(order_by=first.c.number) - size
    sized = select(first, before.label("before"), func.count().over().label("there")).subquery()
    return select(sized).where(sized.c.before < _MOST_TEXT).order_by(sized.c.number).limit(_MOST_ITEMS)


async def _held(transaction: Transaction, leases: Sequence[Lease]) -> list[UUID]:
    values: dict[str, Any] = {"task_ids": sorted(lease.task_id for lease in leases)}
    rows = await transaction.connection.execute(prepared("lock_tasks", dialect_of(transaction)), values)
    by_id = {row.task_id: (row.fence, row.worker_id) for row in rows}
    return [lease.task_id for lease in leases if by_id.get(lease.task_id) == (lease.fence, lease.worker_id)]
