"""The feed of changes for WebSockets: one reader of the Client for all connections, while there are any."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Any

from agentplat import AgentplatError, Client
from agentplat_interface_rest import shapes

logger = logging.getLogger(__name__)

_BACKLOG = 1000
_PAUSE = 1.0


class Connection:
    """What waits to be sent to one reader. `cut` when it was too slow; it comes back and reads the tasks anew."""

    def __init__(self) -> None:
        self.messages: asyncio.Queue[dict[str, Any]] = asyncio.Queue(_BACKLOG)
        self.cut = asyncio.Event()

    def offer(self, message: dict[str, Any]) -> None:
        try:
            self.messages.put_nowait(message)
        except asyncio.QueueFull:
            self.cut.set()


class Hub:
    def __init__(self, client: Client) -> None:
        self._client = client
        self._connections: set[Connection] = set()
        self._feed: asyncio.Task[None] | None = None
        self._listening = asyncio.Event()

    def __len__(self) -> int:
        return len(self._connections)

    async def join(self) -> Connection:
        """A connection that misses no change from now on."""
        connection = Connection()
        self._connections.add(connection)
        if self._feed is None:
            self._feed = asyncio.create_task(self._read(), name="changes")
        await self._listening.wait()
        return connection

    async def leave(self, connection: Connection) -> None:
        """The last one to leave ends the reading."""
        self._connections.discard(connection)
        if not self._connections:
            await self.close()

    async def close(self) -> None:
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
                        message = shapes.change(change.task)
                        for connection in self._connections:
                            connection.offer(message)
            except AgentplatError as error:
                # Readers may have missed something: they are cut, and come back.
                logger.warning("changes_interrupted", extra={"reason": error.detail})
                for connection in self._connections:
                    connection.cut.set()
                self._listening.set()
                await asyncio.sleep(_PAUSE)
