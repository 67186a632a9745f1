"""The engine's door to the registries: which agent, tool or model a name stands for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

from agentplat.contracts.agent import Agent, AgentSpec
from agentplat.contracts.model import ModelProvider, ModelProviderSpec
from agentplat.contracts.tool import Tool, ToolSpec
from agentplat.domain.json import JsonValue
from agentplat.domain.usage import Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentEntry:
    """`config` is what the agent sees: the entry's or the spec's, over the project's settings for that agent."""

    agent: Agent[Any, Any]
    spec: AgentSpec
    config: Mapping[str, JsonValue] = field(default_factory=dict)

    @property
    def tools(self) -> tuple[str, ...]:
        """What the class declares and what its entry gives it, each once."""
        return tuple(dict.fromkeys((*self.agent.tools, *self.spec.tools)))


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolEntry:
    """`settings` is what the project's settings say under the tool's name."""

    tool: Tool[Any, Any]
    spec: ToolSpec
    settings: Mapping[str, JsonValue] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelEntry:
    provider: ModelProvider
    spec: ModelProviderSpec
    model: str  # without the provider's name

    @property
    def name(self) -> str:
        return f"{self.spec.name}:{self.model}"


class Capabilities(Protocol):
    """Raises errors of `agentplat.domain.errors` for what is unknown, or cannot be made."""

    @property
    def project(self) -> str | None:
        """The project's folder; None when there is none."""

    def agent(self, name: str) -> AgentEntry: ...

    def tool(self, name: str) -> ToolEntry: ...

    def model(self, name: str | None) -> ModelEntry:
        """The model of that name, `provider:model` or a provider's default; with None the default model."""


Pricing: TypeAlias = Callable[[str, Usage], int | None]
"""The cost in micro-USD of what `provider:model` used; None when its price is unknown."""
