"""What the worker tells the outside after each commit: logs, metrics, observers."""

from __future__ import annotations

from collections.abc import Sequence

from agentplat import telemetry
from agentplat.contracts.interface import TaskChange, TaskView
from agentplat.contracts.store import Claim, Committed
from agentplat.domain.events import (
    Event,
    StepCancelled,
    StepFailed,
    StepStarted,
    StepSucceeded,
    TaskClaimed,
    TaskFinished,
)
from agentplat.domain.state import State
from agentplat.domain.task import TaskState
from agentplat.engine.client.views import step_view
from agentplat.plugins.observers import Observers


class Watcher:
    """The `Watch` of `agentplat.engine.ownership`: never raises, since observers are called with care."""

    def __init__(self, observers: Observers) -> None:
        self._observers = observers

    def __call__(self, claim: Claim, state: State, events: Sequence[Event], committed: Committed) -> None:
        if telemetry.is_logged("info"):
            _log(claim, events)
        if self._observers.watches_tasks and any(isinstance(event, TaskClaimed | TaskFinished) for event in events):
            self._observers.task_changed(TaskChange(task=_view(claim, state, committed), seq=state.seq))
        if self._observers.watches_steps:
            self._tell_steps(claim, state, events, committed)

    def _tell_steps(self, claim: Claim, state: State, events: Sequence[Event], committed: Committed) -> None:
        for event in events:
            if isinstance(event, StepStarted | StepSucceeded | StepFailed | StepCancelled):
                execution = state.executions[event.path]
                self._observers.step_changed(step_view(claim.lease.task_id, state, execution, committed.at))


def _log(claim: Claim, events: Sequence[Event]) -> None:
    log = telemetry.about(task_id=claim.lease.task_id, tenant=claim.tenant, trace_id=claim.trace_id)
    for event in events:
        match event:
            case TaskClaimed():
                log.info(telemetry.TASK_CLAIMED, type=claim.type, fence=event.fence)
            case StepSucceeded() | StepFailed() | StepCancelled():
                code = event.failure.code.value if isinstance(event, StepFailed) else None
                log.info(telemetry.STEP_SETTLED, path=str(event.path), attempt=event.attempt, failure=code)
            case TaskFinished():
                code = event.failure.code.value if event.failure else None
                log.info(telemetry.TASK_CLOSED, type=claim.type, status=event.status, failure=code)
            case _:
                continue


def _view(claim: Claim, state: State, committed: Committed) -> TaskView:
    finished = state.finished
    return TaskView(
        id=claim.lease.task_id,
        type=claim.type,
        status=TaskState(finished.status) if finished else TaskState.RUNNING,
        input=state.input,
        output=finished.output if finished else None,
        failure=finished.failure if finished else None,
        created_at=claim.submitted_at,
        updated_at=committed.at,
        tenant=claim.tenant,
        user_hash=None,
        trace_id=claim.trace_id,
        usage=state.usage,
        parent=claim.parent.id if claim.parent is not None else None,
        parent_step=claim.parent.path if claim.parent is not None else None,
    )
