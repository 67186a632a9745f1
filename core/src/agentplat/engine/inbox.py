"""What others may tell a task by its inbox, and the events that it becomes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from uuid import UUID

from agentplat.contracts.store import InboxItem
from agentplat.domain.events import (
    ApprovalAnswered,
    CancelRequested,
    Event,
    SignalReceived,
    StepCancelled,
    StepFailed,
    StepSucceeded,
)
from agentplat.domain.failure import Failure
from agentplat.domain.ids import StepPath, TaskId
from agentplat.domain.json import JsonObject

_ANSWER = "@approval/"
"""An answer is a signal with a name that no `wait` can have: this and the path of the approval."""

_CHILD = "@child/"
"""How a child has ended: this, the attempt, and the path. See `sql/tell_parents.sql`."""


def told(item: InboxItem) -> Event:
    """The event that an item of the inbox becomes."""
    if item.kind == "cancel":
        return CancelRequested(reason=str(item.payload or "on request"))
    if item.name.startswith(_CHILD):
        return _ended(item)
    if not item.name.startswith(_ANSWER):
        return SignalReceived(name=item.name, payload=item.payload, key=item.key)
    answer = item.payload if isinstance(item.payload, Mapping) else {}
    by, answers = answer.get("by"), answer.get("answers")
    return ApprovalAnswered(
        path=StepPath.parse(item.name.removeprefix(_ANSWER)),
        approved=answer.get("approved") is True,
        by=by if isinstance(by, str) else None,
        answers=answers if isinstance(answers, Mapping) else {},
        key=item.key,
    )


def _ended(item: InboxItem) -> Event:
    attempt, _, place = item.name.removeprefix(_CHILD).partition("/")
    path, number = StepPath.parse(place), int(attempt)
    end = item.payload if isinstance(item.payload, Mapping) else {}
    failure = end.get("failure")
    if end.get("status") == "done":
        return StepSucceeded(path=path, attempt=number, output=end.get("output"))
    if end.get("status") == "cancelled" or not isinstance(failure, Mapping):
        return StepCancelled(path=path, attempt=number)
    found = Failure.from_json(failure)
    message = f"The task {item.key.removeprefix('child:')} failed: {found.message}"
    return StepFailed(path=path, attempt=number, failure=replace(found, message=message))


def answer(
    id: UUID, task_id: TaskId, path: StepPath, *, approved: bool, by: str | None, answers: JsonObject
) -> InboxItem:
    """Somebody's answer to the approval at `path`. All answers to one have one key: the first one in wins."""
    name = f"{_ANSWER}{path}"
    payload: JsonObject = {"approved": approved, "by": by, "answers": answers}
    return InboxItem(id=id, task_id=task_id, kind="signal", key=name, name=name, payload=payload)
