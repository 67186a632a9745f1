"""`ctx.tools`: the tools that an agent was given, each call recorded."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agentplat.contracts.model import ToolDescription
from agentplat.domain.errors import AgentplatError, StepError
from agentplat.domain.failure import FailureCode
from agentplat.domain.json import JsonObject, JsonValue, unstorable
from agentplat.engine.steps.calls import Answer, CallLedger
from agentplat.engine.steps.capabilities import Capabilities, ToolEntry
from agentplat.engine.steps.invocation import described, input_schema, invoke, misfit
from agentplat.engine.steps.threads import InThread


@dataclass(slots=True, kw_only=True)
class RecordedToolContext:
    """The `ToolContext` of the contract."""

    config: Mapping[str, JsonValue]
    settings: Mapping[str, JsonValue]
    project: str | None
    key: Callable[[], str]  # made when it is asked for: few tools do
    tenant: str
    remaining: Callable[[], float]

    @property
    def idempotency_key(self) -> str:
        return self.key()

    @property
    def deadline(self) -> float:
        return self.remaining()


class Toolbox:
    """The `Tools` of the contract."""

    def __init__(
        self,
        *,
        names: Sequence[str],
        capabilities: Capabilities,
        ledger: CallLedger,
        tenant: str,
        remaining: Callable[[], float],
        in_thread: InThread = asyncio.to_thread,
    ) -> None:
        self._names = tuple(names)
        self._capabilities, self._ledger = capabilities, ledger
        self._tenant, self._remaining, self._in_thread = tenant, remaining, in_thread

    @property
    def names(self) -> Sequence[str]:
        return self._names

    # Not `async def`, so that calls which are gathered take their numbers in the order of the program.
    def call(self, name: str, /, **arguments: JsonValue) -> Coroutine[Any, Any, Any]:
        return self.call_as(name, arguments, self._ledger.reserve())

    async def call_as(self, name: str, arguments: JsonObject, number: int) -> JsonValue:
        """The tool's output. `number` is the call's place in the ledger."""
        if name not in self._names:
            raise self.unknown(name, self._names)
        wrong = unstorable(arguments)
        if wrong is not None:
            raise misfit(FailureCode.INVALID_INPUT, f"The input of the tool {name!r}", [wrong])
        return await self.run(resolved_tool(self._capabilities, name), arguments, number)

    async def run(self, entry: ToolEntry, arguments: JsonValue, number: int, *, ends_step: bool = False) -> JsonValue:
        """What the tool gives, or gave before. See `CallLedger.answer` for `ends_step`."""
        name = entry.spec.name
        call = self._ledger.place("tool", name, arguments, number=number, effect=entry.spec.effect)

        async def perform() -> Answer:
            own = self.context(entry, lambda: call.key)
            return Answer(await invoke(entry.tool, arguments, own, name=name, in_thread=self._in_thread))

        return await self._ledger.answer(call, perform, ends_step=ends_step)

    def context(self, entry: ToolEntry, key: Callable[[], str]) -> RecordedToolContext:
        return RecordedToolContext(
            config=entry.spec.config,
            settings=entry.settings,
            project=self._capabilities.project,
            key=key,
            tenant=self._tenant,
            remaining=self._remaining,
        )

    def describe(self, names: Sequence[str]) -> tuple[ToolDescription, ...]:
        """What a model is told about these tools. StepError for one that the agent does not have."""
        missing = next((name for name in names if name not in self._names), None)
        if missing is not None:
            raise self.unknown(missing, self._names)
        entries = [resolved_tool(self._capabilities, name) for name in names]
        return tuple(
            ToolDescription(name=entry.spec.name, description=entry.spec.description, schema=input_schema(entry.tool))
            for entry in entries
        )

    def unknown(self, name: str, allowed: Sequence[str]) -> StepError:
        listed = ", ".join(allowed) or "none"
        return StepError(
            FailureCode.INVALID_INPUT,
            f"The tool {name!r} is not one of those that this agent has: {listed}.",
            details={"allowed": list(allowed)},
        )


def resolved_tool(capabilities: Capabilities, name: str) -> ToolEntry:
    """The tool of that name. StepError when it is unknown or cannot be made."""
    try:
        return capabilities.tool(name)
    except AgentplatError as error:
        raise StepError(FailureCode.INVALID_INPUT, error.detail) from None
    # Making a tool imports and calls a plugin.
    except (Exception, SystemExit) as error:  # noqa: BLE001
        raise StepError(FailureCode.TOOL_FAILED, f"The tool {name!r} cannot be made: {described(error)}") from None
