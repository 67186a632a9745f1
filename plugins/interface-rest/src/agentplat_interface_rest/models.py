"""The shapes of the HTTP API: fixed names and types; fields are added, never changed."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

Name = Annotated[str, Field(min_length=1, max_length=255)]
UserId = Annotated[
    str | None,
    Field(max_length=255, description="An e-mail, or `anonymous`. It is hashed on arrival and kept nowhere."),
]
TenantId = Annotated[str | None, Field(max_length=255, description="The tenant to account for.")]
Money = Annotated[float | None, Field(description="US dollars; null when a price is unknown.")]


class Incoming(BaseModel):
    """What clients send. Unknown fields are ignored, so that older and newer clients work."""

    model_config = ConfigDict(extra="ignore", strict=True)


class TaskIn(Incoming):
    type: Name = Field(description="`workflow:<name>`, `agent:<name>` or `tool:<name>`.")
    input: dict[str, Any] = Field(default_factory=dict)
    user_id: UserId = None
    tenant_id: TenantId = None

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "type": "workflow:research_assessment",
                    "input": {"topic": "How are leases fenced?"},
                    "user_id": "ada@example.org",
                    "tenant_id": "acme",
                }
            ]
        }
    )


class AgentTaskIn(Incoming):
    agent_type: Name
    input: dict[str, Any] = Field(default_factory=dict)
    user_id: UserId = None
    tenant_id: TenantId = None

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"agent_type": "summarizer", "input": {"description": "A long text."}, "user_id": None}]
        }
    )


class ToolTaskIn(Incoming):
    tool_name: Name
    input: dict[str, Any] = Field(default_factory=dict)
    user_id: UserId = None
    tenant_id: TenantId = None

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"tool_name": "calculator", "input": {"expression": "6 * 7"}}]}
    )


class TaskPatch(Incoming):
    status: str | None = Field(default=None, description="`done`, `error` or `cancelled`: the task is ended by hand.")
    output: dict[str, Any] | None = None
    error: str | None = Field(default=None, max_length=10_000)

    model_config = ConfigDict(json_schema_extra={"examples": [{"status": "error", "error": "Ended by the operator."}]})


class Failure(BaseModel):
    code: str
    message: str
    retryable: bool
    details: dict[str, Any] = {}


class Costs(BaseModel):
    model_used: str | None = Field(description="`provider:model` of the last model call.")
    input_tokens: int
    output_tokens: int
    total_cost: Money


class Subtask(Costs):
    """One execution of a step, all its attempts. The id is stable."""

    id: UUID
    parent_task_id: UUID
    agent_type: str
    iteration: int
    status: str
    input: Any
    output: dict[str, Any] | None
    error: str | None
    failure: Failure | None
    name: str
    kind: str
    attempt: int
    created_at: datetime
    updated_at: datetime


class WorkflowState(BaseModel):
    id: UUID
    parent_task_id: UUID
    workflow_type: str
    current_iteration: int
    max_iterations: int
    current_state: str = Field(description="The step under way; `completed` at the end.")
    state_data: dict[str, Any] = Field(description="The outputs so far, by step.")
    tenant_id: str
    created_at: datetime
    updated_at: datetime


class Task(Costs):
    id: UUID
    type: str
    status: str = Field(description="pending, running, waiting, done, error or cancelled.")
    input: dict[str, Any]
    output: dict[str, Any] | None
    error: str | None
    failure: Failure | None
    created_at: datetime
    updated_at: datetime
    user_id_hash: str | None
    tenant_id: str
    generation_id: str = Field(description="The trace id of the task's trace, 32 hex digits.")
    subtasks: list[Subtask]
    workflow_state: WorkflowState | None
    cancel_requested: bool
    reason: str | None = Field(description="Why it does not run, when something is known.")
    retry_of: UUID | None


class UserCosts(BaseModel):
    total_tasks: int
    total_input_tokens: int
    total_output_tokens: int
    total_cost: Money
    unknown_cost_tasks: int
    note: str | None = None


class CostSummaryOut(BaseModel):
    unique_users: int
    total_tasks: int
    total_cost: Money
    avg_cost_per_task: Money
    unknown_cost_tasks: int


class RecentTask(BaseModel):
    id: UUID
    type: str
    status: str
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
    model_config = ConfigDict(protected_namespaces=(), populate_by_name=True, serialize_by_alias=True)

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
    fault: str | None = None


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


class Health(BaseModel):
    status: str
    database: str
    websocket_connections: int


class Fault(BaseModel):
    pointer: str
    detail: str


class Problem(BaseModel):
    """RFC 9457. `detail` is for people; `error_code` is for programs and stable."""

    type: str
    title: str
    status: int
    detail: str
    error_code: str
    instance: str
    errors: list[Fault] | None = None
