"""Approvals: which are open, and somebody's answer to one. The first answer wins, in the task's inbox."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from uuid import UUID

from uuid_utils.compat import uuid7

from agentplat.contracts.approvals import Answer, ApprovalView
from agentplat.contracts.store import Store, TaskRow
from agentplat.domain.errors import ConflictError, InputRejected
from agentplat.domain.events import Recorded
from agentplat.domain.ids import StepPath, TaskId
from agentplat.domain.json import JsonObject, unstorable
from agentplat.domain.state import Execution, Phase, State
from agentplat.engine.client.identity import ANONYMOUS, HashUser
from agentplat.engine.client.submission import value_fault
from agentplat.engine.definitions import Definitions
from agentplat.engine.history import fold
from agentplat.engine.inbox import answer as answer_item
from agentplat.engine.timers import due_times
from agentplat.language.schema import faults, with_defaults

_PAGE = 100


class Approvals:
    """One per client."""

    def __init__(self, store: Store, definitions: Definitions, hash_user: HashUser) -> None:
        self._store = store
        self._definitions = definitions
        self._hash_user = hash_user

    async def open(
        self, tenant: str | None, assignee: str | None, before: UUID | None, limit: int
    ) -> Sequence[ApprovalView]:
        """Those of the newest tasks first, of tasks older than `before`; whole tasks, so perhaps a few more."""
        found: list[ApprovalView] = []
        while len(found) < limit:
            size = _PAGE if assignee is not None else min(limit - len(found), _PAGE)
            page = await self._store.asking(before=before, tenant=tenant, limit=size)
            journals = await self._store.journals([row.id for row in page])
            for row in page:
                views = await self._asked(row, journals[row.id])
                found += [view for view in views if assignee is None or view.assignee == assignee]
                if len(found) >= limit:
                    break
            if len(page) < size:
                break
            before = page[-1].id
        return found

    async def answer(self, task_id: TaskId, given: Answer) -> ApprovalView:
        """The approval that was answered.

        NotFound for an unknown task; ConflictError when the approval is not open, or not any more, or when it is not
        said which of several is meant; InputRejected when the answers do not fit the form.
        """
        wrong = [fault for fault in (value_fault(given.answers, "/answers"), unstorable(given.by, "/user_id")) if fault]
        if wrong:
            raise InputRejected("The answer", wrong)
        approval = _chosen(task_id, await self._of(task_id), given.path)
        answers = _fitting(approval, given)
        by = None if given.by is None or given.by.strip().lower() == ANONYMOUS else self._hash_user(given.by)
        item = answer_item(
            uuid7(), task_id, StepPath.parse(approval.path), approved=given.approved, by=by, answers=answers
        )
        if not await self._store.tell(item):
            raise _answered(task_id, approval.path)
        return approval

    async def _of(self, task_id: TaskId) -> Sequence[ApprovalView]:
        row = await self._store.task(task_id)
        if row.status.is_terminal:
            return ()
        return await self._asked(row, await self._store.journal(row.id, limit=row.last_seq))

    async def _asked(self, row: TaskRow, journal: Sequence[Recorded]) -> Sequence[ApprovalView]:
        pinned = await self._definitions.pinned(row.type, row.definition)
        return list(_views(row, fold(pinned.workflow, journal, row.id, row.tenant)))


def _views(row: TaskRow, state: State) -> Iterator[ApprovalView]:
    due = {timer.path: at for timer, at in due_times(state) if isinstance(timer, Execution)}
    for path, execution in state.executions.items():
        if execution.phase is not Phase.WAITING or execution.approval is None or execution.answered:
            continue
        asked = execution.approval
        form, assignee = asked.get("form"), asked.get("assignee")
        yield ApprovalView(
            task_id=row.id,
            task_type=row.type,
            tenant=row.tenant,
            path=str(path),
            message=str(asked.get("message") or ""),
            assignee=assignee if isinstance(assignee, str) else None,
            form=form if isinstance(form, dict) else None,
            since=execution.updated_at or row.updated_at,
            until=due.get(path),
        )


def _chosen(task_id: TaskId, views: Sequence[ApprovalView], path: str | None) -> ApprovalView:
    open_ones = ", ".join(repr(view.path) for view in views) or "none"
    fitting = [view for view in views if path is None or view.path == path]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise ConflictError(f"Task {task_id} asks several things: say which `step` is answered. Open are {open_ones}.")
    if path is None:
        raise ConflictError(f"Task {task_id} asks nothing, or nothing any more.")
    raise ConflictError(f"Task {task_id} asks nothing at {path[:200]!r}, or nothing any more. Open are {open_ones}.")


def _fitting(approval: ApprovalView, given: Answer) -> JsonObject:
    """The answers with the form's defaults. Whoever rejects need not fill the form in."""
    if approval.form is None:
        wrong = [("", "is given, but the approval has no form")] if given.answers else []
        answers = given.answers
    else:
        answers = with_defaults(approval.form, given.answers)
        wrong = faults(approval.form, answers) if given.approved else []
    reserved = [(f"/{name}", "is said by the answer itself") for name in ("approved", "by") if name in given.answers]
    if wrong or reserved:
        raise InputRejected("The answer", [(f"/answers{at}", reason) for at, reason in (*wrong, *reserved)])
    return answers


def _answered(task_id: TaskId, path: str) -> ConflictError:
    return ConflictError(f"The approval {path!r} of task {task_id} was answered already; the first answer stays.")
