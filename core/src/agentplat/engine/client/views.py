"""What a reader sees of a task, folded from its journal."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID, uuid5

from agentplat.contracts.interface import StepView, TaskView, WorkflowStateView
from agentplat.contracts.store import NewTask, TaskRow
from agentplat.domain.ids import TaskId
from agentplat.domain.interpreter import ROOT
from agentplat.domain.json import JsonValue
from agentplat.domain.state import BlockState, Execution, Phase, State
from agentplat.domain.task import TaskState
from agentplat.domain.usage import NO_USAGE
from agentplat.domain.workflow import ITEM, AgentCall, Approval, Block, Emit, Step, ToolCall, WorkflowCall

_WORKFLOW_STATES = UUID("6f1f6f0a-52a7-4a39-9f0e-0c2f3f7b8d11")

_STATUS = {
    Phase.RUNNING: TaskState.RUNNING,
    Phase.CANCELLING: TaskState.RUNNING,
    Phase.INTERRUPTED: TaskState.PENDING,
    Phase.BACKING_OFF: TaskState.WAITING,
    Phase.WAITING: TaskState.WAITING,
    Phase.DISPATCHED: TaskState.WAITING,
    Phase.RECALLED: TaskState.WAITING,
    Phase.SUCCEEDED: TaskState.DONE,
    Phase.SKIPPED: TaskState.CANCELLED,  # it will not run: of the six words this one is true
    Phase.FAILED: TaskState.ERROR,
    Phase.CANCELLED: TaskState.CANCELLED,
}


def task_view(row: TaskRow, state: State | None = None) -> TaskView:
    """The task; with its steps and workflow state where `state` is given and the task is a workflow."""
    shown = state if row.type.startswith("workflow:") else None
    executions = shown.executions.values() if shown else ()
    return TaskView(
        id=row.id,
        type=row.type,
        status=row.status,
        input=row.input,
        output=row.output,
        failure=row.failure,
        created_at=row.created_at,
        updated_at=row.updated_at,
        tenant=row.tenant,
        user_hash=row.user_hash,
        trace_id=row.trace_id,
        usage=row.usage,
        cancel_requested=row.cancel_requested,
        reason=row.reason,
        retry_of=row.retry_of,
        forked_from=row.forked_from,
        parent=row.parent.id if row.parent is not None else None,
        parent_step=row.parent.path if row.parent is not None else None,
        steps=tuple(step_view(row.id, shown, e, row.created_at) for e in executions) if shown else (),
        workflow_state=_workflow_state(row, shown) if shown else None,
    )


def accepted_row(new: NewTask, at: datetime) -> TaskRow:
    """The task's row as it is when it has just been accepted, without reading it."""
    return TaskRow(
        id=new.id,
        tenant=new.tenant,
        type=new.type,
        status=TaskState.PENDING,
        input=new.input,
        output=None,
        failure=None,
        definition=new.definition,
        user_hash=new.user_hash,
        trace_id=new.trace_id,
        usage=NO_USAGE,
        created_at=at,
        updated_at=at,
        cancel_requested=False,
        reason=None,
        queue=new.queue,
        concurrency_key=new.concurrency_key,
        concurrency_limit=new.concurrency_limit,
        priority=new.priority,
        retry_of=new.retry_of,
        forked_from=new.forked_from,
        parent=None,
        fence=0,
        worker_id=None,
        last_seq=1,
    )


def step_view(task_id: TaskId, state: State, execution: Execution, at: datetime) -> StepView:
    """One execution as its readers see it. `at` stands for times that the state does not know."""
    kind, target = _target(state.node(execution.path))
    return StepView(
        id=execution.id,
        task_id=task_id,
        path=str(execution.path),
        kind=kind,
        target=target,
        iteration=execution.path.number,
        attempt=execution.attempt,
        status=_STATUS[execution.phase],
        input=execution.input,
        output=execution.output if execution.phase is Phase.SUCCEEDED else None,
        failure=execution.failure,
        usage=execution.usage,
        created_at=execution.started_at or at,
        updated_at=execution.updated_at or at,
        reused=execution.reused,
        child=execution.child,
    )


def _target(node: Step | Block) -> tuple[str, str]:
    if isinstance(node, Block):
        return "block", node.name
    match node.body:
        case AgentCall(agent):
            return "agent", agent
        case ToolCall(tool):
            return "tool", tool
        case WorkflowCall(workflow):
            return "workflow", workflow
        case Approval():
            return "approval", node.name
        case Emit():
            return "emit", node.body.event
        case _:
            return "wait", node.name


def _workflow_state(row: TaskRow, state: State) -> WorkflowStateView:
    root = state.blocks.get(ROOT)
    children = root.children if root is not None else ()
    return WorkflowStateView(
        id=uuid5(_WORKFLOW_STATES, str(row.id)),
        task_id=row.id,
        workflow=state.workflow.name,
        iteration=max((path.number for path in children if path.step[0] != "@"), default=0),
        max_iterations=state.workflow.root.max_iterations,
        current=_current(row, state),
        outputs=_outputs(state),
        tenant=row.tenant,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def _current(row: TaskRow, state: State) -> str:
    if row.status.is_terminal:
        return "completed" if row.status is TaskState.DONE else row.status.value
    under_way = [str(e.path.step) for e in state.executions.values() if e.phase.is_open]
    return under_way[0] if under_way else row.status.value


def _outputs(state: State) -> dict[str, JsonValue]:
    """The latest output of each step, by its name; a step of a nested block by its path without numbers.

    Items are left out: their step has the outputs of all of them.
    """
    children: list[Execution | BlockState] = [*state.executions.values()]
    children += [block for block in state.blocks.values() if ITEM in block.started]
    return {
        "/".join(name for name, _ in child.path): child.output
        for child in children
        if child.phase is Phase.SUCCEEDED and not any(name == ITEM for name, _ in child.path)
    }
