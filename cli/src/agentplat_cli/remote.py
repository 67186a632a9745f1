"""Tasks of a running server, over its REST interface."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Self, TypeVar
from urllib.parse import quote
from uuid import UUID, uuid4

import httpx

from agentplat import (
    AgentplatError,
    Answer,
    ApprovalView,
    ConflictError,
    Failure,
    InputRejected,
    JournalView,
    JsonValue,
    Limit,
    LimitRow,
    NotFound,
    Reason,
    Rerun,
    Reuse,
    StepView,
    Submission,
    TaskFilter,
    TaskState,
    TaskView,
    UnavailableError,
    Usage,
    UsageError,
    Why,
    WorkflowStateView,
    WorkflowVersion,
)
from agentplat_cli.server.schedules import RemoteSchedules

_TIMEOUT = 30.0
T = TypeVar("T")


class RemoteTasks:
    """Offers what the Client offers for tasks. An async context manager."""

    def __init__(self, url: str) -> None:
        """`url` is the server's address; a path in it is kept."""
        try:
            parsed = httpx.URL(url)
        except (httpx.InvalidURL, ValueError):
            parsed = httpx.URL()
        if parsed.scheme not in ("http", "https") or not parsed.host:
            raise InputRejected("--url", [("", f"{url!r} is not of the form http://host:port")])
        self._url = url
        # No proxy from the environment: the server is on this machine, or stands behind a proxy of its own.
        self._http = httpx.AsyncClient(base_url=parsed, timeout=_TIMEOUT, trust_env=False)
        self.schedules = RemoteSchedules(self._ask)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def submit(self, submission: Submission) -> TaskView:
        body = {
            "type": submission.type,
            "input": submission.input,
            "user_id": submission.user,
            "tenant_id": submission.tenant,
        }
        # Were the answer lost, a repetition would find the same task.
        headers = {"Idempotency-Key": submission.idempotency_key or str(uuid4())}
        return await self._ask("POST", "tasks", _task, json=body, headers=headers)

    async def task(self, task_id: UUID) -> TaskView:
        return await self._ask("GET", f"tasks/{task_id}", _task)

    async def tasks(self, filter: TaskFilter) -> Sequence[TaskView]:
        wanted = {"limit": filter.limit, "status_filter": filter.status, "type": filter.type, "parent": filter.parent}
        given = {name: str(value) for name, value in wanted.items() if value is not None}
        return await self._ask("GET", "tasks", lambda tasks: [_task(task) for task in tasks], params=given)

    async def journal(self, task_id: UUID, after: int = 0) -> Sequence[JournalView]:
        return await self._ask("GET", f"v1/tasks/{task_id}/journal", _journal, params={"after": str(after)})

    async def why(self, task_id: UUID) -> Why:
        return await self._ask("GET", f"v1/tasks/{task_id}/why", _why)

    async def cancel(self, task_id: UUID) -> TaskView:
        return await self.task(await self._ask("POST", f"v1/tasks/{task_id}:cancel", _id))

    async def retry(self, task_id: UUID, wanted: Rerun) -> TaskView:
        return await self.task(await self._again(task_id, wanted, "retry", _id))

    async def fork(self, task_id: UUID, wanted: Rerun) -> TaskView:
        return await self.task(await self._again(task_id, wanted, "fork", _id))

    async def quote(self, task_id: UUID, wanted: Rerun, *, fork: bool) -> Reuse:
        return await self._again(task_id, wanted, "fork" if fork else "retry", _reuse, dry_run="true")

    async def _again(self, task_id: UUID, wanted: Rerun, verb: str, read: Callable[[Any], T], **asked: str) -> T:
        body: dict[str, Any] = {"from": wanted.start, "newest": wanted.newest}
        if verb == "fork":
            body |= {"input": wanted.input, "outputs": wanted.outputs}
        # Were the answer lost, a repetition would find the same task.
        headers = {"Idempotency-Key": wanted.idempotency_key or str(uuid4())}
        return await self._ask("POST", f"v1/tasks/{task_id}:{verb}", read, json=body, headers=headers, params=asked)

    async def signal(self, task_id: UUID, name: str, payload: JsonValue, key: str) -> bool:
        body = {"name": name, "payload": payload, "key": key}
        return await self._ask("POST", f"v1/tasks/{task_id}:signal", lambda said: bool(said["created"]), json=body)

    async def workflow_versions(self, name: str) -> Sequence[WorkflowVersion]:
        return await self._ask("GET", f"v1/workflows/{quote(name, safe='')}/versions", _versions)

    async def workflow_diff(self, name: str, before: str | None = None, after: str | None = None) -> str:
        given = {key: value for key, value in (("before", before), ("after", after)) if value is not None}
        path = f"v1/workflows/{quote(name, safe='')}/diff"
        return await self._ask("GET", path, lambda said: str(said["diff"]), params=given)

    async def approvals(
        self, *, tenant: str | None = None, assignee: str | None = None, before: UUID | None = None, limit: int = 100
    ) -> Sequence[ApprovalView]:
        wanted = {"tenant_id": tenant, "assignee": assignee, "cursor": before and str(before), "limit": str(limit)}
        given = {name: value for name, value in wanted.items() if value is not None}
        return await self._ask("GET", "v1/approvals", lambda found: [_approval(one) for one in found], params=given)

    async def answer(self, task_id: UUID, given: Answer) -> ApprovalView:
        body = {"step": given.path, "answers": given.answers, "user_id": given.by}
        verb = "approve" if given.approved else "reject"
        return await self._ask("POST", f"v1/tasks/{task_id}:{verb}", _approval, json=body)

    async def limits(self, tenant: str | None = None, key: str | None = None) -> Sequence[LimitRow]:
        given = {name: value for name, value in (("tenant_id", tenant), ("key", key)) if value is not None}
        return await self._ask("GET", "v1/limits", lambda limits: [_limit(limit) for limit in limits], params=given)

    async def set_limit(self, limit: Limit) -> None:
        said = {"at_once": limit.at_once, "starts": limit.starts, "seconds": limit.seconds, "weight": limit.weight}
        await self._ask("PUT", "v1/limits", _limit, params={"tenant_id": limit.tenant, "key": limit.key}, json=said)

    async def remove_limit(self, tenant: str, key: str = "") -> None:
        await self._ask("DELETE", "v1/limits", _limit, params={"tenant_id": tenant, "key": key})

    async def _ask(self, method: str, path: str, read: Callable[[Any], T], **request: Any) -> T:
        """What `read` makes of the answer."""
        try:
            answer = await self._http.request(method, path, **request)
        except httpx.TransportError as error:
            reason = str(error) or type(error).__name__
            raise UnavailableError(f"{self._url} does not answer: {reason}.") from None
        try:
            body = answer.json()
            if answer.is_success:
                return read(body)
            detail, code = body["detail"], body["error_code"]
        except (LookupError, TypeError, ValueError):
            raise AgentplatError(
                f"{self._url} answers {method} /{path} with {answer.status_code}, and not as agentplat does. "
                "Is it the address of agentplat's REST interface, of this version?"
            ) from None
        raise _error(answer.status_code, str(code), str(detail))


