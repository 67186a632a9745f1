"""What every agent has to keep to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import pytest
from agentplat_testkit import AgentContract
from pydantic import BaseModel

from agentplat import Effect, Tool, ToolContext


class Query(BaseModel):
    query: str
    limit: int = 5


class Guides(Tool[Query, dict[str, Any]]):
    name = "document_search"
    effect = Effect.READS

    async def execute(self, input: Query, ctx: ToolContext) -> dict[str, Any]:
        passage = {"source": "guide.md", "text": "A lease is the right to work on a task.", "matched": ["lease"]}
        return {"results": [passage], "words": ["lease"]}


class TestContract(AgentContract):
    plugin, name = "agent-research", "research"
    example: ClassVar = {"topic": "What is a lease?"}

    @pytest.fixture
    def tools(self) -> Sequence[Tool[Any, Any]]:
        return [Guides()]
