"""A plugin that keeps every contract."""

from __future__ import annotations

from agentplat import AgentSpec, Effect, InterfaceSpec, ModelProviderSpec, StrategySpec, ToolSpec, hookimpl

API_LEVEL = 1


@hookimpl
def agentplat_agents() -> list[AgentSpec]:
    return [AgentSpec(name="good", description="Good.", factory="specimens.agents:Good", tools=("good",))]


@hookimpl
def agentplat_tools() -> list[ToolSpec]:
    return [ToolSpec(name="good", description="Good.", factory="specimens.tools:Good", effect=Effect.PURE)]


@hookimpl
def agentplat_strategies() -> list[StrategySpec]:
    return [
        StrategySpec(name="good", description="Good.", factory="specimens.strategies:Good"),
        StrategySpec(name="eager", description="Good.", factory="specimens.strategies:Eager"),
    ]


@hookimpl
def agentplat_model_providers() -> list[ModelProviderSpec]:
    return [ModelProviderSpec(name="good", description="Good.", factory="specimens.models:Good", default_model="m")]


@hookimpl
def agentplat_interfaces() -> list[InterfaceSpec]:
    return [InterfaceSpec(name="good", description="Good.", factory="specimens.interfaces:good")]
