"""Accepting a task: everything is checked at the door, then committed in one transaction."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from uuid_utils.compat import uuid7

from agentplat import telemetry
from agentplat.contracts.interface import Submission
from agentplat.contracts.store import Definition, NewTask, Store, Submitted
from agentplat.domain.errors import AgentplatError, InputRejected, UsageError
from agentplat.domain.ids import TaskId
from agentplat.domain.json import JsonObject, JsonValue, in_utc, unstorable
from agentplat.domain.workflow import Workflow
from agentplat.engine.catalog import Catalog
from agentplat.engine.client.identity import Caller, HashUser, recognise
from agentplat.engine.definitions import Definitions, split_type
from agentplat.engine.steps.invocation import input_faults
from agentplat.language.schema import MOST_FAULTS, faults, with_defaults

DEFAULT_TENANT = "default"
MAX_INPUT_BYTES = 1024 * 1024
MOST_AT_ONCE = 1000
_MAX_PRIORITY = 1_000_000


class Door:
    """Where submissions come in. One for a moment: what a type needs is looked up once."""

    def __init__(self, catalog: Catalog, definitions: Definitions, hash_user: HashUser) -> None:
        self._catalog = catalog
        self._definitions = definitions
        self._hash_user = hash_user
        self._pinned: dict[str, tuple[Workflow, Definition | None]] = {}

    def sent(self, submission: Submission) -> NewTask:
        """The task as it was sent, which nobody has let in yet. Raises InputRejected for what no task could have."""
        wrong = _faults(submission)
        if wrong:
            raise InputRejected("The submission", wrong)
        return _new_task(submission, recognise(submission, self._hash_user))

    def let_in(self, sent: NewTask) -> tuple[NewTask, Definition | None]:
        """The task to be made. Raises UnknownName, InputRejected, WorkflowInvalid."""
        workflow, definition = self.pin(sent.type)
        given = self.checked_input(sent.type, workflow, sent.input)
        return replace(sent, input=given, definition=definition.hash if definition else None), definition

    def checked_input(self, type: str, workflow: Workflow, given: JsonObject) -> JsonObject:
        """The input with its defaults. InputRejected when the workflow, agent or tool does not take it."""
        if workflow.input_schema is not None:
            given = with_defaults(workflow.input_schema, given)
            wrong = faults(workflow.input_schema, given)
        else:
            wrong = _misfits(self._catalog, type, given)
        if wrong:
            raise InputRejected(f"The input of {type}", [(f"/input{at}", reason) for at, reason in wrong])
        return given

    def pin(self, type: str) -> tuple[Workflow, Definition | None]:
        """What a new task of that type is worked on by. Raises UnknownName, WorkflowInvalid."""
        if type not in self._pinned:
            self._pinned[type] = self._definitions.pin(self._catalog, type)
        return self._pinned[type]


async def submit(submission: Submission, door: Door, store: Store) -> tuple[NewTask, Submitted]:
    """What was submitted, and the task that was made, or the first one of the same idempotency key.

    Raises UnknownName, InputRejected, WorkflowInvalid, IdempotencyMismatch.
    """
    task, definition, submitted = await _admitted(submission, door, store)
    if submitted is None:
        [submitted] = await store.submit([task], [definition] if definition else [])
        _count([(task, submitted)])
    return task, submitted


async def submit_all(submissions: Sequence[Submission], door: Door, store: Store) -> Sequence[Submitted]:
    """For each the task that was made, or the first one of the same idempotency key: all, or none is kept.

    Raises InputRejected for whatever is wrong with any of them, IdempotencyMismatch.
    """
    if not 1 <= len(submissions) <= MOST_AT_ONCE:
        count = f"has {len(submissions)} tasks, not 1 to {MOST_AT_ONCE}"
        raise InputRejected("The batch", [("/tasks", count)])
    tasks: list[NewTask] = []
    repeated: dict[int, Submitted] = {}
    definitions: dict[str, Definition] = {}
    wrong: list[tuple[str, str]] = []
    for number, submission in enumerate(submissions):
        try:
            task, definition, first = await _admitted(submission, door, store)
        except InputRejected as error:
            wrong += [(f"/tasks/{number}{pointer}", reason) for pointer, reason in error.faults]
        except UsageError as error:  # of the type: an unknown name, or a workflow that cannot be used
            wrong.append((f"/tasks/{number}/type", error.detail))
        else:
            if first is not None:
                repeated[number] = first
                continue
            tasks.append(task)
            if definition is not None:
                definitions[definition.hash] = definition
        if len(wrong) >= MOST_FAULTS:
            break
    if wrong:
        raise InputRejected("The batch", wrong[:MOST_FAULTS])
    submitted = await store.submit(tasks, list(definitions.values()))
    _count(zip(tasks, submitted, strict=True))
    made = iter(submitted)
    return [repeated[number] if number in repeated else next(made) for number in range(len(submissions))]


async def _admitted(
    submission: Submission, door: Door, store: Store
) -> tuple[NewTask, Definition | None, Submitted | None]:
    """The task to be made. Where the door refuses it: the first one of the same key and body, if there is one.

    That one was let in, by what was deployed then; who repeats its request did not hear so.
    """
    sent = door.sent(submission)
    try:
        return *door.let_in(sent), None
    except UsageError:
        first = await store.repeated(sent) if sent.idempotency_key is not None else None
        if first is None:
            raise
        return sent, None, first


def _count(made: Iterable[tuple[NewTask, Submitted]]) -> None:
    kinds = Counter(split_type(task.type)[0] for task, submitted in made if submitted.created)
    for kind, number in kinds.items():
        telemetry.TASKS_SUBMITTED.labels(kind).inc(number)


def _faults(submission: Submission) -> list[tuple[str, str]]:
    inner_tenant = submission.input.get("tenant_id")
    texts = {
        "/type": submission.type,
        "/user_id": submission.user,
        "/tenant_id": submission.tenant,
        "/input/tenant_id": inner_tenant if isinstance(inner_tenant, str) else None,
        "/idempotency_key": submission.idempotency_key,
        "/queue": submission.queue,
        "/concurrency_key": submission.concurrency_key,
    }
    wrong = text_faults(texts)
    if abs(submission.priority) > _MAX_PRIORITY:
        wrong.append(("/priority", f"is not between -{_MAX_PRIORITY} and {_MAX_PRIORITY}"))
    if not 0 <= submission.delay <= 366 * 86_400:
        wrong.append(("/delay", "is not between 0 seconds and a year"))
    wrong += _time_faults("/run_at", submission.run_at)
    wrong += [(f"/{name}", "is empty") for name in ("queue", "concurrency_key") if getattr(submission, name) == ""]
    found = value_fault(submission.input, "/input")
    return wrong if found is None else [*wrong, found]


def _time_faults(pointer: str, time: datetime | None) -> list[tuple[str, str]]:
    if time is None:
        return []
    if time.tzinfo is None:
        return [(pointer, "has no time zone")]
    try:
        in_utc(time)
    except ValueError as error:
        return [(pointer, str(error))]
    return []


def text_faults(texts: Mapping[str, str | None]) -> list[tuple[str, str]]:
    """Which of the texts, by their pointers, are too long for a name, or cannot be kept."""
    wrong = [(pointer, "is longer than 255 characters") for pointer, text in texts.items() if text and len(text) > 255]
    return wrong + [(pointer, fault[1]) for pointer, text in texts.items() if (fault := unstorable(text)) is not None]


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


def _new_task(submission: Submission, caller: Caller) -> NewTask:
    key = caller.idempotency_key
    tenant = caller.tenant or DEFAULT_TENANT
    body: JsonObject = {
        "type": submission.type,
        "input": caller.input,
        "user": caller.user_hash,
        "queue": submission.queue,
        "concurrency_key": submission.concurrency_key,
        "priority": submission.priority,
        "delay": submission.delay,
        "run_at": submission.run_at.isoformat() if submission.run_at else None,
    }
    return NewTask(
        id=TaskId(uuid7()),
        tenant=tenant,
        type=submission.type,
        input=caller.input,
        trace_id=caller.trace_id,
        parent_span=caller.parent_span,
        user_hash=caller.user_hash,
        queue=submission.queue,
        concurrency_key=submission.concurrency_key,
        priority=submission.priority,
        delay=submission.delay,
        run_at=submission.run_at,
        idempotency_key=key,
        fingerprint=hashlib.sha256(_canonical(body)).hexdigest() if key is not None else None,
        actor=caller.user_hash or "anonymous",
    )


def _canonical(value: JsonValue) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


CatalogSource = Callable[[], Catalog]
"""The generation that is current now: a reload swaps it."""
