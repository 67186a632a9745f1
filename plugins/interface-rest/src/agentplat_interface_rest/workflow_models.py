"""The shapes of workflow files, their versions, and what they ask people."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, Field

from agentplat_interface_rest.models import STORABLE, Incoming, UserId


class WorkflowIn(Incoming):
    text: str = Field(description="The YAML document, of at most 256 KiB.")


class Diagnostic(BaseModel):
    line: int
    column: int
    code: str = Field(description="Stable, for programs.")
    detail: str


class Checked(BaseModel):
    valid: bool
    diagnostics: list[Diagnostic] = Field(description="Every fault, in the order of the text.")


class WorkflowFile(BaseModel):
    name: str
    text: str
    etag: str = Field(description="What `If-Match` of a change has to say: the SHA-256 of the text.")
    hash: str | None = Field(description="Of the version that new tasks use; null: the file was never valid.")
    editable: bool = Field(description="False: it is installed, and stays as it is.")
    diagnostics: list[Diagnostic] = Field(
        description="What is wrong with the text; if there is a version, the last good one is in use."
    )


class SimulationIn(Incoming):
    """Without a word of it every step succeeds, every signal and approval comes, each after a second."""

    input: dict[str, Any] = Field(default={}, description="The task's input.")
    outputs: dict[str, Any] = Field(
        default={}, description="What steps give, by name or path; a list is one each time.", max_length=1000
    )
    fail: list[Annotated[str, Field(max_length=2000)]] = Field(
        default=[], description="`step=code`: its first try fails so; `step=code:3`, its first three.", max_length=1000
    )
    crash: list[Annotated[float, Field(ge=0, le=1e9)]] = Field(
        default=[], description="The worker dies after so many seconds.", max_length=100
    )
    seed: Annotated[int, Field(ge=0, le=2**63 - 1)] | None = Field(
        default=None, description="Draws durations and failures; the same seed, the same luck."
    )


class WorkflowVersion(BaseModel):
    hash: str
    version: str | None = Field(description="What the document calls itself.")
    since: datetime | None = Field(description="When it was first put, or given to a task; null: not yet.")
    current: bool = Field(description="New tasks use it.")


class Difference(BaseModel):
    diff: str = Field(description="A unified diff of the two normal forms; empty when there is nothing to compare.")


class AnswerIn(Incoming):
    step: Annotated[str, Field(max_length=2000, pattern=STORABLE)] | None = Field(
        default=None, description="Of the approval; needed where a task has several open."
    )
    answers: dict[str, Any] = Field(default={}, description="What the form asks for.")
    user_id: UserId = None


class Approval(BaseModel):
    task_id: UUID
    task_type: str
    tenant_id: str
    step: str
    message: str
    assignee: str | None
    form: dict[str, Any] | None = Field(description="JSON Schema of `answers`.")
    since: datetime
    until: datetime | None = Field(description="What happens then, the workflow says.")
