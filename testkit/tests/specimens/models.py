"""Model providers that keep or break their contract."""

from __future__ import annotations

from agentplat import FailureCode, ModelReply, ModelRequest, StepError, Usage


class Good:
    """Answers, or fails as it is told to."""

    def __init__(self, code: FailureCode | None = None) -> None:
        self.code = code

    async def complete(self, request: ModelRequest) -> ModelReply:
        if self.code is not None:
            raise StepError(self.code, f"{request.model} failed")
        return ModelReply(text="An answer.", usage=Usage(input_tokens=5, output_tokens=2, cost=None))

    async def aclose(self) -> None:
        """Nothing to close."""


class Generous(Good):
    async def complete(self, request: ModelRequest) -> ModelReply:
        return ModelReply(text="An answer.", usage=Usage())


class Talkative(Good):
    async def complete(self, request: ModelRequest) -> ModelReply:
        raise StepError(FailureCode.UNAVAILABLE, f"no answer to {request.messages[0].content}")
