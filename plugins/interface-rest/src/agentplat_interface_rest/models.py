"""The shapes of the HTTP API: fixed names and types; fields are added, never changed."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field
from pydantic.json_schema import SkipJsonSchema

from agentplat import TaskState

STORABLE = r"^[^\x00]*$"
Name = Annotated[str, Field(min_length=1, max_length=200, pattern=STORABLE)]
UserId = Annotated[
    str | None,
    Field(max_length=255, pattern=STORABLE, description="An e-mail, or `anonymous`. It is hashed, and kept nowhere."),
]
TenantId = Annotated[str | None, Field(max_length=255, pattern=STORABLE, description="The tenant to account for.")]
Input = Annotated[
    dict[str, Any],
    Field(
        default_factory=dict,
        description="What the workflow, agent or tool takes. Keys that begin with `_` are dropped, after "
        "`_trace_context` was read; `user_email` and `tenant_id` are read as the fields of the task.",
    ),
]
Money = Annotated[float | None, Field(ge=0, description="US dollars; null when a price is unknown.")]
Count = Annotated[int, Field(ge=0)]


class Incoming(BaseModel):
    """What clients send. Unknown fields are ignored, so that older and newer clients work."""

    model_config = ConfigDict(extra="ignore", strict=True)


class Submitted(Incoming):
    input: Input
    user_id: UserId = None
    tenant_id: TenantId = None


class TaskIn(Submitted):
    type: Name = Field(description="`workflow:<name>`, `agent:<name>` or `tool:<name>`.")


class AgentTaskIn(Submitted):
    agent_type: Name = Field(description="The agent's name.")


class ToolTaskIn(Submitted):
    tool_name: Name = Field(description="The tool's name.")


class TaskPatch(Incoming):
    # Not strict: JSON has no other way to say an enumeration than by its text.
    status: TaskState | None = Field(
        default=None, strict=False, description="`done`, `error` or `cancelled`: the task is ended by hand."
    )
    output: dict[str, Any] | None = None
    error: str | None = Field(default=None, max_length=10_000)


class Failure(BaseModel):
    """Why a task or step failed, for programs."""

    code: str
    message: str
    retryable: bool
    details: dict[str, Any]


class Costs(BaseModel):
    model_used: str | None = Field(description="`provider:model` of the last model call.")
    input_tokens: Count
    output_tokens: Count
    total_cost: Money


class Subtask(Costs):
    """One execution of a step, all its attempts. The id is stable."""

    id: UUID
    parent_task_id: UUID
    agent_type: str = Field(description="The name of the agent or tool.")
    iteration: int
    status: TaskState
    input: Any
    output: dict[str, Any] | None
    error: str | None
    failure: Failure | None
    name: str = Field(description="The step's path within the workflow.")
    kind: str = Field(description="agent, tool, workflow, block or wait.")
    attempt: int
    reused: bool = Field(description="Its outcome is that of the task which this one goes on from.")
    child: UUID | None = Field(description="The task that does its latest attempt, where that is one of its own.")
    created_at: datetime
    updated_at: datetime


class WorkflowState(BaseModel):
    model_config = ConfigDict(populate_by_name=True, serialize_by_alias=True)

    id: UUID
    parent_task_id: UUID
    workflow_type: str = Field(description="The workflow's name.")
    current_iteration: int
    max_iterations: int
    current_state: str = Field(description="The step under way; `completed` at the end.")
    outputs: dict[str, Any] = Field(alias="state_data", description="The outputs so far, by step.")
    tenant_id: str
    created_at: datetime
    updated_at: datetime


class Task(Costs):
    id: UUID
    type: str
    status: TaskState
    input: dict[str, Any]
    output: dict[str, Any] | None
    error: str | None = Field(description="One readable sentence; for programs there is `failure`.")
    failure: Failure | None
    created_at: datetime
    updated_at: datetime
    user_id_hash: str | None
    tenant_id: str
    generation_id: str = Field(description="The trace id of the task's trace, 32 hex digits.")
    subtasks: list[Subtask] = Field(description="Only where one task is asked for.")
    workflow_state: WorkflowState | None = Field(description="Of a workflow, where one task is asked for.")
    cancel_requested: bool
    reason: str | None = Field(description="Why it does not run, when something is known.")
    retry_of: UUID | None
    forked_from: UUID | None
    parent: UUID | None = Field(description="The task whose step it is; `GET /tasks?parent=` lists its children.")
    parent_step: str | None = Field(description="The path of that step.")


class UserCosts(BaseModel):
    total_tasks: Count
    total_input_tokens: Count
    total_output_tokens: Count
    total_cost: Money
    unknown_cost_tasks: Count
    note: str | None = Field(description="Why nothing was found.")


class CostTotals(BaseModel):
    unique_users: Count
    total_tasks: Count
    total_cost: Money
    avg_cost_per_task: Money
    unknown_cost_tasks: Count


class RecentTask(BaseModel):
    id: UUID
    type: str
    status: TaskState
    created_at: datetime
    cost: Money


class Usage(UserCosts):
    user_id_hash: str
    recent_tasks: list[RecentTask]


class Agent(BaseModel):
    name: str
    description: str
    config: dict[str, Any]
    tools: list[str]


class Agents(BaseModel):
    agents: list[Agent]


class Tool(BaseModel):
    model_config = ConfigDict(populate_by_name=True, serialize_by_alias=True)

    name: str
    description: str
    parameters: dict[str, Any] = Field(alias="schema", description="JSON Schema of the parameters.")


class Tools(BaseModel):
    tools: list[Tool]


class WorkflowStep(BaseModel):
    name: str
    agent_type: str | None
    description: str
    tools: list[str]


class Workflow(BaseModel):
    name: str
    description: str
    strategy: str | None
    max_iterations: int | None
    steps: list[WorkflowStep]
    fault: str | None = Field(default=None, description="Why it cannot be used.")


class Workflows(BaseModel):
    workflows: list[Workflow]


class Plugin(BaseModel):
    name: str
    version: str | None
    distribution: str | None
    state: str
    reason: str | None
    offers: dict[str, list[str]]


class JournalEvent(BaseModel):
    seq: int
    at: datetime
    kind: str
    content: dict[str, Any]


class RetryIn(Incoming):
    model_config = ConfigDict(extra="ignore", strict=True, populate_by_name=True)

    start: Annotated[str, Field(max_length=2000, pattern=STORABLE)] | None = Field(
        default=None,
        alias="from",
        description="The `name` of a subtask: from this step on all runs again. Default: from where it ended. The "
        "empty text: all of it.",
    )
    newest: bool = Field(
        default=False, description="By the newest version of the workflow. 409 when it changes what would be reused."
    )
    # What only a fork takes is read here, too, so that it is refused and not ignored.
    input: SkipJsonSchema[dict[str, Any] | None] = None
    outputs: SkipJsonSchema[dict[str, Any]] = {}


class ForkIn(RetryIn):
    input: dict[str, Any] | None = Field(
        default=None, description="Another input of the step `from`; with an empty `from` the task's own."
    )
    outputs: dict[str, Any] = Field(
        default={},
        description="Other outputs, by the names of subtasks. They stand; what follows from them runs again.",
    )


class Reason(BaseModel):
    path: str = Field(description="Of the step; the `name` of its subtask, if it has begun.")
    code: str = Field(description="running, interrupted, retry, child, timer, signal, approval, needs, skipped, failed")
    sentence: str
    until: datetime | None = Field(description="When it goes on by itself.")
    details: dict[str, Any]


class Why(BaseModel):
    task_id: UUID
    code: str = Field(
        description="Over: done, failed, poisoned, timed_out, cancelled. Worked on: running, cancelling. Pending: "
        "delayed, handed_back, limited, no_worker, suspect, crashed, turn. Else waiting."
    )
    sentence: str
    at: datetime = Field(description="By the database's clock.")
    until: datetime | None = Field(description="When something happens by itself.")
    details: dict[str, Any]
    steps: list[Reason]


class Saved(BaseModel):
    input_tokens: Count
    output_tokens: Count
    total_cost: Money


class Reuse(BaseModel):
    """What a retry or fork reuses and runs again, by the names of the source's subtasks."""

    source: UUID
    reused: list[str] = Field(description="Their outcome stands.")
    edited: list[str] = Field(description="Their output is the one that was given.")
    again: list[str] = Field(
        description="They run, or wait, once more; where nothing is reused, all that the source has begun."
    )
    undecided: list[str] = Field(
        description="They began after the place from which on all runs again: what comes before them decides."
    )
    saved: Saved = Field(description="What the reused steps had used. It is not counted again.")


