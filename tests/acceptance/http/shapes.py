"""The tables of the HTTP API, as existing clients rely on them: field by field, type by type. More may be there."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, TypeAlias
from uuid import UUID

Check: TypeAlias = Callable[[Any], bool]
STATUSES = ("pending", "running", "waiting", "done", "error", "cancelled")
OVER = ("done", "error", "cancelled")


def text(value: Any) -> bool:
    return isinstance(value, str)


def whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def count(value: Any) -> bool:
    return whole(value) and value >= 0


def number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def an_object(value: Any) -> bool:
    return isinstance(value, dict)


def anything(value: Any) -> bool:
    return True


def status(value: Any) -> bool:
    return value in STATUSES


def uuid(value: Any) -> bool:
    return isinstance(value, str) and str(UUID(value)) == value


def trace_id(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch("[0-9a-f]{32}", value) is not None and int(value, 16) > 0


def user_hash(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value) is not None


def moment(value: Any) -> bool:
    """RFC 3339, in UTC."""
    return (
        isinstance(value, str)
        and re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", value) is not None
        and datetime.fromisoformat(value).tzinfo is not None
    )


def optional(check: Check) -> Check:
    return lambda value: value is None or check(value)


def many(table: Mapping[str, Check] | Check) -> Check:
    def are(values: Any) -> bool:
        assert isinstance(values, list), values
        for value in values:
            if callable(table):
                assert table(value), value
            else:
                demand(value, table)
        return True

    return are


def shaped(table: Mapping[str, Check]) -> Check:
    def is_so(value: Any) -> bool:
        demand(value, table)
        return True

    return is_so


def demand(value: Any, table: Mapping[str, Check]) -> None:
    """Every field is there and of its type."""
    assert isinstance(value, dict), value
    for name, check in table.items():
        assert name in value, f"{name} is missing in {sorted(value)}"
        assert check(value[name]), f"{name}: {value[name]!r}"


COSTS: Mapping[str, Check] = {
    "model_used": optional(text),
    "input_tokens": count,
    "output_tokens": count,
    "total_cost": optional(number),
}
SUBTASK: Mapping[str, Check] = {
    "id": uuid,
    "parent_task_id": uuid,
    "agent_type": text,
    "iteration": whole,
    "status": status,
    "input": anything,
    "output": optional(an_object),
    "error": optional(text),
    "created_at": moment,
    "updated_at": moment,
    **COSTS,
}
WORKFLOW_STATE: Mapping[str, Check] = {
    "id": uuid,
    "parent_task_id": uuid,
    "workflow_type": text,
    "current_iteration": whole,
    "max_iterations": whole,
    "current_state": text,
    "state_data": an_object,
    "tenant_id": text,
    "created_at": moment,
    "updated_at": moment,
}
TASK: Mapping[str, Check] = {
    "id": uuid,
    "type": text,
    "status": status,
    "input": an_object,
    "output": optional(an_object),
    "error": optional(text),
    "created_at": moment,
    "updated_at": moment,
    "user_id_hash": optional(user_hash),
    "tenant_id": text,
    **COSTS,
    "generation_id": trace_id,
    "subtasks": many(SUBTASK),
    "workflow_state": optional(shaped(WORKFLOW_STATE)),
}
HEALTH: Mapping[str, Check] = {"status": text, "database": text, "websocket_connections": count}
USER_COSTS: Mapping[str, Check] = {
    "total_tasks": count,
    "total_input_tokens": count,
    "total_output_tokens": count,
    "total_cost": optional(number),
}
ALL_COSTS: Mapping[str, Check] = {
    "unique_users": count,
    "total_tasks": count,
    "total_cost": optional(number),
    "avg_cost_per_task": optional(number),
}
USAGE: Mapping[str, Check] = {
    "user_id_hash": text,
    **USER_COSTS,
    "recent_tasks": many(
        {"id": uuid, "type": text, "status": status, "created_at": moment, "cost": optional(number)},
    ),
}
AGENTS: Mapping[str, Check] = {
    "agents": many({"name": text, "description": text, "config": an_object, "tools": many(text)}),
}
TOOLS: Mapping[str, Check] = {"tools": many({"name": text, "description": text, "schema": an_object})}
WORKFLOWS: Mapping[str, Check] = {
    "workflows": many(
        {
            "name": text,
            "description": text,
            "strategy": optional(text),
            "max_iterations": optional(whole),
            "steps": many({"name": text, "agent_type": optional(text), "description": text, "tools": many(text)}),
        }
    ),
}
CHANGE: Mapping[str, Check] = {
    "task_id": uuid,
    "status": status,
    "type": text,
    "output": optional(an_object),
    "error": optional(text),
    "updated_at": moment,
}
PROBLEM: Mapping[str, Check] = {
    "type": text,
    "title": text,
    "status": whole,
    "detail": text,
    "error_code": text,
    "instance": text,
}


def problem(answer: Any, status: int, *words: str) -> dict[str, Any]:
    """The problem document of the answer. It has that status, and a detail with these words."""
    assert answer.status_code == status, f"{answer.status_code}: {answer.text[:500]}"
    assert answer.headers["Content-Type"] == "application/problem+json"
    found: dict[str, Any] = answer.json()
    demand(found, PROBLEM)
    assert found["status"] == status
    for word in words:
        assert word in found["detail"], found["detail"]
    for fault in found.get("errors", []):
        demand(fault, {"pointer": text, "detail": text})
    return found


def pointers(found: Mapping[str, Any]) -> list[str]:
    return [fault["pointer"] for fault in found["errors"]]
