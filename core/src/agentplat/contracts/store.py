"""What the engine needs from a database. Not an extension point: the two implementations are `agentplat.store`.

Every write about a claimed task carries its Lease and happens under the lock of its queue row. Times are the
database's. An implementation raises StoreUnavailable when the database does not answer, and SchemaOutdated at `open`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol, TypeAlias
from uuid import UUID

from agentplat.contracts.hints import Hint
from agentplat.contracts.interface import CostSummary, TaskFilter
from agentplat.contracts.limits import Limit, LimitRow
from agentplat.contracts.stored.children import Parent
from agentplat.contracts.stored.retention import Retention, Upkept
from agentplat.contracts.why import Standing
from agentplat.domain.events import Event, Recorded, encode, value
from agentplat.domain.failure import Failure
from agentplat.domain.ids import TaskId, WorkerId
from agentplat.domain.json import JsonObject, JsonValue, dumps
from agentplat.domain.task import Lease, TaskState
from agentplat.domain.usage import NO_USAGE, Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTask:
    """A task to be inserted, with its queue row, its TaskSubmitted event and its audit row, in one transaction.

    `history` is what it takes over from the journal of another task: the events that follow the first one.
    """

    id: TaskId
    tenant: str
    type: str
    input: JsonObject
    trace_id: str
    parent_span: str | None = None
    user_hash: str | None = None
    definition: str | None = None  # hash of a row of `definitions`
    retry_of: TaskId | None = None
    forked_from: TaskId | None = None
    parent: Parent | None = None  # of those that come with a Write
    history: Sequence[Event] = ()
    queue: str = "default"
    concurrency_key: str | None = None  # limits of its tenant may name it
    concurrency_limit: int | None = None  # what its workflow says of that key
    priority: int = 0  # higher first
    delay: float = 0.0  # seconds
    run_at: datetime | None = None  # or when; what has been is now
    idempotency_key: str | None = None
    fingerprint: str | None = None  # of the body; set with the key
    actor: str = "anonymous"  # for the audit row: never an e-mail


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    hash: str
    name: str
    version: str | None
    document: JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitted:
    task_id: TaskId
    created: bool  # False: the idempotency key was known, this is the first task
    at: datetime | None = None  # when it was created, if that is known without reading it


@value
class Claim:
    lease: Lease
    tenant: str
    type: str
    definition: str | None
    trace_id: str
    parent_span: str | None
    submitted_at: datetime
    now: datetime  # the database's clock at the claim
    journal: Sequence[Recorded]
    is_whole: bool = True  # False: `journal` is only the beginning of it
    user_hash: str | None = None
    queue: str = "default"
    priority: int = 0
    wake: bool = False  # the inbox has something
    suspect: bool = False  # its last worker died with a step under way: run it alone
    parent: Parent | None = None
    unreadable: str | None = None  # why this version cannot work on it: give it back, and read nothing of it


@dataclass(frozen=True, slots=True, kw_only=True)
class InboxItem:
    """What others told a task. `key` is unique per task: of several with one key the first one in wins."""

    id: UUID
    task_id: TaskId
    kind: Literal["cancel", "signal"]
    key: str
    name: str  # the signal's name; empty for a cancel
    payload: JsonValue


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRow:
    """One recorded model or tool call. The key is (task, path, try, number)."""

    path: str
    try_number: int
    number: int
    kind: Literal["model", "tool"]
    name: str
    status: Literal["started", "finished"]
    content: JsonObject  # fingerprint, output, usage, ... as the engine writes them
    usage: Usage = NO_USAGE


@dataclass(frozen=True, slots=True, kw_only=True)
class Keep:
    """The lease goes on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Park:
    """Give the lease back and wait: for a wake-up, or `wake_after` seconds at most."""

    wake_after: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """Give the lease back; claimable again after `delay` seconds. `reason` says why, for people."""

    delay: float = 0.0
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """The task is over: the queue row is deleted, the task row gets its last values, an audit row is written."""

    status: TaskState
    output: JsonObject | None
    failure: Failure | None
    actor: str = "worker"


Closing: TypeAlias = Keep | Park | Release | End


