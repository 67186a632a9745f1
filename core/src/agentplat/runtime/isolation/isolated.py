"""Agents and tools whose `execute` runs in a process of its own: the worker's side."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any

from pydantic import TypeAdapter, WithJsonSchema

from agentplat.contracts.agent import Agent, AgentSpec
from agentplat.contracts.tool import Tool, ToolSpec
from agentplat.domain.errors import StepError
from agentplat.domain.failure import FailureCode
from agentplat.domain.json import JsonValue
from agentplat.engine.steps.context import StepContext
from agentplat.engine.steps.invocation import Capability, Signature, described, input_schema, storable_text
from agentplat.engine.steps.toolbox import RecordedToolContext
from agentplat.runtime.isolation.body import OUT_OF_MEMORY
from agentplat.runtime.isolation.frames import (
    MAX_FRAME,
    failed,
    frame,
    read_passages,
    read_prompt,
    unframed,
    written_reply,
)
from agentplat.runtime.settings import IsolationSettings

_WARDEN = ("-m", "agentplat.runtime.isolation.warden")
_PATIENCE = 5.0  # seconds for the warden to end what is left, before it is killed itself
_ENVIRONMENT = (
    *("PATH", "HOME", "USER", "LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR"),
    *("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "SSL_CERT_FILE", "SSL_CERT_DIR"),
)
"""What a program needs to start and to find its way; nothing of it is a secret."""


@dataclass(frozen=True, slots=True)
class Isolation:
    """Which agents and tools are isolated, and how."""

    settings: IsolationSettings

    def agent(self, agent: Agent[Any, Any], spec: AgentSpec) -> Agent[Any, Any]:
        """The agent itself, or what runs it apart. A prompt-only agent has no code that could be isolated."""
        wanted = agent.isolated or spec.name in self.settings.agents
        return IsolatedAgent(agent, spec, self.settings) if wanted and spec.prompt is None else agent

    def tool(self, tool: Tool[Any, Any], spec: ToolSpec) -> Tool[Any, Any]:
        """The tool itself, or what runs it apart."""
        wanted = tool.isolated or spec.name in self.settings.tools
        return IsolatedTool(tool, spec, self.settings) if wanted else tool


class IsolatedAgent(Agent[Any, Any]):
    """Stands for an agent; input and output are checked where it runs."""

    def __init__(self, agent: Agent[Any, Any], spec: AgentSpec, settings: IsolationSettings) -> None:
        self.name, self.tools = agent.name, agent.tools
        self.signature = Signature(TypeAdapter(Any), TypeAdapter(Any))
        self._order = _order("agent", agent, spec, settings)
        self._step = _Isolated("agent", spec.name, FailureCode.AGENT_FAILED, settings)

    async def execute(self, input: JsonValue, ctx: Any) -> JsonValue:
        context: StepContext = ctx
        values: dict[str, JsonValue] = {
            "config": context.config,
            "tenant": context.tenant,
            "task_id": context.task_id,
            "idempotency_key": context.idempotency_key,
            "deadline": context.deadline,
            "tools": list(context.tools.names),
            "llm": _about_llm(context),
        }
        return await self._step.run({**self._order, "input": input, "context": values}, context)


class IsolatedTool(Tool[Any, Any]):
    """Stands for a tool; what a model is told of it is the tool's own."""

    def __init__(self, tool: Tool[Any, Any], spec: ToolSpec, settings: IsolationSettings) -> None:
        self.name, self.effect = tool.name, tool.effect
        self._tool = tool
        self._order = _order("tool", tool, spec, settings)
        self._step = _Isolated("tool", spec.name, FailureCode.TOOL_FAILED, settings)

    @cached_property
    def signature(self) -> Signature:
        takes: Any = Annotated[Any, WithJsonSchema(input_schema(self._tool))]
        return Signature(TypeAdapter(takes), TypeAdapter(Any))

    async def execute(self, input: JsonValue, ctx: Any) -> JsonValue:
        context: RecordedToolContext = ctx
        values: dict[str, JsonValue] = {
            "config": context.config,
            "settings": context.settings,
            "project": context.project,
            "tenant": context.tenant,
            "idempotency_key": context.idempotency_key,
            "deadline": context.deadline,
        }
        return await self._step.run({**self._order, "input": input, "context": values}, None)


def _order(
    kind: str, capability: Capability, spec: AgentSpec | ToolSpec, settings: IsolationSettings
) -> dict[str, JsonValue]:
    module = sys.modules.get(spec.factory.partition(":")[0])
    # Files of the project are imported under names that only their content gives.
    file = getattr(module, "__file__", None) if "agentplat_project_" in type(capability).__module__ else None
    return {
        "kind": kind,
        "name": spec.name,
        "factory": spec.factory,
        "file": file,
        "path": list(sys.path),
        "limits": settings.limits,
    }


def _about_llm(context: StepContext) -> JsonValue:
    try:
        return {"model": context.llm.model, "generates": context.llm.generates}
    except StepError as error:  # for an agent that asks one; most failures are its settings'
        return {"failure": error.failure.to_json()}


