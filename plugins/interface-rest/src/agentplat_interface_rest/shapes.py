"""From what the Client gives to what the wire has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agentplat import CostSummary, Reuse, StepView, TaskView, Usage, Why, WorkflowStateView
from agentplat import Failure as TaskFailure
from agentplat_interface_rest import models


def dollars(cost: int | None) -> float | None:
    """Micro-USD as dollars; null stays null."""
    return None if cost is None else cost / 1_000_000


def task(view: TaskView) -> models.Task:
    """The task, with subtasks and workflow state where the view has them."""
    return models.Task(
        id=view.id,
        type=view.type,
        status=view.status,
        input=dict(view.input),
        output=None if view.output is None else dict(view.output),
        error=view.failure.message if view.failure else None,
        failure=_failure(view.failure),
        created_at=view.created_at,
        updated_at=view.updated_at,
        user_id_hash=view.user_hash,
        tenant_id=view.tenant,
        generation_id=view.trace_id,
        subtasks=[_subtask(step) for step in view.steps],
        workflow_state=_workflow_state(view.workflow_state) if view.workflow_state else None,
        cancel_requested=view.cancel_requested,
        reason=view.reason,
        retry_of=view.retry_of,
        forked_from=view.forked_from,
        parent=view.parent,
        parent_step=view.parent_step,
        **_costs(view.usage),
    )


def _costs(usage: Usage) -> dict[str, Any]:
    return {
        "model_used": usage.model,
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "total_cost": dollars(usage.cost),
    }


def _failure(failure: TaskFailure | None) -> models.Failure | None:
    if failure is None:
        return None
    return models.Failure(
        code=failure.code.value,
        message=failure.message,
        retryable=failure.retryable,
        details=dict(failure.details),
    )


def _subtask(step: StepView) -> models.Subtask:
    return models.Subtask(
        id=step.id,
        parent_task_id=step.task_id,
        agent_type=step.target,
        iteration=step.iteration,
        status=step.status,
        input=step.input,
        output=_as_object(step.output),
        error=step.failure.message if step.failure else None,
        failure=_failure(step.failure),
        name=step.path,
        kind=step.kind,
        attempt=step.attempt,
        reused=step.reused,
        child=step.child,
        created_at=step.created_at,
        updated_at=step.updated_at,
        **_costs(step.usage),
    )


def _as_object(output: Any) -> dict[str, Any] | None:
    """An agent's scalar becomes `{"result": ...}`."""
    if output is None or isinstance(output, Mapping):
        return None if output is None else dict(output)
    return {"result": output}


def _workflow_state(state: WorkflowStateView) -> models.WorkflowState:
    return models.WorkflowState(
        id=state.id,
        parent_task_id=state.task_id,
        workflow_type=state.workflow,
        current_iteration=state.iteration,
        max_iterations=state.max_iterations,
        current_state=state.current,
        outputs=dict(state.outputs),
        tenant_id=state.tenant,
        created_at=state.created_at,
        updated_at=state.updated_at,
    )


def why(view: Why) -> models.Why:
    """Why a task stands where it stands."""
    return models.Why(
        task_id=view.task_id,
        code=view.code,
        sentence=view.sentence,
        at=view.at,
        until=view.until,
        details=dict(view.details),
        steps=[
            models.Reason(
                path=step.path, code=step.code, sentence=step.sentence, until=step.until, details=dict(step.details)
            )
            for step in view.steps
        ],
    )


def reuse(quote: Reuse) -> models.Reuse:
    """What is reused, and what runs again."""
    return models.Reuse(
        source=quote.source,
        reused=list(quote.reused),
        edited=list(quote.edited),
        again=list(quote.again),
        undecided=list(quote.undecided),
        saved=models.Saved(
            input_tokens=quote.saved.input_tokens,
            output_tokens=quote.saved.output_tokens,
            total_cost=dollars(quote.saved.cost),
        ),
    )


def known_cost(summary: CostSummary) -> float | None:
    """The sum of the costs that are known; null when none is, and there are tasks."""
    if summary.tasks and summary.unknown == summary.tasks:
        return None
    return dollars(summary.cost)


def average_cost(summary: CostSummary) -> float | None:
    """The average of the costs that are known; null when none is, and there are tasks."""
    known = summary.tasks - summary.unknown
    if summary.tasks and not known:
        return None
    return summary.cost / max(known, 1) / 1_000_000


def change(view: TaskView) -> dict[str, Any]:
    """One message of the WebSocket."""
    shaped = task(view).model_dump(mode="json", include={"status", "type", "output", "error", "updated_at"})
    return {"task_id": str(view.id), **shaped}
