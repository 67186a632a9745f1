"""The contract of model providers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

import pytest

from agentplat.contracts.model import Message, ModelProvider, ModelReply, ModelRequest, Passage
from agentplat.domain.errors import StepError
from agentplat.domain.failure import FailureCode
from agentplat.domain.json import unstorable
from agentplat_testkit.contracts.plugins import PluginContract

_MARK = "the-prompt-4711"


class ModelContract(PluginContract):
    """Override the fixture `provider` for one that needs a (fake) service, `failing` for how it fails."""

    offers: ClassVar[str] = "model_providers"

    @pytest.fixture
    def provider(self) -> ModelProvider:
        return self.registries().model_provider(self.name)

    @pytest.fixture
    def failing(self) -> Sequence[tuple[ModelProvider, FailureCode]]:
        """Providers whose service fails, and the code that each failure has to have."""
        return ()

    @pytest.fixture
    def request_to_it(self) -> ModelRequest:
        passage = Passage(source="guide.md", text="A lease is the exclusive right to work on a task.")
        message = Message(role="user", content=f"What is a lease? {_MARK}")
        return ModelRequest(model=self.spec().default_model, messages=(message,), passages=(passage,), timeout=30.0)

    async def test_it_answers_and_says_what_it_used(self, provider: ModelProvider, request_to_it: ModelRequest) -> None:
        reply = await provider.complete(request_to_it)
        assert isinstance(reply, ModelReply)
        assert reply.text.strip(), "the reply is empty"
        assert unstorable({"text": reply.text, "metadata": reply.metadata}) is None
        used = reply.usage
        assert used.input_tokens > 0, "usage.input_tokens is not filled"
        assert used.output_tokens > 0, "usage.output_tokens is not filled"
        assert used.cost is None or (type(used.cost) is int and used.cost >= 0), "cost is micro-USD, or None"

    async def test_it_answers_several_at_once(self, provider: ModelProvider, request_to_it: ModelRequest) -> None:
        replies = await asyncio.gather(*[provider.complete(request_to_it) for _ in range(3)])
        assert all(reply.text for reply in replies)

    async def test_its_failures_are_typed_and_do_not_repeat_the_prompt(
        self, failing: Sequence[tuple[ModelProvider, FailureCode]], request_to_it: ModelRequest
    ) -> None:
        for broken, code in failing:
            with pytest.raises(StepError) as caught:
                await broken.complete(replace(request_to_it, timeout=0.5))
            assert caught.value.failure.code is code, f"{caught.value.failure}, where {code} was due"
            assert _MARK not in str(caught.value.failure), "the failure repeats the prompt"

    async def test_it_can_be_closed_twice(self, provider: ModelProvider) -> None:
        await provider.aclose()
        await provider.aclose()
