"""A plugin that breaks one contract with every name, and the one about heavy imports with all of them."""

from __future__ import annotations

import httpx  # noqa: F401 - the fault

from agentplat import AgentSpec, Effect, InterfaceSpec, ModelProviderSpec, StrategySpec, ToolSpec, hookimpl

API_LEVEL = 99


@hookimpl
def agentplat_agents() -> list[AgentSpec]:
    names = ("undescribed", "lenient", "stateful", "stubborn", "leaky")
    twice = ("twice", "twice")
    return [
        AgentSpec(name=name, description="Bad.", factory=f"specimens.agents:{name.capitalize()}")
        for name in (*names, *twice)
    ]


@hookimpl
def agentplat_tools() -> list[ToolSpec]:
    names = ("writer", "silent")
    return [
        ToolSpec(name=name, description="", factory=f"specimens.tools:{name.capitalize()}", effect=Effect.PURE)
        for name in names
    ]


@hookimpl
def agentplat_strategies() -> list[StrategySpec]:
    names = ("endless", "forgetful", "secretive", "lost", "stranger", "vandal", "waiter")
    return [
        StrategySpec(name="fickle", description="Bad.", factory="specimens.chance:Fickle"),
        *(
            StrategySpec(name=name, description="Bad.", factory=f"specimens.strategies:{name.capitalize()}")
            for name in names
        ),
    ]


@hookimpl
def agentplat_model_providers() -> list[ModelProviderSpec]:
    return [
        ModelProviderSpec(
            name=name, description="Bad.", factory=f"specimens.models:{name.capitalize()}", default_model="m"
        )
        for name in ("generous", "talkative")
    ]


@hookimpl
def agentplat_interfaces() -> list[InterfaceSpec]:
    return [
        InterfaceSpec(name=name, description="Bad.", factory=f"specimens.interfaces:{name}")
        for name in ("hasty", "fragile")
    ]
