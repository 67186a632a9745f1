"""An agent of this project. `agentplat dev` reads the file again when it changes."""

from __future__ import annotations

from pydantic import BaseModel, Field

from agentplat import Agent, AgentContext


class Input(BaseModel):
    name: str = Field(min_length=1, max_length=200, description="Who is greeted.")


class Output(BaseModel):
    greeting: str


class Greeter(Agent[Input, Output]):
    """Greets somebody by name."""

    name = "greeter"

    async def execute(self, input: Input, ctx: AgentContext) -> Output:
        """The greeting. `ctx.llm` would ask the model, `ctx.tools` would call a tool."""
        ctx.log.info("greeted", letters=len(input.name))
        return Output(greeting=f"Hello, {input.name}! What shall we find out today?")
