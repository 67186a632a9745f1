"""Classes that the specs of these tests name by path."""

from __future__ import annotations

from agentplat import (
    Agent,
    AgentContext,
    BlockView,
    Decision,
    Effect,
    Finish,
    JsonValue,
    ModelReply,
    ModelRequest,
    StepError,
    Strategy,
    Tool,
    ToolContext,
    Usage,
)
from agentplat.domain.failure import FailureCode


class Greeter(Agent[str, str]):
    name = "greeter"
    tools = ("adder",)

    async def execute(self, input: str, ctx: AgentContext) -> str:
        return f"Hello {input}"


class FromEntry(Agent[str, str]):
    name = "from_entry"

    def __init__(self, entry: JsonValue) -> None:
        self.entry = entry


class Unmakable(Agent[str, str]):
    name = "unmakable"

    def __init__(self) -> None:
        raise OSError("no disk")


class Adder(Tool[int, int]):
    name = "adder"
    effect = Effect.PURE

    async def execute(self, input: int, ctx: ToolContext) -> int:
        return input + 1


class AtOnce(Strategy):
    name = "at_once"

    def decide(self, block: BlockView) -> Decision:
        return Finish(output=block.input)


class Provider:
    def __init__(self, *, base: str = "", breaks: bool = False) -> None:
        self.base, self.breaks, self.closed = base, breaks, False

    async def complete(self, request: ModelRequest) -> ModelReply:
        return ModelReply(text=request.model, usage=Usage(input_tokens=0, output_tokens=0, cost=0))

    async def aclose(self) -> None:
        if self.breaks:
            raise OSError("stuck")
        self.closed = True


def no_key() -> Provider:
    raise StepError(FailureCode.REFUSED, "no key")


def no_provider() -> object:
    return object()
