"""The process in which an isolated agent or tool runs.

Its context asks the worker, where ledger, cost and the keys of models stay.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import sys
import threading
import time
import traceback
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from pydantic import TypeAdapter

from agentplat.contracts.agent import Agent
from agentplat.contracts.model import Message, ModelReply, Passage
from agentplat.contracts.tool import Tool
from agentplat.domain.errors import StepError
from agentplat.domain.failure import FailureCode
from agentplat.domain.json import JsonValue, unstorable
from agentplat.engine.steps.invocation import Capability, described, invoke, keepable
from agentplat.engine.steps.llm import read_structured
from agentplat.plugins.foreign import attempt
from agentplat.plugins.project.python_files import specs_in
from agentplat.plugins.targets import load_class
from agentplat.runtime.isolation.frames import (
    MAX_FRAME,
    failed,
    frame,
    read_reply,
    written_passages,
    written_prompt,
)

OUT_OF_MEMORY = 97
"""The exit code when there was not even memory enough to say so."""

ModelT = TypeVar("ModelT")
_MEGABYTE = 1024 * 1024


class Worker:
    """The way to the worker. `ask` and `tell` may be used from any thread."""

    def __init__(self, orders: BinaryIO, answers: int) -> None:
        self._orders, self._answers = orders, answers
        self._turn = threading.Lock()
        self._ids = count(1)
        self._open: dict[int, asyncio.Future[Any]] = {}

    def listen(self) -> None:
        loop = asyncio.get_running_loop()

        def listen() -> None:
            for line in self._orders:
                loop.call_soon_threadsafe(self._answered, json.loads(line))

        threading.Thread(target=listen, name="worker", daemon=True).start()

    def tell(self, value: JsonValue) -> None:
        """StepError `invalid_input` for what is not JSON, or too much."""
        try:
            line = frame(value)
        except (TypeError, ValueError) as error:
            raise StepError(FailureCode.INVALID_INPUT, f"It cannot be handed on as JSON: {described(error)}") from None
        if len(line) > MAX_FRAME:
            raise StepError(
                FailureCode.INVALID_INPUT,
                f"An isolated step may say {MAX_FRAME:,} bytes at once to its worker; these are {len(line):,}.",
            )
        with self._turn:
            while line:
                line = line[os.write(self._answers, line) :]

    def ask(self, what: str, given: Mapping[str, JsonValue]) -> Coroutine[Any, Any, Any]:
        """Asked at once, so that calls which are gathered reach the ledger in the order of the program."""
        number = next(self._ids)
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._open[number] = answer
        self.tell({"call": what, "id": number, "with": given})
        return self._awaited(number, answer)

    async def _awaited(self, number: int, answer: asyncio.Future[Any]) -> Any:
        try:
            return await answer
        except asyncio.CancelledError:
            if self._open.pop(number, None) is not None:
                self.tell({"cancel": number})
            raise

    def _answered(self, said: Mapping[str, Any]) -> None:
        answer = self._open.pop(said["id"], None)
        if answer is None or answer.done():
            return
        if "failure" in said:
            answer.set_exception(failed(said["failure"]))
        else:
            answer.set_result(said["result"])


@dataclass(frozen=True, slots=True)
class IsolatedLlm:
    """The `Llm` of the contract."""

    model: str
    generates: bool
    worker: Worker

    def complete(
        self, prompt: str | Sequence[Message], *, tools: Sequence[str] = (), **asked: Any
    ) -> Coroutine[Any, Any, ModelReply]:
        return self._reply(self.worker.ask("complete", {**_request(prompt, **asked), "tools": list(tools)}))

    def structured(
        self, prompt: str | Sequence[Message], output: type[ModelT], **asked: Any
    ) -> Coroutine[Any, Any, ModelT]:
        adapter: TypeAdapter[ModelT] = TypeAdapter(output)
        given = {**_request(prompt, **asked), "schema": adapter.json_schema()}
        return self._structured(self.worker.ask("structured", given), adapter)

    async def _reply(self, answer: Coroutine[Any, Any, Any]) -> ModelReply:
        return read_reply(await answer)

    async def _structured(self, answer: Coroutine[Any, Any, Any], adapter: TypeAdapter[ModelT]) -> ModelT:
        return read_structured(read_reply(await answer), adapter, self.model)


def _request(
    prompt: str | Sequence[Message],
    *,
    system: str | None = None,
    passages: Sequence[Passage] = (),
    temperature: float | None = None,
    max_tokens: int | None = None,
) -> dict[str, JsonValue]:
    sampling: dict[str, JsonValue] = {"temperature": temperature, "max_tokens": max_tokens}
    return {"prompt": written_prompt(prompt), "system": system, "passages": written_passages(passages), **sampling}


@dataclass(frozen=True, slots=True)
class IsolatedTools:
    """The `Tools` of the contract."""

    names: Sequence[str]
    worker: Worker

    def call(self, name: str, /, **arguments: JsonValue) -> Coroutine[Any, Any, Any]:
        return self.worker.ask("tool", {"name": name, "arguments": arguments})


@dataclass(frozen=True, slots=True)
class IsolatedLog:
    """The `Log` of the contract."""

    worker: Worker

    def info(self, event: str, /, **values: JsonValue) -> None:
        self._say("info", event, values)

    def warning(self, event: str, /, **values: JsonValue) -> None:
        self._say("warning", event, values)

    def _say(self, level: str, event: str, values: Mapping[str, JsonValue]) -> None:
        kept = {name: value if unstorable(value) is None else repr(value) for name, value in values.items()}
        self.worker.tell({"log": level, "event": event, "values": kept})


class IsolatedContext:
    """The `AgentContext` and the `ToolContext` of the contracts; what is no call is known from the beginning."""

    def __init__(self, values: Mapping[str, Any], worker: Worker) -> None:
        self._values, self._worker = values, worker
        self._ends_at: float = time.monotonic() + values["deadline"]
        self.config: Mapping[str, JsonValue] = values["config"]
        self.settings: Mapping[str, JsonValue] = values.get("settings", {})
        self.project: str | None = values.get("project")
        self.tenant: str = values["tenant"]
        self.task_id: str = values.get("task_id", "")
        self.idempotency_key: str = values["idempotency_key"]
        self.tools = IsolatedTools(tuple(values.get("tools", ())), worker)
        self.log = IsolatedLog(worker)

    @property
    def llm(self) -> IsolatedLlm:
        about = self._values["llm"]
        if "failure" in about:
            raise failed(about["failure"])
        return IsolatedLlm(about["model"], about["generates"], self._worker)

    @property
    def deadline(self) -> float:
        return max(0.0, self._ends_at - time.monotonic())

    def emit(self, event: str, /, **values: JsonValue) -> None:
        wrong = unstorable({"event": event, **values})
        if wrong is not None:
            self.log.warning("emit_dropped", reason=f"{wrong[0]} {wrong[1]}")
            return
        self._worker.tell({"emit": event, "values": values})


def main(orders: int, answers: int) -> None:
    """Run what the first line orders, say what came of it, and end the process."""
    code = 1
    try:
        reading = os.fdopen(orders, "rb")
        order = json.loads(reading.readline())
        sys.path[:] = order["path"]
        _limit(order["limits"])
        asyncio.run(_carry_out(order, Worker(reading, answers)))
    except MemoryError:
        code = OUT_OF_MEMORY
    except BaseException:  # noqa: BLE001 - the traceback is for whoever reads the worker's log
        traceback.print_exc()
    finally:
        _leave(code)


def _limit(limits: Mapping[str, int]) -> None:
    seconds = limits["cpu_seconds"]
    for limit, soft, hard in (
        (resource.RLIMIT_CORE, 0, 0),
        (resource.RLIMIT_AS, *2 * (limits["memory_mb"] * _MEGABYTE,)),
        (resource.RLIMIT_FSIZE, *2 * (limits["file_mb"] * _MEGABYTE,)),
        (resource.RLIMIT_NOFILE, *2 * (limits["open_files"],)),
        # At the first a signal that says why, one second later the end.
        (resource.RLIMIT_CPU, seconds, seconds + 1),
    ):
        if limit == resource.RLIMIT_AS and sys.platform != "linux":
            continue  # elsewhere it is refused, or does nothing
        _, allowed = resource.getrlimit(limit)
        highest = hard if allowed == resource.RLIM_INFINITY else min(hard, allowed)
        resource.setrlimit(limit, (min(soft, highest), highest))


async def _carry_out(order: Mapping[str, Any], worker: Worker) -> None:
    """Never returns: a loop would wait for the threads that foreign code has left behind."""
    worker.listen()
    try:
        made = _made(order)
        output = await invoke(made, order["input"], IsolatedContext(order["context"], worker), name=order["name"])
        worker.tell({"output": output})
    except StepError as error:
        worker.tell({"failure": keepable(error.failure).to_json()})
    _leave(0)


def _made(order: Mapping[str, Any]) -> Capability:
    is_agent = order["kind"] == "agent"
    contract: type[Capability] = Agent if is_agent else Tool

    def make() -> Capability:
        if order["file"] is not None:
            specs_in(Path(order["file"]))  # imports a file of the project under the name that the target has
        return load_class(order["factory"], contract)()

    made, reason = attempt(make)
    if made is None:
        code = FailureCode.AGENT_FAILED if is_agent else FailureCode.TOOL_FAILED
        raise StepError(code, f"The {order['kind']} {order['name']!r} cannot be made: {reason}")
    return made


def _leave(code: int) -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):  # foreign code may have closed it, or put something else in its place
            stream.flush()
    os._exit(code)
