"""The Client of interfaces, over a store in this process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

from agentplat.contracts.approvals import Answer, ApprovalView
from agentplat.contracts.firing import ScheduleStore
from agentplat.contracts.interface import (
    Accepted,
    CostSummary,
    Description,
    JournalView,
    Rerun,
    Reuse,
    Submission,
    TaskChange,
    TaskFilter,
    TaskView,
)
from agentplat.contracts.limits import Limit, LimitRow
from agentplat.contracts.specs import Subject
from agentplat.contracts.store import TaskRow
from agentplat.contracts.versions import WorkflowFile, WorkflowVersion
from agentplat.contracts.why import Why
from agentplat.domain.errors import InputRejected, NotFound
from agentplat.domain.events import encode
from agentplat.domain.ids import TaskId
from agentplat.domain.json import JsonObject, JsonValue
from agentplat.domain.state import State
from agentplat.domain.task import TaskState
from agentplat.engine.catalog import Catalog
from agentplat.engine.client import steering
from agentplat.engine.client.again import Planned, planned
from agentplat.engine.client.approvals import Approvals
from agentplat.engine.client.describe import describe_agents, describe_tools, describe_workflows
from agentplat.engine.client.identity import ANONYMOUS, HashUser
from agentplat.engine.client.limits import refuse_nonsense
from agentplat.engine.client.news import Ends, News
from agentplat.engine.client.schedules.files import keep_to_files
from agentplat.engine.client.schedules.steering import Schedules
from agentplat.engine.client.submission import Door, submit, submit_all, value_fault
from agentplat.engine.client.versions import Versions
from agentplat.engine.client.views import accepted_row, task_view
from agentplat.engine.client.why import why
from agentplat.engine.definitions import Definitions, analysed
from agentplat.engine.history import fold

_FEED_PAUSE = 0.25  # seconds between two looks for changes that no hint told of
_FEED_BREATH = 0.02  # and at least so many between two looks that were hinted at
_FEED_OVERLAP = timedelta(seconds=5)
"""How far each look goes back: commits may become visible in another order than their times."""
_FEED_PAGE = 500
_AS_IT_WAS = Rerun()
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


class LocalClient:
    """One per process. See `agentplat.contracts.interface.Client` for what each method promises."""

    def __init__(
        self,
        store: ScheduleStore,
        catalog: Callable[[], Catalog],
        definitions: Definitions,
        *,
        hash_user: HashUser,
        plugins: Callable[[], Sequence[Description]],
        development: bool,
        project: Path | None = None,
        reload: Callable[[], None] = lambda: None,
    ) -> None:
        self._store = store
        self._catalog = catalog
        self._definitions = definitions
        self._hash_user = hash_user
        self._plugins = plugins
        self._development = development
        self._approvals = Approvals(store, definitions, hash_user)
        self._ends = Ends(store)
        self._versions = Versions(store, catalog, definitions, project, reload)
        self.schedules = Schedules(store, self._door, hash_user)

    @property
    def development(self) -> bool:
        return self._development

    async def submit(self, submission: Submission) -> TaskView:
        new, submitted = await submit(submission, self._door(), self._store)
        if submitted.at is None or new.concurrency_key is not None:
            return await self.task(submitted.task_id)  # another one, or one that a limit may hold back
        row = accepted_row(new, submitted.at)
        if not new.type.startswith("workflow:"):
            return task_view(row)
        return task_view(row, State(workflow=(await self._definitions.pinned(row.type, row.definition)).workflow))

    async def submit_all(self, submissions: Sequence[Submission]) -> Sequence[Accepted]:
        submitted = await submit_all(submissions, self._door(), self._store)
        return [Accepted(id=each.task_id, created=each.created) for each in submitted]

    def _door(self) -> Door:
        return Door(self._catalog(), self._definitions, self._hash_user)

    async def task(self, task_id: UUID) -> TaskView:
        row = await self._store.task(TaskId(task_id))
        if not row.type.startswith("workflow:"):
            return task_view(row)
        pinned = await self._definitions.pinned(row.type, row.definition)
        # Up to where the row was read, so that status and steps are of one moment.
        journal = await self._store.journal(row.id, limit=row.last_seq)
        return task_view(row, fold(pinned.workflow, journal, row.id, row.tenant))

    async def ended(self, task_id: UUID, seconds: float) -> TaskView:
        row = await self._store.task(TaskId(task_id))
        if not row.status.is_terminal and seconds > 0:
            await self._ends.awaited(row.id, seconds)
        return await self.task(task_id)

    async def tasks(self, filter: TaskFilter) -> Sequence[TaskView]:
        return [task_view(row) for row in await self._store.tasks(filter)]

    async def journal(self, task_id: UUID, after: int = 0) -> Sequence[JournalView]:
        await self._store.task(TaskId(task_id))
        recorded = await self._store.journal(TaskId(task_id), after)
        views = []
        for entry in recorded:
            kind, content = encode(entry.event)
            views.append(JournalView(seq=entry.seq, at=entry.at, kind=kind, content=content))
        return views

    async def why(self, task_id: UUID) -> Why:
        row = await self._store.task(TaskId(task_id))
        standing = await self._store.standing(row.id)
        pinned = await self._definitions.pinned(row.type, row.definition)
        journal = await self._store.journal(row.id, limit=row.last_seq)
        state = fold(pinned.workflow, journal, row.id, row.tenant) if journal else None
        return why(row, standing, state, journal)

    async def cancel(self, task_id: UUID) -> TaskView:
        await steering.cancel(
            TaskId(task_id), "on request", store=self._store, definitions=self._definitions, catalog=self._catalog()
        )
        return await self.task(task_id)

    async def retry(self, task_id: UUID, wanted: Rerun = _AS_IT_WAS) -> TaskView:
        return await self._again(await self._planned(task_id, wanted, fork=False))

    async def fork(self, task_id: UUID, wanted: Rerun) -> TaskView:
        return await self._again(await self._planned(task_id, wanted, fork=True))

    async def quote(self, task_id: UUID, wanted: Rerun, *, fork: bool) -> Reuse:
        return (await self._planned(task_id, wanted, fork=fork, quote=True)).reuse

    async def _planned(self, task_id: UUID, wanted: Rerun, *, fork: bool, quote: bool = False) -> Planned:
        source, door = await self._store.task(TaskId(task_id)), self._door()
        return await planned(
            source, wanted, fork=fork, quote=quote, store=self._store, door=door, known=self._definitions
        )

    async def _again(self, plan: Planned) -> TaskView:
        if plan.task.concurrency_key is not None and plan.task.concurrency_limit is not None:
            # It was forgotten if no task had its key for long, and what a workflow limits, a retry does as well.
            limit = Limit(tenant=plan.task.tenant, key=plan.task.concurrency_key, at_once=plan.task.concurrency_limit)
            await self._store.declare_limit(limit)
        [submitted] = await self._store.submit([plan.task], [plan.definition] if plan.definition else [])
        return await self.task(submitted.task_id)

    async def signal(self, task_id: UUID, name: str, payload: JsonValue, key: str) -> bool:
        return await steering.signal(TaskId(task_id), name, payload, key, store=self._store)

    async def approvals(
        self, *, tenant: str | None = None, assignee: str | None = None, before: UUID | None = None, limit: int = 100
    ) -> Sequence[ApprovalView]:
        return await self._approvals.open(tenant, assignee, before, limit)

    async def answer(self, task_id: UUID, given: Answer) -> ApprovalView:
        return await self._approvals.answer(TaskId(task_id), given)

    async def administer(
        self, task_id: UUID, *, status: TaskState, output: JsonObject | None = None, error: str | None = None
    ) -> TaskView:
        fault = value_fault(output, "/output") or value_fault(error, "/error")
        if fault is not None:
            raise InputRejected("The change", [fault])
        await steering.administer(TaskId(task_id), status, output, error, store=self._store)
        return await self.task(task_id)

    async def costs(self, user_hash: str | None = None) -> CostSummary:
        return await self._store.costs(user_hash=user_hash)

    async def limits(self, tenant: str | None = None, key: str | None = None) -> Sequence[LimitRow]:
        return await self._store.limits(tenant, key)

    async def set_limit(self, limit: Limit) -> None:
        refuse_nonsense(limit)
        await self._store.set_limit(limit, ANONYMOUS)

    async def remove_limit(self, tenant: str, key: str = "") -> None:
        if not await self._store.remove_limit(tenant, key, ANONYMOUS):
            named = f"for the key {key!r} of the tenant {tenant!r}" if key else f"for the tenant {tenant!r}"
            raise NotFound(f"There is no limit {named}. `agentplat limits list` shows those that there are.")

    def agents(self) -> Sequence[Description]:
        return describe_agents(self._catalog())

    def tools(self) -> Sequence[Description]:
        return describe_tools(self._catalog())

    def workflows(self) -> Sequence[Description]:
        return describe_workflows(self._catalog(), self._definitions)

    def workflow_file(self, name: str) -> WorkflowFile:
        return self._versions.read(name)

    def check_workflow(self, text: str) -> Sequence[str]:
        return self._versions.check(text)

    async def workflow_analysis(
        self, analysis: str, workflow: str | None = None, options: JsonObject | None = None
    ) -> JsonValue:
        return await self._versions.analysis(analysis, workflow, options or {})

    async def task_analysis(self, analysis: str, task_id: UUID) -> JsonValue:
        row = await self._store.task(TaskId(task_id))
        pinned = await self._definitions.pinned(row.type, row.definition)
        subject = Subject(file=row.type, workflow=pinned.workflow)
        return await asyncio.to_thread(analysed, self._catalog(), analysis, subject)

    async def put_workflow(self, name: str, text: str, expected: str | None) -> WorkflowFile:
        file = await self._versions.put(name, text, expected)
        await keep_to_files(self._store, self._catalog(), self._definitions)
        return file

    async def workflow_versions(self, name: str) -> Sequence[WorkflowVersion]:
        return await self._versions.history(name)

    async def workflow_diff(self, name: str, before: str | None = None, after: str | None = None) -> str:
        return await self._versions.difference(name, before, after)

    def plugins(self) -> Sequence[Description]:
        return self._plugins()

    @asynccontextmanager
    async def changes(self) -> AsyncIterator[AsyncIterator[TaskChange]]:
        newest = await self._store.changes(None, 1)
        since = newest[-1].updated_at if newest else None
        told = {row.id: row.updated_at for row in await self._news(since)} if since else {}
        yield self._changes_after(since, told)

    async def _changes_after(self, since: datetime | None, told: dict[TaskId, datetime]) -> AsyncIterator[TaskChange]:
        news = News(self._store)
        try:
            while True:
                rows = await self._news(since)
                for row in rows:
                    if told.get(row.id) != row.updated_at:
                        told[row.id] = row.updated_at
                        yield TaskChange(task=task_view(row), seq=row.last_seq)
                if rows:
                    since = max(row.updated_at for row in rows)
                    told = {task_id: at for task_id, at in told.items() if at > since - 2 * _FEED_OVERLAP}
                await asyncio.sleep(_FEED_BREATH)
                await news.awaited(_FEED_PAUSE)
        finally:
            news.close()

    async def _news(self, since: datetime | None) -> Sequence[TaskRow]:
        """Every task that changed since shortly before `since`, in the order of the changes."""
        place = (since - _FEED_OVERLAP, UUID(int=0)) if since is not None else (_BEGINNING, UUID(int=0))
        rows: list[TaskRow] = []
        while True:
            page = await self._store.changes(place, _FEED_PAGE)
            rows.extend(page)
            if len(page) < _FEED_PAGE:
                return rows
            place = (page[-1].updated_at, page[-1].id)

    async def ping(self) -> None:
        await self._store.ping()
