"""The way to tasks: the database of this folder, with a worker of its own where one is needed, or a running server."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, redirect_stdout
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar
from uuid import UUID

from agentplat import (
    Answer,
    ApprovalView,
    JournalView,
    JsonValue,
    Limit,
    LimitRow,
    Rerun,
    Reuse,
    ScheduleClient,
    Submission,
    TaskFilter,
    TaskView,
    UnavailableError,
    Why,
    WorkflowVersion,
)

if TYPE_CHECKING:
    from agentplat.runtime.app import Platform
    from agentplat.runtime.cli.own_worker import OwnWorker
    from agentplat.runtime.settings import Settings

T = TypeVar("T")
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 0.5
PATIENCE = 30.0  # seconds for which a database or a server may be away while a task is waited for


class Tasks(Protocol):
    """What of the Client is used here; a server offers the same."""

    @property
    def schedules(self) -> ScheduleClient: ...

    async def submit(self, submission: Submission) -> TaskView: ...

    async def task(self, task_id: UUID) -> TaskView: ...

    async def tasks(self, filter: TaskFilter) -> Sequence[TaskView]: ...

    async def journal(self, task_id: UUID, after: int = 0) -> Sequence[JournalView]: ...

    async def why(self, task_id: UUID) -> Why: ...

    async def cancel(self, task_id: UUID) -> TaskView: ...

    async def retry(self, task_id: UUID, wanted: Rerun) -> TaskView: ...

    async def fork(self, task_id: UUID, wanted: Rerun) -> TaskView: ...

    async def quote(self, task_id: UUID, wanted: Rerun, *, fork: bool) -> Reuse: ...

    async def signal(self, task_id: UUID, name: str, payload: JsonValue, key: str) -> bool: ...

    async def workflow_versions(self, name: str) -> Sequence[WorkflowVersion]: ...

    async def workflow_diff(self, name: str, before: str | None = None, after: str | None = None) -> str: ...

    async def approvals(
        self, *, tenant: str | None = None, assignee: str | None = None, before: UUID | None = None, limit: int = 100
    ) -> Sequence[ApprovalView]: ...

    async def answer(self, task_id: UUID, given: Answer) -> ApprovalView: ...

    async def limits(self, tenant: str | None = None, key: str | None = None) -> Sequence[LimitRow]: ...

    async def set_limit(self, limit: Limit) -> None: ...

    async def remove_limit(self, tenant: str, key: str = "") -> None: ...


@dataclass(frozen=True)
class Session:
    """An open way to tasks. `own` is the worker that belongs to it, if there is one."""

    tasks: Tasks
    own: OwnWorker | None = None
    platform: Platform | None = None

    async def finished(
        self,
        task: TaskView,
        changed: Callable[[TaskView], None],
        happened: Callable[[JournalView], None] | None = None,
    ) -> TaskView:
        """The task, once it has ended; `changed` and `happened` are told meanwhile.

        UnavailableError when the database or the server stays away, or as soon as the own worker has ended.
        """
        pause, seq, answered = _FIRST_PAUSE, 0, time.monotonic()
        while True:
            if self.own is not None:
                self.own.check()
            events: Sequence[JournalView] = ()
            try:
                task = await self.tasks.task(task.id)
                if happened is not None:
                    events = await self.tasks.journal(task.id, seq)
                answered = time.monotonic()
            except UnavailableError:
                if time.monotonic() - answered > PATIENCE:
                    raise
            for event in events:
                assert happened is not None
                happened(event)
                seq = event.seq
            if task.status.is_terminal:
                return task
            changed(task)
            await asyncio.sleep(pause)
            pause = min(pause * 1.2, _LONGEST_PAUSE)


@asynccontextmanager
async def connected(url: str | None, database_url: str | None, *, works: bool, **flags: Any) -> AsyncIterator[Session]:
    """A session with the server at `url`, or with the database; with `works`, a worker is there for that time."""
    if url is not None:
        from agentplat_cli.remote import RemoteTasks

        async with RemoteTasks(url) as remote:
            yield Session(remote)
        return
    from agentplat.runtime.cli.own_worker import OwnWorker

    settings = quiet_settings(database_url=database_url, **flags)
    # First of all: it takes its time to start, and meanwhile this process gets ready too.
    own = await OwnWorker.start(settings) if works else None
    try:
        from agentplat.runtime.app import open_platform
        from agentplat.runtime.logs import configure_logs

        configure_logs(settings.log)
        with redirect_stdout(sys.stderr):  # what foreign code prints is no result
            async with open_platform(settings) as platform:
                yield Session(platform.client(), own, platform)
    finally:
        if own is not None:
            await own.stop()


def call(url: str | None, database_url: str | None, ask: Callable[[Tasks], Awaitable[T]]) -> T:
    """What `ask` gives, in a session without a worker."""

    async def asked() -> T:
        async with connected(url, database_url, works=False) as session:
            return await ask(session.tasks)

    return asyncio.run(asked())


def quiet_settings(**flags: Any) -> Settings:
    """The settings, with logs of errors only, unless the environment asks for more."""
    from agentplat.runtime.settings import load_settings

    settings = load_settings(**flags)
    level = os.environ.get("AGENTPLAT_LOG__LEVEL")
    return (
        settings if level else settings.model_copy(update={"log": settings.log.model_copy(update={"level": "error"})})
    )
