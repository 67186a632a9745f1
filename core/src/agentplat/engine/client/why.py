"""Why a task stands where it stands: pure, over its row, its place in the queue and its state."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from agentplat.contracts.store import TaskRow
from agentplat.contracts.why import Reason, Standing, Why
from agentplat.domain.events import CancelRequested, Recorded, StepSkipped
from agentplat.domain.failure import Failure, FailureCode
from agentplat.domain.json import JsonValue
from agentplat.domain.state import BlockState, Execution, Phase, State
from agentplat.domain.task import TaskState
from agentplat.domain.workflow import Block

_NAMED = 3
"""So many steps are named in the sentence; all of them are in the facts."""
_ENDS = {FailureCode.POISONED: "poisoned", FailureCode.TIMEOUT: "timed_out"}


def why(row: TaskRow, standing: Standing, state: State | None, journal: Sequence[Recorded]) -> Why:
    """Why. `state` is what `journal` adds up to; None where none was kept."""
    steps = [*_reasons(state, journal)] if state is not None else []
    if row.status.is_terminal:
        return _over(row, standing, state, steps)
    if row.status is TaskState.RUNNING:
        return _owned(row, standing, steps)
    if row.status is TaskState.WAITING:
        return _waiting(row, standing, steps)
    return _pending(row, standing, steps)


# --- the whole task


def _over(row: TaskRow, standing: Standing, state: State | None, steps: Sequence[Reason]) -> Why:
    at = f"{row.updated_at:%Y-%m-%d %H:%M:%S} UTC"
    if row.status is TaskState.DONE:
        return _why(row, standing, "done", f"It is done since {at}.", steps)
    failure = row.failure or Failure(code=FailureCode.AGENT_FAILED, message="Nobody said why.")
    details: dict[str, JsonValue] = {"failure": failure.to_json()}
    if row.status is TaskState.CANCELLED:
        stop = state.stop if state is not None else None
        by = f"the request said {stop.reason!r}" if isinstance(stop, CancelRequested) else failure.message
        return _why(row, standing, "cancelled", f"It was cancelled at {at}: {by}.".replace("..", "."), steps, details)
    failed = [step for step in steps if step.code == "failed"]
    where = f" in step {failed[0].path!r}" if failed else ""
    if failed:
        details["step"] = failed[0].path
    sentence = f"It ended at {at} with the error `{failure.code.value}`{where}: {failure.message}"
    # A step's timeout is a failure like others; without a failed step it was the whole task's.
    code = "failed" if failed and failure.code is FailureCode.TIMEOUT else _ENDS.get(failure.code, "failed")
    return _why(row, standing, code, sentence, steps, details)


def _owned(row: TaskRow, standing: Standing, steps: Sequence[Reason]) -> Why:
    owner = next((worker for worker in standing.workers if worker.id == row.worker_id), None)
    named = f"Worker {owner.host}:{owner.pid}" if owner is not None else "A worker"
    details: dict[str, JsonValue] = {"worker": str(row.worker_id)}
    said = _said([step for step in steps if step.code not in ("skipped", "failed")])
    if row.cancel_requested:
        sentence = f"It was asked to cancel, and {named[0].lower() + named[1:]} ends what runs.{said}"
        return _why(row, standing, "cancelling", sentence, steps, details)
    return _why(row, standing, "running", f"{named} works on it.{said}", steps, details)


def _waiting(row: TaskRow, standing: Standing, steps: Sequence[Reason]) -> Why:
    waits = [step for step in steps if step.code not in ("skipped", "failed", "needs")]
    until = min((step.until for step in waits if step.until is not None), default=standing.run_at)
    sentence = f"It waits, and holds no worker.{_said(waits)}"
    return _why(row, standing, "waiting", sentence, steps, until=until)


def _pending(row: TaskRow, standing: Standing, steps: Sequence[Reason]) -> Why:
    serving = [worker for worker in standing.workers if row.queue in (worker.queues or (row.queue,))]
    details: dict[str, JsonValue] = {"queue": row.queue, "workers": len(serving)}
    if standing.poisoned:
        sentence = f"It is given up: {standing.crashes} workers died while they ran it alone. The next sweep ends it."
        return _why(row, standing, "crashed", sentence, steps, {**details, "crashes": standing.crashes})
    if standing.run_at is not None and standing.run_at > standing.now:
        at = f"{standing.run_at:%Y-%m-%d %H:%M:%S} UTC"
        if standing.reason is not None:
            sentence = f"A worker handed it back: {standing.reason}. It is offered again at {at}."
            return _why(
                row, standing, "handed_back", sentence, steps, {**details, "reason": standing.reason}, standing.run_at
            )
        return _why(row, standing, "delayed", f"It may begin at {at}, not before.", steps, details, standing.run_at)
    if not serving:
        others = sorted({queue for worker in standing.workers for queue in worker.queues})
        known = f"those that run serve {', '.join(map(repr, others))}" if others else "none runs at all"
        sentence = f"No worker serves the queue {row.queue!r}: {known}."
        return _why(row, standing, "no_worker", sentence, steps, {**details, "served": others})
    if standing.limit is not None:
        sentence = f"It {standing.limit}."
        return _why(row, standing, "limited", sentence, steps, {**details, "limit": standing.limit})
    if standing.suspect:
        sentence = "A worker died with a step of it under way. It runs alone, as soon as a worker has nothing else."
        return _why(row, standing, "suspect", sentence, steps, {**details, "crashes": standing.crashes})
    if standing.reason is not None:
        sentence = f"A worker handed it back: {standing.reason}. It is offered again now."
        return _why(row, standing, "handed_back", sentence, steps, {**details, "reason": standing.reason})
    workers = "the one worker" if len(serving) == 1 else f"one of {len(serving)} workers"
    sentence = f"It waits for its turn: for {workers} of the queue {row.queue!r} to have room, after what is before it."
    return _why(row, standing, "turn", sentence, steps, {**details, "priority": row.priority})


def _why(
    row: TaskRow,
    standing: Standing,
    code: str,
    sentence: str,
    steps: Sequence[Reason],
    details: Mapping[str, JsonValue] | None = None,
    until: datetime | None = None,
) -> Why:
    return Why(
        task_id=row.id,
        code=code,
        sentence=sentence,
        at=standing.now,
        until=until,
        details=details or {},
        steps=tuple(steps),
    )


def _said(steps: Sequence[Reason]) -> str:
    named = "".join(f" {step.sentence}" for step in steps[:_NAMED])
    return named if len(steps) <= _NAMED else f"{named} So do {len(steps) - _NAMED} more steps."


# --- its steps


def _reasons(state: State, journal: Sequence[Recorded]) -> Iterator[Reason]:
    skipped = {
        recorded.event.path: recorded.event.reason for recorded in journal if isinstance(recorded.event, StepSkipped)
    }
    for execution in state.executions.values():
        reason = _of_step(execution)
        if reason is not None:
            yield reason
        elif execution.path in skipped:
            because = skipped[execution.path]
            sentence = f"Step {str(execution.path)!r} was skipped: {because}."
            yield Reason(path=str(execution.path), code="skipped", sentence=sentence, details={"reason": because})
    if state.finished is None:
        for block in state.blocks.values():
            yield from _not_begun(state, block)


def _of_step(execution: Execution) -> Reason | None:
    path, until = str(execution.path), _until(execution)
    due = f" until {until:%Y-%m-%d %H:%M:%S} UTC" if until is not None else ""
    match execution.phase:
        case Phase.RUNNING | Phase.CANCELLING:
            ending = ", and was told to end" if execution.phase is Phase.CANCELLING else ""
            sentence = f"Step {path!r} runs, attempt {execution.attempt}{ending}."
            return Reason(path=path, code="running", sentence=sentence, details={"attempt": execution.attempt})
        case Phase.INTERRUPTED:
            return Reason(path=path, code="interrupted", sentence=f"Step {path!r} runs again with the next owner.")
        case Phase.BACKING_OFF:
            return _retry(execution, until)
        case Phase.DISPATCHED | Phase.RECALLED:
            ending = ", which was told to end" if execution.phase is Phase.RECALLED else ""
            sentence = f"Step {path!r} waits for the child task {execution.child}, attempt {execution.attempt}{ending}."
            child: dict[str, JsonValue] = {"task": str(execution.child), "attempt": execution.attempt}
            return Reason(path=path, code="child", sentence=sentence, details=child)
        case Phase.WAITING if execution.signal is not None:
            sentence = f"Step {path!r} waits for the signal {execution.signal!r}{due}."
            return Reason(
                path=path, code="signal", sentence=sentence, until=until, details={"signal": execution.signal}
            )
        case Phase.WAITING if execution.approval is not None:
            asked = execution.approval
            of = f" of {asked['assignee']}" if asked.get("assignee") else ""
            sentence = f"Step {path!r} waits for an approval{of}{due}: {asked.get('message')}"
            details = {"message": asked.get("message"), "assignee": asked.get("assignee")}
            return Reason(path=path, code="approval", sentence=sentence, until=until, details=details)
        case Phase.WAITING:
            return Reason(path=path, code="timer", sentence=f"Step {path!r} waits{due}.", until=until)
        case Phase.FAILED if execution.failure is not None:
            failure = execution.failure
            sentence = f"Step {path!r} failed with `{failure.code.value}`: {failure.message}"
            return Reason(path=path, code="failed", sentence=sentence, details={"failure": failure.to_json()})
        case _:
            return None


def _retry(execution: Execution, until: datetime | None) -> Reason:
    path, failure = str(execution.path), execution.failure
    after = f" after `{failure.code.value}` ({failure.message})" if failure is not None else ""
    at = f" at {until:%Y-%m-%d %H:%M:%S} UTC" if until is not None else ""
    return Reason(
        path=path,
        code="retry",
        sentence=f"Step {path!r} is tried again{at}: try {execution.try_number}{after}.",
        until=until,
        details={"try": execution.try_number, "failure": failure.to_json() if failure is not None else None},
    )


def _until(execution: Execution) -> datetime | None:
    if execution.until is not None:
        return datetime.fromisoformat(execution.until)
    if execution.delay is None or execution.updated_at is None:
        return None
    return execution.updated_at + timedelta(seconds=execution.delay)


def _not_begun(state: State, block: BlockState) -> Iterator[Reason]:
    """The steps that wait for others of their block, as far as the document says so."""
    node = state.node(block.path)
    if not block.phase.is_open or not isinstance(node, Block):
        return
    for name, needs in node.needed.items():
        missing = [need for need in needs if need not in block.latest]
        if name not in block.started and missing:
            path = str(block.path.child(name, 1))
            sentence = f"Step {path!r} waits for {', '.join(map(repr, missing))}."
            yield Reason(path=path, code="needs", sentence=sentence, details={"needs": list(missing)})