def _error(status: int, code: str, detail: str) -> AgentplatError:
    """The error that the server had, with its code and its words."""
    kinds: dict[int, type[AgentplatError]] = {404: NotFound, 409: ConflictError, 503: UnavailableError}
    error = kinds.get(status, UsageError if status < 500 else AgentplatError)(detail)
    error.code = code
    return error


def _id(value: Mapping[str, Any]) -> UUID:
    return UUID(value["id"])


def _why(value: Mapping[str, Any]) -> Why:
    steps = tuple(Reason(**{**step, "until": _time_or_none(step["until"])}) for step in value["steps"])
    return Why(
        task_id=UUID(value["task_id"]),
        code=value["code"],
        sentence=value["sentence"],
        at=_time(value["at"]),
        until=_time_or_none(value["until"]),
        details=value["details"],
        steps=steps,
    )


def _versions(values: Sequence[Mapping[str, Any]]) -> list[WorkflowVersion]:
    return [
        WorkflowVersion(
            hash=value["hash"],
            version=value["version"],
            since=_time_or_none(value["since"]),
            is_current=value["current"],
        )
        for value in values
    ]


def _approval(value: Mapping[str, Any]) -> ApprovalView:
    return ApprovalView(
        task_id=UUID(value["task_id"]),
        task_type=value["task_type"],
        tenant=value["tenant_id"],
        path=value["step"],
        message=value["message"],
        assignee=value["assignee"],
        form=value["form"],
        since=_time(value["since"]),
        until=_time_or_none(value["until"]),
    )


