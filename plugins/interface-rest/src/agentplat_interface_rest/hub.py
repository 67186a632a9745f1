"""The feed of changes for WebSockets: one reader of the Client for all connections, while there are any."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator

from agentplat import AgentplatError, Client
from agentplat_interface_rest import shapes

logger = logging.getLogger(__name__)

_MOST_MESSAGES = 1000
_MOST_CHARACTERS = 4 * 1024 * 1024
_PAUSE = 1.0


class Connection:
    """What waits to be sent to one reader. `cut` when it was too slow; it comes back and reads the tasks anew."""

    def __init__(self) -> None:
        self._waiting: asyncio.Queue[str] = asyncio.Queue(_MOST_MESSAGES)
        self._characters = 0
        self.cut = asyncio.Event()

    def offer(self, message: str) -> None:
        """Queue the message. One of any size fits into an empty queue."""
        fits = self._waiting.empty() or self._characters + len(message) <= _MOST_CHARACTERS
        if self._waiting.full() or not fits:
            self.cut.set()
            return
        self._characters += len(message)
        self._waiting.put_nowait(message)

    async def next(self) -> str:
        """The oldest message that waits, as soon as there is one."""
        message = await self._waiting.get()
        self._characters -= len(message)
        return message


class Hub:
    """Made once per application; reads changes only while somebody listens."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._connections: set[Connection] = set()
        self._feed: asyncio.Task[None] | None = None
        self._listening = asyncio.Event()

    def __len__(self) -> int:
        return len(self._connections)

    @contextlib.asynccontextmanager
    async def joined(self) -> AsyncIterator[Connection]:
        """A connection that misses no change from now on. The last one to leave ends the reading."""
        connection = Connection()
        self._connections.add(connection)
        try:
            if self._feed is None or self._feed.done():
                self._feed = asyncio.create_task(self._read(), name="changes")
            await self._listening.wait()
            yield connection
        finally:
            self._connections.discard(connection)
            if not self._connections:
                await self.close()

    async def close(self) -> None:
        """Stop reading."""
        feed, self._feed = self._feed, None
        self._listening.clear()
        if feed is not None:
            feed.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await feed

    async def _read(self) -> None:
        while True:
            try:
                async with self._client.changes() as changes:
                    self._listening.set()
                    async for change in changes:
                        message = json.dumps(shapes.change(change.task), ensure_ascii=False)
                        for connection in self._connections:
                            connection.offer(message)
            except AgentplatError as error:
                logger.warning("changes_interrupted", extra={"reason": error.detail})
                self._cut_all()
            except Exception:
                self._cut_all()
                raise
            await asyncio.sleep(_PAUSE)

    def _cut_all(self) -> None:
        """Those who are here may have missed something; who comes from now on waits until the feed is back."""
        for connection in self._connections:
            connection.cut.set()
        self._listening.set()
        self._listening.clear()
