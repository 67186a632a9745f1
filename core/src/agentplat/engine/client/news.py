"""Waiting for a hint that tasks have changed."""

from __future__ import annotations

import asyncio
import contextlib

from agentplat.contracts.hints import Hint
from agentplat.contracts.store import Store


class News:
    """Hears from the moment it is made until `close`, so that nothing is missed between two looks."""

    def __init__(self, store: Store) -> None:
        self._heard = asyncio.Event()
        self.close = store.subscribe(self._hear)

    def _hear(self, hint: Hint) -> None:
        if hint is Hint.CHANGED:
            self._heard.set()

    async def awaited(self, seconds: float) -> None:
        """Return at the next hint since the last call, or when the time is up."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._heard.wait()
        self._heard.clear()
