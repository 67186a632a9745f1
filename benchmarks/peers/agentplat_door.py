"""W9 for agentplat: how fast tasks are accepted, through the store, the Client and HTTP."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
from collections.abc import Sequence
from contextlib import suppress
from typing import Self

from harness.ports import free_port
from harness.processes import WorkerProcess, wait_for
from harness.tally import now

from agentplat.contracts.interface import Submission
from agentplat.engine.client.local import LocalClient

_AT_ONCE = 50


class EndpointMissing(RuntimeError):
    """The server does not know the operation."""


async def by_client(client: LocalClient, n: int) -> None:
    """One submission a task, fifty at a time, as a busy interface does it."""
    indexes = iter(range(n))

    async def one_after_the_other() -> None:
        for index in indexes:
            await client.submit(Submission(type="tool:bench_noop", input={"i": index}))

    await asyncio.gather(*[one_after_the_other() for _ in range(_AT_ONCE)])


class Server:
    """`agentplat api`, for as long as the block lasts."""

    def __init__(self, command: Sequence[str]) -> None:
        self._port = free_port()
        self._process = WorkerProcess([*command, "api"], {**os.environ, "AGENTPLAT_PORT": str(self._port)})

    def __enter__(self) -> Self:
        wait_for(self._answers, 60, "the server", [self._process], step=0.05)
        self._connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=120)
        return self

    def __exit__(self, *exception: object) -> None:
        self._connection.close()
        self._process.stop()

    @property
    def process(self) -> WorkerProcess:
        return self._process

    def submit_batches(self, n: int, batch: int = 1000) -> float:
        """`POST /v1/tasks:batch`. Raises EndpointMissing."""
        began = now()
        for at in range(0, n, batch):
            indexes = range(at, min(at + batch, n))
            self._post("/v1/tasks:batch", {"tasks": [{"type": "tool:bench_noop", "input": {"i": i}} for i in indexes]})
        return now() - began

    def submit_singly(self, n: int) -> float:
        """`POST /tasks`, one connection."""
        began = now()
        for index in range(n):
            self._post("/tasks", {"type": "tool:bench_noop", "input": {"i": index}})
        return now() - began

    def _post(self, path: str, body: object) -> None:
        self._connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        answer = self._connection.getresponse()
        said = answer.read()
        if answer.status in (404, 405):
            raise EndpointMissing(f"POST {path} answers {answer.status}: it is not there yet")
        if answer.status >= 300:
            raise RuntimeError(f"POST {path} answers {answer.status}: {said[:500]!r}")

    def _answers(self) -> bool:
        with suppress(OSError):
            connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=5)
            connection.request("GET", "/health")
            return connection.getresponse().status == 200
        return False
