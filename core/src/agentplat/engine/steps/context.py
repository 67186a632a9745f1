"""One execution of a step's body: the context that it sees, its time limit, and the outcome."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeAlias

from agentplat.contracts.agent import Log
from agentplat.domain.errors import AgentplatError, StepError
from agentplat.domain.failure import Failure, FailureCode
from agentplat.domain.ids import StepPath, TaskId
from agentplat.domain.json import JsonValue, unstorable
from agentplat.domain.usage import Usage
from agentplat.domain.workflow import AgentCall, ToolCall
from agentplat.engine.steps.calls import EFFECTS, CallLedger, idempotency_key
from agentplat.engine.steps.capabilities import AgentEntry, Capabilities, ModelEntry, Pricing
from agentplat.engine.steps.invocation import described, invoke, is_async, keepable
from agentplat.engine.steps.llm import RecordedLlm
from agentplat.engine.steps.threads import InThread
from agentplat.engine.steps.toolbox import Toolbox, resolved_tool

Emit: TypeAlias = Callable[[str, Mapping[str, JsonValue]], None]
"""Takes what a body emits. Called on the event loop; must not block."""


@dataclass(slots=True, kw_only=True)
class Attempt:
    """Which execution of which step this is, and where what it does goes."""

    task_id: TaskId
    tenant: str
    path: StepPath
    timeout: timedelta
    ledger: CallLedger
    log: Log
    emit: Emit
    in_thread: InThread = asyncio.to_thread  # where a plain `execute` runs


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What the process lends to every step."""

    capabilities: Capabilities
    pricing: Pricing
    clock: Callable[[], float] = time.monotonic


@dataclass(slots=True, kw_only=True)
class Outcome:
    """`failure` is None when the body succeeded. `usage` is counted either way."""

    output: JsonValue = None
    failure: Failure | None = None
    usage: Usage


class StepContext:
    """The `AgentContext` of the contract. Safe to use from the thread of a plain `execute`, calls excepted."""

    def __init__(self, entry: AgentEntry, attempt: Attempt, around: Surroundings, model: str | None = None) -> None:
        self._entry, self._attempt, self._around, self._model = entry, attempt, around, model
        self._ends_at = around.clock() + attempt.timeout.total_seconds()
        self._loop = asyncio.get_running_loop()
        self._llm: RecordedLlm | None = None
        self._tools = Toolbox(
            names=entry.tools,
            capabilities=around.capabilities,
            ledger=attempt.ledger,
            tenant=attempt.tenant,
            remaining=lambda: self.deadline,
            in_thread=attempt.in_thread,
        )

    @property
    def llm(self) -> RecordedLlm:
        """Made at first use: an agent that asks no model needs none."""
        if self._llm is None:
            self._llm = RecordedLlm(
                entry=_resolved_model(self._around.capabilities, self._entry, self._model),
                ledger=self._attempt.ledger,
                toolbox=self._tools,
                pricing=self._around.pricing,
                remaining=lambda: self.deadline,
                log=self.log,
            )
        return self._llm

    @property
    def tools(self) -> Toolbox:
        return self._tools

    @property
    def log(self) -> Log:
        return self._attempt.log

    @property
    def config(self) -> Mapping[str, JsonValue]:
        return self._entry.config

    @property
    def tenant(self) -> str:
        return self._attempt.tenant

    @property
    def task_id(self) -> str:
        return str(self._attempt.task_id)

    @property
    def idempotency_key(self) -> str:
        return idempotency_key(self._attempt.task_id, self._attempt.path, "step", self._entry.spec.name)

    @property
    def deadline(self) -> float:
        return max(0.0, self._ends_at - self._around.clock())

    def emit(self, event: str, /, **values: JsonValue) -> None:
        wrong = unstorable({"event": event, **values})
        if wrong is not None:
            self.log.warning("emit_dropped", agent=self._entry.spec.name, reason=f"{wrong[0]} {wrong[1]}")
            return
        self._loop.call_soon_threadsafe(self._attempt.emit, event, values)


def _resolved_agent(capabilities: Capabilities, name: str) -> AgentEntry:
    try:
        return capabilities.agent(name)
    except AgentplatError as error:
        raise StepError(FailureCode.INVALID_INPUT, error.detail) from None
    # Making an agent imports and calls a plugin.
    except (Exception, SystemExit) as error:  # noqa: BLE001
        raise StepError(FailureCode.AGENT_FAILED, f"The agent {name!r} cannot be made: {described(error)}") from None


