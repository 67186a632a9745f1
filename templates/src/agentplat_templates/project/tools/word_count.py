"""A tool of this project: for agents, for steps of workflows, and for `agentplat run tool:word_count`."""

from __future__ import annotations

from pydantic import BaseModel, Field

from agentplat import Effect, Tool, ToolContext


class Input(BaseModel):
    text: str = Field(max_length=100_000, description="What is counted.")


class Output(BaseModel):
    words: int


class WordCount(Tool[Input, Output]):
    """Counts the words of a text."""

    name = "word_count"
    effect = Effect.PURE

    async def execute(self, input: Input, ctx: ToolContext) -> Output:
        """The number of words."""
        del ctx
        return Output(words=len(input.text.split()))
