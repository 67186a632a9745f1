"""Retry and fork: new tasks that take over what another one has finished. The source is only read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from uuid_utils.compat import uuid7

from agentplat.contracts.interface import Rerun, Reuse
from agentplat.contracts.store import Definition, NewTask, Store, TaskRow
from agentplat.domain.errors import ConflictError, InputRejected
from agentplat.domain.events import Event, HistoryReused, encode
from agentplat.domain.ids import StepPath, TaskId
from agentplat.domain.json import JsonObject, JsonValue, dumps, unstorable
from agentplat.domain.task import TaskState
from agentplat.domain.workflow import Workflow
from agentplat.engine.client.reuse import Reused, reused
from agentplat.engine.client.submission import Door, value_fault
from agentplat.engine.definitions import Definitions
from agentplat.engine.edits import Edits
from agentplat.engine.history import fold

MAX_HISTORY_BYTES = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """The task that a retry or a fork makes, and what it takes over."""

    task: NewTask
    definition: Definition | None
    reuse: Reuse


async def planned(
    source: TaskRow, wanted: Rerun, *, fork: bool, store: Store, door: Door, known: Definitions
) -> Planned:
    """What comes of `wanted`. ConflictError, or InputRejected with all that does not fit.

    A retry of what is done, like anything from the empty path on, begins anew.
    """
    start, outputs = _checked(source, wanted, fork=fork)
    workflow = (await known.pinned(source.type, source.definition)).workflow
    newest, definition = door.pin(source.type) if wanted.newest else (None, None)
    anew = start == StepPath() or (not fork and start is None and source.status is TaskState.DONE)
    taken, given = Reused(), source.input
    if anew:
        given = door.checked_input(source.type, newest or workflow, wanted.input) if wanted.input is not None else given
    else:
        edits = Edits(start=start, input=wanted.input, outputs=outputs)
        taken = await _taken_over(source, workflow, edits, newest, store)
    marker = HistoryReused(source=str(source.id), source_seq=source.last_seq)
    history: Sequence[Event] = [marker, *taken.events] if taken.events else ()
    _refuse_too_much(source, history)
    return Planned(
        task=_task(source, wanted, given, history, definition.hash if definition else source.definition, fork=fork),
        definition=definition,
        reuse=Reuse(
            source=source.id,
            reused=tuple(map(str, taken.reused)),
            edited=tuple(map(str, taken.edited)),
            again=tuple(map(str, taken.again)),
            undecided=tuple(map(str, taken.undecided)),
            saved=taken.saved,
        ),
    )


def _checked(source: TaskRow, wanted: Rerun, *, fork: bool) -> tuple[StepPath | None, dict[StepPath, JsonValue]]:
    if not fork and not source.status.is_terminal:
        raise ConflictError(
            f"Task {source.id} is {source.status.value}. Only a task that has ended can be retried; cancel it first, "
            "or fork it."
        )
    wrong: list[tuple[str, str]] = []
    if not fork and (wanted.input is not None or wanted.outputs):
        wrong.append(("/input" if wanted.input is not None else "/outputs", "is for a fork: a retry edits nothing"))
    elif wanted.input is not None and wanted.start is None:
        wrong.append(("/from", "is missing: it says which step's input is another; the task's own has the empty path"))
    elif fork and wanted.start is None and not wanted.outputs:
        wrong.append(("/from", "is missing: say from which step on, or which outputs are to be others"))
    if wanted.start == "" and wanted.outputs:
        wrong.append(("/outputs", "are of steps that run again, from the empty path on"))
    faults = (
        value_fault(wanted.input, "/input"),
        value_fault(wanted.outputs, "/outputs"),
        unstorable(wanted.start, "/from"),
    )
    wrong += [fault for fault in faults if fault is not None]
    start = _path(wanted.start, "/from", wrong) if wanted.start is not None else None
    outputs = {_path(text, "/outputs", wrong): value for text, value in wanted.outputs.items()}
    if wrong:
        raise InputRejected("What is to be done differently", wrong)
    return start, outputs


def _path(text: str, pointer: str, wrong: list[tuple[str, str]]) -> StepPath:
    try:
        return StepPath.parse(text)
    except ValueError:
        wrong.append((pointer, f"{text!r} is no path: it is written as `draft`, `draft#2` or `polish#2/critique`"))
        return StepPath()


async def _taken_over(
    source: TaskRow, workflow: Workflow, edits: Edits, newest: Workflow | None, store: Store
) -> Reused:
    journal = await store.journal(source.id, limit=source.last_seq)
    if not journal:
        if edits.start is None and not edits.outputs:
            return Reused()
        raise ConflictError(
            f"The history of task {source.id} was not kept, so nothing of it can be reused. Without a step to begin "
            "from, a retry runs all of it again."
        )
    return reused(fold(workflow, journal, source.id, source.tenant), journal, edits, newest)


def _refuse_too_much(source: TaskRow, history: Sequence[Event]) -> None:
    size = sum(len(dumps(encode(event)[1])) for event in history)
    if size > MAX_HISTORY_BYTES:
        raise ConflictError(
            f"What would be taken over from task {source.id} has {size} bytes, more than {MAX_HISTORY_BYTES}. Begin "
            "earlier, or with an empty `from`, which runs all of it again."
        )


def _task(
    source: TaskRow, wanted: Rerun, given: JsonObject, history: Sequence[Event], definition: str | None, *, fork: bool
) -> NewTask:
    key = wanted.idempotency_key
    about = ["fork" if fork else "retry", str(source.id), wanted.start, wanted.input, wanted.outputs, wanted.newest]
    body = json.dumps(about, sort_keys=True, ensure_ascii=False).encode()
    return NewTask(
        id=TaskId(uuid7()),
        tenant=source.tenant,
        type=source.type,
        input=given,
        trace_id=source.trace_id,
        user_hash=source.user_hash,
        definition=definition,
        retry_of=None if fork else source.id,
        forked_from=source.id if fork else None,
        history=history,
        queue=source.queue,
        concurrency_key=source.concurrency_key,
        concurrency_limit=source.concurrency_limit,
        priority=source.priority,
        idempotency_key=key,
        fingerprint=hashlib.sha256(body).hexdigest() if key is not None else None,
        actor=source.user_hash or "anonymous",
    )
