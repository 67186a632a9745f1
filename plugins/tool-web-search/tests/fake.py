"""A server that answers as the Brave Search API does, on a real socket, and misbehaves on demand."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit


@dataclass(kw_only=True)
class Received:
    """One request as it arrived."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]  # names in lower case


@dataclass(kw_only=True)
class Answer:
    """One answer. `chunks` are written one by one, `pause` seconds apart."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    chunks: Sequence[bytes] = ()
    chunked: bool = False  # Transfer-Encoding instead of Content-Length
    pause: float = 0.0
    missing: int = 0  # bytes that are promised and never come: the connection is closed instead
    raw: bytes | None = None  # written instead of everything above
    hang: bool = False  # receive, and say nothing until the client goes away


def row(title: str, url: str, description: str | None = None) -> dict[str, Any]:
    """One result, with what the real service puts around it."""
    meta = {"scheme": "https", "netloc": "example.org", "hostname": "example.org", "favicon": "", "path": ""}
    return {
        "title": title,
        "url": url,
        "is_source_local": False,
        "is_source_both": False,
        "description": description,
        "profile": {"name": "Example", "url": url, "long_name": "example.org", "img": ""},
        "language": "en",
        "family_friendly": True,
        "type": "search_result",
        "subtype": "generic",
        "meta_url": meta,
    }


def found(*rows: Any) -> Answer:
    """A successful answer."""
    body = {
        "query": {"original": "q", "more_results_available": True},
        "mixed": {"type": "mixed", "main": [{"type": "web", "index": 0, "all": False}], "top": [], "side": []},
        "type": "search",
        "web": {"type": "search", "results": list(rows), "family_friendly": True},
    }
    return Answer(chunks=[json.dumps(body).encode()])


def failed(status: int, code: str = "SOME_CODE", *, plural: bool = False, **headers: str) -> Answer:
    """An error answer. Its text repeats what must never be shown."""
    error = {"id": "5d83", "status": status, "code": code, "detail": "SECRET-QUERY SECRET-KEY", "meta": {}}
    body = {"type": "ErrorResponse", "time": 1_790_000_000} | ({"errors": [error]} if plural else {"error": error})
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return Answer(status=status, headers=named, chunks=[json.dumps(body).encode()])


class FakeServer:
    """Gives one answer, again and again."""

    def __init__(self) -> None:
        self.answer = found()
        self.received: list[Received] = []
        self.arrived = asyncio.Event()  # a request was received
        self.gone = asyncio.Event()  # a client went away while it was kept waiting
        self.url = ""
        self._writers: set[asyncio.StreamWriter] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            await self._exchange(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            self.gone.set()
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        line, *fields = head.decode("latin-1").rstrip().split("\r\n")
        method, target, _ = line.split(" ")
        parts = urlsplit(target)
        headers = {name.lower(): value for name, _, value in (field.partition(": ") for field in fields)}
        self.received.append(
            Received(method=method, path=parts.path, query=dict(parse_qsl(parts.query)), headers=headers)
        )
        self.arrived.set()
        answer = self.answer
        if answer.hang:
            await reader.read()
            self.gone.set()
            return
        if answer.raw is not None:
            writer.write(answer.raw)
            await writer.drain()
            return
        length = sum(map(len, answer.chunks)) + answer.missing
        framing = "Transfer-Encoding: chunked" if answer.chunked else f"Content-Length: {length}"
        named = {"Content-Type": "application/json", **answer.headers}
        lines = [f"HTTP/1.1 {answer.status} Said", framing, *(f"{name}: {value}" for name, value in named.items())]
        writer.write("\r\n".join([*lines, "", ""]).encode())
        for chunk in answer.chunks:
            writer.write(b"%x\r\n%s\r\n" % (len(chunk), chunk) if answer.chunked else chunk)
            await writer.drain()
            await asyncio.sleep(answer.pause)
        if answer.chunked and not answer.missing:
            writer.write(b"0\r\n\r\n")
        await writer.drain()

    def close(self) -> None:
        for writer in self._writers:
            writer.close()


@asynccontextmanager
async def running_server() -> AsyncIterator[FakeServer]:
    fake = FakeServer()
    server = await asyncio.start_server(fake.serve, "127.0.0.1", 0)
    fake.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/res/v1"
    try:
        yield fake
    finally:
        server.close()
        fake.close()
        await server.wait_closed()
