"""The endpoints that are offered by name. Imported by the plugin's light module: standard library only."""

from __future__ import annotations

import os
from collections.abc import Mapping

from agentplat import JsonValue, ModelProviderSpec
from agentplat_llm_openai.address import base_url, stays_on_machine

__all__ = ["OPTIONS", "preset"]

# The keywords of `OpenAIProvider`. Another package may offer an endpoint of its own with the same factory.
OPTIONS: Mapping[str, Mapping[str, JsonValue]] = {
    "openrouter": {
        "base_url": "https://openrouter.ai/api/v1",
        "url_variable": "OPENROUTER_BASE_URL",
        "key_variable": "OPENROUTER_API_KEY",
        "asks_cost": True,
    },
    "openai": {
        "base_url": "https://api.openai.com/v1",
        "url_variable": "OPENAI_BASE_URL",
        "key_variable": "OPENAI_API_KEY",
        "limit_field": "max_completion_tokens",
    },
    "ollama": {
        "base_url": "http://127.0.0.1:11434/v1",
        "url_variable": "OLLAMA_HOST",
        "key_variable": "OLLAMA_API_KEY",
        "key_required": False,
    },
    "vllm": {
        "base_url": "http://127.0.0.1:8000/v1",
        "url_variable": "AGENTPLAT_VLLM_URL",
        "key_variable": "VLLM_API_KEY",
        "key_required": False,
    },
}

# description, default model, rank, whether it may become the default by itself
_OFFERS: Mapping[str, tuple[str, str, int, bool]] = {
    "openrouter": ("Hundreds of models through openrouter.ai.", "openai/gpt-4.1-mini", 200, True),
    "openai": ("Models of OpenAI, or of any endpoint that speaks its protocol.", "gpt-4.1-mini", 100, True),
    "ollama": ("Models of a local Ollama server.", "llama3.2", 0, False),
    "vllm": ("The model of a local vLLM server.", "Qwen/Qwen2.5-7B-Instruct", 0, False),
}


def preset(name: str) -> ModelProviderSpec:
    """The spec of one preset. Whether prompts leave the machine is read off the address that will really be used."""
    options = OPTIONS[name]
    description, default_model, rank, automatic = _OFFERS[name]
    address = base_url(str(options["base_url"]), str(options["url_variable"]), os.environ)
    return ModelProviderSpec(
        name=name,
        description=description,
        factory="agentplat_llm_openai.provider:OpenAIProvider",
        default_model=default_model,
        rank=rank,
        leaves_machine=not stays_on_machine(address),
        requires=(str(options["key_variable"]),) if options.get("key_required", True) else (),
        automatic=automatic,
        options={"name": name, **options},
    )