class SignalIn(Incoming):
    name: Name = Field(description="As the step that waits for it says.")
    payload: Any = Field(default=None, description="The output of that step.")
    key: str | None = Field(
        default=None, min_length=1, max_length=255, pattern=STORABLE, description="As the header `Idempotency-Key`."
    )


class Signal(BaseModel):
    task_id: UUID
    name: str
    key: str = Field(description="As given, or made up.")
    created: bool = Field(description="False: the task had a signal of this key; that one stays.")


class Steered(BaseModel):
    """How a task stands after it was steered."""

    id: UUID
    type: str
    status: TaskState
    cancel_requested: bool
    retry_of: UUID | None
    forked_from: UUID | None
    created_at: datetime
    updated_at: datetime


class Health(BaseModel):
    status: str = Field(description="healthy or unhealthy.")
    database: str = Field(description="connected or disconnected.")
    websocket_connections: Count


class Fault(BaseModel):
    pointer: str = Field(description="A JSON pointer into the body; begins with `/query`, `/path` or `/header` else.")
    detail: str


class Problem(BaseModel):
    """RFC 9457. `detail` is for people; `error_code` is for programs and stable."""

    type: str
    title: str
    status: int
    detail: str
    error_code: str
    instance: str
    errors: list[Fault] = Field(default=[], description="One per value that does not fit.")
