"""A tool with several parameters."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from agentplat import Effect, Tool, ToolContext


class Parts(BaseModel):
    left: str = Field(description="What comes first.")
    right: str = Field(description="What comes then.")
    between: str = Field(default=" ", description="What stands between.")


class Join(Tool[Parts, dict[str, Any]]):
    """Joins two texts."""

    name = "join"
    effect = Effect.PURE

    async def execute(self, input: Parts, ctx: ToolContext) -> dict[str, Any]:
        return {"result": f"{input.left}{input.between}{input.right}"}
