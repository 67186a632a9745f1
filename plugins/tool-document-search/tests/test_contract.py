"""What every tool has to keep to."""

from __future__ import annotations

from typing import ClassVar

from agentplat_testkit import ToolContract


class TestContract(ToolContract):
    plugin, name = "tool-document-search", "document_search"
    example: ClassVar = {"query": "What is a lease?"}