@value
class Write:
    """All that one task has to say in one commit."""

    lease: Lease
    first_seq: int  # of `events`; the journal must end at first_seq - 1. Without events it says nothing
    events: Sequence[Event] = ()
    calls: Sequence[CallRow] = ()
    taken: Sequence[UUID] = ()  # inbox items that `events` account for; deleted
    usage: Usage | None = None  # the task's totals so far, when they changed
    under_way: bool | None = None  # whether a step is under way after this write; None: as before it
    closing: Closing = Keep()
    tenant: str | None = None  # of the task, where the writer knows it; else it is read
    clears: bool | None = None  # whether it ends suspicion; None: as its events say. Only a suspect's owner need ask
    children: Sequence[NewTask] = ()  # that `events` dispatch: inserted with them
    definitions: Sequence[Definition] = ()  # that only these children are pinned to
    is_child: bool | None = None  # whether its end has to be told to a parent; None: it is looked up
    outcome: str | None = None  # JSON text that the parent is told in place of its output
    _encoded: Sequence[tuple[str, str]] | None = field(default=None, init=False, repr=False, compare=False)

    @property
    def encoded(self) -> Sequence[tuple[str, str]]:
        """Kind and JSON text of each event, made once. Raises TypeError or ValueError for what cannot be kept."""
        if self._encoded is None:
            texts = [(kind, dumps(content)) for kind, content in map(encode, self.events)]
            object.__setattr__(self, "_encoded", texts)
            return texts
        return self._encoded


