"""What agentplat-llm-offline offers to agentplat."""

from __future__ import annotations

from agentplat import ModelProviderSpec, hookimpl

API_LEVEL = 1


@hookimpl
def agentplat_model_providers() -> list[ModelProviderSpec]:
    """The provider `offline`: it needs nothing, so it is the default where nothing better is configured."""
    return [
        ModelProviderSpec(
            name="offline",
            description="Selects and orders sentences of what it is given. Generates nothing, needs no key or network.",
            factory="agentplat_llm_offline.client:OfflineProvider",
            default_model="extractive",
            rank=0,
            generates=False,
            leaves_machine=False,
        )
    ]
