"""One example for every shape and every problem; the OpenAPI document shows them where they belong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agentplat_interface_rest.problems import UNAVAILABLE, problem_body

_TASK_ID = "01a20908-d67f-76ae-969d-267b07477882"
_OTHER_ID = "01a20908-d680-7b11-8e05-5f3c60a2f4d1"
_STEP_ID = "01a20908-d87c-7707-84ab-4099af1eac4f"
_TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
_HASH = "b81a922c012fc029128d91b2f7ef55cd6f0c6aa3ddc87acdeb5877df53912b49"
_TYPE = "workflow:simple_sequential"
_INPUT = {"topic": "How are leases fenced?"}
_RESEARCH = {"topic": "How are leases fenced?", "findings": "Every write carries its fence [1].", "sources": ["a.md"]}
_SUMMARY = {"summary": "Every write carries its fence.", "key_points": ["A stale write is refused."]}
_BEGAN, _ENDED = "2026-11-23T15:31:43.882000Z", "2026-11-23T15:31:45.229000Z"
_SCHEDULE = {
    "target": "simple_sequential",
    "cron": "0 7 * * 1-5",
    "timezone": "Europe/Copenhagen",
    "input": _INPUT,
    "catch_up": "last",
}
_TIMES = {"created_at": _BEGAN, "updated_at": _ENDED}
_COSTS = {"model_used": "openai:gpt-4o-mini", "input_tokens": 386, "output_tokens": 51, "total_cost": 0.000089}
_FREE = {"model_used": None, "input_tokens": 0, "output_tokens": 0, "total_cost": 0.0}


def _subtask(id: str, name: str, agent: str, input: Any, output: Any, costs: Any) -> dict[str, Any]:
    return {
        "id": id,
        "parent_task_id": _TASK_ID,
        "agent_type": agent,
        "iteration": 1,
        "status": "done",
        "input": input,
        "output": output,
        "error": None,
        "failure": None,
        "name": name,
        "kind": "agent",
        "attempt": 1,
        "reused": False,
        "child": None,
        **_TIMES,
        **costs,
    }


_TASK = {
    "id": _TASK_ID,
    "type": _TYPE,
    "status": "done",
    "input": _INPUT,
    "output": _SUMMARY,
    "error": None,
    "failure": None,
    **_TIMES,
    "user_id_hash": _HASH,
    "tenant_id": "acme",
    **_COSTS,
    "generation_id": _TRACE_ID,
    "subtasks": [
        _subtask(_STEP_ID, "conduct_research", "research", _INPUT, _RESEARCH, _COSTS),
        _subtask("01a20908-db4b-7649-aa77-99b3ebcbe362", "summarize", "summarizer", _RESEARCH, _SUMMARY, _FREE),
    ],
    "workflow_state": {
        "id": "c5997c0f-b114-58aa-b389-8d470a2fa9a5",
        "parent_task_id": _TASK_ID,
        "workflow_type": "simple_sequential",
        "current_iteration": 1,
        "max_iterations": 1,
        "current_state": "completed",
        "state_data": {"conduct_research": _RESEARCH, "summarize": _SUMMARY},
        "tenant_id": "acme",
        **_TIMES,
    },
    "cancel_requested": False,
    "reason": None,
    "retry_of": None,
    "forked_from": None,
    "parent": None,
    "parent_step": None,
}
_USER_COSTS = {
    "total_tasks": 3,
    "total_input_tokens": 1158,
    "total_output_tokens": 153,
    "total_cost": 0.000267,
    "unknown_cost_tasks": 0,
    "note": None,
}
_TEXT_SCHEMA = {
    "type": "object",
    "properties": {"expression": {"type": "string", "description": "What to compute."}},
    "required": ["expression"],
}

_PLACED: Mapping[str, Any] = {
    "type": _TYPE,
    "input": _INPUT,
    "tenant_id": "acme",
    "queue": "reports",
    "concurrency_key": "crm",
    "priority": 5,
    "run_at": "2026-12-01T06:00:00Z",
}
_WORKFLOW = "name: shorten\nstrategy: sequential\nsteps:\n  - {name: shorten, agent: summarizer}\n"
EXAMPLES: Mapping[str, Mapping[str, Any]] = {
    "TaskIn": {"type": _TYPE, "input": _INPUT, "user_id": "ada@example.org", "tenant_id": "acme"},
    "AwaitedTaskIn": {**_PLACED, "user_id": "ada@example.org", "wait": 10},
    "BatchIn": {"tasks": [{**_PLACED, "idempotency_key": "report-1"}, {**_PLACED, "idempotency_key": "report-2"}]},
    "Batch": {"tasks": [{"id": _TASK_ID, "created": True}, {"id": _OTHER_ID, "created": False}]},
    "LimitIn": {"at_once": 3, "starts": 60, "seconds": 60},
    "Limit": {
        "tenant_id": "acme",
        "key": "crm",
        "at_once": 3,
        "starts": 60,
        "seconds": 60,
        "weight": None,
        "running": 3,
        "started": 17,
        "full_since": _BEGAN,
    },
    "AgentTaskIn": {"agent_type": "summarizer", "input": {"description": "A long text."}, "user_id": None},
    "ToolTaskIn": {"tool_name": "calculator", "input": {"expression": "6 * 7"}},
    "TaskPatch": {"status": "error", "error": "Ended by the operator."},
    "Task": _TASK,
    "WorkflowIn": {"text": _WORKFLOW},
    "SimulationIn": {"input": _INPUT, "outputs": {"research": _RESEARCH}, "fail": ["summarize=timeout:2"], "seed": 7},
    "Checked": {
        "valid": False,
        "diagnostics": [
            {
                "line": 4,
                "column": 12,
                "code": "unknown_agent",
                "detail": "there is no agent `sumarizer` (did you mean?)",
            }
        ],
    },
    "WorkflowFile": {
        "name": "shorten",
        "text": _WORKFLOW,
        "etag": _HASH,
        "hash": _HASH,
        "editable": True,
        "diagnostics": [],
    },
    "WorkflowVersion": {"hash": _HASH, "version": "2", "since": _BEGAN, "current": True},
    "Difference": {"diff": "--- shorten@b81a922c012f\n+++ shorten@cf0c6aa3ddc8\n"},
    "AnswerIn": {"step": "sign_off", "answers": {"comment": "Well done."}, "user_id": "ada@example.org"},
    "Approval": {
        "task_id": _TASK_ID,
        "task_type": "workflow:publish_article",
        "tenant_id": "acme",
        "step": "sign_off",
        "message": "Publish this?",
        "assignee": "role:editor",
        "form": {"type": "object", "properties": {"comment": {"type": "string"}}, "required": ["comment"]},
        "since": _BEGAN,
        "until": None,
    },
    "Why": {
        "task_id": _TASK_ID,
        "code": "waiting",
        "sentence": "It waits, and holds no worker. Step 'answer' waits for the signal 'paid'.",
        "at": _BEGAN,
        "until": None,
        "details": {},
        "steps": [
            {
                "path": "answer",
                "code": "signal",
                "sentence": "Step 'answer' waits for the signal 'paid'.",
                "until": None,
                "details": {"signal": "paid"},
            }
        ],
    },
    "RetryIn": {"from": "summarize", "newest": False},
    "ForkIn": {"from": "summarize", "input": {"text": "Every write carries its fence."}},
    "Reuse": {
        "source": _OTHER_ID,
        "reused": ["conduct_research"],
        "edited": [],
        "again": ["summarize"],
        "undecided": [],
        "saved": {"input_tokens": 386, "output_tokens": 51, "total_cost": 0.000089},
    },
    "SignalIn": {"name": "paid", "payload": {"amount": 12}},
    "Signal": {"task_id": _TASK_ID, "name": "paid", "key": "payment-4711", "created": True},
    "Steered": {
        "id": _TASK_ID,
        "type": _TYPE,
        "status": "running",
        "cancel_requested": True,
        "retry_of": None,
        "forked_from": None,
        **_TIMES,
    },
    "UserCosts": _USER_COSTS,
    "CostTotals": {
        "unique_users": 2,
        "total_tasks": 4,
        "total_cost": 0.000356,
        "avg_cost_per_task": 0.000089,
        "unknown_cost_tasks": 0,
    },
    "Usage": {
        **_USER_COSTS,
        "user_id_hash": _HASH,
        "recent_tasks": [
            {"id": _TASK_ID, "type": _TYPE, "status": "done", "created_at": _BEGAN, "cost": 0.000089},
        ],
    },
    "Agents": {"agents": [{"name": "summarizer", "description": "Shortens a text.", "config": {}, "tools": []}]},
    "Tools": {"tools": [{"name": "calculator", "description": "Computes.", "schema": _TEXT_SCHEMA}]},
    "Workflows": {
        "workflows": [
            {
                "name": "simple_sequential",
                "description": "Research, then a summary.",
                "strategy": "sequential",
                "max_iterations": None,
                "steps": [
                    {"name": "conduct_research", "agent_type": "research", "description": "", "tools": ["web_search"]},
                    {"name": "summarize", "agent_type": "summarizer", "description": "", "tools": []},
                ],
                "fault": None,
            }
        ]
    },
    "Plugin": {
        "name": "agent-summarizer",
        "version": "0.1.0",
        "distribution": "agentplat-agent-summarizer",
        "state": "active",
        "reason": None,
        "offers": {"agents": ["summarizer"]},
    },
    "JournalEvent": {"seq": 1, "at": _BEGAN, "kind": "task_submitted", "content": {"type": _TYPE, "input": _INPUT}},
    "ScheduleIn": _SCHEDULE,
    "Schedule": {
        "name": "morning",
        "tenant_id": "default",
        **_SCHEDULE,
        "catch_up_limit": 100,
        "source": "api",
        "paused": False,
        "next_at": "2026-11-24T06:00:00Z",
        "upcoming": ["2026-11-24T06:00:00Z", "2026-11-25T06:00:00Z"],
        "last_at": "2026-11-23T06:00:00Z",
        "last_task_id": _TASK_ID,
        "fault": None,
        "updated_at": _BEGAN,
    },
    "BackfillIn": {"from": "2026-11-21T00:00:00Z", "to": "2026-11-22T23:59:00Z"},
    "Backfill": {"times": [{"at": "2026-11-21T06:00:00Z", "task_id": _TASK_ID, "created": True}]},
    "Health": {"status": "healthy", "database": "connected", "websocket_connections": 0},
}
"""By the name of the shape."""

PROBLEMS: Mapping[int, tuple[str, str]] = {
    400: ("unknown_name", "Agent 'sumarizer' not found. Available agents: assessment, research, summarizer."),
    404: ("not_found", f"There is no task {_TASK_ID}."),
    409: ("conflict", f"Task {_TASK_ID} changed hands 10 times while it was being cancelled. Try again."),
    412: ("version_conflict", f"Workflow 'shorten' has changed meanwhile: its text is {_HASH} now."),
    413: ("body_too_large", "The body is larger than 1048576 bytes. Send less, or a reference to where the rest is."),
    415: ("not_json", "The body has to be JSON, with the header Content-Type: application/json."),
    422: ("input_rejected", "The request does not fit: /input is not an object."),
    501: ("not_installed", "Nothing that is installed here offers the analysis 'graph'. Install agentplat-analysis."),
    503: ("store_unavailable", UNAVAILABLE),
}
"""By status: code and detail."""


def problem_example(status: int) -> dict[str, Any]:
    """What that status says, for example."""
    errors = [("/input", "is not an object")] if status == 422 else []
    return problem_body(status, *PROBLEMS[status], "/tasks", errors)