@value
class Committed:
    """`at` is the time of the events. `wake` says that the inbox has something."""

    at: datetime
    wake: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """The lease was lost; nothing of this write was kept. `reason` is for the log."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """The database refused the values of this write; nothing of it was kept."""

    reason: str


WriteResult: TypeAlias = Committed | Lost | Rejected


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerRow:
    id: WorkerId
    host: str
    pid: int
    version: str
    capacity: int
    plugins: JsonObject
    queues: Sequence[str] = ()  # that it serves; empty: not said


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """What one sweep did. `poisoned`: unowned leases of tasks that crashed too often, to be ended by the caller."""

    workers: Sequence[WorkerId] = ()
    returned: int = 0
    woken: int = 0
    poisoned: Sequence[Lease] = ()
    next_expiry: float | None = None  # seconds until a lease ends, a timer is due, a delay is over or a rate has room
    schedules: bool = False  # whether the time of one has come: firing it is the caller's


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRow:
    """A task as the database has it, with the state of its queue row joined."""

    id: TaskId
    tenant: str
    type: str
    status: TaskState
    input: JsonObject
    output: JsonObject | None
    failure: Failure | None
    definition: str | None
    user_hash: str | None
    trace_id: str
    usage: Usage
    created_at: datetime
    updated_at: datetime
    cancel_requested: bool
    reason: str | None
    queue: str
    concurrency_key: str | None
    concurrency_limit: int | None
    priority: int
    retry_of: TaskId | None
    forked_from: TaskId | None
    parent: Parent | None
    fence: int | None  # of the queue row; None when terminal
    worker_id: WorkerId | None
    last_seq: int  # of the journal; 0 when it was not kept


class Store(Protocol):
    async def open(self) -> None:
        """Connect and check the schema. SQLite is migrated by the caller first; PostgreSQL must be current."""

    async def close(self) -> None: ...

    async def ping(self) -> None: ...

    # hints
    @property
    def hears(self) -> bool:
        """Whether hints of other processes arrive now, so that looking without one may be rare."""

    def subscribe(self, hear: Callable[[Hint], None]) -> Callable[[], None]:
        """`hear` is called, on the event loop, for each hint until what this returns is called. It must not block."""

    async def listen(self) -> None:
        """Pass on the hints of other processes, until cancelled. Returns at once where there is no way to hear them."""

    # submission
    async def submit(self, tasks: Sequence[NewTask], definitions: Sequence[Definition] = ()) -> Sequence[Submitted]:
        """All or nothing, one transaction. IdempotencyMismatch when a key is known with another fingerprint."""

    async def repeated(self, task: NewTask) -> Submitted | None:
        """The first task of its key and fingerprint, if there is one."""

    async def definition(self, hash: str) -> Definition:
        """NotFound for an unknown hash."""

    async def define(self, definition: Definition, tenant: str) -> None:
        """Keep a definition that no task names yet, for a while."""

    async def definitions_of(self, type: str, limit: int = 200) -> Sequence[tuple[Definition, datetime]]:
        """The newest definitions that tasks of that type were, or could be, pinned to, and since when they are kept."""

    # workers
    async def register_worker(self, worker: WorkerRow, lease_seconds: float) -> None: ...

    async def renew_worker(self, worker_id: WorkerId, lease_seconds: float) -> bool:
        """False when the row is gone: every lease of this worker is lost."""

    async def deregister_worker(self, worker_id: WorkerId) -> None:
        """Remove the row and make what it still owns claimable; nothing counts as a crash."""

    async def claim(self, worker_id: WorkerId, limit: int, *, queues: Sequence[str] = ("default",)) -> Sequence[Claim]:
        """At most `limit` tasks that nobody else has; none when the worker's row has expired.

        Queue by queue, fair between tenants by weight, then by priority and age. No limit is exceeded at any moment.
        """

    async def claim_suspect(self, worker_id: WorkerId, *, queues: Sequence[str] = ("default",)) -> Claim | None: ...

    async def disown(self, worker_id: WorkerId, known: Collection[TaskId]) -> Sequence[TaskId]:
        """Give back what this worker owns beside `known`, and return it: claims whose answers were lost."""

    async def woken(self, worker_id: WorkerId) -> Sequence[TaskId]:
        """The tasks of this worker whose inbox has something."""

    async def inbox(self, leases: Sequence[Lease]) -> Sequence[InboxItem]:
        """Of the tasks whose lease holds, by id, each in the order of arrival. Clears their mark, or there is more."""

    # limits
    async def set_limit(self, limit: Limit, actor: str) -> None:
        """In place of what was set for its tenant and key. Claims that are under way do not know it yet."""

    async def remove_limit(self, tenant: str, key: str, actor: str) -> bool:
        """False when there was none."""

    async def declare_limit(self, limit: Limit) -> None:
        """As a workflow says. What people have set for the key stays; what no task needs any more is forgotten."""

    async def limits(self, tenant: str | None = None, key: str | None = None) -> Sequence[LimitRow]:
        """By tenant and key; those of one tenant, or one of them, where it is named."""

    # the journal
    async def journal(self, task_id: TaskId, after: int = 0, limit: int | None = None) -> Sequence[Recorded]: ...

    async def journals(self, task_ids: Sequence[TaskId]) -> Mapping[TaskId, Sequence[Recorded]]: ...

    async def calls(self, task_id: TaskId, path: str | None = None, try_number: int | None = None) -> Sequence[CallRow]:
        """In the order of their numbers."""

    async def commit(self, writes: Sequence[Write]) -> Sequence[WriteResult]:
        """One transaction for all; one result per write. A lost lease costs only its own task.

        The end of a child is put into its parent's inbox with it; then the parent is woken.
        """

    # from outside
    async def tell(self, item: InboxItem) -> bool:
        """Put it into the inbox and wake the task; False when the key was known.

        NotFound, ConflictError when it is terminal, InboxFull. A cancel also marks the task row, so that it shows.
        """

    async def sweep(self) -> Swept:
        """Return the tasks of dead workers, make due tasks claimable, repair swallowed wake-ups."""

    async def expire_worker(self, worker_id: WorkerId, *, blame: TaskId | None = None) -> None:
        """As `sweep` would after the lease of a dead worker; `blame`, whose step ran too long, counts a crash."""

    def upkeep(self, retention: Retention) -> AsyncGenerator[Upkept, None]:
        """One pass: remove what was kept long enough, each item in a transaction; ends while others are at it."""

    async def survived(self) -> Sequence[TaskId]:
        """Tasks that are over while a child of theirs is not: who ended them died before telling it. At most 100."""

    # reading
    async def task(self, task_id: TaskId) -> TaskRow:
        """NotFound for an unknown id."""

    async def ended(self, task_ids: Sequence[TaskId]) -> Sequence[TaskId]:
        """Those of them that are over."""

    async def tasks(self, filter: TaskFilter) -> Sequence[TaskRow]: ...

    async def standing(self, task_id: TaskId) -> Standing: ...

    async def asking(self, *, before: UUID | None, tenant: str | None, limit: int) -> Sequence[TaskRow]:
        """Open tasks that asked, or ask, for an approval, the newest first."""

    async def costs(self, *, tenant: str | None = None, user_hash: str | None = None) -> CostSummary: ...

    async def changes(self, after: tuple[datetime, UUID] | None, limit: int) -> Sequence[TaskRow]:
        """Tasks by (updated_at, id) after the given place, for polling feeds; with None, the newest one only."""

    async def audit(self, limit: int = 100) -> Sequence[AuditRow]:
        """Newest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRow:
    at: datetime
    tenant: str
    actor: str
    action: str
    task_id: TaskId | None
    content: JsonObject = field(default_factory=dict)
