"""A relay before PostgreSQL that cuts a connection at a COMMIT: before it arrives, or before it is acknowledged."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Literal

from sqlalchemy.engine import make_url

Cut = Literal["before", "after"]
_COMMIT = b"COMMIT\x00"  # as a statement, not as a part of READ COMMITTED


class Relay:
    """Listens on a socket of its own; everything is passed on until `cut` is set, then one COMMIT is cut off."""

    def __init__(self, server: Path) -> None:
        self._server = server
        self._serving: set[asyncio.Task[None]] = set()
        self.cut: Cut | None = None
        self.cuts = 0

    def accept(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        self._serving.add(asyncio.create_task(self._serve(client, to_client)))

    async def wait(self) -> None:
        """Returns when every connection has ended."""
        await asyncio.gather(*self._serving)

    async def _serve(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_unix_connection(self._server)
        back = asyncio.create_task(_pass_on(from_server, to_client))
        with suppress(ConnectionError):
            while sent := await client.read(65536):
                if self.cut is not None and _COMMIT in sent:
                    await self._cut(sent, from_server, to_server, back)
                    break
                to_server.write(sent)
                await to_server.drain()
        back.cancel()
        for writer in (to_client, to_server):
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()
        await asyncio.wait([back])

    async def _cut(
        self,
        sent: bytes,
        from_server: asyncio.StreamReader,
        to_server: asyncio.StreamWriter,
        back: "asyncio.Task[None]",
    ) -> None:
        cut, self.cut = self.cut, None
        self.cuts += 1
        back.cancel()
        await asyncio.wait([back])
        if cut == "after":
            to_server.write(sent)
            await from_server.read(1)  # it is committed now


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while received := await reader.read(65536):
            writer.write(received)
            await writer.drain()


@asynccontextmanager
async def relayed(url: str, folder: Path) -> AsyncIterator[tuple[Relay, str]]:
    """The relay, and the address of the same database behind it."""
    address = make_url(url)
    name = f".s.PGSQL.{address.query['port']}"
    relay = Relay(Path(str(address.query["host"])) / name)
    server = await asyncio.start_unix_server(relay.accept, folder / name)
    async with server:
        behind = address.update_query_dict({"host": str(folder)})
        yield relay, behind.render_as_string(hide_password=False)
        await relay.wait()
