"""The engine's own way of running agents and tools, without a database: the context is the real one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any, TypeVar
from uuid import uuid4

from agentplat.contracts.agent import Agent, AgentContext, AgentSpec
from agentplat.contracts.model import ModelProvider, ModelProviderSpec
from agentplat.contracts.tool import Tool, ToolContext, ToolSpec
from agentplat.domain.errors import StepError, UnknownName
from agentplat.domain.ids import StepPath, TaskId
from agentplat.domain.json import JsonValue
from agentplat.domain.workflow import AgentCall, ToolCall
from agentplat.engine.steps.calls import CallLedger, RecordedCall, idempotency_key
from agentplat.engine.steps.capabilities import AgentEntry, ModelEntry, Pricing, ToolEntry
from agentplat.engine.steps.context import Attempt, Outcome, StepContext, Surroundings, run_body
from agentplat.engine.steps.toolbox import Toolbox
from agentplat_testkit.fakes import RememberedLog, ScriptedModel

T = TypeVar("T")
MODEL = "scripted:script"


def _unpriced(*_: object) -> None:
    """No price is known."""


class _ContextOwner(Agent[None, None]):
    """The agent of a context that was asked for on its own."""

    name = "test"


class StepHarness:
    """Runs agents and tools as a worker does: validated, recorded, bounded, with a scripted model.

    The ledger is kept in `calls`, so that running the same try again replays it, as after a crash. What is emitted
    and logged is in `emitted` and `log`.
    """

    def __init__(
        self,
        *,
        agents: Iterable[Agent[Any, Any] | AgentEntry] = (),
        tools: Iterable[Tool[Any, Any] | ToolEntry] = (),
        model: ModelProvider | None = None,
        generates: bool = True,
        config: Mapping[str, JsonValue] | None = None,
        settings: Mapping[str, JsonValue] | None = None,
        project: str | None = None,
        tenant: str = "default",
        timeout: float = 60.0,
        pricing: Pricing = _unpriced,
    ) -> None:
        """`config` is that of agents and tools given as instances, `settings` that of such tools."""
        self.model_provider = model or ScriptedModel()
        self.task_id = TaskId(uuid4())
        self.calls: dict[tuple[int, int], RecordedCall] = {}
        self.recorded: list[RecordedCall] = []
        self.emitted: list[tuple[str, Mapping[str, JsonValue]]] = []
        self.log = RememberedLog()
        self._generates, self._config, self._settings = generates, config or {}, settings or {}
        self._project, self._tenant, self._timeout = project, tenant, timedelta(seconds=timeout)
        self._pricing = pricing
        self._agents = {entry.spec.name: entry for entry in map(self._agent_entry, agents)}
        self._tools = {entry.spec.name: entry for entry in map(self._tool_entry, tools)}

    def _agent_entry(self, agent: Agent[Any, Any] | AgentEntry) -> AgentEntry:
        if isinstance(agent, AgentEntry):
            return agent
        spec = AgentSpec(name=agent.name, description=_about(agent), factory=_factory(agent), tools=tuple(agent.tools))
        return AgentEntry(agent=agent, spec=spec, config=self._config)

    def _tool_entry(self, tool: Tool[Any, Any] | ToolEntry) -> ToolEntry:
        if isinstance(tool, ToolEntry):
            return tool
        spec = ToolSpec(
            name=tool.name, description=_about(tool), factory=_factory(tool), effect=tool.effect, config=self._config
        )
        return ToolEntry(tool=tool, spec=spec, settings=self._settings)

    # What the engine asks: see engine/steps/capabilities.py.

    @property
    def project(self) -> str | None:
        return self._project

    def agent(self, name: str) -> AgentEntry:
        return _known("agent", name, self._agents)

    def tool(self, name: str) -> ToolEntry:
        return _known("tool", name, self._tools)

    def model(self, name: str | None) -> ModelEntry:
        """The scripted model, whatever was asked for."""
        provider, _, model = (name or MODEL).partition(":")
        spec = ModelProviderSpec(
            name=provider,
            description="Follows a script.",
            factory="agentplat_testkit.fakes:ScriptedModel",
            default_model="script",
            generates=self._generates,
        )
        return ModelEntry(provider=self.model_provider, spec=spec, model=model or "script")

    # What a test asks.

    def ledger(self, *, try_number: int = 1, path: StepPath | None = None) -> CallLedger:
        """The ledger of one try, with all that earlier ones left."""
        return CallLedger(
            task_id=self.task_id,
            path=path or StepPath((("step", 1),)),
            try_number=try_number,
            sink=self._keep,
            log=self.log,
            recorded=self.calls.values(),
        )

    async def _keep(self, call: RecordedCall) -> None:
        self.recorded.append(call)
        self.calls[call.try_number, call.number] = call

    def attempt(self, *, try_number: int = 1) -> Attempt:
        return Attempt(
            task_id=self.task_id,
            tenant=self._tenant,
            path=StepPath((("step", 1),)),
            timeout=self._timeout,
            ledger=self.ledger(try_number=try_number),
            log=self.log,
            emit=lambda event, values: self.emitted.append((event, values)),
        )

    def surroundings(self) -> Surroundings:
        return Surroundings(capabilities=self, pricing=self._pricing)

    async def outcome(self, body: AgentCall | ToolCall, given: JsonValue, *, try_number: int = 1) -> Outcome:
        """What one execution comes to, failures included."""
        try:
            return await run_body(body, given, self.attempt(try_number=try_number), self.surroundings())
        finally:
            await asyncio.sleep(0)  # records that nobody waited for reach `calls`

    async def run_agent(self, name: str, given: JsonValue, *, try_number: int = 1) -> Any:
        """The agent's output. StepError when it fails."""
        return _output(await self.outcome(AgentCall(name), given, try_number=try_number))

    async def run_tool(self, name: str, given: JsonValue, *, try_number: int = 1) -> Any:
        """The tool's output. StepError when it fails."""
        return _output(await self.outcome(ToolCall(name), given, try_number=try_number))

    def agent_context(self, name: str | None = None) -> StepContext:
        """A context of that agent, or of one that has all the tools, to hand to `execute`. Needs a running loop."""
        if name is not None:
            return StepContext(self.agent(name), self.attempt(), self.surroundings())
        owner = _ContextOwner()
        spec = AgentSpec(name=owner.name, description="", factory=_factory(owner), tools=tuple(self._tools))
        return StepContext(AgentEntry(agent=owner, spec=spec, config=self._config), self.attempt(), self.surroundings())

    def tool_context(self, name: str) -> ToolContext:
        """A context of that tool, to hand to `execute`."""
        toolbox = Toolbox(
            names=(name,),
            capabilities=self,
            ledger=self.ledger(),
            tenant=self._tenant,
            remaining=self._timeout.total_seconds,
        )
        path = StepPath((("step", 1),))
        return toolbox.context(self.tool(name), lambda: idempotency_key(self.task_id, path, "step", name))