@dataclass(frozen=True, slots=True)
class _Isolated:
    """Runs the orders for one agent or tool. A process that does not live to say how it ended is a failure of it."""

    kind: str
    name: str
    code: FailureCode
    settings: IsolationSettings

    async def run(self, order: Mapping[str, JsonValue], context: StepContext | None) -> JsonValue:
        """The output. Whatever happens, a cancel included, nothing of the step is running when this ends."""
        passed = (*_ENVIRONMENT, *self.settings.environment)
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *_WARDEN,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                env={name: os.environ[name] for name in passed if name in os.environ},
                start_new_session=True,
                limit=MAX_FRAME,
            )
        except OSError as error:
            raise StepError(FailureCode.UNAVAILABLE, f"No process for {self._what}: {described(error)}") from None
        assert process.stdin is not None
        calls = _Calls(context, process.stdin.write)
        try:
            process.stdin.write(frame(order))
            return await self._ending(process, calls)
        finally:
            calls.cancel()
            await _end(process)

    @property
    def _what(self) -> str:
        return f"the isolated {self.kind} {self.name!r}"

    async def _ending(self, process: asyncio.subprocess.Process, calls: _Calls) -> JsonValue:
        assert process.stdout is not None
        while True:
            try:
                line = await process.stdout.readline()
            except ValueError:
                raise self._error(f"said more than {MAX_FRAME:,} bytes at once") from None
            if not line.endswith(b"\n"):
                raise self._died(await process.wait())
            try:
                said = unframed(line)
                if "output" in said:
                    return said["output"]  # type: ignore[no-any-return]  # it was JSON
                if "failure" in said:
                    raise self._explained(failed(said["failure"]))
                calls.take(said)
            except (ValueError, TypeError, LookupError, AttributeError) as error:
                raise self._error(f"said something that is not understood: {described(error)}") from None
            await asyncio.sleep(0)  # one that never stops talking must not keep others from their turn

    def _explained(self, error: StepError) -> StepError:
        failure = error.failure
        if failure.code is not self.code or failure.details.get("type") != "MemoryError":
            return error
        return StepError(self.code, f"{failure.message.rstrip('.')}. {self._memory}", details=failure.details)

    @property
    def _memory(self) -> str:
        return f"It may have {self.settings.memory_mb} MiB (isolation.memory_mb)."

    def _died(self, code: int) -> StepError:
        if code == OUT_OF_MEMORY:
            return self._error(f"ran out of memory. {self._memory}", {"exit_code": code})
        if code >= 0:
            return self._error(f"ended without an outcome, with the exit code {code}", {"exit_code": code})
        name = signal.Signals(-code).name
        why = {
            signal.SIGXCPU: f": it used more than {self.settings.cpu_seconds} s of CPU (isolation.cpu_seconds)",
            signal.SIGKILL: ": by the kernel when memory ran out, or by somebody",
        }.get(signal.Signals(-code), "")
        return self._error(f"was ended by the signal {name}{why}", {"signal": name})

    def _error(self, what: str, details: Mapping[str, JsonValue] | None = None) -> StepError:
        said = f"The process of {self._what} {what}".rstrip(".")
        return StepError(self.code, f"{said}.", details=details or {})


async def _end(process: asyncio.subprocess.Process) -> None:
    assert process.stdin is not None
    process.stdin.close()  # for the warden the sign to end everything
    try:
        async with asyncio.timeout(_PATIENCE):
            await process.wait()
    except TimeoutError:
        with suppress(ProcessLookupError):
            process.kill()  # the body dies with it
        await process.wait()


class _Calls:
    """What the step asks of its context, answered as it comes."""

    def __init__(self, context: StepContext | None, say: Callable[[bytes], None]) -> None:
        self._context, self._say = context, say
        self._open: dict[int, asyncio.Task[None]] = {}

    def take(self, said: Mapping[str, Any]) -> None:
        """Raises LookupError or TypeError for what no step of ours would say."""
        context = self._context
        if context is None:
            raise LookupError("a tool has nothing to ask")
        if "log" in said:
            log = {"info": context.log.info, "warning": context.log.warning}[said["log"]]
            log(storable_text(said["event"]), **said["values"])
        elif "emit" in said:
            context.emit(said["emit"], **said["values"])
        elif "cancel" in said:
            if (call := self._open.get(said["cancel"])) is not None:
                call.cancel()
        else:
            number = int(said["id"])
            # Made here and not in the task, so that numbers in the ledger follow the order in which was asked.
            answering = self._answer(number, _called(context, said["call"], said["with"]))
            call = self._open[number] = asyncio.create_task(answering)
            call.add_done_callback(lambda _: self._open.pop(number, None))

    def cancel(self) -> None:
        for call in tuple(self._open.values()):
            call.cancel()

    async def _answer(self, number: int, asked: Coroutine[Any, Any, JsonValue]) -> None:
        try:
            answer: dict[str, JsonValue] = {"id": number, "result": await asked}
        except StepError as error:
            answer = {"id": number, "failure": error.failure.to_json()}
        except (Exception, SystemExit) as error:  # noqa: BLE001 - guards and providers are foreign; the step is told, as if it ran here
            failure = StepError(FailureCode.AGENT_FAILED, described(error)).failure
            answer = {"id": number, "failure": failure.to_json()}
        self._say(frame(answer))


def _called(context: StepContext, what: str, given: Mapping[str, Any]) -> Coroutine[Any, Any, JsonValue]:
    if what == "tool":
        return context.tools.call(given["name"], **given["arguments"])
    asked: dict[str, Any] = {
        "system": given["system"],
        "passages": read_passages(given["passages"]),
        "temperature": given["temperature"],
        "max_tokens": given["max_tokens"],
    }
    prompt = read_prompt(given["prompt"])
    if what == "structured":
        return _written(context.llm.fitting(prompt, given["schema"], **asked))
    if what == "complete":
        return _written(context.llm.complete(prompt, tools=tuple(given["tools"]), **asked))
    raise LookupError(what)


async def _written(reply: Coroutine[Any, Any, Any]) -> JsonValue:
    return written_reply(await reply)
