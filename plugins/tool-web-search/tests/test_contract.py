from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import pytest
from agentplat_testkit import ToolContract

from agentplat import JsonValue

from .fake import FakeServer, found, row


class TestWebSearch(ToolContract):
    plugin = "tool-web-search"
    name = "web_search"
    example: ClassVar = {"query": "lease queues"}
    bad_input: ClassVar = {"query": "lease queues", "count": 21}

    @pytest.fixture
    def settings(self, server: FakeServer) -> Mapping[str, JsonValue]:
        server.answer = found(row("Lease queues", "https://example.org/", "What they are."))
        return {"base_url": server.url}
