"""A server that speaks the OpenAI chat protocol on a real socket, and misbehaves on demand."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass(kw_only=True)
class Received:
    """One request as it arrived."""

    method: str
    path: str
    headers: dict[str, str]  # names in lower case
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found


@dataclass(kw_only=True)
class Answer:
    """One answer. `chunks` are written one by one, `pause` seconds apart."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    chunks: Sequence[bytes] = ()
    chunked: bool = False  # Transfer-Encoding instead of Content-Length
    pause: float = 0.0
    missing: int = 0  # bytes that are promised and never come: the connection is closed instead
    raw: bytes | None = None  # written instead of everything above, and the connection closed
    hang: bool = False  # receive, and say nothing until the client goes away


def completion(
    text: str | None = "A reply.",
    *,
    tool_calls: list[dict[str, Any]] | None = None,
    finish_reason: str | None = "stop",
    usage: Any = None,
    **message: Any,
) -> dict[str, Any]:
    """The body of a successful answer, with everything that the real endpoint sends."""
    said: dict[str, Any] = {"role": "assistant", "content": text, "refusal": None, "annotations": [], **message}
    if tool_calls is not None:
        said["tool_calls"] = tool_calls
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_790_000_000,
        "model": "gpt-4.1-mini-2025-04-14",
        "choices": [{"index": 0, "message": said, "logprobs": None, "finish_reason": finish_reason}],
        "usage": usage
        or {
            "prompt_tokens": 1000,
            "completion_tokens": 100,
            "total_tokens": 1100,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0},
        },
        "service_tier": "default",
        "system_fingerprint": None,
    }


def tool_call(name: str, arguments: str, id: str = "call_a") -> dict[str, Any]:
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


def sent(value: Any, status: int = 200, **headers: str) -> Answer:
    """An answer with a JSON body; underscores in the names of headers become dashes."""
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return Answer(status=status, headers=named, chunks=[json.dumps(value).encode()])


def failed(status: int, code: Any = None, param: str | None = None, **headers: str) -> Answer:
    """An error answer. Its message repeats what must never be shown."""
    body = {"error": {"message": "SECRET-PROMPT sk-SECRET-KEY", "type": "some_error", "param": param, "code": code}}
    return sent(body, status, **headers)


class FakeServer:
    """Gives its answers in turn, the last one for ever."""

    def __init__(self) -> None:
        self.answers: list[Answer] = [sent(completion())]
        self.received: list[Received] = []
        self.arrived = asyncio.Event()  # a request was received
        self.gone = asyncio.Event()  # a client went away while it was kept waiting
        self.connections = 0
        self.url = ""
        self._writers: set[asyncio.StreamWriter] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        try:
            while await self._exchange(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            self.gone.set()
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        line, *fields = head.decode("latin-1").rstrip().split("\r\n")
        method, path, _ = line.split(" ")
        headers = {name.lower(): value for name, _, value in (field.partition(": ") for field in fields)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        self.received.append(Received(method=method, path=path, headers=headers, body=body))
        self.arrived.set()
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if answer.hang:
            await reader.read()
            self.gone.set()
            return False
        if answer.raw is not None:
            writer.write(answer.raw)
            await writer.drain()
            return False
        await self._write(answer, writer)
        return not answer.missing

    async def _write(self, answer: Answer, writer: asyncio.StreamWriter) -> None:
        length = sum(map(len, answer.chunks)) + answer.missing
        framing = "Transfer-Encoding: chunked" if answer.chunked else f"Content-Length: {length}"
        headers = {"Content-Type": "application/json", **answer.headers}
        head = [f"HTTP/1.1 {answer.status} Said", framing, *(f"{name}: {value}" for name, value in headers.items())]
        writer.write("\r\n".join([*head, "", ""]).encode())
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
    fake.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    try:
        yield fake
    finally:
        server.close()
        fake.close()
        await server.wait_closed()
