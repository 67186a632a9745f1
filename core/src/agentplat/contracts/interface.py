"""What an interface (HTTP, bots, ...) offers, and the Client through which it sees agentplat."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol
from uuid import UUID

from agentplat.contracts.approvals import Answer, ApprovalView
from agentplat.contracts.limits import Limit, LimitRow
from agentplat.contracts.schedules import ScheduleClient
from agentplat.contracts.versions import WorkflowFile, WorkflowVersion
from agentplat.contracts.why import Why
from agentplat.domain.failure import Failure
from agentplat.domain.json import JsonObject, JsonValue
from agentplat.domain.task import TaskState
from agentplat.domain.usage import Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """What a caller asks for. `user` is an e-mail or another name; it is hashed on arrival and kept nowhere."""

    type: str  # `workflow:<name>`, `agent:<name>` or `tool:<name>`
    input: JsonObject
    user: str | None = None
    tenant: str | None = None
    traceparent: str | None = None
    idempotency_key: str | None = None
    queue: str = "default"
    concurrency_key: str | None = None  # limits of its tenant may name it
    priority: int = 0  # higher first
    delay: float = 0.0  # seconds until it may be claimed
    run_at: datetime | None = None  # or when, by the database's clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """One of many submissions: its task, and whether that is new or was known by the idempotency key."""

    id: UUID
    created: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StepView:
    """One execution of a step, folded from the journal."""

    id: UUID
    task_id: UUID
    path: str
    kind: str  # agent, tool, wait
    target: str  # the agent's, tool's or step's name
    iteration: int
    attempt: int
    status: TaskState
    input: JsonValue
    output: JsonValue
    failure: Failure | None
    usage: Usage
    created_at: datetime
    updated_at: datetime
    reused: bool = False  # its outcome is that of another task, which this one goes on from
    child: UUID | None = None  # the task that does, or did, its latest attempt


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowStateView:
    id: UUID
    task_id: UUID
    workflow: str
    iteration: int
    max_iterations: int
    current: str  # the step under way; `completed` at the end
    outputs: Mapping[str, JsonValue]  # latest output by step
    tenant: str
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskView:
    id: UUID
    type: str
    status: TaskState
    input: JsonObject
    output: JsonObject | None
    failure: Failure | None
    created_at: datetime
    updated_at: datetime
    tenant: str
    user_hash: str | None
    trace_id: str
    usage: Usage
    cancel_requested: bool = False
    reason: str | None = None  # why it is not running, when something is known
    retry_of: UUID | None = None
    forked_from: UUID | None = None
    parent: UUID | None = None  # the task whose step it is
    parent_step: str | None = None  # the path of that step
    steps: tuple[StepView, ...] = ()  # only where one task is asked for
    workflow_state: WorkflowStateView | None = None  # likewise


@dataclass(frozen=True, slots=True, kw_only=True)
class Rerun:
    """How a task is worked on once more, as another task.

    Steps are named by their paths, as their `path` says: `draft`, `polish#2/critique`; the empty one is the whole task.
    """

    start: str | None = None  # from this step on; None: from where it ended
    input: JsonObject | None = None  # a fork's: another one of `start`
    outputs: Mapping[str, JsonValue] = field(default_factory=dict)  # a fork's: other ones, which stand
    newest: bool = False  # by the newest version of its workflow, in place of its own
    idempotency_key: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reuse:
    """What a retry or fork takes over from its source, and what it runs again, by paths."""

    source: UUID
    reused: tuple[str, ...]  # their outcome stands
    edited: tuple[str, ...]  # their output is the one that was given
    again: tuple[str, ...]  # they run, or wait, once more
    undecided: tuple[
        str, ...
    ]  # begun in the source after the place from which on all runs again: as the strategy decides
    saved: Usage  # what the reused steps had used; it is not counted again


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalView:
    """One event of a task's journal, as it is kept."""

    seq: int
    at: datetime
    kind: str
    content: JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskFilter:
    status: TaskState | None = None
    type: str | None = None
    user_hash: str | None = None
    tenant: str | None = None
    parent: UUID | None = None  # only its children
    text: str | None = None  # words looked for in type, input and output
    before: UUID | None = None  # only tasks older than this one: the cursor
    limit: int = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class CostSummary:
    """`cost` in micro-USD: the sum of the known ones; `unknown` counts tasks whose cost is not known."""

    tasks: int
    users: int
    input_tokens: int
    output_tokens: int
    cost: int
    unknown: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskChange:
    """A task changed, for whoever watches. A hint: read the task for the truth."""

    task: TaskView  # without steps
    seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """What a registry knows of an agent, tool, workflow or plugin, ready to be shown."""

    name: str
    description: str
    values: Mapping[str, JsonValue] = field(default_factory=dict)


_AS_IT_WAS = Rerun()


