from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack

import pytest
from agentplat_llm_openai.presets import OPTIONS
from agentplat_llm_openai.provider import OpenAIProvider
from agentplat_testkit import ModelContract

from agentplat import FailureCode, ModelProvider

from .conftest import KEY
from .fake import Answer, FakeServer, failed, running_server

FAILURES = {
    FailureCode.RATE_LIMITED: failed(429),
    FailureCode.UNAVAILABLE: failed(503),
    FailureCode.TIMEOUT: Answer(hang=True),
    FailureCode.REFUSED: failed(401),
    FailureCode.INVALID_INPUT: failed(400),
    FailureCode.INVALID_OUTPUT: Answer(chunks=[b"<html>"]),
}


class EndpointContract(ModelContract):
    """Every preset, made as the host makes it, against the fake."""

    plugin = "llm-openai"

    @pytest.fixture
    async def provider(self, server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ModelProvider]:
        monkeypatch.setenv(str(OPTIONS[self.name]["url_variable"]), server.url)
        monkeypatch.setenv(str(OPTIONS[self.name]["key_variable"]), KEY)
        made = self.registries().model_provider(self.name)
        yield made
        await made.aclose()


class TestOpenRouter(EndpointContract):
    name = "openrouter"

    @pytest.fixture
    async def failing(
        self, connect: Callable[[str], OpenAIProvider], server: FakeServer
    ) -> AsyncIterator[Sequence[tuple[ModelProvider, FailureCode]]]:
        async with AsyncExitStack() as stack:
            made: list[tuple[ModelProvider, FailureCode]] = []
            for code, answer in FAILURES.items():
                broken = await stack.enter_async_context(running_server())
                broken.answers, server.url = [answer], broken.url
                made.append((connect(self.name), code))
            yield made


class TestOpenAI(EndpointContract):
    name = "openai"


class TestOllama(EndpointContract):
    name = "ollama"


class TestVllm(EndpointContract):
    name = "vllm"
