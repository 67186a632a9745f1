"""Waiting for a hint that tasks have changed, and for the ends of tasks."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence

from agentplat.contracts.hints import Hint
from agentplat.contracts.store import Store
from agentplat.domain.errors import UnavailableError
from agentplat.domain.ids import TaskId

_PAUSE = 0.25  # seconds between two looks for ends that no hint told of
_RARELY = 2.0  # the same, where hints arrive
_BREATH = 0.02  # and at least so many between two looks that were hinted at
_LAST_LOOK = 1.0  # for a look that nobody needs any more


class News:
    """Hears from the moment it is made until `close`, so that nothing is missed between two looks."""

    def __init__(self, store: Store) -> None:
        self._heard = asyncio.Event()
        self.close = store.subscribe(self._hear)

    def _hear(self, hint: Hint) -> None:
        if hint is Hint.CHANGED:
            self._heard.set()

    def look(self) -> None:
        """Let whoever waits look now."""
        self._heard.set()

    async def awaited(self, seconds: float) -> None:
        """Return at the next hint since the last call, or when the time is up."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._heard.wait()
        self._heard.clear()


class Ends:
    """Whoever waits for the end of a task in this process. One looks for all of them, in one statement."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._waiting: dict[TaskId, set[asyncio.Event]] = {}
        self._news: News | None = None  # of the one who looks
        self._looking: asyncio.Task[None] | None = None
        self._reads = False

    async def awaited(self, task_id: TaskId, seconds: float) -> None:
        """Return when the task has ended, or the time is up, or the database does not answer."""
        ended = asyncio.Event()
        self._waiting.setdefault(task_id, set()).add(ended)
        if self._news is None:
            self._news = News(self._store)
            self._looking = asyncio.create_task(self._look(self._news))
        self._news.look()
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await ended.wait()
        finally:
            others = self._waiting.get(task_id, set())
            others.discard(ended)
            if not others:
                self._waiting.pop(task_id, None)
            if not self._waiting:
                await self._rest()

    async def _look(self, news: News) -> None:
        try:
            while self._waiting:
                await news.awaited(_RARELY if self._store.hears else _PAUSE)
                self._reads = True
                self._tell(await self._store.ended(list(self._waiting)))
                self._reads = False
                await asyncio.sleep(_BREATH)
        except UnavailableError:
            self._tell(list(self._waiting))  # each looks once more for itself, and says so
        finally:
            self._leave(news)

    def _tell(self, ended: Sequence[TaskId]) -> None:
        for task_id in ended:
            for each in self._waiting.pop(task_id, set()):
                each.set()

    def _leave(self, news: News) -> None:
        news.close()
        if self._news is news:
            self._news, self._reads = None, False

    async def _rest(self) -> None:
        """Nobody waits any more. A look that is under way is let to its end: it has a connection."""
        looking, news = self._looking, self._news
        if looking is None or news is None:
            return
        if not self._reads:
            self._leave(news)
            looking.cancel()
        await asyncio.wait([looking], timeout=_LAST_LOOK)
