from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from .fake import FakeServer, running_server

KEY = "BSA-SECRET-KEY"


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key of ours, whatever the person who runs the tests has."""
    monkeypatch.setenv("BRAVE_API_KEY", KEY)


@pytest.fixture
async def server() -> AsyncIterator[FakeServer]:
    async with running_server() as fake:
        yield fake
