"""Accepting a task: everything is checked at the door, then committed in one transaction."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace

from uuid_utils.compat import uuid7

from agentplat import telemetry
from agentplat.contracts.interface import Submission
from agentplat.contracts.store import NewTask, Store, Submitted
from agentplat.domain.errors import AgentplatError, InputRejected
from agentplat.domain.ids import TaskId
from agentplat.domain.json import JsonObject, JsonValue, unstorable
from agentplat.engine.catalog import Catalog
from agentplat.engine.client.identity import Caller, HashUser, recognise
from agentplat.engine.definitions import Definitions, split_type
from agentplat.engine.steps.invocation import input_faults
from agentplat.language.schema import faults, with_defaults

DEFAULT_TENANT = "default"
MAX_INPUT_BYTES = 1024 * 1024
_MAX_PRIORITY = 1_000_000


async def submit(
    submission: Submission,
    *,
    store: Store,
    catalog: Catalog,
    definitions: Definitions,
    hash_user: HashUser,
) -> Submitted:
    """The task that was made, or the first one of the same idempotency key.

    Raises UnknownName, InputRejected, WorkflowInvalid, IdempotencyMismatch.
    """
    wrong = _faults(submission)
    if wrong:
        raise InputRejected("The submission", wrong)
    caller = recognise(submission, hash_user)
    workflow, definition = definitions.pin(catalog, submission.type)
    if workflow.input_schema is not None:
        caller = replace(caller, input=with_defaults(workflow.input_schema, caller.input))
        wrong = faults(workflow.input_schema, caller.input)
    else:
        wrong = _misfits(catalog, submission.type, caller.input)
    if wrong:
        raise InputRejected(f"The input of {submission.type}", [(f"/input{at}", reason) for at, reason in wrong])
    task = _new_task(submission, caller, definition.hash if definition else None)
    [submitted] = await store.submit([task], [definition] if definition else [])
    if submitted.created:
        telemetry.TASKS_SUBMITTED.labels(split_type(submission.type)[0]).inc()
    return submitted


def _faults(submission: Submission) -> list[tuple[str, str]]:
    inner_tenant = submission.input.get("tenant_id")
    texts = {
        "/type": submission.type,
        "/user_id": submission.user,
        "/tenant_id": submission.tenant,
        "/input/tenant_id": inner_tenant if isinstance(inner_tenant, str) else None,
        "/idempotency_key": submission.idempotency_key,
    }
    wrong = [(pointer, "is longer than 255 characters") for pointer, text in texts.items() if text and len(text) > 255]
    wrong += [(pointer, fault[1]) for pointer, text in texts.items() if (fault := unstorable(text)) is not None]
    if abs(submission.priority) > _MAX_PRIORITY:
        wrong.append(("/priority", f"is not between -{_MAX_PRIORITY} and {_MAX_PRIORITY}"))
    if not 0 <= submission.delay <= 366 * 86_400:
        wrong.append(("/delay", "is not between 0 seconds and a year"))
    found = value_fault(submission.input, "/input")
    return wrong if found is None else [*wrong, found]


def value_fault(value: JsonValue, pointer: str) -> tuple[str, str] | None:
    """Where and why a value from a client cannot be kept, or is larger than 1 MiB; None when it is welcome."""
    found = unstorable(value, pointer)
    if found is None and len(_canonical(value)) > MAX_INPUT_BYTES:
        return pointer, f"is larger than {MAX_INPUT_BYTES} bytes"
    return found


def _misfits(catalog: Catalog, type: str, given: JsonObject) -> list[tuple[str, str]]:
    """What the agent or tool would refuse. Nothing where it cannot be loaded: its worker says why."""
    kind, name = split_type(type)
    if kind == "workflow":
        return []
    try:
        capability = catalog.agent(name) if kind == "agent" else catalog.tool(name)
    except AgentplatError:
        return []
    return input_faults(capability, given)


def _new_task(submission: Submission, caller: Caller, definition: str | None) -> NewTask:
    key = caller.idempotency_key
    tenant = caller.tenant or DEFAULT_TENANT
    body: JsonObject = {
        "type": submission.type,
        "input": caller.input,
        "user": caller.user_hash,
        "priority": submission.priority,
        "delay": submission.delay,
    }
    return NewTask(
        id=TaskId(uuid7()),
        tenant=tenant,
        type=submission.type,
        input=caller.input,
        trace_id=caller.trace_id,
        parent_span=caller.parent_span,
        user_hash=caller.user_hash,
        definition=definition,
        priority=submission.priority,
        delay=submission.delay,
        idempotency_key=key,
        fingerprint=hashlib.sha256(_canonical(body)).hexdigest() if key is not None else None,
        actor=caller.user_hash or "anonymous",
    )


def _canonical(value: JsonValue) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


CatalogSource = Callable[[], Catalog]
"""The generation that is current now: a reload swaps it."""
