"""What agentplat-llm-openai offers to agentplat."""

from __future__ import annotations

from agentplat import ModelProviderSpec, hookimpl
from agentplat_llm_openai.presets import preset

API_LEVEL = 1


@hookimpl
def agentplat_model_providers() -> list[ModelProviderSpec]:
    """The presets. Nothing is asked of any of them here: a local server is used only when it is named."""
    return [preset(name) for name in ("openrouter", "openai", "ollama", "vllm")]