def agent_context(
    *,
    model: ModelProvider | None = None,
    tools: Iterable[Tool[Any, Any]] = (),
    config: Mapping[str, JsonValue] | None = None,
) -> AgentContext:
    """A real AgentContext with a scripted model and these tools. Needs a running loop."""
    return StepHarness(model=model, tools=tools, config=config).agent_context()


def tool_context(
    tool: Tool[Any, Any],
    *,
    config: Mapping[str, JsonValue] | None = None,
    settings: Mapping[str, JsonValue] | None = None,
    project: str | None = None,
) -> ToolContext:
    """A real ToolContext for this tool."""
    harness = StepHarness(tools=[tool], config=config, settings=settings, project=project)
    return harness.tool_context(tool.name)


def _output(outcome: Outcome) -> JsonValue:
    failure = outcome.failure
    if failure is None:
        return outcome.output
    raise StepError(
        failure.code,
        failure.message,
        retryable=failure.retryable,
        retry_after=failure.retry_after,
        details=failure.details,
    )


def _known(kind: str, name: str, entries: Mapping[str, T]) -> T:
    if name not in entries:
        raise UnknownName(kind, name, list(entries))
    return entries[name]


def _about(capability: Agent[Any, Any] | Tool[Any, Any]) -> str:
    return (type(capability).__doc__ or capability.name).strip().splitlines()[0]


def _factory(capability: Agent[Any, Any] | Tool[Any, Any]) -> str:
    return f"{type(capability).__module__}:{type(capability).__qualname__}"
