"""Tools that keep or break their contract."""

from __future__ import annotations

import os
from typing import Any

from pydantic import BaseModel, Field

from agentplat import Effect, Tool, ToolContext


class Input(BaseModel):
    text: str = Field(description="What to work on.")


class Good(Tool[Input, str]):
    name = "good"
    effect = Effect.PURE

    async def execute(self, input: Input, ctx: ToolContext) -> str:
        return input.text.upper()


class Writer(Tool[Input, int]):
    name = "writer"
    effect = Effect.PURE

    async def execute(self, input: Input, ctx: ToolContext) -> int:
        with open(os.devnull, "w", encoding="utf-8") as file:  # noqa: ASYNC230, PTH123 - the fault
            return file.write(input.text)


class Silent(Tool[Input, Any]):
    name = "silent"
