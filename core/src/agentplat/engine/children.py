"""Steps that are tasks of their own: what they are made of, and what keeps one from being made."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from agentplat.contracts.limits import Limit
from agentplat.contracts.store import Claim, Definition, NewTask, Store
from agentplat.contracts.stored.children import Parent
from agentplat.domain.commands import DispatchChild, StartStep
from agentplat.domain.events import ChildDispatched, Event, StepCancelRequested, StepFailed
from agentplat.domain.failure import Failure, FailureCode
from agentplat.domain.ids import StepPath, TaskId
from agentplat.domain.interpreter import ROOT
from agentplat.domain.json import dumps
from agentplat.domain.state import Execution, Phase, State
from agentplat.domain.workflow import AgentCall, Workflow, WorkflowCall
from agentplat.engine.definitions import Pinned, pinned_step
from agentplat.engine.journal import patiently
from agentplat.language.schema import faults, with_defaults

MAX_DEPTH = 10
"""So many tasks may be above one: a workflow that calls itself ends here at the latest."""
_DECLARED_FOR = 600.0
"""Seconds after which a limit is declared again; the store forgets it only much later."""

Declared: TypeAlias = dict[tuple[str, str], tuple[int, float]]
"""Of tenant and key: the limit, and when it was declared. Shared by all owners of a process."""


@dataclass(slots=True)
class Children:
    """What one owner has dispatched in the turn that is being decided."""

    claim: Claim
    pinned: Pinned
    declared: Declared
    end: Callable[[TaskId, str], Awaitable[None]]
    """Tell a child to end, and why; returns when it knows."""

    tasks: list[NewTask] = field(default_factory=list)
    definitions: dict[str, Definition] = field(default_factory=dict)
    limits: dict[str, int] = field(default_factory=dict)  # by key
    any: bool = False  # whether there are any, or were
    _untold: list[Execution] = field(default_factory=list)  # whose children are to be told to end
    recalled: dict[StepPath, asyncio.Task[None]] = field(default_factory=dict)  # those that are being told to end

    def resume(self, state: State, told: Callable[[], None]) -> None:
        """Whether the last owner came to tell those that are to end, nobody knows: they are told once more."""
        for execution in state.executions.values():
            if execution.phase.has_child:
                self.any = True
                if execution.phase is Phase.RECALLED:
                    self._untold.append(execution)
        self.tell(told)

    def forsake(self, state: State) -> None:
        """Their parent ends as it stands in `state`, and does not wait for them: all that is left is to tell them."""
        self.clear()
        self._untold = [execution for execution in state.executions.values() if execution.phase.has_child]

    async def settle(self) -> None:
        """Wait until all know that are being told to end."""
        await asyncio.gather(*self.recalled.values(), return_exceptions=True)

    def clear(self) -> None:
        """Begin a turn."""
        self.tasks, self.definitions, self.limits, self._untold = [], {}, {}, []

    def dispatch(
        self, starts: Sequence[StartStep | DispatchChild], events: Sequence[Event], first_seq: int
    ) -> Sequence[StepFailed]:
        """Make a task of each dispatch among `starts`, whose events those are; the failures of what cannot be one."""
        commands = [start for start in starts if isinstance(start, DispatchChild)]
        said = [(event, seq) for seq, event in enumerate(events, first_seq) if isinstance(event, ChildDispatched)]
        refused: list[StepFailed] = []
        for command, (event, seq) in zip(commands, said, strict=True):
            self.any = True
            made = self._made(command, event, seq)
            if isinstance(made, str):
                failure = Failure(code=FailureCode.INVALID_INPUT, message=made)
                refused.append(StepFailed(path=event.path, attempt=event.attempt, failure=failure))
            else:
                self.tasks.append(made)
        return refused

    def note(self, state: State, events: Sequence[Event]) -> None:
        """Remember which children are to be told to end, when the events are committed."""
        for event in events:
            if isinstance(event, StepCancelRequested) and event.path not in self.recalled:
                execution = state.executions[event.path]
                if execution.phase is Phase.RECALLED:
                    self._untold.append(execution)

    @property
    def are_ending(self) -> bool:
        """Whether some are being told to end, or are to be: until they know, their parent is kept."""
        return bool(self._untold or self.recalled)

    def tell(self, told: Callable[[], None]) -> None:
        """Let those end that are to; `told` is called for each when it knows."""
        for execution in self._untold:
            self._recall(execution, told)
        self._untold = []

    def _recall(self, execution: Execution, told: Callable[[], None]) -> None:
        assert execution.child is not None
        path, child = execution.path, TaskId(execution.child)
        reason = f"the task {self.claim.lease.task_id}, of which it is a step, needs it no more"

        async def tell() -> None:
            try:
                await self.end(child, reason)
            finally:
                del self.recalled[path]
                told()

        self.recalled[path] = asyncio.create_task(tell())

    async def declare(self, store: Store) -> None:
        """Let the store know of the limits of these tasks, before they are there."""
        tenant = self.claim.tenant
        for key, at_once in self.limits.items():
            known = self.declared.get((tenant, key))
            if known is None or known[0] != at_once or time.monotonic() - known[1] > _DECLARED_FOR:
                limit = Limit(tenant=tenant, key=key, at_once=at_once)
                await patiently(lambda limit=limit: store.declare_limit(limit))  # type: ignore[misc]
                self.declared[tenant, key] = (at_once, time.monotonic())

    def _made(self, command: DispatchChild, event: ChildDispatched, seq: int) -> NewTask | str:
        """The task, or why there is none."""
        claim = self.claim
        depth = 1 + (claim.parent.depth if claim.parent is not None else 0)
        if depth > MAX_DEPTH:
            return f"{MAX_DEPTH} tasks are above this step already, each a step of the one before. End the recursion."
        body, given, deadline = command.body, command.input, None
        definition: str | None
        if isinstance(body, WorkflowCall):
            kind, name, definition = "workflow", body.workflow, claim.definition
            if body.workflow not in self.pinned.workflows:
                return f"The workflow {body.workflow!r} was not known when the task was submitted."
            schema = self.pinned.workflows[body.workflow]
            given = with_defaults(schema, given) if schema is not None else given
            if wrong := faults(schema, given) if schema is not None else ():
                return _misfit(body.workflow, wrong)
            deadline = command.timeout.total_seconds() if command.timeout is not None else None
        else:
            kind, name = ("agent", body.agent) if isinstance(body, AgentCall) else ("tool", body.tool)
            definition = self._alone(kind, name, command)
        if command.concurrency_key is not None and command.limit is not None:
            self.limits[command.concurrency_key] = command.limit
        path, attempt = str(command.path), command.attempt
        return NewTask(
            id=TaskId(event.execution_id),
            tenant=claim.tenant,
            type=f"{kind}:{name}",
            input=given,
            trace_id=claim.trace_id,
            parent_span=claim.parent_span,
            user_hash=claim.user_hash,
            definition=definition,
            parent=Parent(id=claim.lease.task_id, path=path, attempt=attempt, seq=seq, depth=depth, deadline=deadline),
            queue=command.queue or claim.queue,
            concurrency_key=command.concurrency_key,
            concurrency_limit=command.limit,
            priority=claim.priority,
            actor=claim.user_hash or "anonymous",
        )

    def _alone(self, kind: str, name: str, command: DispatchChild) -> str:
        """What an agent's or tool's task is pinned to: the step without its retries, which are this task's."""
        definition = pinned_step(kind, name, command.body, command.timeout, self.pinned)
        self.definitions[definition.hash] = definition
        return definition.hash


def deadlines(claim: Claim, workflow: Workflow) -> Iterator[float]:
    """So many seconds after its submission the task is to be over."""
    if workflow.deadline is not None:
        yield workflow.deadline.total_seconds()
    if claim.parent is not None and claim.parent.deadline is not None:
        yield claim.parent.deadline


def outcome(claim: Claim, state: State) -> str | None:
    """What a parent is told of an agent or tool: what that gave, where clients read an object around it."""
    if state.finished is None or state.finished.status != "done" or claim.type.startswith("workflow:"):
        return None
    return dumps(state.blocks[ROOT].output)


def _misfit(workflow: str, wrong: Sequence[tuple[str, str]]) -> str:
    reasons = "; ".join(f"/input{at} {reason}" for at, reason in wrong[:5])
    return f"The workflow {workflow!r} does not take this input: {reasons}."