def _reuse(value: Mapping[str, Any]) -> Reuse:
    return Reuse(
        source=UUID(value["source"]),
        reused=tuple(value["reused"]),
        edited=tuple(value["edited"]),
        again=tuple(value["again"]),
        undecided=tuple(value["undecided"]),
        saved=_usage({**value["saved"], "model_used": None}),
    )


def _journal(events: Sequence[Mapping[str, Any]]) -> list[JournalView]:
    return [
        JournalView(seq=event["seq"], at=_time(event["at"]), kind=event["kind"], content=event["content"])
        for event in events
    ]


def _limit(value: Mapping[str, Any]) -> LimitRow:
    limit = Limit(
        tenant=value["tenant_id"],
        key=value["key"],
        at_once=value["at_once"],
        starts=value["starts"],
        seconds=value["seconds"],
        weight=value["weight"],
    )
    since = value["full_since"]
    return LimitRow(limit=limit, running=value["running"], started=value["started"], full_since=_time_or_none(since))


def _task(value: Mapping[str, Any]) -> TaskView:
    state = value["workflow_state"]
    return TaskView(
        id=UUID(value["id"]),
        type=value["type"],
        status=TaskState(value["status"]),
        input=value["input"],
        output=value["output"],
        failure=_failure(value["failure"]),
        created_at=_time(value["created_at"]),
        updated_at=_time(value["updated_at"]),
        tenant=value["tenant_id"],
        user_hash=value["user_id_hash"],
        trace_id=value["generation_id"],
        usage=_usage(value),
        cancel_requested=value["cancel_requested"],
        reason=value["reason"],
        retry_of=UUID(value["retry_of"]) if value["retry_of"] else None,
        forked_from=UUID(value["forked_from"]) if value.get("forked_from") else None,
        parent=UUID(value["parent"]) if value.get("parent") else None,
        parent_step=value.get("parent_step"),
        steps=tuple(map(_step, value["subtasks"])),
        workflow_state=None if state is None else _workflow_state(state),
    )


def _step(value: Mapping[str, Any]) -> StepView:
    return StepView(
        id=UUID(value["id"]),
        task_id=UUID(value["parent_task_id"]),
        path=value["name"],
        kind=value["kind"],
        target=value["agent_type"],
        iteration=value["iteration"],
        attempt=value["attempt"],
        reused=value.get("reused", False),
        child=UUID(value["child"]) if value.get("child") else None,
        status=TaskState(value["status"]),
        input=value["input"],
        output=value["output"],
        failure=_failure(value["failure"]),
        usage=_usage(value),
        created_at=_time(value["created_at"]),
        updated_at=_time(value["updated_at"]),
    )


def _workflow_state(value: Mapping[str, Any]) -> WorkflowStateView:
    return WorkflowStateView(
        id=UUID(value["id"]),
        task_id=UUID(value["parent_task_id"]),
        workflow=value["workflow_type"],
        iteration=value["current_iteration"],
        max_iterations=value["max_iterations"],
        current=value["current_state"],
        outputs=value["state_data"],
        tenant=value["tenant_id"],
        created_at=_time(value["created_at"]),
        updated_at=_time(value["updated_at"]),
    )


def _usage(value: Mapping[str, Any]) -> Usage:
    cost = value["total_cost"]
    return Usage(
        model=value["model_used"],
        input_tokens=value["input_tokens"],
        output_tokens=value["output_tokens"],
        cost=None if cost is None else round(cost * 1_000_000),
    )


def _failure(value: Mapping[str, Any] | None) -> Failure | None:
    return None if value is None else Failure.from_json(value)


def _time_or_none(text: str | None) -> datetime | None:
    return None if text is None else _time(text)


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
