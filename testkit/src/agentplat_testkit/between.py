"""What stands between clients and a PostgreSQL server: it listens on a port of its own, in a thread of its own.

So tests with and without an event loop use it alike.
"""

from __future__ import annotations

import asyncio
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Self

from sqlalchemy.engine import make_url

__all__ = ["Between"]


class Between(ABC):
    """`url` is the address of the database at `upstream`, behind this. Encryption is not offered: `url` says so."""

    def __init__(self, upstream: str) -> None:
        self.upstream = make_url(upstream)
        self.url = ""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=type(self).__name__, daemon=True)
        self._serving: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self._server: asyncio.Server | None = None
        self._fault_of_ours: BaseException | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result()
        return self

    def __exit__(self, *exception: object) -> None:
        asyncio.run_coroutine_threadsafe(self.end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        if self._fault_of_ours is not None:
            raise self._fault_of_ours

    def soon(self, call: Callable[[], object]) -> None:
        """Call that in the thread of this."""
        self._loop.call_soon_threadsafe(call)

    @abstractmethod
    async def serve(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        """Serve one client. When this returns, its connection is closed."""

    def throw_out(self) -> int:
        """Close the connections of all clients; how many there were."""
        for serving in self._serving:
            serving.cancel()
        return len(self._serving)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        behind = self.upstream.difference_update_query(["host", "port"]).set(host="127.0.0.1", port=port)
        behind = behind.update_query_dict({"sslmode": "disable", "gssencmode": "disable"})
        self.url = behind.render_as_string(hide_password=False)

    async def end(self) -> None:
        """Listen no longer, and see every client off."""
        assert self._server is not None
        self._server.close()
        self.throw_out()
        await asyncio.gather(*self._serving, return_exceptions=True)
        await self._server.wait_closed()

    def _accept(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        serving = asyncio.create_task(self.serve(client, to_client))
        self._serving[serving] = to_client
        serving.add_done_callback(self._forget)

    def _forget(self, serving: asyncio.Task[None]) -> None:
        # Here, because one that is cancelled before it began to serve does nothing more.
        to_client = self._serving.pop(serving)  # held: one that is dropped while it is open is warned of (Python 3.13)
        to_client.transport.abort()
        if not serving.cancelled() and serving.exception() is not None:
            self._fault_of_ours = serving.exception()
