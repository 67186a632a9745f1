"""What an installation knows of the agents, strategies and models that a workflow names."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from agentplat import AgentplatError, UnknownName
from agentplat.contracts.tool import Effect
from agentplat.domain.json import JsonObject, JsonValue
from agentplat.domain.strategy import Strategy
from agentplat.domain.workflow import Workflow
from agentplat.engine.steps.invocation import input_faults, input_schema, output_schema
from agentplat.engine.steps.llm import MAX_REQUESTS_A_ROUND, MAX_ROUNDS
from agentplat_analysis.bounds import Calls
from agentplat_analysis.reading import known_workflow

if TYPE_CHECKING:
    from agentplat.contracts.agent import AgentSpec
    from agentplat.plugins.registry import Registries


class Price(Protocol):
    """Micro-USD per million tokens."""

    @property
    def input(self) -> int: ...

    @property
    def output(self) -> int: ...


class Installation:
    """The `Knowledge` of the bounds."""

    def __init__(self, registries: Registries, default_model: str | None, prices: Mapping[str, Price]) -> None:
        self._registries, self._default, self._prices = registries, default_model, prices

    def strategy(self, name: str) -> Strategy:
        return self._registries.strategy(name)

    def calls(self, agent: str) -> Calls:
        spec = self._registries.agents.spec(agent)
        if spec.prompt is not None:
            rounds = MAX_ROUNDS if spec.tools else 0
            return Calls(model_calls=1 + rounds, tool_calls=rounds * MAX_REQUESTS_A_ROUND, model=self._model(spec))
        try:
            made: Any = self._registries.agent(agent)
        except AgentplatError:
            return Calls(model=self._model(spec))
        tool_calls = made.most_tool_calls
        if tool_calls is None and not spec.tools and not made.tools:
            tool_calls = 0
        return Calls(model_calls=made.most_model_calls, tool_calls=tool_calls, model=self._model(spec))

    def workflow(self, name: str) -> Workflow | None:
        return known_workflow(self._registries, name)

    def price(self, model: str) -> float | None:
        known = self._prices.get(model)
        if known is not None:
            return max(known.input, known.output) / 1_000_000
        try:
            provider = self._registries.model(model).provider
        except AgentplatError:
            return None
        return None if provider.leaves_machine else 0.0

    def _model(self, spec: AgentSpec) -> str:
        try:
            choice = self._registries.model(spec.model) if spec.model else None
            return str(choice or self._registries.default_model(os.environ, self._default))
        except AgentplatError:
            return spec.model or "the default model"


class InstalledSchemas:
    """The `Schemas` of the checks. What cannot be loaded is not known."""

    def __init__(self, registries: Registries) -> None:
        self._registries = registries
        self._known: dict[tuple[object, str, str], JsonObject | None] = {}
        self._workflows: dict[str, Workflow | None] = {}

    def input(self, kind: str, name: str) -> JsonObject | None:
        if kind == "workflow":
            workflow = self.workflow(name)
            return workflow.input_schema if workflow is not None else None
        return self._asked(kind, name, input_schema)

    def output(self, kind: str, name: str) -> JsonObject | None:
        return self._asked(kind, name, output_schema)

    def effect(self, tool: str) -> Effect:
        return self._registries.tools.spec(tool).effect

    def workflow(self, name: str) -> Workflow | None:
        if name not in self._workflows:
            self._workflows[name] = known_workflow(self._registries, name)
        return self._workflows[name]

    def refused(self, kind: str, name: str, given: JsonValue) -> list[tuple[str, str]]:
        try:
            return input_faults(getattr(self._registries, kind)(name), given)
        except AgentplatError:
            return []

    def strategy(self, name: str) -> Strategy | None:
        try:
            return self._registries.strategy(name)
        except AgentplatError:
            return None

    def model(self, named: str) -> str | None:
        try:
            self._registries.model(named)
        except UnknownName as error:
            return str(error)
        except AgentplatError:
            return None
        return None

    def _asked(self, kind: str, name: str, schema: Callable[[Any], JsonObject]) -> JsonObject | None:
        key = (schema, kind, name)
        if key not in self._known:
            try:
                self._known[key] = schema(getattr(self._registries, kind)(name))
            except AgentplatError:
                self._known[key] = None
        return self._known[key]
