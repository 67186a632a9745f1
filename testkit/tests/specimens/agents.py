"""Agents that keep or break their contract."""

from __future__ import annotations

import asyncio
from itertools import count
from typing import Any

from pydantic import BaseModel, Field

from agentplat import Agent, AgentContext


class Input(BaseModel):
    text: str = Field(description="What to work on.")


class Bare(BaseModel):
    text: str


class Output(BaseModel):
    text: str


class Good(Agent[Input, Output]):
    name = "good"
    tools = ("good",)

    async def execute(self, input: Input, ctx: AgentContext) -> Output:
        found = await ctx.tools.call("good", text=input.text)
        return await ctx.llm.structured(f"{input.text} {found}", Output)


class Undescribed(Agent[Bare, Output]):
    name = "undescribed"


class Lenient(Agent[dict[str, Any], Output]):
    name = "lenient"

    async def execute(self, input: dict[str, Any], ctx: AgentContext) -> Output:
        return Output(text=str(input))


class Stateful(Agent[Input, Output]):
    name = "stateful"
    counter = count()

    async def execute(self, input: Input, ctx: AgentContext) -> Output:
        await ctx.llm.complete(f"{next(self.counter)}")
        return Output(text=f"{next(self.counter)}")


class Stubborn(Agent[Input, Output]):
    name = "stubborn"

    async def execute(self, input: Input, ctx: AgentContext) -> Output:
        background = asyncio.ensure_future(ctx.llm.complete("x"))
        try:
            await asyncio.shield(background)
        finally:
            background.add_done_callback(lambda done: done.cancelled() or done.exception())
        return Output(text="ok")


class Leaky(Agent[Input, Output]):
    name = "leaky"
    left: asyncio.Future[Any]

    async def execute(self, input: Input, ctx: AgentContext) -> Output:
        type(self).left = asyncio.ensure_future(asyncio.sleep(60))
        return Output(text="ok")
