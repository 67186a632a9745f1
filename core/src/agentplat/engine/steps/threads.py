"""The threads in which plain `execute` methods run: as many as a worker has slots, and nobody else's."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from typing import Any, TypeAlias

InThread: TypeAlias = Callable[..., Awaitable[Any]]
"""Calls what is given in a thread, like `asyncio.to_thread`."""


class Threads:
    """Those of one worker. Whoever calls has a thread for certain: it was waited for before."""

    def __init__(self, most: int) -> None:
        self.free = asyncio.Semaphore(most)
        self.pool = ThreadPoolExecutor(most, thread_name_prefix="execute")


class Turn:
    """The threads of one step. One that hangs cannot be stopped, and stays taken."""

    def __init__(self, threads: Threads) -> None:
        self._threads = threads
        self._is_reserved = False
        self._running = 0
        self._gone: Callable[[], None] | None = None

    async def reserve(self) -> None:
        """Wait for the thread of the first call."""
        await self._threads.free.acquire()
        self._is_reserved = True

    async def call(self, call: Callable[..., Any], /, *arguments: Any) -> Any:
        """What `call` gives, in a thread."""
        if not self._is_reserved:
            await self._threads.free.acquire()
        self._is_reserved = False
        loop = asyncio.get_running_loop()
        try:
            running = self._threads.pool.submit(copy_context().run, call, *arguments)
        except BaseException:
            self._threads.free.release()
            raise

        def ended(_: object) -> None:
            with suppress(RuntimeError):  # the loop is closed: nobody waits for a thread any more
                loop.call_soon_threadsafe(self._ended)

        self._running += 1
        running.add_done_callback(ended)
        return await asyncio.wrap_future(running)

    def end(self, gone: Callable[[], None]) -> None:
        """The step is over; `gone` is called when nothing of it runs any more."""
        if self._is_reserved:
            self._threads.free.release()
        if self._running == 0:
            gone()
        self._gone = gone

    def _ended(self) -> None:
        self._running -= 1
        self._threads.free.release()
        if self._running == 0 and self._gone is not None:
            self._gone()
