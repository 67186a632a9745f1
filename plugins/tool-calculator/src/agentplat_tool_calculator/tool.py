"""The tool `calculator`."""

from __future__ import annotations

from agentplat import Effect, Tool, ToolContext
from agentplat_tool_calculator.expression import evaluate
from agentplat_tool_calculator.schema import Input, Output

__all__ = ["Calculator"]


class Calculator(Tool[Input, Output]):
    """Evaluates one expression. Bounded in time and memory, so it runs in the event loop."""

    name = "calculator"
    effect = Effect.PURE

    async def execute(self, input: Input, ctx: ToolContext) -> Output:  # noqa: ARG002 (pure: needs nothing else)
        return Output(result=evaluate(input.expression))
