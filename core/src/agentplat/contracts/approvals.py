"""What people are asked by tasks that wait for a yes or no."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from agentplat.domain.json import JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalView:
    """An approval that waits for its answer."""

    task_id: UUID
    task_type: str
    tenant: str
    path: str  # of its step
    message: str
    assignee: str | None  # `role:editor`, or whatever the workflow says; nobody is kept from answering yet
    form: JsonObject | None  # JSON Schema of what an answer holds besides yes or no
    since: datetime
    until: datetime | None  # what happens then, the workflow says


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    approved: bool
    path: str | None = None  # None: there is one approval
    by: str | None = None  # an e-mail or another name; it is hashed on arrival and kept nowhere
    answers: JsonObject = field(default_factory=dict)  # what the form asks for
