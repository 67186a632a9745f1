from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
from agentplat_llm_openai.presets import OPTIONS
from agentplat_llm_openai.provider import OpenAIProvider

from .fake import FakeServer, running_server

KEY = "sk-SECRET-KEY"
VARIABLES = {str(options[of]) for options in OPTIONS.values() for of in ("url_variable", "key_variable")}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No key or address of the person who runs the tests."""
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture
async def server() -> AsyncIterator[FakeServer]:
    async with running_server() as fake:
        yield fake


@pytest.fixture
async def connect(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Callable[[str], OpenAIProvider]]:
    """Makes the provider of a preset, with its address set to the fake server and its key set."""
    made: list[OpenAIProvider] = []

    def provider(preset: str) -> OpenAIProvider:
        monkeypatch.setenv(str(OPTIONS[preset]["url_variable"]), server.url)
        monkeypatch.setenv(str(OPTIONS[preset]["key_variable"]), KEY)
        made.append(OpenAIProvider(name=preset, **OPTIONS[preset]))  # type: ignore[arg-type]  # JSON, as the host passes it
        return made[-1]

    yield provider
    await asyncio.gather(*(one.aclose() for one in made))


@pytest.fixture
def openai(connect: Callable[[str], OpenAIProvider]) -> OpenAIProvider:
    return connect("openai")
