"""What every model provider has to keep to."""

from __future__ import annotations

from agentplat_testkit import ModelContract


class TestContract(ModelContract):
    plugin, name = "llm-offline", "offline"