def _resolved_model(capabilities: Capabilities, entry: AgentEntry, named: str | None) -> ModelEntry:
    configured = entry.config.get("model")
    wanted = named or (configured if isinstance(configured, str) else entry.spec.model)
    try:
        return capabilities.model(wanted)
    except AgentplatError as error:
        raise StepError(FailureCode.INVALID_INPUT, error.detail) from None
    # Making a provider imports and calls a plugin. The text is left out: it may hold a key.
    except (Exception, SystemExit) as error:  # noqa: BLE001
        message = f"The model {wanted or '(default)'} cannot be reached: {type(error).__name__}."
        raise StepError(FailureCode.AGENT_FAILED, message) from None


def begins_in_thread(body: AgentCall | ToolCall, capabilities: Capabilities) -> bool:
    """Whether its first act is a plain `execute`. Not when it cannot be made: `run_body` says why."""
    try:
        entry = capabilities.agent(body.agent) if isinstance(body, AgentCall) else capabilities.tool(body.tool)
    except (Exception, SystemExit):  # noqa: BLE001 - making it imports and calls a plugin
        return False
    cls: Any = type(entry.agent if isinstance(entry, AgentEntry) else entry.tool)
    return not is_async(cls)


async def run_body(body: AgentCall | ToolCall, raw_input: JsonValue, attempt: Attempt, around: Surroundings) -> Outcome:
    """The outcome of one execution. Every failure is in it, a cancel excepted: that goes through.

    What the ledger could not record is raised instead of an outcome. A plain `execute` that outlives its timeout
    cannot be stopped: its thread goes on, without effect on the step.
    """
    failure: Failure | None = None
    output: JsonValue = None
    seconds, ledger, task = attempt.timeout.total_seconds(), attempt.ledger, asyncio.current_task()
    assert task is not None
    expired = False

    def expire() -> None:
        nonlocal expired
        expired = True
        task.cancel()

    # What `asyncio.timeout` does, for a quarter of what that costs every step.
    timer = asyncio.get_running_loop().call_later(seconds, expire)
    try:
        output = await _run(body, raw_input, attempt, around)
    except StepError as error:
        failure = error.failure
    except asyncio.CancelledError:
        if not expired or task.cancelling() > 1:  # somebody else cancelled it, too
            raise
    finally:
        timer.cancel()
        if expired:
            task.uncancel()
        ledger.close()
    if isinstance(ledger.broken, StepError):
        failure = ledger.broken.failure
    elif ledger.broken is not None:
        raise ledger.broken
    elif expired:
        failure = StepError(FailureCode.TIMEOUT, f"The step took longer than its timeout of {seconds:g} s.").failure
    if task.cancelling():  # a body that swallowed its cancel does not turn it into an outcome
        raise asyncio.CancelledError
    if failure is not None:
        return Outcome(failure=keepable(failure), usage=ledger.usage)
    return Outcome(output=output, usage=ledger.usage)


async def _run(body: AgentCall | ToolCall, raw_input: JsonValue, attempt: Attempt, around: Surroundings) -> JsonValue:
    attempt.ledger.stop_if_in_doubt()
    if isinstance(body, AgentCall):
        entry = _resolved_agent(around.capabilities, body.agent)
        context = StepContext(entry, attempt, around, body.model)
        return await invoke(entry.agent, raw_input, context, name=entry.spec.name, in_thread=attempt.in_thread)
    tool = resolved_tool(around.capabilities, body.tool)
    ends_at = around.clock() + attempt.timeout.total_seconds()
    toolbox = Toolbox(
        names=(body.tool,),
        capabilities=around.capabilities,
        ledger=attempt.ledger,
        tenant=attempt.tenant,
        remaining=lambda: max(0.0, ends_at - around.clock()),
        in_thread=attempt.in_thread,
    )
    if tool.spec.effect in EFFECTS:
        return await toolbox.run(tool, raw_input, attempt.ledger.reserve(), ends_step=True)
    # The step's outcome is the record of its only call.
    name = tool.spec.name
    own = toolbox.context(tool, lambda: idempotency_key(attempt.task_id, attempt.path, "step", name))
    return await invoke(tool.tool, raw_input, own, name=name, in_thread=attempt.in_thread)