class Client(Protocol):
    """Everything an interface may do. Raises the errors of `agentplat.domain.errors`, nothing else."""

    async def submit(self, submission: Submission) -> TaskView: ...

    async def submit_all(self, submissions: Sequence[Submission]) -> Sequence[Accepted]:
        """All or nothing, in one transaction; at most 1,000. InputRejected points at `/tasks/<number>`."""

    async def task(self, task_id: UUID) -> TaskView:
        """The task with its steps and workflow state. NotFound for an unknown id."""

    async def ended(self, task_id: UUID, seconds: float) -> TaskView:
        """The task as soon as it has ended, or as it is after so many seconds. NotFound for an unknown id."""

    async def tasks(self, filter: TaskFilter) -> Sequence[TaskView]:
        """Newest first."""

    async def journal(self, task_id: UUID, after: int = 0) -> Sequence[JournalView]: ...

    async def why(self, task_id: UUID) -> Why:
        """Why it stands where it stands. NotFound for an unknown id."""

    async def cancel(self, task_id: UUID) -> TaskView: ...

    async def retry(self, task_id: UUID, wanted: Rerun = _AS_IT_WAS) -> TaskView:
        """A new task that goes on where one ended: nothing that finished runs again. The source never changes.

        What is done already is done once more from its beginning. ConflictError for a task that has not ended.
        """

    async def fork(self, task_id: UUID, wanted: Rerun) -> TaskView:
        """A new task that goes on from a step of another one, ended or not, with another input, or other outputs."""

    async def quote(self, task_id: UUID, wanted: Rerun, *, fork: bool) -> Reuse:
        """What `retry`, or `fork`, would reuse and run again. Nothing is made."""

    async def signal(self, task_id: UUID, name: str, payload: JsonValue, key: str) -> bool:
        """Deliver a signal, before or after its wait begins. False when the task has one of this `key`: that stays.

        NotFound for an unknown id, ConflictError for a task that has ended.
        """

    async def approvals(
        self, *, tenant: str | None = None, assignee: str | None = None, before: UUID | None = None, limit: int = 100
    ) -> Sequence[ApprovalView]:
        """Open ones, of the newest tasks first; a page ends with a whole task, so there may be a few more."""

    async def answer(self, task_id: UUID, given: Answer) -> ApprovalView:
        """Say yes or no to an approval; the first answer stays.

        ConflictError when it is not open, or not any more, or when it is not said which of several is meant;
        InputRejected points into `/answers`.
        """

    async def administer(
        self, task_id: UUID, *, status: TaskState, output: JsonObject | None = None, error: str | None = None
    ) -> TaskView:
        """End a task by hand, through the state machine. IllegalTransition when its state does not allow it."""

    async def costs(self, user_hash: str | None = None) -> CostSummary: ...

    async def limits(self, tenant: str | None = None, key: str | None = None) -> Sequence[LimitRow]:
        """By tenant and key; those of one tenant, or one of them, where it is named."""

    async def set_limit(self, limit: Limit) -> None:
        """In place of what was set for its tenant and key."""

    async def remove_limit(self, tenant: str, key: str = "") -> None:
        """NotFound when there is none."""

    def agents(self) -> Sequence[Description]:
        """`values`: config, tools."""

    def tools(self) -> Sequence[Description]:
        """`values`: schema (JSON Schema of the parameters), effect."""

    def workflows(self) -> Sequence[Description]:
        """`values`: strategy, max_iterations, steps (name, agent_type, description, tools), demo."""

    def workflow_file(self, name: str) -> WorkflowFile:
        """The file as it is now. NotFound for an unknown name."""

    def check_workflow(self, text: str) -> Sequence[str]:
        """The diagnostics of a document, held against what is installed here: the compiler's and those of `check`."""

    async def workflow_analysis(
        self, analysis: str, workflow: str | None = None, options: JsonObject | None = None
    ) -> JsonValue:
        """What an installed analysis says of a workflow as its file is now, or, without one, of all that is installed.

        `options` are as that analysis understands them. NotFound for an unknown workflow, WorkflowInvalid, NotInstalled
        where nobody offers the analysis.
        """

    async def task_analysis(self, analysis: str, task_id: UUID) -> JsonValue:
        """The same of the workflow that a task was given. NotFound for an unknown id."""

    async def put_workflow(self, name: str, text: str, expected: str | None) -> WorkflowFile:
        """Write the project's file in place of the one whose `text_hash` is `expected`; None: there is none yet.

        VersionConflict when it is another one by now, WorkflowInvalid, InputRejected, ConflictError when it is
        installed and the text does not say `replaces: true`.
        """

    async def workflow_versions(self, name: str) -> Sequence[WorkflowVersion]:
        """Newest first. NotFound for an unknown name."""

    async def workflow_diff(self, name: str, before: str | None = None, after: str | None = None) -> str:
        """A unified diff of two versions' normal forms, by the beginnings of their hashes.

        By default from the newest one before it to the current one.
        """

    @property
    def schedules(self) -> ScheduleClient:
        """When workflows run by themselves."""

    def plugins(self) -> Sequence[Description]:
        """`values`: version, state (active, disabled, rejected), reason."""

    def changes(self) -> AbstractAsyncContextManager[AsyncIterator[TaskChange]]:
        """All changes from the moment of entering on, in their order; each is the latest state of its task."""

    async def ping(self) -> None:
        """StoreUnavailable when the database does not answer."""

    @property
    def development(self) -> bool:
        """True when it serves the loopback interface without credentials."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InterfaceSpec:
    """Offers an interface. `agentplat_interfaces` returns these.

    `factory` names a callable that takes the Client and returns an ASGI application; it is mounted at `prefix`.
    """

    name: str
    description: str
    factory: str  # "module:callable"
    prefix: str = "/"
